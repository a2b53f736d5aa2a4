//! One version of a definition: columns, subresources, selectable fields; and the approval of protected groups.

use apimachinery::{FieldError, Path, Value, meta};
use kinds::custom::{JsonPath, Schema};

use crate::custom::conditions::{APPROVED, is_protected};
use crate::strategy::check::Errors;
use crate::values::text;

const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 8] =
    ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
/// As upstream.
const SELECTABLE_MAX: usize = 8;

pub(super) fn validate(errors: &mut Errors, version: &Value, path: &Path) {
    let columns = path.child("additionalPrinterColumns");
    for (at, column) in version.array_at(&["additionalPrinterColumns"]).iter().enumerate() {
        validate_column(errors, column, &columns.index(at));
    }
    if let Some(scale) = version.at(&["subresources", "scale"]) {
        validate_scale(errors, scale, &path.child("subresources").child("scale"));
    }
    validate_selectable(errors, version, &path.child("selectableFields"));
}

fn validate_column(errors: &mut Errors, column: &Value, path: &Path) {
    for key in ["name", "type", "jsonPath"] {
        if text(column, &[key]).is_empty() {
            errors.push(FieldError::required(&path.child(key), ""));
        }
    }
    let (kind, format, at) =
        (text(column, &["type"]), text(column, &["format"]), text(column, &["jsonPath"]));
    if !kind.is_empty() && !COLUMN_TYPES.contains(&kind) {
        let why = format!("must be one of {}", COLUMN_TYPES.join(","));
        errors.push(FieldError::invalid(&path.child("type"), kind, &why));
    }
    if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
        let why = format!("must be one of {}", COLUMN_FORMATS.join(","));
        errors.push(FieldError::invalid(&path.child("format"), format, &why));
    }
    if !at.is_empty() {
        simple_path(errors, at, &path.child("jsonPath"));
    }
}

/// A path that begins with a dot and can be followed.
fn simple_path(errors: &mut Errors, text: &str, path: &Path) -> bool {
    let wrong = if !text.starts_with('.') {
        "must be a simple json path starting with ."
    } else if JsonPath::parse(text).is_none() {
        "is an invalid path"
    } else {
        return true;
    };
    errors.push(FieldError::invalid(path, text, wrong));
    false
}

fn validate_scale(errors: &mut Errors, scale: &Value, path: &Path) {
    for (key, root) in
        [("specReplicasPath", ".spec."), ("statusReplicasPath", ".status."), ("labelSelectorPath", "")]
    {
        let (found, at) = (text(scale, &[key]), path.child(key));
        if found.is_empty() {
            if key != "labelSelectorPath" {
                errors.push(FieldError::required(&at, ""));
            }
            continue;
        }
        if !plain_path(errors, found, &at) {
            continue;
        }
        let under = |root: &str| found.starts_with(root);
        if key == "labelSelectorPath" && !under(".spec.") && !under(".status.") {
            let why = "should be a json path under either .spec or .status";
            errors.push(FieldError::invalid(&at, found, why));
        } else if !root.is_empty() && !under(root) {
            let why = format!("should be a json path under {}", root.trim_end_matches('.'));
            errors.push(FieldError::invalid(&at, found, &why));
        }
    }
}

/// Members alone: what is read here is also written.
fn plain_path(errors: &mut Errors, found: &str, path: &Path) -> bool {
    if !simple_path(errors, found, path) {
        return false;
    }
    let plain = JsonPath::parse(found).is_some_and(|p| p.members().is_some()) && !found.contains('[');
    if !plain {
        errors.push(FieldError::invalid(path, found, "is an invalid path: does not support array notation"));
    }
    plain
}

