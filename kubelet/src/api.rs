//! The parts of the API's objects that the kubelet reads and writes, as slim structs.
//!
//! Absent text is empty, absent lists are empty; where absent and zero differ the field is an `Option`. Nothing here is
//! written back whole: the kubelet patches status.

pub mod node;
pub mod pod;
pub mod status;
pub mod volume;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use client::{Meta, Resource, ResourceType, resources};

pub use node::Node;
pub use pod::{Container, Pod, PodSpec, Probe};
pub use status::{ContainerStatus, PodCondition, PodStatus};
pub use volume::Volume;

/// A port by number or name.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(untagged)]
pub enum IntOrString {
    Int(i32),
    String(String),
}

impl Default for IntOrString {
    fn default() -> Self {
        Self::Int(0)
    }
}

/// v1.ConfigMap.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigMap {
    pub metadata: Meta,
    pub data: BTreeMap<String, String>,
    pub binary_data: BTreeMap<String, String>,
}

impl Resource for ConfigMap {
    const TYPE: ResourceType = resources::CONFIG_MAPS;
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

/// v1.Secret; values in base64, as they travel.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Secret {
    pub metadata: Meta,
    pub data: BTreeMap<String, String>,
    pub r#type: String,
}

/// A secret's values stay out of logs.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("name", &self.metadata.name).finish_non_exhaustive()
    }
}

impl Resource for Secret {
    const TYPE: ResourceType = resources::SECRETS;
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

/// v1.Service, as far as containers hear of it through their environment.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    pub metadata: Meta,
    pub spec: ServiceSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    #[serde(rename = "clusterIP")]
    pub cluster_ip: String,
    pub ports: Vec<ServicePort>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    pub name: String,
    pub protocol: String,
    pub port: i32,
}

impl Resource for Service {
    const TYPE: ResourceType = resources::SERVICES;
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}
