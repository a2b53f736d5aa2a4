//! ValidatingAdmissionPolicy: what must be there. Its expressions are not compiled here.

use apimachinery::{FieldError, Path, Value, names};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, one_of, required, required_name};
use crate::values::text;

#[derive(Debug)]
pub struct ValidatingAdmissionPolicy;

const REASONS: [&str; 4] = ["Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized"];

impl Strategy for ValidatingAdmissionPolicy {
    fn resource(&self) -> (&'static str, &'static str) {
        ("admissionregistration.k8s.io", "validatingadmissionpolicies")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = Path::new("spec");
        let spec = object.get("spec").unwrap_or(&Value::NULL);
        match text(spec, &["failurePolicy"]) {
            "" => errors.push(FieldError::required(&path.child("failurePolicy"), "")),
            _ => one_of(&mut errors, spec, &path, "failurePolicy", &["Fail", "Ignore"]),
        }
        if let Some(kind) = spec.get("paramKind") {
            let path = path.child("paramKind");
            required(&mut errors, kind, &path, "apiVersion");
            required(&mut errors, kind, &path, "kind");
        }
        match spec.get("matchConstraints") {
            None => errors.push(FieldError::required(&path.child("matchConstraints"), "")),
            Some(constraints) if constraints.array_at(&["resourceRules"]).is_empty() => {
                let path = path.child("matchConstraints").child("resourceRules");
                errors.push(FieldError::required(&path, ""));
            }
            Some(_) => {}
        }
        conditions_and_variables(&mut errors, spec, &path);
        let validations = spec.array_at(&["validations"]);
        let annotations = spec.array_at(&["auditAnnotations"]);
        if validations.is_empty() && annotations.is_empty() {
            for list in ["validations", "auditAnnotations"] {
                let why = "validations or auditAnnotations must contain at least one item";
                errors.push(FieldError::required(&path.child(list), why));
            }
            return errors;
        }
        for (at, validation) in validations.iter().enumerate() {
            let path = path.child("validations").index(at);
            if text(validation, &["expression"]).trim().is_empty() {
                errors.push(FieldError::required(&path.child("expression"), "expression is not specified"));
            }
            let said = |key: &str| text(validation, &[key]);
            for (key, why) in [
                ("messageExpression", "must be non-empty if specified"),
                ("message", "message must be non-empty if specified"),
            ] {
                if !said(key).is_empty() && said(key).trim().is_empty() {
                    errors.push(FieldError::invalid(&path.child(key), said(key), why));
                }
            }
            if said("message").trim().contains(['\n', '\r']) {
                let why = "message must not contain line breaks";
                errors.push(FieldError::invalid(&path.child("message"), said("message"), why));
            }
            let reason = text(validation, &["reason"]);
            if !reason.is_empty() && !REASONS.contains(&reason) {
                errors.push(FieldError::not_supported(&path.child("reason"), reason, &REASONS));
            }
        }
        for (at, annotation) in annotations.iter().enumerate() {
            let path = path.child("auditAnnotations").index(at);
            required(&mut errors, annotation, &path, "key");
            if text(annotation, &["valueExpression"]).trim().is_empty() {
                let why = "valueExpression is not specified";
                errors.push(FieldError::required(&path.child("valueExpression"), why));
            }
        }
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        if ctx.subresource.is_empty() { self.validate_create(ctx, object) } else { Vec::new() }
    }
}

fn conditions_and_variables(errors: &mut Errors, spec: &Value, path: &Path) {
    let mut seen: Vec<&str> = Vec::new();
    for (at, condition) in spec.array_at(&["matchConditions"]).iter().enumerate() {
        let path = path.child("matchConditions").index(at);
        if text(condition, &["expression"]).trim().is_empty() {
            errors.push(FieldError::required(&path.child("expression"), ""));
        }
        required_name(errors, condition, &path, "name", names::qualified_name);
        let name = text(condition, &["name"]);
        if !name.is_empty() && seen.contains(&name) {
            errors.push(FieldError::duplicate(&path.child("name"), name));
        }
        seen.push(name);
    }
    for (at, variable) in spec.array_at(&["variables"]).iter().enumerate() {
        let path = path.child("variables").index(at);
        for (key, why) in [("name", "name is not specified"), ("expression", "expression is not specified")] {
            if text(variable, &[key]).trim().is_empty() {
                errors.push(FieldError::required(&path.child(key), why));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::strategy::testing::check_invalid;

    #[test]
    fn policies() {
        check_invalid(
            &ValidatingAdmissionPolicy,
            "spec: {failurePolicy: Zap, paramKind: {kind: K}, validations: [{expression: ' ', reason: Zap, message: ' '}], \
             variables: [{}], matchConditions: [{name: a}, {name: a, expression: 'true'}]}",
            expect![[r#"
                spec.failurePolicy: Unsupported value: "Zap": supported values: "Fail", "Ignore"
                spec.paramKind.apiVersion: Required value
                spec.matchConstraints: Required value
                spec.matchConditions[0].expression: Required value
                spec.matchConditions[1].name: Duplicate value: "a"
                spec.variables[0].name: Required value: name is not specified
                spec.variables[0].expression: Required value: expression is not specified
                spec.validations[0].expression: Required value: expression is not specified
                spec.validations[0].message: Invalid value: " ": message must be non-empty if specified
                spec.validations[0].reason: Unsupported value: "Zap": supported values: "Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized"
            "#]],
        );
    }
}
