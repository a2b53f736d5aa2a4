//! How answers leave: bodies, upstream's headers, `Status` in its published form.

use std::io::Write as _;

use apimachinery::Status;
use apimachinery::status::StatusDetails;
use http::{HeaderValue, StatusCode, header};

pub type Body = axum::body::Body;
pub type Request = http::Request<Body>;
pub type Response = http::Response<Body>;

/// 400 without details: what upstream's `NewBadRequest` gives.
pub fn bad_request(message: impl Into<String>) -> Status {
    Status::new(400, "BadRequest", message)
}

/// 404 of the router: nothing is served there.
pub fn no_such_resource() -> Status {
    Status::new(404, "NotFound", "the server could not find the requested resource")
        .with_details(StatusDetails::default())
}

/// 405 of the router.
pub fn method_not_allowed() -> Status {
    Status::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
        .with_details(StatusDetails::default())
}

/// 503: the store cannot take the write now.
pub fn unavailable(message: impl Into<String>) -> Status {
    let details = StatusDetails { retry_after_seconds: 1, ..StatusDetails::default() };
    Status::service_unavailable(message).with_details(details)
}

/// 413 for a body.
pub fn body_too_large(limit: usize) -> Status {
    Status::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {limit}"))
}

/// A Status in its published JSON form, without a line end.
pub fn status_json(status: &Status) -> Vec<u8> {
    status.to_value().to_json()
}

/// An answer with a body.
pub fn with_body(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// JSON with the line end that upstream's encoder writes.
pub fn json(status: StatusCode, mut body: Vec<u8>) -> Response {
    body.push(b'\n');
    with_body(status, crate::negotiate::JSON, body)
}

/// A short text, as health checks answer.
pub fn text(status: StatusCode, body: impl Into<String>) -> Response {
    let mut response = with_body(status, "text/plain; charset=utf-8", body.into());
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A refusal, in JSON.
pub fn failure(status: &Status) -> Response {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(code, status_json(status));
    let retry = status.details.as_ref().map_or(0, |d| d.retry_after_seconds);
    if retry > 0 {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry));
    }
    response
}

/// Longest text of all warnings of an answer, as upstream; more are cut.
const WARNINGS_MAX: usize = 4096;

/// Adds `Warning` headers, each text once.
pub fn add_warnings(response: &mut Response, warnings: &[String]) {
    let mut seen: Vec<&str> = Vec::new();
    let mut used = 0;
    for text in warnings {
        if text.is_empty() || seen.contains(&text.as_str()) || used + text.len() > WARNINGS_MAX {
            continue;
        }
        seen.push(text);
        used += text.len();
        let mut quoted = String::with_capacity(text.len() + 10);
        quoted.push_str("299 - \"");
        for c in text.chars() {
            match c {
                '"' | '\\' => quoted.extend(['\\', c]),
                c if c.is_control() => quoted.push(' '),
                c => quoted.push(c),
            }
        }
        quoted.push('"');
        if let Ok(value) = HeaderValue::from_bytes(quoted.as_bytes()) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}

/// Bodies longer than this are worth compressing, as upstream.
pub const GZIP_MIN: usize = 128 * 1024;

/// Compresses a body at the fastest level, as upstream: as a whole, or piece by piece.
#[derive(Debug)]
pub struct Gzip(flate2::write::GzEncoder<Vec<u8>>);

impl Gzip {
    /// For a body, or pieces, of about this size.
    pub fn new(size: usize) -> Self {
        let out = Vec::with_capacity(size / 8);
        Self(flate2::write::GzEncoder::new(out, flate2::Compression::new(1)))
    }

    /// Takes a piece and gives what has come out so far, which may be nothing.
    pub fn piece(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.0.write_all(bytes).expect("writing to memory does not fail");
        std::mem::take(self.0.get_mut())
    }

    /// Takes the last piece and gives the rest.
    pub fn finish(mut self, bytes: &[u8]) -> Vec<u8> {
        self.0.write_all(bytes).expect("writing to memory does not fail");
        self.0.finish().expect("writing to memory does not fail")
    }
}

/// Says of an answer that it is compressed.
pub fn mark_gzip(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn shown(status: &Status) -> String {
        String::from_utf8(status_json(status)).unwrap()
    }

    #[test]
    fn statuses() {
        expect![[r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"namespaces \"nope\" not found","reason":"NotFound","details":{"name":"nope","kind":"namespaces"},"code":404}"#]]
            .assert_eq(&shown(&Status::not_found("", "namespaces", "nope")));
        expect![[r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","details":{"name":"x","kind":"configmaps","uid":"U"}}"#]]
            .assert_eq(&shown(&Status::success("", "configmaps", "x", "U")));
        expect![[r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"boom","code":500}"#]]
            .assert_eq(&shown(&Status::plain_error("boom")));
        expect![[r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the server could not find the requested resource","reason":"NotFound","details":{},"code":404}"#]]
            .assert_eq(&shown(&no_such_resource()));
    }

    #[test]
    fn warnings_are_quoted_once() {
        let mut response = text(StatusCode::OK, "ok");
        add_warnings(&mut response, &["unknown field \"x\"".into(), "unknown field \"x\"".into()]);
        let all: Vec<_> = response.headers().get_all(header::WARNING).iter().collect();
        assert_eq!(all, ["299 - \"unknown field \\\"x\\\"\""]);
    }
}
