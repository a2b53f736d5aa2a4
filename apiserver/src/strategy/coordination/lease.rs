//! Lease: who holds something, and for how long.

use apimachinery::{FieldError, Path, Value};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, not_negative};
use crate::values::text;

#[derive(Debug)]
pub struct Lease;

/// The gate of the two fields by which holders are chosen.
const COORDINATED: &str = "CoordinatedLeaderElection";
const COORDINATED_FIELDS: [&str; 2] = ["strategy", "preferredHolder"];

impl Strategy for Lease {
    fn resource(&self) -> (&'static str, &'static str) {
        ("coordination.k8s.io", "leases")
    }

    fn prepare_create(&self, ctx: &StrategyContext<'_>, object: &mut Value) {
        if !ctx.features.enabled(COORDINATED) {
            for field in COORDINATED_FIELDS {
                object.remove_at(&["spec", field]);
            }
        }
    }

    fn prepare_update(&self, ctx: &StrategyContext<'_>, object: &mut Value, old: &Value) {
        for field in COORDINATED_FIELDS {
            if !ctx.features.enabled(COORDINATED) && old.at(&["spec", field]).is_none() {
                object.remove_at(&["spec", field]);
            }
        }
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        validate(object)
    }

    fn validate_update(&self, _ctx: &StrategyContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        validate(object)
    }
}

fn validate(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("spec");
    let spec = object.get("spec").unwrap_or(&Value::NULL);
    if let Some(duration) = spec.i64_at(&["leaseDurationSeconds"])
        && duration <= 0
    {
        let path = path.child("leaseDurationSeconds");
        errors.push(FieldError::invalid(&path, duration, "must be greater than 0"));
    }
    not_negative(&mut errors, spec, &path, "leaseTransitions");
    if !text(spec, &["preferredHolder"]).is_empty() && text(spec, &["strategy"]).is_empty() {
        let why = "may only be specified when `strategy` is defined";
        errors.push(FieldError::forbidden(&path.child("preferredHolder"), why));
    }
    errors
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::strategy::testing::{check_invalid, check_prepared};

    #[test]
    fn numbers_count_something() {
        check_invalid(
            &Lease,
            "spec: {leaseDurationSeconds: 0, leaseTransitions: -1}",
            expect![[r#"
                spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0
                spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0
            "#]],
        );
    }

    #[test]
    fn gated_fields_go() {
        check_prepared(
            &Lease,
            "spec: {strategy: OldestEmulationVersion, holderIdentity: a}",
            expect![[r#"
                spec:
                  holderIdentity: a
            "#]],
        );
    }
}
