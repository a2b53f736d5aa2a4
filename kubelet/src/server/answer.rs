//! Answers of the kubelet's API.

use std::io;

use bytes::Bytes;
use futures::stream::StreamExt as _;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;

use super::log_reader::LogReader;

/// A body, whole or streamed.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;
/// An answer.
pub type Answer = Response<Body>;

pub fn whole(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let body = Full::new(body.into()).map_err(|never| match never {}).boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// A text for people, as Go's `http.Error` sends it.
pub fn text(status: StatusCode, body: impl Into<String>) -> Answer {
    let mut answer = whole(status, "text/plain; charset=utf-8", body.into());
    answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

pub fn json(body: &serde_json::Value) -> Answer {
    whole(StatusCode::OK, "application/json", body.to_string())
}

/// A log as it is read. It ends with the client, too: then the body is dropped.
pub fn log(reader: LogReader) -> Answer {
    let parts = futures::stream::unfold(reader, |mut reader| async {
        let part = reader.next().await?;
        Some((part.map(Frame::data), reader))
    });
    let mut answer = Response::new(StreamBody::new(parts.boxed()).boxed_unsync());
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    answer
}

/// The agreement to an upgrade, with these headers.
pub fn switching(headers: &[(&str, &str)]) -> Answer {
    let mut answer = whole(StatusCode::SWITCHING_PROTOCOLS, "text/plain", Bytes::new());
    answer.headers_mut().clear();
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes());
        // What the peer sent as a header is one; anything else is left out.
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            answer.headers_mut().append(name, value);
        }
    }
    answer
}
