//! Defaults of network policies, ingress classes and endpoint slices.

use apimachinery::Value;

use super::{at, each, set};

pub(super) fn defaults(kind: &str, value: &mut Value) {
    match kind {
        "NetworkPolicy" => network_policy(at(value, "spec")),
        "IngressClass" => {
            if let Some(parameters) = value.at_mut(&["spec", "parameters"]).filter(|v| v.is_object()) {
                set(parameters, "scope", "Cluster");
            }
        }
        "EndpointSlice" => {
            for port in each(value, "ports") {
                set(port, "name", "");
                set(port, "protocol", "TCP");
            }
        }
        _ => {}
    }
}

fn network_policy(spec: &mut Value) {
    for key in ["ingress", "egress"] {
        for rule in each(spec, key) {
            for port in each(rule, "ports") {
                set(port, "protocol", "TCP");
            }
        }
    }
    if spec.array_at(&["policyTypes"]).is_empty() {
        let mut types = vec![Value::from("Ingress")];
        if !spec.array_at(&["egress"]).is_empty() {
            types.push("Egress".into());
        }
        spec.set_at(&["policyTypes"], types);
    }
}
