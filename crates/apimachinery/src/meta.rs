//! `metadata` of objects: access, and the checks that every kind shares (`ValidateObjectMeta`, `...Update`), in
//! upstream's order and wording. Kinds bring their own rule for names.

use crate::names::{self, NameRule};
use crate::status::{FieldError, Path};
use crate::{Object, Value};

/// All annotations of an object together, keys and values.
pub const ANNOTATIONS_MAX_BYTES: usize = 256 * 1024;
/// The name of a field manager.
pub const FIELD_MANAGER_MAX_BYTES: usize = 128;
/// The subresource in a managedFields entry.
const SUBRESOURCE_MAX_BYTES: usize = 256;

/// `metadata.name`, empty when absent.
pub fn name(object: &Value) -> &str {
    text(object, "name")
}
/// `metadata.namespace`, empty for cluster-scoped objects.
pub fn namespace(object: &Value) -> &str {
    text(object, "namespace")
}
pub fn uid(object: &Value) -> &str {
    text(object, "uid")
}
pub fn resource_version(object: &Value) -> &str {
    text(object, "resourceVersion")
}
pub fn generate_name(object: &Value) -> &str {
    text(object, "generateName")
}
/// `metadata.deletionTimestamp`, when the object is being deleted.
pub fn deletion_timestamp(object: &Value) -> Option<&str> {
    Some(text(object, "deletionTimestamp")).filter(|t| !t.is_empty())
}
pub fn generation(object: &Value) -> i64 {
    object.i64_at(&["metadata", "generation"]).unwrap_or(0)
}
pub fn api_version(object: &Value) -> &str {
    object.str_at(&["apiVersion"]).unwrap_or_default()
}
pub fn kind(object: &Value) -> &str {
    object.str_at(&["kind"]).unwrap_or_default()
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.str_at(&["metadata", field]).unwrap_or_default()
}

/// Splits an `apiVersion` into group and version; `None` when it has more than one slash.
pub fn split_api_version(api_version: &str) -> Option<(&str, &str)> {
    match api_version.split_once('/') {
        None => Some(("", api_version)),
        Some((_, version)) if version.contains('/') => None,
        Some((group, version)) => Some((group, version)),
    }
}

/// The inverse of `split_api_version`.
pub fn join_api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

fn pairs<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let map = object.at(&["metadata", field]).and_then(Value::as_object);
    map.into_iter().flatten().filter_map(|(key, value)| Some((key, value.as_str()?)))
}

pub fn labels(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    pairs(object, "labels")
}
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.str_at(&["metadata", "labels", key])
}
pub fn annotations(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    pairs(object, "annotations")
}
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.str_at(&["metadata", "annotations", key])
}
pub fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    object.array_at(&["metadata", "finalizers"]).iter().filter_map(Value::as_str)
}
pub fn owner_references(object: &Value) -> &[Value] {
    object.array_at(&["metadata", "ownerReferences"])
}
/// The owner that manages the object, if any.
pub fn controller_of(object: &Value) -> Option<&Value> {
    owner_references(object).iter().find(|r| r.bool_at(&["controller"]) == Some(true))
}

/// Sets a field of `metadata`.
pub fn set(object: &mut Value, field: &str, value: impl Into<Value>) {
    object.set_at(&["metadata", field], value);
}
/// Removes a field of `metadata` and returns it.
pub fn remove(object: &mut Value, field: &str) -> Option<Value> {
    object.remove_at(&["metadata", field])
}

/// What `ValidateObjectMeta` needs to know of a kind.
#[derive(Clone, Copy, Debug)]
pub struct MetaRules {
    pub namespaced: bool,
    pub name: NameRule,
    /// Built-in kinds also refuse unqualified finalizers that are not upstream's own.
    pub built_in: bool,
}

