//! Custom kinds as OpenAPI schemas: what their definition says, with what every object and list has.

use apimachinery::{Object, Value};
use kinds::Gvk;
use kinds::custom::Version;

use super::schema::{Flavor, META, Schemas, gvk_value};
use crate::value;
use crate::values::strings;

/// A kind whose texts every other kind has too.
const LIKE: &str = "io.k8s.api.core.v1.ConfigMap";

/// The schema of an object.
pub(super) fn object(schemas: &mut Schemas<'_>, version: &Version, gvk: &Gvk) -> Value {
    let mut schema = version.published.clone();
    if schemas.flavor == Flavor::V2 {
        for_v2(&mut schema);
    }
    let mut properties = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    for key in ["apiVersion", "kind"] {
        properties.insert(key, type_field(schemas, key));
    }
    properties.insert("metadata", reference(schemas, &format!("{META}.ObjectMeta"), "metadata"));
    properties.sort_keys();
    schema.set_at(&["type"], "object");
    schema.set_at(&["properties"], properties);
    schema.set_at(&["x-kubernetes-group-version-kind"], vec![gvk_value(gvk)]);
    if !version.selectable.is_empty() {
        let fields: Vec<Value> =
            version.selectable.iter().map(|field| value!({ "fieldPath": (field.as_str()) })).collect();
        schema.set_at(&["x-kubernetes-selectable-fields"], fields);
    }
    schema
}

/// The schema of a list of the objects that `item` names.
pub(super) fn list(schemas: &mut Schemas<'_>, item: &str, plural: &str, gvk: &Gvk) -> Value {
    let items = schemas.reference(item);
    let about = format!(
        "List of {plural}. More info: \
         https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
    );
    let mut properties = Object::new();
    properties.insert("apiVersion", type_field(schemas, "apiVersion"));
    properties.insert("items", value!({ "description": (about), "type": "array", "items": (items) }));
    properties.insert("kind", type_field(schemas, "kind"));
    properties.insert("metadata", reference(schemas, &format!("{META}.ListMeta"), "metadata"));
    let description = format!("{} is a list of {}", gvk.kind, item.rsplit('.').next().unwrap_or(item));
    value!({
        "description": (description),
        "type": "object",
        "required": (strings(["items"])),
        "properties": (properties),
        "x-kubernetes-group-version-kind": (vec![gvk_value(gvk)]),
    })
}

fn type_field(schemas: &Schemas<'_>, key: &str) -> Value {
    let mut field = Object::new();
    if let Some(text) = schemas.text_of(LIKE, key) {
        field.insert("description", text);
    }
    field.insert("type", "string");
    field.into()
}

/// A field that another schema describes. In v3 nothing may stand beside a reference.
fn reference(schemas: &mut Schemas<'_>, name: &str, field: &str) -> Value {
    let reference = schemas.reference(name);
    let mut shown = Object::new();
    if let Some(text) = schemas.text_of(LIKE, field) {
        shown.insert("description", text);
    }
    match schemas.flavor {
        Flavor::V3 => {
            shown.insert("allOf", vec![reference]);
        }
        Flavor::V2 => {
            for (key, value) in reference.as_object().into_iter().flat_map(Object::iter) {
                shown.insert(key, value.clone());
            }
        }
    }
    shown.into()
}

/// Takes away what v2 cannot say: alternatives, and what may be null has no type.
fn for_v2(schema: &mut Value) {
    let Some(members) = schema.as_object_mut() else { return };
    for key in ["allOf", "anyOf", "oneOf", "not"] {
        members.remove(key);
    }
    if members.remove("nullable").and_then(|n| n.as_bool()) == Some(true) {
        for key in ["type", "items", "properties"] {
            members.remove(key);
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(below) = members.get_mut(key) {
            for_v2(below);
        }
    }
    if let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) {
        properties.iter_mut().for_each(|(_, property)| for_v2(property));
    }
}
