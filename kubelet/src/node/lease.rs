//! The node's lease: renewed every quarter of its duration, made when it is missing.

use std::sync::Arc;
use std::time::Duration;

use client::{Patch, resources};
use serde_json::json;

use crate::agent::Agent;
use crate::api::node::Lease;

const NAMESPACE: &str = "kube-node-lease";

/// Waits after a failure, doubled up to the usual beat.
const RETRY_MIN: Duration = Duration::from_millis(200);

/// Renews for ever.
pub(super) async fn keep(agent: Arc<Agent>, node_uid: String) {
    let seconds = agent.config.kubelet.node_lease_duration_seconds.max(4);
    let beat = Duration::from_secs(u64::from(seconds)) / 4;
    let mut retry = RETRY_MIN;
    loop {
        let pause = match renew(&agent, &node_uid, seconds).await {
            Ok(()) => {
                retry = RETRY_MIN;
                beat
            }
            Err(error) => {
                tracing::warn!(component = "kubelet", %error, "lease not renewed");
                retry = (retry * 2).min(beat);
                retry
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn renew(agent: &Agent, node_uid: &str, seconds: u32) -> Result<(), client::Error> {
    let name = &agent.config.node_name;
    let spec = json!({
        "holderIdentity": name,
        "leaseDurationSeconds": seconds,
        "renewTime": client::time::micros(agent.now()),
    });
    let patch = Patch::Merge(json!({ "spec": spec }));
    match agent.client.patch::<Lease>(&resources::LEASES, NAMESPACE, name, "", &patch).await {
        Err(e) if e.is_not_found() => {}
        other => return other.map(drop),
    }
    let owner = json!([{"apiVersion": "v1", "kind": "Node", "name": name, "uid": node_uid}]);
    let body = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": name, "namespace": NAMESPACE, "ownerReferences": owner},
        "spec": spec,
    });
    agent.client.create::<Lease>(&resources::LEASES, NAMESPACE, &body).await.map(drop)
}
