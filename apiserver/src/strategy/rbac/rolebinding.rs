//! RoleBinding: who has the rights of a role in one namespace. The role never changes.

use apimachinery::{FieldError, Value};

use super::rules::{GROUP, same_role, validate_binding};
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::Errors;

#[derive(Debug)]
pub struct RoleBinding;

impl Strategy for RoleBinding {
    fn resource(&self) -> (&'static str, &'static str) {
        (GROUP, "rolebindings")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        validate_binding(&mut errors, object, &["Role", "ClusterRole"], true);
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
    use crate::strategy::testing::check_invalid_update;

    #[test]
    fn the_role_stays() {
        check_invalid_update(
            &RoleBinding,
            "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: a}",
            "{roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Zap, name: a}, subjects: [{kind: User, name: u}]}",
            expect![[r#"
                roleRef.kind: Unsupported value: "Zap": supported values: "Role", "ClusterRole"
                subjects[0].apiGroup: Unsupported value: "": supported values: "rbac.authorization.k8s.io"
                roleRef: Invalid value: {"APIGroup":"rbac.authorization.k8s.io","Kind":"Zap","Name":"a"}: cannot change roleRef
            "#]],
        );
    }
}
