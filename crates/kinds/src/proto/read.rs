//! From messages to values. Fields that the table does not know are skipped.

use apimachinery::schema::{Field, Scalar, Struct, Type, TypeKind};
use apimachinery::{Object, Value};

use super::wire::{Data, Fields};
use super::write::{is_wrapped_list, numbers, path};
use super::{Envelope, ProtoError};
use crate::scalar::{self, Moment};

/// Schemas may be nested; nothing else comes near this.
const DEPTH_MAX: usize = 300;

pub(super) fn envelope(data: &[u8]) -> Result<Envelope, ProtoError> {
    let mut envelope = Envelope::default();
    let mut fields = Fields::new(data);
    while let Some((number, data)) = fields.next()? {
        let Data::Bytes(bytes) = data else { continue };
        match number {
            1 => {
                let mut meta = Fields::new(bytes);
                while let Some((number, data)) = meta.next()? {
                    match (number, data) {
                        (1, Data::Bytes(bytes)) => {
                            envelope.api_version = text(bytes, "apiVersion")?.to_owned()
                        }
                        (2, Data::Bytes(bytes)) => envelope.kind = text(bytes, "kind")?.to_owned(),
                        _ => {}
                    }
                }
            }
            2 => envelope.raw = bytes.to_vec(),
            3 => envelope.content_encoding = text(bytes, "contentEncoding")?.to_owned(),
            4 => envelope.content_type = text(bytes, "contentType")?.to_owned(),
            _ => {}
        }
    }
    Ok(envelope)
}

/// Reads a message; one that comes twice goes on where the first, `old`, ended.
pub(super) fn message(
    ty: &Type,
    body: &Struct,
    data: &[u8],
    old: Option<Value>,
    depth: usize,
) -> Result<Value, ProtoError> {
    let mut object = old.and_then(Value::into_object).unwrap_or_default();
    let fields: Vec<_> = body.fields.iter().map(|field| (field, path(field))).collect();
    let fields: Vec<_> = fields.iter().map(|(field, path)| (*field, numbers(path))).collect();
    level(ty, &fields, data, depth, &mut object)?;
    Ok(object.into())
}

/// Reads one message, or one that Go inlines, into the object.
fn level(
    ty: &Type,
    fields: &[(&Field, &[u8])],
    data: &[u8],
    depth: usize,
    object: &mut Object,
) -> Result<(), ProtoError> {
    if depth > DEPTH_MAX {
        return Err(ProtoError::Depth);
    }
    let mut message = Fields::new(data);
    while let Some((number, data)) = message.next()? {
        let Ok(number) = u8::try_from(number) else { continue };
        let mut here = fields.iter().filter(|(_, path)| path.first() == Some(&number));
        match here.next() {
            None => {}
            Some((field, [_])) => {
                let old = object.remove(&field.name);
                let value = element(ty, &field.name, field.ty.get(), data, old, depth)?;
                object.insert(&field.name, value);
            }
            Some(_) => {
                let inside: Vec<(&Field, &[u8])> = fields
                    .iter()
                    .filter(|(_, path)| path.first() == Some(&number))
                    .map(|(field, path)| (*field, &path[1..]))
                    .collect();
                level(ty, &inside, bytes(data, &ty.name)?, depth + 1, object)?;
            }
        }
    }
    Ok(())
}

