//! Informers: a list-watch into an ordered map with indexes, shared by all users of a resource in a component.
//!
//! The cache is never older than what its handlers have heard; it may be newer by the event that is on its way to
//! them. There is no resync: a handler hears of changes only.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::api::{Client, ListParams};
use crate::object::{ApiResource, Meta, PartialObject, Resource};
use crate::reflector;
use crate::store::Store;

/// `namespace/name`, or `name` for cluster-scoped objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Key {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl Key {
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
    pub fn of(meta: &Meta) -> Self {
        Self::new(&meta.namespace, &meta.name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// What a handler hears, in the order of the changes, one at a time.
#[derive(Debug)]
pub enum Event<T> {
    Added(Arc<T>),
    Updated {
        old: Arc<T>,
        new: Arc<T>,
    },
    /// The last state known.
    Deleted(Arc<T>),
}

impl<T> Clone for Event<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Added(object) => Self::Added(Arc::clone(object)),
            Self::Updated { old, new } => Self::Updated { old: Arc::clone(old), new: Arc::clone(new) },
            Self::Deleted(object) => Self::Deleted(Arc::clone(object)),
        }
    }
}

impl<T> Event<T> {
    /// The newest state: the one that was deleted, for a deletion.
    pub fn object(&self) -> &Arc<T> {
        match self {
            Self::Added(object) | Self::Deleted(object) => object,
            Self::Updated { new, .. } => new,
        }
    }
    /// The state before an update.
    pub fn old(&self) -> Option<&Arc<T>> {
        match self {
            Self::Updated { old, .. } => Some(old),
            _ => None,
        }
    }
    pub fn is_deleted(&self) -> bool {
        matches!(self, Self::Deleted(_))
    }
}

/// One resource's cache. Cheap to clone.
pub struct Informer<T: Resource>(Arc<Core<T>>);

type Handler<T> = Box<dyn Fn(&Event<T>) + Send + Sync>;

/// How far a cache is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Progress {
    synced: bool,
    revision: u64,
}

/// Lock order: `handlers`, then `store`. The first is held while handlers run, the second is not: handlers may read
/// the cache, but add no handler.
pub(crate) struct Core<T: Resource> {
    pub(crate) resource: ApiResource,
    pub(crate) params: ListParams,
    /// Only metadata is asked for.
    pub(crate) metadata_only: bool,
    store: RwLock<Store<T>>,
    handlers: Mutex<Vec<Handler<T>>>,
    progress: Mutex<Progress>,
    /// Told of each change of `progress`. Not a `tokio::sync::watch`: that wakes its waiters in a random order.
    moved: Notify,
}

impl<T: Resource> Core<T> {
    fn new(resource: ApiResource, params: ListParams, metadata_only: bool) -> Self {
        Self {
            resource,
            params,
            metadata_only,
            store: RwLock::new(Store::new()),
            handlers: Mutex::default(),
            progress: Mutex::default(),
            moved: Notify::new(),
        }
    }

    fn revision(&self) -> u64 {
        self.progress.lock().revision
    }

    /// Applies `change` to the store and tells the handlers; then counts `revision` as reached.
    fn apply(&self, revision: u64, synced: bool, change: impl FnOnce(&mut Store<T>) -> Vec<Event<T>>) {
        let handlers = self.handlers.lock();
        let events = change(&mut self.store.write());
        for event in &events {
            for handler in handlers.iter() {
                handler(event);
            }
        }
        drop(handlers);
        let mut progress = self.progress.lock();
        progress.synced |= synced;
        // A server restored from an older backup goes back; the re-list that finds out sets it as it is.
        progress.revision = if synced { revision } else { progress.revision.max(revision) };
        drop(progress);
        self.moved.notify_waiters();
    }

