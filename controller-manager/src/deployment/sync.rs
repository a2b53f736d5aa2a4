//! The rim around the plan: caches in, requests and events out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use client::{DeleteParams, Event, EventType, Informer, Key, ObjectReference, Patch, Recorder, resources};
use controller_kit::{Claim, OwnWrites, Queue, SyncError, SyncResult, claim, controller_ref, refs, write};
use serde_json::{Value, json};

use super::plan::{self, Action, Observed, Plan, Set, TEMPLATE_HASH};
use super::status;
use crate::context::{Context, synced};
use crate::objects::{
    BY_CONTROLLER, Deployment, DeploymentStatus, Pod, ReplicaSet, candidates, controller_index,
};

struct Controller {
    client: client::Client,
    env: env::Env,
    recorder: Recorder,
    deployments: Informer<Deployment>,
    sets: Informer<ReplicaSet>,
    pods: Informer<Pod>,
    writes: OwnWrites,
}

pub(crate) fn start(context: &Context) {
    let queue: Queue<Key> = Queue::new(context.env.clone());
    let deployments = context.informers.of::<Deployment>();
    let sets = context.informers.of::<ReplicaSet>();
    let pods = context.informers.of::<Pod>();
    sets.add_index(BY_CONTROLLER, |s| controller_index(&s.metadata));
    pods.add_index(BY_CONTROLLER, |p| controller_index(&p.metadata));

    let add = queue.clone();
    deployments.add_handler(move |event| add.add(Key::of(&event.object().metadata)));
    let (add, owners) = (queue.clone(), deployments.clone());
    sets.add_handler(move |event| {
        for set in event.old().into_iter().chain([event.object()]) {
            enqueue_owner(&add, &owners, set);
        }
    });
    let (add, owners, all_sets) = (queue.clone(), deployments.clone(), sets.clone());
    pods.add_handler(move |event| {
        // A Recreate rollout waits for the last old pod to be gone.
        if let Event::Deleted(pod) = event
            && let Some(owner) = pod.metadata.controller()
            && let Some(set) = all_sets.get(&pod.metadata.namespace, &owner.name)
        {
            enqueue_owner(&add, &owners, &set);
        }
    });

    let controller = Arc::new(Controller {
        client: context.client.clone(),
        env: context.env.clone(),
        recorder: context.recorder.clone(),
        deployments: deployments.clone(),
        sets: sets.clone(),
        pods: pods.clone(),
        writes: OwnWrites::default(),
    });
    let caches = vec![synced(&deployments), synced(&sets), synced(&pods)];
    context.run(caches, context.config.workers, &queue, move |key| {
        let controller = Arc::clone(&controller);
        async move { controller.sync(&key).await }
    });
}

/// The Deployment that controls `set`; for an orphan all that select it.
fn enqueue_owner(queue: &Queue<Key>, deployments: &Informer<Deployment>, set: &ReplicaSet) {
    let meta = &set.metadata;
    if let Some(owner) = meta.controller() {
        if owner.kind == resources::DEPLOYMENTS.kind {
            queue.add(Key::new(&meta.namespace, &owner.name));
        }
        return;
    }
    for deployment in deployments.list_namespace(&meta.namespace) {
        if !deployment.spec.selector.is_empty() && deployment.spec.selector.matches(&meta.labels) {
            queue.add(Key::of(&deployment.metadata));
        }
    }
}

impl Controller {
    async fn sync(&self, key: &Key) -> SyncResult {
        self.writes.seen_by(key, &self.sets).await;
        let Some(deployment) = self.deployments.get_key(key) else {
            self.writes.forget(key);
            return Ok(None);
        };
        if deployment.spec.selector.is_empty() {
            let text = "This deployment is selecting all pods. A non-empty selector is required.";
            self.event(&deployment, EventType::Warning, "SelectingAll", text);
            return Ok(None);
        }
        let Some(sets) = self.claim(key, &deployment).await? else { return Ok(None) };
        let template = parse_template(deployment.spec.template.as_deref())?;
        let observed = Observed {
            deployment: &deployment,
            template: plan::comparable(template.clone()),
            sets: sets.iter().map(|s| to_set(s)).collect::<Result<_, _>>()?,
            running: self.running(&sets),
            now: self.env.clock.now(),
        };
        let plan = plan::plan(&observed);
        self.carry_out(key, &deployment, &template, &observed, &plan).await?;
        if plan.status != deployment.status {
            let body = status_body(&plan.status);
            write::update_status(&self.client, &resources::DEPLOYMENTS, &deployment.metadata, body).await?;
        }
        Ok(plan.again_in_secs.and_then(|s| u64::try_from(s).ok()).map(Duration::from_secs))
    }

