//! The four patches: from a body and the stored object to a new object, with upstream's words for results that are no
//! object of the kind any more.

use apimachinery::patch::{json::JsonPatch, merge, strategic};
use apimachinery::schema::TypeRef;
use apimachinery::status::FieldErrorReason;
use apimachinery::{ParseOptions, Status, Value, go};
use kinds::Gvk;

use super::decode::{Expected, wrong_type};
use super::options::{FieldValidation, field_error};
use super::{Registry, Resource};
use crate::negotiate::PatchType;
use crate::response::bad_request;

/// A patch that was read.
#[derive(Clone, Debug)]
pub enum Patch {
    Json(JsonPatch),
    Merge(Value),
    Strategic(Value),
    /// The object as it was sent, for server-side apply.
    Apply(Value),
}

/// A patch with what was odd about its text.
#[derive(Clone, Debug)]
pub struct Read {
    pub patch: Patch,
    problems: Vec<String>,
}

/// Reads a patch's body.
pub fn read(kind: PatchType, body: &[u8]) -> Result<Read, Status> {
    let duplicates = |paths: Vec<String>| -> Vec<String> {
        paths.iter().map(|path| format!("duplicate field {}", go::quote(path))).collect()
    };
    Ok(match kind {
        PatchType::Json => {
            let patch = JsonPatch::parse(body)?;
            Read { problems: patch.problems.clone(), patch: Patch::Json(patch) }
        }
        PatchType::Merge => {
            let parsed = merge::parse(body)?;
            Read { problems: duplicates(parsed.duplicates), patch: Patch::Merge(parsed.value) }
        }
        PatchType::Strategic => {
            let parsed =
                Value::parse_json(body, &ParseOptions::default()).map_err(|e| bad_request(e.to_string()))?;
            if !parsed.value.is_object() && !parsed.value.is_null() {
                return Err(bad_request(format!(
                    "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
                    parsed.value.type_name()
                )));
            }
            Read { problems: duplicates(parsed.duplicates), patch: Patch::Strategic(parsed.value) }
        }
        PatchType::ApplyYaml => {
            let parsed = Value::parse_yaml(body, &ParseOptions::default()).map_err(|e| {
                bad_request(format!("error decoding YAML: error converting YAML to JSON: {e}"))
            })?;
            Read { problems: duplicates(parsed.duplicates), patch: Patch::Apply(parsed.value) }
        }
    })
}

/// A wrong type in the words of upstream's converter from maps to structs, through which strategic patches go.
fn converter_text(error: &str) -> String {
    let parts = error.strip_prefix("json: cannot unmarshal ").and_then(|rest| {
        let (found, rest) = rest.split_once(" into Go struct field ")?;
        Some((found, rest.rsplit_once(" of type ")?.1))
    });
    let Some((found, wanted)) = parts else { return error.to_owned() };
    let found = match found.split(' ').next().unwrap_or_default() {
        "object" => "map",
        "array" => "slice",
        "number" => "int64",
        other => other,
    };
    if wanted.starts_with("[]") {
        format!("cannot restore slice from {found}")
    } else if wanted.starts_with("map[") {
        format!("cannot restore map from {found}")
    } else if wanted.contains('.') {
        format!("cannot restore struct from: {found}")
    } else if found == "int64" {
        format!("cannot convert int64 to {wanted}")
    } else {
        format!("unrecognized type: {wanted}")
    }
}

/// What the result of a patch must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Into<'a> {
    pub(crate) gvk: &'a Gvk,
    pub(crate) ty: &'a TypeRef,
    pub(crate) custom: bool,
}

impl Registry {
    /// Applies a patch other than apply to a served object. The result is checked, but neither in canonical form
    /// nor defaulted.
    pub(crate) fn apply_patch(
        &self,
        into: Into<'_>,
        read: &Read,
        live: &Value,
        validation: FieldValidation,
        warnings: &mut Vec<String>,
    ) -> Result<Value, Status> {
        let mut object = live.clone();
        match &read.patch {
            Patch::Json(patch) => patch.apply(&mut object)?,
            Patch::Merge(patch) => merge::apply(&mut object, patch.clone()),
            Patch::Strategic(patch) => strategic::apply(&mut object, patch.clone(), into.ty)?,
            Patch::Apply(_) => return Err(Status::internal("apply has a path of its own")),
        }
        let shown = |object: &Value| match &read.patch {
            Patch::Strategic(patch) => go::display(patch),
            _ => {
                // Upstream shows the map that it patched: its first level is sorted.
                let mut sorted = object.clone();
                if let Some(members) = sorted.as_object_mut() {
                    members.sort_keys();
                }
                sorted.to_json_string()
            }
        };
        let refuse = |object: &Value, why: &str| {
            let message = format!("Invalid value: {}: {why}", go::quote(&shown(object)));
            Status::invalid("", "", "", &[field_error(FieldErrorReason::Invalid, "patch", message)])
        };
        if matches!(read.patch, Patch::Strategic(_)) {
            // A strategic patch is read into the type whatever it says of it.
            super::object::set_type(&mut object, into.gvk);
        } else {
            let expected = Expected { kinds: &self.kinds, gvk: into.gvk, ty: into.ty, custom: into.custom };
            if let Some(why) = wrong_type(&expected, &object) {
                return Err(refuse(&object, &why));
            }
        }
        super::managed::keep_reset(&mut object);
        if into.custom {
            return Ok(object);
        }
        let before = object.clone();
        let mut report = kinds::decode::check(into.ty, &mut object);
        if let Some(error) = report.error {
            let strategic = matches!(read.patch, Patch::Strategic(_));
            return Err(refuse(&before, &if strategic { converter_text(&error) } else { error }));
        }
        // Upstream reads the patched map in the order of its keys.
        report.unknown.sort();
        let oddities: Vec<String> = read
            .problems
            .iter()
            .cloned()
            .chain(report.unknown.iter().map(|path| format!("unknown field {}", go::quote(path))))
            .collect();
        match validation {
            FieldValidation::Strict if !oddities.is_empty() => {
                return Err(refuse(&before, &format!("strict decoding error: {}", oddities.join(", "))));
            }
            FieldValidation::Warn => warnings.extend(oddities),
            _ => {}
        }
        Ok(object)
    }

    /// Empty fields away and defaults in, for a served object that has passed its checks. Fields that defaults add
    /// stand at the end of their objects until the object is stored.
    pub(crate) fn complete(&self, resource: &Resource, object: &mut Value) {
        let info = &resource.info;
        if info.custom {
            return;
        }
        kinds::normalise::normalise(info.ty.get(), object);
        let context = kinds::defaults::Context { now: self.now().as_second() };
        kinds::defaults::apply_defaults(&info.group, &info.version, &info.kind, object, &context);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_types_of_strategic_patches() {
        let of = |found: &str, wanted: &str| {
            converter_text(&format!(
                "json: cannot unmarshal {found} into Go struct field A.b of type {wanted}"
            ))
        };
        assert_eq!(of("object", "[]v1.Container"), "cannot restore slice from map");
        assert_eq!(of("string", "[]v1.EnvVar"), "cannot restore slice from string");
        assert_eq!(of("array", "v1.DeploymentSpec"), "cannot restore struct from: slice");
        assert_eq!(of("number", "string"), "cannot convert int64 to string");
        assert_eq!(of("string", "int32"), "unrecognized type: int32");
    }
}
