//! What the proxy makes of Services and EndpointSlices: for each service port, where its traffic may go.
//!
//! Pure functions of the objects and of this node. Which endpoints take traffic follows upstream's rules: ready ones; when
//! there is none, those that are terminating but still serve, so that a rolling update never finds a Service empty
//! while somebody can answer.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use client::Key;
use net::Cidr;

use crate::types::{EndpointSlice, Node, Service, SliceEndpoint};

/// The default of `sessionAffinityConfig.clientIP.timeoutSeconds`: three hours.
const AFFINITY_SECS_DEFAULT: u32 = 10_800;

/// Transport protocols of Service ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "" | "TCP" => Some(Self::Tcp),
            "UDP" => Some(Self::Udp),
            "SCTP" => Some(Self::Sctp),
            _ => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// IPv4 or IPv6: rules of one never touch the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    pub fn has(self, address: IpAddr) -> bool {
        address.is_ipv4() == (self == Self::V4)
    }
}

/// An endpoint that takes traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    pub address: IpAddr,
    pub port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V4(a) => write!(f, "{a}:{}", self.port),
            IpAddr::V6(a) => write!(f, "[{a}]:{}", self.port),
        }
    }
}

/// One port of one Service in one family, with its endpoints sorted out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub family: Family,
    pub name: String,
    pub protocol: Protocol,
    pub port: u16,
    pub cluster_ip: IpAddr,
    pub external_ips: Vec<IpAddr>,
    pub load_balancer_ips: Vec<IpAddr>,
    /// Who may use the load balancer's addresses; everybody when empty.
    pub source_ranges: Vec<Cidr>,
    /// 0 when there is none.
    pub node_port: u16,
    /// How long a client stays with its endpoint.
    pub affinity_secs: Option<u32>,
    pub internal_local: bool,
    pub external_local: bool,
    /// Where traffic under the policy `Cluster` goes.
    pub cluster: Vec<Target>,
    /// Where traffic under the policy `Local` goes.
    pub local: Vec<Target>,
    /// Some endpoint somewhere takes traffic: tells "reject" from "drop" when this node has none.
    pub has_endpoints: bool,
}

impl Port {
    /// Traffic from outside the cluster can reach it by an address of its own or of the node.
    pub fn is_external(&self) -> bool {
        self.node_port != 0 || !self.external_ips.is_empty() || !self.load_balancer_ips.is_empty()
    }

    /// The endpoints of traffic to the cluster IP.
    pub fn internal(&self) -> &[Target] {
        if self.internal_local { &self.local } else { &self.cluster }
    }

    /// The endpoints of traffic from outside.
    pub fn external(&self) -> &[Target] {
        if self.external_local { &self.local } else { &self.cluster }
    }

    /// Every endpoint that some rule sends traffic to, once.
    pub fn targets(&self) -> Vec<Target> {
        let mut all: Vec<Target> = Vec::new();
        if self.uses_cluster() {
            all.extend(&self.cluster);
        }
        if self.uses_local() {
            all.extend(&self.local);
        }
        all.sort();
        all.dedup();
        all
    }

    /// The policy `Cluster` has a part in it. (External `Local` too: pods of this cluster that use an external address
    /// are routed as if they had used the cluster IP.)
    pub fn uses_cluster(&self) -> bool {
        !self.internal_local || self.is_external()
    }

    pub fn uses_local(&self) -> bool {
        self.internal_local || (self.external_local && self.is_external())
    }

    /// The addresses of its own, without node ports.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let others = self.external_ips.iter().chain(&self.load_balancer_ips);
        std::iter::once(self.cluster_ip).chain(others.copied())
    }
}

/// What the rules need of one Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceView {
    pub key: Key,
    pub ports: Vec<Port>,
    /// Where load balancers ask whether this node has endpoints; 0 when they do not.
    pub health_check_node_port: u16,
    /// Ready endpoints on this node, for the health check.
    pub n_local_ready: usize,
}

/// What the rules need of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeView {
    pub name: String,
    pub zone: Option<String>,
    /// Its own addresses, the primary one of each family first.
    pub addresses: Vec<IpAddr>,
    pub pod_cidrs: Vec<Cidr>,
}

/// Where a node says which zone it is in.
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

/// Reads this node's object. `name` also serves while there is none.
pub fn node_view(name: &str, node: Option<&Node>) -> NodeView {
    let mut view = NodeView { name: name.to_owned(), ..NodeView::default() };
    let Some(node) = node else { return view };
    view.zone = node.metadata.labels.get(ZONE_LABEL).cloned();
    let addresses = node.status.addresses.as_deref().unwrap_or_default();
    for wanted in ["InternalIP", "ExternalIP"] {
        let of_type = addresses.iter().filter(|a| a.address_type == wanted);
        view.addresses.extend(of_type.filter_map(|a| a.address.parse::<IpAddr>().ok()));
    }
    let pod_cidrs = node.spec.pod_cidrs.as_deref().unwrap_or_default().iter();
    view.pod_cidrs = pod_cidrs.filter_map(|c| c.parse().ok()).collect();
    view
}

