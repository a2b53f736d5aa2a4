//! Services and the node as fragments of the table. Pure; the same input gives the same text.
//!
//! Chain names, verdict maps and the order of rules are upstream's, so that what operators know of `nft list table ip
//! kube-proxy` holds here.

use std::net::IpAddr;

use ring::digest;

use super::TABLE;
use super::ruleset::Fragment;
use crate::backend::{Desired, NodePortAddresses, Settings};
use crate::model::{Family, NodeView, Port, ServiceView, Target};

/// nft's name of a family.
pub fn family_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

fn address_type(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4_addr",
        Family::V6 => "ipv6_addr",
    }
}

/// Commands that leave an empty table, whatever was there.
pub fn recreate(family: Family) -> String {
    let at = format!("{} {TABLE}", family_name(family));
    format!("add table {at}\ndelete table {at}\nadd table {at} {{ comment \"rules for kube-proxy\" ; }}\n")
}

/// The frame: hooks, sets and maps, and what depends on the node alone.
pub fn base(family: Family, settings: &Settings, desired: &Desired<'_>) -> Fragment {
    let mut out = Fragment::default();
    sets(&mut out, family);
    hooks(&mut out);
    let ip = family_name(family);
    let mark = 1u32 << settings.masquerade_bit.min(31);
    let rules = |list: &[&str]| list.iter().map(|r| (*r).to_owned()).collect::<Vec<_>>();
    out.chain("mark-for-masquerade", vec![format!("mark set mark or {mark:#x}")]);
    out.chain(
        "masquerading",
        vec![
            format!("mark and {mark:#x} == 0 return"),
            // A packet that passes here again (tunnels) must not be translated twice.
            format!("mark set mark xor {mark:#x}"),
            "masquerade fully-random".to_owned(),
        ],
    );
    out.chain("reject-chain", rules(&["reject"]));
    out.chain("firewall-check", vec![format!("{ip} daddr . meta l4proto . th dport vmap @firewall-ips")]);
    out.chain(
        "service-endpoints-check",
        vec![format!("{ip} daddr . meta l4proto . th dport vmap @no-endpoint-services")],
    );
    let node_ports = match settings.node_port_addresses {
        NodePortAddresses::All => match family {
            Family::V4 => "fib daddr type local ip daddr != 127.0.0.0/8",
            Family::V6 => "fib daddr type local ip6 daddr != ::1",
        }
        .to_owned(),
        _ => format!("{ip} daddr @nodeport-ips"),
    };
    out.chain(
        "services",
        vec![
            format!("{ip} daddr . meta l4proto . th dport vmap @service-ips"),
            format!("{node_ports} meta l4proto . th dport vmap @service-nodeports"),
        ],
    );
    out.chain(
        "nodeport-endpoints-check",
        vec![format!("{node_ports} meta l4proto . th dport vmap @no-endpoint-nodeports")],
    );
    // What still goes to a cluster IP after translation met no service port.
    let mut check = vec![format!("{ip} daddr @cluster-ips reject")];
    let ranges: Vec<String> =
        desired.service_cidrs.iter().filter(|c| family.has(c.network())).map(ToString::to_string).collect();
    if !ranges.is_empty() {
        check.push(format!("{ip} daddr {{ {} }} drop", ranges.join(", ")));
    }
    out.chain("cluster-ips-check", check);
    for address in node_port_ips(family, settings, desired) {
        out.element("nodeport-ips", address.to_string(), "");
    }
    out
}

fn sets(out: &mut Fragment, family: Family) {
    let address = address_type(family);
    let plain = format!("type {address} ;");
    let full = format!("type {address} . inet_proto . inet_service : verdict ;");
    let port = "type inet_proto . inet_service : verdict ;".to_owned();
    for (name, definition) in [
        ("cluster-ips", &plain),
        ("nodeport-ips", &plain),
        ("firewall-ips", &full),
        ("no-endpoint-services", &full),
        ("service-ips", &full),
        ("no-endpoint-nodeports", &port),
        ("service-nodeports", &port),
    ] {
        out.sets.insert(name.to_owned(), definition.clone());
    }
}

/// Base chains. The filters run just before destination translation (-100), and once after it for local output.
fn hooks(out: &mut Fragment) {
    let jump =
        |targets: &[&str]| targets.iter().map(|t| format!("ct state new jump {t}")).collect::<Vec<_>>();
    out.hook("nat-prerouting", "type nat hook prerouting priority -100", vec!["jump services".into()]);
    out.hook("nat-output", "type nat hook output priority -100", vec!["jump services".into()]);
    out.hook("nat-postrouting", "type nat hook postrouting priority 100", vec!["jump masquerading".into()]);
    out.hook("filter-prerouting", "type filter hook prerouting priority -110", jump(&["firewall-check"]));
    out.hook(
        "filter-input",
        "type filter hook input priority -110",
        jump(&["nodeport-endpoints-check", "service-endpoints-check"]),
    );
    out.hook(
        "filter-forward",
        "type filter hook forward priority -110",
        jump(&["service-endpoints-check", "cluster-ips-check"]),
    );
    out.hook(
        "filter-output",
        "type filter hook output priority -110",
        jump(&["service-endpoints-check", "firewall-check"]),
    );
    out.hook("filter-output-post-dnat", "type filter hook output priority -90", jump(&["cluster-ips-check"]));
}

