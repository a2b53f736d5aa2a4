//! The rules of `x-kubernetes-` keys.

use apimachinery::{FieldError, Path, Value};

use super::{flag, text};

const LIST_TYPES: [&str; 3] = ["atomic", "map", "set"];
const MAP_TYPES: [&str; 2] = ["atomic", "granular"];

pub(super) fn check(schema: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    open(schema, path, errors);
    list_type(schema, path, errors);
    map_type(schema, path, errors);
}

fn open(schema: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let (preserve, embedded) = ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource");
    if schema.bool_at(&[preserve]) == Some(false) {
        errors.push(FieldError::invalid(&path.child(preserve), false, "must be true or undefined"));
    }
    if flag(schema, "x-kubernetes-int-or-string") {
        for key in [preserve, embedded] {
            if flag(schema, key) {
                let why = "must be false if x-kubernetes-int-or-string is true";
                errors.push(FieldError::invalid(&path.child(key), true, why));
            }
        }
        if !text(schema, "type").is_empty() {
            let why = "must be empty if x-kubernetes-int-or-string is true";
            errors.push(FieldError::invalid(&path.child("type"), text(schema, "type"), why));
        }
    }
}

fn list_type(schema: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    const TYPE: &str = "x-kubernetes-list-type";
    const KEYS: &str = "x-kubernetes-list-map-keys";
    let (kind, keys) = (text(schema, TYPE), schema.array_at(&[KEYS]));
    if schema.get(TYPE).is_some() && !LIST_TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(&path.child(TYPE), kind, &LIST_TYPES));
        return;
    }
    if kind != "map" {
        if !keys.is_empty() {
            let why = "must be map if x-kubernetes-list-map-keys is non-empty";
            errors.push(match kind {
                "" => FieldError::required(&path.child(TYPE), why),
                kind => FieldError::invalid(&path.child(TYPE), kind, why),
            });
        }
        if kind == "set" {
            set_items(schema, path, errors);
        }
    }
    if !kind.is_empty() && text(schema, "type") != "array" {
        let why = "must be array if x-kubernetes-list-type is specified";
        errors.push(match text(schema, "type") {
            "" => FieldError::required(&path.child("type"), why),
            found => FieldError::invalid(&path.child("type"), found, why),
        });
    }
    if kind == "map" {
        if keys.is_empty() {
            let why = "must not be empty if x-kubernetes-list-type is map";
            errors.push(FieldError::required(&path.child(KEYS), why));
        }
        map_keys(schema, path, errors);
    }
}

/// Elements of a set are compared as a whole: they are scalars, or atomic.
fn set_items(schema: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let Some(items) = schema.get("items").filter(|i| i.is_object()) else { return };
    let at = path.child("items");
    if flag(items, "nullable") {
        let why = "cannot be nullable when x-kubernetes-list-type is set";
        errors.push(FieldError::forbidden(&at.child("nullable"), why));
    }
    match text(items, "type") {
        "object" if text(items, "x-kubernetes-map-type") != "atomic" => {
            let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
            errors.push(match text(items, "x-kubernetes-map-type") {
                "" => FieldError::required(&at.child("x-kubernetes-map-type"), why),
                found => FieldError::invalid(&at.child("x-kubernetes-map-type"), found, why),
            });
        }
        "array" if !matches!(text(items, "x-kubernetes-list-type"), "" | "atomic") => {
            let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
            let found = text(items, "x-kubernetes-list-type");
            errors.push(FieldError::invalid(&at.child("x-kubernetes-list-type"), found, why));
        }
        _ => {}
    }
}

fn map_keys(schema: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let keys = schema.array_at(&["x-kubernetes-list-map-keys"]);
    let Some(items) = schema.get("items").filter(|i| i.is_object()) else { return };
    let at = path.child("items");
    if text(items, "type") != "object" {
        let why = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(FieldError::invalid(&at.child("type"), text(items, "type"), why));
    }
    let required = items.array_at(&["required"]);
    for (n, key) in keys.iter().enumerate() {
        let place = path.child("x-kubernetes-list-map-keys");
        if keys[..n].contains(key) {
            errors.push(FieldError::duplicate(&place.index(n), key.clone()));
        }
        let name = key.as_str().unwrap_or_default();
        let Some(property) = items.at(&["properties", name]) else {
            let why = "entries must all be names of item properties";
            errors.push(FieldError::invalid(&place.index(n), name, why));
            continue;
        };
        let at = at.child("properties").key(name);
        if matches!(text(property, "type"), "array" | "object") {
            let why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            errors.push(FieldError::invalid(&at.child("type"), text(property, "type"), why));
        }
        if flag(property, "nullable") {
            let why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.push(FieldError::forbidden(&at.child("nullable"), why));
        }
        if property.get("default").is_none() && !required.contains(key) {
            let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required \
                       property";
            errors.push(FieldError::required(&at.child("default"), why));
        }
    }
}

fn map_type(schema: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    const TYPE: &str = "x-kubernetes-map-type";
    if schema.get(TYPE).is_none() {
        return;
    }
    let kind = text(schema, TYPE);
    if !MAP_TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(&path.child(TYPE), kind, &MAP_TYPES));
    }
    if text(schema, "type") != "object" {
        let why = "must be object if x-kubernetes-map-type is specified";
        errors.push(match text(schema, "type") {
            "" => FieldError::required(&path.child("type"), why),
            found => FieldError::invalid(&path.child("type"), found, why),
        });
    }
}
