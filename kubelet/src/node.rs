//! The node itself: its registration, its lease, its status and its network.
//!
//! The status goes out when something in it has changed, and every five minutes all the same; the lease says every ten
//! seconds that the node lives.

pub mod conditions;
mod eviction;
mod lease;
mod network;
mod register;
pub(crate) mod resources;
mod status;

use std::sync::Arc;
use std::time::Duration;

use client::{EventType, ObjectReference};

use crate::agent::Agent;

pub(crate) use eviction::Pressure;

/// How often an unready runtime is asked again at first; slower each time up to the usual beat.
const UNREADY_MIN: Duration = Duration::from_millis(20);

impl Agent {
    /// Tells an event about the node; as upstream, under the node's name as its uid.
    pub(crate) fn node_event(&self, kind: EventType, reason: &str, message: impl Into<String>) {
        let name = self.config.node_name.clone();
        let object = ObjectReference {
            kind: "Node".to_owned(),
            uid: name.clone(),
            name,
            ..ObjectReference::default()
        };
        self.recorder.event(&object, kind, reason, message);
    }
}

/// Registers the node and keeps the API told of it, for ever.
pub(crate) async fn run(agent: Arc<Agent>) {
    let mut node = register::register(&agent).await;
    agent.node_event(EventType::Normal, "Starting", "Starting kubelet.");
    let uid = node.metadata.uid.clone();
    agent.tasks.spawn_until_stop("node-lease", lease::keep(Arc::clone(&agent), uid));
    let mut reporter = status::Reporter::default();
    let mut network = network::Network::default();
    let mut unready = UNREADY_MIN;
    loop {
        if let Some(seen) = agent.nodes.get("", &agent.config.node_name) {
            node = (*seen).clone();
        }
        network.apply(&agent, &node).await;
        eviction::look(&agent).await;
        let ready = reporter.report(&agent, &node).await;
        let usual = agent.config.kubelet.node_status_update_frequency;
        let pause = if ready {
            unready = UNREADY_MIN;
            usual
        } else {
            unready = (unready * 2).min(usual);
            unready
        };
        let revision = node.metadata.revision();
        let name = agent.config.node_name.clone();
        // A pod CIDR that has just been given need not wait for the next beat; other changes do.
        let network_changed = agent.nodes.wait_until(|nodes| {
            nodes
                .get("", &name)
                .is_some_and(|n| n.metadata.revision() > revision && n.spec.pod_cidrs != node.spec.pod_cidrs)
        });
        tokio::select! {
            biased;
            () = network_changed => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}
