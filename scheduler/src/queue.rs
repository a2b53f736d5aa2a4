//! Which pod is tried next, and when one that did not fit is tried again.
//!
//! A pod is active (to be tried, in the order of the QueueSort plugin), backing off (to be tried at a time), unschedulable
//! (to be tried when something changes that lets it fit), held back (a PreEnqueue plugin objects), or taken (being tried
//! or bound). Nothing is tried on a timer alone: an unschedulable pod is woken when the filters, run on the nodes that
//! have changed, find one that fits. That is exact where upstream's hints approximate, so upstream's flush after five
//! minutes is not needed.
//!
//! As upstream since 1.33, pods that back off because they did not fit are tried early when nothing else waits; those that
//! back off after an error are not.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use client::Key;
use tokio::time::Instant;

use crate::framework::Profile;
use crate::pod_info::{PodInfo, SharedPod};

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No node fits: wait for a change.
    Unschedulable,
    /// Something went wrong: try again after a while.
    Error,
}

#[derive(Debug)]
struct Queued {
    pod: SharedPod,
    /// Attempts that have failed in a row.
    attempts: u32,
    place: Place,
    /// Failed at; what its back-off counts from.
    failed_at: Option<Instant>,
    failure: Failure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// With its number in order of arrival.
    Active(u64),
    BackingOff(Instant),
    Unschedulable,
    /// A PreEnqueue plugin objects.
    Held,
    /// Being tried or bound. True when the pod has changed meanwhile.
    Taken {
        changed: bool,
    },
}

/// What the order of the active pods compares.
#[derive(Debug)]
struct ActiveKey {
    pod: SharedPod,
    number: u64,
    sort: fn(&PodInfo, &PodInfo) -> Ordering,
}

impl PartialEq for ActiveKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ActiveKey {}

impl PartialOrd for ActiveKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ActiveKey {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.sort)(&self.pod, &other.pod).then(self.number.cmp(&other.number))
    }
}

/// See the module. Times are the caller's.
#[derive(Debug)]
pub struct Queue {
    sort: fn(&PodInfo, &PodInfo) -> Ordering,
    initial_backoff: Duration,
    max_backoff: Duration,
    pods: BTreeMap<Key, Queued>,
    active: BTreeSet<ActiveKey>,
    backing_off: BTreeSet<(Instant, Key)>,
    next_number: u64,
}

impl Queue {
    pub fn new(profile: &Profile, initial_backoff: Duration, max_backoff: Duration) -> Self {
        Self {
            sort: profile.queue_sort(),
            initial_backoff,
            max_backoff,
            pods: BTreeMap::new(),
            active: BTreeSet::new(),
            backing_off: BTreeSet::new(),
            next_number: 0,
        }
    }

    /// A pod that wants a node has been seen, for the first time or again.
    pub fn set(&mut self, profile: &Profile, pod: PodInfo, now: Instant) {
        let pod = Arc::new(pod);
        if self.pods.get(&pod.key).is_some_and(|q| q.pod.meta.uid != pod.meta.uid) {
            self.remove(&pod.key.clone());
        }
        let held = profile.pre_enqueue(&pod).is_err();
        let Some(queued) = self.pods.get_mut(&pod.key) else {
            let place = if held { Place::Held } else { self.next_active() };
            let queued = Queued { pod, attempts: 0, place, failed_at: None, failure: Failure::Unschedulable };
            self.insert(queued);
            return;
        };
        let differs = queued.pod.differs(&pod);
        if let Place::Taken { changed } = &mut queued.place {
            *changed |= differs;
            queued.pod = pod;
            return;
        }
        let key = pod.key.clone();
        let mut queued = self.take_out(&key).expect("it is there");
        queued.pod = pod;
        queued.place = match queued.place {
            _ if held => Place::Held,
            Place::Held => self.next_active(),
            Place::Unschedulable if differs => self.awake(&queued, now),
            place => place,
        };
        self.insert(queued);
    }

    /// The pod is gone, or somebody else's.
    pub fn remove(&mut self, key: &Key) {
        self.take_out(key);
    }

    /// The next pod to try. It is taken until [`Queue::fail`], [`Queue::done`] or [`Queue::remove`].
    pub fn pop(&mut self, now: Instant) -> Option<SharedPod> {
        while let Some((at, key)) = self.backing_off.first().cloned()
            && at <= now
        {
            let mut queued = self.take_out(&key).expect("both lists hold it");
            queued.place = self.next_active();
            self.insert(queued);
        }
        let early = || {
            let mut waiting = self.backing_off.iter().map(|(_, key)| key);
            waiting
                .find(|key| self.pods.get(*key).is_some_and(|q| q.failure == Failure::Unschedulable))
                .cloned()
        };
        let key = self.active.first().map(|a| a.pod.key.clone()).or_else(early)?;
        let mut queued = self.take_out(&key).expect("both lists hold it");
        queued.place = Place::Taken { changed: false };
        let pod = Arc::clone(&queued.pod);
        self.insert(queued);
        Some(pod)
    }

