//! IngressClass: a controller by a domain-prefixed path that never changes, and its parameters.

use apimachinery::{FieldError, Path, Value, names};

use super::ingress::local_reference;
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, immutable, problems};
use crate::strategy::rules::domain_prefixed_path;
use crate::values::text;

#[derive(Debug)]
pub struct IngressClass;

const CONTROLLER_MAX: usize = 250;

impl Strategy for IngressClass {
    fn resource(&self) -> (&'static str, &'static str) {
        ("networking.k8s.io", "ingressclasses")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        validate(object)
    }

    fn validate_update(&self, _ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = Path::new("spec").child("controller");
        immutable(&mut errors, object, old, &["spec", "controller"], &path);
        errors.extend(validate(object));
        errors
    }
}

fn validate(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("spec");
    let controller = text(object, &["spec", "controller"]);
    if controller.len() > CONTROLLER_MAX {
        errors.push(FieldError::too_long(&path.child("controller"), CONTROLLER_MAX));
    }
    domain_prefixed_path(&mut errors, &path.child("controller"), controller);
    if let Some(parameters) = object.at(&["spec", "parameters"]) {
        validate_parameters(&mut errors, parameters, &path.child("parameters"));
    }
    errors
}

fn validate_parameters(errors: &mut Errors, parameters: &Value, path: &Path) {
    local_reference(errors, parameters, path);
    let namespace = parameters.str_at(&["namespace"]);
    let at = path.child("namespace");
    match (parameters.str_at(&["scope"]), namespace) {
        (None, _) => errors.push(FieldError::required(&path.child("scope"), "")),
        (Some("Namespace"), None) => {
            errors.push(FieldError::required(&at, "`parameters.scope` is set to 'Namespace'"));
        }
        (Some("Namespace"), Some(namespace)) => {
            problems(errors, &at, namespace, names::dns1123_label(namespace))
        }
        (Some("Cluster"), Some(_)) => {
            errors.push(FieldError::forbidden(&at, "`parameters.scope` is set to 'Cluster'"));
        }
        (Some("Cluster"), None) => {}
        (Some(other), _) => {
            errors.push(FieldError::not_supported(&path.child("scope"), other, &["Cluster", "Namespace"]));
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::strategy::testing::{check_invalid, check_invalid_update};

    #[test]
    fn controllers_and_parameters() {
        check_invalid(
            &IngressClass,
            "spec: {controller: abc, parameters: {kind: K, name: p, scope: Cluster, namespace: x}}",
            expect![[r#"
                spec.controller: Invalid value: "abc": must be a domain-prefixed path (such as "acme.io/foo")
                spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'
            "#]],
        );
        check_invalid_update(
            &IngressClass,
            "spec: {controller: a.b/c}",
            "spec: {controller: a.b/d}",
            expect![[r#"
                spec.controller: Invalid value: "a.b/d": field is immutable
            "#]],
        );
    }
}
