//! ReplicaSet.

use apimachinery::{FieldError, Path, Value};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, not_negative};
use crate::strategy::counts::{self, Counts};
use crate::strategy::workload;

/// What the status counts.
const COUNTS: Counts = Counts {
    all: &[
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
        "terminatingReplicas",
        "observedGeneration",
    ],
    parts: &["fullyLabeledReplicas", "readyReplicas", "availableReplicas"],
    more_than_ready: "cannot be greater than readyReplicas",
};

#[derive(Debug)]
pub struct ReplicaSet;

impl Strategy for ReplicaSet {
    fn resource(&self) -> (&'static str, &'static str) {
        ("apps", "replicasets")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let (empty, path) = (Value::object(), Path::new("spec"));
        let spec = object.get("spec").unwrap_or(&empty);
        not_negative(&mut errors, spec, &path, "replicas");
        not_negative(&mut errors, spec, &path, "minReadySeconds");
        workload::selector(&mut errors, spec, &path, "replicaset");
        workload::invalid_selector(&mut errors, spec, &path);
        workload::matches_template(&mut errors, spec, &path);
        workload::template(&mut errors, spec, &path, "ReplicaSet");
        errors
    }

    fn warnings(&self, ctx: &StrategyContext<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        workload::warnings(ctx, object, old, &["spec", "template"])
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if ctx.subresource == "status" {
            return counts::validate(object, old, &COUNTS);
        }
        let mut errors = self.validate_create(ctx, object);
        workload::same_selector(&mut errors, object, old);
        errors
    }
}
