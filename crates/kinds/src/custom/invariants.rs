//! What a schema demands beyond OpenAPI: elements of sets and list maps are unique, embedded resources say what they are.

use apimachinery::meta::{MetaRules, validate_object_meta};
use apimachinery::{FieldError, Object, Path, Value, names};

use super::schema::Schema;

/// Elements that occur twice in a set or list map.
pub(super) fn lists(schema: &Schema, value: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    walk_lists(schema, value, &Path::nil(), &mut errors);
    errors
}

fn walk_lists(schema: &Schema, value: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    if let Some(object) = value.as_object() {
        for (key, member) in object.sorted() {
            if let Some(property) = schema.properties.get(key) {
                walk_lists(property, member, &path.child(key), errors);
            } else if let Some(below) = schema.below(key) {
                walk_lists(below, member, &path.key(key), errors);
            }
        }
    }
    let Some(items) = value.as_array() else { return };
    match schema.list_type.as_str() {
        "set" => duplicates(items.iter().map(|item| Some(item.clone())), path, errors),
        "map" => duplicates(items.iter().map(|item| Some(key_of(schema, item.as_object()?))), path, errors),
        _ => {}
    }
    if let Some(element) = &schema.items {
        for (at, item) in items.iter().enumerate() {
            walk_lists(element, item, &path.index(at), errors);
        }
    }
}

fn duplicates(keys: impl Iterator<Item = Option<Value>>, path: &Path, errors: &mut Vec<FieldError>) {
    let mut seen = std::collections::BTreeSet::new();
    for (at, key) in keys.enumerate() {
        let Some(key) = key else { continue };
        if !seen.insert(key.to_json()) {
            errors.push(FieldError::duplicate(&path.index(at), key));
        }
    }
}

/// The keys of an element, sorted by name; a key that the element leaves out counts as its default.
fn key_of(schema: &Schema, item: &Object) -> Value {
    let mut names: Vec<&String> = schema.map_keys.iter().collect();
    names.sort();
    let default = |name: &str| schema.items.as_ref()?.properties.get(name)?.default.clone();
    let keys = names.into_iter().filter_map(|name| {
        let value = item.get(name).cloned().or_else(|| default(name))?;
        Some((name.as_str(), value))
    });
    keys.collect()
}

/// Problems of embedded resources.
pub(super) fn embedded(schema: &Schema, value: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    walk_embedded(schema, value, &Path::nil(), &mut errors);
    errors
}

fn walk_embedded(schema: &Schema, value: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    if schema.embedded && value.is_object() {
        resource(value, path, errors);
    }
    if let Some(object) = value.as_object() {
        for (key, member) in object.sorted() {
            if let Some(property) = schema.properties.get(key) {
                walk_embedded(property, member, &path.child(key), errors);
            } else if let Some(below) = schema.below(key) {
                walk_embedded(below, member, &path.key(key), errors);
            }
        }
    } else if let (Some(items), Some(element)) = (value.as_array(), &schema.items) {
        for (at, item) in items.iter().enumerate() {
            walk_embedded(element, item, &path.index(at), errors);
        }
    }
}

fn resource(value: &Value, path: &Path, errors: &mut Vec<FieldError>) {
    for key in ["apiVersion", "kind"] {
        let at = path.child(key);
        match value.get(key) {
            None => errors.push(FieldError::required(&at, "must not be empty")),
            Some(found) => match found.as_str() {
                Some("") => errors.push(FieldError::required(&at, "must not be empty")),
                Some(text) if key == "kind" => {
                    let wrong = names::dns1035_label(&text.to_lowercase());
                    if !wrong.is_empty() {
                        let why =
                            format!("may have mixed case, but should otherwise match: {}", wrong.join(","));
                        errors.push(FieldError::invalid(&at, text, &why));
                    }
                }
                Some(text) if text.matches('/').count() > 1 => {
                    let why = format!("unexpected GroupVersion string: {text}");
                    errors.push(FieldError::invalid(&at, text, &why));
                }
                Some(_) => {}
                None => errors.push(FieldError::type_invalid(&at, found.clone(), "must be a string")),
            },
        }
    }
    if let Some(metadata) = value.get("metadata").filter(|m| m.is_object()) {
        let named = metadata.get("name").is_some() || metadata.get("generateName").is_some();
        let namespaced = metadata.get("namespace").is_some();
        let rules = MetaRules { namespaced, name: names::path_segment_rule, built_in: false };
        if named {
            errors.extend(validate_object_meta(metadata, rules, &path.child("metadata")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(schema: &str, value: &str, expected: &[&str]) {
        let read = |text: &str| {
            Value::parse_yaml(text.as_bytes(), &apimachinery::ParseOptions::default()).unwrap().value
        };
        let (schema, value) = (Schema::read(&read(schema)), read(value));
        let errors = [lists(&schema, &value), embedded(&schema, &value)].concat();
        let got: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn elements_are_unique() {
        check(
            "{properties: {s: {x-kubernetes-list-type: set, items: {type: string}}}}",
            "{s: [a, b, a]}",
            &["s[2]: Duplicate value: \"a\""],
        );
        check(
            "{properties: {p: {x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [port, protocol], \
             items: {properties: {protocol: {default: TCP}}}}}}",
            "{p: [{port: 1}, {port: 1, protocol: UDP}, {port: 1, protocol: TCP}]}",
            &["p[2]: Duplicate value: {\"port\":1,\"protocol\":\"TCP\"}"],
        );
    }

    #[test]
    fn embedded_resources_say_what_they_are() {
        let schema = "{properties: {t: {x-kubernetes-embedded-resource: true}}}";
        check(
            schema,
            "{t: {}}",
            &["t.apiVersion: Required value: must not be empty", "t.kind: Required value: must not be empty"],
        );
        check(schema, "{t: {apiVersion: v1, kind: Pod, metadata: {labels: {a: b}}}}", &[]);
    }
}
