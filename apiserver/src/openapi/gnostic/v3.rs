//! The tables of v3: gnostic's `openapi.v3.Document`. Unlike in v2 every schema, parameter, body and answer may be a
//! reference, and defaults are numbers, truth values or text; others are there without saying what they are.

use apimachinery::Value;

use super::{Form, Message};

pub(super) static DOCUMENT: Message = Message {
    fields: &[
        ("openapi", 1, Form::Text),
        ("info", 2, Form::Message(&INFO)),
        ("paths", 4, Form::Message(&PATHS)),
        ("components", 5, Form::Message(&COMPONENTS)),
    ],
    extensions: Some(9),
    entries: None,
};

static INFO: Message = Message {
    fields: &[("title", 1, Form::Text), ("description", 2, Form::Text), ("version", 6, Form::Text)],
    extensions: Some(7),
    entries: None,
};

static PATHS: Message =
    Message { fields: &[], extensions: Some(2), entries: Some((1, Form::Message(&PATH_ITEM))) };

static PATH_ITEM: Message = Message {
    fields: &[
        ("summary", 2, Form::Text),
        ("description", 3, Form::Text),
        ("get", 4, Form::Message(&OPERATION)),
        ("put", 5, Form::Message(&OPERATION)),
        ("post", 6, Form::Message(&OPERATION)),
        ("delete", 7, Form::Message(&OPERATION)),
        ("options", 8, Form::Message(&OPERATION)),
        ("head", 9, Form::Message(&OPERATION)),
        ("patch", 10, Form::Message(&OPERATION)),
        ("parameters", 13, Form::Each(&Form::OneOf(parameter))),
    ],
    extensions: Some(14),
    entries: None,
};

static OPERATION: Message = Message {
    fields: &[
        ("tags", 1, Form::Each(&Form::Text)),
        ("summary", 2, Form::Text),
        ("description", 3, Form::Text),
        ("operationId", 5, Form::Text),
        ("parameters", 6, Form::Each(&Form::OneOf(parameter))),
        ("requestBody", 7, Form::OneOf(request_body)),
        ("responses", 8, Form::Message(&RESPONSES)),
        ("deprecated", 10, Form::Bool),
    ],
    extensions: Some(13),
    entries: None,
};

static REFERENCE: Form = Form::Message(&Message {
    fields: &[("$ref", 1, Form::Text), ("summary", 2, Form::Text), ("description", 3, Form::Text)],
    extensions: None,
    entries: None,
});

/// A thing or a reference to one.
fn or_reference(value: &Value, thing: &'static Form) -> (u32, &'static Form) {
    if value.get("$ref").is_some() { (2, &REFERENCE) } else { (1, thing) }
}

static PARAMETER: Form = Form::Message(&Message {
    fields: &[
        ("name", 1, Form::Text),
        ("in", 2, Form::Text),
        ("description", 3, Form::Text),
        ("required", 4, Form::Bool),
        ("deprecated", 5, Form::Bool),
        ("allowEmptyValue", 6, Form::Bool),
        ("schema", 10, Form::OneOf(schema)),
    ],
    extensions: Some(14),
    entries: None,
});

fn parameter(value: &Value) -> (u32, &'static Form) {
    or_reference(value, &PARAMETER)
}

static REQUEST_BODY: Form = Form::Message(&Message {
    fields: &[
        ("description", 1, Form::Text),
        ("content", 2, Form::Message(&MEDIA_TYPES)),
        ("required", 3, Form::Bool),
    ],
    extensions: Some(4),
    entries: None,
});

fn request_body(value: &Value) -> (u32, &'static Form) {
    or_reference(value, &REQUEST_BODY)
}

static RESPONSES: Message = Message {
    fields: &[("default", 1, Form::OneOf(response))],
    extensions: Some(3),
    entries: Some((2, Form::OneOf(response))),
};

static RESPONSE: Form = Form::Message(&Message {
    fields: &[("description", 1, Form::Text), ("content", 3, Form::Message(&MEDIA_TYPES))],
    extensions: Some(5),
    entries: None,
});

fn response(value: &Value) -> (u32, &'static Form) {
    or_reference(value, &RESPONSE)
}

