//! What a round trip through upstream's Go structs would leave of an object: nulls and empty `omitempty` values go, values
//! without `omitempty` and plain (not pointer) structs appear, fields stand in the order of the struct and map keys in the
//! order of their bytes, and quantities, times and base64 have their one form.
//!
//! Built-in kinds only: custom resources keep what their author sent.

use std::borrow::Cow;

use apimachinery::schema::{Field, Scalar, Struct, Type, TypeKind};
use apimachinery::{Object, Value};

use crate::scalar;

/// Brings `value`, which `decode::check` has accepted, into canonical form.
pub fn normalise(ty: &Type, value: &mut Value) {
    normalise_in(ty, None, value, Form::Decoded);
}

/// As [`normalise`], for what is stored: storage is protobuf, which cannot tell an empty list or map from none, so that
/// what comes back is none. Up to then the two differ: managedFields say who sent an empty list.
pub fn normalise_stored(ty: &Type, value: &mut Value) {
    normalise_in(ty, None, value, Form::Stored);
}

/// Which round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Decoded,
    Stored,
}

/// `owner` is the struct type around the value; see `decode`.
fn normalise_in(ty: &Type, owner: Option<&Type>, value: &mut Value, form: Form) {
    match &ty.kind {
        TypeKind::Scalar(kind) => canonical(*kind, value),
        TypeKind::Struct(body) => structure(ty, body, value, form),
        TypeKind::List(list) => {
            let element = list.element.get();
            for item in value.as_array_mut().into_iter().flatten() {
                if item.is_null() {
                    *item = zero(element);
                }
                normalise_in(element, owner, item, form);
                if form == Form::Stored {
                    stored_element(element, item);
                }
            }
        }
        TypeKind::Map { value: target, .. } => {
            let target = target.get();
            if let Some(object) = value.as_object_mut() {
                for (_, item) in object.iter_mut() {
                    if item.is_null() {
                        *item = zero(target);
                    }
                    normalise_in(target, owner, item, form);
                    if form == Form::Stored {
                        stored_element(target, item);
                    }
                }
                object.sort_keys();
            }
        }
        TypeKind::Any => {
            if let Some(owner) = owner
                && ty.name.starts_with("v1.JSONSchemaPropsOr")
            {
                if value.is_object() {
                    normalise_in(owner, None, value, form);
                } else if let Some(items) = value.as_array_mut() {
                    for item in items.iter_mut().filter(|item| item.is_object()) {
                        normalise_in(owner, None, item, form);
                    }
                    // Neither a schema nor any item: Go writes null.
                    if items.is_empty() {
                        *value = Value::NULL;
                    }
                }
            }
        }
    }
}

/// What storage makes of an element of a list or map: lists in it as of fields, and bytes are never none.
fn stored_element(ty: &Type, item: &mut Value) {
    match &ty.kind {
        TypeKind::List(_) if item.as_array().is_some_and(<[Value]>::is_empty) => *item = Value::NULL,
        TypeKind::Scalar(Scalar::Bytes) if item.is_null() => *item = "".into(),
        _ => {}
    }
}

fn structure(ty: &Type, body: &Struct, value: &mut Value, form: Form) {
    let mut given = value.take().into_object().unwrap_or_default();
    let mut object = Object::with_capacity(given.len());
    for field in &body.fields {
        let item = given.get_mut(&field.name).map(Value::take).filter(|item| !item.is_null());
        if let Some(item) = kept(ty, field, item, form) {
            object.insert(&field.name, item);
        }
    }
    *value = object.into();
}

/// What a field shows of its value; `None` leaves it out.
fn kept(owner: &Type, field: &Field, item: Option<Value>, form: Form) -> Option<Value> {
    let ty = field.ty.get();
    let Some(mut item) = item else {
        return absent(ty, field);
    };
    normalise_in(ty, Some(owner), &mut item, form);
    if field.pointer {
        return Some(item);
    }
    if item.is_null() {
        return absent(ty, field);
    }
    let empty = match &ty.kind {
        TypeKind::List(_) => item.as_array().is_some_and(<[Value]>::is_empty),
        TypeKind::Map { .. } => item.as_object().is_some_and(Object::is_empty),
        // omitempty never applies to structs, nor to the types that Go has as structs.
        TypeKind::Struct(_) | TypeKind::Any => false,
        TypeKind::Scalar(kind) => match kind {
            Scalar::String | Scalar::Bytes => item.as_str() == Some(""),
            Scalar::Bool => item.as_bool() == Some(false),
            Scalar::Int32 | Scalar::Int64 | Scalar::Float64 => item.as_f64() == Some(0.0),
            _ => false,
        },
    };
    let hollow = empty && (item.is_array() || item.is_object());
    if hollow && !field.omitempty && form == Form::Stored {
        return Some(Value::NULL);
    }
    (!(empty && field.omitempty)).then_some(item)
}

