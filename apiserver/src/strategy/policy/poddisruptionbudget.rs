//! PodDisruptionBudget: how many pods of a selector must stay, or may go, at a time.

use apimachinery::selector::validate_label_selector;
use apimachinery::{FieldError, Path, Value};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, at_most_all, count_or_percent, not_negative, one_of};
use crate::strategy::{conditions, internal_form};

#[derive(Debug)]
pub struct PodDisruptionBudget;

impl Strategy for PodDisruptionBudget {
    fn resource(&self) -> (&'static str, &'static str) {
        ("policy", "poddisruptionbudgets")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        validate(object)
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        if ctx.subresource != "status" {
            return validate(object);
        }
        let mut errors = Errors::new();
        let status = object.get("status").unwrap_or(&Value::NULL);
        for key in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
            not_negative(&mut errors, status, &Path::new("status"), key);
        }
        let path = Path::new("status").child("conditions");
        conditions::validate(&mut errors, status.array_at(&["conditions"]), &path);
        errors
    }
}

fn validate(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("spec");
    let spec = object.get("spec").unwrap_or(&Value::NULL);
    let (min, max) = (spec.get("minAvailable"), spec.get("maxUnavailable"));
    if min.is_some() && max.is_some() {
        let shown = internal_form::of_type("io.k8s.api.policy.v1.PodDisruptionBudgetSpec", Some(spec));
        let why = "minAvailable and maxUnavailable cannot be both set";
        errors.push(FieldError::invalid(&path, shown, why));
    }
    for (key, value) in [("minAvailable", min), ("maxUnavailable", max)] {
        if let Some(value) = value {
            count_or_percent(&mut errors, value, &path.child(key));
            at_most_all(&mut errors, value, &path.child(key));
        }
    }
    if let Some(selector) = spec.get("selector") {
        errors.extend(validate_label_selector(selector, &path.child("selector")));
    }
    if spec.get("unhealthyPodEvictionPolicy").is_some() {
        let policies = ["AlwaysAllow", "IfHealthyBudget"];
        one_of(&mut errors, spec, &path, "unhealthyPodEvictionPolicy", &policies);
    }
    errors
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::strategy::testing::check_invalid;

    #[test]
    fn one_bound_of_two() {
        check_invalid(
            &PodDisruptionBudget,
            "spec: {minAvailable: -1, maxUnavailable: 101%}",
            expect![[r#"
                spec: Invalid value: {"MinAvailable":-1,"Selector":null,"MaxUnavailable":"101%","UnhealthyPodEvictionPolicy":null}: minAvailable and maxUnavailable cannot be both set
                spec.minAvailable: Invalid value: -1: must be greater than or equal to 0
                spec.maxUnavailable: Invalid value: "101%": must not be greater than 100%
            "#]],
        );
    }
}
