//! Node labels, interned: for each key and each value the set of nodes that have it, so that a selector is a few
//! operations on sets whatever the number of nodes.

use std::collections::BTreeMap;

use crate::bits::BitSet;

#[derive(Clone, Debug, Default)]
pub struct LabelIndex(BTreeMap<Box<str>, Values>);

#[derive(Clone, Debug, Default)]
struct Values {
    all: BitSet,
    values: BTreeMap<Box<str>, BitSet>,
}

impl LabelIndex {
    pub(super) fn insert(&mut self, slot: usize, key: &str, value: &str) {
        let entry = self.0.entry(key.into()).or_default();
        entry.all.insert(slot);
        entry.values.entry(value.into()).or_default().insert(slot);
    }

    pub(super) fn remove(&mut self, slot: usize, key: &str, value: &str) {
        let Some(entry) = self.0.get_mut(key) else { return };
        entry.all.remove(slot);
        if let Some(nodes) = entry.values.get_mut(value) {
            nodes.remove(slot);
            if nodes.is_empty() {
                entry.values.remove(value);
            }
        }
        if entry.all.is_empty() {
            self.0.remove(key);
        }
    }

    /// The nodes that have the label, whatever its value.
    pub fn with_key(&self, key: &str) -> BitSet {
        self.0.get(key).map(|e| e.all.clone()).unwrap_or_default()
    }

    /// The nodes that have the label with this value.
    pub fn with(&self, key: &str, value: &str) -> BitSet {
        self.0.get(key).and_then(|e| e.values.get(value)).cloned().unwrap_or_default()
    }

    /// The nodes that have the label with a value that `matches`.
    pub fn with_any(&self, key: &str, matches: impl Fn(&str) -> bool) -> BitSet {
        let mut nodes = BitSet::default();
        for (value, set) in self.0.get(key).iter().flat_map(|e| &e.values) {
            if matches(value) {
                nodes.or(set);
            }
        }
        nodes
    }
}