    /// The pod that was taken, if it is still this very pod.
    fn take_back(&mut self, pod: &PodInfo) -> Option<(Queued, bool)> {
        let queued = self.pods.get(&pod.key)?;
        let Place::Taken { changed } = queued.place else { return None };
        if queued.pod.meta.uid != pod.meta.uid {
            return None;
        }
        self.take_out(&pod.key).map(|queued| (queued, changed))
    }

    /// A pod that was taken wants nothing more.
    pub fn done(&mut self, pod: &PodInfo) {
        self.take_back(pod);
    }

    /// An attempt on a pod that was taken has failed.
    pub fn fail(&mut self, pod: &PodInfo, failure: Failure, now: Instant) {
        let Some((mut queued, changed)) = self.take_back(pod) else { return };
        queued.attempts += 1;
        queued.failed_at = Some(now);
        queued.failure = failure;
        queued.place = match failure {
            Failure::Unschedulable if !changed => Place::Unschedulable,
            _ => self.awake(&queued, now),
        };
        self.insert(queued);
    }

    /// Wakes the unschedulable pods that `fits` says yes to.
    pub fn wake(&mut self, now: Instant, fits: impl Fn(&PodInfo) -> bool) {
        let woken: Vec<Key> = self
            .pods
            .iter()
            .filter(|(_, q)| q.place == Place::Unschedulable && fits(&q.pod))
            .map(|(key, _)| key.clone())
            .collect();
        for key in woken {
            let mut queued = self.take_out(&key).expect("it is there");
            queued.place = self.awake(&queued, now);
            self.insert(queued);
        }
    }

    /// When [`Queue::pop`] may have something that it has not now.
    pub fn next_time(&self) -> Option<Instant> {
        self.backing_off.first().map(|(at, _)| *at)
    }

    /// Whether a pod is known here that no attempt has been made on since it last changed: for tests and metrics.
    pub fn counts(&self) -> Counts {
        let count = |f: fn(&Place) -> bool| self.pods.values().filter(|q| f(&q.place)).count();
        Counts {
            active: self.active.len(),
            backing_off: self.backing_off.len(),
            unschedulable: count(|p| *p == Place::Unschedulable),
            held: count(|p| *p == Place::Held),
            taken: count(|p| matches!(p, Place::Taken { .. })),
        }
    }

    /// The place of a pod that is to be tried again: after its back-off.
    fn awake(&mut self, queued: &Queued, now: Instant) -> Place {
        match queued.failed_at.map(|at| at + self.backoff(queued.attempts)) {
            Some(until) if until > now => Place::BackingOff(until),
            _ => self.next_active(),
        }
    }

    /// One second, doubled by each attempt after the first, ten at most.
    fn backoff(&self, attempts: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        self.initial_backoff.saturating_mul(factor).min(self.max_backoff)
    }

    fn next_active(&mut self) -> Place {
        self.next_number += 1;
        Place::Active(self.next_number)
    }

    fn active_key(&self, queued: &Queued, number: u64) -> ActiveKey {
        ActiveKey { pod: Arc::clone(&queued.pod), number, sort: self.sort }
    }

    fn insert(&mut self, queued: Queued) {
        match queued.place {
            Place::Active(number) => {
                let key = self.active_key(&queued, number);
                self.active.insert(key);
            }
            Place::BackingOff(until) => {
                self.backing_off.insert((until, queued.pod.key.clone()));
            }
            Place::Unschedulable | Place::Held | Place::Taken { .. } => {}
        }
        self.pods.insert(queued.pod.key.clone(), queued);
    }

    fn take_out(&mut self, key: &Key) -> Option<Queued> {
        let queued = self.pods.remove(key)?;
        match queued.place {
            Place::Active(number) => {
                let active = self.active_key(&queued, number);
                self.active.remove(&active);
            }
            Place::BackingOff(until) => {
                self.backing_off.remove(&(until, key.clone()));
            }
            Place::Unschedulable | Place::Held | Place::Taken { .. } => {}
        }
        Some(queued)
    }
}