    pub(crate) fn put(&self, object: T) {
        self.apply(object.meta().revision(), false, |store| store.put(object).into_iter().collect());
    }
    pub(crate) fn delete(&self, last: &T) {
        let key = Key::of(last.meta());
        self.apply(last.meta().revision(), false, |store| {
            store.remove(&key).map(Event::Deleted).into_iter().collect()
        });
    }
    pub(crate) fn replace(&self, objects: Vec<T>, revision: u64) {
        self.apply(revision, true, |store| store.replace(objects));
    }
    pub(crate) fn bookmark(&self, revision: u64) {
        self.apply(revision, false, |_| Vec::new());
    }
}

impl<T: Resource> Clone for Informer<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Resource> fmt::Debug for Informer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Informer")
            .field("resource", &self.0.resource.plural)
            .field("progress", &*self.0.progress.lock())
            .finish_non_exhaustive()
    }
}

impl<T: Resource> Informer<T> {
    /// One that no server feeds: it holds `objects` and is in sync. For tests of what reads caches.
    pub fn fixed(objects: Vec<T>) -> Self {
        let core = Core::new(T::TYPE.into(), ListParams::default(), false);
        let revision = objects.iter().map(|o| o.meta().revision()).max().unwrap_or(0);
        core.replace(objects, revision);
        Self(Arc::new(core))
    }

    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        self.get_key(&Key::new(namespace, name))
    }
    pub fn get_key(&self, key: &Key) -> Option<Arc<T>> {
        self.0.store.read().get(key)
    }
    pub fn len(&self) -> usize {
        self.0.store.read().len()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Everything, in the order of the keys.
    pub fn list(&self) -> Vec<Arc<T>> {
        self.0.store.read().list()
    }
    pub fn list_namespace(&self, namespace: &str) -> Vec<Arc<T>> {
        self.0.store.read().list_namespace(namespace)
    }
    /// The objects for which the index function gave `value`.
    pub fn by_index(&self, index: &'static str, value: &str) -> Vec<Arc<T>> {
        self.0.store.read().by_index(index, value)
    }
    /// Adds an index. Users of a shared informer that add an index of the same name share the first one's function.
    pub fn add_index(&self, index: &'static str, values: impl Fn(&T) -> Vec<String> + Send + Sync + 'static) {
        self.0.store.write().add_index(index, Box::new(values));
    }
    /// Calls `handler` with every object that is there (as Added), then with each change, in order. The handler must
    /// not block: it enqueues keys. It may be added before or after the start, but not by a handler.
    pub fn add_handler(&self, handler: impl Fn(&Event<T>) + Send + Sync + 'static) {
        let mut handlers = self.0.handlers.lock();
        for object in self.list() {
            handler(&Event::Added(object));
        }
        handlers.push(Box::new(handler));
    }
    pub fn has_synced(&self) -> bool {
        self.0.progress.lock().synced
    }
    /// Ends once the first list is in the cache and the handlers have heard of it.
    pub async fn synced(&self) {
        self.wait_until(Self::has_synced).await;
    }
    /// The newest revision that this cache reflects (from objects and bookmarks); 0 before the first list.
    pub fn revision(&self) -> u64 {
        self.0.revision()
    }
    /// Ends once the cache reflects `revision` (the resourceVersion that a write returned): read your own writes.
    /// The write must have been to an object that this informer selects; others show with the next bookmark.
    pub async fn reached(&self, revision: u64) {
        self.wait_until(|informer| informer.revision() >= revision).await;
    }
    /// Ends once `condition` holds; looks again after each change.
    pub async fn wait_until(&self, condition: impl Fn(&Self) -> bool) {
        loop {
            // Listening before looking: no change in between is missed.
            let moved = self.0.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if condition(self) {
                return;
            }
            moved.await;
        }
    }
}

/// All informers of one component: one per resource and selector.
#[derive(Clone)]
pub struct Informers(Arc<Shared>);

struct Shared {
    client: Client,
    env: env::Env,
    tasks: component::Tasks,
    entries: Mutex<Vec<Entry>>,
}