/// An endpoint of a slice with one port.
#[derive(Clone, Debug)]
struct Candidate {
    target: Target,
    ready: bool,
    serving: bool,
    terminating: bool,
    local: bool,
    zones: Vec<String>,
    nodes: Vec<String>,
}

/// Sorts out a Service. `None` when it is none of the proxy's business: headless, without addresses, an alias for an
/// outside name, or handed to another proxy by label.
pub fn service_view(service: &Service, slices: &[&EndpointSlice], node: &NodeView) -> Option<ServiceView> {
    if !is_proxied(service) {
        return None;
    }
    let spec = &service.spec;
    let parse_all = |list: &Option<Vec<String>>| -> Vec<IpAddr> {
        list.iter().flatten().filter_map(|a| a.parse().ok()).collect()
    };
    let mut cluster_ips = parse_all(&spec.cluster_ips);
    if cluster_ips.is_empty() {
        cluster_ips.extend(spec.cluster_ip.parse::<IpAddr>().ok());
    }
    let external_ips = parse_all(&spec.external_ips);
    let load_balancer_ips = load_balancer_ips(service);
    let ranges: Vec<Cidr> =
        spec.load_balancer_source_ranges.iter().flatten().filter_map(|r| r.trim().parse().ok()).collect();
    let external_local = spec.external_traffic_policy == "Local" && is_type_external(service);
    let mut ports = Vec::new();
    let mut n_local_ready = 0;
    for family in Family::ALL {
        let Some(&cluster_ip) = cluster_ips.iter().find(|a| family.has(**a)) else { continue };
        for spec_port in spec.ports.iter().flatten() {
            let Some(protocol) = Protocol::parse(&spec_port.protocol) else { continue };
            let mut port = Port {
                family,
                name: spec_port.name.clone(),
                protocol,
                port: spec_port.port,
                cluster_ip,
                external_ips: of_family(&external_ips, family),
                load_balancer_ips: of_family(&load_balancer_ips, family),
                source_ranges: ranges.iter().filter(|r| family.has(r.network())).copied().collect(),
                node_port: spec_port.node_port,
                affinity_secs: affinity_secs(service),
                internal_local: spec.internal_traffic_policy.as_deref() == Some("Local"),
                external_local,
                cluster: Vec::new(),
                local: Vec::new(),
                has_endpoints: false,
            };
            let candidates = candidates(&port, slices, node);
            n_local_ready = n_local_ready.max(candidates.iter().filter(|c| c.ready && c.local).count());
            categorize(&mut port, &candidates, node);
            ports.push(port);
        }
    }
    let is_balanced = spec.service_type == "LoadBalancer" && external_local;
    let health_check_node_port = if is_balanced { spec.health_check_node_port } else { 0 };
    Some(ServiceView { key: Key::of(&service.metadata), ports, health_check_node_port, n_local_ready })
}

fn is_proxied(service: &Service) -> bool {
    const OTHER_PROXY_LABEL: &str = "service.kubernetes.io/service-proxy-name";
    let spec = &service.spec;
    spec.service_type != "ExternalName"
        && !spec.cluster_ip.is_empty()
        && spec.cluster_ip != "None"
        && !service.metadata.labels.contains_key(OTHER_PROXY_LABEL)
}

/// External policies mean something only where there is external traffic.
fn is_type_external(service: &Service) -> bool {
    matches!(service.spec.service_type.as_str(), "NodePort" | "LoadBalancer")
        || service.spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty())
}

fn load_balancer_ips(service: &Service) -> Vec<IpAddr> {
    if service.spec.service_type != "LoadBalancer" {
        return Vec::new();
    }
    let ingress = service.status.load_balancer.ingress.iter().flatten();
    let ours = ingress.filter(|i| i.ip_mode.as_deref() != Some("Proxy"));
    ours.filter_map(|i| i.ip.parse().ok()).collect()
}

fn of_family(addresses: &[IpAddr], family: Family) -> Vec<IpAddr> {
    addresses.iter().copied().filter(|a| family.has(*a)).collect()
}

