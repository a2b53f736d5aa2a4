//! What plugins hold of the registry that holds them: a reference that does not keep it alive, so that a server that has
//! ended frees its objects while the process lives on (several servers, simulated restarts).
//!
//! Once the registry is gone there is nothing to read and every write is refused.

use std::sync::{Arc, Weak};

use apimachinery::{Status, Value};
use futures::future::BoxFuture;

use super::Registry;
use crate::response::unavailable;
use crate::seams::{Changes, Objects};

/// See the module.
#[derive(Debug)]
pub(crate) struct Handle(Weak<Registry>);

impl Handle {
    pub(crate) fn new(registry: &Arc<Registry>) -> Self {
        Self(Arc::downgrade(registry))
    }

    fn registry(&self) -> Result<Arc<Registry>, Status> {
        self.0.upgrade().ok_or_else(|| unavailable("the server is shutting down"))
    }
}

impl Objects for Handle {
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.0.upgrade()?.get(group, resource, namespace, name)
    }
    fn list(&self, group: &str, resource: &str, namespace: &str) -> Vec<Arc<Value>> {
        self.0.upgrade().map(|r| Objects::list(&*r, group, resource, namespace)).unwrap_or_default()
    }
    fn last_change(&self, group: &str, resource: &str) -> store::Revision {
        self.0.upgrade().map_or(0, |r| r.last_change(group, resource))
    }
    fn changes_since(&self, group: &str, resource: &str, since: store::Revision) -> Option<Changes> {
        self.0.upgrade()?.changes_since(group, resource, since)
    }
    fn raw(&self, key: &str) -> Option<(bytes::Bytes, store::Revision)> {
        self.0.upgrade()?.raw(key)
    }
    fn commit_raw(
        &self,
        guards: Vec<store::Guard>,
        ops: Vec<store::Op>,
    ) -> BoxFuture<'_, Result<bool, Status>> {
        Box::pin(async move { self.registry()?.commit_raw(guards, ops).await })
    }
    fn create<'a>(
        &'a self,
        group: &'a str,
        resource: &'a str,
        namespace: &'a str,
        object: Value,
    ) -> BoxFuture<'a, Result<Value, Status>> {
        Box::pin(async move { Objects::create(&*self.registry()?, group, resource, namespace, object).await })
    }
    fn update<'a>(
        &'a self,
        group: &'a str,
        resource: &'a str,
        namespace: &'a str,
        name: &'a str,
        subresource: &'a str,
        object: Value,
    ) -> BoxFuture<'a, Result<Value, Status>> {
        Box::pin(async move {
            let registry = self.registry()?;
            Objects::update(&*registry, group, resource, namespace, name, subresource, object).await
        })
    }
    fn delete<'a>(
        &'a self,
        group: &'a str,
        resource: &'a str,
        namespace: &'a str,
        name: &'a str,
        options: Value,
    ) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            Objects::delete(&*self.registry()?, group, resource, namespace, name, options).await
        })
    }
}
