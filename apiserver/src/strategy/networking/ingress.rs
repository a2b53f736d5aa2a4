//! Ingress: rules by host and path, each with a backend that is a service's port or another object.

use apimachinery::{FieldError, Path, Value, names};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, problems};
use crate::values::{annotation, text};

#[derive(Debug)]
pub struct Ingress;

/// The annotation that named the class before there was a field.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const PATH_TYPES: [&str; 3] = ["Exact", "ImplementationSpecific", "Prefix"];
/// What a path that is matched by its elements must not hold, and must not end with.
const SEQUENCES: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
const SUFFIXES: [&str; 2] = ["/..", "/."];

impl Strategy for Ingress {
    fn resource(&self) -> (&'static str, &'static str) {
        ("networking.k8s.io", "ingresses")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = validate_spec(object);
        if let Some(old) = annotation(object, CLASS_ANNOTATION)
            && let Some(class) = object.str_at(&["spec", "ingressClassName"])
            && old != class
        {
            let path = Path::new("annotations").child(CLASS_ANNOTATION);
            let why = "must match `ingressClassName` when both are specified";
            errors.push(FieldError::invalid(&path, old, why));
        }
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        match ctx.subresource {
            "status" => validate_status(object, old),
            _ => validate_spec(object),
        }
    }

    fn warnings(&self, ctx: &StrategyContext<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        if ctx.subresource.is_empty() && old.is_none() && annotation(object, CLASS_ANNOTATION).is_some() {
            return vec![format!(
                "annotation \"{CLASS_ANNOTATION}\" is deprecated, please use 'spec.ingressClassName' instead"
            )];
        }
        Vec::new()
    }
}

fn validate_spec(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("spec");
    let spec = object.get("spec").unwrap_or(&Value::NULL);
    let backend = spec.get("defaultBackend");
    let rules = spec.array_at(&["rules"]);
    if rules.is_empty() && backend.is_none() {
        let shown = spec.get("rules").cloned().unwrap_or_default();
        let why = "either `defaultBackend` or `rules` must be specified";
        errors.push(FieldError::invalid(&path, shown, why));
    }
    if let Some(found) = backend {
        validate_backend(&mut errors, found, &path.child("defaultBackend"));
    }
    for (at, rule) in rules.iter().enumerate() {
        validate_rule(&mut errors, rule, &path.child("rules").index(at));
    }
    for (at, tls) in spec.array_at(&["tls"]).iter().enumerate() {
        let path = path.child("tls").index(at);
        for (at, host) in tls.array_at(&["hosts"]).iter().enumerate() {
            let host = host.as_str().unwrap_or_default();
            host_name(&mut errors, host, &path.child("hosts").index(at));
        }
        let secret = text(tls, &["secretName"]);
        if !secret.is_empty() {
            problems(&mut errors, &path.child("secretName"), secret, names::dns1123_subdomain(secret));
        }
    }
    if let Some(class) = spec.str_at(&["ingressClassName"]) {
        problems(&mut errors, &path.child("ingressClassName"), class, names::dns1123_subdomain(class));
    }
    errors
}

fn host_name(errors: &mut Errors, host: &str, path: &Path) {
    let found = if host.contains('*') {
        names::wildcard_dns1123_subdomain(host)
    } else {
        names::dns1123_subdomain(host)
    };
    problems(errors, path, host, found);
}

fn validate_rule(errors: &mut Errors, rule: &Value, path: &Path) {
    let host = text(rule, &["host"]);
    if !host.is_empty() {
        let path = path.child("host");
        if names::parse_ip(host).is_some() {
            errors.push(FieldError::invalid(&path, host, "must be a DNS name, not an IP address"));
        }
        host_name(errors, host, &path);
    }
    let Some(http) = rule.get("http") else { return };
    let path = path.child("http").child("paths");
    let paths = http.array_at(&["paths"]);
    if paths.is_empty() {
        errors.push(FieldError::required(&path, ""));
    }
    for (at, found) in paths.iter().enumerate() {
        validate_path(errors, found, &path.index(at));
    }
}

fn validate_path(errors: &mut Errors, value: &Value, path: &Path) {
    let Some(kind) = value.str_at(&["pathType"]) else {
        errors.push(FieldError::required(&path.child("pathType"), "pathType must be specified"));
        return;
    };
    let at = path.child("path");
    let found = text(value, &["path"]);
    let absolute = "must be an absolute path";
    match kind {
        "Exact" | "Prefix" => {
            if !found.starts_with('/') {
                errors.push(FieldError::invalid(&at, found, absolute));
            }
            for part in SEQUENCES.into_iter().filter(|s| found.contains(s)) {
                errors.push(FieldError::invalid(&at, found, &format!("must not contain '{part}'")));
            }
            for end in SUFFIXES.into_iter().filter(|s| found.ends_with(s)) {
                errors.push(FieldError::invalid(&at, found, &format!("cannot end with '{end}'")));
            }
        }
        "ImplementationSpecific" => {
            if !found.is_empty() && !found.starts_with('/') {
                errors.push(FieldError::invalid(&at, found, absolute));
            }
        }
        _ => errors.push(FieldError::not_supported(&path.child("pathType"), kind, &PATH_TYPES)),
    }
    validate_backend(errors, value.get("backend").unwrap_or(&Value::NULL), &path.child("backend"));
}

