//! Request bodies: whole, within the limit.

use apimachinery::Status;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::config::BODY_MAX;
use crate::response::{Body, bad_request, body_too_large};

/// Reads a body to its end.
pub(crate) async fn read_body(body: Body) -> Result<Bytes, Status> {
    match Limited::new(body, BODY_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(body_too_large(BODY_MAX)),
        Err(error) => Err(bad_request(format!("the request's body could not be read: {error}"))),
    }
}
