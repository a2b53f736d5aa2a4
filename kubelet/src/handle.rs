//! What others in the process may ask a running kubelet: which pods it has, and how they are. The kubelet's HTTPS API finds
//! its pods here and talks to the runtime itself.

use std::sync::Arc;

use crate::agent::Agent;
use crate::api::Pod;
pub use crate::pods::{ContainerView, View};
use crate::server::PodLookup;

/// A handle on a running kubelet. Cheap to clone; it does not keep its tasks alive.
#[derive(Clone, Debug)]
pub struct Handle(pub(crate) Arc<Agent>);

impl Handle {
    pub fn node_name(&self) -> &str {
        &self.0.config.node_name
    }
    /// Every pod of the node, with its newest status and its containers.
    pub fn pods(&self) -> Vec<View> {
        self.0.pods.views()
    }
    /// What the kubelet does, as Prometheus reads it.
    pub fn metrics(&self) -> String {
        self.0.metrics.count(&self.pods());
        self.0.metrics.registry.render()
    }
    /// What the probes of the node's pods say.
    pub fn probe_metrics(&self) -> String {
        self.0.metrics.probe_registry.render()
    }
    /// Of pods of one name the one that is not on its way out.
    pub fn find_pod(&self, namespace: &str, name: &str) -> Option<View> {
        let mut found = self.pods();
        found.retain(|v| v.pod.metadata.namespace == namespace && v.pod.metadata.name == name);
        found.sort_by_key(|v| v.pod.metadata.deleting());
        found.into_iter().next()
    }
}

impl PodLookup for Handle {
    fn metrics(&self) -> String {
        self.metrics()
    }
    fn probe_metrics(&self) -> String {
        self.probe_metrics()
    }
    fn cgroup(&self, namespace: &str, name: &str) -> Option<String> {
        Some(crate::pod::prepare::cgroup(&self.0, &self.find_pod(namespace, name)?.pod).0)
    }
    fn pod(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        let view = self.find_pod(namespace, name)?;
        Some(Arc::new(Pod { status: view.status, ..(*view.pod).clone() }))
    }
}
