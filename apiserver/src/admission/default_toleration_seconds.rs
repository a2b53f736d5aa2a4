//! DefaultTolerationSeconds: pods stay five minutes on a node that is not ready or unreachable, unless they say
//! otherwise.

use apimachinery::Status;
use futures::future::BoxFuture;

use super::{is_main, push};
use crate::seams::{Admission, AdmissionRequest, Operation};
use crate::value;
use crate::values::text;

/// Upstream's default of `--default-not-ready-toleration-seconds` and its sibling.
const TOLERATION_SECS: i64 = 300;
const KEYS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

#[derive(Debug)]
pub struct DefaultTolerationSeconds;

impl Admission for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        is_main(request, "", "pods", &[Operation::Create, Operation::Update])
    }

    fn admit<'a>(&'a self, request: &'a mut AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        for key in KEYS {
            let tolerated = request.object.array_at(&["spec", "tolerations"]).iter().any(|t| {
                let covers = text(t, &["key"]);
                (covers.is_empty() || covers == key) && matches!(text(t, &["effect"]), "" | "NoExecute")
            });
            if !tolerated {
                let toleration = value!({
                    "key": (key),
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": (TOLERATION_SECS),
                });
                push(request.object, &["spec", "tolerations"], toleration);
            }
        }
        Box::pin(async { Ok(()) })
    }

    fn validate<'a>(&'a self, _request: &'a AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async { Ok(()) })
    }
}
