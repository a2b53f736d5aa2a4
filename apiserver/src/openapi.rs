//! OpenAPI documents.

use std::sync::Arc;

use http::StatusCode;

use crate::registry::Registry;
use crate::response::{self, Response};
use crate::server::{ApiServer, Call};

/// What is kept of the documents.
#[derive(Debug)]
pub struct OpenApi {
    _registry: Arc<Registry>,
}

impl OpenApi {
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        Self { _registry: registry }
    }
}

/// Answers a path below `/openapi/`.
pub(crate) fn answer(_server: &Arc<ApiServer>, _call: &Call, _path: &str) -> Response {
    response::text(StatusCode::NOT_FOUND, "404 page not found\n")
}
