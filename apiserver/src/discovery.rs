//! Discovery.

use std::sync::Arc;

use http::StatusCode;

use crate::config::{Config, GIT_VERSION};
use crate::registry::Resource;
use crate::response::{self, Response};
use crate::server::{ApiServer, Call};

/// The documents.
#[derive(Debug)]
pub struct Discovery {}

impl Discovery {
    pub(crate) fn new(_config: &Config, _served: &[Arc<Resource>]) -> Self {
        Self {}
    }
}

/// `/version`.
pub(crate) fn version_json() -> Vec<u8> {
    format!("{{\"major\":\"1\",\"minor\":\"36\",\"gitVersion\":\"{GIT_VERSION}\"}}").into_bytes()
}

/// Answers a path of discovery.
pub(crate) fn answer(_server: &Arc<ApiServer>, _call: &Call, _path: &str) -> Response {
    response::text(StatusCode::NOT_FOUND, "404 page not found\n")
}
