//! Annotations of pods and templates that mean something to Kubernetes: mirrors of static pods, tolerations, the cost of
//! a deletion, and the profiles that were annotations before they were fields.

use apimachinery::{FieldError, Path, Value};

use super::windows::visit_containers;
use crate::strategy::check::{Errors, local_path, members};
use crate::strategy::core::secret::json_error;
use crate::values::text;

const MIRROR: &str = "kubernetes.io/config.mirror";
const TOLERATIONS: &str = "scheduler.alpha.kubernetes.io/tolerations";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

fn annotations(metadata: Option<&Value>) -> Vec<(&str, &str)> {
    let list = members(metadata.and_then(|m| m.get("annotations")));
    list.into_iter().map(|(key, value)| (key, value.as_str().unwrap_or_default())).collect()
}

fn annotation<'a>(metadata: Option<&'a Value>, key: &str) -> Option<&'a str> {
    metadata.and_then(|m| m.at(&["annotations", key])).and_then(Value::as_str)
}

/// Whether the kubelet made the pod to show one that it has from elsewhere.
pub(super) fn is_mirror(pod: &Value) -> bool {
    annotation(pod.get("metadata"), MIRROR).is_some()
}

/// `path` is that of the annotations.
pub(super) fn validate(errors: &mut Errors, metadata: Option<&Value>, spec: Option<&Value>, path: &Path) {
    let spec = spec.unwrap_or(&Value::NULL);
    if let Some(mirror) = annotation(metadata, MIRROR)
        && text(spec, &["nodeName"]).is_empty()
    {
        let why = "must set spec.nodeName if mirror pod annotation is set";
        errors.push(FieldError::invalid(&path.key(MIRROR), mirror, why));
    }
    if let Some(tolerations) = annotation(metadata, TOLERATIONS).filter(|t| !t.is_empty()) {
        match Value::from_json(tolerations.as_bytes()) {
            Ok(parsed) => {
                let list = parsed.as_array().unwrap_or_default();
                super::scheduling::tolerations(errors, list, &path.child(TOLERATIONS));
            }
            Err(_) => {
                let why = json_error(tolerations.as_bytes());
                errors.push(FieldError::invalid(path, TOLERATIONS, &why));
            }
        }
    }
    if let Some(cost) = annotation(metadata, DELETION_COST).filter(|cost| !is_cost(cost)) {
        errors.push(FieldError::invalid(&path.key(DELETION_COST), cost, "must be a 32bit integer"));
    }
    let all = annotations(metadata);
    if let Some(profile) = annotation(metadata, SECCOMP_POD) {
        seccomp(errors, profile, &path.child(SECCOMP_POD));
    }
    for (key, profile) in all.iter().filter(|(key, _)| key.starts_with(SECCOMP_CONTAINER)) {
        seccomp(errors, profile, &path.child(key));
    }
    for (key, profile) in &all {
        let Some(container) = key.strip_prefix(APP_ARMOR) else { continue };
        let mut found = false;
        visit_containers(spec, path, |c, _| found |= text(c, &["name"]) == container);
        if !found {
            errors.push(FieldError::invalid(&path.key(key), container, "container not found"));
        }
        if !matches!(*profile, "" | "runtime/default" | "unconfined") && !profile.starts_with("localhost/") {
            let why = format!("invalid AppArmor profile name: {profile:?}");
            errors.push(FieldError::invalid(&path.key(key), *profile, &why));
        }
    }
}

/// A number in the form that Go prints, without signs and zeros before it.
fn is_cost(cost: &str) -> bool {
    let good_start =
        cost == "0" || cost.starts_with('-') || cost.starts_with(|c: char| ('1'..='9').contains(&c));
    good_start && cost.parse::<i32>().is_ok()
}

