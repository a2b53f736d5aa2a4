//! Cluster IPs: one IPAddress object each.

use std::net::IpAddr;

use apimachinery::{FieldError, Path, Status, Value, names};
use store::{Cond, Guard, Op};

use super::cidr::Cidr;
use super::families::family;
use super::{HEADLESS, Services, Writes, cluster_ips, needs_cluster_ip, refuse};
use crate::value;
use crate::values::{meta, string_list, strings, text};

pub(super) const GROUP: &str = "networking.k8s.io";
pub(super) const RESOURCE: &str = "ipaddresses";
const MANAGED_BY: &str = "ipallocator.k8s.io";

/// Why an address cannot be had.
#[derive(Debug, PartialEq, Eq)]
enum Unavailable {
    Taken,
    OutOfRange,
}

impl Unavailable {
    /// Upstream's text.
    fn text(&self) -> &'static str {
        match self {
            Self::Taken => "provided IP is already allocated",
            Self::OutOfRange => "the provided network does not match the current range",
        }
    }
}

impl Services {
    /// Gives a Service its addresses and takes back those that it no longer has.
    pub(super) fn allocate_ips(
        &self,
        service: &mut Value,
        old: Option<&Value>,
        writes: &mut Writes,
    ) -> Result<(), Status> {
        let before = old.map(cluster_ips).unwrap_or_default();
        let mut given = string_list(service.at(&["spec", "clusterIPs"]));
        if needs_cluster_ip(service) && given.first().is_none_or(|ip| ip != HEADLESS) {
            let families = string_list(service.at(&["spec", "ipFamilies"]));
            for (at, wanted) in families.iter().enumerate() {
                match given.get(at).filter(|ip| !ip.is_empty()) {
                    Some(ip) if before.contains(ip) => {}
                    Some(ip) => self.allocate_one(service, &given, ip, writes)?,
                    None => {
                        let ip = self.allocate_next(service, wanted, writes)?;
                        given.truncate(at);
                        given.push(ip);
                    }
                }
            }
            service.set_at(&["spec", "clusterIP"], given.first().map_or("", String::as_str));
            service.set_at(&["spec", "clusterIPs"], strings(&given));
        }
        if let Some(old) = old {
            let now = cluster_ips(service);
            for ip in before.iter().filter(|ip| !now.contains(ip)) {
                self.release_ip(old, ip, writes);
            }
        }
        Ok(())
    }

    fn allocate_one(
        &self,
        service: &Value,
        given: &[String],
        ip: &str,
        writes: &mut Writes,
    ) -> Result<(), Status> {
        let refused = |why: &str| {
            let detail = format!("failed to allocate IP {ip}: {why}");
            let field = Path::new("spec").child("clusterIPs");
            Err(refuse(service, FieldError::invalid(&field, strings(given), &detail)))
        };
        let Some(parsed) = names::parse_ip(ip) else {
            return Err(Status::internal(format!("failed to parse service IP {ip:?}")));
        };
        match self.check(parsed) {
            Ok(()) => {
                self.take(service, parsed, writes);
                Ok(())
            }
            Err(why) => refused(why.text()),
        }
    }

    /// Every range of the family: the configured one, then those of ServiceCIDR objects that are ready.
    fn ranges_of(&self, v4: bool) -> Vec<Cidr> {
        let mut ranges: Vec<Cidr> = self.ranges.cidrs.iter().copied().filter(|c| c.is_v4() == v4).collect();
        for object in self.objects.list(GROUP, "servicecidrs", "") {
            if object.at(&["metadata", "deletionTimestamp"]).is_some() {
                continue;
            }
            let more = string_list(object.at(&["spec", "cidrs"]));
            let more = more.iter().filter_map(|c| Cidr::parse(c).ok()).filter(|c| c.is_v4() == v4);
            for cidr in more {
                if !ranges.contains(&cidr) {
                    ranges.push(cidr);
                }
            }
        }
        ranges
    }

