//! Making the Node object, or finding it again with the labels that this kubelet answers for.

use std::collections::BTreeMap;
use std::time::Duration;

use client::{Patch, resources};
use serde_json::json;

use super::status::content;
use crate::agent::Agent;
use crate::api::Node;

/// Waits between tries, as upstream's: doubled up to the second.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(7);

/// The labels that a kubelet sets, the given ones among them.
fn labels(agent: &Agent) -> BTreeMap<String, String> {
    let arch = &agent.facts.architecture;
    let own = [
        ("kubernetes.io/hostname", agent.config.node_name.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", arch),
        ("beta.kubernetes.io/os", "linux"),
        ("beta.kubernetes.io/arch", arch),
    ];
    let mut made: BTreeMap<String, String> = own.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    made.extend(agent.config.node_labels.clone());
    made
}

/// Tries until the node is known to the API.
pub(super) async fn register(agent: &Agent) -> Node {
    let mut pause = RETRY_MIN;
    loop {
        match try_register(agent).await {
            Ok(node) => return node,
            Err(error) => tracing::warn!(component = "kubelet", %error, "node not registered"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
}

async fn try_register(agent: &Agent) -> Result<Node, client::Error> {
    let name = &agent.config.node_name;
    if !agent.config.kubelet.register_node {
        return agent.client.get(&resources::NODES, "", name).await;
    }
    let kubelet = &agent.config.kubelet;
    let mut spec = json!({});
    if !kubelet.provider_id.is_empty() {
        spec["providerID"] = kubelet.provider_id.as_str().into();
    }
    if !kubelet.register_with_taints.is_empty() {
        spec["taints"] = json!(kubelet.register_with_taints);
    }
    let annotation = "volumes.kubernetes.io/controller-managed-attach-detach";
    let mut status = content(agent).await;
    status.remove("images");
    let body = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": labels(agent), "annotations": {annotation: "true"}},
        "spec": spec,
        "status": status,
    });
    match agent.client.create::<Node>(&resources::NODES, "", &body).await {
        Err(e) if e.is_already_exists() => {}
        other => return other,
    }
    let node: Node = agent.client.get(&resources::NODES, "", name).await?;
    let wanted = labels(agent);
    let missing: BTreeMap<&String, &String> =
        wanted.iter().filter(|(k, v)| node.metadata.labels.get(*k) != Some(*v)).collect();
    let annotated = node.metadata.annotations.contains_key(annotation);
    if missing.is_empty() && annotated {
        return Ok(node);
    }
    let body = json!({"metadata": {"uid": node.metadata.uid, "labels": missing, "annotations": {annotation: "true"}}});
    agent.client.patch(&resources::NODES, "", name, "", &Patch::Strategic(body)).await
}
