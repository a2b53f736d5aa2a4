//! The rim of the replicaset controller.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use client::{
    Client, DeleteParams, Error, EventType, Informer, Key, ListParams, Meta, ObjectReference, PartialObject,
    Recorder, ResourceType, resources,
};
use controller_kit::{
    Claim, LabelSelector, OwnWrites, Queue, SyncError, SyncResult, claim, controller_ref, refs, write,
};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::PodRef;
use super::plan::{self, Delta, Failure};
use crate::context::{Context, Synced, synced};
use crate::objects::{BY_CONTROLLER, Pod, ReplicaSet, ReplicaSetStatus, candidates, controller_index};

/// A ReplicaSet or a ReplicationController.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) meta: Meta,
    pub(crate) replicas: i32,
    pub(crate) selector: LabelSelector,
    /// JSON.
    pub(crate) template: String,
    pub(crate) min_ready_seconds: i32,
    pub(crate) status: ReplicaSetStatus,
}

/// Where owners come from.
pub(crate) struct Source {
    pub(crate) ty: ResourceType,
    #[allow(clippy::type_complexity, reason = "one use")]
    pub(crate) get: Box<dyn Fn(&Key) -> Option<Owner> + Send + Sync>,
    /// ReplicaSets of one Deployment share their pods' ranking by node.
    pub(crate) siblings: Option<Informer<ReplicaSet>>,
}

struct Controller {
    client: Client,
    env: env::Env,
    recorder: Recorder,
    source: Source,
    pods: Informer<Pod>,
    writes: OwnWrites,
    /// Owners of which a create or delete was sent and not answered.
    unsettled: Mutex<BTreeSet<Key>>,
}

/// Starts the workers. `in_namespace` lists the owners that an orphaned pod may concern.
pub(crate) fn start(
    context: &Context,
    owners_synced: Synced,
    source: Source,
    queue: &Queue<Key>,
    in_namespace: impl Fn(&str) -> Vec<Owner> + Send + Sync + 'static,
) {
    let pods = context.informers.of::<Pod>();
    pods.add_index(BY_CONTROLLER, |p| controller_index(&p.metadata));
    let (add, kind) = (queue.clone(), source.ty.kind);
    pods.add_handler(move |event| {
        // Both states: a pod that lost its controller concerns the one it had.
        for pod in event.old().into_iter().chain([event.object()]) {
            let meta = &pod.metadata;
            match meta.controller() {
                Some(owner) if owner.kind == kind => add.add(Key::new(&meta.namespace, &owner.name)),
                Some(_) => {}
                None => in_namespace(&meta.namespace)
                    .iter()
                    .filter(|o| !o.selector.is_empty() && o.selector.matches(&meta.labels))
                    .for_each(|o| add.add(Key::of(&o.meta))),
            }
        }
    });
    let caches = vec![owners_synced, synced(&pods)];
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        env: context.env.clone(),
        recorder: context.recorder.clone(),
        source,
        pods,
        writes: OwnWrites::default(),
        unsettled: Mutex::default(),
    });
    context.run(caches, context.config.workers, queue, move |key| {
        let controller = Arc::clone(&controller);
        async move { controller.sync(&key).await }
    });
}

