//! What is watched: for each prefix or key that has watchers, the part of the window that they read. A change is put into
//! the topics on its path and wakes their watchers alone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::WatchEvent;
use super::dirs::parents;
use super::index::{Index, is_indexed};
use crate::backend::{Key, Revision};

/// Positions in a topic start here, so that older events can be put before those that are there.
const FIRST_POSITION: u64 = 1 << 40;

/// A prefix ends in `/` (or is empty: everything); a name that the index makes stands for a value; anything else is one
/// key.
#[derive(Debug, Default)]
pub(super) struct Topics {
    topics: BTreeMap<Key, Topic>,
    index: Option<Index>,
    /// How many of the topics are the index's.
    indexed: usize,
}

#[derive(Debug)]
pub(super) struct Topic {
    events: VecDeque<Arc<WatchEvent>>,
    /// The position of the first event.
    base: u64,
    /// Events from this revision on are here, those before it only in the window.
    since: Revision,
    watchers: usize,
    notify: Arc<Notify>,
}

/// What a reader finds at its position.
pub(super) enum Found<'a> {
    Event(&'a Arc<WatchEvent>),
    /// Nothing yet.
    End,
    /// The event was dropped before it was read.
    Lost,
}

impl Topic {
    pub(super) fn at(&self, position: u64) -> Found<'_> {
        let Some(i) = position.checked_sub(self.base) else { return Found::Lost };
        match usize::try_from(i).ok().and_then(|i| self.events.get(i)) {
            Some(event) => Found::Event(event),
            None => Found::End,
        }
    }

    fn end(&self) -> u64 {
        self.base + self.events.len() as u64
    }

    fn position_of(&self, from: Revision) -> u64 {
        self.base + self.events.partition_point(|e| e.revision < from) as u64
    }
}

/// Whether `topic` (a prefix or a key) covers `key`.
fn covers(topic: &str, key: &str) -> bool {
    if topic.is_empty() || topic.ends_with('/') { key.starts_with(topic) } else { key == topic }
}

impl Topics {
    pub(super) fn new(index: Option<Index>) -> Self {
        Self { index, ..Self::default() }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Topic> {
        self.topics.get(name)
    }

    /// The topic of a value of the index.
    pub(super) fn of_value(&self, value: &str) -> Option<Key> {
        self.index.as_ref().map(|index| index.topic(value))
    }

    /// The topics of the index that an event belongs to, as far as anybody watches any.
    fn by_index(&self, event: &WatchEvent) -> [Option<Key>; 2] {
        match &self.index {
            Some(index) if self.indexed > 0 => index.topics(event),
            _ => [None, None],
        }
    }

    pub(super) fn all_notifies(&self) -> Vec<Arc<Notify>> {
        self.topics.values().map(|topic| Arc::clone(&topic.notify)).collect()
    }

    fn on_path(key: &str) -> impl Iterator<Item = &str> {
        ["", "/"].into_iter().chain(parents(key)).chain(std::iter::once(key))
    }

    pub(super) fn push(&mut self, event: &Arc<WatchEvent>, wake: &mut Vec<Arc<Notify>>) {
        if self.topics.is_empty() {
            return;
        }
        let by_index = self.by_index(event);
        let by_index = by_index.iter().flatten().map(|name| &**name);
        for name in Self::on_path(&event.key).chain(by_index) {
            if let Some(topic) = self.topics.get_mut(name) {
                topic.events.push_back(Arc::clone(event));
                if !wake.iter().any(|n| Arc::ptr_eq(n, &topic.notify)) {
                    wake.push(Arc::clone(&topic.notify));
                }
            }
        }
    }

    /// The oldest event of the window has been dropped.
    pub(super) fn drop_oldest(&mut self, event: &Arc<WatchEvent>) {
        if self.topics.is_empty() {
            return;
        }
        let by_index = self.by_index(event);
        let by_index = by_index.iter().flatten().map(|name| &**name);
        for name in Self::on_path(&event.key).chain(by_index) {
            if let Some(topic) = self.topics.get_mut(name)
                && topic.events.front().is_some_and(|first| Arc::ptr_eq(first, event))
            {
                topic.events.pop_front();
                topic.base += 1;
            }
        }
    }

    /// Adds a watcher that starts at `from` and returns its position and bell. The window is searched only for what the
    /// topic does not have yet.
    pub(super) fn join(
        &mut self,
        name: &Key,
        from: Revision,
        window: &VecDeque<(Instant, Arc<WatchEvent>)>,
        revision: Revision,
    ) -> (u64, Arc<Notify>) {
        if is_indexed(name) && !self.topics.contains_key(name) {
            self.indexed += 1;
        }
        let index = self.index.as_ref().filter(|_| is_indexed(name));
        let topic = self.topics.entry(Arc::clone(name)).or_insert_with(|| Topic {
            events: VecDeque::new(),
            base: FIRST_POSITION,
            since: revision + 1,
            watchers: 0,
            notify: Arc::default(),
        });
        if from < topic.since {
            let start = window.partition_point(|(_, e)| e.revision < from);
            let end = window.partition_point(|(_, e)| e.revision < topic.since);
            for (_, event) in window.range(start..end).rev() {
                let covered = match index {
                    Some(index) => index.topics(event).iter().flatten().any(|topic| topic == name),
                    None => covers(name, &event.key),
                };
                if covered {
                    topic.events.push_front(Arc::clone(event));
                    topic.base -= 1;
                }
            }
            topic.since = from;
        }
        topic.watchers += 1;
        let position = if from > revision { topic.end() } else { topic.position_of(from) };
        (position, Arc::clone(&topic.notify))
    }

    pub(super) fn leave(&mut self, name: &str) {
        if let Some(topic) = self.topics.get_mut(name) {
            topic.watchers -= 1;
            if topic.watchers == 0 {
                self.topics.remove(name);
                self.indexed -= usize::from(is_indexed(name));
            }
        }
    }
}
