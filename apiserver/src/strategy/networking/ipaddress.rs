//! IPAddress: an address as a name, in canonical form, and the object that holds it.

use apimachinery::{FieldError, Path, Value, meta, names};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, IMMUTABLE, optional_name, problems, required_name, same};
use crate::strategy::internal_form;

#[derive(Debug)]
pub struct IpAddress;

impl Strategy for IpAddress {
    fn resource(&self) -> (&'static str, &'static str) {
        ("networking.k8s.io", "ipaddresses")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let name = meta::name(object);
        problems(&mut errors, &Path::new("metadata").child("name"), name, strict_ip(name));
        let path = Path::new("spec").child("parentRef");
        let Some(parent) = object.at(&["spec", "parentRef"]) else {
            errors.push(FieldError::required(&path, ""));
            return errors;
        };
        optional_name(&mut errors, parent, &path, "group", names::dns1123_subdomain);
        required_name(&mut errors, parent, &path, "resource", names::path_segment_name);
        required_name(&mut errors, parent, &path, "name", names::path_segment_name);
        optional_name(&mut errors, parent, &path, "namespace", names::path_segment_name);
        errors
    }

    fn validate_update(&self, _ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let at = ["spec", "parentRef"];
        if same(object.at(&at), old.at(&at)) {
            return Vec::new();
        }
        let shown = internal_form::of_type("io.k8s.api.networking.v1.ParentReference", object.at(&at));
        vec![FieldError::invalid(&Path::new("spec").child("parentRef"), shown, IMMUTABLE)]
    }
}

/// An address in the one form that names it.
fn strict_ip(text: &str) -> names::Problems {
    let mut found = names::ip(text);
    if let Some(ip) = names::parse_ip(text) {
        if text.contains(':') && ip.is_ipv4() {
            found.push("must not be an IPv4-mapped IPv6 address".into());
        } else if ip.to_string() != text {
            found.push(format!("must be in canonical form (\"{ip}\")"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::strategy::testing::{check_invalid, check_invalid_update};

    #[test]
    fn names_are_canonical_addresses() {
        check_invalid(
            &IpAddress,
            "{metadata: {name: 10.0.0.01}, spec: {parentRef: {name: a}}}",
            expect![[r#"
                metadata.name: Invalid value: "10.0.0.01": must be in canonical form ("10.0.0.1")
                spec.parentRef.resource: Required value
            "#]],
        );
        check_invalid_update(
            &IpAddress,
            "spec: {parentRef: {resource: services, name: a}}",
            "spec: {parentRef: {resource: services, name: b}}",
            expect![[r#"
                spec.parentRef: Invalid value: {"Group":"","Resource":"services","Namespace":"","Name":"b"}: field is immutable
            "#]],
        );
    }
}
