//! OpenAPI in protobuf: gnostic's `openapi.v2.Document`, which kubectl falls back to and caches, and `openapi.v3.Document`.
//!
//! Made from the JSON documents, so that both say the same. The tables below give the numbers of gnostic's
//! `OpenAPIv2.proto`, those in `v3` of `OpenAPIv3.proto`; what JSON leaves open is decided as gnostic does it: extensions and defaults are YAML text, maps
//! are lists of named entries, a single type is a list of one. Members that our documents never have are not in the
//! tables and would be left out: OAuth2, files, forms' and headers' parameters, items of parameters, examples, XML.

mod v3;

use apimachinery::Value;

/// How a member is written in its field.
#[derive(Debug)]
enum Form {
    Text,
    Bool,
    Int,
    Double,
    /// `Any`, of which only the YAML text is filled in.
    Any,
    /// A repeated field, from an array or from a value that stands alone.
    Each(&'static Form),
    Message(&'static Message),
    /// A message whose field 1 has the value.
    Wrapped(&'static Form),
    /// A message of one field, which the value decides.
    OneOf(fn(&Value) -> (u32, &'static Form)),
}

/// How an object is written.
#[derive(Debug)]
struct Message {
    fields: &'static [(&'static str, u32, Form)],
    /// The field of the members that start with `x-`.
    extensions: Option<u32>,
    /// The field of all members that have no field of their own: name in 1, value in 2.
    entries: Option<(u32, Form)>,
}

static DOCUMENT: Message = Message {
    fields: &[
        ("swagger", 1, Form::Text),
        ("info", 2, Form::Message(&INFO)),
        ("host", 3, Form::Text),
        ("basePath", 4, Form::Text),
        ("schemes", 5, Form::Each(&Form::Text)),
        ("consumes", 6, Form::Each(&Form::Text)),
        ("produces", 7, Form::Each(&Form::Text)),
        ("paths", 8, Form::Message(&PATHS)),
        ("definitions", 9, Form::Message(&NAMED_SCHEMAS)),
        ("parameters", 10, Form::Message(&NAMED_PARAMETERS)),
        ("responses", 11, Form::Message(&NAMED_RESPONSES)),
        ("security", 12, Form::Each(&SECURITY_REQUIREMENT)),
        ("securityDefinitions", 13, Form::Message(&SECURITY_DEFINITIONS)),
        ("tags", 14, Form::Each(&Form::Message(&TAG))),
        ("externalDocs", 15, Form::Message(&EXTERNAL_DOCS)),
    ],
    extensions: Some(16),
    entries: None,
};

static INFO: Message = Message {
    fields: &[
        ("title", 1, Form::Text),
        ("version", 2, Form::Text),
        ("description", 3, Form::Text),
        ("termsOfService", 4, Form::Text),
    ],
    extensions: Some(7),
    entries: None,
};

static TAG: Message = Message {
    fields: &[
        ("name", 1, Form::Text),
        ("description", 2, Form::Text),
        ("externalDocs", 3, Form::Message(&EXTERNAL_DOCS)),
    ],
    extensions: Some(4),
    entries: None,
};

static EXTERNAL_DOCS: Message = Message {
    fields: &[("description", 1, Form::Text), ("url", 2, Form::Text)],
    extensions: Some(3),
    entries: None,
};

static SECURITY_REQUIREMENT: Form = Form::Message(&Message {
    fields: &[],
    extensions: None,
    entries: Some((1, Form::Wrapped(&Form::Each(&Form::Text)))),
});

static SECURITY_DEFINITIONS: Message =
    Message { fields: &[], extensions: None, entries: Some((1, Form::OneOf(security_definition))) };

static BASIC_SECURITY: Form = Form::Message(&Message {
    fields: &[("type", 1, Form::Text), ("description", 2, Form::Text)],
    extensions: Some(3),
    entries: None,
});

static API_KEY_SECURITY: Form = Form::Message(&Message {
    fields: &[
        ("type", 1, Form::Text),
        ("name", 2, Form::Text),
        ("in", 3, Form::Text),
        ("description", 4, Form::Text),
    ],
    extensions: Some(5),
    entries: None,
});

fn security_definition(value: &Value) -> (u32, &'static Form) {
    match value.str_at(&["type"]) {
        Some("basic") => (1, &BASIC_SECURITY),
        _ => (2, &API_KEY_SECURITY),
    }
}

static PATHS: Message =
    Message { fields: &[], extensions: Some(1), entries: Some((2, Form::Message(&PATH_ITEM))) };

static PATH_ITEM: Message = Message {
    fields: &[
        ("$ref", 1, Form::Text),
        ("get", 2, Form::Message(&OPERATION)),
        ("put", 3, Form::Message(&OPERATION)),
        ("post", 4, Form::Message(&OPERATION)),
        ("delete", 5, Form::Message(&OPERATION)),
        ("options", 6, Form::Message(&OPERATION)),
        ("head", 7, Form::Message(&OPERATION)),
        ("patch", 8, Form::Message(&OPERATION)),
        ("parameters", 9, Form::Each(&Form::OneOf(parameter_or_reference))),
    ],
    extensions: Some(10),
    entries: None,
};

static OPERATION: Message = Message {
    fields: &[
        ("tags", 1, Form::Each(&Form::Text)),
        ("summary", 2, Form::Text),
        ("description", 3, Form::Text),
        ("externalDocs", 4, Form::Message(&EXTERNAL_DOCS)),
        ("operationId", 5, Form::Text),
        ("produces", 6, Form::Each(&Form::Text)),
        ("consumes", 7, Form::Each(&Form::Text)),
        ("parameters", 8, Form::Each(&Form::OneOf(parameter_or_reference))),
        ("responses", 9, Form::Message(&RESPONSES)),
        ("schemes", 10, Form::Each(&Form::Text)),
        ("deprecated", 11, Form::Bool),
        ("security", 12, Form::Each(&SECURITY_REQUIREMENT)),
    ],
    extensions: Some(13),
    entries: None,
};

static REFERENCE: Form = Form::Message(&Message {
    fields: &[("$ref", 1, Form::Text), ("description", 2, Form::Text)],
    extensions: None,
    entries: None,
});

static NAMED_PARAMETERS: Message =
    Message { fields: &[], extensions: None, entries: Some((1, Form::OneOf(parameter))) };

static PARAMETER: Form = Form::OneOf(parameter);
static NON_BODY_PARAMETER: Form = Form::OneOf(non_body_parameter);

fn parameter_or_reference(value: &Value) -> (u32, &'static Form) {
    if value.get("$ref").is_some() { (2, &REFERENCE) } else { (1, &PARAMETER) }
}

fn parameter(value: &Value) -> (u32, &'static Form) {
    match value.str_at(&["in"]) {
        Some("body") => (1, &BODY_PARAMETER),
        _ => (2, &NON_BODY_PARAMETER),
    }
}

fn non_body_parameter(value: &Value) -> (u32, &'static Form) {
    match value.str_at(&["in"]) {
        Some("path") => (4, &PATH_PARAMETER),
        _ => (3, &QUERY_PARAMETER),
    }
}

static BODY_PARAMETER: Form = Form::Message(&Message {
    fields: &[
        ("description", 1, Form::Text),
        ("name", 2, Form::Text),
        ("in", 3, Form::Text),
        ("required", 4, Form::Bool),
        ("schema", 5, Form::Message(&SCHEMA)),
    ],
    extensions: Some(6),
    entries: None,
});

static QUERY_PARAMETER: Form = Form::Message(&Message {
    fields: &[
        ("required", 1, Form::Bool),
        ("in", 2, Form::Text),
        ("description", 3, Form::Text),
        ("name", 4, Form::Text),
        ("allowEmptyValue", 5, Form::Bool),
        ("type", 6, Form::Text),
        ("format", 7, Form::Text),
        ("default", 10, Form::Any),
        ("pattern", 17, Form::Text),
        ("uniqueItems", 20, Form::Bool),
        ("enum", 21, Form::Each(&Form::Any)),
    ],
    extensions: Some(23),
    entries: None,
});

/// As those of the query, but one number less from `type` on.
static PATH_PARAMETER: Form = Form::Message(&Message {
    fields: &[
        ("required", 1, Form::Bool),
        ("in", 2, Form::Text),
        ("description", 3, Form::Text),
        ("name", 4, Form::Text),
        ("type", 5, Form::Text),
        ("format", 6, Form::Text),
        ("default", 9, Form::Any),
        ("pattern", 16, Form::Text),
        ("uniqueItems", 19, Form::Bool),
        ("enum", 20, Form::Each(&Form::Any)),
    ],
    extensions: Some(22),
    entries: None,
});

static RESPONSES: Message =
    Message { fields: &[], extensions: Some(2), entries: Some((1, Form::OneOf(response_or_reference))) };

static NAMED_RESPONSES: Message =
    Message { fields: &[], extensions: None, entries: Some((1, Form::Message(&RESPONSE))) };

static RESPONSE_FORM: Form = Form::Message(&RESPONSE);

static RESPONSE: Message = Message {
    fields: &[("description", 1, Form::Text), ("schema", 2, Form::Wrapped(&Form::Message(&SCHEMA)))],
    extensions: Some(5),
    entries: None,
};

fn response_or_reference(value: &Value) -> (u32, &'static Form) {
    if value.get("$ref").is_some() { (2, &REFERENCE) } else { (1, &RESPONSE_FORM) }
}

/// Definitions and properties.
static NAMED_SCHEMAS: Message =
    Message { fields: &[], extensions: None, entries: Some((1, Form::Message(&SCHEMA))) };

static SCHEMA_FORM: Form = Form::Message(&SCHEMA);
static BOOL_FORM: Form = Form::Bool;

static SCHEMA: Message = Message {
    fields: &[
        ("$ref", 1, Form::Text),
        ("format", 2, Form::Text),
        ("title", 3, Form::Text),
        ("description", 4, Form::Text),
        ("default", 5, Form::Any),
        ("multipleOf", 6, Form::Double),
        ("maximum", 7, Form::Double),
        ("exclusiveMaximum", 8, Form::Bool),
        ("minimum", 9, Form::Double),
        ("exclusiveMinimum", 10, Form::Bool),
        ("maxLength", 11, Form::Int),
        ("minLength", 12, Form::Int),
        ("pattern", 13, Form::Text),
        ("maxItems", 14, Form::Int),
        ("minItems", 15, Form::Int),
        ("uniqueItems", 16, Form::Bool),
        ("maxProperties", 17, Form::Int),
        ("minProperties", 18, Form::Int),
        ("required", 19, Form::Each(&Form::Text)),
        ("enum", 20, Form::Each(&Form::Any)),
        ("additionalProperties", 21, Form::OneOf(additional_properties)),
        ("type", 22, Form::Wrapped(&Form::Each(&Form::Text))),
        ("items", 23, Form::Wrapped(&Form::Each(&Form::Message(&SCHEMA)))),
        ("allOf", 24, Form::Each(&Form::Message(&SCHEMA))),
        ("properties", 25, Form::Message(&NAMED_SCHEMAS)),
        ("discriminator", 26, Form::Text),
        ("readOnly", 27, Form::Bool),
        ("externalDocs", 29, Form::Message(&EXTERNAL_DOCS)),
        ("example", 30, Form::Any),
    ],
    extensions: Some(31),
    entries: None,
};

fn additional_properties(value: &Value) -> (u32, &'static Form) {
    if value.as_bool().is_some() { (2, &BOOL_FORM) } else { (1, &SCHEMA_FORM) }
}

/// The document of v2 in protobuf.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    put_members(&mut out, &DOCUMENT, document);
    out
}

/// A document of v3 in protobuf.
pub(super) fn encode_v3(document: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    put_members(&mut out, &v3::DOCUMENT, document);
    out
}

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;

fn put_varint(out: &mut Vec<u8>, number: u64) {
    let mut rest = number;
    while rest >= 0x80 {
        out.push(u8::try_from(rest & 0x7f).expect("seven bits") | 0x80);
        rest >>= 7;
    }
    out.push(u8::try_from(rest).expect("seven bits"));
}

fn put_tag(out: &mut Vec<u8>, field: u32, wire: u8) {
    put_varint(out, u64::from(field) << 3 | u64::from(wire));
}

fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_tag(out, field, BYTES);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A message in a field; it may be empty and is there all the same.
fn put_nested(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    write(&mut inner);
    put_bytes(out, field, &inner);
}

fn put_entry(out: &mut Vec<u8>, field: u32, name: &str, form: &Form, value: &Value) {
    put_nested(out, field, |entry| {
        put_bytes(entry, 1, name.as_bytes());
        put_value(entry, 2, form, value);
    });
}

fn put_members(out: &mut Vec<u8>, message: &Message, object: &Value) {
    for (name, value) in object.as_object().into_iter().flatten() {
        if let Some((_, field, form)) = message.fields.iter().find(|(known, ..)| *known == name) {
            put_value(out, *field, form, value);
        } else if let Some(field) = message.extensions.filter(|_| name.starts_with("x-")) {
            put_entry(out, field, name, &Form::Any, value);
        } else if let Some((field, form)) = &message.entries {
            put_entry(out, *field, name, form, value);
        }
    }
}

/// A value in its field. What has another type than the field says nothing there.
fn put_value(out: &mut Vec<u8>, field: u32, form: &Form, value: &Value) {
    match form {
        Form::Text => {
            if let Some(text) = value.as_str() {
                put_bytes(out, field, text.as_bytes());
            }
        }
        Form::Bool => {
            if let Some(flag) = value.as_bool() {
                put_tag(out, field, VARINT);
                put_varint(out, u64::from(flag));
            }
        }
        Form::Int => {
            if let Some(number) = value.as_i64() {
                put_tag(out, field, VARINT);
                put_varint(out, number.cast_unsigned());
            }
        }
        Form::Double => {
            if let Some(number) = value.as_f64() {
                put_tag(out, field, FIXED64);
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        Form::Any => put_nested(out, field, |any| put_bytes(any, 2, value.to_yaml().as_bytes())),
        Form::Each(form) => match value.as_array() {
            Some(all) => all.iter().for_each(|one| put_value(out, field, form, one)),
            None => put_value(out, field, form, value),
        },
        Form::Message(message) => put_nested(out, field, |inner| put_members(inner, message, value)),
        Form::Wrapped(form) => put_nested(out, field, |inner| put_value(inner, 1, form, value)),
        Form::OneOf(choose) => put_nested(out, field, |inner| {
            let (field, form) = choose(value);
            put_value(inner, field, form, value);
        }),
    }
}

#[cfg(test)]
mod tests;
