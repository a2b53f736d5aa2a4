//! ResourceClaimTemplate: a claim for each pod; it never changes.

use apimachinery::{FieldError, Path, Value, meta};

use super::claim;
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, IMMUTABLE, same};
use crate::strategy::internal_form;

#[derive(Debug)]
pub struct ResourceClaimTemplate;

impl Strategy for ResourceClaimTemplate {
    fn resource(&self) -> (&'static str, &'static str) {
        ("resource.k8s.io", "resourceclaimtemplates")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = Path::new("spec");
        for (key, check) in [
            ("labels", meta::validate_labels as fn(&Value, &Path) -> Vec<FieldError>),
            ("annotations", meta::validate_annotations),
        ] {
            if let Some(map) = object.at(&["spec", "metadata", key]) {
                errors.extend(check(map, &path.child("metadata").child(key)));
            }
        }
        let spec = object.at(&["spec", "spec"]).unwrap_or(&Value::NULL);
        claim::spec(&mut errors, spec, &path.child("spec"));
        errors
    }

    fn validate_update(&self, _ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        if !same(object.get("spec"), old.get("spec")) {
            let shown = internal_form::of_type(
                "io.k8s.api.resource.v1.ResourceClaimTemplateSpec",
                object.get("spec"),
            );
            errors.push(FieldError::invalid(&Path::new("spec"), shown, IMMUTABLE));
        }
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::testing::check_invalid;
    use expect_test::expect;

    #[test]
    fn templates() {
        check_invalid(
            &ResourceClaimTemplate,
            "spec: {spec: {devices: {requests: [{name: a}]}}}",
            expect![[r#"
                spec.spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required
            "#]],
        );
    }
}
