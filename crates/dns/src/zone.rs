//! The cluster's domain: what its names lead to. Pure functions of the cluster's state.
//!
//! `NAME.NAMESPACE.svc.DOMAIN` is a Service, a label before it an endpoint, `_PORT._PROTO` before it a port;
//! `1-2-3-4.NAMESPACE.pod.DOMAIN` is an address. A name that exists without records of the asked type gives no data, one
//! that does not exist NXDOMAIN, each with the SOA that tells for how long.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use futures::future::BoxFuture;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::types::{EndpointSlice, Service};

/// For how long answers hold, in seconds: CoreDNS' default. Short, as endpoints of headless Services come and go.
pub const TTL: u32 = 5;

/// The version of the specification that the zone follows.
const SCHEMA_VERSION: &str = "1.1.0";

/// The cluster's state as names need it.
pub trait Cluster: Send + Sync + fmt::Debug {
    fn is_synced(&self) -> bool;
    fn synced(&self) -> BoxFuture<'_, ()>;
    fn service(&self, namespace: &str, name: &str) -> Option<Arc<Service>>;
    /// Some Service is in it.
    fn has_namespace(&self, namespace: &str) -> bool;
    fn slices(&self, namespace: &str, service: &str) -> Vec<Arc<EndpointSlice>>;
    fn services_by_address(&self, address: IpAddr) -> Vec<Arc<Service>>;
    fn slices_by_address(&self, address: IpAddr) -> Vec<Arc<EndpointSlice>>;
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The name exists; without answers, it has none of the asked type.
    Found(Found),
    NoSuchName,
    /// An alias for a name outside: the record, and the name to ask for.
    Alias {
        record: Box<Record>,
        target: Name,
    },
    /// Not of the cluster: for other resolvers.
    Elsewhere,
}

/// Records of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    pub answers: Vec<Record>,
    pub additionals: Vec<Record>,
}

/// The zone of one domain.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Lower case, without a dot at the end, as labels from the left.
    domain: Vec<String>,
    name: Name,
    service_ips: Vec<IpAddr>,
}

/// What a name below `svc` means.
enum Wanted<'a> {
    Service,
    Endpoint(&'a str),
    Port { port: &'a str, protocol: &'a str },
}

impl Zone {
    /// `None` when `domain` is no domain name.
    pub fn new(domain: &str, service_ips: Vec<IpAddr>) -> Option<Self> {
        let domain = domain.trim_end_matches('.').to_lowercase();
        let name = Name::from_ascii(format!("{domain}.")).ok()?;
        if domain.is_empty() {
            return None;
        }
        Some(Self { domain: domain.split('.').map(str::to_owned).collect(), name, service_ips })
    }

    /// The record that negative answers carry.
    pub fn soa(&self, serial: u32) -> Record {
        let below = |label: &str| self.below(&[label]).unwrap_or_else(|| self.name.clone());
        let soa = SOA::new(
            self.below(&["ns", "dns"]).unwrap_or_else(|| self.name.clone()),
            below("hostmaster"),
            serial,
            7200,
            1800,
            86_400,
            TTL,
        );
        Record::from_rdata(self.name.clone(), TTL, RData::SOA(soa))
    }

    /// Answers `name`. `asked` is the name as the client wrote it, which answers repeat.
    pub fn answer(&self, cluster: &dyn Cluster, asked: &Name, ty: RecordType) -> Answer {
        let text = asked.to_ascii().trim_end_matches('.').to_lowercase();
        let labels: Vec<&str> = text.split('.').collect();
        if let Some(address) = reverse_address(&labels) {
            return self.reverse(cluster, asked, address, ty);
        }
        let n_above = labels.len().saturating_sub(self.domain.len());
        if labels.len() < self.domain.len() || labels[n_above..] != self.domain[..] {
            return Answer::Elsewhere;
        }
        let query = Query { zone: self, cluster, asked, ty };
        let labels = &labels[..n_above];
        match labels {
            [] => query.apex(),
            ["dns-version"] => query.text(SCHEMA_VERSION),
            ["ns", "dns"] => query.addresses(self.service_ips.iter().copied()),
            ["dns" | "svc" | "pod"] => query.nothing(),
            [rest @ .., "svc"] => query.service(rest),
            [address, _, "pod"] => query.pod(address),
            [_, "pod"] => query.nothing(),
            _ => Answer::NoSuchName,
        }
    }

