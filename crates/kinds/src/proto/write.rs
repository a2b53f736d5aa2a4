//! From values to messages.

use std::collections::BTreeMap;

use apimachinery::schema::{Field, Scalar, Struct, Type, TypeKind};
use apimachinery::{Object, Value};

use super::wire::{FIXED64, put_bytes, put_int, put_tag};
use crate::scalar;

/// The numbers of a field from the outermost message inwards, in front of which are zeros; all zero when it is not in
/// protobuf.
pub(super) type Path = [u8; 4];

pub(super) fn path(field: &Field) -> Path {
    field.proto.to_be_bytes()
}

/// The numbers without the zeros.
pub(super) fn numbers(path: &Path) -> &[u8] {
    &path[path.iter().position(|number| *number != 0).unwrap_or(path.len())..]
}

pub(super) fn message(ty: &Type, body: &Struct, value: &Value, out: &mut Vec<u8>) {
    let empty = Object::new();
    let object = value.as_object().unwrap_or(&empty);
    let mut fields: Vec<(&Field, Path)> = body.fields.iter().map(|field| (field, path(field))).collect();
    fields.retain(|(field, _)| field.proto != 0);
    if fields.iter().all(|(field, _)| field.proto <= 0xff) {
        // Most structs inline nothing.
        fields.sort_unstable_by_key(|(field, _)| field.proto);
        for (field, _) in fields {
            self::field(ty, field, field.proto, object.get(&field.name), out);
        }
        return;
    }
    let fields: Vec<_> = fields.iter().map(|(field, path)| (*field, numbers(path))).collect();
    level(ty, &fields, object, out);
}

/// Writes the fields of one message: those with one number left are its own, the others are in messages inside it.
fn level(ty: &Type, fields: &[(&Field, &[u8])], object: &Object, out: &mut Vec<u8>) {
    let mut by_number: BTreeMap<u8, Vec<(&Field, &[u8])>> = BTreeMap::new();
    for (field, path) in fields {
        if let Some((number, rest)) = path.split_first() {
            by_number.entry(*number).or_default().push((field, rest));
        }
    }
    for (number, fields) in by_number {
        match fields.as_slice() {
            [(field, [])] => self::field(ty, field, u32::from(number), object.get(&field.name), out),
            nested => {
                // An inlined struct is no pointer: its message is there even when it is empty.
                let mut inner = Vec::new();
                level(ty, nested, object, &mut inner);
                put_bytes(out, number.into(), &inner);
            }
        }
    }
}

fn field(owner: &Type, field: &Field, number: u32, value: Option<&Value>, out: &mut Vec<u8>) {
    let ty = field.ty.get();
    let value = value.filter(|v| !v.is_null());
    match (&ty.kind, value) {
        (TypeKind::List(_) | TypeKind::Map { .. } | TypeKind::Scalar(Scalar::Bytes), None) => {}
        (_, None) if field.pointer => {}
        (_, value) => element(owner, ty, number, value.unwrap_or(&Value::NULL), out),
    }
}

/// Lists of texts that are a message on the wire because maps and fields hold them as one.
pub(super) fn is_wrapped_list(ty: &Type) -> bool {
    ty.name.ends_with(".ExtraValue") || ty.name.ends_with(".Verbs")
}

/// Writes one value of a type, null standing for its zero value.
fn element(owner: &Type, ty: &Type, number: u32, value: &Value, out: &mut Vec<u8>) {
    match &ty.kind {
        TypeKind::Scalar(kind) => self::scalar(*kind, number, value, out),
        TypeKind::Struct(body) => {
            let mut inner = Vec::new();
            message(ty, body, value, &mut inner);
            put_bytes(out, number, &inner);
        }
        TypeKind::Any => {
            let mut inner = Vec::new();
            any(owner, ty, value, &mut inner);
            put_bytes(out, number, &inner);
        }
        TypeKind::List(list) => {
            let items = value.as_array().unwrap_or_default();
            let each = |number: u32, out: &mut Vec<u8>| {
                items.iter().for_each(|item| element(owner, list.element.get(), number, item, out));
            };
            if is_wrapped_list(ty) {
                let mut inner = Vec::new();
                each(1, &mut inner);
                put_bytes(out, number, &inner);
            } else {
                each(number, out);
            }
        }
        TypeKind::Map { value: target, .. } => {
            for (key, item) in value.as_object().map(Object::sorted).unwrap_or_default() {
                let mut entry = Vec::new();
                put_bytes(&mut entry, 1, key.as_bytes());
                element(owner, target.get(), 2, item, &mut entry);
                put_bytes(out, number, &entry);
            }
        }
    }
}