    fn check(&self, ip: IpAddr) -> Result<(), Unavailable> {
        if !self.ranges_of(ip.is_ipv4()).iter().any(|c| c.contains(ip)) {
            return Err(Unavailable::OutOfRange);
        }
        if self.is_taken(ip) { Err(Unavailable::Taken) } else { Ok(()) }
    }

    fn is_taken(&self, ip: IpAddr) -> bool {
        self.objects.raw(&key(&ip.to_string())).is_some()
    }

    /// A free address: from a random place of the dynamic band on, around it, and then from the static band.
    fn allocate_next(&self, service: &Value, wanted: &str, writes: &mut Writes) -> Result<String, Status> {
        for cidr in self.ranges_of(wanted == "IPv4") {
            let (size, band) = (cidr.size(), cidr.static_band());
            let dynamic = size - band;
            let start = self.rng.below(dynamic);
            let upper = (0..dynamic).map(|i| band + 1 + (start + i) % dynamic);
            let found = upper.chain(1..=band).map(|offset| cidr.nth(offset)).find(|ip| !self.is_taken(*ip));
            if let Some(ip) = found {
                self.take(service, ip, writes);
                return Ok(ip.to_string());
            }
        }
        Err(Status::internal("failed to allocate a serviceIP: range is full"))
    }

    fn take(&self, service: &Value, ip: IpAddr, writes: &mut Writes) {
        let name = ip.to_string();
        let key: store::Key = key(&name).into();
        let object = self.ip_address(service, &name);
        writes.guards.push(Guard { key: key.clone(), cond: Cond::Absent });
        writes.ops.push(Op::Put { key, value: object.to_json().into(), expiry: None });
    }

    /// The IPAddress of a Service, as it is stored.
    pub(super) fn ip_address(&self, service: &Value, ip: &str) -> Value {
        let now = apimachinery::time::format_time(self.clock.now());
        let v4 = ip.parse().is_ok_and(|ip: IpAddr| ip.is_ipv4());
        value!({
            "kind": "IPAddress",
            "apiVersion": "networking.k8s.io/v1",
            "metadata": {
                "name": (ip),
                "uid": (self.rng.uuid()),
                "creationTimestamp": (now.as_str()),
                "labels": {
                    "ipaddress.kubernetes.io/ip-family": (family(v4)),
                    "ipaddress.kubernetes.io/managed-by": (MANAGED_BY),
                },
                "managedFields": [{
                    "manager": "kube-apiserver",
                    "operation": "Update",
                    "apiVersion": "networking.k8s.io/v1",
                    "time": (now.as_str()),
                    "fieldsType": "FieldsV1",
                    "fieldsV1": {
                        "f:metadata": { "f:labels": {
                            ".": {},
                            "f:ipaddress.kubernetes.io/ip-family": {},
                            "f:ipaddress.kubernetes.io/managed-by": {},
                        } },
                        "f:spec": { "f:parentRef": { ".": {}, "f:name": {}, "f:namespace": {}, "f:resource": {} } },
                    },
                }],
            },
            "spec": { "parentRef": {
                "resource": "services",
                "namespace": (meta(service, "namespace")),
                "name": (meta(service, "name")),
            } },
        })
    }

    /// Takes an address back, if it is still the Service's.
    pub(super) fn release_ip(&self, service: &Value, ip: &str, writes: &mut Writes) {
        let Some(address) = self.objects.get(GROUP, RESOURCE, "", ip) else { return };
        let parent = |field| text(&address, &["spec", "parentRef", field]);
        if parent("name") != meta(service, "name") || parent("namespace") != meta(service, "namespace") {
            return;
        }
        let key: store::Key = key(ip).into();
        if let Ok(revision) = meta(&address, "resourceVersion").parse() {
            writes.guards.push(Guard { key: key.clone(), cond: Cond::ModRevision(revision) });
            writes.ops.push(Op::Delete { key });
        }
    }
}

fn key(ip: &str) -> String {
    format!("/registry/{RESOURCE}/{ip}")
}