static MEDIA_TYPES: Message =
    Message { fields: &[], extensions: None, entries: Some((1, Form::Message(&MEDIA_TYPE))) };

static MEDIA_TYPE: Message =
    Message { fields: &[("schema", 1, Form::OneOf(schema))], extensions: Some(5), entries: None };

static COMPONENTS: Message = Message {
    fields: &[
        ("schemas", 1, Form::Message(&NAMED_SCHEMAS)),
        ("securitySchemes", 7, Form::Message(&SECURITY_SCHEMES)),
    ],
    extensions: Some(10),
    entries: None,
};

static SECURITY_SCHEMES: Message =
    Message { fields: &[], extensions: None, entries: Some((1, Form::OneOf(security_scheme))) };

static SECURITY_SCHEME: Form = Form::Message(&Message {
    fields: &[
        ("type", 1, Form::Text),
        ("description", 2, Form::Text),
        ("name", 3, Form::Text),
        ("in", 4, Form::Text),
        ("scheme", 5, Form::Text),
        ("bearerFormat", 6, Form::Text),
    ],
    extensions: Some(9),
    entries: None,
});

fn security_scheme(value: &Value) -> (u32, &'static Form) {
    or_reference(value, &SECURITY_SCHEME)
}

static NAMED_SCHEMAS: Message =
    Message { fields: &[], extensions: None, entries: Some((1, Form::OneOf(schema))) };

static SCHEMA: Form = Form::Message(&SCHEMA_MESSAGE);
static SCHEMA_OR_REFERENCE: Form = Form::OneOf(schema);

static SCHEMA_MESSAGE: Message = Message {
    fields: &[
        ("nullable", 1, Form::Bool),
        ("readOnly", 3, Form::Bool),
        ("writeOnly", 4, Form::Bool),
        ("example", 7, Form::Any),
        ("deprecated", 8, Form::Bool),
        ("title", 9, Form::Text),
        ("multipleOf", 10, Form::Double),
        ("maximum", 11, Form::Double),
        ("exclusiveMaximum", 12, Form::Bool),
        ("minimum", 13, Form::Double),
        ("exclusiveMinimum", 14, Form::Bool),
        ("maxLength", 15, Form::Int),
        ("minLength", 16, Form::Int),
        ("pattern", 17, Form::Text),
        ("maxItems", 18, Form::Int),
        ("minItems", 19, Form::Int),
        ("uniqueItems", 20, Form::Bool),
        ("maxProperties", 21, Form::Int),
        ("minProperties", 22, Form::Int),
        ("required", 23, Form::Each(&Form::Text)),
        ("enum", 24, Form::Each(&Form::Any)),
        ("type", 25, Form::Text),
        ("allOf", 26, Form::Each(&SCHEMA_OR_REFERENCE)),
        ("oneOf", 27, Form::Each(&SCHEMA_OR_REFERENCE)),
        ("anyOf", 28, Form::Each(&SCHEMA_OR_REFERENCE)),
        ("not", 29, Form::Message(&SCHEMA_MESSAGE)),
        ("items", 30, Form::Wrapped(&Form::Each(&SCHEMA_OR_REFERENCE))),
        ("properties", 31, Form::Message(&NAMED_SCHEMAS)),
        ("additionalProperties", 32, Form::OneOf(additional_properties)),
        ("default", 33, Form::OneOf(default)),
        ("description", 34, Form::Text),
        ("format", 35, Form::Text),
    ],
    extensions: Some(36),
    entries: None,
};

fn schema(value: &Value) -> (u32, &'static Form) {
    or_reference(value, &SCHEMA)
}

fn additional_properties(value: &Value) -> (u32, &'static Form) {
    if value.as_bool().is_some() { (2, &Form::Bool) } else { (1, &SCHEMA_OR_REFERENCE) }
}

/// A form that fits the value; what fits none is written as if it had none.
fn default(value: &Value) -> (u32, &'static Form) {
    if value.as_bool().is_some() {
        (2, &Form::Bool)
    } else if value.as_f64().is_some() {
        (1, &Form::Double)
    } else {
        (3, &Form::Text)
    }
}
