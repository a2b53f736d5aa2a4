//! The state machine: decides transactions one by one and numbers revisions.
//!
//! Every server applies the same transactions in the same order and must come to the same state, so nothing here reads
//! a clock, randomness or anything else that differs between servers. Expiry is an absolute time in the record: whether
//! it has passed is the leader's business, which proposes the deletes. It holds the present only; history is the View's.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::backend::{Change, ChangeBatch, Cond, Expiry, Guard, Key, Op, Outcome, Revision, StateEntry, Txn};

/// The revision of an empty store, as etcd counts: no client ever sees 0, which means "any" in the API.
pub const FIRST_REVISION: Revision = 1;

/// One live key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub value: Bytes,
    pub mod_revision: Revision,
    pub create_revision: Revision,
    pub expiry: Option<Expiry>,
}

/// The live keys and the counter of revisions.
#[derive(Debug)]
pub struct StateMachine {
    revision: Revision,
    records: BTreeMap<Key, Record>,
    bytes: usize,
    pin: Option<Pin>,
}

/// A walk over the state as it was at one moment, while transactions go on: what changes ahead of the cursor is put
/// aside first.
#[derive(Debug)]
struct Pin {
    cursor: Option<Key>,
    /// Keys beyond the cursor that have changed since, as they were (`None`: absent).
    before: BTreeMap<Key, Option<Record>>,
}

impl Default for StateMachine {
    fn default() -> Self {
        Self { revision: FIRST_REVISION, records: BTreeMap::new(), bytes: 0, pin: None }
    }
}

impl StateMachine {
    /// A state from a snapshot.
    pub fn restore(revision: Revision, records: BTreeMap<Key, Record>) -> Self {
        let bytes = records.iter().map(|(key, record)| key.len() + record.value.len()).sum();
        Self { revision, records, bytes, pin: None }
    }

    /// The revision of the last transaction that changed something.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Bytes of live keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Every live key, in order.
    pub fn state(&self) -> Vec<StateEntry> {
        self.records.iter().map(|(key, record)| state_entry(key, record)).collect()
    }

    /// Decides one transaction. The batch is what subscribers hear; `None` when nothing changed.
    pub fn apply(&mut self, txn: &Txn) -> (Outcome, Option<Arc<ChangeBatch>>) {
        if let Some(guard) = txn.guards.iter().position(|guard| !self.holds(guard)) {
            return (Outcome::Failed { guard, revision: self.revision }, None);
        }
        let revision = self.revision + 1;
        let changes: Vec<Change> = txn.ops.iter().filter_map(|op| self.apply_op(op, revision)).collect();
        if changes.is_empty() {
            return (Outcome::Committed { revision: self.revision }, None);
        }
        self.revision = revision;
        (Outcome::Committed { revision }, Some(Arc::new(ChangeBatch { revision, changes })))
    }

    fn holds(&self, guard: &Guard) -> bool {
        let record = self.records.get(&guard.key);
        match guard.cond {
            Cond::Absent => record.is_none(),
            Cond::Present => record.is_some(),
            Cond::ModRevision(revision) => record.is_some_and(|r| r.mod_revision == revision),
        }
    }

    fn apply_op(&mut self, op: &Op, revision: Revision) -> Option<Change> {
        let key = op.key();
        let old = match op {
            Op::Put { value, expiry, .. } => {
                // The map keeps the key that it has, so that all versions of a key share one allocation.
                let create_revision = self.records.get(key).map_or(revision, |r| r.create_revision);
                let record =
                    Record { value: value.clone(), mod_revision: revision, create_revision, expiry: *expiry };
                self.bytes += key.len() + value.len();
                self.records.insert(Arc::clone(key), record)
            }
            Op::Delete { .. } => Some(self.records.remove(key)?),
        };
        if let Some(old) = &old {
            self.bytes -= key.len() + old.value.len();
        }
        self.put_aside(key, old);
        Some(match op {
            Op::Put { key, value, expiry } => {
                Change { key: Arc::clone(key), value: Some(value.clone()), expiry: *expiry }
            }
            Op::Delete { key } => Change { key: Arc::clone(key), value: None, expiry: None },
        })
    }

    fn put_aside(&mut self, key: &Key, old: Option<Record>) {
        if let Some(pin) = &mut self.pin
            && pin.cursor.as_ref().is_none_or(|cursor| cursor < key)
        {
            pin.before.entry(Arc::clone(key)).or_insert(old);
        }
    }

    /// Starts a walk over the state as it is now; there is one at a time.
    pub fn pin(&mut self) {
        self.pin = Some(Pin { cursor: None, before: BTreeMap::new() });
    }

    pub fn unpin(&mut self) {
        self.pin = None;
    }

