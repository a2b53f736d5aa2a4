//! The rim of the garbage collector.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use client::{
    ApiResource, Client, DeleteParams, Error, Informer, Informers, Meta, OwnerReference, PartialObject,
    Patch, Propagation, Resource, ResourceType,
};
use controller_kit::{Queue, SyncError, SyncResult};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;

use super::graph::{FOREGROUND, Graph, Node, ORPHAN, Task};
use crate::context::Context;
use crate::discovery;

/// How often discovery is asked for new resources, as upstream.
const DISCOVERY_PERIOD: Duration = Duration::from_secs(30);
/// While discovery has failed or its caches are not in sync.
const DISCOVERY_RETRY: Duration = Duration::from_secs(1);
/// Owners that are known not to exist; upstream remembers 500.
const ABSENT_MAX: usize = 500;
const WORKERS: usize = 20;

/// Metadata less labels and annotations, which nobody looks at here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "PartialObject")]
struct Slim {
    metadata: Meta,
}

impl From<PartialObject> for Slim {
    fn from(object: PartialObject) -> Self {
        let mut metadata = object.metadata;
        metadata.labels.clear();
        metadata.annotations.clear();
        Self { metadata }
    }
}

impl Resource for Slim {
    const TYPE: ResourceType = PartialObject::TYPE;
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

struct Controller {
    client: Client,
    informers: Informers,
    queue: Queue<Task>,
    graph: Mutex<Graph>,
    /// By group and kind, as owner references name them.
    watched: Mutex<BTreeMap<(String, String), Arc<ApiResource>>>,
    absent: Mutex<VecDeque<String>>,
}

pub(crate) fn start(context: &Context) {
    let queue: Queue<Task> = Queue::new(context.env.clone());
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        informers: context.informers.clone(),
        queue: queue.clone(),
        graph: Mutex::default(),
        watched: Mutex::default(),
        absent: Mutex::default(),
    });
    let (ready, first) = tokio::sync::oneshot::channel();
    let watcher = Arc::clone(&controller);
    context.tasks.spawn_until_stop("garbage collector discovery", async move {
        let mut ready = Some(ready);
        loop {
            match watcher.watch_all().await {
                Ok(()) => {
                    if let Some(ready) = ready.take() {
                        let _ = ready.send(());
                    }
                    tokio::time::sleep(DISCOVERY_PERIOD).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "discovery failed");
                    tokio::time::sleep(DISCOVERY_RETRY).await;
                }
            }
        }
    });
    // Until every cache is in sync once, an owner that is not in the graph means nothing.
    let first: crate::context::Synced = Box::pin(async move {
        let _ = first.await;
    });
    context.run(vec![first], WORKERS, &queue, move |task| {
        let controller = Arc::clone(&controller);
        async move { controller.sync(&task).await }
    });
}

/// Who an owner turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OwnerState {
    Solid,
    Absent,
    /// Being deleted in the foreground.
    Waiting,
}

impl Controller {
    /// Starts to watch what is new, and stops what is served no more; ends when all are in sync.
    async fn watch_all(self: &Arc<Self>) -> Result<(), Error> {
        let found = discovery::discover(&self.client).await?;
        let wanted: BTreeMap<(String, String), Arc<ApiResource>> = found
            .resources
            .into_iter()
            .filter(|s| s.can("list") && s.can("watch") && s.can("delete") && s.resource.plural != "events")
            .map(|s| ((s.resource.group.clone(), s.resource.kind.clone()), Arc::new(s.resource)))
            .collect();
        let (mut fresh, mut gone) = (Vec::new(), Vec::new());
        {
            let mut watched = self.watched.lock();
            for (key, resource) in &wanted {
                if watched.get(key).is_none_or(|w| w != resource) {
                    fresh.push(Arc::clone(resource));
                }
            }
            // A group that could not be asked is not gone.
            if found.failed.is_empty() {
                gone.extend(
                    watched.iter().filter(|(k, w)| wanted.get(*k) != Some(*w)).map(|(_, w)| Arc::clone(w)),
                );
                *watched = wanted;
            } else {
                watched.extend(wanted);
            }
        }
        for resource in gone {
            self.informers.forget_metadata(&resource);
            let tasks = self.graph.lock().remove_resource(&resource);
            self.add(tasks);
        }
        let informers: Vec<Informer<Slim>> =
            fresh.into_iter().map(|resource| self.watch(&resource)).collect();
        self.informers.start();
        // One that can't be listed holds up nothing: owners are read live in any case.
        let synced = futures::future::join_all(informers.iter().map(Informer::synced));
        if tokio::time::timeout(DISCOVERY_PERIOD, synced).await.is_err() {
            tracing::warn!("some resources could not be listed in time");
        }
        Ok(())
    }

