//! The View: every key with its recent history, in order, fed by a backend's stream of changes. It answers every get,
//! range and watch on this server; a backend is asked only for agreement.
//!
//! Reads are synchronous and see a consistent revision. [`View::linearize`] is what makes a read linearizable: a barrier
//! of the backend, then waiting until the View is there. History (old versions and the window of changes that watchers
//! read) is bounded by [`HISTORY_AGE`] and by bytes, and dropped oldest first; what it no longer holds is
//! [`StoreError::Compacted`].
//!
//! **Invariants.** Nothing here writes, and nothing here is per watcher but a cursor. The lock is never held for more
//! than a millisecond: long walks take it in chunks of [`range::CHUNK`] keys.

mod dirs;
mod entry;
mod index;
mod map;
pub mod range;
#[cfg(test)]
mod tests;
mod topics;
pub mod watch;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use component::Tasks;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::backend::{Backend, ChangeBatch, Expiry, Key, Revision, StateEntry, StoreError};
use dirs::Dirs;
pub use entry::{Entry, Extension, WatchEvent};
pub use index::Index;
use map::Map;
pub use range::Range;
use topics::Topics;
pub use watch::Watcher;

/// How long history is kept at most: what upstream's API server asks etcd to keep.
pub const HISTORY_AGE: Duration = Duration::from_secs(5 * 60);

/// How long each kind of history is kept, at most; bytes may end it earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// Old states, for lists at a revision: what compaction of etcd takes away upstream. Not longer than `changes`.
    pub states: Duration,
    /// Changes, for watches that start in the past: upstream's watch cache.
    pub changes: Duration,
}

/// What a View is started with beyond its backend.
#[derive(Debug, Default)]
pub struct Options {
    pub history: History,
    pub index: Option<Index>,
}

impl Default for History {
    fn default() -> Self {
        Self { states: HISTORY_AGE, changes: HISTORY_AGE }
    }
}

/// History may always take this much, or half of the live data when that is more. A cluster under load changes a pod
/// (4 KB) a few thousand times in the time that a client needs to come back after a lost connection.
pub const HISTORY_BYTES: usize = 16 << 20;

/// What an event costs beside the old value that it keeps alive: its own fields, its places in queues.
const EVENT_BYTES: usize = 256;

/// Old events dropped in one go, under the lock; more than arrive in one go, so that dropping keeps up.
const TRIM_MAX: usize = 512;

/// How late the end of an event's time may be noticed on a server where nothing changes.
const TRIM_INTERVAL: Duration = Duration::from_secs(30);

/// Batches that are taken from the backend at once.
const FEED_MAX: usize = 64;

/// See the module.
pub struct View {
    backend: Arc<dyn Backend>,
    inner: RwLock<Inner>,
    /// The revision that readers may rely on: sent after the lock is released.
    reached: Mutex<Reached>,
    /// Rung after each change of `reached`. A watch channel would wake the waiters in a random order, and two runs of
    /// one seed would differ.
    moved: Notify,
    /// Rung when the first key to expire is another one.
    expiry_changed: Notify,
}

#[derive(Clone, Copy, Debug)]
struct Reached {
    revision: Revision,
    stopped: bool,
}

#[derive(Debug, Default)]
struct Inner {
    map: Map,
    dirs: Dirs,
    topics: Topics,
    history: History,
    /// Every change since `compacted`, in order.
    window: VecDeque<(Instant, Arc<WatchEvent>)>,
    /// So many of them, the oldest, are left in the window alone: the states before them are gone.
    forgotten: usize,
    window_bytes: usize,
    expiring: BTreeSet<(Expiry, Key)>,
    revision: Revision,
    /// Changes after this revision can be watched.
    compacted: Revision,
    /// State at this revision and later can be read. Never less than `compacted`.
    readable: Revision,
    stopped: bool,
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner.read();
        f.debug_struct("View")
            .field("revision", &inner.revision)
            .field("compacted", &inner.compacted)
            .field("keys", &inner.map.len())
            .finish_non_exhaustive()
    }
}

impl View {
    /// Takes the backend's state and follows it until `tasks` stop or the backend does.
    pub async fn start(backend: Arc<dyn Backend>, tasks: &Tasks) -> Result<Arc<Self>, StoreError> {
        Self::start_with(backend, Options::default(), tasks).await
    }