    /// The ReplicaSets that are the Deployment's; `None` when one was adopted or released: the caches will tell.
    async fn claim(
        &self,
        key: &Key,
        deployment: &Deployment,
    ) -> Result<Option<Vec<Arc<ReplicaSet>>>, SyncError> {
        let owner = &deployment.metadata;
        let (mut owned, mut changed) = (Vec::new(), false);
        for set in candidates(&self.sets, owner) {
            let matches = deployment.spec.selector.matches(&set.metadata.labels);
            match claim(owner, &set.metadata, matches) {
                Claim::Owned => owned.push(set),
                Claim::Ignore => {}
                Claim::Adopt => {
                    if refs::may_adopt(&self.client, &resources::DEPLOYMENTS, owner).await? {
                        let adopted: ReplicaSet =
                            refs::adopt(&self.client, &resources::DEPLOYMENTS, owner, &set.metadata).await?;
                        self.writes.wrote(key, &adopted.metadata);
                        changed = true;
                    }
                }
                Claim::Release => {
                    let released = refs::release::<ReplicaSet>(&self.client, owner, &set.metadata).await?;
                    if let Some(set) = released {
                        self.writes.wrote(key, &set.metadata);
                    }
                    changed = true;
                }
            }
        }
        Ok(if changed { None } else { Some(owned) })
    }

    /// ReplicaSets that have a pod which is not finished.
    fn running(&self, sets: &[Arc<ReplicaSet>]) -> Vec<String> {
        let mut uids = BTreeSet::new();
        for set in sets {
            let uid = &set.metadata.uid;
            if self.pods.by_index(BY_CONTROLLER, uid).iter().any(|p| !p.is_terminal()) {
                uids.insert(uid.clone());
            }
        }
        uids.into_iter().collect()
    }

    async fn carry_out(
        &self,
        key: &Key,
        deployment: &Deployment,
        template: &Value,
        observed: &Observed<'_>,
        plan: &Plan,
    ) -> Result<(), SyncError> {
        for action in &plan.actions {
            match action {
                Action::Create { name, hash, replicas, annotations } => {
                    let body = new_set(deployment, template, name, hash, *replicas, annotations);
                    self.create(key, deployment, observed, name, *replicas, &body).await?;
                }
                Action::Update { index, replicas, annotations, min_ready_seconds } => {
                    let set = &observed.sets[*index];
                    let patch = Patch::Merge(json!({
                        "metadata": {
                            "uid": set.meta.uid,
                            "resourceVersion": set.meta.resource_version,
                            "annotations": annotations,
                        },
                        "spec": {"replicas": replicas, "minReadySeconds": min_ready_seconds},
                    }));
                    let (namespace, name) = (&set.meta.namespace, &set.meta.name);
                    let changed: ReplicaSet =
                        self.client.patch(&resources::REPLICA_SETS, namespace, name, "", &patch).await?;
                    self.writes.wrote(key, &changed.metadata);
                    self.tell_scaling(deployment, name, set.replicas, *replicas);
                }
                Action::Delete { index } => {
                    let set = &observed.sets[*index].meta;
                    let params = DeleteParams::uid(&set.uid);
                    match self
                        .client
                        .delete(&resources::REPLICA_SETS, &set.namespace, &set.name, &params)
                        .await
                    {
                        Ok(()) => self.writes.deleted(key, set),
                        Err(e) if e.is_not_found() => {}
                        Err(e) => return Err(e.into()),
                    }
                }
                Action::SetRevision(revision) => {
                    write::update(&self.client, &resources::DEPLOYMENTS, &deployment.metadata, "", |live| {
                        live["metadata"]["annotations"][plan::REVISION] = revision.as_str().into();
                        true
                    })
                    .await?;
                }
            }
        }
        Ok(())
    }

