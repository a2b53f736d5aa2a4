//! Field validation of built-in kinds: what Go's JSON decoder would say of a document. It finds unknown fields (and removes
//! them: a typed struct has no place for them) and the first error that decoding would give, in the decoder's words.
//! Names are compared with their case. Duplicate keys are found earlier, by the parser.
//!
//! Unmarshalling in Go goes on after a wrong type and reports the first one at the end, but stops at once where a type with a
//! decoder of its own (a quantity, a time) refuses its text; that error then wins. Both are mirrored.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use apimachinery::Value;
use apimachinery::schema::{Scalar, Struct, Type, TypeKind};

use crate::scalar;

/// What decoding found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Paths of unknown fields such as `spec.containers[0].foo`, in the order of the document, each once.
    pub unknown: Vec<String>,
    /// What the decoder says, without what stands in front of it on the wire.
    pub error: Option<String>,
}

/// Upstream's decoder reports no more than this many strict errors.
const STRICT_ERRORS_MAX: usize = 100;

/// Checks `value` against a built-in type and removes the fields that the type does not have. After an error the value is
/// left half-checked and must not be used.
pub fn check(ty: &Type, value: &mut Value) -> Report {
    let mut checker = Checker::default();
    let outcome = checker.value(ty, None, value);
    let error = outcome.err().map(|Refused(text)| text).or(checker.saved);
    Report { unknown: checker.unknown, error }
}

/// A decoder's own error: decoding stops.
struct Refused(String);

#[derive(Default)]
struct Checker {
    /// The path with indices and map keys, as strict errors show it.
    path: String,
    /// The JSON names of the fields on the way and the struct that holds the last, as type errors show them.
    fields: Vec<String>,
    holder: String,
    unknown: Vec<String>,
    seen: BTreeSet<String>,
    saved: Option<String>,
}

impl Checker {
    /// `owner` is the struct type that holds the value: JSONSchemaProps refers to itself through types without fields.
    fn value(&mut self, ty: &Type, owner: Option<&Type>, value: &mut Value) -> Result<(), Refused> {
        if value.is_null() {
            return Ok(());
        }
        match &ty.kind {
            TypeKind::Scalar(kind) => self.scalar(ty, *kind, value),
            TypeKind::Struct(body) => self.structure(ty, body, value),
            TypeKind::Any => {
                if let Some(owner) = owner
                    && ty.name.starts_with("v1.JSONSchemaPropsOr")
                {
                    return schema_or_else(&ty.name, owner, value);
                }
                Ok(())
            }
            TypeKind::List(list) => {
                let Some(elements) = value.as_array_mut() else {
                    self.save(value, &go_name(ty));
                    return Ok(());
                };
                let element = list.element.get().clone();
                for (index, item) in elements.iter_mut().enumerate() {
                    let length = self.path.len();
                    let _ = write!(self.path, "[{index}]");
                    self.value(&element, owner, item)?;
                    self.path.truncate(length);
                }
                Ok(())
            }
            TypeKind::Map { value: target, .. } => {
                let Some(object) = value.as_object_mut() else {
                    self.save(value, &go_name(ty));
                    return Ok(());
                };
                let target = target.get().clone();
                for (key, item) in object.iter_mut() {
                    let length = self.push(key);
                    self.value(&target, owner, item)?;
                    self.path.truncate(length);
                }
                Ok(())
            }
        }
    }

    fn structure(&mut self, ty: &Type, body: &Struct, value: &mut Value) -> Result<(), Refused> {
        let Some(object) = value.as_object_mut() else {
            self.save(value, &go_name(ty));
            return Ok(());
        };
        let outer = std::mem::replace(&mut self.holder, short_name(&ty.name).to_owned());
        let mut n_unknown = 0;
        for (key, item) in object.iter_mut() {
            let length = self.push(key);
            match body.field(key) {
                Some(field) => {
                    self.fields.push(key.to_owned());
                    self.value(field.ty.get(), Some(ty), item)?;
                    self.fields.pop();
                }
                None => {
                    n_unknown += 1;
                    if self.unknown.len() < STRICT_ERRORS_MAX && self.seen.insert(self.path.clone()) {
                        self.unknown.push(self.path.clone());
                    }
                }
            }
            self.path.truncate(length);
        }
        if n_unknown > 0 && !body.preserve_unknown {
            object.retain(|key, _| body.field(key).is_some());
        }
        self.holder = outer;
        Ok(())
    }

