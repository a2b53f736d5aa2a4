//! Schemas below `allOf`, `anyOf`, `oneOf` and `not`: they narrow what the structure says and add nothing to it.

use apimachinery::{FieldError, Path, Value};

use super::{alternatives, check_pattern, children, flag, text};

/// The schemas of `allOf` and the like of a structural schema.
pub(super) fn check_all(schema: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let (any_of, first_all_of) = int_or_string_patterns(schema);
    for (place, child) in alternatives(schema, path) {
        let text = place.to_string();
        if any_of && text.starts_with(&path.child("anyOf").to_string()) {
            continue;
        }
        let skip = first_all_of && text == path.child("allOf").index(0).to_string();
        check(child, skip, &place, errors);
    }
}

/// Whether a schema spells int-or-string as upstream's generators do: `anyOf` of the two types, or that in its first
/// `allOf`.
fn int_or_string_patterns(schema: &Value) -> (bool, bool) {
    let is_pattern = |schema: &Value| {
        let kinds: Vec<&str> = schema.array_at(&["anyOf"]).iter().map(|s| text(s, "type")).collect();
        kinds == ["integer", "string"]
    };
    if !flag(schema, "x-kubernetes-int-or-string") {
        return (false, false);
    }
    (is_pattern(schema), schema.array_at(&["allOf"]).first().is_some_and(is_pattern))
}

fn check(schema: &Value, skip_any_of: bool, path: &Path, errors: &mut Vec<FieldError>) {
    for key in ["description", "type", "title", "x-kubernetes-list-map-keys"] {
        let set = schema.str_at(&[key]).is_some_and(|t| !t.is_empty()) || !schema.array_at(&[key]).is_empty();
        if set {
            errors.push(FieldError::forbidden(&path.child(key), "must be empty to be structural"));
        }
    }
    for key in ["default", "additionalProperties", "x-kubernetes-list-type", "x-kubernetes-map-type"] {
        if schema.get(key).is_some_and(|v| !v.is_null()) {
            errors.push(FieldError::forbidden(&path.child(key), "must be undefined to be structural"));
        }
    }
    for key in [
        "nullable",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-embedded-resource",
        "x-kubernetes-int-or-string",
    ] {
        if flag(schema, key) {
            errors.push(FieldError::forbidden(&path.child(key), "must be false to be structural"));
        }
    }
    if schema.at(&["properties", "metadata"]).is_some() {
        let at = path.child("properties").key("metadata");
        errors.push(FieldError::forbidden(&at, "must not be specified in a nested context"));
    }
    check_pattern(schema, path, errors);
    for (path, child, _) in children(schema, path) {
        if schema.get("additionalProperties") != Some(child) {
            check(child, false, &path, errors);
        }
    }
    for (place, child) in alternatives(schema, path) {
        if !(skip_any_of && place.to_string().starts_with(&path.child("anyOf").to_string())) {
            check(child, false, &place, errors);
        }
    }
}

/// Fields that an alternative names must be known to the structure.
pub(super) fn complete(schema: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    for (place, child) in alternatives(schema, path) {
        known(child, &place, schema, path, errors);
    }
    for (path, child, _) in children(schema, path) {
        complete(child, &path, errors);
    }
}

fn known(nested: &Value, place: &Path, schema: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    if let Some(items) = nested.get("items").filter(|i| i.is_object()) {
        match schema.get("items").filter(|i| i.is_object()) {
            Some(own) => known(items, &place.child("items"), own, &path.child("items"), errors),
            None => {
                let why = format!("because it is defined in {}", place.child("items"));
                errors.push(FieldError::required(&path.child("items"), &why));
            }
        }
    }
    if let Some(properties) = nested.get("properties").and_then(Value::as_object) {
        let additional = schema.get("additionalProperties").filter(|a| a.is_object());
        for (key, property) in properties.sorted() {
            let (inner, outer) = (place.child("properties").key(key), path.child("properties").key(key));
            match (schema.at(&["properties", key]), additional) {
                (Some(own), _) => known(property, &inner, own, &outer, errors),
                (None, Some(own)) => {
                    known(property, &inner, own, &path.child("additionalProperties"), errors)
                }
                (None, None) => {
                    let why = format!("because it is defined in {inner}");
                    errors.push(FieldError::required(&outer, &why));
                }
            }
        }
    }
    for (inner, child) in alternatives(nested, place) {
        known(child, &inner, schema, path, errors);
    }
}
