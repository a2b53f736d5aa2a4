//! CSIStorageCapacity: how much room a driver has for a class in a part of the cluster. Where and of which class never
//! changes.

use apimachinery::{FieldError, Path, Value, names, selector};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, NOT_NEGATIVE, immutable, problems, quantity};
use crate::values::text;

#[derive(Debug)]
pub struct CsiStorageCapacity;

impl Strategy for CsiStorageCapacity {
    fn resource(&self) -> (&'static str, &'static str) {
        ("storage.k8s.io", "csistoragecapacities")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        if let Some(topology) = object.get("nodeTopology").filter(|t| !t.is_null()) {
            errors.extend(selector::validate_label_selector(topology, &Path::new("nodeTopology")));
        }
        let class = text(object, &["storageClassName"]);
        problems(&mut errors, &Path::new("storageClassName"), class, names::dns1123_subdomain(class));
        for key in ["capacity", "maximumVolumeSize"] {
            if let Some(amount) = quantity(object.get(key)).filter(|amount| amount.sign() < 0) {
                errors.push(FieldError::invalid(&Path::new(key), amount.to_string(), NOT_NEGATIVE));
            }
        }
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = self.validate_create(ctx, object);
        for key in ["nodeTopology", "storageClassName"] {
            immutable(&mut errors, object, old, &[key], &Path::new(key));
        }
        errors
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::strategy::testing::{check_invalid, check_invalid_update};

    #[test]
    fn capacities() {
        check_invalid(
            &CsiStorageCapacity,
            "{storageClassName: a, capacity: -1Gi}",
            expect![[r#"
                capacity: Invalid value: "-1Gi": must be greater than or equal to 0
            "#]],
        );
        check_invalid_update(
            &CsiStorageCapacity,
            "{storageClassName: a}",
            "{storageClassName: b, capacity: 1Gi}",
            expect![[r#"
                storageClassName: Invalid value: "b": field is immutable
            "#]],
        );
    }
}