/// What stands for a field that was not given.
fn absent(ty: &Type, field: &Field) -> Option<Value> {
    if field.pointer {
        return (!field.omitempty).then_some(Value::NULL);
    }
    let is_go_struct = match &ty.kind {
        TypeKind::Struct(_) | TypeKind::Any => true,
        TypeKind::Scalar(kind) => matches!(
            kind,
            Scalar::Time | Scalar::MicroTime | Scalar::Duration | Scalar::Quantity | Scalar::IntOrString
        ),
        TypeKind::List(_) | TypeKind::Map { .. } => false,
    };
    if field.omitzero || field.omitempty && !is_go_struct {
        return None;
    }
    Some(match &ty.kind {
        // A slice or map that was never made is null.
        TypeKind::List(_) | TypeKind::Map { .. } | TypeKind::Scalar(Scalar::Bytes) => Value::NULL,
        _ => zero(ty),
    })
}

/// The JSON of a type's zero value.
fn zero(ty: &Type) -> Value {
    match &ty.kind {
        TypeKind::Struct(_) => {
            let mut value = Value::object();
            normalise(ty, &mut value);
            value
        }
        TypeKind::List(_) | TypeKind::Map { .. } | TypeKind::Any => Value::NULL,
        TypeKind::Scalar(kind) => match kind {
            Scalar::String => "".into(),
            Scalar::Bool => false.into(),
            Scalar::Int32 | Scalar::Int64 | Scalar::Float64 | Scalar::IntOrString => 0i64.into(),
            Scalar::Quantity => "0".into(),
            Scalar::Duration => "0s".into(),
            Scalar::Bytes | Scalar::Time | Scalar::MicroTime | Scalar::FieldsV1 => Value::NULL,
        },
    }
}

/// Scalars with more than one spelling get the canonical one; what is wrong stays for the validators to see.
fn canonical(kind: Scalar, value: &mut Value) {
    let text = match (kind, value.as_str()) {
        (Scalar::Quantity, None) if value.is_number() => Cow::Owned(value.to_json_string()),
        (_, Some(text)) => Cow::Borrowed(text),
        (Scalar::Float64, None) => return whole_float(value),
        _ => return,
    };
    if is_zero_time(kind, &text) {
        *value = Value::NULL;
        return;
    }
    let canonical = match kind {
        Scalar::Quantity => scalar::canonical_quantity(&text).ok(),
        Scalar::Time | Scalar::MicroTime => {
            let micro = kind == Scalar::MicroTime;
            scalar::parse_time(&text, micro).ok().map(|moment| scalar::format_time(moment, micro))
        }
        Scalar::Duration => {
            apimachinery::time::parse_duration(&text).ok().map(apimachinery::time::format_duration)
        }
        Scalar::Bytes if text.contains(['\n', '\r']) => {
            scalar::decode_base64(&text).ok().map(|bytes| scalar::encode_base64(&bytes))
        }
        _ => None,
    };
    if let Some(canonical) = canonical
        && canonical != text
    {
        *value = canonical.into();
    }
}

/// Go's zero time, which is written as null however it was sent.
fn is_zero_time(kind: Scalar, text: &str) -> bool {
    /// The first of January of the year 1.
    const ZERO: scalar::Moment = scalar::Moment { seconds: -62_135_596_800, nanos: 0 };
    matches!(kind, Scalar::Time | Scalar::MicroTime)
        && text.starts_with("000")
        && scalar::parse_time(text, kind == Scalar::MicroTime) == Ok(ZERO)
}

