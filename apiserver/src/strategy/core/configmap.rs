//! ConfigMap.

use apimachinery::{FieldError, Path, Value, names};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, members, problems, same};

/// Keys and values together, as upstream.
const BYTES_MAX: usize = 1024 * 1024;

#[derive(Debug)]
pub struct ConfigMap;

impl Strategy for ConfigMap {
    fn resource(&self) -> (&'static str, &'static str) {
        ("", "configmaps")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let mut bytes = 0;
        for field in ["data", "binaryData"] {
            for (key, value) in members(object.get(field)) {
                let path = Path::new(field).key(key);
                problems(&mut errors, &path, key, names::config_map_key(key));
                if field == "data" && object.at(&["binaryData", key]).is_some() {
                    let why = "duplicate of key present in binaryData";
                    errors.push(FieldError::invalid(&path, key, why));
                }
                let length = value.as_str().map_or(0, str::len);
                bytes +=
                    if field == "data" { length } else { decoded_len(value.as_str().unwrap_or_default()) };
            }
        }
        if bytes > BYTES_MAX {
            // Upstream names no field for all of them together, which it prints so.
            errors.push(FieldError::too_long(&Path::new("[]"), BYTES_MAX));
        }
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = frozen(object, old, &["data", "binaryData"]);
        errors.extend(self.validate_create(ctx, object));
        errors
    }
}

/// How many bytes a base64 text stands for.
pub(super) fn decoded_len(text: &str) -> usize {
    let padding = text.bytes().rev().take_while(|b| *b == b'=').count();
    (text.len() / 4 * 3).saturating_sub(padding)
}

/// What an object with `immutable` set may not change.
pub(super) fn frozen(object: &Value, old: &Value, fields: &[&str]) -> Errors {
    let mut errors = Errors::new();
    if old.bool_at(&["immutable"]) != Some(true) {
        return errors;
    }
    let why = "field is immutable when `immutable` is set";
    if object.bool_at(&["immutable"]) != Some(true) {
        errors.push(FieldError::forbidden(&Path::new("immutable"), why));
    }
    for field in fields {
        if !same(object.get(field), old.get(field)) {
            errors.push(FieldError::forbidden(&Path::new(field), why));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::testing::{check_invalid, check_invalid_update};
    use expect_test::expect;

    #[test]
    fn keys_are_checked_and_frozen() {
        check_invalid(
            &ConfigMap,
            "data: {'..': x, ok: y}\nbinaryData: {ok: AA==}",
            expect![[r#"
            data[..]: Invalid value: "..": must not be '..'
            data[ok]: Invalid value: "ok": duplicate of key present in binaryData
        "#]],
        );
        check_invalid_update(
            &ConfigMap,
            "immutable: true\ndata: {a: b}",
            "data: {a: c}",
            expect![[r#"
            immutable: Forbidden: field is immutable when `immutable` is set
            data: Forbidden: field is immutable when `immutable` is set
        "#]],
        );
    }
}
