//! StorageClass: a provisioner and its parameters, which never change.

use apimachinery::{FieldError, Path, Value, names};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, immutable, members, one_of, optional_one_of, problems, required};
use crate::strategy::core::pod::label_name;
use crate::values::text;

#[derive(Debug)]
pub struct StorageClass;

const PARAMETERS_MAX: usize = 512;
const PARAMETERS_BYTES_MAX: usize = 256 * 1024;
const MODES: [&str; 2] = ["Immediate", "WaitForFirstConsumer"];

impl Strategy for StorageClass {
    fn resource(&self) -> (&'static str, &'static str) {
        ("storage.k8s.io", "storageclasses")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let nil = Path::nil();
        let provisioner = required(&mut errors, object, &nil, "provisioner");
        if !provisioner.is_empty() {
            let found = names::qualified_name(&provisioner.to_lowercase());
            problems(&mut errors, &Path::new("provisioner"), provisioner, found);
        }
        parameters(&mut errors, object.get("parameters"), &Path::new("parameters"), true);
        optional_one_of(&mut errors, object, &nil, "reclaimPolicy", &["Delete", "Retain"]);
        if object.get("volumeBindingMode").is_none() {
            errors.push(FieldError::required(&Path::new("volumeBindingMode"), ""));
        } else {
            one_of(&mut errors, object, &nil, "volumeBindingMode", &MODES);
        }
        topologies(&mut errors, object.array_at(&["allowedTopologies"]), &Path::new("allowedTopologies"));
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = self.validate_create(ctx, object);
        for key in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
            immutable(&mut errors, object, old, &[key], &Path::new(key));
        }
        errors
    }
}

/// What a driver is told: not too much, and no empty names.
pub(super) fn parameters(errors: &mut Errors, value: Option<&Value>, path: &Path, may_be_empty: bool) {
    let found = members(value);
    if found.is_empty() && !may_be_empty {
        errors.push(FieldError::required(path, "must contain at least one key/value pair"));
    }
    if found.len() > PARAMETERS_MAX {
        errors.push(FieldError::too_long(path, PARAMETERS_MAX));
        return;
    }
    for (key, _) in &found {
        if key.is_empty() {
            errors.push(FieldError::invalid(path, *key, "field can not be empty."));
        }
    }
    let bytes: usize = found.iter().map(|(k, v)| k.len() + v.as_str().map_or(0, str::len)).sum();
    if bytes > PARAMETERS_BYTES_MAX {
        errors.push(FieldError::too_long(path, PARAMETERS_BYTES_MAX));
    }
}

fn topologies(errors: &mut Errors, terms: &[Value], path: &Path) {
    for (at, term) in terms.iter().enumerate() {
        let path = path.index(at).child("matchLabelExpressions");
        let expressions = term.array_at(&["matchLabelExpressions"]);
        for (at, expression) in expressions.iter().enumerate() {
            let path = path.index(at);
            let key = text(expression, &["key"]);
            let values = expression.array_at(&["values"]);
            if values.is_empty() {
                errors.push(FieldError::required(&path.child("values"), ""));
            }
            for (at, value) in values.iter().enumerate() {
                if values[..at].contains(value) {
                    errors.push(FieldError::duplicate(&path.child("values").index(at), value.clone()));
                }
            }
            label_name(errors, key, &path.child("key"));
            if expressions[..at].iter().any(|e| text(e, &["key"]) == key) {
                errors.push(FieldError::duplicate(&path.child("key"), key));
            }
        }
        if terms[..at].contains(term) {
            errors.push(FieldError::duplicate(&path, ""));
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::strategy::testing::{check_invalid, check_invalid_update};

    #[test]
    fn classes() {
        check_invalid(
            &StorageClass,
            "{parameters: {'': x}, reclaimPolicy: Zap}",
            expect![[r#"
                provisioner: Required value
                parameters: Invalid value: "": field can not be empty.
                reclaimPolicy: Unsupported value: "Zap": supported values: "Delete", "Retain"
                volumeBindingMode: Required value
            "#]],
        );
        check_invalid_update(
            &StorageClass,
            "{provisioner: a, volumeBindingMode: Immediate}",
            "{provisioner: b, volumeBindingMode: Immediate}",
            expect![[r#"
                provisioner: Invalid value: "b": field is immutable
            "#]],
        );
    }
}
