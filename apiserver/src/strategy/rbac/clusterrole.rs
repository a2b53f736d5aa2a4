//! ClusterRole: rules for the whole cluster, written down or gathered from other roles.

use apimachinery::selector::validate_label_selector;
use apimachinery::{FieldError, Path, Value};

use super::rules::{GROUP, validate_rules};
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::Errors;

#[derive(Debug)]
pub struct ClusterRole;

impl Strategy for ClusterRole {
    fn resource(&self) -> (&'static str, &'static str) {
        (GROUP, "clusterroles")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        validate_rules(&mut errors, object, false);
        let Some(aggregation) = object.get("aggregationRule") else { return errors };
        let selectors = aggregation.array_at(&["clusterRoleSelectors"]);
        let path = Path::new("aggregationRule").child("clusterRoleSelectors");
        if selectors.is_empty() {
            let why = "at least one clusterRoleSelector required if aggregationRule is non-nil";
            errors.push(FieldError::required(&path, why));
        }
        for (at, selector) in selectors.iter().enumerate() {
            errors.extend(validate_label_selector(selector, &path.index(at)));
        }
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
    fn aggregation_selects_something() {
        check_invalid(
            &ClusterRole,
            "{rules: [{verbs: [get], nonResourceURLs: [/x]}], aggregationRule: {}}",
            expect![[r#"
                aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil
            "#]],
        );
    }
}