    /// As [`View::start`], with a history of another length or an index for watchers.
    pub async fn start_with(
        backend: Arc<dyn Backend>,
        options: Options,
        tasks: &Tasks,
    ) -> Result<Arc<Self>, StoreError> {
        let subscription = backend.subscribe().await?;
        let revision = subscription.revision;
        let mut inner = Inner {
            history: options.history,
            topics: Topics::new(options.index),
            revision,
            compacted: revision,
            readable: revision,
            ..Inner::default()
        };
        inner.dirs.begin(revision);
        for entry in subscription.state {
            inner.load(entry);
        }
        let view = Arc::new(Self {
            backend,
            inner: RwLock::new(inner),
            reached: Mutex::new(Reached { revision, stopped: false }),
            moved: Notify::new(),
            expiry_changed: Notify::new(),
        });
        let feeder = Feeder(Arc::clone(&view));
        tasks.spawn_until_stop("view", async move { feeder.run(subscription.changes).await });
        Ok(view)
    }

    /// The backend below, to commit to.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// The revision that reads see now.
    pub fn revision(&self) -> Revision {
        self.reached.lock().revision
    }

    /// The revision after which every change can still be watched.
    pub fn compacted_revision(&self) -> Revision {
        self.inner.read().compacted
    }

    /// The oldest revision whose state can still be read.
    pub fn oldest_readable(&self) -> Revision {
        self.inner.read().readable
    }

    /// Ends once the View reflects `revision`. The caller brings the deadline.
    pub async fn wait_for(&self, revision: Revision) -> Result<(), StoreError> {
        loop {
            // Listening before looking: no change in between is missed.
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            let now = *self.reached.lock();
            if now.revision >= revision {
                return Ok(());
            }
            if now.stopped {
                return Err(StoreError::Stopped);
            }
            moved.await;
        }
    }

    /// Makes the reads that follow linearizable: they see everything that was acknowledged before this call. Returns a
    /// revision that the View has reached.
    pub async fn linearize(&self) -> Result<Revision, StoreError> {
        let revision = self.backend.barrier().await?;
        self.wait_for(revision).await?;
        Ok(revision)
    }

    /// The key now.
    pub fn get(&self, key: &str) -> Option<Arc<Entry>> {
        self.inner.read().map.get(key).cloned()
    }

    /// The key as it was at `revision`.
    pub fn get_at(&self, key: &str, revision: Revision) -> Result<Option<Arc<Entry>>, StoreError> {
        let inner = self.inner.read();
        inner.check_readable(revision)?;
        Ok(inner.map.get_at(key, revision).cloned())
    }

    /// Live keys below `prefix`, which is empty or ends in `/`.
    pub fn count(&self, prefix: &str) -> usize {
        self.inner.read().dirs.count(prefix)
    }

    /// A revision after which nothing below `prefix` (empty or ending in `/`) has changed. The last change's own
    /// revision where it is known, a later one otherwise; it never goes back.
    pub fn last_change(&self, prefix: &str) -> Revision {
        self.inner.read().dirs.last_change(prefix)
    }

    /// When the next key expires, in milliseconds since the epoch.
    pub fn next_expiry(&self) -> Option<Expiry> {
        self.inner.read().expiring.first().map(|(at, _)| *at)
    }

    /// Up to `max` keys whose expiry is at or before `now`, with the revision to guard their deletion by.
    pub fn expired(&self, now: Expiry, max: usize) -> Vec<(Key, Revision)> {
        let inner = self.inner.read();
        let due = inner.expiring.iter().take_while(|(at, _)| *at <= now).take(max);
        due.filter_map(|(_, key)| Some((Arc::clone(key), inner.map.get(key)?.mod_revision))).collect()
    }

    /// Ends when [`View::next_expiry`] may have changed since the last call ended. For one caller.
    pub async fn expiry_changed(&self) {
        self.expiry_changed.notified().await;
    }

    fn apply(&self, batch: &ChangeBatch) {
        let (wake, first_expiry_changed) = {
            let mut inner = self.inner.write();
            let first = inner.expiring.first().cloned();
            let wake = inner.apply(batch, Instant::now());
            inner.trim(Instant::now());
            (wake, first != inner.expiring.first().cloned())
        };
        *self.reached.lock() = Reached { revision: batch.revision, stopped: false };
        self.moved.notify_waiters();
        for notify in wake {
            notify.notify_waiters();
        }
        if first_expiry_changed {
            self.expiry_changed.notify_one();
        }
    }

    fn stop(&self) {
        let wake = {
            let mut inner = self.inner.write();
            inner.stopped = true;
            inner.topics.all_notifies()
        };
        self.reached.lock().stopped = true;
        self.moved.notify_waiters();
        for notify in wake {
            notify.notify_waiters();
        }
    }
}

/// Follows the backend; when it is dropped (stop, crash, panic), those who wait on the View hear of it.
struct Feeder(Arc<View>);

