//! The rules that the schema of a definition must keep, in upstream's words: what OpenAPI can say that a definition may
//! not, and what makes a schema structural, so that pruning and defaulting know every field by one type.
//!
//! CEL rules are refused: this server does not evaluate them, and a rule that is silently not kept is worse than none.

mod extensions;
mod nested;

use apimachinery::{FieldError, Path, Value};
use regex::Regex;

use super::schema::Schema;
use super::{defaulting, validate};

/// Where a schema stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Field,
    Item,
}

/// Every problem of the schema of a version.
pub fn check(schema: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    openapi(schema, path, &mut errors);
    if errors.is_empty() {
        structural(schema, Level::Root, path, &mut errors);
    }
    if errors.is_empty() {
        nested::complete(schema, path, &mut errors);
        defaults(schema, path, &mut errors);
    }
    errors
}

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

fn text<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema.str_at(&[key]).unwrap_or_default()
}

fn flag(schema: &Value, key: &str) -> bool {
    schema.bool_at(&[key]) == Some(true)
}

/// The schemas below one, by what upstream calls their place, with how deep a field that they describe is.
fn children<'a>(schema: &'a Value, path: &Path) -> Vec<(Path, &'a Value, Level)> {
    let mut all = Vec::new();
    if let Some(items) = schema.get("items").filter(|i| i.is_object()) {
        all.push((path.child("items"), items, Level::Item));
    }
    if let Some(additional) = schema.get("additionalProperties").filter(|a| a.is_object()) {
        all.push((path.child("additionalProperties"), additional, Level::Field));
    }
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        let place = path.child("properties");
        all.extend(properties.sorted().into_iter().map(|(key, p)| (place.key(key), p, Level::Field)));
    }
    all
}

/// The schemas of `allOf` and the like.
fn alternatives<'a>(schema: &'a Value, path: &Path) -> Vec<(Path, &'a Value)> {
    let mut all = Vec::new();
    for key in ["allOf", "anyOf", "oneOf"] {
        let place = path.child(key);
        all.extend(schema.array_at(&[key]).iter().enumerate().map(|(at, s)| (place.index(at), s)));
    }
    all.extend(schema.get("not").filter(|n| n.is_object()).map(|not| (path.child("not"), not)));
    all
}