fn scalar(kind: Scalar, number: u32, value: &Value, out: &mut Vec<u8>) {
    let text = value.as_str().unwrap_or_default();
    match kind {
        Scalar::String => put_bytes(out, number, text.as_bytes()),
        Scalar::Bool => put_int(out, number, value.as_bool().unwrap_or(false).into()),
        Scalar::Int32 | Scalar::Int64 => put_int(out, number, value.as_i64().unwrap_or(0)),
        Scalar::Float64 => {
            put_tag(out, number, FIXED64);
            out.extend_from_slice(&value.as_f64().unwrap_or(0.0).to_le_bytes());
        }
        // What is no base64 was refused long before.
        Scalar::Bytes => put_bytes(out, number, &scalar::decode_base64(text).unwrap_or_default()),
        Scalar::Time | Scalar::MicroTime => {
            let mut inner = Vec::new();
            // The zero time is an empty message.
            if let Ok(moment) = scalar::parse_time(text, kind == Scalar::MicroTime) {
                let nanos = if kind == Scalar::MicroTime { moment.nanos / 1000 * 1000 } else { 0 };
                put_int(&mut inner, 1, moment.seconds);
                put_int(&mut inner, 2, nanos.into());
            }
            put_bytes(out, number, &inner);
        }
        Scalar::Duration => {
            let mut inner = Vec::new();
            put_int(&mut inner, 1, apimachinery::time::parse_duration(text).unwrap_or(0));
            put_bytes(out, number, &inner);
        }
        Scalar::Quantity => {
            let mut inner = Vec::new();
            let text = if text.is_empty() { "0" } else { text };
            put_bytes(&mut inner, 1, text.as_bytes());
            put_bytes(out, number, &inner);
        }
        Scalar::IntOrString => {
            let mut inner = Vec::new();
            put_int(&mut inner, 1, value.is_string().into());
            put_int(&mut inner, 2, value.as_i64().unwrap_or(0));
            put_bytes(&mut inner, 3, text.as_bytes());
            put_bytes(out, number, &inner);
        }
        Scalar::FieldsV1 => {
            let mut inner = Vec::new();
            put_bytes(&mut inner, 1, &value.to_json());
            put_bytes(out, number, &inner);
        }
    }
}

/// Raw JSON, and the parts of a schema that are a schema or something else.
fn any(owner: &Type, ty: &Type, value: &Value, out: &mut Vec<u8>) {
    let schema = |number: u32, value: &Value, out: &mut Vec<u8>| {
        if let TypeKind::Struct(body) = &owner.kind {
            let mut inner = Vec::new();
            message(owner, body, value, &mut inner);
            put_bytes(out, number, &inner);
        }
    };
    let is_schema = value.is_object();
    match ty.name.as_str() {
        "v1.JSONSchemaPropsOrArray" => {
            if is_schema {
                schema(1, value, out);
            }
            value.as_array().into_iter().flatten().for_each(|item| schema(2, item, out));
        }
        "v1.JSONSchemaPropsOrBool" => {
            put_int(out, 1, value.as_bool().unwrap_or(is_schema).into());
            if is_schema {
                schema(2, value, out);
            }
        }
        "v1.JSONSchemaPropsOrStringArray" => {
            if is_schema {
                schema(1, value, out);
            }
            for text in value.as_array().into_iter().flatten().filter_map(Value::as_str) {
                put_bytes(out, 2, text.as_bytes());
            }
        }
        _ if value.is_null() => {}
        _ => put_bytes(out, 1, &value.to_json()),
    }
}
