//! A queue of keys, as client-go's rate limited work queue: a key that is queued twice is handled once, a key that is
//! added while it is handled is handled again afterwards, and no two workers ever have the same key.
//!
//! Its size is bounded by the number of different keys, hence by the caches that the keys come from.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use env::Env;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::metrics::OneQueue;

/// Back-off of a failing key: client-go's `ItemExponentialFailureRateLimiter` defaults.
const BACKOFF_MIN: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_secs(1000);

/// Cheap to clone; clones are the same queue.
pub struct Queue<K>(Arc<Inner<K>>);

struct Inner<K> {
    env: Env,
    state: Mutex<State<K>>,
    changed: Notify,
}

struct State<K> {
    /// With when each came.
    ready: VecDeque<(K, Instant)>,
    /// Waits for a worker, or will after the worker that has it now.
    dirty: BTreeSet<K>,
    processing: BTreeSet<K>,
    delayed: BTreeMap<K, Instant>,
    by_time: BTreeSet<(Instant, K)>,
    failures: BTreeMap<K, u32>,
    closed: bool,
    metrics: Option<OneQueue>,
}

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> fmt::Debug for Queue<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state.lock();
        f.debug_struct("Queue")
            .field("ready", &state.ready.len())
            .field("processing", &state.processing.len())
            .field("delayed", &state.delayed.len())
            .finish_non_exhaustive()
    }
}

impl<K: Ord + Clone> State<K> {
    fn add(&mut self, key: K) {
        if !self.dirty.insert(key.clone()) || self.processing.contains(&key) {
            return;
        }
        self.push(key);
    }

    fn push(&mut self, key: K) {
        self.ready.push_back((key, Instant::now()));
        if let Some(metrics) = &self.metrics {
            metrics.added(self.ready.len());
        }
    }

    fn move_due(&mut self, now: Instant) {
        while self.by_time.first().is_some_and(|(at, _)| *at <= now) {
            let (_, key) = self.by_time.pop_first().expect("looked at above");
            self.delayed.remove(&key);
            self.add(key);
        }
    }
}

impl<K: Ord + Clone> Queue<K> {
    pub fn new(env: Env) -> Self {
        let state = State {
            ready: VecDeque::new(),
            dirty: BTreeSet::new(),
            processing: BTreeSet::new(),
            delayed: BTreeMap::new(),
            by_time: BTreeSet::new(),
            failures: BTreeMap::new(),
            closed: false,
            metrics: None,
        };
        Self(Arc::new(Inner { env, state: Mutex::new(state), changed: Notify::new() }))
    }

    /// Counts from now on what it does.
    pub fn observe(&self, metrics: OneQueue) {
        self.0.state.lock().metrics = Some(metrics);
    }

    pub(crate) fn metrics(&self) -> Option<OneQueue> {
        self.0.state.lock().metrics.clone()
    }

    pub fn add(&self, key: K) {
        self.0.state.lock().add(key);
        self.0.changed.notify_one();
    }

    /// Adds the key after `delay`; of several delays the shortest counts.
    pub fn add_after(&self, key: K, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        let at = Instant::now() + delay;
        let mut state = self.0.state.lock();
        if let Some(earlier) = state.delayed.get(&key).copied() {
            if earlier <= at {
                return;
            }
            state.by_time.remove(&(earlier, key.clone()));
        }
        state.delayed.insert(key.clone(), at);
        state.by_time.insert((at, key));
        drop(state);
        // Whoever waits may now have to wake earlier.
        self.0.changed.notify_one();
    }

    /// Adds a key that has failed, after its back-off: doubled with each failure, with up to a tenth of jitter.
    pub fn add_failed(&self, key: K) {
        let failures = {
            let mut state = self.0.state.lock();
            let failures = state.failures.entry(key.clone()).or_insert(0);
            *failures += 1;
            let failures = *failures;
            if let Some(metrics) = &state.metrics {
                metrics.retried();
            }
            failures
        };
        let delay = BACKOFF_MIN.saturating_mul(1u32 << (failures - 1).min(18)).min(BACKOFF_MAX);
        let jitter = u64::try_from(delay.as_nanos() / 10).unwrap_or(0);
        self.add_after(key, delay + Duration::from_nanos(self.0.env.rng.below(jitter)));
    }

