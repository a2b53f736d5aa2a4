//! The index of watchers: a value that some versions have below a prefix, such as the node of a pod, by which watchers
//! choose. A change is put into the topics of the values before and after it, instead of being offered to everybody who
//! watches the prefix: with a thousand kubelets, one of them hears of a pod and not all.
//!
//! What the value is, the owner of the bytes says; the View only compares. It is asked once per version of a key that
//! lies below the prefix, and only while somebody watches by the index, under the View's lock: it must be quick and may
//! use the entry's [`super::Extension`].

use std::fmt;
use std::sync::Arc;

use super::{Entry, WatchEvent};
use crate::backend::Key;

/// Between a prefix and a value in the name of a topic; no key has it.
const SEPARATOR: char = '\0';

type Value = dyn Fn(&Entry) -> Option<String> + Send + Sync;

/// See the module.
#[derive(Clone)]
pub struct Index {
    prefix: Key,
    value: Arc<Value>,
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Index {
    /// An index of what lies below `prefix` by what `value` says of each version; `None` stands for no value.
    pub fn new(prefix: &str, value: impl Fn(&Entry) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { prefix: prefix.into(), value: Arc::new(value) }
    }

    /// The topic of those who watch the versions with this value.
    pub(super) fn topic(&self, value: &str) -> Key {
        format!("{}{SEPARATOR}{value}", self.prefix).into()
    }

    /// The topics that an event belongs to: of the value before it and of the one after.
    pub(super) fn topics(&self, event: &WatchEvent) -> [Option<Key>; 2] {
        if !event.key.starts_with(&*self.prefix) {
            return [None, None];
        }
        let of = |entry: &Option<Arc<Entry>>| entry.as_ref().and_then(|e| (self.value)(e));
        let (before, after) = (of(&event.prev), of(&event.entry));
        let before = before.filter(|b| after.as_ref() != Some(b));
        [before.map(|v| self.topic(&v)), after.map(|v| self.topic(&v))]
    }
}

/// Whether a topic is one of an index.
pub(super) fn is_indexed(topic: &str) -> bool {
    topic.contains(SEPARATOR)
}
