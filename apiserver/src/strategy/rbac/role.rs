//! Role: rules for the resources of a namespace.

use apimachinery::{FieldError, Value};

use super::rules::{GROUP, validate_rules};
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::Errors;

#[derive(Debug)]
pub struct Role;

impl Strategy for Role {
    fn resource(&self) -> (&'static str, &'static str) {
        (GROUP, "roles")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        validate_rules(&mut errors, object, true);
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        self.validate_create(ctx, object)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::strategy::testing::check_invalid;

    #[test]
    fn rules_name_resources_of_the_namespace() {
        check_invalid(
            &Role,
            "rules: [{verbs: [get], nonResourceURLs: [/x], resources: [pods]}, {}]",
            expect![[r#"
                rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs
                rules[0].nonResourceURLs: Invalid value: ["/x"]: rules cannot apply to both regular resources and non-resource URLs
                rules[1].verbs: Required value: verbs must contain at least one value
                rules[1].apiGroups: Required value: resource rules must supply at least one api group
                rules[1].resources: Required value: resource rules must supply at least one resource
            "#]],
        );
    }
}
