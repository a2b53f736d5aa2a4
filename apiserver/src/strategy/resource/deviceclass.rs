//! DeviceClass: which devices belong to it, and how they are set up.

use apimachinery::{FieldError, Path, Value};

use super::claim;
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::Errors;

#[derive(Debug)]
pub struct DeviceClass;

impl Strategy for DeviceClass {
    fn resource(&self) -> (&'static str, &'static str) {
        ("resource.k8s.io", "deviceclasses")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = Path::new("spec");
        let spec = object.get("spec").unwrap_or(&Value::NULL);
        claim::selectors(&mut errors, spec, &path);
        claim::configurations(&mut errors, spec, &path);
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        self.validate_create(ctx, object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::testing::check_invalid;
    use expect_test::expect;

    #[test]
    fn classes() {
        check_invalid(
            &DeviceClass,
            "spec: {selectors: [{}, {cel: {expression: 'true'}}], config: [{}, {opaque: {}}, {opaque: {driver: A, \
             parameters: {}}}]}",
            expect![[r#"
                spec.selectors[0].cel: Required value
                spec.config[0].opaque: Required value
                spec.config[1].opaque.driver: Required value
                spec.config[1].opaque.parameters: Required value
                spec.config[2].opaque.driver: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            "#]],
        );
    }
}