fn node_port_ips(family: Family, settings: &Settings, desired: &Desired<'_>) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = match &settings.node_port_addresses {
        NodePortAddresses::All => Vec::new(),
        NodePortAddresses::Primary => desired.node.addresses.clone(),
        NodePortAddresses::Ranges(ranges) => {
            let in_ranges = |a: &&IpAddr| !a.is_loopback() && ranges.iter().any(|r| r.contains(**a));
            desired.local_addresses.iter().filter(in_ranges).copied().collect()
        }
    };
    found.retain(|a| family.has(*a));
    found
}

/// A Service's part of one family's table.
pub fn service(family: Family, settings: &Settings, node: &NodeView, service: &ServiceView) -> Fragment {
    let mut out = Fragment::default();
    for port in service.ports.iter().filter(|p| p.family == family) {
        let render = PortRender { names: Names::new(service, port), settings, node, port };
        render.entries(&mut out);
        if port.has_endpoints {
            render.chains(&mut out);
        }
    }
    out
}

/// The names of a service port's chains.
struct Names {
    full: String,
}

impl Names {
    fn new(service: &ServiceView, port: &Port) -> Self {
        let key = &service.key;
        Self { full: format!("{}/{}/{}/{}", key.namespace, key.name, port.protocol.as_str(), port.name) }
    }

    fn of(&self, prefix: &str) -> String {
        format!("{prefix}-{}-{}", hash(&self.full), self.full)
    }

    fn endpoint(&self, prefix: &str, target: &Target) -> String {
        // Colons are not allowed in names.
        let address = target.address.to_string().replace(':', ".");
        let full = format!("{}__{address}/{}", self.full, target.port);
        format!("{prefix}-{}-{full}", hash(&full))
    }
}

/// Eight characters that tell names apart which agree where people look first.
fn hash(text: &str) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let bits = digest.as_ref()[..5].iter().fold(0u64, |bits, byte| (bits << 8) | u64::from(*byte));
    (0..8)
        .rev()
        .map(|i| {
            let index = usize::try_from((bits >> (5 * i)) & 31).expect("five bits fit");
            char::from(ALPHABET[index])
        })
        .collect()
}

struct PortRender<'a> {
    names: Names,
    settings: &'a Settings,
    node: &'a NodeView,
    port: &'a Port,
}

