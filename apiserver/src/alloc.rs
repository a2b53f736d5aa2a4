//! What a Service gets from the cluster's ranges: cluster IPs (as IPAddress objects) and node ports (as a bitmap under
//! `/registry/ranges/servicenodeports`), allocated and released in the transaction that writes the Service.
//!
//! Nothing is held in memory: free is what the View does not have, and a guard on every key that was found free sends
//! the loser of a race back to choose again. So nothing leaks either, and [`repair`] has only old damage to mend.

pub mod cidr;
mod families;
mod ips;
mod ports;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use apimachinery::{FieldError, Status, Value};
use store::{Guard, Op};

use crate::seams::{Allocator, Objects};
use crate::values::{meta, string_list, text};
use cidr::Cidr;

/// Upstream's default of `--service-node-port-range`.
pub const NODE_PORTS: RangeInclusive<u16> = 30_000..=32_767;
/// What stands in the place of a cluster IP for headless Services.
pub(crate) const HEADLESS: &str = "None";

/// The ranges of a cluster.
#[derive(Clone, Debug)]
pub struct Ranges {
    /// Service ranges from the configuration, the primary family first, at most one of each family.
    pub cidrs: Vec<Cidr>,
    pub node_ports: RangeInclusive<u16>,
}

impl Ranges {
    /// Reads `--service-cluster-ip-range`.
    pub fn parse(cidrs: &[String], node_ports: RangeInclusive<u16>) -> Result<Self, String> {
        let cidrs: Vec<Cidr> = cidrs.iter().map(|c| Cidr::parse(c)).collect::<Result<_, _>>()?;
        if cidrs.is_empty() || cidrs.len() > 2 {
            return Err("one or two service ranges are needed".into());
        }
        if let [a, b] = cidrs.as_slice()
            && a.is_v4() == b.is_v4()
        {
            return Err("two service ranges must be of different families".into());
        }
        Ok(Self { cidrs, node_ports })
    }

    /// The address of the Service `kubernetes`: the first of the primary range.
    pub fn kubernetes_ip(&self) -> std::net::IpAddr {
        self.cidrs[0].nth(1)
    }
}

/// Allocates for Services.
#[derive(Debug)]
pub struct Services {
    objects: Arc<dyn Objects>,
    ranges: Ranges,
    rng: Arc<dyn env::Rng>,
    clock: Arc<dyn env::Clock>,
}

/// What goes into the Service's transaction.
#[derive(Debug, Default)]
struct Writes {
    guards: Vec<Guard>,
    ops: Vec<Op>,
}

impl Services {
    pub fn new(
        objects: Arc<dyn Objects>,
        ranges: Ranges,
        rng: Arc<dyn env::Rng>,
        clock: Arc<dyn env::Clock>,
    ) -> Self {
        Self { objects, ranges, rng, clock }
    }
}

/// All allocators.
pub fn all(services: Services) -> Vec<Arc<dyn Allocator>> {
    vec![Arc::new(services)]
}

impl Allocator for Services {
    fn resource(&self) -> (&'static str, &'static str) {
        ("", "services")
    }

    fn allocate(
        &self,
        service: &mut Value,
        old: Option<&Value>,
        dry_run: bool,
    ) -> Result<(Vec<Guard>, Vec<Op>), Status> {
        families::init(service, old, &self.ranges)?;
        let mut writes = Writes::default();
        self.allocate_ips(service, old, &mut writes)?;
        self.allocate_ports(service, old, dry_run, &mut writes)?;
        Ok((writes.guards, writes.ops))
    }

    fn release(&self, service: &Value) -> (Vec<Guard>, Vec<Op>) {
        let mut writes = Writes::default();
        for ip in cluster_ips(service) {
            self.release_ip(service, &ip, &mut writes);
        }
        let used = ports::used_by(service);
        if !used.is_empty() {
            let mut bitmap = ports::PortMap::read(&*self.objects, &self.ranges.node_ports);
            used.iter().for_each(|port| bitmap.clear(*port));
            bitmap.write(&mut writes);
        }
        (writes.guards, writes.ops)
    }
}

/// Whether a Service of this type has cluster IPs at all.
pub(crate) fn needs_cluster_ip(service: &Value) -> bool {
    matches!(text(service, &["spec", "type"]), "" | "ClusterIP" | "NodePort" | "LoadBalancer")
}

pub(crate) fn needs_node_port(service: &Value) -> bool {
    match text(service, &["spec", "type"]) {
        "NodePort" => true,
        "LoadBalancer" => service.bool_at(&["spec", "allocateLoadBalancerNodePorts"]).unwrap_or(true),
        _ => false,
    }
}

/// Whether the type can have node ports, whether or not the server makes them.
pub(crate) fn may_have_node_ports(service: &Value) -> bool {
    matches!(text(service, &["spec", "type"]), "NodePort" | "LoadBalancer")
}

pub(crate) fn needs_health_check_port(service: &Value) -> bool {
    text(service, &["spec", "type"]) == "LoadBalancer"
        && text(service, &["spec", "externalTrafficPolicy"]) == "Local"
}

/// The allocated addresses; none for headless and external Services.
fn cluster_ips(service: &Value) -> Vec<String> {
    if !needs_cluster_ip(service) {
        return Vec::new();
    }
    string_list(service.at(&["spec", "clusterIPs"])).into_iter().filter(|ip| ip != HEADLESS).collect()
}

fn refuse(service: &Value, error: FieldError) -> Status {
    Status::invalid("", "Service", meta(service, "name"), &[error])
}

/// Brings IPAddresses and the bitmap of node ports to what the Services say. Run it once at start, after bootstrap.
pub async fn repair(services: &Services) -> Result<(), Status> {
    let objects = &*services.objects;
    let all = objects.list("", "services", "");
    for service in &all {
        for ip in cluster_ips(service) {
            if objects.get(ips::GROUP, ips::RESOURCE, "", &ip).is_none() {
                let address = services.ip_address(service, &ip);
                match objects.create(ips::GROUP, ips::RESOURCE, "", address).await {
                    Err(status) if !status.is_already_exists() => return Err(status),
                    _ => {}
                }
            }
        }
    }
    let wanted: BTreeSet<u16> = all.iter().flat_map(|s| ports::used_by(s)).collect();
    ports::repair(objects, &services.ranges.node_ports, &wanted).await
}

#[cfg(test)]
mod tests;