fn validate_selectable(errors: &mut Errors, version: &Value, path: &Path) {
    let fields = version.array_at(&["selectableFields"]);
    if fields.len() > SELECTABLE_MAX {
        errors.push(FieldError::too_many(path, fields.len(), SELECTABLE_MAX));
    }
    let schema = version.at(&["schema", "openAPIV3Schema"]).map(Schema::read).unwrap_or_default();
    for (at, field) in fields.iter().enumerate() {
        let (found, place) = (text(field, &["jsonPath"]), path.index(at).child("jsonPath"));
        if found.is_empty() {
            errors.push(FieldError::required(&place, ""));
            continue;
        }
        if !plain_path(errors, found, &place) {
            continue;
        }
        if fields[..at].iter().any(|other| other.get("jsonPath") == field.get("jsonPath")) {
            errors.push(FieldError::duplicate(&place, found));
        }
        if found.starts_with(".metadata.") {
            let why = "must not point to fields in metadata";
            errors.push(FieldError::invalid(&place, found, why));
            continue;
        }
        let path = JsonPath::parse(found);
        let members = path.as_ref().and_then(JsonPath::members).unwrap_or_default();
        let leaf = members.iter().try_fold(&schema, |schema, key| schema.properties.get(*key));
        match leaf.map(|leaf| leaf.kind.as_str()) {
            Some("string" | "boolean" | "integer") => {}
            Some(_) => {
                let why = "must point to a field of type string, boolean or integer. Enum string fields and strings \
                           with formats are allowed.";
                errors.push(FieldError::invalid(&place, found, why));
            }
            None => errors.push(FieldError::invalid(&place, found, "invalid path: no such field")),
        }
    }
}

/// A new definition in a group of the Kubernetes project needs its approval.
pub(super) fn validate_approval(errors: &mut Errors, definition: &Value) {
    if !is_protected(text(definition, &["spec", "group"])) {
        return;
    }
    let approval = meta::annotation(definition, APPROVED).unwrap_or_default();
    if approval.is_empty() {
        let why = "protected groups must have approval annotation \"api-approved.kubernetes.io\", see \
                   https://github.com/kubernetes/enhancements/pull/1111";
        errors.push(FieldError::required(&Path::new("metadata").child("annotations").key(APPROVED), why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(version: &str, expected: &[&str]) {
        let version =
            Value::parse_yaml(version.as_bytes(), &apimachinery::ParseOptions::default()).unwrap().value;
        let mut errors = Errors::new();
        validate(&mut errors, &version, &Path::new("v"));
        let got: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn columns() {
        check(
            "additionalPrinterColumns: [{name: A, type: date, jsonPath: .metadata.creationTimestamp}]",
            &[],
        );
        check(
            "additionalPrinterColumns: [{type: text, jsonPath: spec.a}]",
            &[
                "v.additionalPrinterColumns[0].name: Required value",
                "v.additionalPrinterColumns[0].type: Invalid value: \"text\": must be one of \
                 boolean,date,integer,number,string",
                "v.additionalPrinterColumns[0].jsonPath: Invalid value: \"spec.a\": must be a simple json path \
                 starting with .",
            ],
        );
    }

    #[test]
    fn scales() {
        check(
            "subresources: {scale: {specReplicasPath: .status.n, labelSelectorPath: .metadata.s}}",
            &[
                "v.subresources.scale.specReplicasPath: Invalid value: \".status.n\": should be a json path under .spec",
                "v.subresources.scale.statusReplicasPath: Required value",
                "v.subresources.scale.labelSelectorPath: Invalid value: \".metadata.s\": should be a json path under \
                 either .spec or .status",
            ],
        );
    }

    #[test]
    fn selectable_fields() {
        let schema = "schema: {openAPIV3Schema: {properties: {spec: {properties: {a: {type: string}, b: {type: object}}}}}}";
        check(&format!("{{{schema}, selectableFields: [{{jsonPath: .spec.a}}]}}"), &[]);
        check(
            &format!("{{{schema}, selectableFields: [{{jsonPath: .spec.c}}, {{jsonPath: .metadata.name}}]}}"),
            &[
                "v.selectableFields[0].jsonPath: Invalid value: \".spec.c\": invalid path: no such field",
                "v.selectableFields[1].jsonPath: Invalid value: \".metadata.name\": must not point to fields in metadata",
            ],
        );
    }
}