    /// The next entries of the pinned state, having looked at up to `n` keys; `None` at its end, which unpins.
    pub fn next_pinned(&mut self, n: usize) -> Option<Vec<StateEntry>> {
        let pin = self.pin.as_mut()?;
        let from = match &pin.cursor {
            Some(cursor) => Bound::Excluded(Arc::clone(cursor)),
            None => Bound::Unbounded,
        };
        let mut now = self.records.range((from, Bound::Unbounded)).peekable();
        let mut entries = Vec::with_capacity(n);
        let mut last = None;
        for _ in 0..n {
            // The smaller of the next key that is there now and the next one that was put aside.
            let aside = pin.before.first_key_value().map(|(key, _)| key);
            let key = match (now.peek(), aside) {
                (Some((key, _)), Some(aside)) => Arc::clone((*key).min(aside)),
                (Some((key, _)), None) => Arc::clone(key),
                (None, Some(aside)) => Arc::clone(aside),
                (None, None) => break,
            };
            let current = now.next_if(|(k, _)| **k == key).map(|(_, record)| record);
            match pin.before.remove(&key) {
                Some(Some(old)) => entries.push(state_entry(&key, &old)),
                Some(None) => {}
                None => entries.extend(current.map(|record| state_entry(&key, record))),
            }
            last = Some(key);
        }
        match last {
            Some(last) => {
                pin.cursor = Some(last);
                Some(entries)
            }
            None => {
                self.pin = None;
                None
            }
        }
    }
}

fn state_entry(key: &Key, record: &Record) -> StateEntry {
    StateEntry {
        key: Arc::clone(key),
        value: record.value.clone(),
        mod_revision: record.mod_revision,
        create_revision: record.create_revision,
        expiry: record.expiry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use env::Rng as _;

    fn put(key: &str, value: &str) -> Op {
        Op::Put { key: key.into(), value: Bytes::copy_from_slice(value.as_bytes()), expiry: None }
    }

    fn delete(key: &str) -> Op {
        Op::Delete { key: key.into() }
    }

    fn txn(guards: &[(&str, Cond)], ops: Vec<Op>) -> Txn {
        let guards = guards.iter().map(|(key, cond)| Guard { key: (*key).into(), cond: *cond }).collect();
        Txn { guards, ops }
    }

    #[test]
    fn guards_are_decided_in_order_and_revisions_are_taken_by_changes_alone() {
        let mut state = StateMachine::default();
        let committed = |revision| Outcome::Committed { revision };
        let failed = |guard, revision| Outcome::Failed { guard, revision };
        let cases = [
            (txn(&[], vec![]), committed(1)),
            (txn(&[], vec![delete("/a")]), committed(1)),
            (txn(&[("/a", Cond::Absent)], vec![put("/a", "1"), put("/b", "1")]), committed(2)),
            (txn(&[("/b", Cond::Present), ("/a", Cond::Absent)], vec![put("/a", "x")]), failed(1, 2)),
            (txn(&[("/a", Cond::ModRevision(1))], vec![put("/a", "x")]), failed(0, 2)),
            (txn(&[("/a", Cond::ModRevision(2))], vec![put("/a", "2")]), committed(3)),
            (txn(&[("/c", Cond::Present)], vec![]), failed(0, 3)),
            (txn(&[], vec![delete("/a"), delete("/none")]), committed(4)),
            (txn(&[("/a", Cond::Absent)], vec![put("/a", "3")]), committed(5)),
        ];
        for (txn, expected) in cases {
            let (outcome, batch) = state.apply(&txn);
            assert_eq!(outcome, expected, "{txn:?}");
            if let Some(batch) = batch {
                assert_eq!(Outcome::Committed { revision: batch.revision }, outcome);
            }
        }
        let revisions: Vec<_> = state.state().iter().map(|e| (e.create_revision, e.mod_revision)).collect();
        assert_eq!(revisions, [(5, 5), (2, 2)]);
        assert_eq!(state.bytes(), "/a3/b1".len());
    }

    #[test]
    fn a_pinned_walk_sees_the_moment_of_the_pin() {
        for seed in 0..200 {
            let rng = env::rng::SeededRng::new(seed);
            let mut state = StateMachine::default();
            let mutate = |state: &mut StateMachine| {
                let key = format!("/k{:02}", rng.below(40));
                let op =
                    if rng.below(3) == 0 { delete(&key) } else { put(&key, &rng.below(1000).to_string()) };
                state.apply(&txn(&[], vec![op]));
            };
            (0..40).for_each(|_| mutate(&mut state));
            let expected = state.state();
            state.pin();
            let mut seen = Vec::new();
            while let Some(chunk) = state.next_pinned(1 + usize::try_from(rng.below(7)).unwrap()) {
                seen.extend(chunk);
                (0..rng.below(6)).for_each(|_| mutate(&mut state));
            }
            assert_eq!(seen, expected, "seed {seed}");
            assert!(state.pin.is_none());
        }
    }
}
