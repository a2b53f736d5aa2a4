//! Upstream's defaulting functions: what a created or updated object gets when its author left it out. They work on a
//! normalised object (plain structs are there, empty `omitempty` values are not) and may leave fields out of order, so
//! normalise again afterwards; `canonicalise` does all of it.
//!
//! The `default`s that OpenAPI publishes are not applied here: most are Go's zero values. Nor is anything that admission adds
//! (service accounts, tolerations, priorities), or that the server allocates.

use apimachinery::{Object, Value};

use crate::decode::{self, Report};
use crate::normalise::normalise;
use crate::registry::ResourceInfo;

mod admission;
mod apps;
mod autoscaling;
mod batch;
mod core;
mod extensions;
mod flowcontrol;
mod networking;
mod node_resources;
mod pod;
mod rbac;
mod storage;

pub(crate) use autoscaling::cpu_metric;

/// What the defaults depend on besides the object.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context {
    /// Seconds since 1970, for the few defaults that are a time.
    pub now: i64,
}

/// Sets the defaults of a kind. Kinds without defaults are left alone.
pub fn apply_defaults(group: &str, version: &str, kind: &str, value: &mut Value, context: &Context) {
    match group {
        "" => core::defaults(kind, value),
        "apps" => apps::defaults(kind, value),
        "batch" => batch::defaults(kind, value),
        "autoscaling" => autoscaling::defaults(version, kind, value),
        "networking.k8s.io" | "discovery.k8s.io" => networking::defaults(kind, value),
        "storage.k8s.io" => storage::defaults(kind, value),
        "rbac.authorization.k8s.io" => rbac::defaults(kind, value),
        "resource.k8s.io" => node_resources::defaults(version, kind, value, context),
        "flowcontrol.apiserver.k8s.io" => flowcontrol::defaults(kind, value),
        "admissionregistration.k8s.io" => admission::defaults(kind, value),
        "apiextensions.k8s.io" | "apiregistration.k8s.io" => extensions::defaults(kind, value),
        "scheduling.k8s.io" if kind == "PriorityClass" => {
            set(value, "preemptionPolicy", "PreemptLowerPriority")
        }
        "authentication.k8s.io" if kind == "TokenRequest" => {
            set(at(value, "spec"), "expirationSeconds", 3600)
        }
        "certificates.k8s.io" if kind == "PodCertificateRequest" => {
            set(at(value, "spec"), "maxExpirationSeconds", 86_400);
        }
        _ => {}
    }
}

/// Everything between a parsed body and the object that admission sees: checks fields and types, and, when they are right,
/// normalises and sets defaults. Custom resources are not touched.
pub fn canonicalise(resource: &ResourceInfo, value: &mut Value, context: &Context) -> Report {
    if resource.custom {
        return Report::default();
    }
    let ty = resource.ty.get();
    let report = decode::check(ty, value);
    if report.error.is_none() {
        normalise(ty, value);
        apply_defaults(&resource.group, &resource.version, &resource.kind, value, context);
        normalise(ty, value);
    }
    report
}

/// Sets a field that is absent or null.
fn set(value: &mut Value, key: &str, default: impl Into<Value>) {
    if let Some(object) = value.as_object_mut() {
        let field = object.entry(key);
        if field.is_null() {
            *field = default.into();
        }
    }
}

/// Sets a field that is absent, null or the empty text: for plain strings, where Go cannot tell these apart.
fn set_text(value: &mut Value, key: &str, default: &str) {
    if let Some(object) = value.as_object_mut() {
        let field = object.entry(key);
        if field.is_null() || field.as_str() == Some("") {
            *field = default.into();
        }
    }
}

/// The struct at `key`, made when it is absent: for fields that are plain structs in Go.
fn at<'a>(value: &'a mut Value, key: &str) -> &'a mut Value {
    if !value.is_object() {
        *value = Value::object();
    }
    let field = value.as_object_mut().expect("made an object above").entry(key);
    if !field.is_object() {
        *field = Value::object();
    }
    field
}

/// The elements of the list at `key`.
fn each<'a>(value: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    value.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Present and not null.
fn has(value: &Value, key: &str) -> bool {
    value.get(key).is_some_and(|v| !v.is_null())
}

/// The values of a resource list are rounded up to thousandths.
fn round_quantities(value: &mut Value, key: &str) {
    if let Some(list) = value.get_mut(key).and_then(Value::as_object_mut) {
        for (_, quantity) in list.iter_mut() {
            if let Some(rounded) = quantity.as_str().and_then(crate::scalar::round_to_milli) {
                *quantity = rounded.into();
            }
        }
    }
}

/// Copies an object's members that `target` lacks.
fn fill_from(target: &mut Object, source: &Object) {
    for (key, value) in source.iter() {
        if !target.contains_key(key) {
            target.insert(key, value.clone());
        }
    }
}

#[cfg(test)]
mod tests;
