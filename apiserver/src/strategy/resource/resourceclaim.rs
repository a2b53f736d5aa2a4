//! ResourceClaim: what it asks for never changes.

use apimachinery::{FieldError, Path, Value};

use super::claim;
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, IMMUTABLE, same};
use crate::strategy::internal_form;

#[derive(Debug)]
pub struct ResourceClaim;

impl Strategy for ResourceClaim {
    fn resource(&self) -> (&'static str, &'static str) {
        ("resource.k8s.io", "resourceclaims")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        claim::spec(&mut errors, object.get("spec").unwrap_or(&Value::NULL), &Path::new("spec"));
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        if ctx.subresource.is_empty() && !same(object.get("spec"), old.get("spec")) {
            let shown =
                internal_form::of_type("io.k8s.api.resource.v1.ResourceClaimSpec", object.get("spec"));
            errors.push(FieldError::invalid(&Path::new("spec"), shown, IMMUTABLE));
        }
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::testing::{check_invalid, check_invalid_update};
    use expect_test::expect;

    #[test]
    fn requests_constraints_and_configuration() {
        check_invalid(
            &ResourceClaim,
            "spec: {devices: {requests: [{name: a}, {name: a, exactly: {deviceClassName: c, allocationMode: All, count: \
             1}}, {name: b, exactly: {allocationMode: Zap, selectors: [{}]}, firstAvailable: [{name: x, deviceClassName: \
             c, allocationMode: ExactCount}]}], constraints: [{requests: [zz]}, {requests: [b/x], matchAttribute: q}], \
             config: [{requests: [a, a]}]}}",
            expect![[r#"
                spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required
                spec.devices.requests[1].exactly.count: Invalid value: 1: must not be specified when allocationMode is 'All'
                spec.devices.requests[1].name: Duplicate value: "a"
                spec.devices.requests[2].firstAvailable[0].count: Invalid value: 0: must be greater than zero
                spec.devices.requests[2].exactly.deviceClassName: Required value
                spec.devices.requests[2].exactly.selectors[0].cel: Required value
                spec.devices.requests[2].exactly.allocationMode: Unsupported value: "Zap": supported values: "All", "ExactCount"
                spec.devices.requests[2]: Invalid value: null: exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set
                spec.devices.constraints[0].requests[0]: Invalid value: "zz": must be the name of a request in the claim or the name of a request and a subrequest separated by '/'
                spec.devices.constraints[0].matchAttribute: Required value
                spec.devices.constraints[1].matchAttribute: Invalid value: "q": must include a domain
                spec.devices.config[0].requests[1]: Duplicate value: "a"
                spec.devices.config[0].opaque: Required value
            "#]],
        );
    }

    #[test]
    fn the_wish_stays() {
        let claim =
            "spec: {devices: {requests: [{name: a, exactly: {deviceClassName: c, allocationMode: All}}]}}";
        check_invalid_update(&ResourceClaim, claim, claim, expect![[""]]);
        let mut errors = String::new();
        for error in crate::strategy::testing::in_context("", |ctx| {
            let yaml = crate::strategy::testing::yaml;
            ResourceClaim.validate_update(ctx, &yaml(&claim.replace("name: a", "name: b")), &yaml(claim))
        }) {
            errors.push_str(&error.to_string());
        }
        assert!(errors.starts_with("spec: Invalid value: ") && errors.ends_with(": field is immutable"));
    }
}
