//! From a request's body to an object of the expected kind: JSON, YAML or protobuf, with the words in which upstream
//! refuses what is broken, of another kind, or has unknown and repeated fields.

use apimachinery::schema::Type;
use apimachinery::{FieldError, ParseOptions, Parsed, Path, Status, Value, go};
use kinds::custom::Version;
use kinds::{Gvk, Registry as Kinds};

use super::options::FieldValidation;
use super::proto::Broken;
use crate::negotiate::Encoding;
use crate::response::bad_request;

/// Where upstream's scheme was made, which its messages name.
const SCHEME: &str = "pkg/api/legacyscheme/scheme.go:30";
/// Versions that no resource is served in, and that clients may still send where the kind is expected.
const CONVERTED: &[(&str, &str, &str)] = &[("policy", "v1beta1", "Eviction")];
/// How much of a body a refusal shows.
const PREVIEW_MAX: usize = 30;

/// What a body is expected to be.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    pub kinds: &'a Kinds,
    pub gvk: &'a Gvk,
    pub ty: &'a Type,
    /// Custom resources are pruned by their definition instead of a Go type.
    pub custom: Option<&'a Version>,
}

/// Decodes a body. Texts for `Warning` headers are appended.
pub fn decode(
    expected: &Expected<'_>,
    body: &[u8],
    encoding: Encoding,
    validation: FieldValidation,
    warnings: &mut Vec<String>,
) -> Result<Value, Status> {
    let unrecognized = |why: String| {
        bad_request(format!(
            "the object provided is unrecognized (must be of type {}): {why} ({})",
            expected.gvk.kind,
            preview(body)
        ))
    };
    let options = ParseOptions { merge_duplicates: expected.custom.is_none(), ..ParseOptions::default() };
    let Parsed { mut value, duplicates } = match encoding {
        Encoding::Json => Value::parse_json(body, &options)
            .map_err(|e| unrecognized(format!("couldn't get version/kind; json parse error: {e}")))?,
        Encoding::Yaml => Value::parse_yaml(body, &options).map_err(|e| unrecognized(e.to_string()))?,
        Encoding::Protobuf => Parsed {
            value: super::proto::decode(expected, body).map_err(|broken| match broken {
                Broken::Envelope(error) => unrecognized(error.to_string()),
                Broken::Message(found, error) => not_handled(expected, &found, &error.to_string()),
            })?,
            duplicates: Vec::new(),
        },
    };
    check_envelope(&value).map_err(unrecognized)?;
    let found = type_of(&value, expected.gvk).map_err(unrecognized)?;
    check_type(expected, &found, &value)?;
    let report = match expected.custom {
        Some(definition) => definition.prune(&mut value),
        None => kinds::decode::check(expected.ty, &mut value),
    };
    let cannot = |why: &str| not_handled(expected, &found, why);
    if let Some(error) = report.error {
        return Err(cannot(&error));
    }
    let duplicates = match encoding {
        Encoding::Yaml if !duplicates.is_empty() => repeated_in_yaml(body, validation),
        _ => duplicates.iter().map(|path| format!("duplicate field {}", go::quote(path))).collect(),
    };
    let oddities: Vec<String> = duplicates
        .into_iter()
        .chain(report.unknown.iter().map(|path| format!("unknown field {}", go::quote(path))))
        .collect();
    match validation {
        FieldValidation::Strict if !oddities.is_empty() => {
            return Err(cannot(&format!("strict decoding error: {}", oddities.join(", "))));
        }
        FieldValidation::Warn => warnings.extend(oddities),
        _ => {}
    }
    super::object::set_type(&mut value, expected.gvk);
    Ok(value)
}

/// The refusal of a body whose type is known.
fn not_handled(expected: &Expected<'_>, found: &Gvk, why: &str) -> Status {
    bad_request(format!(
        "{} in version {} cannot be handled as a {}: {why}",
        found.kind,
        go::quote(&found.version),
        expected.gvk.kind
    ))
}

/// Upstream finds repeated keys of YAML by reading it strictly: one error with a line for each, and as many warnings.
fn repeated_in_yaml(body: &[u8], validation: FieldValidation) -> Vec<String> {
    let lines = Value::yaml_repeated_keys(body);
    match validation {
        FieldValidation::Warn => lines,
        _ => vec![format!("yaml: unmarshal errors:\n  {}", lines.join("\n  "))],
    }
}

