//! JSON objects that keep the order of their keys and stay fast however many keys a client sends.
//!
//! Small objects are searched from the front, which is what a CPU does best. Above `INDEX_FROM` keys an ordered index is
//! kept (ordered, not hashed: clients choose the keys, and no seed may leak into the order of anything). Removal from an
//! indexed object leaves a hole that is cleared away later, so that no sequence of operations is quadratic.

use std::collections::BTreeMap;

use compact_str::CompactString;

use super::{Repr, Value};

/// From this many keys on a linear search costs more than an ordered lookup.
const INDEX_FROM: usize = 16;

/// A JSON object: keys in order of insertion, each once.
#[derive(Clone, Debug, Default)]
pub struct Object {
    entries: Vec<(CompactString, Value)>,
    index: Option<Box<Index>>,
}

#[derive(Clone, Debug, Default)]
struct Index {
    at: BTreeMap<CompactString, usize>,
    /// How many of the entries are holes that `remove` left.
    holes: usize,
}

/// Objects are equal when they hold the same keys with the same values, in any order.
impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.iter().zip(other.iter()).all(|((k, v), (ok, ov))| {
                // The usual case is the same order; only a difference pays for a lookup.
                if k == ok { v == ov } else { other.get(k) == Some(v) }
            })
    }
}

fn is_hole(value: &Value) -> bool {
    matches!(value.0, Repr::Hole)
}

impl Object {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn with_capacity(n: usize) -> Self {
        Self { entries: Vec::with_capacity(n), index: None }
    }

    pub fn len(&self) -> usize {
        self.entries.len() - self.holes()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn holes(&self) -> usize {
        self.index.as_ref().map_or(0, |index| index.holes)
    }

    fn position(&self, key: &str) -> Option<usize> {
        match &self.index {
            Some(index) => index.at.get(key).copied(),
            None => self.entries.iter().position(|(k, _)| k == key),
        }
    }

    /// Appends a member whose name is not there yet, as the caller knows.
    pub(crate) fn push(&mut self, key: CompactString, value: Value) {
        if let Some(index) = &mut self.index {
            index.at.insert(key.clone(), self.entries.len());
        }
        self.entries.push((key, value));
        if self.index.is_none() && self.entries.len() > INDEX_FROM {
            self.reindex();
        }
    }

    /// Drops the holes and numbers the entries anew.
    fn reindex(&mut self) {
        self.entries.retain(|(_, v)| !is_hole(v));
        self.index = (self.entries.len() > INDEX_FROM).then(|| {
            let at = self.entries.iter().enumerate().map(|(i, (k, _))| (k.clone(), i)).collect();
            Box::new(Index { at, holes: 0 })
        });
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        self.position(key).map(|at| &self.entries[at].1)
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.position(key).map(|at| &mut self.entries[at].1)
    }

    pub fn contains_key(&self, key: &str) -> bool {
        self.position(key).is_some()
    }

    /// Sets `key`, keeping its place when it was there, and returns the old value.
    pub fn insert(&mut self, key: &str, value: impl Into<Value>) -> Option<Value> {
        self.insert_owned(key.into(), value.into())
    }

    /// As `insert`, for a key that need not be copied.
    pub fn insert_owned(&mut self, key: CompactString, value: Value) -> Option<Value> {
        match self.get_mut(&key) {
            Some(slot) => Some(std::mem::replace(slot, value)),
            None => {
                self.push(key, value);
                None
            }
        }
    }

    /// The value of `key`, null and new when it was absent.
    pub fn entry(&mut self, key: &str) -> &mut Value {
        let at = match self.position(key) {
            Some(at) => at,
            None => {
                self.push(key.into(), Value::NULL);
                self.entries.len() - 1
            }
        };
        &mut self.entries[at].1
    }

    /// Removes `key`, keeping the order of the others.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let Some(index) = &mut self.index else {
            let at = self.entries.iter().position(|(k, _)| k == key)?;
            return Some(self.entries.remove(at).1);
        };
        let at = index.at.remove(key)?;
        index.holes += 1;
        let removed = std::mem::replace(&mut self.entries[at].1, Value(Repr::Hole));
        if index.holes * 2 > self.entries.len() {
            self.reindex();
        }
        Some(removed)
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&str, &mut Value) -> bool) {
        let before = self.entries.len();
        self.entries.retain_mut(|(k, v)| !is_hole(v) && keep(k, v));
        if self.index.is_some() && self.entries.len() != before {
            self.reindex();
        }
    }

    pub fn iter(&self) -> Iter<'_> {
        Iter { inner: self.entries.iter(), left: self.len() }
    }

    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&str, &mut Value)> {
        let left = self.len();
        IterMut { inner: self.entries.iter_mut(), left }
    }

    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.iter().map(|(k, _)| k)
    }

    pub fn values(&self) -> impl ExactSizeIterator<Item = &Value> {
        self.iter().map(|(_, v)| v)
    }

    /// Orders the keys bytewise, as Go prints maps.
    pub fn sort_keys(&mut self) {
        self.entries.retain(|(_, v)| !is_hole(v));
        if !self.entries.is_sorted_by(|(a, _), (b, _)| a <= b) {
            self.entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        self.reindex();
    }

    /// The entries ordered by key, bytewise.
    pub fn sorted(&self) -> Vec<(&str, &Value)> {
        let mut entries: Vec<_> = self.iter().collect();
        entries.sort_by_key(|(k, _)| *k);
        entries
    }
}

