//! DaemonSet: also counts its template's generations.

use apimachinery::{FieldError, Path, Value};

use super::deployment::rolling;
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, not_negative, same};
use crate::strategy::counts::{self, Counts};
use crate::strategy::workload;
use crate::values::text;

const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// What the status counts.
const COUNTS: Counts = Counts {
    all: &[
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ],
    parts: &[],
    more_than_ready: "",
};

#[derive(Debug)]
pub struct DaemonSet;

impl DaemonSet {
    fn template_generation(object: &Value) -> i64 {
        object
            .str_at(&["metadata", "annotations", TEMPLATE_GENERATION])
            .and_then(|g| g.parse().ok())
            .unwrap_or(0)
    }
}

impl Strategy for DaemonSet {
    fn resource(&self) -> (&'static str, &'static str) {
        ("apps", "daemonsets")
    }

    fn prepare_create(&self, _ctx: &StrategyContext<'_>, object: &mut Value) {
        let generation = Self::template_generation(object).max(1);
        object.set_at(&["metadata", "annotations", TEMPLATE_GENERATION], generation.to_string());
    }

    fn prepare_update(&self, ctx: &StrategyContext<'_>, object: &mut Value, old: &Value) {
        if !ctx.subresource.is_empty() {
            return;
        }
        let mut generation = Self::template_generation(old);
        if !same(object.at(&["spec", "template"]), old.at(&["spec", "template"])) {
            generation += 1;
        }
        object.set_at(&["metadata", "annotations", TEMPLATE_GENERATION], generation.to_string());
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let (empty, path) = (Value::object(), Path::new("spec"));
        let spec = object.get("spec").unwrap_or(&empty);
        if let Some(selector) = spec.get("selector") {
            errors.extend(apimachinery::selector::validate_label_selector(selector, &path.child("selector")));
        }
        workload::matches_template(&mut errors, spec, &path);
        if let Some(selector) = spec.get("selector").filter(|s| !s.is_null())
            && workload::is_empty_selector(selector)
        {
            let why = "empty selector is invalid for daemonset";
            errors.push(FieldError::invalid(&path.child("selector"), selector.clone(), why));
        }
        workload::template(&mut errors, spec, &path, "DaemonSet");
        not_negative(&mut errors, spec, &path, "minReadySeconds");
        update_strategy(&mut errors, spec.get("updateStrategy"), &path.child("updateStrategy"));
        not_negative(&mut errors, spec, &path, "revisionHistoryLimit");
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

fn update_strategy(errors: &mut Errors, strategy: Option<&Value>, path: &Path) {
    let Some(strategy) = strategy else { return };
    match text(strategy, &["type"]) {
        "OnDelete" => {}
        "RollingUpdate" => match strategy.get("rollingUpdate") {
            None => errors.push(FieldError::required(&path.child("rollingUpdate"), "")),
            Some(update) => rolling(errors, update, &path.child("rollingUpdate"), "maxSurge"),
        },
        other => {
            let supported = ["RollingUpdate", "OnDelete"];
            errors.push(FieldError::not_supported(&path.child("type"), other, &supported));
        }
    }
}
