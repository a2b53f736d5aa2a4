//! Pod.
//!
//! New pods get their phase, quality of service and (when gated) the condition that says so; merged label keys go into
//! their selectors. Updates of the main resource may change what upstream lets change; binding, ephemeral containers,
//! resizing and status have rules of their own.

mod annotations;
mod container;
mod env;
mod mounts;
mod probe;
mod projected;
pub(in crate::strategy) mod resources;
pub(in crate::strategy) mod scheduling;
mod security;
pub(in crate::strategy) mod source;
pub(in crate::strategy) mod spec;
mod status;
mod update;
mod volume;
pub(in crate::strategy) mod warnings;
mod windows;

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
        if ctx.subresource == "status" && text(pod, &["status", "qosClass"]).is_empty() {
            // A kubelet may leave it out; what else it says is for validation to refuse.
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
        annotations::agree_with_fields(&mut errors, pod.get("metadata"), pod.get("spec"), &spec);
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, pod: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        match ctx.subresource {
            // Bindings and evictions have been checked by who made them.
            "binding" | "eviction" => {}
            "status" => status::validate(&mut errors, pod, old),
            "ephemeralcontainers" | "resize" if annotations::is_mirror(old) => {
                let why = if ctx.subresource == "resize" {
                    "static pods cannot be resized"
                } else {
                    "static pods do not support ephemeral containers"
                };
                errors.push(FieldError::forbidden(&Path::new(""), why));
            }
            "ephemeralcontainers" => {
                errors = validated(pod);
                let path = Path::new("metadata").child("annotations");
                annotations::validate_update(&mut errors, pod, old, &path);
                update::ephemeral_containers(&mut errors, pod, old);
            }
            "resize" if text(old, &["spec", "os", "name"]) == "windows" => {
                errors.push(FieldError::forbidden(&Path::new(""), "windows pods cannot be resized"));
            }
            "resize" => {
                errors = validated(pod);
                update::resize(&mut errors, pod, old);
            }
            _ => {
                errors = validated(pod);
                let path = Path::new("metadata").child("annotations");
                annotations::validate_update(&mut errors, pod, old, &path);
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
    let path = Path::new("metadata").child("annotations");
    annotations::validate(&mut errors, pod.get("metadata"), pod.get("spec"), &path);
    spec::validate(&mut errors, pod.get("spec"), &spec, meta(pod, "name"));
    tokens_without_account(&mut errors, pod, &spec);
    container::only_for_pods(&mut errors, pod.get("spec").unwrap_or(&Value::NULL), &spec);
    errors
}

/// A token is that of an account. A template leaves the account to the defaults of the pods made from it.
fn tokens_without_account(errors: &mut Errors, pod: &Value, path: &Path) {
    if !text(pod, &["spec", "serviceAccountName"]).is_empty() {
        return;
    }
    for (at, volume) in pod.array_at(&["spec", "volumes"]).iter().enumerate() {
        let path = path.child("volumes").index(at).child("projected").child("sources");
        for (at, source) in volume.array_at(&["projected", "sources"]).iter().enumerate() {
            if source.get("serviceAccountToken").is_some() {
                let why = "must not be specified when serviceAccountName is not set";
                errors.push(FieldError::forbidden(&path.index(at).child("serviceAccountToken"), why));
            }
        }
    }
}

/// Whether a path leads into a template: only a pod has its spec at the top.
fn in_template(path: &Path) -> bool {
    path.to_string().split('.').take(3).any(|part| matches!(part, "template" | "jobTemplate"))
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

#[cfg(test)]
mod change_tests;
#[cfg(test)]
mod rule_tests;
#[cfg(test)]
mod tests;
