//! Which UDP flows are stale after a change. Pure.
//!
//! TCP connections end by themselves; a UDP client that keeps its source port keeps its old translation, to an endpoint
//! that is gone or to none at all.

use std::collections::BTreeSet;

use net::conntrack::Flush;

use crate::model::{Port, Protocol, ServiceView, Target};

/// The flows to forget when a Service goes from `old` to `new`.
pub fn stale(old: Option<&ServiceView>, new: Option<&ServiceView>) -> Vec<Flush> {
    let mut flushes = BTreeSet::new();
    let udp = |view: Option<&'_ ServiceView>| -> Vec<Port> {
        let ports = view.into_iter().flat_map(|v| &v.ports);
        ports.filter(|p| p.protocol == Protocol::Udp).cloned().collect()
    };
    let (old_ports, new_ports) = (udp(old), udp(new));
    let same = |a: &Port, b: &Port| a.family == b.family && a.port == b.port && a.name == b.name;
    for old in &old_ports {
        let kept: Vec<Target> =
            new_ports.iter().find(|p| same(p, old)).map(Port::targets).unwrap_or_default();
        for gone in old.targets().into_iter().filter(|t| !kept.contains(t)) {
            let backend = gone.address;
            flushes.extend(old.addresses().map(|service| Flush::Backend { service, backend }));
            if old.node_port != 0 {
                flushes.insert(Flush::NodePortBackend { port: old.node_port, backend });
            }
        }
    }
    for new in new_ports.iter().filter(|p| !p.targets().is_empty()) {
        let served_before = old_ports.iter().any(|p| same(p, new) && !p.targets().is_empty());
        if !served_before {
            // Packets from before went to nobody, untranslated, and their flow would stay so.
            flushes.extend(new.addresses().map(|service| Flush::Service { service }));
            if new.node_port != 0 {
                flushes.insert(Flush::NodePort { port: new.node_port });
            }
        }
    }
    flushes.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use client::Key;

    use super::*;
    use crate::model::Family;

    fn view(protocol: Protocol, endpoints: &[&str]) -> ServiceView {
        let cluster: Vec<Target> =
            endpoints.iter().map(|a| Target { address: a.parse().unwrap(), port: 53 }).collect();
        let port = Port {
            family: Family::V4,
            name: String::new(),
            protocol,
            port: 53,
            cluster_ip: "10.96.0.10".parse().unwrap(),
            external_ips: Vec::new(),
            load_balancer_ips: Vec::new(),
            source_ranges: Vec::new(),
            node_port: 0,
            affinity_secs: None,
            internal_local: false,
            external_local: false,
            has_endpoints: !cluster.is_empty(),
            cluster,
            local: Vec::new(),
        };
        ServiceView {
            key: Key::new("ns", "dns"),
            ports: vec![port],
            health_check_node_port: 0,
            n_local_ready: 0,
        }
    }

    #[track_caller]
    fn check(old: Option<&[&str]>, new: Option<&[&str]>, expected: &[Flush]) {
        let make = |list: Option<&[&str]>| list.map(|l| view(Protocol::Udp, l));
        assert_eq!(stale(make(old).as_ref(), make(new).as_ref()), expected);
    }

    #[test]
    fn flows_to_endpoints_that_went_and_flows_from_before_the_first_endpoint() {
        let service = "10.96.0.10".parse().unwrap();
        let backend = |a: &str| Flush::Backend { service, backend: a.parse().unwrap() };
        check(Some(&["10.0.0.1", "10.0.0.2"]), Some(&["10.0.0.2"]), &[backend("10.0.0.1")]);
        check(Some(&["10.0.0.1"]), None, &[backend("10.0.0.1")]);
        check(None, Some(&["10.0.0.1"]), &[Flush::Service { service }]);
        check(Some(&[]), Some(&["10.0.0.1"]), &[Flush::Service { service }]);
        check(Some(&["10.0.0.1"]), Some(&["10.0.0.1", "10.0.0.2"]), &[]);
    }

    #[test]
    fn tcp_is_left_alone() {
        assert_eq!(stale(Some(&view(Protocol::Tcp, &["10.0.0.1"])), None), []);
    }
}
