//! Events: what a component tells users about an object, as core/v1 Events in client-go's form.
//!
//! Recording never waits: a bounded queue drops what an overloaded server can't take. As client-go's correlator does,
//! a repeated event becomes a count on the first one, many similar ones become one "(combined from similar events)",
//! and an object that is talked about without end is rate limited. All of its memory is bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use component::Tasks;
use env::Env;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::api::{Client, Patch};
use crate::error::Error;
use crate::object::{Meta, PartialObject, ResourceType};
use crate::resources::EVENTS;
use crate::time;

/// Events that wait for the server, as client-go's.
const QUEUE_MAX: usize = 1000;
/// Series, objects and counts that are remembered, as client-go's.
const REMEMBERED_MAX: usize = 4096;
/// More different messages than this, of one reason on one object within the window, are told as one.
const SIMILAR_MAX: usize = 10;
const SIMILAR_WINDOW: Duration = Duration::from_secs(600);
/// An object may be talked about this often at once, and once more every five minutes.
const SPAM_BURST: f64 = 25.0;
const SPAM_REFILL: Duration = Duration::from_secs(300);
const ATTEMPTS_MAX: u32 = 12;
const RETRY_DELAY: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventType {
    Normal,
    Warning,
}

impl EventType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// v1.ObjectReference.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectReference {
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    pub api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// The part that the event is about: `spec.containers{web}`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field_path: String,
}

impl ObjectReference {
    pub fn of(ty: &ResourceType, meta: &Meta) -> Self {
        Self {
            kind: ty.kind.into(),
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            uid: meta.uid.clone(),
            api_version: ty.api_version(),
            resource_version: meta.resource_version.clone(),
            field_path: String::new(),
        }
    }
    #[must_use]
    pub fn field_path(mut self, path: impl Into<String>) -> Self {
        self.field_path = path.into();
        self
    }
}

#[derive(Clone, Debug)]
struct Record {
    object: ObjectReference,
    kind: EventType,
    reason: String,
    message: String,
    at: jiff::Timestamp,
}

/// Records events of one component. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    queue: mpsc::Sender<Record>,
    env: Env,
    dropped: Arc<AtomicU64>,
}

impl Recorder {
    /// `component` and `host` become the event's source; `host` may be empty.
    pub fn new(client: Client, env: Env, tasks: &Tasks, component: &str, host: &str) -> Self {
        let (queue, receiver) = mpsc::channel(QUEUE_MAX);
        let writer = Writer {
            client,
            env: env.clone(),
            component: component.into(),
            host: host.into(),
            correlator: Correlator::default(),
            last_nanos: 0,
        };
        tasks.spawn_until_stop(format!("events of {component}"), writer.run(receiver));
        Self { queue, env, dropped: Arc::default() }
    }

    /// One that tells nobody: for tests.
    pub fn silent(env: Env) -> Self {
        let (queue, _) = mpsc::channel(1);
        Self { queue, env, dropped: Arc::default() }
    }