impl Feeder {
    async fn run(&self, mut changes: mpsc::Receiver<Arc<ChangeBatch>>) {
        let mut batches = Vec::with_capacity(FEED_MAX);
        loop {
            let trim_at = self.0.inner.read().next_trim();
            let trim = async {
                match trim_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                n = changes.recv_many(&mut batches, FEED_MAX) => {
                    if n == 0 {
                        return;
                    }
                    for batch in batches.drain(..) {
                        self.0.apply(&batch);
                    }
                }
                () = trim => {
                    self.0.inner.write().trim(Instant::now());
                }
            }
        }
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Inner {
    fn load(&mut self, entry: StateEntry) {
        let entry = Arc::new(Entry::from_state(entry));
        if let Some(at) = entry.expiry {
            self.expiring.insert((at, Arc::clone(&entry.key)));
        }
        self.dirs.load(&entry.key, entry.mod_revision);
        self.map.put(entry);
    }

    /// Takes one transaction's changes and returns the bells to ring.
    fn apply(&mut self, batch: &ChangeBatch, now: Instant) -> Vec<Arc<Notify>> {
        let mut wake = Vec::new();
        for change in &batch.changes {
            let event = match &change.value {
                Some(value) => {
                    let known = self.map.get(&change.key);
                    let entry = Arc::new(Entry::new(
                        known.map_or(&change.key, |e| &e.key),
                        value.clone(),
                        batch.revision,
                        known.map_or(batch.revision, |e| e.create_revision),
                        change.expiry,
                    ));
                    let prev = self.map.put(Arc::clone(&entry));
                    WatchEvent::new(Arc::clone(&entry.key), batch.revision, Some(entry), prev)
                }
                None => {
                    // A backend tells of deletes of keys that were there; one that repeats itself changes nothing.
                    let Some(prev) = self.map.delete(&change.key, batch.revision) else { continue };
                    WatchEvent::new(Arc::clone(&prev.key), batch.revision, None, Some(prev))
                }
            };
            self.index(&event);
            self.window_bytes += cost(&event);
            let event = Arc::new(event);
            self.topics.push(&event, &mut wake);
            self.window.push_back((now, event));
        }
        self.revision = batch.revision;
        wake
    }

    fn index(&mut self, event: &WatchEvent) {
        if let Some(at) = event.prev.as_ref().and_then(|e| e.expiry) {
            self.expiring.remove(&(at, Arc::clone(&event.key)));
        }
        if let Some(at) = event.entry.as_ref().and_then(|e| e.expiry) {
            self.expiring.insert((at, Arc::clone(&event.key)));
        }
        let change = match (&event.prev, &event.entry) {
            (None, Some(_)) => 1,
            (Some(_), None) => -1,
            _ => 0,
        };
        self.dirs.change(&event.key, event.revision, change);
    }

    /// Drops history that is too old or too much, some of it at a time, whole revisions only.
    fn trim(&mut self, now: Instant) {
        let bytes_max = HISTORY_BYTES.max(self.map.bytes() / 2);
        let mut dropped = 0;
        while let Some((at, event)) = self.window.front() {
            let same_revision = event.revision == self.compacted;
            let over = self.window_bytes > bytes_max || now.duration_since(*at) >= self.history.changes;
            if !same_revision && (!over || dropped >= TRIM_MAX) {
                break;
            }
            if self.forgotten == 0 {
                self.forget_oldest();
            }
            let (_, event) = self.window.pop_front().expect("there is a front");
            self.forgotten -= 1;
            self.compacted = event.revision;
            self.window_bytes -= cost(&event);
            self.topics.drop_oldest(&event);
            dropped += 1;
        }
        while let Some((at, event)) = self.window.get(self.forgotten) {
            let same_revision = event.revision == self.readable;
            let over = now.duration_since(*at) >= self.history.states;
            if !same_revision && (!over || dropped >= TRIM_MAX) {
                return;
            }
            self.forget_oldest();
            dropped += 1;
        }
    }

    /// Drops the state before the oldest change that still had one.
    fn forget_oldest(&mut self) {
        let Some((_, event)) = self.window.get(self.forgotten) else { return };
        let event = Arc::clone(event);
        self.readable = event.revision;
        self.dirs.forget(&event.key, event.revision);
        self.map.forget(&event.key, event.revision);
        self.forgotten += 1;
    }

    fn next_trim(&self) -> Option<Instant> {
        let late = |age: Duration| age + TRIM_INTERVAL.min(age);
        let changes = self.window.front().map(|(at, _)| *at + late(self.history.changes));
        let states = self.window.get(self.forgotten).map(|(at, _)| *at + late(self.history.states));
        [changes, states].into_iter().flatten().min()
    }

    fn check_readable(&self, revision: Revision) -> Result<(), StoreError> {
        if revision < self.readable {
            return Err(StoreError::Compacted { requested: revision, oldest: self.readable });
        }
        if revision > self.revision {
            return Err(StoreError::Future { requested: revision, current: self.revision });
        }
        Ok(())
    }
}

fn cost(event: &WatchEvent) -> usize {
    EVENT_BYTES + event.prev.as_ref().map_or(0, |e| e.value.len())
}
