//! The pod garbage collector: every 20 seconds, pods that nobody else will remove.
//!
//! As upstream: finished pods beyond the threshold (the oldest first), pods of nodes that are gone for 40 seconds (seen
//! live to be gone), pods that are being deleted and were never scheduled, and those being deleted on nodes that are
//! out of service.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::{Client, DeleteParams, Error, Informer, PartialObject, Patch, resources};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use crate::context::{Context, synced};
use crate::objects::{Condition, Node, Pod};

const PERIOD: Duration = Duration::from_secs(20);
/// A node must have been missing for this long: it may be about to register again.
const QUARANTINE: Duration = Duration::from_secs(40);
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

struct Collector {
    client: Client,
    env: env::Env,
    pods: Informer<Pod>,
    nodes: Informer<Node>,
    threshold: usize,
    /// Nodes that pods name and that are not there, with the time when that was first seen.
    missing: Mutex<BTreeMap<String, Instant>>,
}

pub(crate) fn start(context: &Context) {
    let pods = context.informers.of::<Pod>();
    let nodes = context.informers.of::<Node>();
    let caches = vec![synced(&pods), synced(&nodes)];
    let collector = Arc::new(Collector {
        client: context.client.clone(),
        env: context.env.clone(),
        pods,
        nodes,
        threshold: context.config.terminated_pod_gc_threshold,
        missing: Mutex::default(),
    });
    context.every(caches, PERIOD, move || {
        let collector = Arc::clone(&collector);
        async move {
            if let Err(error) = collector.collect().await {
                tracing::warn!(controller = "podgc", %error, "collection stopped half-way");
            }
        }
    });
}

/// Why a pod is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Finished,
    NeverScheduled,
    OutOfService,
}

/// The pods to remove, except for those of missing nodes.
fn plan(pods: &[Arc<Pod>], nodes: &BTreeMap<String, Arc<Node>>, threshold: usize) -> Vec<(Arc<Pod>, Why)> {
    let mut doomed = Vec::new();
    let mut finished: Vec<&Arc<Pod>> =
        pods.iter().filter(|p| p.is_terminal() && !p.metadata.deleting()).collect();
    if threshold > 0 && finished.len() > threshold {
        // Evicted ones first, then the oldest.
        finished.sort_by_key(|p| {
            (p.status.reason != "Evicted", p.metadata.creation_timestamp, p.metadata.name.clone())
        });
        let surplus = finished.len() - threshold;
        doomed.extend(finished.into_iter().take(surplus).map(|p| (Arc::clone(p), Why::Finished)));
    }
    for pod in pods.iter().filter(|p| p.metadata.deleting()) {
        if pod.spec.node_name.is_empty() {
            doomed.push((Arc::clone(pod), Why::NeverScheduled));
        } else if nodes.get(&pod.spec.node_name).is_some_and(|n| is_out_of_service(n)) {
            doomed.push((Arc::clone(pod), Why::OutOfService));
        }
    }
    doomed
}

fn is_out_of_service(node: &Node) -> bool {
    let ready = Condition::find(&node.status.conditions, "Ready").is_some_and(|c| c.status == "True");
    !ready && node.spec.taints.iter().any(|t| t.key == OUT_OF_SERVICE)
}

impl Collector {
    async fn collect(&self) -> Result<(), Error> {
        let pods = self.pods.list();
        let nodes: BTreeMap<String, Arc<Node>> =
            self.nodes.list().into_iter().map(|n| (n.metadata.name.clone(), n)).collect();
        for (pod, why) in plan(&pods, &nodes, self.threshold) {
            let reason = match why {
                Why::Finished | Why::NeverScheduled => None,
                Why::OutOfService => Some("PodGC: node is out of service"),
            };
            self.remove(&pod, reason).await?;
        }
        for node in self.gone(&pods, &nodes) {
            // The cache may lack a node that has just come.
            match self.client.get::<PartialObject>(&resources::NODES, "", &node).await {
                Err(e) if e.is_not_found() => {}
                Ok(_) => continue,
                Err(e) => return Err(e),
            }
            for pod in pods.iter().filter(|p| p.spec.node_name == node) {
                self.remove(pod, Some("PodGC: node no longer exists")).await?;
            }
        }
        Ok(())
    }