/// How many pods are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub active: usize,
    pub backing_off: usize,
    pub unschedulable: usize,
    pub held: usize,
    pub taken: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{PodBuilder, pod};

    struct Test {
        profile: Profile,
        queue: Queue,
    }

    impl Test {
        fn new() -> Self {
            let profile = Profile::default();
            let queue = Queue::new(&profile, Duration::from_secs(1), Duration::from_secs(10));
            Self { profile, queue }
        }
        fn set(&mut self, pod: &PodBuilder) {
            self.queue.set(&self.profile, pod.info(), Instant::now());
        }
        fn pop(&mut self) -> Option<String> {
            self.queue.pop(Instant::now()).map(|p| p.meta.name.clone())
        }
        fn fail(&mut self, name: &str, failure: Failure) {
            self.queue.fail(&pod(name).info(), failure, Instant::now());
        }
        fn wake(&mut self) {
            self.queue.wake(Instant::now(), |_| true);
        }
    }

    async fn pass(millis: u64) {
        tokio::time::advance(Duration::from_millis(millis)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn priority_then_arrival() {
        let mut t = Test::new();
        for p in [pod("a"), pod("b").priority(5), pod("c"), pod("d").priority(5)] {
            t.set(&p);
        }
        t.set(&pod("a").node_selector("changed", "keeps its turn"));
        let order: Vec<_> = std::iter::from_fn(|| t.pop()).collect();
        assert_eq!(order, ["b", "d", "a", "c"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unschedulable_pod_waits_for_a_change_that_helps() {
        let mut t = Test::new();
        t.set(&pod("a"));
        t.pop().unwrap();
        t.fail("a", Failure::Unschedulable);
        pass(3_600_000).await;
        assert_eq!((t.pop(), t.queue.next_time()), (None, None), "nothing polls");
        t.queue.wake(Instant::now(), |_| false);
        assert_eq!(t.pop(), None);
        t.wake();
        assert_eq!(t.pop().as_deref(), Some("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn errors_back_off_and_double_up_to_the_limit() {
        let mut t = Test::new();
        t.set(&pod("a"));
        t.pop().unwrap();
        for secs in [1, 2, 4, 8, 10, 10] {
            t.fail("a", Failure::Error);
            assert_eq!(t.queue.next_time(), Some(Instant::now() + Duration::from_secs(secs)));
            pass(secs * 1000 - 1).await;
            assert_eq!(t.pop(), None);
            pass(1).await;
            assert_eq!(t.pop().as_deref(), Some("a"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn woken_pods_wait_for_others_but_not_for_nothing() {
        let mut t = Test::new();
        t.set(&pod("a"));
        t.pop().unwrap();
        t.fail("a", Failure::Unschedulable);
        t.wake();
        t.set(&pod("b"));
        assert_eq!(t.queue.counts(), Counts { active: 1, backing_off: 1, ..Counts::default() });
        assert_eq!(t.pop().as_deref(), Some("b"), "a backs off");
        assert_eq!(t.pop().as_deref(), Some("a"), "nothing else waits");
    }

    #[tokio::test(start_paused = true)]
    async fn gates_hold_a_pod_until_they_are_gone() {
        let mut t = Test::new();
        t.set(&pod("a").gate("g"));
        t.wake();
        assert_eq!((t.pop(), t.queue.counts().held), (None, 1));
        t.set(&pod("a"));
        assert_eq!(t.pop().as_deref(), Some("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_of_the_pod_itself_is_a_reason_to_try_again() {
        let mut t = Test::new();
        t.set(&pod("a"));
        t.pop().unwrap();
        t.fail("a", Failure::Unschedulable);
        pass(5000).await;
        t.set(&pod("a"));
        assert_eq!(t.pop(), None, "nothing that matters has changed");
        t.set(&pod("a").toleration("k", "Exists", "", ""));
        assert_eq!(t.pop().as_deref(), Some("a"));
        // Also when it changes while it is being tried.
        t.set(&pod("a").toleration("k2", "Exists", "", ""));
        t.fail("a", Failure::Unschedulable);
        assert_eq!(t.queue.counts().backing_off, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_removed_pod_does_not_come_back() {
        let mut t = Test::new();
        t.set(&pod("a"));
        t.pop().unwrap();
        t.queue.remove(&Key::new("default", "a"));
        t.fail("a", Failure::Error);
        pass(60_000).await;
        assert_eq!((t.pop(), t.queue.counts()), (None, Counts::default()));
        // A new one of the same name starts afresh.
        t.set(&pod("a"));
        t.pop().unwrap();
        t.fail("a", Failure::Error);
        let mut again = pod("a").info();
        again.meta.uid = "another".into();
        t.queue.set(&t.profile, again, Instant::now());
        assert_eq!(t.pop().as_deref(), Some("a"));
    }
}
