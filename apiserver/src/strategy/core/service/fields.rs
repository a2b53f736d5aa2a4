//! Fields of a Service that belong together or to a type: joined, kept and dropped as upstream does before it validates.

use std::collections::{BTreeMap, BTreeSet};

use apimachinery::Value;

use crate::alloc::{may_have_node_ports, needs_cluster_ip, needs_health_check_port};
use crate::strategy::check::same;
use crate::values::{string_list, strings, text};

/// `clusterIP` and `clusterIPs` say the same: a client that knows only one of them changes both.
pub(super) fn join_cluster_ips(service: &mut Value, old: Option<&Value>) {
    let ip = text(service, &["spec", "clusterIP"]).to_owned();
    let ips = string_list(service.at(&["spec", "clusterIPs"]));
    if ips.is_empty() && !ip.is_empty() {
        service.set_at(&["spec", "clusterIPs"], strings([&ip]));
        return;
    }
    let Some(old) = old else { return };
    let old_ip = text(old, &["spec", "clusterIP"]);
    let old_ips = string_list(old.at(&["spec", "clusterIPs"]));
    if ip.is_empty() && !old_ip.is_empty() && ips == old_ips {
        // Cleared by a client that knows only the first field: taken up again by who keeps what was allocated.
        if let Some(spec) = service.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove("clusterIPs");
        }
    } else if !ip.is_empty() && ip != old_ip && ips == old_ips {
        let mut joined = ips;
        if let Some(first) = joined.first_mut() {
            *first = ip;
        }
        service.set_at(&["spec", "clusterIPs"], strings(&joined));
    }
}

/// What an update leaves out and the server once allocated stays.
pub(super) fn keep_allocated(service: &mut Value, old: &Value) {
    if needs_cluster_ip(service) && needs_cluster_ip(old) {
        if text(service, &["spec", "clusterIP"]).is_empty() {
            keep(service, old, "clusterIP");
        }
        let same_ip = text(service, &["spec", "clusterIP"]) == text(old, &["spec", "clusterIP"]);
        if service.array_at(&["spec", "clusterIPs"]).is_empty() && same_ip {
            keep(service, old, "clusterIPs");
        }
        for field in ["ipFamilies", "ipFamilyPolicy"] {
            if same(service.at(&["spec", field]), None) {
                keep(service, old, field);
            }
        }
    }
    if may_have_node_ports(service) && may_have_node_ports(old) {
        keep_node_ports(service, old);
    }
    if needs_health_check_port(service)
        && needs_health_check_port(old)
        && service.i64_at(&["spec", "healthCheckNodePort"]).unwrap_or(0) == 0
    {
        keep(service, old, "healthCheckNodePort");
    }
}

fn keep(service: &mut Value, old: &Value, field: &str) {
    if let Some(value) = old.at(&["spec", field]) {
        service.set_at(&["spec", field], value.clone());
    }
}

/// Ports keep their node ports by name, unless another port asks for the same.
fn keep_node_ports(service: &mut Value, old: &Value) {
    let used = |service: &Value| -> BTreeSet<i64> {
        let ports = service.array_at(&["spec", "ports"]).iter();
        ports.filter_map(|p| p.i64_at(&["nodePort"])).filter(|p| *p != 0).collect()
    };
    let mut taken: BTreeSet<i64> = used(old).intersection(&used(service)).copied().collect();
    let by_name: BTreeMap<String, i64> = old
        .array_at(&["spec", "ports"])
        .iter()
        .map(|p| (text(p, &["name"]).to_owned(), p.i64_at(&["nodePort"]).unwrap_or(0)))
        .collect();
    let ports = service.at_mut(&["spec", "ports"]).and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten() {
        if port.i64_at(&["nodePort"]).unwrap_or(0) != 0 {
            continue;
        }
        let before = by_name.get(text(port, &["name"])).copied().unwrap_or(0);
        if before != 0 && taken.insert(before) {
            port.set_at(&["nodePort"], before);
        }
    }
}

/// What the new type does not have goes, if the client did not touch it.
pub(super) fn drop_of_other_type(service: &mut Value, old: &Value) {
    let kind = text(service, &["spec", "type"]).to_owned();
    let unchanged =
        |service: &Value, field: &str| same(service.at(&["spec", field]), old.at(&["spec", field]));
    if needs_cluster_ip(old) && !needs_cluster_ip(service) {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if unchanged(service, field) {
                service.remove_at(&["spec", field]);
            }
        }
    }
    if kind == "ExternalName"
        && text(old, &["spec", "type"]) != kind
        && unchanged(service, "internalTrafficPolicy")
    {
        service.remove_at(&["spec", "internalTrafficPolicy"]);
    }
    if may_have_node_ports(old) && !may_have_node_ports(service) && same_node_ports(service, old) {
        let ports = service.at_mut(&["spec", "ports"]).and_then(Value::as_array_mut);
        for port in ports.into_iter().flatten() {
            port.remove_at(&["nodePort"]);
        }
    }
    if needs_health_check_port(old)
        && !needs_health_check_port(service)
        && unchanged(service, "healthCheckNodePort")
    {
        service.remove_at(&["spec", "healthCheckNodePort"]);
    }
    if text(old, &["spec", "type"]) == "LoadBalancer" && kind != "LoadBalancer" {
        for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            if unchanged(service, field) {
                service.remove_at(&["spec", field]);
            }
        }
    }
    let external = |service: &Value| {
        may_have_node_ports(service) || !service.array_at(&["spec", "externalIPs"]).is_empty()
    };
    if external(old) && !external(service) && unchanged(service, "externalTrafficPolicy") {
        service.remove_at(&["spec", "externalTrafficPolicy"]);
    }
}

fn same_node_ports(service: &Value, old: &Value) -> bool {
    let all = |service: &Value| -> Vec<i64> {
        service.array_at(&["spec", "ports"]).iter().map(|p| p.i64_at(&["nodePort"]).unwrap_or(0)).collect()
    };
    all(service) == all(old) || all(service).iter().all(|p| all(old).contains(p))
}

/// A configuration of session affinity without affinity says nothing.
pub(super) fn drop_unused(service: &mut Value) {
    if text(service, &["spec", "sessionAffinity"]) != "ClientIP" {
        service.remove_at(&["spec", "sessionAffinityConfig"]);
    }
}