    fn watch(self: &Arc<Self>, resource: &Arc<ApiResource>) -> Informer<Slim> {
        let informer = self.informers.metadata_as::<Slim>((**resource).clone());
        let (controller, resource) = (Arc::clone(self), Arc::clone(resource));
        informer.add_handler(move |event| {
            let meta = event.object().meta();
            let tasks = if event.is_deleted() {
                controller.graph.lock().remove(&meta.uid)
            } else {
                controller.graph.lock().put(&resource, meta)
            };
            controller.add(tasks);
        });
        informer
    }

    fn add(&self, tasks: Vec<Task>) {
        tasks.into_iter().for_each(|task| self.queue.add(task));
    }

    fn node(&self, uid: &str) -> Option<Node> {
        self.graph.lock().get(uid).cloned()
    }

    async fn sync(&self, task: &Task) -> SyncResult {
        match task {
            Task::Check(uid) => self.check(uid).await?,
            Task::Orphan(uid) => self.orphan(uid).await?,
        }
        Ok(None)
    }

    async fn check(&self, uid: &str) -> Result<(), SyncError> {
        let Some(node) = self.node(uid) else { return Ok(()) };
        if node.deleting && !node.waits() {
            return Ok(());
        }
        let Some(live) = self.live(&node, uid).await? else { return Ok(()) };
        if node.waits() {
            return self.check_dependents(uid, &node, &live).await;
        }
        let (mut solid, mut absent, mut waiting) = (0, 0, 0);
        let mut keep = Vec::new();
        for reference in &live.owner_references {
            match self.owner_state(&node, reference).await? {
                OwnerState::Solid => {
                    solid += 1;
                    keep.push(reference.clone());
                }
                OwnerState::Absent => absent += 1,
                OwnerState::Waiting => waiting += 1,
            }
        }
        if solid + absent + waiting == 0 {
            return Ok(());
        }
        if solid > 0 {
            if absent + waiting > 0 {
                self.set_owners(&node, &live, &keep).await?;
            }
            return Ok(());
        }
        let propagation = if waiting > 0 && !self.graph.lock().dependents(uid).is_empty() {
            self.break_circles(uid, &node, &live).await?;
            Propagation::Foreground
        } else if live.has_finalizer(ORPHAN) {
            Propagation::Orphan
        } else if live.has_finalizer(FOREGROUND) {
            Propagation::Foreground
        } else {
            Propagation::Background
        };
        // Guarded by the version that was judged: a new owner in between makes it a conflict, and another look.
        let params = DeleteParams {
            propagation: Some(propagation),
            uid: Some(uid.to_owned()),
            resource_version: Some(live.resource_version.clone()),
            ..DeleteParams::default()
        };
        tracing::debug!(resource = %node.resource.plural, namespace = %node.namespace, name = %node.name, "collecting");
        ignore_missing(self.client.delete_path(&node.path(), &params).await)
    }

