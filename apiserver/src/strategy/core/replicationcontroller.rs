//! ReplicationController: its selector is a plain map, and may change.

use apimachinery::{FieldError, Path, Selector, Value};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, not_negative, same};
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
pub struct ReplicationController;

impl Strategy for ReplicationController {
    fn resource(&self) -> (&'static str, &'static str) {
        ("", "replicationcontrollers")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let (empty, path) = (Value::object(), Path::new("spec"));
        let spec = object.get("spec").unwrap_or(&empty);
        not_negative(&mut errors, spec, &path, "minReadySeconds");
        let selector = spec.get("selector").filter(|s| !same(Some(s), None));
        if selector.is_none() {
            errors.push(FieldError::required(&path.child("selector"), ""));
        }
        not_negative(&mut errors, spec, &path, "replicas");
        if spec.get("template").is_none() {
            errors.push(FieldError::required(&path.child("template"), ""));
            return errors;
        }
        let labels = spec.at(&["template", "metadata", "labels"]);
        let label = |key: &str| labels.and_then(|l| l.get(key)).and_then(Value::as_str);
        if selector.is_some() && !Selector::from_map(selector).matches(label) {
            let field = path.child("template").child("metadata").child("labels");
            let why = "`selector` does not match template `labels`";
            errors.push(FieldError::invalid(&field, labels.cloned().unwrap_or_default(), why));
        }
        workload::template(&mut errors, spec, &path, "ReplicationController");
        errors
    }

    fn warnings(&self, ctx: &StrategyContext<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        workload::warnings(ctx, object, old, &["spec", "template"])
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if ctx.subresource == "status" {
            return counts::validate(object, old, &COUNTS);
        }
        self.validate_create(ctx, object)
    }
}