/// What Go's `json.Unmarshal` of kind and apiVersion alone refuses.
fn check_envelope(value: &Value) -> Result<(), String> {
    const TARGET: &str = "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }";
    let refuse = |what: String| Err(format!("couldn't get version/kind; json parse error: json: {what}"));
    if value.is_null() {
        return Ok(());
    }
    if !value.is_object() {
        return refuse(format!("cannot unmarshal {} into Go value of type {TARGET}", value.type_name()));
    }
    for field in ["kind", "apiVersion"] {
        if let Some(found) = value.get(field).filter(|v| !v.is_null() && !v.is_string()) {
            return refuse(format!(
                "cannot unmarshal {} into Go struct field .{field} of type string",
                found.type_name()
            ));
        }
    }
    Ok(())
}

/// The body's own type; what it leaves out is as expected.
fn type_of(value: &Value, expected: &Gvk) -> Result<Gvk, String> {
    let text = |field: &str| value.str_at(&[field]).filter(|t| !t.is_empty());
    let kind = text("kind").unwrap_or(&expected.kind);
    let Some(api_version) = text("apiVersion") else {
        return Ok(Gvk { kind: kind.into(), ..expected.clone() });
    };
    if api_version.matches('/').count() > 1 {
        return Err(format!("unexpected GroupVersion string: {api_version}"));
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    Ok(Gvk::new(group, version, kind))
}

/// Why an object's own type is not the expected one, if it is not.
pub(crate) fn wrong_type(expected: &Expected<'_>, object: &Value) -> Option<String> {
    let found = match type_of(object, expected.gvk) {
        Ok(found) => found,
        Err(why) => return Some(why),
    };
    (found != *expected.gvk).then(|| mismatch(expected, &found))
}

fn mismatch(expected: &Expected<'_>, found: &Gvk) -> String {
    let Expected { gvk: want, kinds, .. } = *expected;
    if kinds.type_of(&found.group, &found.version, &found.kind).is_some() {
        return format!(
            "converting ({}.{}) to ({}.{}): unknown conversion",
            found.version,
            found.kind,
            internal_package(&want.group),
            want.kind
        );
    }
    format!(
        "no kind {:?} is registered for version {:?} in scheme {SCHEME:?}",
        found.kind,
        found.api_version()
    )
}

fn check_type(expected: &Expected<'_>, found: &Gvk, value: &Value) -> Result<(), Status> {
    let Expected { gvk: want, kinds, .. } = *expected;
    let converted = CONVERTED.contains(&(&found.group, &found.version, &found.kind));
    if found == want || (converted && found.group == want.group && found.kind == want.kind) {
        return Ok(());
    }
    if expected.custom.is_some() {
        return Err(wrong_custom_type(want, found, value));
    }
    if found.group == want.group && found.kind == want.kind {
        let any_version = kinds.resources().iter().any(|r| r.group == found.group && r.kind == found.kind);
        if any_version {
            return Err(bad_request(format!(
                "the API version in the data ({}) does not match the expected API version ({})",
                found.api_version(),
                want.api_version()
            )));
        }
    }
    Err(not_handled(expected, found, &mismatch(expected, found)))
}

/// Custom resources have one type for all, so that the version is looked at by the handler and the kind by validation.
fn wrong_custom_type(want: &Gvk, found: &Gvk, value: &Value) -> Status {
    if found.api_version() != want.api_version() {
        return bad_request(format!(
            "the API version in the data ({}) does not match the expected API version ({})",
            found.api_version(),
            want.api_version()
        ));
    }
    let why = format!("must be {}", want.kind);
    let error = FieldError::invalid(&Path::new("kind"), found.kind.as_str(), &why);
    Status::invalid(&want.group, &want.kind, apimachinery::meta::name(value), &[error])
}

/// The Go package of a group's internal types.
fn internal_package(group: &str) -> &str {
    match group {
        "" => "core",
        group => group.split('.').next().unwrap_or(group),
    }
}

/// What a refusal shows of a body: text when it looks like JSON, hexadecimal otherwise.
fn preview(body: &[u8]) -> String {
    if body.is_empty() {
        return "<empty>".into();
    }
    let head = &body[..body.len().min(PREVIEW_MAX)];
    let more = if body.len() > PREVIEW_MAX { " ..." } else { "" };
    if body[0] == b'{' {
        return format!("{}{more}", String::from_utf8_lossy(head));
    }
    let hex: String = head.iter().map(|b| format!("{b:02x}")).collect();
    format!("{hex}{more}")
}