    /// The object as it is now; `None` when it is gone or another by now, which the graph will hear of.
    async fn live(&self, node: &Node, uid: &str) -> Result<Option<Meta>, SyncError> {
        match self.client.get_metadata(&node.path()).await {
            Ok(live) if live.metadata.uid == uid => Ok(Some(live.metadata)),
            Ok(_) => Ok(None),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// A foreground deletion: done when no dependent blocks it any more.
    async fn check_dependents(&self, uid: &str, node: &Node, live: &Meta) -> Result<(), SyncError> {
        let blocking: Vec<(String, Node)> = {
            let graph = self.graph.lock();
            let dependents = graph.dependents(uid).into_iter();
            dependents
                .filter_map(|d| graph.get(&d).map(|n| (d.clone(), n.clone())))
                .filter(|(_, n)| n.blocks(uid))
                .collect()
        };
        if blocking.is_empty() {
            return self.remove_finalizer(node, live, FOREGROUND).await;
        }
        for (dependent, node) in blocking {
            if !node.waits() {
                self.queue.add(Task::Check(dependent));
            }
        }
        Ok(())
    }

    /// Reads the owner live. What its kind is can only be known from discovery.
    async fn owner_state(&self, node: &Node, reference: &OwnerReference) -> Result<OwnerState, SyncError> {
        if self.absent.lock().contains(&reference.uid) {
            return Ok(OwnerState::Absent);
        }
        let group = reference.api_version.split_once('/').map_or("", |(group, _)| group);
        let resource = self.watched.lock().get(&(group.to_owned(), reference.kind.clone())).cloned();
        let Some(resource) = resource else {
            let text = format!("unknown owner kind {} {}", reference.api_version, reference.kind);
            return Err(SyncError::Other(text));
        };
        if resource.namespaced && !node.resource.namespaced {
            // Invalid, and never taken as a reason to delete.
            return Ok(OwnerState::Solid);
        }
        let path = resource.path(&node.namespace, &reference.name, "");
        let live = match self.client.get_metadata(&path).await {
            Ok(live) if live.metadata.uid == reference.uid => live.metadata,
            Ok(_) => return Ok(self.remember_absent(reference)),
            Err(e) if e.is_not_found() => return Ok(self.remember_absent(reference)),
            Err(e) => return Err(e.into()),
        };
        let waiting = live.deleting() && live.has_finalizer(FOREGROUND);
        Ok(if waiting { OwnerState::Waiting } else { OwnerState::Solid })
    }

    /// A uid never comes back: what is absent once is absent for ever.
    fn remember_absent(&self, reference: &OwnerReference) -> OwnerState {
        let mut absent = self.absent.lock();
        if absent.len() >= ABSENT_MAX {
            absent.pop_front();
        }
        absent.push_back(reference.uid.clone());
        OwnerState::Absent
    }

    /// Two objects that wait for each other would wait for ever: the one at hand stops blocking its owners.
    async fn break_circles(&self, uid: &str, node: &Node, live: &Meta) -> Result<(), SyncError> {
        let circular = {
            let graph = self.graph.lock();
            graph.dependents(uid).iter().any(|d| graph.get(d).is_some_and(Node::waits))
        };
        if !circular {
            return Ok(());
        }
        let mut owners = live.owner_references.clone();
        owners.iter_mut().for_each(|o| o.block_owner_deletion = Some(false));
        let unblocked = json!({"metadata": {"uid": live.uid, "ownerReferences": owners}});
        let result = self.client.patch_path::<PartialObject>(&node.path(), &Patch::Merge(unblocked)).await;
        ignore_missing(result.map(|_| ()))
    }

    async fn set_owners(&self, node: &Node, live: &Meta, owners: &[OwnerReference]) -> Result<(), SyncError> {
        let patch = Patch::Merge(json!({
            "metadata": {"uid": live.uid, "resourceVersion": live.resource_version, "ownerReferences": owners},
        }));
        ignore_missing(self.client.patch_path::<PartialObject>(&node.path(), &patch).await.map(|_| ()))
    }

    async fn remove_finalizer(&self, node: &Node, live: &Meta, finalizer: &str) -> Result<(), SyncError> {
        if !live.has_finalizer(finalizer) {
            return Ok(());
        }
        let left: Vec<&String> = live.finalizers.iter().filter(|f| *f != finalizer).collect();
        let patch = Patch::Merge(json!({
            "metadata": {"uid": live.uid, "resourceVersion": live.resource_version, "finalizers": left},
        }));
        ignore_missing(self.client.patch_path::<PartialObject>(&node.path(), &patch).await.map(|_| ()))
    }

    /// Takes the owner out of its dependents' references, then lets it go.
    async fn orphan(&self, uid: &str) -> Result<(), SyncError> {
        let Some(node) = self.node(uid) else { return Ok(()) };
        let dependents = self.graph.lock().dependents(uid);
        for dependent in dependents {
            let Some(child) = self.node(&dependent) else { continue };
            let Some(live) = self.live(&child, &dependent).await? else { continue };
            let keep: Vec<OwnerReference> =
                live.owner_references.iter().filter(|o| o.uid != uid).cloned().collect();
            if keep.len() < live.owner_references.len() {
                self.set_owners(&child, &live, &keep).await?;
            }
        }
        let Some(live) = self.live(&node, uid).await? else { return Ok(()) };
        self.remove_finalizer(&node, &live, ORPHAN).await
    }
}

fn ignore_missing(result: Result<(), Error>) -> Result<(), SyncError> {
    match result {
        Err(e) if !e.is_not_found() => Err(e.into()),
        _ => Ok(()),
    }
}