/// Iterates over an object in the order of its keys' insertion.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    inner: std::slice::Iter<'a, (CompactString, Value)>,
    left: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a Value);
    fn next(&mut self) -> Option<Self::Item> {
        let (k, v) = self.inner.by_ref().find(|(_, v)| !is_hole(v))?;
        self.left -= 1;
        Some((k, v))
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'a> IntoIterator for &'a Object {
    type Item = (&'a str, &'a Value);
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

struct IterMut<'a> {
    inner: std::slice::IterMut<'a, (CompactString, Value)>,
    left: usize,
}

impl<'a> Iterator for IterMut<'a> {
    type Item = (&'a str, &'a mut Value);
    fn next(&mut self) -> Option<Self::Item> {
        let (k, v) = self.inner.by_ref().find(|(_, v)| !is_hole(v))?;
        self.left -= 1;
        Some((k, v))
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for IterMut<'_> {}

/// Consumes an object in the order of its keys' insertion.
#[derive(Debug)]
pub struct IntoIter {
    inner: std::vec::IntoIter<(CompactString, Value)>,
    left: usize,
}

impl Iterator for IntoIter {
    type Item = (CompactString, Value);
    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.inner.by_ref().find(|(_, v)| !is_hole(v))?;
        self.left -= 1;
        Some(entry)
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for IntoIter {}

impl<K: AsRef<str>, V: Into<Value>> Extend<(K, V)> for Object {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, members: I) {
        for (key, value) in members {
            self.insert(key.as_ref(), value);
        }
    }
}

impl<K: AsRef<str>, V: Into<Value>> FromIterator<(K, V)> for Object {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(members: I) -> Self {
        let mut object = Self::new();
        object.extend(members);
        object
    }
}

impl IntoIterator for Object {
    type Item = (CompactString, Value);
    type IntoIter = IntoIter;
    fn into_iter(self) -> IntoIter {
        let left = self.len();
        IntoIter { inner: self.entries.into_iter(), left }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Replays operations on an `Object` and on a plain list, which must agree at each step.
    #[test]
    fn agrees_with_a_plain_list() {
        let mut object = Object::new();
        let mut model: Vec<(String, i64)> = Vec::new();
        let mut state = 7u64;
        for step in 0..4000i64 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let key = format!("k{}", (state >> 33) % 60);
            if (state >> 20) % 5 < 2 {
                let expected = model.iter().position(|(k, _)| *k == key).map(|at| model.remove(at).1);
                assert_eq!(object.remove(&key).and_then(|v| v.as_i64()), expected);
            } else {
                object.insert(&key, step);
                match model.iter_mut().find(|(k, _)| *k == key) {
                    Some((_, v)) => *v = step,
                    None => model.push((key, step)),
                }
            }
            assert_eq!(object.len(), model.len());
            let seen: Vec<_> = object.iter().map(|(k, v)| (k.to_owned(), v.as_i64().unwrap())).collect();
            assert_eq!(seen, model);
        }
    }

    #[test]
    fn many_keys_are_inserted_and_removed_quickly() {
        let mut object = Object::new();
        for i in 0..200_000i64 {
            object.insert(&format!("key-{i}"), i);
        }
        for i in 0..200_000i64 {
            assert_eq!(object.remove(&format!("key-{i}")), Some(i.into()));
        }
        assert!(object.is_empty());
    }

    #[test]
    fn equality_ignores_order() {
        let a: Value = [("a", 1), ("b", 2)].into_iter().collect();
        let b: Value = [("b", 2), ("a", 1)].into_iter().collect();
        let c: Value = [("b", 2), ("c", 1)].into_iter().collect();
        assert_eq!(a, b);
        assert_ne!(a, c);
    }
}
