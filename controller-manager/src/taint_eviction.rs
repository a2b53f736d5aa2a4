//! The taint eviction controller: deletes pods that do not tolerate a NoExecute taint of their node, at once or when
//! the time is over for which they tolerate it.
//!
//! As upstream the shortest toleration counts, a taint that goes away cancels, and a pod that is evicted is first given
//! the condition DisruptionTarget.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::{
    Client, DeleteParams, EventType, Informer, Key, ObjectReference, PartialObject, Patch, Recorder,
    resources,
};
use controller_kit::{Queue, SyncResult};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use crate::context::{Context, synced};
use crate::objects::{Node, Pod, Taint, Toleration};

const BY_NODE: &str = "node";
const NO_EXECUTE: &str = "NoExecute";

struct Controller {
    client: Client,
    env: env::Env,
    recorder: Recorder,
    nodes: Informer<Node>,
    pods: Informer<Pod>,
    /// Since when a pod (by uid) has had taints to tolerate.
    since: Mutex<BTreeMap<String, Instant>>,
}

pub(crate) fn start(context: &Context) {
    let queue: Queue<Key> = Queue::new(context.env.clone());
    let nodes = context.informers.of::<Node>();
    let pods = context.informers.of::<Pod>();
    pods.add_index(BY_NODE, |p| vec![p.spec.node_name.clone()]);
    let (add, all_pods) = (queue.clone(), pods.clone());
    nodes.add_handler(move |event| {
        let tainted = |node: &Node| node.spec.taints.iter().any(|t| t.effect == NO_EXECUTE);
        let node = event.object();
        if tainted(node) || event.old().is_some_and(|old| tainted(old)) {
            for pod in all_pods.by_index(BY_NODE, &node.metadata.name) {
                add.add(Key::of(&pod.metadata));
            }
        }
    });
    let (add, all_nodes) = (queue.clone(), nodes.clone());
    pods.add_handler(move |event| {
        let pod = event.object();
        let node = all_nodes.get("", &pod.spec.node_name);
        let tainted = node.is_some_and(|n| n.spec.taints.iter().any(|t| t.effect == NO_EXECUTE));
        if tainted || event.is_deleted() {
            add.add(Key::of(&pod.metadata));
        }
    });
    let caches = vec![synced(&nodes), synced(&pods)];
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        env: context.env.clone(),
        recorder: context.recorder.clone(),
        nodes,
        pods,
        since: Mutex::default(),
    });
    context.run(caches, 8, &queue, move |key| {
        let controller = Arc::clone(&controller);
        async move { controller.sync(&key).await }
    });
}

/// How long a pod may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stay {
    Forever,
    For(Duration),
    /// Not tolerated.
    No,
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    (toleration.effect.is_empty() || toleration.effect == taint.effect)
        && (toleration.key.is_empty() || toleration.key == taint.key)
        && match toleration.operator.as_str() {
            "Exists" => true,
            "" | "Equal" => toleration.value == taint.value && !toleration.key.is_empty(),
            _ => false,
        }
}

fn plan_stay(taints: &[Taint], tolerations: &[Toleration]) -> Stay {
    let mut shortest: Option<Duration> = None;
    for taint in taints.iter().filter(|t| t.effect == NO_EXECUTE) {
        let matching: Vec<&Toleration> = tolerations.iter().filter(|t| tolerates(t, taint)).collect();
        if matching.is_empty() {
            return Stay::No;
        }
        for seconds in matching.iter().filter_map(|t| t.toleration_seconds) {
            let time = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            shortest = Some(shortest.map_or(time, |s| s.min(time)));
        }
    }
    shortest.map_or(Stay::Forever, Stay::For)
}

