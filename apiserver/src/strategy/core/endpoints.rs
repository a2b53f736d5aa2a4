//! Endpoints.

use apimachinery::{FieldError, Path, Value, names};

use super::service::special_ip;
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{self, Errors, optional_name, port, problems};
use crate::values::text;

#[derive(Debug)]
pub struct Endpoints;

impl Strategy for Endpoints {
    fn resource(&self) -> (&'static str, &'static str) {
        ("", "endpoints")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        validate(object, &[])
    }

    fn validate_update(&self, _ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let lists = |subset: &'_ Value| -> Vec<String> {
            let all = ["addresses", "notReadyAddresses"].into_iter().flat_map(|l| subset.array_at(&[l]));
            all.map(|address| text(address, &["ip"]).to_owned()).collect()
        };
        let before: Vec<String> = old.array_at(&["subsets"]).iter().flat_map(lists).collect();
        validate(object, &before)
    }
}

fn validate(object: &Value, before: &[String]) -> Errors {
    let mut errors = Errors::new();
    for (at, subset) in object.array_at(&["subsets"]).iter().enumerate() {
        validate_subset(&mut errors, subset, &Path::new("subsets").index(at), before);
    }
    errors
}

fn validate_subset(errors: &mut Errors, subset: &Value, path: &Path, before: &[String]) {
    let lists = ["addresses", "notReadyAddresses"];
    if lists.iter().all(|l| subset.array_at(&[l]).is_empty()) {
        errors.push(FieldError::required(path, "must specify `addresses` or `notReadyAddresses`"));
    }
    for list in lists {
        for (at, address) in subset.array_at(&[list]).iter().enumerate() {
            let path = path.child(list).index(at);
            let ip = text(address, &["ip"]);
            check::ip(errors, &path.child("ip"), ip, before);
            optional_name(errors, address, &path, "hostname", names::dns1123_label);
            if let Some(node) = address.get("nodeName").and_then(Value::as_str) {
                problems(errors, &path.child("nodeName"), node, names::dns1123_subdomain(node));
            }
            special_ip(errors, ip, &path.child("ip"));
        }
    }
    let ports = subset.array_at(&["ports"]);
    for (at, value) in ports.iter().enumerate() {
        let path = path.child("ports").index(at);
        let name = text(value, &["name"]);
        if name.is_empty() && ports.len() > 1 {
            errors.push(FieldError::required(&path.child("name"), ""));
        } else if !name.is_empty() {
            problems(errors, &path.child("name"), name, names::dns1123_label(name));
        }
        port(errors, &path.child("port"), value.i64_at(&["port"]).unwrap_or(0));
        let protocol = text(value, &["protocol"]);
        if protocol.is_empty() {
            errors.push(FieldError::required(&path.child("protocol"), ""));
        } else {
            let supported = ["SCTP", "TCP", "UDP"];
            crate::strategy::check::one_of(errors, value, &path, "protocol", &supported);
        }
        optional_name(errors, value, &path, "appProtocol", names::qualified_name);
    }
}
