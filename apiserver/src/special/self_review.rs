//! SelfSubjectReview: who the server takes the caller for.

use apimachinery::{Status, Value};
use futures::future::BoxFuture;

use super::user_value;
use crate::seams::{Special, SpecialRequest};
use crate::value;

#[derive(Debug)]
pub struct SelfReview;

impl Special for SelfReview {
    fn resource(&self) -> (&'static str, &'static str, &'static str) {
        ("authentication.k8s.io", "selfsubjectreviews", "")
    }

    fn create<'a>(&'a self, request: SpecialRequest<'a>) -> BoxFuture<'a, Result<Value, Status>> {
        Box::pin(async move {
            Ok(value!({
                "kind": "SelfSubjectReview",
                "apiVersion": (request.object.get("apiVersion").cloned().unwrap_or_default()),
                "metadata": { "creationTimestamp": (format!("{:.0}", request.now)) },
                "status": { "userInfo": (user_value(request.user)) },
            }))
        })
    }
}
