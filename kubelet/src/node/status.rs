//! The node's status: made, compared with what the API has, sent when it differs or when it is old.

use client::{PartialObject, Patch, resources};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::conditions::{NodeCondition, conditions};
use crate::agent::Agent;
use crate::api::Node;
use crate::backoff::after;
use client::EventType;

/// A name of an image that is longer tells nobody anything.
const IMAGE_NAMES_MAX: usize = 5;

#[derive(Debug, Default)]
pub(super) struct Reporter {
    /// What was sent last, without heartbeats, and when.
    sent: Option<(Value, Timestamp)>,
    conditions: Vec<NodeCondition>,
}

impl Reporter {
    /// Looks and, if need be, sends. True when the node is ready and the API knows.
    pub(super) async fn report(&mut self, agent: &Agent, node: &Node) -> bool {
        let now = crate::pod::observed::whole_second(agent.now());
        let runtime = agent.runtime.status().await;
        let runtime = runtime.as_ref().map_err(ToString::to_string);
        if self.conditions.is_empty() {
            self.conditions = known_conditions(node);
        }
        let fresh = conditions(
            agent.pressure.lock().short(),
            runtime.as_ref().map(|r| *r).map_err(String::as_str),
            &self.conditions,
            now,
        );
        let ready = fresh.iter().any(|c| c.r#type == "Ready" && c.status == "True");
        let content = content(agent).await;
        let compared = json!({"content": content, "conditions": without_times(&fresh)});
        let due = match &self.sent {
            Some((sent, at)) => {
                *sent != compared || after(*at, agent.config.kubelet.node_status_report_frequency) <= now
            }
            None => true,
        };
        if !due {
            return ready;
        }
        let mut status = content;
        status.insert("conditions".to_owned(), json!(fresh));
        let body = Patch::Strategic(json!({ "status": status }));
        let name = &agent.config.node_name;
        let sent = agent.client.patch::<PartialObject>(&resources::NODES, "", name, "status", &body).await;
        match sent {
            Ok(_) => {
                tell_changes(agent, &self.conditions, &fresh);
                self.conditions = fresh;
                self.sent = Some((compared, now));
                ready
            }
            Err(error) => {
                tracing::warn!(component = "kubelet", %error, "node status not written");
                false
            }
        }
    }
}

fn known_conditions(node: &Node) -> Vec<NodeCondition> {
    node.status.get("conditions").and_then(|c| serde_json::from_value(c.clone()).ok()).unwrap_or_default()
}

fn without_times(conditions: &[NodeCondition]) -> Value {
    json!(conditions.iter().map(|c| json!([c.r#type, c.status, c.reason, c.message])).collect::<Vec<_>>())
}

/// The events that upstream tells of the node's conditions.
fn tell_changes(agent: &Agent, old: &[NodeCondition], new: &[NodeCondition]) {
    for condition in new {
        if old.iter().any(|c| c.r#type == condition.r#type && c.status == condition.status) {
            continue;
        }
        // The first state of a node is no change of its readiness.
        if condition.r#type == "Ready" && !old.iter().any(|c| c.r#type == "Ready") {
            continue;
        }
        let reason = match (condition.r#type.as_str(), condition.status.as_str()) {
            ("Ready", "True") => "NodeReady",
            ("Ready", _) => "NodeNotReady",
            ("MemoryPressure", "True") => "NodeHasInsufficientMemory",
            ("MemoryPressure", _) => "NodeHasSufficientMemory",
            ("DiskPressure", "True") => "NodeHasDiskPressure",
            ("DiskPressure", _) => "NodeHasNoDiskPressure",
            ("PIDPressure", "True") => "NodeHasInsufficientPID",
            _ => "NodeHasSufficientPID",
        };
        let message = format!("Node {} status is now: {reason}", agent.config.node_name);
        agent.node_event(EventType::Normal, reason, message);
    }
}

/// Everything but the conditions.
pub(super) async fn content(agent: &Agent) -> Map<String, Value> {
    let facts = &agent.facts;
    let mut addresses: Vec<Value> =
        agent.host_ips.iter().map(|ip| json!({"type": "InternalIP", "address": ip})).collect();
    addresses.push(json!({"type": "Hostname", "address": agent.config.node_name}));
    let mut map = Map::new();
    map.insert("addresses".to_owned(), Value::Array(addresses));
    map.insert("capacity".to_owned(), json!(agent.capacity));
    map.insert("allocatable".to_owned(), json!(agent.allocatable));
    let port = agent.config.kubelet.port;
    map.insert("daemonEndpoints".to_owned(), json!({"kubeletEndpoint": {"Port": port}}));
    let mut info = json!({
        "machineID": facts.machine_id,
        "systemUUID": facts.system_uuid,
        "bootID": facts.boot_id,
        "kernelVersion": facts.kernel_version,
        "osImage": facts.os_image,
        "containerRuntimeVersion": format!("{}://{}", agent.runtime_name, agent.runtime_version),
        "kubeletVersion": agent.config.version,
        "kubeProxyVersion": "",
        "operatingSystem": "linux",
        "architecture": facts.architecture,
    });
    if facts.swap_bytes > 0 {
        info["swap"] = json!({"capacity": facts.swap_bytes});
    }
    map.insert("nodeInfo".to_owned(), info);
    map.insert("images".to_owned(), images(agent).await);
    map
}

/// The largest images, each with its first names.
async fn images(agent: &Agent) -> Value {
    let mut list = agent.runtime.list_images().await.unwrap_or_default();
    list.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.id.cmp(&b.id)));
    let limit = usize::try_from(agent.config.kubelet.node_status_max_images).unwrap_or(usize::MAX);
    let entry = |image: &cri::v1::Image| {
        let names = image.repo_digests.iter().chain(&image.repo_tags).take(IMAGE_NAMES_MAX);
        json!({"names": names.collect::<Vec<_>>(), "sizeBytes": image.size})
    };
    Value::Array(list.iter().take(limit).map(entry).collect())
}