    pub fn event(&self, object: &ObjectReference, kind: EventType, reason: &str, message: impl Into<String>) {
        let record = Record {
            object: object.clone(),
            kind,
            reason: reason.into(),
            message: message.into(),
            at: self.env.clock.now(),
        };
        if self.queue.try_send(record).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Events that the full queue did not take.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

struct Writer {
    client: Client,
    env: Env,
    component: String,
    host: String,
    correlator: Correlator,
    last_nanos: i128,
}

impl Writer {
    async fn run(mut self, mut queue: mpsc::Receiver<Record>) {
        while let Some(record) = queue.recv().await {
            let Some(action) = self.correlator.correlate(record, Instant::now()) else { continue };
            for attempt in 1..=ATTEMPTS_MAX {
                match self.write(&action).await {
                    Ok(()) => break,
                    // What the server refuses it will refuse again; only its absence is worth waiting for.
                    Err(e)
                        if e.code().is_some_and(|c| c < 500 && c != 429) || matches!(e, Error::NotLeader) =>
                    {
                        tracing::debug!(reason = %action.record.reason, error = %e, "event refused");
                        break;
                    }
                    Err(e) if attempt == ATTEMPTS_MAX => {
                        tracing::warn!(reason = %action.record.reason, error = %e, "event lost");
                    }
                    Err(_) => {
                        let wait = crate::reflector::jittered(RETRY_DELAY, &self.env);
                        tokio::time::sleep(wait).await;
                    }
                }
            }
        }
    }

    async fn write(&mut self, action: &Action) -> Result<(), Error> {
        let record = &action.record;
        let namespace = if record.object.namespace.is_empty() { "default" } else { &record.object.namespace };
        let last = time::seconds(record.at);
        if let Some(name) = &action.existing {
            let patch = Patch::Strategic(serde_json::json!({
                "count": action.count, "lastTimestamp": last, "message": record.message,
            }));
            match self.client.patch::<PartialObject>(&EVENTS, namespace, name, "", &patch).await {
                Ok(_) => return Ok(()),
                // Events expire: the series goes on in a new one.
                Err(e) if e.is_not_found() => {}
                Err(e) => return Err(e),
            }
        }
        // The name is the object's with the time in hexadecimal nanoseconds; two events never share an instant here.
        self.last_nanos = (self.last_nanos + 1).max(record.at.as_nanosecond());
        let name = format!("{}.{:x}", record.object.name, self.last_nanos);
        let body = serde_json::json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": record.object,
            "reason": record.reason,
            "message": record.message,
            "source": {"component": self.component, "host": self.host},
            "firstTimestamp": time::seconds(action.first),
            "lastTimestamp": last,
            "count": action.count,
            "type": record.kind.as_str(),
            "eventTime": null,
            "reportingComponent": self.component,
            "reportingInstance": self.host,
        });
        let _: PartialObject = self.client.create(&EVENTS, namespace, &body).await?;
        self.correlator.created(&action.key, name);
        Ok(())
    }
}

/// What to write: a new event, or a count on an existing one.
#[derive(Clone, Debug)]
struct Action {
    key: SeriesKey,
    record: Record,
    count: u64,
    first: jiff::Timestamp,
    existing: Option<String>,
}

/// What makes two events similar.
type GroupKey = (ObjectReference, EventType, String);
/// What makes two events the same: similar, and of the same message (empty for combined ones).
type SeriesKey = (GroupKey, String);

#[derive(Debug)]
struct Group {
    messages: BTreeSet<String>,
    last: Instant,
}

#[derive(Debug)]
struct Series {
    count: u64,
    first: jiff::Timestamp,
    name: Option<String>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    last: Instant,
}

/// client-go's EventCorrelator: pure, told the time.
#[derive(Debug, Default)]
struct Correlator {
    buckets: Bounded<ObjectReference, Bucket>,
    groups: Bounded<GroupKey, Group>,
    series: Bounded<SeriesKey, Series>,
}

impl Correlator {
    /// What to write for `record`; `None` when the object has been talked about too much.
    fn correlate(&mut self, mut record: Record, now: Instant) -> Option<Action> {
        let mut object = record.object.clone();
        object.resource_version.clear();
        let bucket = self.buckets.entry(&object, || Bucket { tokens: SPAM_BURST, last: now });
        let refilled = now.duration_since(bucket.last).as_secs_f64() / SPAM_REFILL.as_secs_f64();
        bucket.tokens = (bucket.tokens + refilled).min(SPAM_BURST);
        bucket.last = now;
        if bucket.tokens < 1.0 {
            return None;
        }
        bucket.tokens -= 1.0;

        let group_key = (object, record.kind, record.reason.clone());
        let group = self.groups.entry(&group_key, || Group { messages: BTreeSet::new(), last: now });
        if now.duration_since(group.last) > SIMILAR_WINDOW {
            group.messages.clear();
        }
        group.last = now;
        group.messages.insert(record.message.clone());
        let message_key = if group.messages.len() > SIMILAR_MAX {
            group.messages.pop_first();
            record.message = format!("(combined from similar events): {}", record.message);
            String::new()
        } else {
            record.message.clone()
        };

        let key = (group_key, message_key);
        let series = self.series.entry(&key, || Series { count: 0, first: record.at, name: None });
        series.count += 1;
        let (count, first, existing) = (series.count, series.first, series.name.clone());
        Some(Action { key, record, count, first, existing })
    }

