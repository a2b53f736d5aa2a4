//! ValidatingAdmissionPolicyBinding: a policy, and what a violation leads to.

use apimachinery::{FieldError, Path, Value, names};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, required_name};

#[derive(Debug)]
pub struct ValidatingAdmissionPolicyBinding;

const ACTIONS: [&str; 3] = ["Audit", "Deny", "Warn"];

impl Strategy for ValidatingAdmissionPolicyBinding {
    fn resource(&self) -> (&'static str, &'static str) {
        ("admissionregistration.k8s.io", "validatingadmissionpolicybindings")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = Path::new("spec");
        let spec = object.get("spec").unwrap_or(&Value::NULL);
        required_name(&mut errors, spec, &path, "policyName", names::dns1123_subdomain);
        let actions = spec.array_at(&["validationActions"]);
        let path = path.child("validationActions");
        if actions.is_empty() {
            errors.push(FieldError::required(&path, "at least one validation action is required"));
        }
        for (at, action) in actions.iter().enumerate() {
            let text = action.as_str().unwrap_or_default();
            if !ACTIONS.contains(&text) {
                errors.push(FieldError::not_supported(&path.index(at), text, &ACTIONS));
            }
            if actions[..at].contains(action) {
                errors.push(FieldError::duplicate(&path.index(at), text));
            }
        }
        let has = |name: &str| actions.iter().any(|a| a.as_str() == Some(name));
        if has("Deny") && has("Warn") {
            let why = "must not contain both Deny and Warn (repeating the same validation failure information in the \
                       API response and headers serves no purpose)";
            errors.push(FieldError::invalid(&path, Value::from(actions.to_vec()), why));
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
    fn actions() {
        check_invalid(
            &ValidatingAdmissionPolicyBinding,
            "spec: {policyName: x, validationActions: [Deny, Warn, Warn, Zap]}",
            expect![[r#"
                spec.validationActions[2]: Duplicate value: "Warn"
                spec.validationActions[3]: Unsupported value: "Zap": supported values: "Audit", "Deny", "Warn"
                spec.validationActions: Invalid value: ["Deny","Warn","Warn","Zap"]: must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)
            "#]],
        );
    }
}
