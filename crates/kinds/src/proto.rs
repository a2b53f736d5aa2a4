//! Kubernetes' protobuf, by table: the envelope (`k8s\0` and `runtime.Unknown`), and messages of every built-in type in both
//! directions. Bytes are those that upstream writes: fields in the order of their numbers, plain values even when they
//! are zero, maps in the order of their keys.
//!
//! Structs that Go inlines are messages of their own on the wire; types with a codec of their own (times, quantities,
//! int-or-string, raw JSON) are messages too.

use apimachinery::Value;
use apimachinery::schema::{Type, TypeKind};

use crate::normalise::normalise;

mod read;
mod wire;
mod write;

/// In front of every object.
pub const MAGIC: [u8; 4] = *b"k8s\0";

/// What is wrong with bytes; the texts are upstream's where it has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtoError {
    #[error("empty data")]
    EmptyData,
    #[error("empty body")]
    EmptyBody,
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    NoMagic,
    #[error("unexpected EOF")]
    UnexpectedEof,
    #[error("proto: integer overflow")]
    Overflow,
    #[error("proto: wrong wireType = {wire} for field {field}")]
    WireType { wire: u8, field: String },
    #[error("proto: illegal wireType {0}")]
    IllegalWireType(u8),
    #[error("proto: illegal tag {field} (wire type {wire})")]
    IllegalTag { field: u32, wire: u8 },
    #[error("proto: negative length found during unmarshaling")]
    NegativeLength,
    #[error("proto: unexpected end of group")]
    EndOfGroup,
    #[error("proto: field {field} holds invalid UTF-8")]
    Utf8 { field: String },
    #[error("field {field} holds no JSON: {reason}")]
    Json { field: String, reason: String },
    #[error("messages are nested too deeply")]
    Depth,
    #[error("{0} is no message")]
    NoMessage(String),
}

/// `runtime.Unknown`: an object on the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    pub api_version: String,
    pub kind: String,
    pub raw: Vec<u8>,
    pub content_encoding: String,
    pub content_type: String,
}

/// The message of a value of a struct type, without envelope.
pub fn encode(ty: &Type, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    if let TypeKind::Struct(body) = &ty.kind {
        write::message(ty, body, value, &mut out);
    }
    out
}

/// An object with its envelope, ready to send or to store.
pub fn encode_object(ty: &Type, value: &Value) -> Vec<u8> {
    let word = |key: &str| value.str_at(&[key]).unwrap_or_default();
    envelope(word("apiVersion"), word("kind"), &encode(ty, value))
}

/// Puts a message into the envelope.
pub fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let mut meta = Vec::new();
    wire::put_bytes(&mut meta, 1, api_version.as_bytes());
    wire::put_bytes(&mut meta, 2, kind.as_bytes());
    let mut out = Vec::with_capacity(raw.len() + meta.len() + 24);
    out.extend_from_slice(&MAGIC);
    wire::put_bytes(&mut out, 1, &meta);
    wire::put_bytes(&mut out, 2, raw);
    wire::put_bytes(&mut out, 3, b"");
    wire::put_bytes(&mut out, 4, b"");
    out
}

/// One event of a watch stream: the message that stands in a frame, around an object with its envelope.
pub fn watch_event(kind: &str, object: &[u8]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(object.len() + 8);
    wire::put_bytes(&mut raw, 1, object);
    let mut out = Vec::with_capacity(raw.len() + 24);
    wire::put_bytes(&mut out, 1, kind.as_bytes());
    wire::put_bytes(&mut out, 2, &raw);
    out
}

/// Takes an object out of its envelope.
pub fn open(data: &[u8]) -> Result<Envelope, ProtoError> {
    if data.is_empty() {
        return Err(ProtoError::EmptyData);
    }
    let body = data.strip_prefix(&MAGIC).ok_or(ProtoError::NoMagic)?;
    if body.is_empty() {
        return Err(ProtoError::EmptyBody);
    }
    read::envelope(body)
}

/// The normalised value of a message of a struct type. It has no `apiVersion` and `kind`, which the envelope carries.
pub fn decode(ty: &Type, data: &[u8]) -> Result<Value, ProtoError> {
    let TypeKind::Struct(body) = &ty.kind else { return Err(ProtoError::NoMessage(ty.name.clone())) };
    let mut value = read::message(ty, body, data, None, 0)?;
    normalise(ty, &mut value);
    Ok(value)
}

#[cfg(test)]
mod tests;