    fn below(&self, labels: &[&str]) -> Option<Name> {
        let mut text = String::new();
        for label in labels.iter().copied().chain(self.domain.iter().map(String::as_str)) {
            text.push_str(label);
            text.push('.');
        }
        Name::from_ascii(text).ok()
    }

    fn service_name(&self, service: &Service) -> Option<Name> {
        self.below(&[&service.metadata.name, &service.metadata.namespace, "svc"])
    }

    /// Names of an address: of the Services that have it as cluster IP, and of the endpoints that have a name of their
    /// own (a hostname, or a headless Service).
    fn reverse(&self, cluster: &dyn Cluster, asked: &Name, address: IpAddr, ty: RecordType) -> Answer {
        let mut names = BTreeSet::new();
        for service in cluster.services_by_address(address) {
            names.extend(self.service_name(&service));
        }
        for slice in cluster.slices_by_address(address) {
            let Some(service_name) = slice.service_name() else { continue };
            let namespace = &slice.metadata.namespace;
            let headless = || cluster.service(namespace, service_name).is_some_and(|s| s.is_headless());
            for endpoint in slice.ready_endpoints().filter(|e| e.ips().any(|ip| ip == address)) {
                if endpoint.hostname.as_deref().is_some_and(|h| !h.is_empty()) || headless() {
                    names.extend(self.below(&[&endpoint.label(address), service_name, namespace, "svc"]));
                }
            }
        }
        if names.is_empty() {
            return Answer::Elsewhere;
        }
        let records = names.into_iter().map(|name| RData::PTR(PTR(name)));
        Answer::Found(Found::of(asked, ty, records))
    }
}

impl Found {
    /// The records of the asked type.
    fn of(asked: &Name, ty: RecordType, data: impl IntoIterator<Item = RData>) -> Self {
        let wanted = |d: &RData| ty == RecordType::ANY || d.record_type() == ty;
        let answers =
            data.into_iter().filter(wanted).map(|d| Record::from_rdata(asked.clone(), TTL, d)).collect();
        Self { answers, additionals: Vec::new() }
    }
}

/// A question inside the zone.
struct Query<'a> {
    zone: &'a Zone,
    cluster: &'a dyn Cluster,
    asked: &'a Name,
    ty: RecordType,
}

