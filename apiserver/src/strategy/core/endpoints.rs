//! Endpoints.

use apimachinery::{FieldError, Path, Value, names};

use super::service::special_ip;
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, optional_name, port, problems};
use crate::values::text;

#[derive(Debug)]
pub struct Endpoints;

impl Strategy for Endpoints {
    fn resource(&self) -> (&'static str, &'static str) {
        ("", "endpoints")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        for (at, subset) in object.array_at(&["subsets"]).iter().enumerate() {
            validate_subset(&mut errors, subset, &Path::new("subsets").index(at));
        }
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        self.validate_create(ctx, object)
    }
}

fn validate_subset(errors: &mut Errors, subset: &Value, path: &Path) {
    let lists = ["addresses", "notReadyAddresses"];
    if lists.iter().all(|l| subset.array_at(&[l]).is_empty()) {
        errors.push(FieldError::required(path, "must specify `addresses` or `notReadyAddresses`"));
    }
    for list in lists {
        for (at, address) in subset.array_at(&[list]).iter().enumerate() {
            let path = path.child(list).index(at);
            let ip = text(address, &["ip"]);
            problems(errors, &path.child("ip"), ip, names::ip(ip));
            optional_name(errors, address, &path, "hostname", names::dns1123_label);
            optional_name(errors, address, &path, "nodeName", names::dns1123_subdomain);
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
