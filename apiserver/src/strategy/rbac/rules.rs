//! What roles and bindings of both scopes share: rules, subjects and the reference to a role.

use apimachinery::{FieldError, Path, Value, names};

use crate::strategy::check::{Errors, problems, required, same};
use crate::strategy::internal_form;
use crate::values::text;

pub(super) const GROUP: &str = "rbac.authorization.k8s.io";

pub(super) fn validate_rules(errors: &mut Errors, role: &Value, namespaced: bool) {
    for (at, rule) in role.array_at(&["rules"]).iter().enumerate() {
        validate_rule(errors, rule, &Path::new("rules").index(at), namespaced);
    }
}

fn validate_rule(errors: &mut Errors, rule: &Value, path: &Path, namespaced: bool) {
    let empty = |key: &str| rule.array_at(&[key]).is_empty();
    if empty("verbs") {
        errors.push(FieldError::required(&path.child("verbs"), "verbs must contain at least one value"));
    }
    let urls = rule.array_at(&["nonResourceURLs"]);
    if !urls.is_empty() {
        let path = path.child("nonResourceURLs");
        let shown = Value::from(urls.to_vec());
        if namespaced {
            let why = "namespaced rules cannot apply to non-resource URLs";
            errors.push(FieldError::invalid(&path, shown.clone(), why));
        }
        if !empty("apiGroups") || !empty("resources") || !empty("resourceNames") {
            let why = "rules cannot apply to both regular resources and non-resource URLs";
            errors.push(FieldError::invalid(&path, shown, why));
        }
        return;
    }
    if empty("apiGroups") {
        let why = "resource rules must supply at least one api group";
        errors.push(FieldError::required(&path.child("apiGroups"), why));
    }
    if empty("resources") {
        let why = "resource rules must supply at least one resource";
        errors.push(FieldError::required(&path.child("resources"), why));
    }
}

/// The reference to one of `kinds`, and the subjects of a binding.
pub(super) fn validate_binding(errors: &mut Errors, binding: &Value, kinds: &[&str], namespaced: bool) {
    let path = Path::new("roleRef");
    let reference = binding.get("roleRef").unwrap_or(&Value::NULL);
    let (group, kind) = (text(reference, &["apiGroup"]), text(reference, &["kind"]));
    if group != GROUP {
        errors.push(FieldError::not_supported(&path.child("apiGroup"), group, &[GROUP]));
    }
    if !kinds.contains(&kind) {
        errors.push(FieldError::not_supported(&path.child("kind"), kind, kinds));
    }
    let name = required(errors, reference, &path, "name");
    if !name.is_empty() {
        problems(errors, &path.child("name"), name, names::path_segment_name(name));
    }
    for (at, subject) in binding.array_at(&["subjects"]).iter().enumerate() {
        validate_subject(errors, subject, &Path::new("subjects").index(at), namespaced);
    }
}

fn validate_subject(errors: &mut Errors, subject: &Value, path: &Path, namespaced: bool) {
    let name = required(errors, subject, path, "name");
    let (kind, group) = (text(subject, &["kind"]), text(subject, &["apiGroup"]));
    match kind {
        "ServiceAccount" => {
            if !name.is_empty() {
                problems(errors, &path.child("name"), name, names::dns1123_subdomain(name));
            }
            if !group.is_empty() {
                errors.push(FieldError::not_supported(&path.child("apiGroup"), group, &[""]));
            }
            if !namespaced {
                required(errors, subject, path, "namespace");
            }
        }
        "User" | "Group" => {
            if group != GROUP {
                errors.push(FieldError::not_supported(&path.child("apiGroup"), group, &[GROUP]));
            }
        }
        _ => {
            let kinds = ["ServiceAccount", "User", "Group"];
            errors.push(FieldError::not_supported(&path.child("kind"), kind, &kinds));
        }
    }
}

/// A binding gives the same role for ever: who may change subjects must not reach other rights by it.
pub(super) fn same_role(errors: &mut Errors, binding: &Value, old: &Value) {
    if !same(binding.get("roleRef"), old.get("roleRef")) {
        let shown = internal_form::of_type("io.k8s.api.rbac.v1.RoleRef", binding.get("roleRef"));
        errors.push(FieldError::invalid(&Path::new("roleRef"), shown, "cannot change roleRef"));
    }
}