impl Query<'_> {
    fn found(&self, data: impl IntoIterator<Item = RData>) -> Answer {
        Answer::Found(Found::of(self.asked, self.ty, data))
    }

    fn nothing(&self) -> Answer {
        Answer::Found(Found::default())
    }

    fn text(&self, text: &str) -> Answer {
        self.found([RData::TXT(TXT::new(vec![text.to_owned()]))])
    }

    fn addresses(&self, addresses: impl IntoIterator<Item = IpAddr>) -> Answer {
        self.found(addresses.into_iter().map(address_data))
    }

    fn apex(&self) -> Answer {
        let Some(server) = self.zone.below(&["ns", "dns"]) else { return self.nothing() };
        // The serial is put in by whoever knows the time.
        let soa = self.zone.soa(0).data;
        let mut found = Found::of(self.asked, self.ty, [RData::NS(NS(server.clone())), soa]);
        if self.ty == RecordType::NS {
            let glue = self.zone.service_ips.iter().copied().map(address_data);
            found.additionals = glue.map(|d| Record::from_rdata(server.clone(), TTL, d)).collect();
        }
        Answer::Found(found)
    }

    /// An address that its name spells out (CoreDNS' `pods insecure`): no pod is asked for.
    fn pod(&self, label: &str) -> Answer {
        match undashed(label) {
            Some(address) => self.addresses([address]),
            None => Answer::NoSuchName,
        }
    }

    /// `labels` are what stands before `svc`.
    fn service(&self, labels: &[&str]) -> Answer {
        let (wanted, name, namespace) = match labels {
            [namespace] if self.cluster.has_namespace(namespace) => return self.nothing(),
            [name, namespace] => (Wanted::Service, name, namespace),
            [endpoint, name, namespace] if !endpoint.starts_with('_') => {
                (Wanted::Endpoint(endpoint), name, namespace)
            }
            // `_tcp.NAME.NAMESPACE` lies on the way to ports.
            [protocol, name, namespace] => {
                let protocol = protocol.trim_start_matches('_');
                let has = self.cluster.service(namespace, name).is_some_and(|s| {
                    s.spec.ports.iter().flatten().any(|p| p.protocol.eq_ignore_ascii_case(protocol))
                });
                return if has { self.nothing() } else { Answer::NoSuchName };
            }
            [port, protocol, name, namespace] if port.starts_with('_') && protocol.starts_with('_') => {
                (Wanted::Port { port: &port[1..], protocol: &protocol[1..] }, name, namespace)
            }
            _ => return Answer::NoSuchName,
        };
        let Some(service) = self.cluster.service(namespace, name) else { return Answer::NoSuchName };
        if service.is_external_name() {
            return match wanted {
                Wanted::Service => self.alias(&service),
                _ => Answer::NoSuchName,
            };
        }
        match wanted {
            Wanted::Service if service.is_headless() => self.headless(&service),
            Wanted::Service => self.cluster_ip(&service),
            Wanted::Endpoint(label) => self.endpoint(&service, label),
            Wanted::Port { port, protocol } => self.port(&service, Some((port, protocol))),
        }
    }

    fn alias(&self, service: &Service) -> Answer {
        let target = service.spec.external_name.trim_end_matches('.');
        let Ok(target) = Name::from_ascii(format!("{target}.")) else { return self.nothing() };
        let record = Record::from_rdata(self.asked.clone(), TTL, RData::CNAME(CNAME(target.clone())));
        match self.ty {
            RecordType::CNAME => Answer::Found(Found { answers: vec![record], additionals: Vec::new() }),
            _ => Answer::Alias { record: Box::new(record), target },
        }
    }

    fn cluster_ip(&self, service: &Service) -> Answer {
        if self.ty == RecordType::SRV {
            return self.port(service, None);
        }
        self.addresses(service.cluster_ips())
    }

    /// A headless Service without a ready endpoint does not exist, as with CoreDNS.
    fn headless(&self, service: &Service) -> Answer {
        if self.ty == RecordType::SRV {
            return self.port(service, None);
        }
        let addresses: BTreeSet<IpAddr> = self.endpoints(service).into_iter().map(|e| e.address).collect();
        if addresses.is_empty() {
            return Answer::NoSuchName;
        }
        self.addresses(addresses)
    }

    fn endpoint(&self, service: &Service, label: &str) -> Answer {
        let endpoints = self.endpoints(service);
        let addresses: BTreeSet<IpAddr> =
            endpoints.iter().filter(|e| e.label == label).map(|e| e.address).collect();
        if addresses.is_empty() {
            return Answer::NoSuchName;
        }
        self.addresses(addresses)
    }

    fn endpoints(&self, service: &Service) -> Vec<NamedEndpoint> {
        let meta = &service.metadata;
        let mut found = Vec::new();
        for slice in self.cluster.slices(&meta.namespace, &meta.name) {
            let ports: Vec<(String, String, u16)> = slice
                .ports
                .iter()
                .flatten()
                .filter_map(|p| {
                    let protocol = p.protocol.as_deref().unwrap_or("TCP");
                    Some((p.name.clone().unwrap_or_default(), protocol.to_lowercase(), p.port?))
                })
                .collect();
            for endpoint in slice.ready_endpoints() {
                for address in endpoint.ips() {
                    found.push(NamedEndpoint {
                        label: endpoint.label(address),
                        address,
                        ports: ports.clone(),
                    });
                }
            }
        }
        found
    }

    /// SRV records of one port, or of all named ones.
    fn port(&self, service: &Service, port: Option<(&str, &str)>) -> Answer {
        let matches = |name: &str, protocol: &str| match port {
            Some((n, p)) => n.eq_ignore_ascii_case(name) && p.eq_ignore_ascii_case(protocol),
            None => true,
        };
        let Some(own_name) = self.zone.service_name(service) else { return self.nothing() };
        let meta = &service.metadata;
        let mut targets: Vec<(Name, u16, IpAddr)> = Vec::new();
        if service.is_headless() {
            for endpoint in self.endpoints(service) {
                let below = [endpoint.label.as_str(), &meta.name, &meta.namespace, "svc"];
                let Some(name) = self.zone.below(&below) else { continue };
                let ports = endpoint.ports.iter().filter(|(n, p, _)| matches(n, p));
                targets.extend(ports.map(|(_, _, number)| (name.clone(), *number, endpoint.address)));
            }
        } else {
            for spec in service.spec.ports.iter().flatten().filter(|p| matches(&p.name, &p.protocol)) {
                targets.extend(service.cluster_ips().map(|ip| (own_name.clone(), spec.port, ip)));
            }
        }
        if targets.is_empty() {
            return Answer::NoSuchName;
        }
        let distinct: BTreeSet<(Name, u16)> = targets.iter().map(|(n, p, _)| (n.clone(), *p)).collect();
        // As CoreDNS: the weights of all records add up to about a hundred.
        let weight = u16::try_from(100 / distinct.len()).unwrap_or(0).max(1);
        let records = distinct.into_iter().map(|(name, port)| RData::SRV(SRV::new(0, weight, port, name)));
        let mut found = Found::of(self.asked, self.ty, records);
        if !found.answers.is_empty() {
            let unique: BTreeSet<(Name, IpAddr)> = targets.into_iter().map(|(n, _, ip)| (n, ip)).collect();
            found.additionals =
                unique.into_iter().map(|(n, ip)| Record::from_rdata(n, TTL, address_data(ip))).collect();
        }
        Answer::Found(found)
    }
}

