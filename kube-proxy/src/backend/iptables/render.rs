//! Services and the node as tables in the format of iptables-save. Pure; the same input gives the same text.
//!
//! Chain names and order of rules follow upstream's iptables mode: KUBE-SERVICES matches addresses, KUBE-EXT-* is for
//! traffic from outside, KUBE-SVC-* and KUBE-SVL-* choose among all and local endpoints, KUBE-SEP-* translates.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use ring::digest;

use crate::backend::{Desired, NodePortAddresses, Settings};
use crate::model::{Family, Port, Protocol, ServiceView, Target};

/// (table, chain)
pub type ChainName = (&'static str, String);

const NAT: &str = "nat";
const FILTER: &str = "filter";

/// Chains that are always there.
const FIXED: [(&str, &str); 8] = [
    (FILTER, "KUBE-EXTERNAL-SERVICES"),
    (FILTER, "KUBE-FORWARD"),
    (FILTER, "KUBE-PROXY-FIREWALL"),
    (FILTER, "KUBE-SERVICES"),
    (NAT, "KUBE-MARK-MASQ"),
    (NAT, "KUBE-NODEPORTS"),
    (NAT, "KUBE-POSTROUTING"),
    (NAT, "KUBE-SERVICES"),
];

/// Prefixes of the chains that belong to one Service or endpoint.
const OWNED: [&str; 5] = ["KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-SEP-", "KUBE-FW-"];

/// All chains with their rules.
#[derive(Debug, Default)]
pub struct Rules {
    chains: BTreeMap<ChainName, Vec<String>>,
}

impl Rules {
    fn add(&mut self, table: &'static str, chain: &str, rule: impl Into<String>) {
        self.chains.entry((table, chain.to_owned())).or_default().push(rule.into());
    }

    pub fn chains(&self) -> BTreeSet<ChainName> {
        self.chains.keys().cloned().collect()
    }

    /// The input of iptables-restore, which also removes those of the `existing` chains that are not wanted any more.
    pub fn text(&self, existing: &BTreeSet<ChainName>) -> String {
        let mut out = String::new();
        for table in [FILTER, NAT] {
            let _ = writeln!(out, "*{table}");
            let stale = existing.iter().filter(|c| c.0 == table && !self.chains.contains_key(*c));
            let stale: Vec<&String> = stale.map(|(_, chain)| chain).collect();
            let wanted = || self.chains.iter().filter(|((t, _), _)| *t == table);
            for chain in wanted().map(|((_, chain), _)| chain).chain(stale.iter().copied()) {
                let _ = writeln!(out, ":{chain} - [0:0]");
            }
            for ((_, chain), rules) in wanted() {
                for rule in rules {
                    let _ = writeln!(out, "-A {chain} {rule}");
                }
            }
            for chain in stale {
                let _ = writeln!(out, "-X {chain}");
            }
            out.push_str("COMMIT\n");
        }
        out
    }
}

/// Our chains in a table as iptables-save shows it.
pub fn chains_of(table: &'static str, save: &str) -> BTreeSet<ChainName> {
    let names = save.lines().filter_map(|l| l.strip_prefix(':')?.split(' ').next());
    let ours = |n: &&str| {
        OWNED.iter().any(|prefix| n.starts_with(prefix)) || FIXED.iter().any(|(t, c)| *t == table && c == n)
    };
    names.filter(ours).map(|n| (table, n.to_owned())).collect()
}

/// Removes every one of `chains`.
pub fn removal(chains: &BTreeSet<ChainName>) -> String {
    Rules::default().text(chains)
}

/// Everything.
pub fn render(family: Family, settings: &Settings, desired: &Desired<'_>) -> Rules {
    let mut rules = Rules::default();
    for (table, chain) in FIXED {
        rules.chains.entry((table, chain.to_owned())).or_default();
    }
    let mark = format!("{:#x}", 1u32 << settings.masquerade_bit.min(31));
    rules.add(NAT, "KUBE-MARK-MASQ", format!("-j MARK --or-mark {mark}"));
    rules.add(NAT, "KUBE-POSTROUTING", format!("-m mark ! --mark {mark}/{mark} -j RETURN"));
    rules.add(NAT, "KUBE-POSTROUTING", format!("-j MARK --xor-mark {mark}"));
    rules.add(NAT, "KUBE-POSTROUTING", "-j MASQUERADE --random-fully");
    rules.add(FILTER, "KUBE-FORWARD", format!("-m mark --mark {mark}/{mark} -j ACCEPT"));
    rules.add(FILTER, "KUBE-FORWARD", "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT");
    for service in desired.services.values() {
        for port in service.ports.iter().filter(|p| p.family == family) {
            PortRender { service, port, settings }.render(&mut rules);
        }
    }
    // Last, so that a Service's own address wins over a node port of the same number.
    for destination in node_port_destinations(family, settings, desired) {
        rules.add(NAT, "KUBE-SERVICES", format!("{destination} -j KUBE-NODEPORTS"));
    }
    rules
}

fn node_port_destinations(family: Family, settings: &Settings, desired: &Desired<'_>) -> Vec<String> {
    let host = |a: &IpAddr| format!("-d {a}/{}", if a.is_ipv4() { 32 } else { 128 });
    let of_family =
        |list: &[IpAddr]| -> Vec<IpAddr> { list.iter().copied().filter(|a| family.has(*a)).collect() };
    match &settings.node_port_addresses {
        NodePortAddresses::All => {
            let loopback = if family == Family::V4 { "127.0.0.0/8" } else { "::1/128" };
            vec![format!("! -d {loopback} -m addrtype --dst-type LOCAL")]
        }
        NodePortAddresses::Primary => of_family(&desired.node.addresses).iter().map(host).collect(),
        NodePortAddresses::Ranges(ranges) => {
            let local = of_family(desired.local_addresses);
            let wanted = local.iter().filter(|a| !a.is_loopback() && ranges.iter().any(|r| r.contains(**a)));
            wanted.map(host).collect()
        }
    }
}

/// Chain names have at most 28 characters: a prefix and sixteen of the hash.
fn chain(prefix: &str, text: &str) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let bits = digest.as_ref()[..10].iter().fold(0u128, |bits, byte| (bits << 8) | u128::from(*byte));
    let hash = (0..16).rev().map(|i| {
        let index = usize::try_from((bits >> (5 * i)) & 31).expect("five bits fit");
        char::from(ALPHABET[index])
    });
    format!("{prefix}{}", hash.collect::<String>())
}

