//! Which pods are where: the snapshot, kept up to date with what is observed and with what has been decided.
//!
//! A pod that has been given a node counts there from that moment ("assumed"), though the API server has yet to hear of
//! it: the next decision sees it. It stays assumed until it is seen with its node or deleted, or the binding failed; a
//! cache that shows the time before the binding changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use client::Key;

use crate::bits::BitSet;
use crate::objects::Node;
use crate::pod_info::Usage;
use crate::snapshot::Snapshot;

#[derive(Debug, Default)]
pub struct Cluster {
    pub snapshot: Snapshot,
    placed: BTreeMap<Key, Placed>,
    /// Also of nodes that are not known yet: a pod may be seen before its node.
    by_node: BTreeMap<Arc<str>, BTreeSet<Key>>,
    /// Nodes where there may be more room than when this was last taken.
    freed: BitSet,
}

#[derive(Debug)]
struct Placed {
    uid: String,
    node: Arc<str>,
    usage: Usage,
    assumed: bool,
}

impl Cluster {
    /// The nodes that may fit a pod that did not fit before: new ones, changed ones, and those that pods have left.
    pub fn take_freed(&mut self) -> BitSet {
        std::mem::take(&mut self.freed)
    }

    pub fn set_node(&mut self, node: &Node) {
        let known = self.snapshot.slot(&node.metadata.name).is_some();
        let (slot, changed) = self.snapshot.set_node(node);
        if !known {
            let pods = self.by_node.get(node.metadata.name.as_str());
            for placed in pods.into_iter().flatten().filter_map(|key| self.placed.get(key)) {
                self.snapshot.add_pod(slot, &placed.usage);
            }
        }
        if changed {
            self.freed.insert(slot);
        }
    }

    pub fn remove_node(&mut self, name: &str) {
        if let Some(slot) = self.snapshot.remove_node(name) {
            self.freed.remove(slot);
        }
    }

    /// Counts a pod that is on a node, as observed.
    pub fn place(&mut self, key: &Key, uid: &str, node: &str, usage: Usage) {
        if let Some(placed) = self.placed.get_mut(key)
            && placed.uid == uid
            && &*placed.node == node
            && placed.usage == usage
        {
            placed.assumed = false;
            return;
        }
        self.remove(key);
        self.insert(key, uid, node, usage, false);
    }

    /// Counts a pod on the node that has just been decided.
    pub fn assume(&mut self, key: &Key, uid: &str, node: &str, usage: Usage) {
        self.remove(key);
        self.insert(key, uid, node, usage, true);
    }

    fn insert(&mut self, key: &Key, uid: &str, node: &str, usage: Usage, assumed: bool) {
        if let Some(slot) = self.snapshot.slot(node) {
            self.snapshot.add_pod(slot, &usage);
        }
        let node: Arc<str> = node.into();
        self.by_node.entry(Arc::clone(&node)).or_default().insert(key.clone());
        self.placed.insert(key.clone(), Placed { uid: uid.to_owned(), node, usage, assumed });
    }

    /// Takes a pod out of the account, wherever it is.
    pub fn remove(&mut self, key: &Key) {
        let Some(placed) = self.placed.remove(key) else { return };
        if let Some(keys) = self.by_node.get_mut(&placed.node) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_node.remove(&placed.node);
            }
        }
        if let Some(slot) = self.snapshot.slot(&placed.node) {
            self.snapshot.remove_pod(slot, &placed.usage);
            self.freed.insert(slot);
        }
    }

    /// Whether this very pod has been given a node that is not seen yet.
    pub fn is_assumed(&self, key: &Key, uid: &str) -> bool {
        self.placed.get(key).is_some_and(|p| p.assumed && p.uid == uid)
    }

    /// The binding failed.
    pub fn forget(&mut self, key: &Key, uid: &str) {
        if self.is_assumed(key, uid) {
            self.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{node, pod};

    fn used(cluster: &Cluster, name: &str) -> i64 {
        cluster.snapshot.milli_cpu.used[cluster.snapshot.slot(name).unwrap()]
    }

    #[test]
    fn an_assumed_pod_counts_until_it_is_seen_or_forgotten() {
        let mut cluster = Cluster::default();
        cluster.set_node(&node("a").cpu("4").build());
        assert_eq!(cluster.take_freed().count(), 1);
        let info = pod("p").requests("cpu", "1").info();
        let usage = || info.usage.clone();
        cluster.assume(&info.key, "u1", "a", usage());
        assert_eq!(used(&cluster, "a"), 1000);
        assert!(cluster.is_assumed(&info.key, "u1") && !cluster.is_assumed(&info.key, "u2"));
        cluster.place(&info.key, "u1", "a", usage());
        assert_eq!(used(&cluster, "a"), 1000);
        cluster.forget(&info.key, "u1");
        assert_eq!(used(&cluster, "a"), 1000, "it has been seen: nothing to forget");
        assert!(cluster.take_freed().is_empty());
        cluster.remove(&info.key);
        assert_eq!((used(&cluster, "a"), cluster.take_freed().count()), (0, 1));

        cluster.assume(&info.key, "u1", "a", usage());
        cluster.forget(&info.key, "u1");
        assert_eq!((used(&cluster, "a"), cluster.take_freed().count()), (0, 1));
    }

    #[test]
    fn pods_may_be_seen_before_their_node_and_after() {
        let mut cluster = Cluster::default();
        let info = pod("p").requests("cpu", "1").info();
        cluster.place(&info.key, "u1", "a", info.usage.clone());
        cluster.set_node(&node("a").cpu("4").build());
        assert_eq!(used(&cluster, "a"), 1000);
        cluster.remove_node("a");
        cluster.set_node(&node("b").cpu("4").build());
        assert_eq!(used(&cluster, "b"), 0);
        cluster.set_node(&node("a").cpu("4").build());
        assert_eq!(used(&cluster, "a"), 1000);
        cluster.remove(&info.key);
        assert_eq!(used(&cluster, "a"), 0);
        assert!(cluster.by_node.is_empty() && cluster.placed.is_empty());
    }
}