    fn scalar(&mut self, ty: &Type, kind: Scalar, value: &mut Value) -> Result<(), Refused> {
        let fits = match kind {
            Scalar::String => value.as_str().is_some(),
            Scalar::Bool => value.as_bool().is_some(),
            Scalar::Int32 | Scalar::Int64 => return self.integer(ty, kind, value),
            Scalar::Float64 => value.as_f64().is_some(),
            Scalar::FieldsV1 => true,
            Scalar::Bytes => {
                if let Some(text) = value.as_str() {
                    if let Err(error) = scalar::decode_base64(text) {
                        self.saved.get_or_insert(error);
                    }
                    return Ok(());
                }
                false
            }
            Scalar::Time | Scalar::MicroTime => {
                let text = text_of(value)?;
                scalar::parse_time(text, kind == Scalar::MicroTime).map_err(Refused)?;
                return Ok(());
            }
            Scalar::Duration => {
                text_of(value)?;
                return Ok(());
            }
            Scalar::Quantity => return quantity(value),
            Scalar::IntOrString => {
                if value.as_str().is_none() && int32(value).is_none() {
                    return Err(Refused(no_target(value, "int32")));
                }
                return Ok(());
            }
        };
        if !fits {
            self.save(value, &go_name(ty));
        }
        Ok(())
    }

    fn integer(&mut self, ty: &Type, kind: Scalar, value: &Value) -> Result<(), Refused> {
        let fits = match kind {
            Scalar::Int32 => int32(value).is_some(),
            _ => value.as_i64().is_some(),
        };
        if !fits {
            self.save(value, &go_name(ty));
        }
        Ok(())
    }

    /// Remembers the first value of a wrong type.
    fn save(&mut self, value: &Value, target: &str) {
        if self.saved.is_some() {
            return;
        }
        let what = described(value, target);
        self.saved = Some(if self.fields.is_empty() {
            format!("json: cannot unmarshal {what} into Go value of type {target}")
        } else {
            let fields = self.fields.join(".");
            format!(
                "json: cannot unmarshal {what} into Go struct field {}.{fields} of type {target}",
                self.holder
            )
        });
    }

    /// Adds a key to the path and returns the length to go back to.
    fn push(&mut self, key: &str) -> usize {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(key);
        length
    }
}

/// A number that does not fit a number's type is shown, of anything else only its JSON type.
fn described(value: &Value, target: &str) -> String {
    let numeric = matches!(target, "int32" | "int64");
    match value.type_name() {
        "number" if numeric => format!("number {}", value.to_json_string()),
        name => name.to_owned(),
    }
}

fn no_target(value: &Value, target: &str) -> String {
    format!("json: cannot unmarshal {} into Go value of type {target}", described(value, target))
}

fn int32(value: &Value) -> Option<i32> {
    i32::try_from(value.as_i64()?).ok()
}

fn text_of(value: &Value) -> Result<&str, Refused> {
    value.as_str().ok_or_else(|| Refused(no_target(value, "string")))
}

/// A quantity is read from the raw JSON text, so a bare number will do.
fn quantity(value: &mut Value) -> Result<(), Refused> {
    let outcome = match value.as_str() {
        Some(text) => scalar::canonical_quantity(text),
        None => scalar::canonical_quantity(&value.to_json_string()),
    };
    *value = outcome.map_err(|error| Refused(error.into()))?.into();
    Ok(())
}

/// JSONSchemaPropsOrArray, OrBool and OrStringArray: a schema or what the name says. Their decoder runs apart, so that
/// unknown fields inside are dropped without a word.
fn schema_or_else(name: &str, schema: &Type, value: &mut Value) -> Result<(), Refused> {
    let refuse = |report: Report| report.error.map_or(Ok(()), |error| Err(Refused(error)));
    if value.is_object() {
        return refuse(check(schema, value));
    }
    if name.ends_with("OrArray")
        && let Some(items) = value.as_array_mut()
    {
        return items.iter_mut().try_for_each(|item| refuse(check(schema, item)));
    }
    if name.ends_with("OrBool") && value.as_bool().is_none() {
        return Err(Refused("boolean or JSON schema expected".into()));
    }
    Ok(())
}

