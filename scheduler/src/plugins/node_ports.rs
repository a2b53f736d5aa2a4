//! NodePorts: a pod that takes ports of the host goes only where they are free. Ports conflict when protocol and number
//! are the same and the addresses are, or either is every address.

use crate::bits::BitSet;
use crate::framework::{Plugin, Rejection, Rejections};
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;

#[derive(Debug)]
pub struct NodePorts;

impl Plugin for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    fn filter(&self, snapshot: &Snapshot, pod: &PodInfo, candidates: &BitSet, rejections: &mut Rejections) {
        let mut nodes = BitSet::default();
        for port in &pod.usage.ports {
            nodes.or(&snapshot.port_users(port));
        }
        nodes.and(candidates);
        rejections.add(Rejection {
            plugin: self.name(),
            reason: "node(s) didn't have free ports for the requested pod ports".into(),
            nodes,
            unresolvable: BitSet::default(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_filter, node, pod};

    #[test]
    fn taken_ports_keep_pods_away() {
        let nodes = [
            node("free"),
            node("any").pod(pod("x").host_port(80, "")),
            node("one").pod(pod("x").host_port(80, "10.0.0.1")),
            node("other").pod(pod("x").host_port(81, "")),
        ];
        let no = |name: &str| format!("{name}: node(s) didn't have free ports for the requested pod ports");
        check_filter(&NodePorts, &nodes, pod("p"), &[]);
        check_filter(&NodePorts, &nodes, pod("p").host_port(80, ""), &[&no("any"), &no("one")]);
        check_filter(&NodePorts, &nodes, pod("p").host_port(80, "0.0.0.0"), &[&no("any"), &no("one")]);
        check_filter(&NodePorts, &nodes, pod("p").host_port(80, "10.0.0.2"), &[&no("any")]);
        check_filter(
            &NodePorts,
            &nodes,
            pod("p").host_port(80, "10.0.0.1").host_port(81, ""),
            &[&no("any"), &no("one"), &no("other")],
        );
        check_filter(&NodePorts, &nodes, pod("p").host_port_of("UDP", 80, ""), &[]);
    }
}
