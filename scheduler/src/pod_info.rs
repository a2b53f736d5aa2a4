//! A pod as the scheduler sees it: what is computed once from the object, so that no attempt computes it again.

use std::sync::Arc;

use client::{Key, Meta};

use crate::objects::{Condition, NodeSelector, Pod, PreferredTerm, Toleration};
use crate::requests::Requests;

/// A port of the host that a pod takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    pub protocol: Box<str>,
    pub port: i32,
    /// `0.0.0.0` stands for every address.
    pub ip: Box<str>,
}

/// Every address of the host, as upstream writes it.
pub const ANY_IP: &str = "0.0.0.0";

/// What a pod takes on the node where it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub requests: Requests,
    pub ports: Vec<HostPort>,
    pub priority: i32,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct PodInfo {
    pub key: Key,
    pub meta: Meta,
    pub usage: Usage,
    /// Spec.nodeName of a pod that is not assigned is empty; this is what the NodeName plugin compares.
    pub node_name: String,
    pub never_preempts: bool,
    pub gates: Vec<String>,
    pub tolerations: Vec<Toleration>,
    /// Spec.nodeSelector: all of these labels.
    pub node_selector: Vec<(String, String)>,
    /// One of these terms, when there are any.
    pub required: Option<NodeSelector>,
    pub preferred: Vec<PreferredTerm>,
    /// The pod's PodScheduled condition as last seen.
    pub scheduled: Option<Condition>,
}

impl PodInfo {
    pub fn new(pod: &Pod) -> Self {
        let affinity = pod.spec.affinity.as_ref().and_then(|a| a.node_affinity.clone()).unwrap_or_default();
        Self {
            key: Key::of(&pod.metadata),
            meta: pod.metadata.clone(),
            usage: Usage::of(pod),
            node_name: pod.spec.node_name.clone(),
            never_preempts: pod.spec.preemption_policy == "Never",
            gates: pod.spec.scheduling_gates.iter().map(|g| g.name.clone()).collect(),
            tolerations: pod.spec.tolerations.clone(),
            node_selector: pod.spec.node_selector.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            required: affinity.required,
            preferred: affinity.preferred,
            scheduled: pod.condition("PodScheduled").cloned(),
        }
    }

    pub fn priority(&self) -> i32 {
        self.usage.priority
    }

    /// Whether scheduling it may end otherwise than scheduling `other`: something that a plugin reads differs.
    pub fn differs(&self, other: &Self) -> bool {
        self.usage != other.usage
            || self.meta.labels != other.meta.labels
            || self.gates != other.gates
            || self.tolerations != other.tolerations
            || self.node_selector != other.node_selector
            || self.required != other.required
            || self.preferred != other.preferred
            || self.node_name != other.node_name
    }
}

impl Usage {
    pub fn of(pod: &Pod) -> Self {
        let sidecars = pod.spec.init_containers.iter().filter(|c| c.restart_policy == "Always");
        let ports =
            pod.spec.containers.iter().chain(sidecars).flat_map(|c| &c.ports).filter(|p| p.host_port > 0);
        let or = |text: &str, default: &str| Box::from(if text.is_empty() { default } else { text });
        Self {
            requests: Requests::of(pod),
            ports: ports
                .map(|p| HostPort {
                    protocol: or(&p.protocol, "TCP"),
                    port: p.host_port,
                    ip: or(&p.host_ip, ANY_IP),
                })
                .collect(),
            priority: pod.spec.priority.unwrap_or(0),
        }
    }
}

/// Pods are shared between the queue and what is in flight.
pub type SharedPod = Arc<PodInfo>;
