//! The four patches: from a body and the stored object to a new object, with upstream's words for results that are no
//! object of the kind any more.

use apimachinery::patch::{json::JsonPatch, merge, strategic};
use apimachinery::schema::{TypeKind, TypeRef};
use apimachinery::status::FieldErrorReason;
use apimachinery::{Object, ParseOptions, Status, Value, go};
use kinds::Gvk;

use super::decode::{Expected, wrong_type};
use super::options::{FieldValidation, field_error};
use super::{Registry, Resource};
use crate::negotiate::PatchType;
use crate::response::bad_request;

mod shown;

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
    /// What field validation objects to.
    pub(crate) problems: Vec<String>,
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
            let problems =
                if parsed.duplicates.is_empty() { Vec::new() } else { Value::yaml_repeated_keys(body) };
            Read { problems, patch: Patch::Apply(parsed.value) }
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
    let (kind, text) = found.split_once(' ').unwrap_or((found, ""));
    let found = match kind {
        "object" => "map",
        "array" => "slice",
        "number" if text.contains(['.', 'e', 'E']) => "float64",
        "number" => "int64",
        other => other,
    };
    if wanted.starts_with("[]") {
        format!("cannot restore slice from {found}")
    } else if wanted.starts_with("map[") {
        format!("cannot restore map from {found}")
    } else if wanted.contains('.') {
        format!("cannot restore struct from: {found}")
    } else if matches!(found, "int64" | "float64") {
        format!("cannot convert {found} to {wanted}")
    } else {
        format!("unrecognized type: {wanted}")
    }
}

/// The fields that are unknown when an object without apiVersion is read, which upstream does as its internal type: that
/// has no JSON names but those of object metadata, which stand at its top.
fn internal_unknown(object: &Value) -> Vec<String> {
    let meta = kinds::Registry::builtin().type_named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    let known = |name: &str| match meta.as_ref().map(|ty| &ty.kind) {
        Some(TypeKind::Struct(fields)) => fields.field(name).is_some(),
        _ => false,
    };
    let names = object.as_object().into_iter().flat_map(Object::keys);
    let mut unknown: Vec<String> = names
        .filter(|name| !matches!(*name, "kind" | "apiVersion") && !known(name))
        .map(str::to_owned)
        .collect();
    unknown.sort();
    unknown
}

/// Why an object cannot be read as the kind that it says it is; `None` when it can, or the kind is unknown.
fn unreadable_as_found(kinds: &kinds::Registry, object: &Value) -> Option<String> {
    let (group, version) = kinds::registry::split_api_version(object.str_at(&["apiVersion"])?);
    let ty = kinds.type_of(group, version, object.str_at(&["kind"])?)?;
    kinds::decode::check(&ty, &mut object.clone()).error
}

/// A custom resource that calls itself something else now is one that is not valid.
fn other_custom_type(want: &Gvk, object: &Value) -> Status {
    let text = |key: &str| object.str_at(&[key]).unwrap_or_default().to_owned();
    let (kind, api_version) = (text("kind"), text("apiVersion"));
    let mut errors = Vec::new();
    let mut compare = |field: &str, found: &str, wanted: &str| {
        if found != wanted {
            let message = format!("Invalid value: {}: must be {wanted}", go::quote(found));
            errors.push(field_error(FieldErrorReason::Invalid, field, message));
        }
    };
    compare("kind", &kind, &want.kind);
    compare("apiVersion", &api_version, &want.api_version());
    let (group, _) = kinds::registry::split_api_version(&api_version);
    Status::invalid(group, &kind, apimachinery::meta::name(object), &errors)
}

/// Refuses or warns of what was odd about a patch and its result, as field validation has it.
fn report_oddities(
    read: &Read,
    unknown: Vec<String>,
    validation: FieldValidation,
    warnings: &mut Vec<String>,
    refuse: impl FnOnce(&str) -> Status,
) -> Result<(), Status> {
    let unknown = unknown.iter().map(|path| format!("unknown field {}", go::quote(path)));
    let oddities: Vec<String> = read.problems.iter().cloned().chain(unknown).collect();
    match validation {
        FieldValidation::Strict if !oddities.is_empty() => {
            return Err(refuse(&format!("strict decoding error: {}", oddities.join(", "))));
        }
        FieldValidation::Warn => warnings.extend(oddities),
        _ => {}
    }
    Ok(())
}

/// What the result of a patch must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Into<'a> {
    pub(crate) gvk: &'a Gvk,
    pub(crate) ty: &'a TypeRef,
    pub(crate) custom: Option<&'a kinds::custom::Version>,
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
        let refuse = |object: &Value, why: &str| {
            let message =
                format!("Invalid value: {}: {why}", go::quote(&shown::text(&read.patch, object, into)));
            Status::invalid("", "", "", &[field_error(FieldErrorReason::Invalid, "patch", message)])
        };
        if matches!(read.patch, Patch::Strategic(_)) {
            // A strategic patch is read into the type whatever it says of it.
            super::object::set_type(&mut object, into.gvk);
        } else {
            let expected = Expected { kinds: &self.kinds, gvk: into.gvk, ty: into.ty, custom: into.custom };
            if let Some(why) = wrong_type(&expected, &object) {
                if into.custom.is_some() {
                    return Err(other_custom_type(into.gvk, &object));
                }
                // It is read as what it says it is before it turns out to be something else.
                let why = unreadable_as_found(&self.kinds, &object).unwrap_or(why);
                return Err(refuse(&object, &why));
            }
            if into.custom.is_none() && object.str_at(&["apiVersion"]).is_none_or(str::is_empty) {
                let unknown = internal_unknown(&object);
                report_oddities(read, unknown, validation, warnings, |why| refuse(&object, why))?;
                // Nothing of it was read, not even its name.
                return Ok(crate::value!({ "metadata": {} }));
            }
        }
        super::managed::keep_reset(&mut object);
        let before = object.clone();
        let mut report = match into.custom {
            Some(definition) => definition.prune(&mut object),
            None => kinds::decode::check(into.ty, &mut object),
        };
        if let Some(error) = report.error {
            let strategic = matches!(read.patch, Patch::Strategic(_));
            return Err(refuse(&before, &if strategic { converter_text(&error) } else { error }));
        }
        // Upstream reads the patched map in the order of its keys.
        report.unknown.sort();
        report_oddities(read, report.unknown, validation, warnings, |why| refuse(&before, why))?;
        Ok(object)
    }

    /// Empty fields away and defaults in, for a served object that has passed its checks. Fields that defaults add
    /// stand at the end of their objects until the object is stored.
    pub(crate) fn complete(&self, resource: &Resource, object: &mut Value) {
        let info = &resource.info;
        if let Some(definition) = resource.definition() {
            return definition.default(object);
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
        assert_eq!(of("number 1.5", "int32"), "cannot convert float64 to int32");
        assert_eq!(of("string", "int32"), "unrecognized type: int32");
    }
}
