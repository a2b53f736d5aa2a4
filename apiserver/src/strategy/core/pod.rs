//! Pod.
//!
//! New pods get their phase, quality of service and (when gated) the condition that says so; merged label keys go into
//! their selectors. Updates of the main resource may change what upstream lets change; binding, ephemeral containers,
//! resizing and status have rules of their own.

mod container;
mod env;
mod probe;
mod resources;
mod scheduling;
mod security;
pub(in crate::strategy) mod spec;
mod update;
pub(in crate::strategy) mod volume;
pub(in crate::strategy) mod warnings;

use apimachinery::{FieldError, Path, Value};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::Errors;
use crate::value;
use crate::values::{meta, text};

pub(in crate::strategy) use scheduling::{label_name, label_selector, node_selector};

/// Upstream's default of `terminationGracePeriodSeconds`.
const GRACE_SECS: i64 = 30;

#[derive(Debug)]
pub struct Pod;

impl Strategy for Pod {
    fn resource(&self) -> (&'static str, &'static str) {
        ("", "pods")
    }

    fn prepare_create(&self, ctx: &StrategyContext<'_>, pod: &mut Value) {
        let class = resources::qos_class(pod.get("spec").unwrap_or(&Value::NULL));
        pod.set_at(&["status"], value!({ "phase": "Pending", "qosClass": (class) }));
        if !pod.array_at(&["spec", "schedulingGates"]).is_empty() {
            let condition = value!({
                "type": "PodScheduled",
                "status": "False",
                "lastProbeTime": null,
                "lastTransitionTime": (apimachinery::time::format_time(ctx.now)),
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
            });
            pod.set_at(&["status", "conditions"], vec![condition]);
        }
        mirror_account(pod);
        scheduling::merge_label_keys(pod);
        security::take_app_armor_annotations(pod);
    }

    fn prepare_update(&self, ctx: &StrategyContext<'_>, pod: &mut Value, old: &Value) {
        if ctx.subresource == "status" {
            // What the pod asks for decides this, nobody else.
            if let Some(class) = old.at(&["status", "qosClass"]) {
                pod.set_at(&["status", "qosClass"], class.clone());
            }
        }
        mirror_account(pod);
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, pod: &Value) -> Vec<FieldError> {
        let mut errors = validated(pod);
        let spec = Path::new("spec");
        if !pod.array_at(&["spec", "ephemeralContainers"]).is_empty() {
            errors.push(FieldError::forbidden(&spec.child("ephemeralContainers"), "cannot be set on create"));
        }
        let gated = !pod.array_at(&["spec", "schedulingGates"]).is_empty();
        if gated && !text(pod, &["spec", "nodeName"]).is_empty() {
            let why = "cannot be set until all schedulingGates have been cleared";
            errors.push(FieldError::forbidden(&spec.child("nodeName"), why));
        }
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, pod: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        match ctx.subresource {
            // Bindings and evictions have been checked by who made them.
            "binding" | "eviction" => {}
            "status" => update::status(&mut errors, pod, old),
            "ephemeralcontainers" => {
                errors = validated(pod);
                update::ephemeral_containers(&mut errors, pod, old);
            }
            "resize" => {
                errors = validated(pod);
                update::resize(&mut errors, pod, old);
            }
            _ => {
                errors = validated(pod);
                update::validate(&mut errors, pod, old);
            }
        }
        errors
    }

    fn warnings(&self, _ctx: &StrategyContext<'_>, pod: &Value, _old: Option<&Value>) -> Vec<String> {
        warnings::of(pod.get("spec"), pod.get("metadata"), &Path::new("spec"), &Path::new("metadata"))
    }

    /// A pod that no node has, or that has ended, goes at once; else it has its grace period, at least a second unless
    /// it is forced.
    fn graceful_deletion(&self, pod: &Value, requested: Option<i64>) -> Option<i64> {
        let mut seconds = requested
            .or_else(|| pod.i64_at(&["metadata", "deletionGracePeriodSeconds"]))
            .or_else(|| pod.i64_at(&["spec", "terminationGracePeriodSeconds"]))
            .unwrap_or(GRACE_SECS);
        if text(pod, &["spec", "nodeName"]).is_empty()
            || matches!(text(pod, &["status", "phase"]), "Failed" | "Succeeded")
        {
            seconds = 0;
        }
        Some(if seconds < 0 { 1 } else { seconds })
    }
}

fn validated(pod: &Value) -> Errors {
    let mut errors = Errors::new();
    let spec = Path::new("spec");
    spec::validate(&mut errors, pod.get("spec"), &spec, meta(pod, "name"));
    container::only_for_pods(&mut errors, pod.get("spec").unwrap_or(&Value::NULL), &spec);
    conflicting_keys(&mut errors, pod, &spec);
    errors
}

/// The deprecated `serviceAccount` says what `serviceAccountName` says.
fn mirror_account(pod: &mut Value) {
    let (name, old_name) =
        (text(pod, &["spec", "serviceAccountName"]), text(pod, &["spec", "serviceAccount"]));
    let name = if name.is_empty() { old_name } else { name }.to_owned();
    if !name.is_empty() {
        pod.set_at(&["spec", "serviceAccountName"], name.as_str());
        pod.set_at(&["spec", "serviceAccount"], name);
    }
}

/// Keys that a selector names twice, by itself and by `matchLabelKeys`.
fn conflicting_keys(errors: &mut Errors, pod: &Value, path: &Path) {
    let why = "exists in both matchLabelKeys and labelSelector";
    let mut report = |list: &[Value], path: &Path| {
        for (at, term) in list.iter().enumerate() {
            for (key_at, key) in scheduling::selects_twice(term) {
                errors.push(FieldError::invalid(&path.index(at).index(key_at), key, why));
            }
        }
    };
    for kind in ["podAffinity", "podAntiAffinity"] {
        let list = "requiredDuringSchedulingIgnoredDuringExecution";
        let terms = pod.array_at(&["spec", "affinity", kind, list]);
        report(terms, &path.child("affinity").child(kind).child(list));
    }
    report(pod.array_at(&["spec", "topologySpreadConstraints"]), &path.child("topologySpreadConstraints"));
}

#[cfg(test)]
mod tests;