    async fn create(
        &self,
        key: &Key,
        deployment: &Deployment,
        observed: &Observed<'_>,
        name: &str,
        replicas: i32,
        body: &Value,
    ) -> Result<(), SyncError> {
        let namespace = &deployment.metadata.namespace;
        let error = match self.client.create::<ReplicaSet>(&resources::REPLICA_SETS, namespace, body).await {
            Ok(made) => {
                self.writes.wrote(key, &made.metadata);
                self.tell_scaling(deployment, name, 0, replicas);
                return Ok(());
            }
            Err(error) => error,
        };
        if error.is_already_exists() {
            let live: ReplicaSet = self.client.get(&resources::REPLICA_SETS, namespace, name).await?;
            let ours = live.metadata.controller().is_some_and(|o| o.uid == deployment.metadata.uid);
            if ours && to_set(&live)?.template == observed.template {
                // An earlier create whose answer was lost.
                self.writes.wrote(key, &live.metadata);
                return Ok(());
            }
            // Another template has this hash: the next one is made of the count as well.
            let count = deployment.status.collision_count.unwrap_or(0) + 1;
            let body = json!({"collisionCount": count});
            write::update_status(&self.client, &resources::DEPLOYMENTS, &deployment.metadata, body).await?;
            return Err(error.into());
        }
        if error.is_namespace_terminating() {
            return Ok(());
        }
        let message = format!("Failed to create new replica set {name:?}: {error}");
        if status::has_deadline(deployment) {
            let now = self.env.clock.now();
            let failed = status::condition("Progressing", "False", "ReplicaSetCreateError", &message, now);
            let mut conditions = deployment.status.conditions.clone();
            status::set_condition(&mut conditions, failed);
            let body = json!({"conditions": conditions});
            write::update_status(&self.client, &resources::DEPLOYMENTS, &deployment.metadata, body).await?;
        }
        self.event(deployment, EventType::Warning, "ReplicaSetCreateError", &message);
        Err(error.into())
    }

    fn tell_scaling(&self, deployment: &Deployment, set: &str, from: i32, to: i32) {
        if from == to {
            return;
        }
        let direction = if from < to { "up" } else { "down" };
        let text = format!("Scaled {direction} replica set {set} from {from} to {to}");
        self.event(deployment, EventType::Normal, "ScalingReplicaSet", &text);
    }

    fn event(&self, deployment: &Deployment, kind: EventType, reason: &str, text: &str) {
        let object = ObjectReference::of(&resources::DEPLOYMENTS, &deployment.metadata);
        self.recorder.event(&object, kind, reason, text);
    }
}

fn parse_template(raw: Option<&serde_json::value::RawValue>) -> Result<Value, SyncError> {
    let text = raw.map_or("{}", |r| r.get());
    serde_json::from_str(text).map_err(|e| SyncError::Other(format!("template: {e}")))
}

fn to_set(set: &ReplicaSet) -> Result<Set, SyncError> {
    Ok(Set {
        meta: set.metadata.clone(),
        replicas: set.spec.replicas.unwrap_or(1),
        min_ready_seconds: set.spec.min_ready_seconds,
        template: plan::comparable(parse_template(set.spec.template.as_deref())?),
        status: set.status.clone(),
    })
}

/// The ReplicaSet of the current template, with the hash in its name, labels and selector.
fn new_set(
    deployment: &Deployment,
    template: &Value,
    name: &str,
    hash: &str,
    replicas: i32,
    annotations: &BTreeMap<String, String>,
) -> Value {
    let mut template = template.clone();
    template["metadata"]["labels"][TEMPLATE_HASH] = hash.into();
    let mut selector = json!({"matchLabels": deployment.spec.selector.match_labels});
    selector["matchLabels"][TEMPLATE_HASH] = hash.into();
    if !deployment.spec.selector.match_expressions.is_empty() {
        selector["matchExpressions"] = json!(deployment.spec.selector.match_expressions);
    }
    json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": deployment.metadata.namespace,
            "labels": template["metadata"]["labels"],
            "annotations": annotations,
            "ownerReferences": [controller_ref(&resources::DEPLOYMENTS, &deployment.metadata)],
        },
        "spec": {
            "replicas": replicas,
            "minReadySeconds": deployment.spec.min_ready_seconds,
            "selector": selector,
            "template": template,
        },
    })
}

/// The status as it is written: Go leaves zeros out, except of pointers.
fn status_body(status: &DeploymentStatus) -> Value {
    let count = |n: i32| if n == 0 { Value::Null } else { n.into() };
    json!({
        "observedGeneration": status.observed_generation,
        "replicas": count(status.replicas),
        "updatedReplicas": count(status.updated_replicas),
        "readyReplicas": count(status.ready_replicas),
        "availableReplicas": count(status.available_replicas),
        "unavailableReplicas": count(status.unavailable_replicas),
        "terminatingReplicas": status.terminating_replicas,
        "collisionCount": status.collision_count,
        "conditions": status.conditions,
    })
}
