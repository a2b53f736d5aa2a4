//! `grpc`: the standard health service answers SERVING.

use futures::future::BoxFuture;

use super::{Outcome, ProbeKind, Target};
use crate::api::pod::Handler;

#[derive(Debug)]
pub(super) struct Grpc;

/// `HealthCheckResponse.ServingStatus`.
const SERVING: u64 = 1;
const NAMES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

impl ProbeKind for Grpc {
    fn handles(&self, handler: &Handler) -> bool {
        handler.grpc.is_some()
    }
    fn run<'a>(&'a self, target: &'a Target<'a>, handler: &'a Handler) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let action = handler.grpc.as_ref().expect("handles() saw it");
            let Ok(port) = u16::try_from(action.port) else {
                return Outcome::Error(format!("invalid port number: {}", action.port));
            };
            match target.agent.host.grpc_health(target.pod_ip, port, &action.service, target.limit).await {
                Ok(SERVING) => Outcome::Success,
                Ok(other) => {
                    let name = usize::try_from(other).ok().and_then(|i| NAMES.get(i)).unwrap_or(&"UNKNOWN");
                    Outcome::Failure(format!("service unhealthy (responded with {name:?})"))
                }
                Err(e) => Outcome::Failure(format!("error: {e}")),
            }
        })
    }
}
