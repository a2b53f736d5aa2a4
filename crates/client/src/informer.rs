//! Informers: a list-watch into an ordered map with indexes, shared by all users of a resource in a component.

use std::sync::Arc;

use crate::api::{Client, ListParams};
use crate::object::Resource;

/// `namespace/name`, or `name` for cluster-scoped objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Key {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

/// What a handler hears, in the order of the changes, one at a time.
#[derive(Clone, Debug)]
pub enum Event<T> {
    Added(Arc<T>),
    Updated { old: Arc<T>, new: Arc<T> },
    /// The last state known.
    Deleted(Arc<T>),
}

/// One resource's cache. Cheap to clone.
#[derive(Debug)]
pub struct Informer<T: Resource>(Arc<std::marker::PhantomData<T>>);

impl<T: Resource> Clone for Informer<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[allow(unused_variables, clippy::unused_async)]
impl<T: Resource> Informer<T> {
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        todo!()
    }
    /// Everything, in the order of the keys.
    pub fn list(&self) -> Vec<Arc<T>> {
        todo!()
    }
    pub fn list_namespace(&self, namespace: &str) -> Vec<Arc<T>> {
        todo!()
    }
    /// The objects for which the index function gave `value`.
    pub fn by_index(&self, index: &'static str, value: &str) -> Vec<Arc<T>> {
        todo!()
    }
    /// Adds an index; to be called before [`Informers::start`].
    pub fn add_index(&self, index: &'static str, values: impl Fn(&T) -> Vec<String> + Send + Sync + 'static) {
        todo!()
    }
    /// Calls `handler` with every object that is there (as Added), then with each change, in order. The handler must
    /// not block: it enqueues keys. It may be added before or after the start.
    pub fn add_handler(&self, handler: impl Fn(&Event<T>) + Send + Sync + 'static) {
        todo!()
    }
    pub fn has_synced(&self) -> bool {
        todo!()
    }
    /// Ends once the first list is in the cache and the handlers have heard of it.
    pub async fn synced(&self) {
        todo!()
    }
    /// The newest revision that this cache reflects (from objects and bookmarks); 0 before the first list.
    pub fn revision(&self) -> u64 {
        todo!()
    }
    /// Ends once the cache reflects `revision` (the resourceVersion that a write returned): read your own writes.
    pub async fn reached(&self, revision: u64) {
        todo!()
    }
}

/// All informers of one component: one per resource and selector.
#[derive(Clone, Debug)]
pub struct Informers(Arc<Client>);

#[allow(unused_variables, clippy::unused_async)]
impl Informers {
    pub fn new(client: Client, env: env::Env, tasks: component::Tasks) -> Self {
        todo!()
    }
    /// The component's informer of `T` over all namespaces, made on first use.
    pub fn of<T: Resource>(&self) -> Informer<T> {
        todo!()
    }
    /// One with selectors of its own, such as the kubelet's pods by `spec.nodeName`.
    pub fn with<T: Resource>(&self, params: ListParams) -> Informer<T> {
        todo!()
    }
    /// Starts every informer that is not yet running.
    pub fn start(&self) {
        todo!()
    }
    /// Ends once all have synced.
    pub async fn synced(&self) {
        todo!()
    }
}