/// Reads one occurrence of a field; lists and maps grow by it.
fn element(
    owner: &Type,
    name: &str,
    ty: &Type,
    data: Data<'_>,
    old: Option<Value>,
    depth: usize,
) -> Result<Value, ProtoError> {
    match &ty.kind {
        TypeKind::Scalar(kind) => self::scalar(*kind, name, data),
        TypeKind::Struct(body) => message(ty, body, bytes(data, name)?, old, depth + 1),
        TypeKind::Any => any(owner, name, ty, bytes(data, name)?, depth + 1),
        TypeKind::List(list) => {
            let mut items = old.and_then(Value::into_array).unwrap_or_default();
            let element_type = list.element.get();
            if is_wrapped_list(ty) {
                let mut inner = Fields::new(bytes(data, name)?);
                while let Some((number, data)) = inner.next()? {
                    if number == 1 {
                        items.push(element(owner, name, element_type, data, None, depth)?);
                    }
                }
                // A slice that nothing was added to was never made.
                return Ok(if items.is_empty() { Value::NULL } else { items.into() });
            }
            match (&element_type.kind, data) {
                // Numbers may come packed into one field.
                (
                    TypeKind::Scalar(kind @ (Scalar::Int32 | Scalar::Int64 | Scalar::Bool)),
                    Data::Bytes(packed),
                ) => {
                    let mut numbers = Fields::new(packed);
                    while !numbers.is_empty() {
                        items.push(self::scalar(*kind, name, Data::Varint(numbers.varint()?))?);
                    }
                }
                _ => items.push(element(owner, name, element_type, data, None, depth)?),
            }
            Ok(items.into())
        }
        TypeKind::Map { value: target, .. } => {
            let mut object = old.and_then(Value::into_object).unwrap_or_default();
            // Bytes that an entry leaves out are empty, not none.
            let absent = match target.get().kind {
                TypeKind::Scalar(Scalar::Bytes) => "".into(),
                _ => Value::NULL,
            };
            let (mut key, mut value) = (String::new(), absent);
            let mut entry = Fields::new(bytes(data, name)?);
            while let Some((number, data)) = entry.next()? {
                match number {
                    1 => text(bytes(data, name)?, name)?.clone_into(&mut key),
                    2 => value = element(owner, name, target.get(), data, None, depth)?,
                    _ => {}
                }
            }
            object.insert(&key, value);
            Ok(object.into())
        }
    }
}

fn bytes<'a>(data: Data<'a>, field: &str) -> Result<&'a [u8], ProtoError> {
    match data {
        Data::Bytes(bytes) => Ok(bytes),
        other => Err(ProtoError::WireType { wire: other.wire(), field: field.to_owned() }),
    }
}

fn text<'a>(bytes: &'a [u8], field: &str) -> Result<&'a str, ProtoError> {
    std::str::from_utf8(bytes).map_err(|_| ProtoError::Utf8 { field: field.to_owned() })
}

fn varint(data: Data<'_>, field: &str) -> Result<i64, ProtoError> {
    match data {
        Data::Varint(number) => Ok(number.cast_signed()),
        other => Err(ProtoError::WireType { wire: other.wire(), field: field.to_owned() }),
    }
}

fn scalar(kind: Scalar, name: &str, data: Data<'_>) -> Result<Value, ProtoError> {
    Ok(match kind {
        Scalar::String => text(bytes(data, name)?, name)?.into(),
        Scalar::Duration => {
            let mut nanos = 0;
            let mut fields = Fields::new(bytes(data, name)?);
            while let Some((number, data)) = fields.next()? {
                if number == 1 {
                    nanos = varint(data, name)?;
                }
            }
            apimachinery::time::format_duration(nanos).into()
        }
        Scalar::Bool => (varint(data, name)? != 0).into(),
        // Go keeps the low 32 bits.
        #[allow(clippy::cast_possible_truncation, reason = "what Go's conversion does")]
        Scalar::Int32 => (varint(data, name)? as i32).into(),
        Scalar::Int64 => varint(data, name)?.into(),
        Scalar::Float64 => match data {
            Data::Fixed64(bits) => f64::from_bits(bits).into(),
            other => return Err(ProtoError::WireType { wire: other.wire(), field: name.to_owned() }),
        },
        Scalar::Bytes => scalar::encode_base64(bytes(data, name)?).into(),
        Scalar::Time | Scalar::MicroTime => time(kind == Scalar::MicroTime, name, bytes(data, name)?)?,
        Scalar::Quantity => {
            let mut quantity = Value::from("0");
            let mut fields = Fields::new(bytes(data, name)?);
            while let Some((number, data)) = fields.next()? {
                if number == 1 {
                    let given = text(bytes(data, name)?, name)?;
                    if !given.is_empty() {
                        quantity = given.into();
                    }
                }
            }
            quantity
        }
        Scalar::IntOrString => int_or_string(name, bytes(data, name)?)?,
        Scalar::FieldsV1 => raw(name, bytes(data, name)?)?,
    })
}

