//! Counts and last changes by directory: `/registry/pods/`, `/registry/pods/default/` and so on, each kept up to date by
//! every change below it.

use std::collections::BTreeMap;

use crate::backend::{Key, Revision};

#[derive(Debug, Default)]
pub(super) struct Dirs {
    dirs: BTreeMap<Key, Dir>,
    root: Dir,
    /// Deletions up to here may have been forgotten: the answer for a directory that is not known.
    unknown_until: Revision,
}

#[derive(Debug, Default)]
struct Dir {
    count: usize,
    last_change: Revision,
}

/// The directories that hold `key`: each prefix that ends in a slash, without the bare `/`.
pub(super) fn parents(key: &str) -> impl Iterator<Item = &str> {
    key.bytes().enumerate().skip(1).filter(|(_, b)| *b == b'/').map(|(i, _)| &key[..=i])
}

impl Dirs {
    /// What was deleted before `revision` is not known.
    pub(super) fn begin(&mut self, revision: Revision) {
        self.unknown_until = revision;
        self.root.last_change = revision;
    }

    pub(super) fn load(&mut self, key: &str, _mod_revision: Revision) {
        self.change(key, self.unknown_until, 1);
    }

    pub(super) fn change(&mut self, key: &str, revision: Revision, by: i8) {
        self.root.change(revision, by);
        for parent in parents(key) {
            match self.dirs.get_mut(parent) {
                Some(dir) => dir.change(revision, by),
                None => {
                    let mut dir = Dir::default();
                    dir.change(revision, by);
                    self.dirs.insert(parent.into(), dir);
                }
            }
        }
    }

    /// History up to `compacted` is dropped, of which `key` was part: directories that are empty since go too.
    pub(super) fn forget(&mut self, key: &str, compacted: Revision) {
        self.unknown_until = self.unknown_until.max(compacted);
        for parent in parents(key) {
            if self.dirs.get(parent).is_some_and(|d| d.count == 0 && d.last_change <= compacted) {
                self.dirs.remove(parent);
            }
        }
    }

    fn dir(&self, prefix: &str) -> Option<&Dir> {
        if prefix.is_empty() || prefix == "/" { Some(&self.root) } else { self.dirs.get(prefix) }
    }

    pub(super) fn count(&self, prefix: &str) -> usize {
        self.dir(prefix).map_or(0, |d| d.count)
    }

    pub(super) fn last_change(&self, prefix: &str) -> Revision {
        self.dir(prefix).map_or(self.unknown_until, |d| d.last_change)
    }
}

impl Dir {
    fn change(&mut self, revision: Revision, by: i8) {
        match by {
            1 => self.count += 1,
            -1 => self.count -= 1,
            _ => {}
        }
        self.last_change = self.last_change.max(revision);
    }
}