/// What OpenAPI has and definitions have not.
fn openapi(schema: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let has = |key: &str| schema.get(key).is_some_and(|v| !v.is_null());
    let mut forbid = |key: &str, why: &str| errors.push(FieldError::forbidden(&path.child(key), why));
    if flag(schema, "uniqueItems") {
        forbid(
            "uniqueItems",
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        );
    }
    if schema.bool_at(&["additionalProperties"]) == Some(false) {
        forbid("additionalProperties", "additionalProperties cannot be set to false");
    }
    for (key, why) in [
        ("$ref", "$ref is not supported"),
        ("id", "id is not supported"),
        ("patternProperties", "patternProperties is not supported"),
        ("definitions", "definitions is not supported"),
        ("dependencies", "dependencies is not supported"),
        ("additionalItems", "additionalItems is not supported"),
    ] {
        if has(key) {
            forbid(key, why);
        }
    }
    if !schema.array_at(&["x-kubernetes-validations"]).is_empty() {
        let why = "CEL validation rules are not supported by this server yet";
        forbid("x-kubernetes-validations", why);
    }
    if text(schema, "type") == "null" {
        forbid("type", "type cannot be set to null, use nullable as an alternative");
    } else if !text(schema, "type").is_empty() && !TYPES.contains(&text(schema, "type")) {
        errors.push(FieldError::not_supported(&path.child("type"), text(schema, "type"), &TYPES));
    }
    if schema.get("items").is_some_and(Value::is_array) {
        let why = "items must be a schema object and not an array";
        errors.push(FieldError::forbidden(&path.child("items"), why));
    } else if text(schema, "type") == "array" && !has("items") {
        errors.push(FieldError::required(&path.child("items"), "must be specified"));
    }
    if has("properties") && has("additionalProperties") && !schema.at(&["properties"]).is_some_and(is_empty) {
        let why = "additionalProperties and properties are mutual exclusive";
        errors.push(FieldError::forbidden(&path.child("additionalProperties"), why));
    }
    extensions::check(schema, path, errors);
    for (path, child, _) in children(schema, path) {
        openapi(child, &path, errors);
    }
    for (path, child) in alternatives(schema, path) {
        openapi(child, &path, errors);
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_none_or(apimachinery::Object::is_empty)
}

/// What makes a schema structural.
fn structural(schema: &Value, level: Level, path: &Path, errors: &mut Vec<FieldError>) {
    let kind = text(schema, "type");
    let embedded = flag(schema, "x-kubernetes-embedded-resource");
    let open = flag(schema, "x-kubernetes-preserve-unknown-fields");
    let at = path.child("type");
    for (path, child, level) in children(schema, path) {
        structural(child, level, &path, errors);
    }
    if level == Level::Root && schema.get("additionalProperties").is_some() {
        errors
            .push(FieldError::forbidden(&path.child("additionalProperties"), "must not be used at the root"));
    }
    nested::check_all(schema, path, errors);
    check_pattern(schema, path, errors);
    if embedded && kind != "object" {
        let why = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(match kind {
            "" => FieldError::required(&at, why),
            kind => FieldError::invalid(&at, kind, why),
        });
    } else if kind.is_empty() && !open && !flag(schema, "x-kubernetes-int-or-string") {
        let why = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(FieldError::required(&at, why));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.push(FieldError::invalid(&at, kind, "must be object at the root"));
    }
    if embedded && schema.get("additionalProperties").is_some() {
        let why = "must not be used if x-kubernetes-embedded-resource is set";
        errors.push(FieldError::forbidden(&path.child("additionalProperties"), why));
    }
    if level == Level::Root || embedded {
        implied(schema, level, path, errors);
    }
    if embedded && !open && schema.get("properties").is_none_or(is_empty) {
        let why = "must not be empty if x-kubernetes-embedded-resource is true without \
                   x-kubernetes-preserve-unknown-fields";
        errors.push(FieldError::required(&path.child("properties"), why));
    }
}

/// What a schema may say of `kind`, `apiVersion` and `metadata`, which every resource has.
fn implied(schema: &Value, level: Level, path: &Path, errors: &mut Vec<FieldError>) {
    let properties = path.child("properties");
    for key in ["kind", "apiVersion"] {
        if let Some(found) = schema.at(&["properties", key]).filter(|f| text(f, "type") != "string") {
            let at = properties.key(key).child("type");
            errors.push(FieldError::invalid(&at, text(found, "type"), "must be string"));
        }
    }
    let Some(metadata) = schema.at(&["properties", "metadata"]) else { return };
    let at = properties.key("metadata");
    if text(metadata, "type") != "object" {
        errors.push(FieldError::invalid(&at.child("type"), text(metadata, "type"), "must be object"));
    }
    let known = |key: &str| matches!(key, "type" | "description" | "properties");
    let named = |key: &str| matches!(key, "name" | "generateName");
    let fields = metadata.get("properties").and_then(Value::as_object);
    let more = metadata.as_object().is_some_and(|m| m.keys().any(|key| !known(key)))
        || fields.is_some_and(|f| f.keys().any(|key| !named(key)));
    if level == Level::Root && more {
        let why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        errors.push(FieldError::forbidden(&at, why));
    }
}

fn check_pattern(schema: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    let pattern = text(schema, "pattern");
    if let Err(error) = Regex::new(pattern) {
        let why = format!("must be a valid regular expression, but isn't: {error}");
        errors.push(FieldError::invalid(&path.child("pattern"), pattern, &why));
    }
}

/// Defaults must be what the schema allows, and nothing that pruning would take away.
fn defaults(schema: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    if let Some(default) = schema.get("default").filter(|d| !d.is_null()) {
        let read = Schema::read(schema);
        let at = path.child("default");
        let mut full = default.clone();
        defaulting::apply(&read, &mut full);
        if super::prune::loses(&read, &full) {
            errors.push(FieldError::invalid(&at, default.clone(), "must not have unknown fields"));
        }
        for error in validate::validate(&read, &full, None) {
            let field = if error.field == "<nil>" { at.to_string() } else { format!("{at}.{}", error.field) };
            errors.push(FieldError { field, ..error });
        }
    }
    for (path, child, _) in children(schema, path) {
        defaults(child, &path, errors);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn found(schema: &str, expected: &[&str]) {
        let schema =
            Value::parse_yaml(schema.as_bytes(), &apimachinery::ParseOptions::default()).unwrap().value;
        let got: Vec<String> = check(&schema, &Path::new("s")).iter().map(ToString::to_string).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn every_field_has_a_type() {
        found(
            "{type: object, properties: {spec: {type: object, x-kubernetes-preserve-unknown-fields: true}}}",
            &[],
        );
        found("{}", &["s.type: Required value: must not be empty at the root"]);
        found("{type: string}", &["s.type: Invalid value: \"string\": must be object at the root"]);
        found(
            "{type: object, properties: {a: {}, b: {type: array, items: {}}}}",
            &[
                "s.properties[a].type: Required value: must not be empty for specified object fields",
                "s.properties[b].items.type: Required value: must not be empty for specified array items",
            ],
        );
        found(
            "{type: object, properties: {a: {type: text}}}",
            &[
                "s.properties[a].type: Unsupported value: \"text\": supported values: \"array\", \"boolean\", \
               \"integer\", \"number\", \"object\", \"string\"",
            ],
        );
    }

    #[test]
    fn what_definitions_may_not_say() {
        found(
            "{type: object, $ref: x, additionalProperties: false, properties: {a: {type: array}}}",
            &[
                "s.additionalProperties: Forbidden: additionalProperties cannot be set to false",
                "s.$ref: Forbidden: $ref is not supported",
                "s.additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive",
                "s.properties[a].items: Required value: must be specified",
            ],
        );
        found(
            "{type: object, properties: {a: {type: object, x-kubernetes-validations: [{rule: self.b}]}}}",
            &[
                "s.properties[a].x-kubernetes-validations: Forbidden: CEL validation rules are not supported by this \
               server yet",
            ],
        );
        found(
            "{type: object, properties: {metadata: {type: object, properties: {labels: {type: object}}}}}",
            &[
                "s.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but \
               metadata is implicitly specified",
            ],
        );
    }

    #[test]
    fn alternatives_only_narrow() {
        found(
            "{type: object, properties: {a: {type: string}}, anyOf: [{type: object, properties: {b: {minLength: 1}}}]}",
            &["s.anyOf[0].type: Forbidden: must be empty to be structural"],
        );
        found(
            "{type: object, properties: {a: {type: string}}, anyOf: [{properties: {b: {minLength: 1}}}]}",
            &["s.properties[b]: Required value: because it is defined in s.anyOf[0].properties[b]"],
        );
        found(
            "{type: object, properties: {a: {x-kubernetes-int-or-string: true, anyOf: [{type: integer}, {type: string}]}}}",
            &[],
        );
    }

    #[test]
    fn defaults_fit() {
        found("{type: object, properties: {a: {type: integer, default: 1}}}", &[]);
        found(
            "{type: object, properties: {a: {type: object, default: {b: x, c: 1}, properties: {b: {type: integer}}}}}",
            &[
                "s.properties[a].default: Invalid value: {\"b\":\"x\",\"c\":1}: must not have unknown fields",
                "s.properties[a].default.b: Invalid value: \"string\": b in body must be of type integer: \"string\"",
            ],
        );
    }

    #[test]
    fn keys_of_list_maps() {
        found(
            "{type: object, properties: {a: {type: array, x-kubernetes-list-type: map, items: {type: object}}}}",
            &["s.properties[a].x-kubernetes-list-map-keys: Required value: must not be empty if \
               x-kubernetes-list-type is map"],
        );
        found(
            "{type: object, properties: {a: {type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [k], \
             items: {type: object, properties: {k: {type: string}}}}}}",
            &["s.properties[a].items.properties[k].default: Required value: this property is in \
               x-kubernetes-list-map-keys, so it must have a default or be a required property"],
        );
    }
}
