//! One object as an answer: in the served version, in the form and encoding that were negotiated.

use std::sync::Arc;

use apimachinery::{Status, Value};
use bytes::Bytes;
use http::{StatusCode, header};

use crate::negotiate::{self, Encoding, Form, Output, Scope};
use crate::registry::Resource;
use crate::registry::head::Head;
use crate::response::{self, GZIP_MIN, Gzip, Response};
use crate::server::{ApiServer, Call};

/// Writes a value in an encoding.
pub(crate) fn encode(
    server: &ApiServer,
    value: &Value,
    output: Output,
    gvk: &kinds::Gvk,
) -> Result<Vec<u8>, Status> {
    Ok(match output.encoding {
        Encoding::Json => {
            let mut text = if output.pretty { value.to_json_pretty() } else { value.to_json() };
            text.push(b'\n');
            text
        }
        Encoding::Yaml => value.to_yaml().into_bytes(),
        Encoding::Protobuf => server.registry().encode_protobuf(gvk, value)?,
    })
}

/// Whether an answer of this size goes out compressed.
pub(crate) fn compresses(call: &Call, size: usize) -> bool {
    size > GZIP_MIN
        && call.method() == http::Method::GET
        && negotiate::accepts_gzip(call.header(header::ACCEPT_ENCODING))
}

/// An answer with bytes that may be compressed.
pub(crate) fn finish(call: &Call, code: StatusCode, encoding: Encoding, body: Vec<u8>) -> Response {
    if !compresses(call, body.len()) {
        return response::with_body(code, encoding.media_type(), body);
    }
    let packed = Gzip::new(body.len()).finish(&body);
    let mut response = response::with_body(code, encoding.media_type(), packed);
    response::mark_gzip(&mut response);
    response
}

/// A stored or just written object: canonical hub bytes and the revision to show.
pub(crate) fn object(
    server: &Arc<ApiServer>,
    resource: &Resource,
    call: &Call,
    text: &Bytes,
    revision: Option<u64>,
    code: StatusCode,
) -> Result<Response, Status> {
    if !resource.converts() {
        return served(server, resource, call, text, revision, code);
    }
    let output = super::output(call, Scope::Object)?;
    let mut value = Value::from_json(text).map_err(Status::internal)?;
    if let Some(revision) = revision {
        value.set_at(&["metadata", "resourceVersion"], revision.to_string());
    }
    server.registry().to_served(resource, &mut value);
    self::value(server, resource, call, value, output, code)
}

/// As `object`, for bytes that are in the served version.
pub(crate) fn served(
    server: &Arc<ApiServer>,
    resource: &Resource,
    call: &Call,
    text: &Bytes,
    revision: Option<u64>,
    code: StatusCode,
) -> Result<Response, Status> {
    let output = super::output(call, Scope::Object)?;
    if output.is_plain()
        && let Some(revision) = revision
        && let Some(head) = Head::scan(text, &[], resource.info.custom)
    {
        let mut body = Vec::with_capacity(text.len() + 64);
        head.write_object(text, revision, &mut body);
        body.push(b'\n');
        return Ok(finish(call, code, Encoding::Json, body));
    }
    let mut value = Value::from_json(text).map_err(Status::internal)?;
    if let Some(revision) = revision {
        value.set_at(&["metadata", "resourceVersion"], revision.to_string());
    }
    self::value(server, resource, call, value, output, code)
}

/// An object of the served version.
pub(crate) fn value(
    server: &Arc<ApiServer>,
    resource: &Resource,
    call: &Call,
    mut value: Value,
    output: Output,
    code: StatusCode,
) -> Result<Response, Status> {
    let shown = match output.form {
        Form::Object => {
            server.registry().order(resource, &mut value);
            value
        }
        Form::Table(version) => crate::table::of_object(server, resource, call, &value, version)?,
        Form::Partial(_, true) => {
            return Err(Status::new(
                406,
                "NotAcceptable",
                format!(
                    "you requested PartialObjectMetadataList, but the requested object is not a list (*{}.{})",
                    internal(resource),
                    resource.info.kind
                ),
            ));
        }
        Form::Partial(version, false) => crate::table::partial(&value, version),
    };
    let gvk = match output.form {
        Form::Object => resource.info.gvk(),
        Form::Table(version) => kinds::Gvk::new("meta.k8s.io", version, "Table"),
        Form::Partial(version, _) => kinds::Gvk::new("meta.k8s.io", version, "PartialObjectMetadata"),
    };
    let body = encode(server, &shown, output, &gvk)?;
    Ok(finish(call, code, output.encoding, body))
}

/// An object of any type, such as a review or a Scale.
pub(crate) fn foreign(
    server: &Arc<ApiServer>,
    call: &Call,
    value: &Value,
    gvk: &kinds::Gvk,
    code: StatusCode,
) -> Result<Response, Status> {
    let mut output = super::output(call, Scope::Object)?;
    output.form = Form::Object;
    let body = encode(server, value, output, gvk)?;
    Ok(finish(call, code, output.encoding, body))
}

/// The Go package of a resource's internal type.
pub(crate) fn internal(resource: &Resource) -> &str {
    match resource.group() {
        "" => "core",
        group => group.split('.').next().unwrap_or(group),
    }
}

/// A refusal in the encoding that was asked for; JSON when that cannot be had.
pub(crate) fn refusal(server: &Arc<ApiServer>, call: &Call, status: &Status) -> Response {
    let plain = response::failure(status);
    let Ok(output) = super::output(call, Scope::Object) else { return plain };
    // Upstream offers a refusal no other form, and falls back to JSON.
    if output.form != Form::Object || (output.encoding == Encoding::Json && !output.pretty) {
        return plain;
    }
    let gvk = kinds::Gvk::new("", "v1", "Status");
    match encode(server, &status.to_value(), output, &gvk) {
        Ok(body) => {
            let mut response = finish(call, plain.status(), output.encoding, body);
            if let Some(retry) = plain.headers().get(header::RETRY_AFTER) {
                response.headers_mut().insert(header::RETRY_AFTER, retry.clone());
            }
            response
        }
        Err(_) => plain,
    }
}

/// A Status that is no refusal, as deletes answer.
pub(crate) fn status(server: &Arc<ApiServer>, call: &Call, status: &Status) -> Result<Response, Status> {
    foreign(server, call, &status.to_value(), &kinds::Gvk::new("", "v1", "Status"), StatusCode::OK)
}
