//! ClusterRoleBinding: who has the rights of a role everywhere. The role never changes.

use apimachinery::{FieldError, Value};

use super::rules::{GROUP, same_role, validate_binding};
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::Errors;

#[derive(Debug)]
pub struct ClusterRoleBinding;

impl Strategy for ClusterRoleBinding {
    fn resource(&self) -> (&'static str, &'static str) {
        (GROUP, "clusterrolebindings")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        validate_binding(&mut errors, object, &["ClusterRole"], false);
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = self.validate_create(ctx, object);
        same_role(&mut errors, object, old);
        errors
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::strategy::testing::check_invalid;

    #[test]
    fn accounts_need_a_namespace() {
        check_invalid(
            &ClusterRoleBinding,
            "{roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: a}, subjects: [{kind: ServiceAccount, name: u}]}",
            expect![[r#"
                roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"
                subjects[0].namespace: Required value
            "#]],
        );
    }
}