impl PortRender<'_> {
    fn ip(&self) -> &'static str {
        family_name(self.port.family)
    }

    /// `address . protocol . port`
    fn key(&self, address: IpAddr) -> String {
        format!("{address} . {} . {}", self.port.protocol.as_str(), self.port.port)
    }

    /// Why traffic is turned away: nobody serves (reject, so that clients learn at once), or nobody on this node under
    /// the policy `Local` (drop, so that clients try another node).
    fn refusal(&self, targets: &[Target]) -> Option<&'static str> {
        match (self.port.has_endpoints, targets.is_empty()) {
            (false, _) => Some("goto reject-chain"),
            (true, true) => Some("drop"),
            (true, false) => None,
        }
    }

    fn internal_chain(&self) -> String {
        self.names.of(if self.port.internal_local { "local" } else { "service" })
    }

    /// Elements of the verdict maps.
    fn entries(&self, out: &mut Fragment) {
        let port = self.port;
        out.element("cluster-ips", port.cluster_ip.to_string(), "");
        match self.refusal(port.internal()) {
            None => out.element(
                "service-ips",
                self.key(port.cluster_ip),
                format!("goto {}", self.internal_chain()),
            ),
            Some(verdict) => out.element("no-endpoint-services", self.key(port.cluster_ip), verdict),
        }
        let refusal = self.refusal(port.external());
        let external = format!("goto {}", self.names.of("external"));
        for address in port.external_ips.iter().chain(&port.load_balancer_ips) {
            // The chain is needed even without an endpoint here: pods are short-circuited in it.
            if port.has_endpoints {
                out.element("service-ips", self.key(*address), external.clone());
            }
            if let Some(verdict) = refusal {
                out.element("no-endpoint-services", self.key(*address), verdict);
            }
        }
        if !port.source_ranges.is_empty() {
            for address in &port.load_balancer_ips {
                out.element(
                    "firewall-ips",
                    self.key(*address),
                    format!("goto {}", self.names.of("firewall")),
                );
            }
        }
        if port.node_port != 0 {
            let key = format!("{} . {}", port.protocol.as_str(), port.node_port);
            if port.has_endpoints {
                out.element("service-nodeports", key.clone(), external);
            }
            if let Some(verdict) = refusal {
                out.element("no-endpoint-nodeports", key, verdict);
            }
        }
    }

    fn chains(&self, out: &mut Fragment) {
        let port = self.port;
        if port.uses_cluster() && !port.cluster.is_empty() {
            let own = if port.internal_local { Vec::new() } else { self.masquerade_foreign() };
            out.chain(self.names.of("service"), self.policy(own, &port.cluster));
        }
        if port.uses_local() && !port.local.is_empty() {
            let own = if port.internal_local { self.masquerade_foreign() } else { Vec::new() };
            out.chain(self.names.of("local"), self.policy(own, &port.local));
        }
        if port.is_external() {
            out.chain(self.names.of("external"), self.external());
            if !port.source_ranges.is_empty() && !port.load_balancer_ips.is_empty() {
                out.chain(self.names.of("firewall"), self.firewall());
            }
        }
        for target in port.targets() {
            self.endpoint(out, &target);
        }
    }

    /// Traffic to the cluster IP that comes from outside the pods' ranges must come back through this node.
    fn masquerade_foreign(&self) -> Vec<String> {
        let (ip, port) = (self.ip(), self.port);
        let to = format!("{ip} daddr {} {} dport {}", port.cluster_ip, port.protocol.as_str(), port.port);
        if self.settings.masquerade_all {
            return vec![format!("{to} jump mark-for-masquerade")];
        }
        match self.pod_ranges() {
            None => Vec::new(),
            Some(pods) => vec![format!("{to} {ip} saddr != {pods} jump mark-for-masquerade")],
        }
    }

    fn pod_ranges(&self) -> Option<String> {
        let ranges = self.settings.cluster_cidrs.iter().filter(|c| self.port.family.has(c.network()));
        let ranges: Vec<String> = ranges.map(ToString::to_string).collect();
        match ranges.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            many => Some(format!("{{ {} }}", many.join(", "))),
        }
    }

    /// Affinity first, then an even choice among the endpoints.
    fn policy(&self, mut rules: Vec<String>, targets: &[Target]) -> Vec<String> {
        if self.port.affinity_secs.is_some() {
            for target in targets {
                let set = self.names.endpoint("affinity", target);
                let chain = self.names.endpoint("endpoint", target);
                rules.push(format!("{} saddr @{set} goto {chain}", self.ip()));
            }
        }
        let choices: Vec<String> = targets
            .iter()
            .enumerate()
            .map(|(i, target)| format!("{i} : goto {}", self.names.endpoint("endpoint", target)))
            .collect();
        rules.push(format!("numgen random mod {} vmap {{ {} }}", targets.len(), choices.join(", ")));
        rules
    }

    fn external(&self) -> Vec<String> {
        let port = self.port;
        let mut rules = Vec::new();
        if port.external_local {
            // Pods and the host itself use an external address as if it were the cluster IP: the policy `Local` is for
            // traffic from outside.
            let cluster = self.names.of("service");
            if !port.cluster.is_empty() {
                if let Some(pods) = self.pod_ranges() {
                    rules.push(format!("{} saddr {pods} goto {cluster}", self.ip()));
                }
                rules.push("fib saddr type local jump mark-for-masquerade".to_owned());
                rules.push(format!("fib saddr type local goto {cluster}"));
            }
        } else {
            // The endpoint may be on another node: answers must come back through this one.
            rules.push("jump mark-for-masquerade".to_owned());
        }
        if !port.external().is_empty() {
            rules.push(format!(
                "goto {}",
                self.names.of(if port.external_local { "local" } else { "service" })
            ));
        }
        rules
    }

    /// `loadBalancerSourceRanges`: who is not named is dropped before translation.
    fn firewall(&self) -> Vec<String> {
        let (ip, port) = (self.ip(), self.port);
        let ranges: Vec<String> = port.source_ranges.iter().map(ToString::to_string).collect();
        let mut rules = vec![format!("{ip} saddr {{ {} }} return", ranges.join(", "))];
        // A balancer's address is often the node's own: then the node's traffic to it has it as source too.
        let node_allowed = |a: &IpAddr| port.source_ranges.iter().any(|r| r.contains(*a));
        if self.node.addresses.iter().any(node_allowed) {
            rules.extend(port.load_balancer_ips.iter().map(|a| format!("{ip} saddr {a} return")));
        }
        rules.push("drop".to_owned());
        rules
    }

    fn endpoint(&self, out: &mut Fragment, target: &Target) {
        let ip = self.ip();
        // Hairpin: an endpoint that reaches itself must see another source, or it would answer itself directly.
        let mut rules = vec![format!("{ip} saddr {} jump mark-for-masquerade", target.address)];
        if let Some(secs) = self.port.affinity_secs {
            let set = self.names.endpoint("affinity", target);
            rules.push(format!("update @{set} {{ {ip} saddr }}"));
            let definition = format!(
                "type {} ; flags dynamic,timeout ; timeout {secs}s ;",
                address_type(self.port.family)
            );
            out.sets.insert(set, definition);
        }
        rules.push(format!("meta l4proto {} dnat to {target}", self.port.protocol.as_str()));
        out.chain(self.names.endpoint("endpoint", target), rules);
    }
}