    /// Nodes that have been missing for the whole quarantine.
    fn gone(&self, pods: &[Arc<Pod>], nodes: &BTreeMap<String, Arc<Node>>) -> Vec<String> {
        let now = Instant::now();
        let mut missing = self.missing.lock();
        let named: std::collections::BTreeSet<&String> = pods
            .iter()
            .map(|p| &p.spec.node_name)
            .filter(|n| !n.is_empty() && !nodes.contains_key(*n))
            .collect();
        missing.retain(|name, _| named.contains(name));
        for name in named {
            missing.entry(name.clone()).or_insert(now);
        }
        missing
            .iter()
            .filter(|(_, since)| now.duration_since(**since) >= QUARANTINE)
            .map(|(n, _)| n.clone())
            .collect()
    }

    /// Removes the pod without grace. One that had not finished is told why, and failed.
    async fn remove(&self, pod: &Pod, disruption: Option<&str>) -> Result<(), Error> {
        let (namespace, name) = (&pod.metadata.namespace, &pod.metadata.name);
        if !pod.is_terminal() {
            let mut status = json!({"phase": "Failed"});
            if let Some(message) = disruption {
                status["conditions"] = json!([{
                    "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC", "message": message,
                    "lastTransitionTime": client::time::seconds(self.env.clock.now()),
                }]);
            }
            let patch = Patch::Strategic(json!({"metadata": {"uid": pod.metadata.uid}, "status": status}));
            let marked =
                self.client.patch::<PartialObject>(&resources::PODS, namespace, name, "status", &patch).await;
            match marked {
                Err(e) if e.is_not_found() => return Ok(()),
                Err(e) => return Err(e),
                Ok(_) => {}
            }
        }
        let params = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::uid(&pod.metadata.uid) };
        match self.client.delete(&resources::PODS, namespace, name, &params).await {
            Err(e) if !e.is_not_found() => Err(e),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, node: &str, phase: &str, deleting: bool, age: i64) -> Arc<Pod> {
        let mut pod = Pod::default();
        pod.metadata.name = name.into();
        pod.metadata.creation_timestamp = jiff::Timestamp::from_second(1000 - age).ok();
        pod.metadata.deletion_timestamp = deleting.then_some(jiff::Timestamp::UNIX_EPOCH);
        pod.spec.node_name = node.into();
        pod.status.phase = phase.into();
        Arc::new(pod)
    }

    #[test]
    fn plans() {
        let mut evicted = (*pod("evicted", "n", "Failed", false, 1)).clone();
        evicted.status.reason = "Evicted".into();
        let pods = [
            pod("old", "n", "Succeeded", false, 9),
            pod("young", "n", "Failed", false, 2),
            Arc::new(evicted),
            pod("running", "n", "Running", false, 50),
            pod("unscheduled", "", "Pending", true, 1),
            pod("pending", "", "Pending", false, 1),
            pod("stuck", "out", "Running", true, 1),
            pod("going", "n", "Running", true, 1),
        ];
        let node = |ready: &str, taint: bool| -> Arc<Node> {
            let taints =
                if taint { json!([{"key": OUT_OF_SERVICE, "effect": "NoExecute"}]) } else { json!([]) };
            let conditions = json!([{"type": "Ready", "status": ready}]);
            Arc::new(
                serde_json::from_value(
                    json!({"spec": {"taints": taints}, "status": {"conditions": conditions}}),
                )
                .unwrap(),
            )
        };
        let nodes =
            BTreeMap::from([("n".to_owned(), node("True", true)), ("out".to_owned(), node("Unknown", true))]);
        let names = |threshold| {
            let doomed = plan(&pods, &nodes, threshold);
            doomed.iter().map(|(p, why)| (p.metadata.name.clone(), *why)).collect::<Vec<_>>()
        };
        let always =
            [("unscheduled".to_owned(), Why::NeverScheduled), ("stuck".to_owned(), Why::OutOfService)];
        assert_eq!(names(0), always);
        assert_eq!(names(3), always);
        let finished = names(1);
        assert_eq!(finished[..2], [("evicted".to_owned(), Why::Finished), ("old".to_owned(), Why::Finished)]);
    }
}