fn affinity_secs(service: &Service) -> Option<u32> {
    if service.spec.session_affinity != "ClientIP" {
        return None;
    }
    let config = service.spec.session_affinity_config.as_ref();
    let timeout = config.and_then(|c| c.client_ip.as_ref()).and_then(|c| c.timeout_seconds);
    Some(timeout.unwrap_or(AFFINITY_SECS_DEFAULT))
}

/// The endpoints that the slices name for a port. An endpoint that several slices name (it moves between slices) is taken
/// in its best state.
fn candidates(port: &Port, slices: &[&EndpointSlice], node: &NodeView) -> Vec<Candidate> {
    let address_type = if port.family == Family::V4 { "IPv4" } else { "IPv6" };
    let mut found: BTreeMap<Target, Candidate> = BTreeMap::new();
    for slice in slices.iter().filter(|s| s.address_type == address_type) {
        for slice_port in slice.ports.iter().flatten() {
            let same = slice_port.name.as_deref().unwrap_or_default() == port.name
                && Protocol::parse(slice_port.protocol.as_deref().unwrap_or_default()) == Some(port.protocol);
            let (true, Some(number)) = (same, slice_port.port) else { continue };
            for endpoint in slice.endpoints.iter().flatten() {
                let Some(candidate) = candidate(endpoint, number, node) else { continue };
                let rank = |c: &Candidate| (c.ready, c.serving, c.local);
                match found.get(&candidate.target) {
                    Some(old) if rank(old) >= rank(&candidate) => {}
                    _ => drop(found.insert(candidate.target, candidate)),
                }
            }
        }
    }
    found.into_values().collect()
}

/// All addresses of an endpoint are interchangeable; upstream uses the first.
fn candidate(endpoint: &SliceEndpoint, port: u16, node: &NodeView) -> Option<Candidate> {
    let address = endpoint.addresses.iter().flatten().next()?.parse().ok()?;
    let ready = endpoint.conditions.ready.unwrap_or(true);
    let names = |list: Option<&Vec<crate::types::Named>>| -> Vec<String> {
        list.into_iter().flatten().map(|n| n.name.clone()).collect()
    };
    let hints = endpoint.hints.as_ref();
    Some(Candidate {
        target: Target { address, port },
        ready,
        serving: endpoint.conditions.serving.unwrap_or(ready),
        terminating: endpoint.conditions.terminating.unwrap_or(false),
        local: endpoint.node_name.as_deref() == Some(node.name.as_str()),
        zones: names(hints.and_then(|h| h.for_zones.as_ref())),
        nodes: names(hints.and_then(|h| h.for_nodes.as_ref())),
    })
}

/// Decides who takes traffic under each policy.
fn categorize(port: &mut Port, candidates: &[Candidate], node: &NodeView) {
    let pick = |keep: &dyn Fn(&Candidate) -> bool| -> Vec<Target> {
        candidates.iter().filter(|c| keep(c)).map(|c| c.target).collect()
    };
    let is_fallback = |c: &Candidate| c.serving && c.terminating;
    if port.uses_cluster() {
        let topology = Topology::of(candidates, node);
        port.cluster = pick(&|c| c.ready && topology.allows(c));
        if port.cluster.is_empty() {
            port.cluster = pick(&is_fallback);
        }
    }
    if port.uses_local() {
        port.local = pick(&|c| c.ready && c.local);
        if port.local.is_empty() {
            port.local = pick(&|c| c.local && is_fallback(c));
        }
    }
    port.has_endpoints = candidates.iter().any(|c| c.ready || is_fallback(c));
}

/// Which hints are in force: only complete sets of hints are followed, so that half-updated slices overload nobody.
enum Topology<'a> {
    Off,
    Node(&'a str),
    Zone(&'a str),
}

impl<'a> Topology<'a> {
    fn of(candidates: &[Candidate], node: &'a NodeView) -> Self {
        let ready = || candidates.iter().filter(|c| c.ready);
        if ready().next().is_none() {
            return Self::Off;
        }
        let all = |hinted: &dyn Fn(&Candidate) -> bool| ready().all(hinted);
        if all(&|c| !c.nodes.is_empty()) && ready().any(|c| c.nodes.contains(&node.name)) {
            return Self::Node(&node.name);
        }
        match node.zone.as_deref() {
            Some(zone)
                if all(&|c| !c.zones.is_empty()) && ready().any(|c| c.zones.iter().any(|z| z == zone)) =>
            {
                Self::Zone(zone)
            }
            _ => Self::Off,
        }
    }

    fn allows(&self, candidate: &Candidate) -> bool {
        match self {
            Self::Off => true,
            Self::Node(name) => candidate.nodes.iter().any(|n| n == name),
            Self::Zone(zone) => candidate.zones.iter().any(|z| z == zone),
        }
    }
}

#[cfg(test)]
mod tests;
