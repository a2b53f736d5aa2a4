//! Integration tests, in one binary: the real API server in this process on the memory backend, the real scheduler,
//! controllers and kubelets (on hollow machines), each as its own user, under a paused clock. A component that is
//! refused anything fails its test.
//!
//! Here is what takes several parts; what one part does alone is tested beside its code. TLS, sockets, containers and
//! the kernel belong to the end-to-end tests.

#![cfg(test)]

mod garbage;
mod identity;
mod model;
mod namespaces;
mod nodes;
mod servers;
mod services;
mod workloads;

use client::resources::DEPLOYMENTS;
use serde_json::Value;
use testing::Cluster;

/// What `kubectl rollout status` waits for.
pub(crate) fn rolled_out(deployment: &Value) -> Result<(), String> {
    let (spec, status) = (&deployment["spec"], &deployment["status"]);
    let done = status["observedGeneration"] == deployment["metadata"]["generation"]
        && status["updatedReplicas"] == spec["replicas"]
        && status["replicas"] == status["updatedReplicas"]
        && status["availableReplicas"] == status["updatedReplicas"];
    if done { Ok(()) } else { Err(format!("{spec} {status}")) }
}

/// Waits until a Deployment in `default` is rolled out.
pub(crate) async fn rollout(cluster: &Cluster, name: &str) -> Value {
    testing::eventually!(cluster, "a complete rollout", {
        let found = cluster.get(&DEPLOYMENTS, "default", name).await;
        rolled_out(&found)?;
        Ok(found)
    })
}

pub(crate) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == kind)
}

/// `Ok` when `fact` holds, else what was there instead.
pub(crate) fn when(fact: bool, found: &impl std::fmt::Debug) -> Result<(), String> {
    if fact { Ok(()) } else { Err(format!("{found:?}")) }
}