fn time(micro: bool, name: &str, message: &[u8]) -> Result<Value, ProtoError> {
    if message.is_empty() {
        return Ok(Value::NULL);
    }
    let mut moment = Moment { seconds: 0, nanos: 0 };
    let mut fields = Fields::new(message);
    while let Some((number, data)) = fields.next()? {
        match number {
            1 => moment.seconds = varint(data, name)?,
            2 => moment.nanos = u32::try_from(varint(data, name)?).unwrap_or(0),
            _ => {}
        }
    }
    Ok(scalar::format_time(moment, micro).into())
}

fn int_or_string(name: &str, message: &[u8]) -> Result<Value, ProtoError> {
    let (mut is_string, mut number_value, mut string_value) = (false, 0i32, "");
    let mut fields = Fields::new(message);
    while let Some((number, data)) = fields.next()? {
        match number {
            1 => is_string = varint(data, name)? == 1,
            // Go keeps the low 32 bits.
            #[allow(clippy::cast_possible_truncation, reason = "what Go's conversion does")]
            2 => number_value = varint(data, name)? as i32,
            3 => string_value = text(bytes(data, name)?, name)?,
            _ => {}
        }
    }
    Ok(if is_string { string_value.into() } else { number_value.into() })
}

/// A message with raw JSON in its first field.
fn raw(name: &str, message: &[u8]) -> Result<Value, ProtoError> {
    let mut value = Value::NULL;
    let mut fields = Fields::new(message);
    while let Some((number, data)) = fields.next()? {
        if number == 1 {
            let json = bytes(data, name)?;
            if !json.is_empty() {
                value = Value::from_json(json).map_err(|error| ProtoError::Json {
                    field: name.to_owned(),
                    reason: error.to_string(),
                })?;
            }
        }
    }
    Ok(value)
}

/// Raw JSON, and the parts of a schema that are a schema or something else.
fn any(owner: &Type, name: &str, ty: &Type, data: &[u8], depth: usize) -> Result<Value, ProtoError> {
    let (schema, other) = match ty.name.as_str() {
        "v1.JSONSchemaPropsOrArray" | "v1.JSONSchemaPropsOrStringArray" => (1, 2),
        "v1.JSONSchemaPropsOrBool" => (2, 1),
        _ => return raw(name, data),
    };
    let TypeKind::Struct(body) = &owner.kind else { return Err(ProtoError::NoMessage(owner.name.clone())) };
    let mut found = None;
    let mut items = Vec::new();
    let mut allowed = None;
    let mut fields = Fields::new(data);
    while let Some((number, data)) = fields.next()? {
        if number == schema {
            found = Some(message(owner, body, bytes(data, name)?, found, depth)?);
        } else if number == other {
            match ty.name.as_str() {
                "v1.JSONSchemaPropsOrBool" => allowed = Some(Value::from(varint(data, name)? != 0)),
                "v1.JSONSchemaPropsOrArray" => {
                    items.push(message(owner, body, bytes(data, name)?, None, depth)?)
                }
                _ => items.push(text(bytes(data, name)?, name)?.into()),
            }
        }
    }
    if allowed.is_none() && ty.name == "v1.JSONSchemaPropsOrBool" {
        allowed = Some(false.into());
    }
    Ok(found.or(allowed).unwrap_or_else(|| if items.is_empty() { Value::NULL } else { items.into() }))
}