    fn created(&mut self, key: &SeriesKey, name: String) {
        if let Some(series) = self.series.get(key) {
            series.name = Some(name);
        }
    }
}

/// A map that forgets what was used longest ago.
#[derive(Debug)]
struct Bounded<K, V> {
    entries: BTreeMap<K, (u64, V)>,
    by_use: BTreeMap<u64, K>,
    uses: u64,
}

impl<K, V> Default for Bounded<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), by_use: BTreeMap::new(), uses: 0 }
    }
}

impl<K: Ord + Clone, V> Bounded<K, V> {
    fn get(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(_, v)| v)
    }

    fn entry(&mut self, key: &K, new: impl FnOnce() -> V) -> &mut V {
        self.uses += 1;
        if let Some((used, _)) = self.entries.get(key) {
            self.by_use.remove(used);
        } else if self.entries.len() >= REMEMBERED_MAX
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.by_use.insert(self.uses, key.clone());
        let slot = self.entries.entry(key.clone()).or_insert_with(|| (0, new()));
        slot.0 = self.uses;
        &mut slot.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, message: &str) -> Record {
        Record {
            object: ObjectReference { kind: "Pod".into(), name: name.into(), ..ObjectReference::default() },
            kind: EventType::Normal,
            reason: "Created".into(),
            message: message.into(),
            at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn repeats_are_counted() {
        let mut correlator = Correlator::default();
        let first = correlator.correlate(record("a", "m"), Instant::now()).unwrap();
        assert_eq!((first.count, first.existing), (1, None));
        correlator.created(&first.key, "a.1".into());
        let mut again = record("a", "m");
        again.object.resource_version = "7".into();
        let second = correlator.correlate(again, Instant::now()).unwrap();
        assert_eq!((second.count, second.existing.as_deref()), (2, Some("a.1")));
        let other = correlator.correlate(record("b", "m"), Instant::now()).unwrap();
        assert_eq!((other.count, other.existing), (1, None));
    }

    #[tokio::test(start_paused = true)]
    async fn many_similar_become_one() {
        let mut correlator = Correlator::default();
        for i in 0..10 {
            let action = correlator.correlate(record("a", &format!("m{i}")), Instant::now()).unwrap();
            assert_eq!(action.record.message, format!("m{i}"));
        }
        let action = correlator.correlate(record("a", "m10"), Instant::now()).unwrap();
        assert_eq!(
            (action.record.message.as_str(), action.count),
            ("(combined from similar events): m10", 1)
        );
        let action = correlator.correlate(record("a", "m11"), Instant::now()).unwrap();
        assert_eq!(action.count, 2);
        // The window passes: messages count for themselves again.
        tokio::time::advance(SIMILAR_WINDOW + Duration::from_secs(1)).await;
        let action = correlator.correlate(record("a", "m12"), Instant::now()).unwrap();
        assert_eq!(action.record.message, "m12");
    }

    #[tokio::test(start_paused = true)]
    async fn spam_is_limited_per_object() {
        let mut correlator = Correlator::default();
        let told =
            (0..30).filter(|_| correlator.correlate(record("a", "m"), Instant::now()).is_some()).count();
        assert_eq!(told, 25);
        assert!(correlator.correlate(record("b", "m"), Instant::now()).is_some());
        tokio::time::advance(SPAM_REFILL).await;
        assert!(correlator.correlate(record("a", "m"), Instant::now()).is_some());
        assert!(correlator.correlate(record("a", "m"), Instant::now()).is_none());
    }

    #[test]
    fn memory_is_bounded() {
        let mut bounded: Bounded<usize, usize> = Bounded::default();
        for i in 0..REMEMBERED_MAX + 10 {
            bounded.entry(&0, || 0);
            bounded.entry(&i, || i);
        }
        assert_eq!(bounded.entries.len(), REMEMBERED_MAX);
        assert_eq!(bounded.by_use.len(), REMEMBERED_MAX);
        assert!(bounded.get(&0).is_some() && bounded.get(&1).is_none());
    }
}
