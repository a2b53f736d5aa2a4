//! What readers get: one version of a key, and one change.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::backend::{Expiry, Key, Revision, StateEntry};

/// A place for what a reader has computed from a version and other readers of it can share, such as its served form.
pub type Extension = OnceLock<Arc<dyn Any + Send + Sync>>;

/// One version of a key, shared by all its readers.
pub struct Entry {
    pub key: Key,
    pub value: Bytes,
    /// The revision that wrote this version.
    pub mod_revision: Revision,
    /// The revision that created the key.
    pub create_revision: Revision,
    /// When the key expires, in milliseconds since the epoch.
    pub expiry: Option<Expiry>,
    cache: Extension,
}

impl Entry {
    pub(super) fn new(
        key: &Key,
        value: Bytes,
        mod_revision: Revision,
        create_revision: Revision,
        expiry: Option<Expiry>,
    ) -> Self {
        Self { key: Arc::clone(key), value, mod_revision, create_revision, expiry, cache: OnceLock::new() }
    }

    pub(super) fn from_state(entry: StateEntry) -> Self {
        let StateEntry { key, value, mod_revision, create_revision, expiry } = entry;
        Self { key, value, mod_revision, create_revision, expiry, cache: OnceLock::new() }
    }

    /// The slot of this version; it lives and dies with it.
    pub fn cache(&self) -> &Extension {
        &self.cache
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.key)
            .field("bytes", &self.value.len())
            .field("mod_revision", &self.mod_revision)
            .field("create_revision", &self.create_revision)
            .field("expiry", &self.expiry)
            .finish_non_exhaustive()
    }
}

/// One change of one key, shared by all who watch it.
pub struct WatchEvent {
    pub key: Key,
    pub revision: Revision,
    /// What the key became; `None`: deleted.
    pub entry: Option<Arc<Entry>>,
    /// What the key was; `None`: created by this change.
    pub prev: Option<Arc<Entry>>,
    cache: Extension,
}

impl WatchEvent {
    pub(super) fn new(
        key: Key,
        revision: Revision,
        entry: Option<Arc<Entry>>,
        prev: Option<Arc<Entry>>,
    ) -> Self {
        Self { key, revision, entry, prev, cache: OnceLock::new() }
    }

    /// The key did not exist before.
    pub fn created(&self) -> bool {
        self.prev.is_none()
    }

    pub fn deleted(&self) -> bool {
        self.entry.is_none()
    }

    /// The slot of this event: what is encoded once for all watchers.
    pub fn cache(&self) -> &Extension {
        &self.cache
    }
}

impl fmt::Debug for WatchEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchEvent")
            .field("key", &self.key)
            .field("revision", &self.revision)
            .field("created", &self.created())
            .field("deleted", &self.deleted())
            .finish_non_exhaustive()
    }
}