impl Controller {
    async fn sync(&self, key: &Key) -> SyncResult {
        let Some(pod) = self.pods.get_key(key) else {
            // Whose uid is not known here any more; the map is cleaned of all that is gone.
            let mut since = self.since.lock();
            if since.len() > self.pods.len() {
                let alive: std::collections::BTreeSet<String> =
                    self.pods.list().iter().map(|p| p.metadata.uid.clone()).collect();
                since.retain(|uid, _| alive.contains(uid));
            }
            return Ok(None);
        };
        let taints: Vec<Taint> = self
            .nodes
            .get("", &pod.spec.node_name)
            .map(|n| n.spec.taints.iter().filter(|t| t.effect == NO_EXECUTE).cloned().collect())
            .unwrap_or_default();
        if taints.is_empty() {
            if self.since.lock().remove(&pod.metadata.uid).is_some() && !pod.metadata.deleting() {
                let text = format!("Cancelling deletion of Pod {key}");
                self.event(&pod, &text);
            }
            return Ok(None);
        }
        if pod.metadata.deleting() {
            return Ok(None);
        }
        let since = *self.since.lock().entry(pod.metadata.uid.clone()).or_insert_with(Instant::now);
        match plan_stay(&taints, &pod.spec.tolerations) {
            Stay::Forever => Ok(None),
            Stay::For(time) if since.elapsed() < time => Ok(Some(time - since.elapsed())),
            Stay::For(_) | Stay::No => {
                self.evict(key, &pod).await?;
                Ok(None)
            }
        }
    }

    async fn evict(&self, key: &Key, pod: &Pod) -> Result<(), client::Error> {
        self.event(pod, &format!("Marking for deletion Pod {key}"));
        let now = client::time::seconds(self.env.clock.now());
        let patch = Patch::Strategic(json!({
            "metadata": {"uid": pod.metadata.uid},
            "status": {"conditions": [{
                "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
                "message": "Taint manager: deleting due to NoExecute taint", "lastTransitionTime": now,
            }]},
        }));
        let (namespace, name) = (&pod.metadata.namespace, &pod.metadata.name);
        let marked =
            self.client.patch::<PartialObject>(&resources::PODS, namespace, name, "status", &patch).await;
        let deleted = match marked {
            Ok(_) => {
                self.client
                    .delete(&resources::PODS, namespace, name, &DeleteParams::uid(&pod.metadata.uid))
                    .await
            }
            Err(e) => Err(e),
        };
        match deleted {
            Err(e) if !e.is_not_found() => Err(e),
            _ => Ok(()),
        }
    }

    fn event(&self, pod: &Pod, text: &str) {
        let object = ObjectReference::of(&resources::PODS, &pod.metadata);
        self.recorder.event(&object, EventType::Normal, "TaintManagerEviction", text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_stay(taints: serde_json::Value, tolerations: serde_json::Value, expected: Stay) {
        let taints: Vec<Taint> = serde_json::from_value(taints).unwrap();
        let tolerations: Vec<Toleration> = serde_json::from_value(tolerations).unwrap();
        assert_eq!(plan_stay(&taints, &tolerations), expected);
    }

    #[test]
    fn stays() {
        let bad = json!([{"key": "k", "effect": "NoExecute"}]);
        let seconds =
            |n: i64| json!({"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": n});
        check_stay(json!([{"key": "k", "effect": "NoSchedule"}]), json!([]), Stay::Forever);
        check_stay(bad.clone(), json!([]), Stay::No);
        check_stay(bad.clone(), json!([{"operator": "Exists"}]), Stay::Forever);
        check_stay(bad.clone(), json!([seconds(300)]), Stay::For(Duration::from_secs(300)));
        check_stay(bad.clone(), json!([seconds(300), seconds(5)]), Stay::For(Duration::from_secs(5)));
        check_stay(bad.clone(), json!([seconds(-3)]), Stay::For(Duration::ZERO));
        check_stay(bad.clone(), json!([{"key": "k", "operator": "Equal", "value": "x"}]), Stay::No);
        check_stay(bad, json!([{"key": "k"}]), Stay::Forever);
        let two = json!([{"key": "k", "effect": "NoExecute"}, {"key": "l", "effect": "NoExecute"}]);
        check_stay(two, json!([seconds(300)]), Stay::No);
    }
}
