//! VolumeAttributesClass: parameters of a driver that volumes may be changed to.

use apimachinery::{FieldError, Path, Value};

use super::storageclass::parameters;
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, same};
use crate::strategy::core::pod::source::csi_driver_name;
use crate::values::text;

#[derive(Debug)]
pub struct VolumeAttributesClass;

impl Strategy for VolumeAttributesClass {
    fn resource(&self) -> (&'static str, &'static str) {
        ("storage.k8s.io", "volumeattributesclasses")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        csi_driver_name(&mut errors, text(object, &["driverName"]), &Path::new("driverName"));
        parameters(&mut errors, object.get("parameters"), &Path::new("parameters"), false);
        errors
    }

    fn validate_update(&self, _ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        for key in ["driverName", "parameters"] {
            if !same(object.get(key), old.get(key)) {
                let why = format!("updates to {key} are forbidden.");
                errors.push(FieldError::forbidden(&Path::new(key), &why));
            }
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
    fn classes_stay_as_they_are() {
        check_invalid(
            &VolumeAttributesClass,
            "{}",
            expect![[r#"
                driverName: Required value
                parameters: Required value: must contain at least one key/value pair
            "#]],
        );
        check_invalid_update(
            &VolumeAttributesClass,
            "{driverName: a.b, parameters: {a: b}}",
            "{driverName: a.b, parameters: {a: c}}",
            expect![[r#"
                parameters: Forbidden: updates to parameters are forbidden.
            "#]],
        );
    }
}