/// Checks the metadata of a new object (and, with `validate_update`, of a changed one); `path` is usually `metadata`.
pub fn validate_object_meta(meta: &Value, rules: MetaRules, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let text = |field: &str| meta.str_at(&[field]).unwrap_or_default();
    let mut invalid = |field: &str, value: &str, problems: names::Problems| {
        let path = path.child(field);
        errors.extend(problems.iter().map(|problem| FieldError::invalid(&path, value, problem)));
    };
    let (generate_name, name) = (text("generateName"), text("name"));
    if !generate_name.is_empty() {
        invalid("generateName", generate_name, (rules.name)(generate_name, true));
    }
    if !name.is_empty() {
        invalid("name", name, (rules.name)(name, false));
    } else {
        errors.push(FieldError::required(&path.child("name"), "name or generateName is required"));
    }
    let namespace = text("namespace");
    let namespace_path = path.child("namespace");
    match (rules.namespaced, namespace.is_empty()) {
        (true, true) => errors.push(FieldError::required(&namespace_path, "")),
        (true, false) => {
            let problems = names::label_rule(namespace, false);
            errors.extend(problems.iter().map(|p| FieldError::invalid(&namespace_path, namespace, p)));
        }
        (false, false) => errors.push(FieldError::forbidden(&namespace_path, "not allowed on this type")),
        (false, true) => {}
    }
    let generation = meta.i64_at(&["generation"]).unwrap_or(0);
    if generation < 0 {
        let detail = "must be greater than or equal to 0";
        errors.push(FieldError::invalid(&path.child("generation"), generation, detail));
    }
    errors.extend(validate_maps_and_owners(meta, path));
    errors.extend(validate_finalizers(meta.array_at(&["finalizers"]), &path.child("finalizers")));
    errors.extend(validate_managed_fields(meta.array_at(&["managedFields"]), &path.child("managedFields")));
    if rules.built_in {
        errors.extend(validate_finalizers_of_built_ins(meta, path));
    }
    errors
}

fn validate_maps_and_owners(meta: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(labels) = meta.get("labels") {
        errors.extend(validate_labels(labels, &path.child("labels")));
    }
    if let Some(annotations) = meta.get("annotations") {
        errors.extend(validate_annotations(annotations, &path.child("annotations")));
    }
    errors.extend(validate_owner_references(
        meta.array_at(&["ownerReferences"]),
        &path.child("ownerReferences"),
    ));
    errors
}

/// Checks a map of labels, in the order of its keys.
pub fn validate_labels(labels: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, value) in labels.as_object().map(Object::sorted).unwrap_or_default() {
        let value = value.as_str().unwrap_or_default();
        errors.extend(names::qualified_name(key).iter().map(|p| FieldError::invalid(path, key, p)));
        errors.extend(names::label_value(value).iter().map(|p| FieldError::invalid(path, value, p)));
    }
    errors
}

/// Checks a map of annotations: keys as of labels but of any case, and the size of the whole.
pub fn validate_annotations(annotations: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut bytes = 0;
    for (key, value) in annotations.as_object().map(Object::sorted).unwrap_or_default() {
        let problems = names::qualified_name(&key.to_lowercase());
        errors.extend(problems.iter().map(|p| FieldError::invalid(path, key, p)));
        bytes += key.len() + value.as_str().unwrap_or_default().len();
    }
    if bytes > ANNOTATIONS_MAX_BYTES {
        errors.push(FieldError::too_long(path, ANNOTATIONS_MAX_BYTES));
    }
    errors
}

fn validate_owner_references(references: &[Value], path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut controller: Option<&str> = None;
    for reference in references {
        let text = |field: &str| reference.str_at(&[field]).unwrap_or_default();
        let (group, version) = split_api_version(text("apiVersion")).unwrap_or_default();
        let mut refuse =
            |field: &str, detail| errors.push(FieldError::invalid(&path.child(field), text(field), detail));
        if version.is_empty() {
            refuse("apiVersion", "version must not be empty");
        }
        for field in ["kind", "name", "uid"] {
            if text(field).is_empty() {
                refuse(field, "must not be empty");
            }
        }
        if (group, version, text("kind")) == ("", "v1", "Event") {
            let shown = in_go_order(reference);
            errors.push(FieldError::invalid(
                path,
                shown,
                "/v1, Kind=Event is disallowed from being an owner",
            ));
        }
        if reference.bool_at(&["controller"]) == Some(true) {
            match controller {
                None => controller = Some(text("name")),
                Some(first) => {
                    let shown: Vec<Value> = references.iter().map(in_go_order).collect();
                    let detail = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {}",
                        text("name")
                    );
                    errors.push(FieldError::invalid(path, shown, &detail));
                }
            }
        }
    }
    errors
}

