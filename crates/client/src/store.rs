//! An informer's objects: an ordered map with indexes. Pure: no locks, no handlers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::informer::{Event, Key};
use crate::object::Resource;

type IndexFn<T> = Box<dyn Fn(&T) -> Vec<String> + Send + Sync>;

pub(crate) struct Store<T> {
    objects: BTreeMap<Key, Arc<T>>,
    indexes: BTreeMap<&'static str, Index<T>>,
}

struct Index<T> {
    values: IndexFn<T>,
    keys: BTreeMap<String, BTreeSet<Key>>,
}

impl<T> fmt::Debug for Store<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("objects", &self.objects.len()).finish_non_exhaustive()
    }
}

impl<T: Resource> Store<T> {
    pub(crate) fn new() -> Self {
        Self { objects: BTreeMap::new(), indexes: BTreeMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.objects.len()
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<T>> {
        self.objects.get(key).cloned()
    }

    pub(crate) fn list(&self) -> Vec<Arc<T>> {
        self.objects.values().cloned().collect()
    }

    pub(crate) fn list_namespace(&self, namespace: &str) -> Vec<Arc<T>> {
        let first = Key::new(namespace, "");
        self.objects
            .range(first..)
            .take_while(|(key, _)| &*key.namespace == namespace)
            .map(|(_, object)| Arc::clone(object))
            .collect()
    }

    pub(crate) fn by_index(&self, index: &str, value: &str) -> Vec<Arc<T>> {
        let Some(keys) = self.indexes.get(index).and_then(|i| i.keys.get(value)) else {
            return Vec::new();
        };
        keys.iter().filter_map(|key| self.get(key)).collect()
    }

    /// Adds an index over what is there and what will come. A name that is taken keeps its function.
    pub(crate) fn add_index(&mut self, name: &'static str, values: IndexFn<T>) {
        if self.indexes.contains_key(name) {
            return;
        }
        let mut index = Index { values, keys: BTreeMap::new() };
        for (key, object) in &self.objects {
            index.insert(key, object);
        }
        self.indexes.insert(name, index);
    }

    /// Stores `object` and says what changed; `None` when it is the state that is there already.
    pub(crate) fn put(&mut self, object: T) -> Option<Event<T>> {
        let key = Key::of(object.meta());
        let new = Arc::new(object);
        let old = self.objects.get(&key).cloned();
        if let Some(old) = &old {
            let (a, b) = (old.meta(), new.meta());
            if a.uid == b.uid && a.resource_version == b.resource_version && !a.resource_version.is_empty() {
                return None;
            }
            for index in self.indexes.values_mut() {
                index.remove(&key, old);
            }
        }
        for index in self.indexes.values_mut() {
            index.insert(&key, &new);
        }
        self.objects.insert(key, Arc::clone(&new));
        Some(match old {
            Some(old) => Event::Updated { old, new },
            None => Event::Added(new),
        })
    }

    /// Removes the object and returns the last state that was known here.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Arc<T>> {
        let old = self.objects.remove(key)?;
        for index in self.indexes.values_mut() {
            index.remove(key, &old);
        }
        Some(old)
    }

    /// Makes the store hold exactly `objects`. Deletes come first: a handler never sees a successor beside what it
    /// replaced. An object whose uid changed was deleted and made anew, and is told so.
    pub(crate) fn replace(&mut self, objects: Vec<T>) -> Vec<Event<T>> {
        let uids: BTreeMap<Key, String> =
            objects.iter().map(|o| (Key::of(o.meta()), o.meta().uid.clone())).collect();
        let gone: Vec<Key> = self
            .objects
            .iter()
            .filter(|(key, old)| uids.get(*key).is_none_or(|uid| *uid != old.meta().uid))
            .map(|(key, _)| key.clone())
            .collect();
        let mut events: Vec<Event<T>> =
            gone.iter().filter_map(|key| self.remove(key)).map(Event::Deleted).collect();
        events.extend(objects.into_iter().filter_map(|object| self.put(object)));
        events
    }
}

impl<T> Index<T> {
    fn insert(&mut self, key: &Key, object: &T) {
        for value in (self.values)(object) {
            self.keys.entry(value).or_default().insert(key.clone());
        }
    }
    fn remove(&mut self, key: &Key, object: &T) {
        for value in (self.values)(object) {
            if let Some(keys) = self.keys.get_mut(&value) {
                keys.remove(key);
                if keys.is_empty() {
                    self.keys.remove(&value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::PartialObject;

    fn object(namespace: &str, name: &str, uid: &str, version: &str, label: &str) -> PartialObject {
        let mut object = PartialObject::default();
        object.metadata.namespace = namespace.into();
        object.metadata.name = name.into();
        object.metadata.uid = uid.into();
        object.metadata.resource_version = version.into();
        object.metadata.labels.insert("l".into(), label.into());
        object
    }

    fn names(objects: &[Arc<PartialObject>]) -> Vec<&str> {
        objects.iter().map(|o| o.metadata.name.as_str()).collect()
    }

    fn words(events: &[Event<PartialObject>]) -> Vec<String> {
        events
            .iter()
            .map(|e| match e {
                Event::Added(o) => format!("+{}", o.metadata.name),
                Event::Updated { new, .. } => format!("~{}", new.metadata.name),
                Event::Deleted(o) => format!("-{}", o.metadata.name),
            })
            .collect()
    }

    #[test]
    fn indexes_follow_changes() {
        let mut store = Store::new();
        store.put(object("x", "a", "1", "1", "red"));
        store.add_index("label", Box::new(|o: &PartialObject| vec![o.metadata.labels["l"].clone()]));
        store.put(object("x", "b", "2", "2", "red"));
        assert_eq!(names(&store.by_index("label", "red")), ["a", "b"]);
        store.put(object("x", "a", "1", "3", "blue"));
        assert_eq!(names(&store.by_index("label", "red")), ["b"]);
        store.remove(&Key::new("x", "b"));
        assert!(store.by_index("label", "red").is_empty());
        assert!(store.by_index("nothing", "red").is_empty());
    }

    #[test]
    fn lists_in_key_order_and_by_namespace() {
        let mut store = Store::new();
        for (namespace, name) in [("b", "z"), ("a", "y"), ("ab", "x"), ("a", "b")] {
            store.put(object(namespace, name, name, "1", ""));
        }
        assert_eq!(names(&store.list()), ["b", "y", "x", "z"]);
        assert_eq!(names(&store.list_namespace("a")), ["b", "y"]);
        assert!(store.list_namespace("c").is_empty());
    }

    #[test]
    fn replace_tells_the_difference() {
        let mut store = Store::new();
        for (name, uid) in [("gone", "1"), ("same", "2"), ("changed", "3"), ("remade", "4")] {
            store.put(object("n", name, uid, "1", ""));
        }
        let events = store.replace(vec![
            object("n", "changed", "3", "2", ""),
            object("n", "new", "5", "2", ""),
            object("n", "remade", "6", "2", ""),
            object("n", "same", "2", "1", ""),
        ]);
        assert_eq!(words(&events), ["-gone", "-remade", "~changed", "+new", "+remade"]);
        assert_eq!(store.len(), 4);
    }
}