struct NamedEndpoint {
    label: String,
    address: IpAddr,
    /// Name, protocol in lower case, number.
    ports: Vec<(String, String, u16)>,
}

fn address_data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(a) => RData::A(A(a)),
        IpAddr::V6(a) => RData::AAAA(AAAA(a)),
    }
}

/// The address that a reverse name asks for.
fn reverse_address(labels: &[&str]) -> Option<IpAddr> {
    match labels {
        [rest @ .., "in-addr", "arpa"] if rest.len() == 4 => {
            let mut octets = [0u8; 4];
            for (octet, label) in octets.iter_mut().rev().zip(rest) {
                *octet = label.parse().ok()?;
            }
            Some(Ipv4Addr::from(octets).into())
        }
        [rest @ .., "ip6", "arpa"] if rest.len() == 32 => {
            let mut bits = 0u128;
            for label in rest.iter().rev() {
                let digit = (label.len() == 1).then(|| u128::from_str_radix(label, 16).ok()).flatten()?;
                bits = (bits << 4) | digit;
            }
            Some(Ipv6Addr::from_bits(bits).into())
        }
        _ => None,
    }
}

/// The address that a pod's label spells out: `10-244-0-5`, `fd00--5`.
fn undashed(label: &str) -> Option<IpAddr> {
    let v4 = label.replace('-', ".").parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    v4.or_else(|| label.replace('-', ":").parse::<Ipv6Addr>().ok().map(IpAddr::V6))
}

#[cfg(test)]
pub(crate) mod tests;