/// An owner reference as Go's struct prints it.
fn in_go_order(reference: &Value) -> Value {
    let mut shown = Value::object();
    for field in ["apiVersion", "kind", "name", "uid"] {
        shown.set_at(&[field], reference.str_at(&[field]).unwrap_or_default());
    }
    for field in ["controller", "blockOwnerDeletion"] {
        if let Some(flag) = reference.bool_at(&[field]) {
            shown.set_at(&[field], flag);
        }
    }
    shown
}

fn validate_finalizers(finalizers: &[Value], path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let texts = || finalizers.iter().filter_map(Value::as_str);
    for finalizer in texts() {
        let problems = names::qualified_name(finalizer);
        errors.extend(problems.iter().map(|p| FieldError::invalid(path, finalizer, p)));
    }
    if texts().any(|f| f == "orphan") && texts().any(|f| f == "foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(FieldError::invalid(path, finalizers.to_vec(), detail));
    }
    errors
}

fn validate_finalizers_of_built_ins(meta: &Value, path: &Path) -> Vec<FieldError> {
    let path = path.child("finalizers");
    let finalizers = meta.array_at(&["finalizers"]).iter().filter_map(Value::as_str).enumerate();
    finalizers
        .filter(|(_, f)| !f.contains('/') && !matches!(*f, "kubernetes" | "orphan" | "foregroundDeletion"))
        .map(|(i, f)| {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            FieldError::invalid(&path.index(i), f, detail)
        })
        .collect()
}

fn validate_managed_fields(entries: &[Value], path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        let path = path.index(i);
        let text = |field: &str| entry.str_at(&[field]).unwrap_or_default();
        if !matches!(text("operation"), "Apply" | "Update") {
            let detail = "must be `Apply` or `Update`";
            errors.push(FieldError::invalid(&path.child("operation"), text("operation"), detail));
        }
        if !matches!(text("fieldsType"), "" | "FieldsV1") {
            let detail = "must be `FieldsV1`";
            errors.push(FieldError::invalid(&path.child("fieldsType"), text("fieldsType"), detail));
        }
        errors.extend(validate_field_manager(text("manager"), &path.child("manager")));
        if text("subresource").len() > SUBRESOURCE_MAX_BYTES {
            errors.push(FieldError::too_long(&path.child("subresource"), SUBRESOURCE_MAX_BYTES));
        }
    }
    errors
}

/// Checks the name of a field manager, as in the query parameter `fieldManager`.
pub fn validate_field_manager(manager: &str, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if manager.len() > FIELD_MANAGER_MAX_BYTES {
        errors.push(FieldError::too_long(path, FIELD_MANAGER_MAX_BYTES));
    }
    for (i, c) in manager.char_indices().filter(|(_, c)| !crate::go::is_printable(*c)) {
        let detail = format!("invalid character U+{:04X} (at position {i})", u32::from(c));
        errors.push(FieldError::invalid(path, manager, &detail));
    }
    errors
}

/// Checks what an update may do to metadata.
pub fn validate_object_meta_update(new: &Value, old: &Value, built_in: bool, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let has = |meta: &Value, field: &str| meta.get(field).is_some_and(|v| !v.is_null());
    if has(old, "deletionTimestamp") {
        errors.extend(validate_no_new_finalizers(new, old, path));
    }
    if new.str_at(&["resourceVersion"]).unwrap_or_default().is_empty() {
        let detail = "must be specified for an update";
        errors.push(FieldError::invalid(&path.child("resourceVersion"), 0, detail));
    }
    let generation = |meta: &Value| meta.i64_at(&["generation"]).unwrap_or(0);
    if generation(new) < generation(old) {
        let detail = "must not be decremented";
        errors.push(FieldError::invalid(&path.child("generation"), generation(new), detail));
    }
    for field in
        ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"]
    {
        let zero = if field.starts_with("deletion") || field == "creationTimestamp" {
            Value::NULL
        } else {
            Value::from("")
        };
        let value = |meta: &Value| meta.get(field).filter(|v| !v.is_null()).unwrap_or(&zero).clone();
        if value(new) != value(old) {
            errors.push(FieldError::invalid(&path.child(field), value(new), "field is immutable"));
        }
    }
    errors.extend(validate_maps_and_owners(new, path));
    errors.extend(validate_managed_fields(new.array_at(&["managedFields"]), &path.child("managedFields")));
    if built_in {
        errors.extend(validate_finalizers_of_built_ins(new, path));
    }
    errors
}