impl Controller {
    async fn sync(&self, key: &Key) -> SyncResult {
        let Some(owner) = (self.source.get)(key) else {
            self.writes.forget(key);
            self.unsettled.lock().remove(key);
            return Ok(None);
        };
        if self.unsettled.lock().contains(key) {
            self.settle(key, &owner).await?;
        }
        self.writes.seen_by(key, &self.pods).await;
        // It may have changed while we waited.
        let Some(owner) = (self.source.get)(key) else { return Ok(None) };
        if owner.selector.is_empty() {
            return Ok(None);
        }
        let Some(pods) = self.claim(key, &owner).await? else { return Ok(None) };
        let template: Value =
            serde_json::from_str(&owner.template).map_err(|e| SyncError::Other(format!("template: {e}")))?;
        let now = self.env.clock.now();
        let active: Vec<PodRef> = pods.iter().filter(|p| p.is_active()).cloned().collect();
        let delta = if owner.meta.deleting() {
            Delta::None
        } else {
            plan::plan(owner.replicas, &active, &self.related(&owner, &pods), now)
        };
        let result = match delta {
            Delta::None => Ok(()),
            Delta::Create(n) => self.create(key, &owner, &template, n).await.map_err(|e| ("FailedCreate", e)),
            Delta::Delete(pods) => self.delete(key, &owner, &pods).await.map_err(|e| ("FailedDelete", e)),
        };
        let failure = result.as_ref().err().map(|(reason, e)| Failure { reason, message: e.to_string() });
        let labels: BTreeMap<String, String> =
            serde_json::from_value(template["metadata"]["labels"].clone()).unwrap_or_default();
        let (status, next) = plan::status(
            &owner.status,
            owner.meta.generation,
            owner.min_ready_seconds,
            &labels,
            &pods,
            failure.as_ref(),
            now,
        );
        if status != owner.status {
            write::update_status(&self.client, &self.source.ty, &owner.meta, status_body(&status)).await?;
        }
        result.map_err(|(_, e)| e)?;
        Ok(next.and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs))
    }

    /// The owner's pods, finished and deleted ones too; `None` when one was adopted or released.
    async fn claim(&self, key: &Key, owner: &Owner) -> Result<Option<Vec<PodRef>>, SyncError> {
        let ty = &self.source.ty;
        let (mut owned, mut changed) = (Vec::new(), false);
        for pod in candidates(&self.pods, &owner.meta) {
            let matches = owner.selector.matches(&pod.metadata.labels);
            match claim(&owner.meta, &pod.metadata, matches) {
                Claim::Owned => owned.push(pod),
                Claim::Adopt if pod.is_active() => {
                    if refs::may_adopt(&self.client, ty, &owner.meta).await? {
                        let adopted: Pod = refs::adopt(&self.client, ty, &owner.meta, &pod.metadata).await?;
                        self.writes.wrote(key, &adopted.metadata);
                        changed = true;
                    }
                }
                Claim::Adopt | Claim::Ignore => {}
                Claim::Release => {
                    let released = refs::release::<Pod>(&self.client, &owner.meta, &pod.metadata).await?;
                    if let Some(pod) = released {
                        self.writes.wrote(key, &pod.metadata);
                        changed = true;
                    }
                }
            }
        }
        Ok(if changed { None } else { Some(owned) })
    }

    /// The pods of all ReplicaSets of the same Deployment.
    fn related(&self, owner: &Owner, own: &[PodRef]) -> Vec<PodRef> {
        let (Some(sets), Some(deployment)) = (&self.source.siblings, owner.meta.controller()) else {
            return own.to_vec();
        };
        sets.by_index(BY_CONTROLLER, &deployment.uid)
            .iter()
            .flat_map(|set| self.pods.by_index(BY_CONTROLLER, &set.metadata.uid))
            .collect()
    }

    /// Creates in batches that double, so that a template which is refused costs one request and not hundreds.
    async fn create(&self, key: &Key, owner: &Owner, template: &Value, n: usize) -> Result<(), SyncError> {
        let body = new_pod(&self.source.ty, owner, template);
        let (mut left, mut batch) = (n, 1);
        while left > 0 {
            let size = batch.min(left);
            let creates =
                (0..size).map(|_| self.client.create::<Pod>(&resources::PODS, &owner.meta.namespace, &body));
            let mut failed = None;
            for result in futures::future::join_all(creates).await {
                match result {
                    Ok(pod) => {
                        self.writes.wrote(key, &pod.metadata);
                        let text = format!("Created pod: {}", pod.metadata.name);
                        self.event(owner, EventType::Normal, "SuccessfulCreate", &text);
                    }
                    // There is nothing left to do in a namespace that goes away.
                    Err(e) if e.is_namespace_terminating() => return Ok(()),
                    Err(e) => {
                        self.event(
                            owner,
                            EventType::Warning,
                            "FailedCreate",
                            &format!("Error creating: {e}"),
                        );
                        self.note_uncertain(key, &e);
                        failed = Some(e);
                    }
                }
            }
            if let Some(error) = failed {
                return Err(error.into());
            }
            left -= size;
            batch *= 2;
        }
        Ok(())
    }

    async fn delete(&self, key: &Key, owner: &Owner, pods: &[PodRef]) -> Result<(), SyncError> {
        let deletes = pods.iter().map(|pod| async move {
            let params = DeleteParams::uid(&pod.metadata.uid);
            let (namespace, name) = (&pod.metadata.namespace, &pod.metadata.name);
            (pod, self.client.delete(&resources::PODS, namespace, name, &params).await)
        });
        let mut failed = None;
        for (pod, result) in futures::future::join_all(deletes).await {
            match result {
                Ok(()) => {
                    self.writes.deleted(key, &pod.metadata);
                    let text = format!("Deleted pod: {}", pod.metadata.name);
                    self.event(owner, EventType::Normal, "SuccessfulDelete", &text);
                }
                Err(e) if e.is_not_found() => self.writes.deleted(key, &pod.metadata),
                Err(e) => {
                    self.event(owner, EventType::Warning, "FailedDelete", &format!("Error deleting: {e}"));
                    self.note_uncertain(key, &e);
                    failed = Some(e);
                }
            }
        }
        failed.map_or(Ok(()), |e| Err(e.into()))
    }

    fn note_uncertain(&self, key: &Key, error: &Error) {
        if error.is_uncertain() {
            self.unsettled.lock().insert(key.clone());
        }
    }

    /// After an answer that was lost: asks the server which pods there are, and waits for the cache to know as much.
    /// Deciding by the cache as it is would make a pod that is there already once more.
    async fn settle(&self, key: &Key, owner: &Owner) -> Result<(), SyncError> {
        let params = ListParams {
            namespace: owner.meta.namespace.clone(),
            label_selector: owner.selector.to_string(),
            ..ListParams::default()
        };
        let live = self.client.list::<PartialObject>(&resources::PODS, &params).await?;
        for pod in &live.items {
            self.writes.wrote(key, &pod.metadata);
        }
        let uids: BTreeSet<&str> = live.items.iter().map(|p| p.metadata.uid.as_str()).collect();
        for pod in self.pods.by_index(BY_CONTROLLER, &owner.meta.uid) {
            if !uids.contains(pod.metadata.uid.as_str()) && owner.selector.matches(&pod.metadata.labels) {
                self.writes.deleted(key, &pod.metadata);
            }
        }
        self.unsettled.lock().remove(key);
        Ok(())
    }

    fn event(&self, owner: &Owner, kind: EventType, reason: &str, text: &str) {
        self.recorder.event(&ObjectReference::of(&self.source.ty, &owner.meta), kind, reason, text);
    }
}

fn new_pod(ty: &ResourceType, owner: &Owner, template: &Value) -> Value {
    let mut meta = json!({
        "generateName": format!("{}-", owner.meta.name),
        "namespace": owner.meta.namespace,
        "ownerReferences": [controller_ref(ty, &owner.meta)],
    });
    for field in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template["metadata"].get(field).filter(|v| !v.is_null()) {
            meta[field] = value.clone();
        }
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]})
}

fn status_body(status: &ReplicaSetStatus) -> Value {
    let count = |n: i32| if n == 0 { Value::Null } else { n.into() };
    let conditions = if status.conditions.is_empty() { Value::Null } else { json!(status.conditions) };
    json!({
        // The one count without omitempty.
        "replicas": status.replicas,
        "fullyLabeledReplicas": count(status.fully_labeled_replicas),
        "readyReplicas": count(status.ready_replicas),
        "availableReplicas": count(status.available_replicas),
        "terminatingReplicas": status.terminating_replicas,
        "observedGeneration": status.observed_generation,
        "conditions": conditions,
    })
}
