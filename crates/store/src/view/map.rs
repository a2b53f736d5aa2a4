//! The multi-version ordered map: each key's live version, and the older ones that some readable revision still shows.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::Entry;
use crate::backend::{Key, Revision};

#[derive(Debug, Default)]
pub(super) struct Map {
    keys: BTreeMap<Key, Versions>,
    live: usize,
    bytes: usize,
}

/// 32 bytes where there is no history, which is most keys most of the time.
#[derive(Debug, Default)]
pub(super) struct Versions {
    live: Option<Arc<Entry>>,
    /// Oldest first.
    older: Vec<Old>,
}

/// A version that another one or a deletion has replaced.
#[derive(Debug)]
struct Old {
    entry: Arc<Entry>,
    /// The revision that replaced it.
    until: Revision,
}

impl Versions {
    pub(super) fn at(&self, revision: Revision) -> Option<&Arc<Entry>> {
        match &self.live {
            Some(live) if live.mod_revision <= revision => Some(live),
            _ => {
                let old = self.older.iter().rev().find(|old| old.entry.mod_revision <= revision)?;
                (revision < old.until).then_some(&old.entry)
            }
        }
    }
}

impl Map {
    /// Live keys.
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// Bytes of live keys and values.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, key: &str) -> Option<&Arc<Entry>> {
        self.keys.get(key)?.live.as_ref()
    }

    pub(super) fn get_at(&self, key: &str, revision: Revision) -> Option<&Arc<Entry>> {
        self.keys.get(key)?.at(revision)
    }

    /// Makes `entry` the live version of its key and returns the one before.
    pub(super) fn put(&mut self, entry: Arc<Entry>) -> Option<Arc<Entry>> {
        self.bytes += entry.key.len() + entry.value.len();
        let until = entry.mod_revision;
        let versions = self.keys.entry(Arc::clone(&entry.key)).or_default();
        let old = versions.live.replace(entry);
        match &old {
            Some(old) => {
                self.bytes -= old.key.len() + old.value.len();
                versions.older.push(Old { entry: Arc::clone(old), until });
            }
            None => self.live += 1,
        }
        old
    }

    /// Ends the live version of `key` and returns it.
    pub(super) fn delete(&mut self, key: &str, until: Revision) -> Option<Arc<Entry>> {
        let versions = self.keys.get_mut(key)?;
        let old = versions.live.take()?;
        versions.older.push(Old { entry: Arc::clone(&old), until });
        self.live -= 1;
        self.bytes -= old.key.len() + old.value.len();
        Some(old)
    }

    /// Drops the versions of `key` that no revision from `compacted` on shows.
    pub(super) fn forget(&mut self, key: &str, compacted: Revision) {
        let Some(versions) = self.keys.get_mut(key) else { return };
        let gone = versions.older.iter().take_while(|old| old.until <= compacted).count();
        versions.older.drain(..gone);
        if versions.older.is_empty() {
            versions.older = Vec::new();
            if versions.live.is_none() {
                self.keys.remove(key);
            }
        }
    }

    /// Every key from `start` on, in order, also those that are only history.
    pub(super) fn from<'a>(&'a self, start: Bound<&'a str>) -> impl Iterator<Item = (&'a Key, &'a Versions)> {
        self.keys.range::<str, _>((start, Bound::Unbounded))
    }
}