/// `io.k8s.api.core.v1.PodSpec` → `PodSpec`.
fn short_name(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// A type as Go prints it: `v1.PodSpec`, `[]v1.Container`, `map[string]string`.
pub(crate) fn go_name(ty: &Type) -> String {
    let prefix = ty.name.ends_with(']');
    match &ty.kind {
        TypeKind::Struct(_) => {
            let mut words = ty.name.rsplit('.');
            let (name, package) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            format!("{package}.{name}")
        }
        _ if !ty.name.is_empty() && !prefix => ty.name.clone(),
        TypeKind::List(list) => format!("[]{}", go_name(list.element.get())),
        TypeKind::Map { value, .. } => {
            let key = if prefix { &ty.name } else { "map[string]" };
            format!("{key}{}", go_name(value.get()))
        }
        TypeKind::Any => "runtime.RawExtension".into(),
        TypeKind::Scalar(scalar) => match scalar {
            Scalar::String => "string",
            Scalar::Bool => "bool",
            Scalar::Int32 => "int32",
            Scalar::Int64 => "int64",
            Scalar::Float64 => "float64",
            Scalar::Bytes => "[]uint8",
            Scalar::Time => "v1.Time",
            Scalar::MicroTime => "v1.MicroTime",
            Scalar::Duration => "v1.Duration",
            Scalar::Quantity => "resource.Quantity",
            Scalar::IntOrString => "intstr.IntOrString",
            Scalar::FieldsV1 => "v1.FieldsV1",
        }
        .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Registry;

    #[track_caller]
    fn checked(kind: &str, json: &str) -> (Report, String) {
        let registry = Registry::builtin();
        let (api_version, kind) = kind.split_once(' ').unwrap();
        let (group, version) = crate::registry::split_api_version(api_version);
        let mut value = Value::from_json(json.as_bytes()).unwrap();
        let report = check(&registry.type_of(group, version, kind).unwrap(), &mut value);
        (report, value.to_json_string())
    }

    #[track_caller]
    fn check_error(kind: &str, json: &str, expected: &str) {
        assert_eq!(checked(kind, json).0.error.as_deref(), Some(expected));
    }

    #[test]
    fn unknown_fields_are_listed_in_order_and_removed() {
        let json = r#"{"metadata":{"name":"x","zap":1,"Name":"y"},"foo":1,"spec":{"containers":[{"nme":1},{"env":[{"nme":"a"}]}]},"Spec":{}}"#;
        let (report, left) = checked("v1 Pod", json);
        let expected = [
            "metadata.zap",
            "metadata.Name",
            "foo",
            "spec.containers[0].nme",
            "spec.containers[1].env[0].nme",
            "Spec",
        ];
        assert_eq!(report.unknown, expected);
        assert_eq!(report.error, None);
        assert_eq!(left, r#"{"metadata":{"name":"x"},"spec":{"containers":[{},{"env":[{}]}]}}"#);
    }

    #[test]
    fn wrong_types_are_told_as_go_tells_them() {
        let pod = |spec: &str| format!(r#"{{"spec":{spec}}}"#);
        check_error(
            "v1 Pod",
            &pod(r#"{"containers":[{"ports":[{"containerPort":"x"}]}]}"#),
            "json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32",
        );
        check_error(
            "v1 Pod",
            &pod(r#"{"containers":"x"}"#),
            "json: cannot unmarshal string into Go struct field PodSpec.spec.containers of type []v1.Container",
        );
        check_error(
            "v1 Pod",
            &pod(r#""x""#),
            "json: cannot unmarshal string into Go struct field Pod.spec of type v1.PodSpec",
        );
        check_error(
            "v1 ConfigMap",
            r#"{"data":{"a":1}}"#,
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        );
        check_error(
            "v1 ConfigMap",
            r#"{"data":[]}"#,
            "json: cannot unmarshal array into Go struct field ConfigMap.data of type map[string]string",
        );
        check_error(
            "v1 ConfigMap",
            r#"{"metadata":[]}"#,
            "json: cannot unmarshal array into Go struct field ConfigMap.metadata of type v1.ObjectMeta",
        );
        check_error(
            "v1 ConfigMap",
            r#"{"metadata":{"uid":5}}"#,
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.uid of type types.UID",
        );
        check_error(
            "v1 ConfigMap",
            r#"{"metadata":{"generation":1.5}}"#,
            "json: cannot unmarshal number 1.5 into Go struct field ObjectMeta.metadata.generation of type int64",
        );
        check_error(
            "apps/v1 Deployment",
            r#"{"spec":{"replicas":"2"}}"#,
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        );
        check_error("v1 ConfigMap", r#"{"binaryData":{"a":"!!"}}"#, "illegal base64 data at input byte 0");
        check_error("v1 ConfigMap", "[]", "json: cannot unmarshal array into Go value of type v1.ConfigMap");
    }

    #[test]
    fn a_decoders_own_error_wins_over_earlier_wrong_types() {
        let json = r#"{"metadata":{"name":1,"creationTimestamp":"yesterday"}}"#;
        check_error(
            "v1 Pod",
            json,
            r#"parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006""#,
        );
        let json = r#"{"spec":{"volumes":[{"emptyDir":{"sizeLimit":"x"}}]}}"#;
        check_error(
            "v1 Pod",
            json,
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        );
        check_error(
            "v1 Service",
            r#"{"spec":{"ports":[{"targetPort":true}]}}"#,
            "json: cannot unmarshal bool into Go value of type int32",
        );
    }

    #[test]
    fn schemas_inside_schemas_are_pruned_silently() {
        let json = r#"{"spec":{"versions":[{"schema":{"openAPIV3Schema":{"foo":1,"items":{"bar":1,"type":"string"},"additionalProperties":true}}}]}}"#;
        let (report, left) = checked("apiextensions.k8s.io/v1 CustomResourceDefinition", json);
        assert_eq!(report.unknown, ["spec.versions[0].schema.openAPIV3Schema.foo"]);
        assert!(left.contains(r#""items":{"type":"string"}"#), "{left}");
    }
}