fn validate_backend(errors: &mut Errors, backend: &Value, path: &Path) {
    match (backend.get("resource"), backend.get("service")) {
        (Some(_), Some(_)) => {
            errors.push(FieldError::invalid(path, "", "cannot set both resource and service backends"));
        }
        (Some(resource), None) => local_reference(errors, resource, &path.child("resource")),
        (None, Some(service)) => validate_service(errors, service, path),
        (None, None) => errors.push(FieldError::invalid(path, "", "resource or service backend is required")),
    }
}

fn validate_service(errors: &mut Errors, service: &Value, path: &Path) {
    let at = path.child("service");
    let name = text(service, &["name"]);
    if name.is_empty() {
        errors.push(FieldError::required(&at.child("name"), ""));
    } else {
        problems(errors, &at.child("name"), name, names::dns1123_label(name));
    }
    let port_name = text(service, &["port", "name"]);
    let number = service.i64_at(&["port", "number"]).unwrap_or(0);
    let at = at.child("port");
    match (port_name, number) {
        ("", 0) => errors.push(FieldError::required(path, "port name or number is required")),
        ("", _) => crate::strategy::check::port(errors, &at.child("number"), number),
        (_, 0) => problems(errors, &at.child("name"), port_name, names::port_name(port_name)),
        _ => errors.push(FieldError::invalid(path, "", "cannot set both port name & port number")),
    }
}

/// A reference to an object of any kind in the same namespace.
pub(super) fn local_reference(errors: &mut Errors, reference: &Value, path: &Path) {
    if let Some(group) = reference.str_at(&["apiGroup"]) {
        problems(errors, &path.child("apiGroup"), group, names::dns1123_subdomain(group));
    }
    for key in ["kind", "name"] {
        crate::strategy::check::required_name(errors, reference, path, key, names::path_segment_name);
    }
}

fn validate_status(object: &Value, old: &Value) -> Errors {
    let mut errors = Errors::new();
    let before = old.array_at(&["status", "loadBalancer", "ingress"]);
    let before: Vec<String> = before.iter().map(|i| text(i, &["ip"]).to_owned()).collect();
    let list = Path::new("status").child("loadBalancer").child("ingress");
    for (at, point) in object.array_at(&["status", "loadBalancer", "ingress"]).iter().enumerate() {
        let path = list.index(at);
        let (ip, host) = (text(point, &["ip"]), text(point, &["hostname"]));
        if !ip.is_empty() {
            crate::strategy::check::ip(&mut errors, &path.child("ip"), ip, &before);
        }
        if !host.is_empty() {
            let path = path.child("hostname");
            problems(&mut errors, &path, host, names::dns1123_subdomain(host));
            if names::parse_ip(host).is_some() {
                errors.push(FieldError::invalid(&path, host, "must be a DNS name, not an IP address"));
            }
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::strategy::testing::check_invalid;

    #[test]
    fn backends_and_paths() {
        check_invalid(
            &Ingress,
            "spec: {rules: [{host: 1.2.3.4, http: {paths: [{path: /a//b/., pathType: Prefix, backend: {}}]}}]}",
            expect![[r#"
                spec.rules[0].host: Invalid value: "1.2.3.4": must be a DNS name, not an IP address
                spec.rules[0].http.paths[0].path: Invalid value: "/a//b/.": must not contain '//'
                spec.rules[0].http.paths[0].path: Invalid value: "/a//b/.": cannot end with '/.'
                spec.rules[0].http.paths[0].backend: Invalid value: "": resource or service backend is required
            "#]],
        );
        check_invalid(
            &Ingress,
            "spec: {defaultBackend: {service: {name: s, port: {name: http, number: 80}}}}",
            expect![[r#"
                spec.defaultBackend: Invalid value: "": cannot set both port name & port number
            "#]],
        );
    }

    #[test]
    fn classes_in_two_places_must_agree() {
        check_invalid(
            &Ingress,
            "{metadata: {annotations: {kubernetes.io/ingress.class: a}}, spec: {ingressClassName: b, \
             defaultBackend: {service: {name: s, port: {number: 80}}}}}",
            expect![[r#"
                annotations.kubernetes.io/ingress.class: Invalid value: "a": must match `ingressClassName` when both are specified
            "#]],
        );
    }
}