struct PortRender<'a> {
    service: &'a ServiceView,
    port: &'a Port,
    settings: &'a Settings,
}

impl PortRender<'_> {
    fn id(&self) -> String {
        format!("{}:{}{}", self.service.key, self.port.name, self.port.protocol.as_str())
    }

    fn comment(&self) -> String {
        let name = &self.port.name;
        let suffix = if name.is_empty() { String::new() } else { format!(":{name}") };
        format!("-m comment --comment \"{}{suffix}\"", self.service.key)
    }

    fn endpoint_chain(&self, target: &Target) -> String {
        chain("KUBE-SEP-", &format!("{}{target}", self.id()))
    }

    fn protocol(&self) -> String {
        let protocol = self.port.protocol.as_str();
        format!("-m {protocol} -p {protocol}")
    }

    fn destination(&self, address: IpAddr) -> String {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        format!("{} {} -d {address}/{bits} --dport {}", self.comment(), self.protocol(), self.port.port)
    }

    /// Nobody serves: reject. Nobody on this node under the policy `Local`: drop.
    fn refusal(&self, targets: &[Target]) -> Option<&'static str> {
        match (self.port.has_endpoints, targets.is_empty()) {
            (false, _) => Some("REJECT"),
            (true, true) => Some("DROP"),
            (true, false) => None,
        }
    }

    fn render(&self, rules: &mut Rules) {
        self.addresses(rules);
        if self.port.has_endpoints {
            self.policies(rules);
            for target in self.port.targets() {
                self.endpoint(rules, &target);
            }
        }
    }

    fn addresses(&self, rules: &mut Rules) {
        let port = self.port;
        let internal = chain(if port.internal_local { "KUBE-SVL-" } else { "KUBE-SVC-" }, &self.id());
        let external = chain("KUBE-EXT-", &self.id());
        match self.refusal(port.internal()) {
            None => rules.add(
                NAT,
                "KUBE-SERVICES",
                format!("{} -j {internal}", self.destination(port.cluster_ip)),
            ),
            Some(verdict) => {
                rules.add(
                    FILTER,
                    "KUBE-SERVICES",
                    format!("{} -j {verdict}", self.destination(port.cluster_ip)),
                );
            }
        }
        let refusal = self.refusal(port.external());
        for address in port.external_ips.iter().chain(&port.load_balancer_ips) {
            if port.has_endpoints {
                rules.add(NAT, "KUBE-SERVICES", format!("{} -j {external}", self.destination(*address)));
            }
            if let Some(verdict) = refusal {
                let rule = format!("{} -j {verdict}", self.destination(*address));
                rules.add(FILTER, "KUBE-EXTERNAL-SERVICES", rule);
            }
        }
        if port.node_port != 0 {
            let to = format!("{} {} --dport {}", self.comment(), self.protocol(), port.node_port);
            if port.has_endpoints {
                rules.add(NAT, "KUBE-NODEPORTS", format!("{to} -j {external}"));
            }
            if let Some(verdict) = refusal {
                let rule = format!("-m addrtype --dst-type LOCAL {to} -j {verdict}");
                rules.add(FILTER, "KUBE-EXTERNAL-SERVICES", rule);
            }
        }
        if !port.source_ranges.is_empty() && !port.load_balancer_ips.is_empty() {
            let firewall = chain("KUBE-FW-", &self.id());
            for address in &port.load_balancer_ips {
                // Destination translation comes first here, so the original address is asked for.
                let rule = format!(
                    "{} {} -m conntrack --ctorigdst {address} --ctorigdstport {} -j {firewall}",
                    self.comment(),
                    self.protocol(),
                    port.port
                );
                rules.add(FILTER, "KUBE-PROXY-FIREWALL", rule);
            }
            for range in &port.source_ranges {
                rules.add(FILTER, &firewall, format!("-s {range} -j RETURN"));
            }
            rules.add(FILTER, &firewall, "-j DROP");
        }
    }

    fn policies(&self, rules: &mut Rules) {
        let port = self.port;
        for (used, targets, prefix, is_internal) in [
            (port.uses_cluster(), &port.cluster, "KUBE-SVC-", !port.internal_local),
            (port.uses_local(), &port.local, "KUBE-SVL-", port.internal_local),
        ] {
            if used && !targets.is_empty() {
                let name = chain(prefix, &self.id());
                if is_internal {
                    self.masquerade_foreign(rules, &name);
                }
                self.choose(rules, &name, targets);
            }
        }
        if !port.is_external() {
            return;
        }
        let external = chain("KUBE-EXT-", &self.id());
        rules.chains.entry((NAT, external.clone())).or_default();
        let cluster = chain("KUBE-SVC-", &self.id());
        if port.external_local {
            if !port.cluster.is_empty() {
                for pods in self.pod_ranges() {
                    rules.add(NAT, &external, format!("-s {pods} -j {cluster}"));
                }
                rules.add(NAT, &external, "-m addrtype --src-type LOCAL -j KUBE-MARK-MASQ");
                rules.add(NAT, &external, format!("-m addrtype --src-type LOCAL -j {cluster}"));
            }
        } else {
            rules.add(NAT, &external, "-j KUBE-MARK-MASQ");
        }
        if !port.external().is_empty() {
            let to = if port.external_local { chain("KUBE-SVL-", &self.id()) } else { cluster };
            rules.add(NAT, &external, format!("-j {to}"));
        }
    }

    fn pod_ranges(&self) -> Vec<String> {
        let ranges = self.settings.cluster_cidrs.iter().filter(|c| self.port.family.has(c.network()));
        ranges.map(ToString::to_string).collect()
    }

    fn masquerade_foreign(&self, rules: &mut Rules, chain: &str) {
        let to = self.destination(self.port.cluster_ip);
        if self.settings.masquerade_all {
            rules.add(NAT, chain, format!("{to} -j KUBE-MARK-MASQ"));
            return;
        }
        // Several ranges cannot be negated in one rule; upstream has one range per family too.
        if let Some(pods) = self.pod_ranges().first() {
            rules.add(NAT, chain, format!("{to} ! -s {pods} -j KUBE-MARK-MASQ"));
        }
    }

    fn choose(&self, rules: &mut Rules, chain: &str, targets: &[Target]) {
        if let Some(secs) = self.port.affinity_secs {
            for target in targets {
                let endpoint = self.endpoint_chain(target);
                let rule =
                    format!("-m recent --name {endpoint} --rcheck --seconds {secs} --reap -j {endpoint}");
                rules.add(NAT, chain, rule);
            }
        }
        for (i, target) in targets.iter().enumerate() {
            let endpoint = self.endpoint_chain(target);
            let left = targets.len() - i;
            if left == 1 {
                rules.add(NAT, chain, format!("-j {endpoint}"));
            } else {
                #[allow(
                    clippy::cast_precision_loss,
                    reason = "far fewer endpoints than a float counts exactly"
                )]
                let probability = 1.0 / left as f64;
                let rule =
                    format!("-m statistic --mode random --probability {probability:.10} -j {endpoint}");
                rules.add(NAT, chain, rule);
            }
        }
    }

    fn endpoint(&self, rules: &mut Rules, target: &Target) {
        let name = self.endpoint_chain(target);
        rules.add(NAT, &name, format!("-s {} -j KUBE-MARK-MASQ", target.address));
        let protocol = match self.port.protocol {
            Protocol::Tcp => "-m tcp -p tcp",
            Protocol::Udp => "-m udp -p udp",
            Protocol::Sctp => "-m sctp -p sctp",
        };
        let affinity = match self.port.affinity_secs {
            Some(_) => format!(" -m recent --name {name} --set"),
            None => String::new(),
        };
        rules.add(
            NAT,
            &name,
            format!("{}{affinity} {protocol} -j DNAT --to-destination {target}", self.comment()),
        );
    }
}
