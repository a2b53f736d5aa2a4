//! Defaults of the legacy group's kinds but pods.

use apimachinery::{Object, Value};

use super::{at, each, fill_from, has, pod, round_quantities, set, set_text, storage, text};

pub(super) fn defaults(kind: &str, value: &mut Value) {
    match kind {
        "Pod" => {
            pod::pod(value);
            if has(value, "status") {
                single_and_list(at(value, "status"), "podIP", "podIPs", Some("ip"));
            }
        }
        "PodTemplate" => pod::template(at(value, "template")),
        "ReplicationController" => replication_controller(value),
        "Service" => service(value),
        "Endpoints" => {
            for subset in each(value, "subsets") {
                for port in each(subset, "ports") {
                    set_text(port, "protocol", "TCP");
                }
            }
        }
        "Secret" => {
            set_text(value, "type", "Opaque");
            string_data(value);
        }
        "Namespace" => namespace(value),
        "Node" => {
            node_status(at(value, "status"));
            single_and_list(at(value, "spec"), "podCIDR", "podCIDRs", None);
        }
        "PersistentVolume" => {
            set_text(at(value, "status"), "phase", "Pending");
            storage::volume_spec(at(value, "spec"));
        }
        "PersistentVolumeClaim" => claim(value),
        "LimitRange" => each(at(value, "spec"), "limits").for_each(limit),
        "ResourceQuota" => {
            round_quantities(at(value, "spec"), "hard");
            round_quantities(at(value, "status"), "hard");
            round_quantities(at(value, "status"), "used");
        }
        _ => {}
    }
}

/// `stringData` is for writing only: it is laid over `data`.
fn string_data(value: &mut Value) {
    let Some(texts) = value.remove_at(&["stringData"]).and_then(Value::into_object) else { return };
    let data = at(value, "data");
    for (key, text) in texts.iter() {
        data.set_at(&[key], crate::scalar::encode_base64(text.as_str().unwrap_or_default().as_bytes()));
    }
}

/// Some lists began as a single value, which stays in its own field. It is the first of the list, and who changes only one
/// of the two means the single value. Items of some lists have it in a member.
fn single_and_list(value: &mut Value, single: &str, list: &str, member: Option<&str>) {
    let of_item = |item: &Value| match member {
        Some(member) => text(item, member).to_owned(),
        None => item.as_str().unwrap_or_default().to_owned(),
    };
    let first = value.array_at(&[list]).first().map(of_item);
    let own = text(value, single).to_owned();
    match first {
        Some(first) if own.is_empty() => value.set_at(&[single], first),
        Some(first) if first == own => {}
        None if own.is_empty() => {}
        _ => {
            let item = match member {
                Some(member) => [(member, Value::from(own))].into_iter().collect(),
                None => Value::from(own),
            };
            value.set_at(&[list], vec![item]);
        }
    }
}

fn replication_controller(value: &mut Value) {
    let labels = value.at(&["spec", "template", "metadata", "labels"]).cloned();
    if let Some(labels) = labels.filter(|l| l.as_object().is_some_and(|l| !l.is_empty())) {
        set(at(value, "spec"), "selector", labels.clone());
        set(at(value, "metadata"), "labels", labels);
    }
    let spec = at(value, "spec");
    set(spec, "replicas", 1);
    if has(spec, "template") {
        pod::template(at(spec, "template"));
    }
}

fn service(value: &mut Value) {
    let spec = at(value, "spec");
    set_text(spec, "sessionAffinity", "None");
    match text(spec, "sessionAffinity") {
        "None" => {
            spec.remove_at(&["sessionAffinityConfig"]);
        }
        "ClientIP" => {
            // Three hours.
            set(at(at(spec, "sessionAffinityConfig"), "clientIP"), "timeoutSeconds", 10_800);
        }
        _ => {}
    }
    set_text(spec, "type", "ClusterIP");
    for port in each(spec, "ports") {
        set_text(port, "protocol", "TCP");
        let unset = port.get("targetPort").is_none_or(|target| {
            target.is_null() || target.as_i64() == Some(0) || target.as_str() == Some("")
        });
        if unset && let Some(number) = port.get("port").cloned() {
            port.set_at(&["targetPort"], number);
        }
    }
    let external = spec.get("externalIPs").and_then(Value::as_array).is_some_and(|ips| !ips.is_empty());
    let kind = text(spec, "type").to_owned();
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") || kind == "ClusterIP" && external {
        set_text(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
        set(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", true);
        for ingress in each(at(at(value, "status"), "loadBalancer"), "ingress") {
            if !text(ingress, "ip").is_empty() {
                set(ingress, "ipMode", "VIP");
            }
        }
    }
}

/// Selectors of namespaces can name one: each carries its name as a label.
fn namespace(value: &mut Value) {
    let name = value.str_at(&["metadata", "name"]).unwrap_or_default().to_owned();
    if !name.is_empty() {
        set_text(at(at(value, "metadata"), "labels"), "kubernetes.io/metadata.name", &name);
    }
    set_text(at(value, "status"), "phase", "Active");
}

fn node_status(status: &mut Value) {
    round_quantities(status, "capacity");
    round_quantities(status, "allocatable");
    if let Some(capacity) = status.get("capacity").and_then(Value::as_object).cloned() {
        let allocatable = at(status, "allocatable").as_object_mut().expect("at makes an object");
        if allocatable.is_empty() {
            fill_from(allocatable, &capacity);
        }
    }
}

pub(super) fn claim(value: &mut Value) {
    set_text(at(value, "status"), "phase", "Pending");
    claim_spec(at(value, "spec"));
    let status = at(value, "status");
    round_quantities(status, "capacity");
    round_quantities(status, "allocatedResources");
}

pub(super) fn claim_spec(spec: &mut Value) {
    set(spec, "volumeMode", "Filesystem");
    let resources = at(spec, "resources");
    round_quantities(resources, "limits");
    round_quantities(resources, "requests");
}

fn limit(limit: &mut Value) {
    for key in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        round_quantities(limit, key);
    }
    if text(limit, "type") != "Container" {
        return;
    }
    let list =
        |limit: &Value, key: &str| limit.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
    let (max, min) = (list(limit, "max"), list(limit, "min"));
    let mut default = list(limit, "default");
    fill_from(&mut default, &max);
    let mut request = list(limit, "defaultRequest");
    fill_from(&mut request, &default);
    fill_from(&mut request, &min);
    for (key, list) in [("default", default), ("defaultRequest", request)] {
        if !Object::is_empty(&list) {
            limit.set_at(&[key], list);
        }
    }
}
