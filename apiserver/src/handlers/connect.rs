//! Connections through the server to kubelets and services: log, exec, attach, portforward, proxy.

use std::sync::Arc;

use apimachinery::Status;

use crate::response::{Body, Response, unavailable};
use crate::server::{ApiServer, Call};

/// Answers a connect subresource.
pub(crate) async fn connect(
    _server: &Arc<ApiServer>,
    _call: &mut Call,
    _body: Body,
) -> Result<Response, Status> {
    Err(unavailable("no way to the kubelet is configured"))
}
