//! What the checks read of stored objects, and nothing more.

use client::Meta;
use serde::Deserialize;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Object {
    pub metadata: Meta,
    pub spec: Spec,
    pub status: Status,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    pub replicas: Option<i64>,
    pub node_name: String,
    /// Of a pod.
    pub containers: Vec<Container>,
    pub template: Template,
    pub strategy: Strategy,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Template {
    pub spec: PodSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodSpec {
    pub containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Container {
    pub name: String,
    pub image: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Strategy {
    pub rolling_update: RollingUpdate,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RollingUpdate {
    pub max_surge: i64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    pub phase: String,
    #[serde(rename = "podIP")]
    pub pod_ip: String,
    pub conditions: Vec<Condition>,
    pub container_statuses: Vec<ContainerStatus>,
    pub observed_generation: i64,
    pub replicas: i64,
    pub ready_replicas: i64,
    pub available_replicas: i64,
    pub updated_replicas: i64,
    pub unavailable_replicas: i64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Condition {
    #[serde(rename = "type")]
    pub kind: String,
    pub status: String,
    pub reason: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    pub name: String,
    pub restart_count: u32,
    #[serde(rename = "containerID")]
    pub container_id: String,
}

impl Object {
    /// A pod that still counts for its ReplicaSet.
    pub fn is_active(&self) -> bool {
        !self.metadata.deleting() && !matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }
    pub fn has_condition(&self, kind: &str, status: &str) -> bool {
        self.status.conditions.iter().any(|c| c.kind == kind && c.status == status)
    }
    pub fn image(&self) -> &str {
        let containers = if self.spec.containers.is_empty() {
            &self.spec.template.spec.containers
        } else {
            &self.spec.containers
        };
        containers.first().map_or("", |c| c.image.as_str())
    }
    pub fn owner_uid(&self) -> &str {
        self.metadata.controller().map_or("", |o| o.uid.as_str())
    }
}