    /// The key is well again: its next failure backs off from the start.
    pub fn forget(&self, key: &K) {
        self.0.state.lock().failures.remove(key);
    }

    /// How often the key has failed in a row.
    pub fn failures(&self, key: &K) -> u32 {
        self.0.state.lock().failures.get(key).copied().unwrap_or(0)
    }

    /// Keys that wait for a worker.
    pub fn len(&self) -> usize {
        self.0.state.lock().ready.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next key, to be given back with [`Queue::done`]; `None` once the queue is closed. Cancel-safe.
    pub async fn get(&self) -> Option<K> {
        loop {
            let changed = self.0.changed.notified();
            let wake = {
                let mut state = self.0.state.lock();
                if state.closed {
                    return None;
                }
                state.move_due(Instant::now());
                if let Some((key, since)) = state.ready.pop_front() {
                    if let Some(metrics) = &state.metrics {
                        metrics.taken(state.ready.len(), since.elapsed());
                    }
                    state.dirty.remove(&key);
                    state.processing.insert(key.clone());
                    if !state.ready.is_empty() || !state.by_time.is_empty() {
                        // A permit is kept for one waiter only: pass on what is left.
                        self.0.changed.notify_one();
                    }
                    return Some(key);
                }
                state.by_time.first().map(|(at, _)| *at)
            };
            match wake {
                Some(at) => {
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    /// Gives a key back; it is handed out again when it was added meanwhile.
    pub fn done(&self, key: &K) {
        let mut state = self.0.state.lock();
        state.processing.remove(key);
        if state.dirty.contains(key) {
            state.push(key.clone());
            drop(state);
            self.0.changed.notify_one();
        }
    }

    /// Ends every worker at its next [`Queue::get`].
    pub fn close(&self) {
        self.0.state.lock().closed = true;
        self.0.changed.notify_waiters();
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> Queue<&'static str> {
        Queue::new(Env::simulated(1))
    }

    async fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(Duration::ZERO, future).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_with_one_worker_at_a_time() {
        let queue = queue();
        queue.add("a");
        queue.add("a");
        assert_eq!(queue.get().await, Some("a"));
        queue.add("a");
        assert_eq!(now(queue.get()).await, None, "a worker has it");
        queue.done(&"a");
        assert_eq!(queue.get().await, Some("a"));
        queue.done(&"a");
        assert_eq!(now(queue.get()).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_shortest_delay_counts() {
        let queue = queue();
        let start = Instant::now();
        queue.add_after("a", Duration::from_secs(9));
        queue.add_after("a", Duration::from_secs(3));
        queue.add_after("a", Duration::from_secs(5));
        queue.add_after("b", Duration::from_secs(4));
        assert_eq!(queue.get().await, Some("a"));
        assert_eq!(start.elapsed(), Duration::from_secs(3));
        assert_eq!(queue.get().await, Some("b"));
        queue.done(&"a");
        assert_eq!(now(queue.get()).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_back_off_and_are_forgotten() {
        let queue = queue();
        let mut delays = Vec::new();
        for _ in 0..22 {
            let start = Instant::now();
            queue.add_failed("a");
            queue.get().await;
            queue.done(&"a");
            delays.push(start.elapsed());
        }
        assert!(delays[0] >= BACKOFF_MIN && delays[0] < BACKOFF_MIN * 2, "{delays:?}");
        assert!(delays[10] >= BACKOFF_MIN * 1024 && delays[10] < BACKOFF_MIN * 1200, "{delays:?}");
        assert!(delays[21] >= BACKOFF_MAX && delays[21] < BACKOFF_MAX * 2, "{delays:?}");
        queue.forget(&"a");
        assert_eq!(queue.failures(&"a"), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn all_waiting_workers_are_fed_and_closed() {
        let queue = queue();
        let workers = futures::future::join_all((0..3).map(|_| queue.get()));
        let feed = async {
            queue.add("a");
            queue.add("b");
            queue.add("c");
        };
        let (got, ()) = futures::future::join(workers, feed).await;
        assert_eq!(got, [Some("a"), Some("b"), Some("c")]);
        let workers = futures::future::join_all((0..3).map(|_| queue.get()));
        let close = async { queue.close() };
        assert_eq!(futures::future::join(workers, close).await.0, [None, None, None]);
    }
}
