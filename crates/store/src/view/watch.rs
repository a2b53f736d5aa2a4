//! Watchers: cursors into the View's window of changes. A watcher has no queue, so any number of them costs the same
//! memory, and one that is too slow loses its place instead of growing.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Notify;

use super::topics::Found;
use super::{View, WatchEvent};
use crate::backend::{Key, Revision, StoreError};

/// A place in the stream of changes to a prefix or key.
pub struct Watcher {
    view: Arc<View>,
    topic: Key,
    notify: Arc<Notify>,
    position: u64,
    /// Changes before this revision were not asked for.
    from: Revision,
    /// The revision of the last event that was read.
    last: Revision,
    /// The highest answer of [`Watcher::progress`] so far.
    progress: Revision,
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher")
            .field("topic", &self.topic)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

impl View {
    /// Watches the changes from revision `from` on (inclusive; a client's resourceVersion plus one) of everything below
    /// `topic` when that is empty or ends in `/`, else of the one key that it is. `from` may lie in the future.
    pub fn watch(self: &Arc<Self>, topic: &str, from: Revision) -> Result<Watcher, StoreError> {
        self.join(topic.into(), from)
    }

    /// Watches the changes from `from` on of what has or had `value` in the index; it may tell of more than that, never
    /// of less. `None`: this View has no index.
    pub fn watch_value(self: &Arc<Self>, value: &str, from: Revision) -> Option<Result<Watcher, StoreError>> {
        let topic = self.inner.read().topics.of_value(value)?;
        Some(self.join(topic, from))
    }

    fn join(self: &Arc<Self>, topic: Key, from: Revision) -> Result<Watcher, StoreError> {
        let mut inner = self.inner.write();
        let inner = &mut *inner;
        if from <= inner.compacted {
            return Err(StoreError::Compacted { requested: from, oldest: inner.compacted });
        }
        let (position, notify) = inner.topics.join(&topic, from, &inner.window, inner.revision);
        Ok(Watcher { view: Arc::clone(self), topic, notify, position, from, last: from - 1, progress: 0 })
    }
}

impl Watcher {
    /// The next change, once there is one. Cancel-safe. After an error the watcher is of no more use:
    /// [`StoreError::Compacted`] when it was too slow, [`StoreError::Stopped`] at the View's end.
    pub async fn next(&mut self) -> Result<Arc<WatchEvent>, StoreError> {
        let notify = Arc::clone(&self.notify);
        loop {
            let notified = notify.notified();
            tokio::pin!(notified);
            // From here on a bell is not missed, so that looking first and waiting then is safe.
            notified.as_mut().enable();
            if let Some(event) = self.try_next()? {
                return Ok(event);
            }
            notified.await;
        }
    }

    /// The next change, if it is there.
    pub fn try_next(&mut self) -> Result<Option<Arc<WatchEvent>>, StoreError> {
        let mut events = Vec::with_capacity(1);
        self.read(1, &mut events)?;
        Ok(events.pop())
    }

    /// Appends up to `max` changes that are there to `events`, under one hold of the lock.
    pub fn read(&mut self, max: usize, events: &mut Vec<Arc<WatchEvent>>) -> Result<(), StoreError> {
        self.read_some(max, usize::MAX, events)
    }

    /// As [`Watcher::read`], and no more once what was appended has `bytes` bytes: a caller that keeps them until a slow
    /// client takes them keeps no more than that and one change.
    pub fn read_some(
        &mut self,
        max: usize,
        bytes: usize,
        events: &mut Vec<Arc<WatchEvent>>,
    ) -> Result<(), StoreError> {
        let inner = self.view.inner.read();
        let topic = inner.topics.get(&self.topic).expect("a topic lives as long as its watchers");
        let before = events.len();
        let mut taken = 0;
        while events.len() - before < max && taken < bytes {
            match topic.at(self.position) {
                Found::Event(event) => {
                    self.position += 1;
                    if event.revision >= self.from {
                        self.last = event.revision;
                        taken += event.entry.as_ref().or(event.prev.as_ref()).map_or(0, |e| e.value.len());
                        events.push(Arc::clone(event));
                    }
                }
                Found::End if inner.stopped && events.len() == before => return Err(StoreError::Stopped),
                Found::End => return Ok(()),
                Found::Lost => {
                    return Err(StoreError::Compacted { requested: self.last, oldest: inner.compacted });
                }
            }
        }
        Ok(())
    }

    /// A revision up to which this watcher has been given everything: what a bookmark may say. It never goes back.
    pub fn progress(&mut self) -> Revision {
        let inner = self.view.inner.read();
        let topic = inner.topics.get(&self.topic).expect("a topic lives as long as its watchers");
        let seen = match topic.at(self.position) {
            // Changes of one transaction share a revision: it is complete only when none of them is left.
            Found::Event(event) => event.revision - 1,
            Found::End => inner.revision,
            Found::Lost => 0,
        };
        self.progress = self.progress.max(seen);
        self.progress
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.view.inner.write().topics.leave(&self.topic);
    }
}