fn validate_no_new_finalizers(new: &Value, old: &Value, path: &Path) -> Option<FieldError> {
    let old = old.array_at(&["finalizers"]);
    let mut added: Vec<&str> =
        new.array_at(&["finalizers"]).iter().filter(|f| !old.contains(f)).filter_map(Value::as_str).collect();
    if added.is_empty() {
        return None;
    }
    added.sort_unstable();
    added.dedup();
    let quoted: Vec<_> = added.into_iter().map(crate::go::quote).collect();
    let detail = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        quoted.join(", ")
    );
    Some(FieldError::forbidden(&path.child("finalizers"), &detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn value(json: &str) -> Value {
        Value::from_json(json.as_bytes()).unwrap()
    }

    fn shorten(errors: &[FieldError]) -> String {
        let line = |e: &FieldError| e.to_string().split(" (e.g.").next().unwrap().to_owned();
        errors.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[track_caller]
    fn check(json: &str, expected: Expect) {
        let rules = MetaRules { namespaced: true, name: names::subdomain_rule, built_in: true };
        expected.assert_eq(&shorten(&validate_object_meta(&value(json), rules, &Path::new("metadata"))));
    }

    #[test]
    fn new_objects() {
        check(
            r#"{"name":"x","namespace":"n","generateName":"x-","labels":{"a":"b"},"finalizers":["a/b","orphan"]}"#,
            expect![""],
        );
        check(
            r#"{"generateName":"A-"}"#,
            expect![[r#"
                metadata.name: Required value: name or generateName is required
                metadata.namespace: Required value"#]],
        );
        check(
            r#"{"name":"x","namespace":"n","labels":{"a":"-"},"annotations":{"A B":""},"finalizers":["x","bad name"]}"#,
            expect![[r#"
            metadata.labels: Invalid value: "-": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character
            metadata.annotations: Invalid value: "A B": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character
            metadata.finalizers: Invalid value: "bad name": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character
            metadata.finalizers[0]: Invalid value: "x": name is neither a standard finalizer name nor is it fully qualified
            metadata.finalizers[1]: Invalid value: "bad name": name is neither a standard finalizer name nor is it fully qualified"#]],
        );
        check(
            r#"{"name":"x","namespace":"n","ownerReferences":[{},{"uid":"u","name":"x","kind":"Event","apiVersion":"v1"}]}"#,
            expect![[r#"
            metadata.ownerReferences.apiVersion: Invalid value: "": version must not be empty
            metadata.ownerReferences.kind: Invalid value: "": must not be empty
            metadata.ownerReferences.name: Invalid value: "": must not be empty
            metadata.ownerReferences.uid: Invalid value: "": must not be empty
            metadata.ownerReferences: Invalid value: {"apiVersion":"v1","kind":"Event","name":"x","uid":"u"}: /v1, Kind=Event is disallowed from being an owner"#]],
        );
        let big = format!(
            r#"{{"name":"x","namespace":"n","annotations":{{"a":"{}"}}}}"#,
            "x".repeat(ANNOTATIONS_MAX_BYTES)
        );
        check(&big, expect!["metadata.annotations: Too long: may not be more than 262144 bytes"]);
    }

    #[test]
    fn updates() {
        let old = value(
            r#"{"name":"x","uid":"u","deletionTimestamp":"2020-01-01T00:00:00Z","finalizers":["a/b"]}"#,
        );
        let new = value(r#"{"name":"x","uid":"v","finalizers":["a/b","e.com/b"]}"#);
        let errors = validate_object_meta_update(&new, &old, true, &Path::new("metadata"));
        expect![[r#"
            metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"e.com/b"}
            metadata.resourceVersion: Invalid value: 0: must be specified for an update
            metadata.uid: Invalid value: "v": field is immutable
            metadata.deletionTimestamp: Invalid value: null: field is immutable"#]]
        .assert_eq(&shorten(&errors));
    }

    #[test]
    fn managers() {
        let errors = validate_field_manager("a\u{1}b", &Path::new("fieldManager"));
        assert_eq!(
            shorten(&errors),
            "fieldManager: Invalid value: \"a\\x01b\": invalid character U+0001 (at position 1)"
        );
    }
}
