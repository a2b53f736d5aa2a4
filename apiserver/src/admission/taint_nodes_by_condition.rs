//! TaintNodesByCondition: a new node takes no pods until the node lifecycle controller has seen it ready.

use apimachinery::Status;
use futures::future::BoxFuture;

use super::{is_main, push};
use crate::seams::{Admission, AdmissionRequest, Operation};
use crate::value;
use crate::values::text;

const NOT_READY: &str = "node.kubernetes.io/not-ready";

#[derive(Debug)]
pub struct TaintNodesByCondition;

impl Admission for TaintNodesByCondition {
    fn name(&self) -> &'static str {
        "TaintNodesByCondition"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        is_main(request, "", "nodes", &[Operation::Create])
    }

    fn admit<'a>(&'a self, request: &'a mut AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        let has = request
            .object
            .array_at(&["spec", "taints"])
            .iter()
            .any(|t| text(t, &["key"]) == NOT_READY && text(t, &["effect"]) == "NoSchedule");
        if !has {
            push(request.object, &["spec", "taints"], value!({ "key": (NOT_READY), "effect": "NoSchedule" }));
        }
        Box::pin(async { Ok(()) })
    }

    fn validate<'a>(&'a self, _request: &'a AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async { Ok(()) })
    }
}