/// An informer without its type.
struct Entry {
    ty: TypeId,
    resource: ApiResource,
    params: ListParams,
    metadata_only: bool,
    running: bool,
    stop: CancellationToken,
    informer: Box<dyn AnyInformer>,
}

trait AnyInformer: Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn start(&self, shared: &Shared, stop: CancellationToken);
    fn synced(&self) -> futures::future::BoxFuture<'static, ()>;
}

impl<T: Resource> AnyInformer for Informer<T> {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn start(&self, shared: &Shared, stop: CancellationToken) {
        let run = reflector::run(Arc::clone(&self.0), shared.client.clone(), shared.env.clone());
        shared.tasks.spawn_until_stop(format!("informer {}", self.0.resource.plural), async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = run => {}
            }
        });
    }
    fn synced(&self) -> futures::future::BoxFuture<'static, ()> {
        let informer = self.clone();
        Box::pin(async move { informer.synced().await })
    }
}

impl fmt::Debug for Informers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.0.entries.lock();
        f.debug_list().entries(entries.iter().map(|e| &e.resource.plural)).finish()
    }
}

impl Informers {
    pub fn new(client: Client, env: env::Env, tasks: component::Tasks) -> Self {
        Self(Arc::new(Shared { client, env, tasks, entries: Mutex::default() }))
    }
    /// The user that the caches are read as, to ask the server itself what a cache may not know yet.
    pub fn client(&self) -> &Client {
        &self.0.client
    }
    /// The component's informer of `T` over all namespaces, made on first use.
    pub fn of<T: Resource>(&self) -> Informer<T> {
        self.with(ListParams::default())
    }
    /// One with selectors of its own, such as the kubelet's pods by `spec.nodeName`.
    pub fn with<T: Resource>(&self, params: ListParams) -> Informer<T> {
        self.entry(T::TYPE.into(), params, false)
    }
    /// The metadata alone of a resource's objects, whatever it is.
    pub fn metadata_of(&self, resource: impl Into<ApiResource>) -> Informer<PartialObject> {
        self.metadata_as(resource)
    }
    /// As [`Informers::metadata_of`], into a type that keeps less of it.
    pub fn metadata_as<T: Resource>(&self, resource: impl Into<ApiResource>) -> Informer<T> {
        self.entry(resource.into(), ListParams::default(), true)
    }
    /// Stops and forgets the metadata informers of a resource that is served no more.
    pub fn forget_metadata(&self, resource: &ApiResource) {
        self.0.entries.lock().retain(|entry| {
            let gone = entry.metadata_only && entry.resource == *resource;
            if gone {
                entry.stop.cancel();
            }
            !gone
        });
    }
    fn entry<T: Resource>(
        &self,
        resource: ApiResource,
        params: ListParams,
        metadata_only: bool,
    ) -> Informer<T> {
        let ty = TypeId::of::<T>();
        let mut entries = self.0.entries.lock();
        let found = entries.iter().find(|e| {
            e.ty == ty && e.resource == resource && e.params == params && e.metadata_only == metadata_only
        });
        if let Some(entry) = found {
            let informer = entry.informer.as_any().downcast_ref::<Informer<T>>();
            return informer.expect("the type's id was compared above").clone();
        }
        let informer = Informer(Arc::new(Core::new(resource.clone(), params.clone(), metadata_only)));
        let boxed = Box::new(informer.clone());
        let stop = CancellationToken::new();
        entries.push(Entry { ty, resource, params, metadata_only, running: false, stop, informer: boxed });
        informer
    }
    /// Starts every informer that is not yet running.
    pub fn start(&self) {
        for entry in self.0.entries.lock().iter_mut().filter(|e| !e.running) {
            entry.running = true;
            entry.informer.start(&self.0, entry.stop.clone());
        }
    }
    /// Ends once all have synced.
    pub async fn synced(&self) {
        let waits: Vec<_> = self.0.entries.lock().iter().map(|e| e.informer.synced()).collect();
        futures::future::join_all(waits).await;
    }
}