fn seccomp(errors: &mut Errors, profile: &str, path: &Path) {
    match profile {
        "runtime/default" | "docker/default" | "unconfined" => {}
        _ => match profile.strip_prefix("localhost/") {
            Some(local) => local_path(errors, path, local),
            None => errors.push(FieldError::invalid(path, profile, "must be a valid seccomp profile")),
        },
    }
}

/// What an update may not do to them.
pub(super) fn validate_update(errors: &mut Errors, new: &Value, old: &Value, path: &Path) {
    let (now, before) = (annotations(new.get("metadata")), annotations(old.get("metadata")));
    let mut refuse = |key: &str, app_armor: &str, mirror: &str| {
        if key.starts_with(APP_ARMOR) {
            errors.push(FieldError::forbidden(&path.key(key), app_armor));
        }
        if key == MIRROR {
            errors.push(FieldError::forbidden(&path.key(key), mirror));
        }
    };
    for (key, value) in &before {
        if !now.contains(&(key, value)) {
            let (app_armor, mirror) = (
                "may not remove or update AppArmor annotations",
                "may not remove or update mirror pod annotation",
            );
            refuse(key, app_armor, mirror);
        }
    }
    for (key, _) in &now {
        if !before.iter().any(|(k, _)| k == key) {
            refuse(key, "may not add AppArmor annotations", "may not add mirror pod annotation");
        }
    }
    validate(errors, new.get("metadata"), new.get("spec"), path);
}

/// Where a profile is both a field and an annotation, they say the same. `path` is that of the spec.
pub(super) fn agree_with_fields(
    errors: &mut Errors,
    metadata: Option<&Value>,
    spec: Option<&Value>,
    path: &Path,
) {
    let spec = spec.unwrap_or(&Value::NULL);
    let seccomp_of = |of: &Value| of.at(&["securityContext", "seccompProfile"]).cloned();
    let mut check = |name: &str, annotation: Option<&str>, field: Option<&Value>, path: &Path| {
        let (Some(annotation), Some(field)) = (annotation, field) else { return };
        let (same_type, same_profile) = same_profile(name == "seccomp", annotation, field);
        if !same_type {
            let why = format!("{name} type in annotation and field must match");
            errors.push(FieldError::forbidden(&path.child("type"), &why));
        } else if !same_profile {
            let why = format!("{name} profile in annotation and field must match");
            errors.push(FieldError::forbidden(&path.child("localhostProfile"), &why));
        }
    };
    let field = |path: &Path, key: &str| path.child("securityContext").child(key);
    let of_pod = seccomp_of(spec);
    check("seccomp", annotation(metadata, SECCOMP_POD), of_pod.as_ref(), &field(path, "seccompProfile"));
    visit_containers(spec, path, |container, path| {
        let key = format!("{SECCOMP_CONTAINER}{}", text(container, &["name"]));
        let own = seccomp_of(container);
        check("seccomp", annotation(metadata, &key), own.as_ref(), &field(path, "seccompProfile"));
    });
    if text(spec, &["os", "name"]) == "windows" {
        return;
    }
    let of_pod = spec.at(&["securityContext", "appArmorProfile"]);
    visit_containers(spec, path, |container, path| {
        let key = format!("{APP_ARMOR}{}", text(container, &["name"]));
        let own = container.at(&["securityContext", "appArmorProfile"]).or(of_pod);
        check("apparmor", annotation(metadata, &key), own, &field(path, "appArmorProfile"));
    });
}

/// Whether annotation and field are of one type, and name one profile.
fn same_profile(seccomp: bool, annotation: &str, field: &Value) -> (bool, bool) {
    match text(field, &["type"]) {
        "Unconfined" => (annotation == "unconfined", true),
        "RuntimeDefault" => {
            (annotation == "runtime/default" || (seccomp && annotation == "docker/default"), true)
        }
        "Localhost" => {
            let local = field.get("localhostProfile").and_then(Value::as_str);
            (annotation.starts_with("localhost/"), annotation.strip_prefix("localhost/") == local)
        }
        _ => (true, true),
    }
}
