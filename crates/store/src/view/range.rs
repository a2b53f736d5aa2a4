//! Ordered reads of many keys at one revision.

use std::ops::Bound;
use std::sync::Arc;

use super::{Entry, Inner, View};
use crate::backend::{Revision, StoreError};

/// Keys looked at under one hold of the lock: some tens of microseconds.
pub const CHUNK: usize = 512;

/// A page of keys in bytewise order, all as they were at `revision`.
#[derive(Debug)]
pub struct Range {
    pub entries: Vec<Arc<Entry>>,
    /// The revision that the page shows; pass it as `at` for the next page.
    pub revision: Revision,
    /// Keys follow beyond the limit. The next page starts after the last entry's key.
    pub more: bool,
    /// How many do. 0 when `more` is false, and from [`View::page`], which does not count.
    pub remaining: usize,
}

/// Where a walk is.
struct Walk<'a> {
    prefix: &'a str,
    cursor: Option<Arc<str>>,
    start_after: Option<&'a str>,
    revision: Revision,
}

impl Walk<'_> {
    /// Looks at the next keys and gives those that existed to `each`, which says whether to go on. True: to be
    /// continued; the lock may be released in between.
    fn step(&mut self, inner: &Inner, mut each: impl FnMut(&Arc<Entry>) -> bool) -> Result<bool, StoreError> {
        inner.check_readable(self.revision)?;
        let cursor = self.cursor.clone();
        let start = match cursor.as_deref().or(self.start_after) {
            Some(after) if after >= self.prefix => Bound::Excluded(after),
            _ => Bound::Included(self.prefix),
        };
        let mut last = None;
        for (looked_at, (key, versions)) in inner.map.from(start).enumerate() {
            if !key.starts_with(self.prefix) {
                return Ok(false);
            }
            let refused = versions.at(self.revision).is_some_and(|entry| !each(entry));
            if refused || looked_at == CHUNK - 1 {
                // A refused entry is not passed: whoever goes on meets it again.
                let reached = if refused { last } else { Some(key) };
                self.cursor = reached.or(cursor.as_ref()).map(Arc::clone);
                return Ok(!refused);
            }
            last = Some(key);
        }
        Ok(false)
    }
}

impl View {
    /// The keys that start with `prefix` and come after `start_after`, at most `limit` of them (0: all), as they were at
    /// `at` (`None`: now). The lock is released every [`CHUNK`] keys; a revision that is compacted meanwhile is an error.
    pub fn range(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<Range, StoreError> {
        let (mut range, mut walk, total) = self.walk(prefix, start_after, limit, at)?;
        range.remaining = match (range.more, total) {
            (false, _) => 0,
            (true, Some(total)) => total - range.entries.len(),
            (true, None) => self.count_after(&mut walk)?,
        };
        Ok(range)
    }

    /// As [`View::range`], for a caller who goes through all pages: what remains after this one is not counted.
    pub fn page(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<Range, StoreError> {
        self.walk(prefix, start_after, limit, at).map(|(range, _, _)| range)
    }

    /// A page, where its walk is, and how many keys there are where that is known.
    fn walk<'a>(
        &self,
        prefix: &'a str,
        start_after: Option<&'a str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<(Range, Walk<'a>, Option<usize>), StoreError> {
        let mut walk = Walk { prefix, cursor: None, start_after, revision: 0 };
        let mut entries = Vec::new();
        let mut more = false;
        // Known without counting for a first page of the present.
        let mut total = None;
        loop {
            let inner = self.inner.read();
            if walk.revision == 0 {
                walk.revision = at.unwrap_or(inner.revision);
                if walk.revision == inner.revision && start_after.is_none() && prefix.ends_with('/') {
                    total = Some(inner.dirs.count(prefix));
                    entries.reserve(total.unwrap_or(0).min(if limit == 0 { usize::MAX } else { limit }));
                }
            }
            let again = walk.step(&inner, |entry| {
                more = limit > 0 && entries.len() == limit;
                if !more {
                    entries.push(Arc::clone(entry));
                }
                !more
            })?;
            if !again {
                break;
            }
        }
        Ok((Range { entries, revision: walk.revision, more, remaining: 0 }, walk, total))
    }

    /// Counts what is left of a walk.
    fn count_after(&self, walk: &mut Walk<'_>) -> Result<usize, StoreError> {
        let mut n = 0;
        loop {
            let inner = self.inner.read();
            let again = walk.step(&inner, |_| {
                n += 1;
                true
            })?;
            if !again {
                return Ok(n);
            }
        }
    }
}
