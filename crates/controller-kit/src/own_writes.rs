//! "Nobody acts on a cache older than their own last write": what client-go's expectations approximate, made exact by
//! the revisions that writes return.
//!
//! A controller notes what it wrote for a key, and before it next decides about that key it waits until the cache
//! shows it. There is no time limit as upstream has: a cache that does not move is a reason not to act.

use std::collections::BTreeMap;

use client::{Informer, Key, Meta, Resource};
use parking_lot::Mutex;

/// What has been written for each key and not been seen in a cache yet.
#[derive(Debug, Default)]
pub struct OwnWrites(Mutex<BTreeMap<Key, Pending>>);

#[derive(Clone, Debug, Default)]
struct Pending {
    /// The cache must reflect this revision.
    revision: u64,
    /// Objects that were deleted: the cache must show them as deleting or gone.
    deleted: Vec<(Key, String)>,
}

impl OwnWrites {
    /// For `key`, an object was created or changed: `meta` is what the server answered.
    pub fn wrote(&self, key: &Key, meta: &Meta) {
        self.wrote_revision(key, meta.revision());
    }

    pub fn wrote_revision(&self, key: &Key, revision: u64) {
        let mut pending = self.0.lock();
        let entry = pending.entry(key.clone()).or_default();
        entry.revision = entry.revision.max(revision);
    }

    /// For `key`, `object` was deleted.
    pub fn deleted(&self, key: &Key, object: &Meta) {
        let mut pending = self.0.lock();
        let entry = pending.entry(key.clone()).or_default();
        entry.deleted.push((Key::of(object), object.uid.clone()));
    }

    /// `key` exists no more.
    pub fn forget(&self, key: &Key) {
        self.0.lock().remove(key);
    }

    /// Ends once `informer` shows all that was written for `key`.
    pub async fn seen_by<T: Resource>(&self, key: &Key, informer: &Informer<T>) {
        let Some(pending) = self.0.lock().get(key).cloned() else { return };
        informer.reached(pending.revision).await;
        informer
            .wait_until(|cache| pending.deleted.iter().all(|(object, uid)| is_gone(cache, object, uid)))
            .await;
        self.0.lock().remove(key);
    }
}

fn is_gone<T: Resource>(cache: &Informer<T>, key: &Key, uid: &str) -> bool {
    cache.get_key(key).is_none_or(|o| o.meta().uid != uid || o.meta().deleting())
}

#[cfg(test)]
mod tests {
    use client::PartialObject;

    use super::*;

    fn object(name: &str, revision: u64) -> PartialObject {
        let mut object = PartialObject::default();
        object.metadata.name = name.into();
        object.metadata.uid = format!("u-{name}");
        object.metadata.resource_version = revision.to_string();
        object
    }

    async fn is_seen(writes: &OwnWrites, cache: &Informer<PartialObject>) -> bool {
        let owner = Key::new("n", "owner");
        let wait = writes.seen_by(&owner, cache);
        tokio::time::timeout(std::time::Duration::ZERO, wait).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_revisions_and_deletions() {
        let owner = Key::new("n", "owner");
        let cache = Informer::fixed(vec![object("a", 5)]);
        let writes = OwnWrites::default();
        assert!(is_seen(&writes, &cache).await, "nothing was written");
        writes.wrote(&owner, &object("a", 5).metadata);
        assert!(is_seen(&writes, &cache).await);
        writes.wrote(&owner, &object("b", 6).metadata);
        assert!(!is_seen(&writes, &cache).await, "revision 6 is not there yet");
        writes.forget(&owner);
        writes.deleted(&owner, &object("a", 5).metadata);
        assert!(!is_seen(&writes, &cache).await, "the cache still shows it alive");
        writes.forget(&owner);
        let mut namesake = object("a", 5).metadata;
        namesake.uid = "another".into();
        writes.deleted(&owner, &namesake);
        assert!(is_seen(&writes, &cache).await, "what is there is another object");
    }
}