/// Go writes the float 1.0 as `1`.
fn whole_float(value: &mut Value) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if let Some(number) = value.as_f64()
        && value.is_float()
        && number.fract() == 0.0
        && number.abs() < EXACT
    {
        #[allow(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        let whole = number as i64;
        *value = whole.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Registry;

    #[track_caller]
    fn check(kind: &str, json: &str, expected: &str) {
        let registry = Registry::builtin();
        let (api_version, kind) = kind.split_once(' ').unwrap();
        let (group, version) = crate::registry::split_api_version(api_version);
        let ty = registry.type_of(group, version, kind).unwrap();
        let mut value = Value::from_json(json.as_bytes()).unwrap();
        normalise(&ty, &mut value);
        assert_eq!(value.to_json_string(), expected);
        let mut again = value.clone();
        normalise(&ty, &mut again);
        assert_eq!(again.to_json_string(), expected, "a second time");
    }

    #[test]
    fn empty_values_go_and_plain_structs_appear() {
        check(
            "v1 Pod",
            r#"{"spec":{"containers":[{"resources":null,"name":"c","command":[],"tty":false,"stdin":true,"image":""}],"nodeName":"","hostUsers":false}}"#,
            r#"{"metadata":{},"spec":{"containers":[{"name":"c","resources":{},"stdin":true}],"hostUsers":false},"status":{}}"#,
        );
        check(
            "v1 Service",
            r#"{"spec":{"ports":[{"port":80}]}}"#,
            r#"{"metadata":{},"spec":{"ports":[{"port":80,"targetPort":0}]},"status":{"loadBalancer":{}}}"#,
        );
    }

    #[test]
    fn fields_without_omitempty_are_always_there() {
        check(
            "rbac.authorization.k8s.io/v1 Role",
            r#"{"kind":"Role"}"#,
            r#"{"kind":"Role","metadata":{},"rules":null}"#,
        );
        check(
            "rbac.authorization.k8s.io/v1 Role",
            r#"{"rules":[{"verbs":["get"],"apiGroups":[""]}]}"#,
            r#"{"metadata":{},"rules":[{"verbs":["get"],"apiGroups":[""]}]}"#,
        );
        check(
            "v1 Event",
            r#"{"involvedObject":{"namespace":"gold"},"metadata":{"name":"e"}}"#,
            r#"{"metadata":{"name":"e"},"involvedObject":{"namespace":"gold"},"source":{},"firstTimestamp":null,"lastTimestamp":null,"eventTime":null,"reportingComponent":"","reportingInstance":""}"#,
        );
        check(
            "authentication.k8s.io/v1 TokenRequest",
            "{}",
            r#"{"metadata":{},"spec":{"audiences":null,"expirationSeconds":null,"boundObjectRef":null},"status":{"token":"","expirationTimestamp":null}}"#,
        );
    }

    #[test]
    fn an_empty_list_is_none_once_it_is_stored() {
        let role = r#"{"metadata":{},"rules":[]}"#;
        check("rbac.authorization.k8s.io/v1 Role", role, role);
        let registry = Registry::builtin();
        let ty = registry.type_of("rbac.authorization.k8s.io", "v1", "Role").unwrap();
        let mut value = Value::from_json(role.as_bytes()).unwrap();
        normalise_stored(&ty, &mut value);
        assert_eq!(value.to_json_string(), r#"{"metadata":{},"rules":null}"#);
    }

    #[test]
    fn order_is_that_of_the_struct_and_maps_are_sorted() {
        check(
            "v1 ConfigMap",
            r#"{"data":{"b":"1","a":null},"metadata":{"labels":{"z":"","a":""},"name":"x"},"apiVersion":"v1","kind":"ConfigMap"}"#,
            r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x","labels":{"a":"","z":""}},"data":{"a":"","b":"1"}}"#,
        );
    }

    #[test]
    fn scalars_become_canonical() {
        check(
            "v1 LimitRange",
            r#"{"spec":{"limits":[{"type":"Container","max":{"cpu":1.5,"memory":"1024Mi"}}]}}"#,
            r#"{"metadata":{},"spec":{"limits":[{"type":"Container","max":{"cpu":"1500m","memory":"1Gi"}}]}}"#,
        );
        check(
            "v1 Secret",
            r#"{"metadata":{"creationTimestamp":"2020-01-01T02:00:00.5+02:00"},"data":{"a":"YQ=="}}"#,
            r#"{"metadata":{"creationTimestamp":"2020-01-01T00:00:00Z"},"data":{"a":"YQ=="}}"#,
        );
        check(
            "v1 Event",
            r#"{"metadata":{"creationTimestamp":"0001-01-01T00:00:00Z"},"involvedObject":{},"eventTime":"0001-01-01T01:00:00.000000+01:00"}"#,
            r#"{"metadata":{},"involvedObject":{},"source":{},"firstTimestamp":null,"lastTimestamp":null,"eventTime":null,"reportingComponent":"","reportingInstance":""}"#,
        );
    }
}
