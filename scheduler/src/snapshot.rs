//! The nodes, in columns: what each has and what its pods take, interned labels and taints as sets of nodes.
//!
//! A node has a slot, an index into every column. Plugins work on columns and sets as a whole. The snapshot has no clock
//! and asks nobody; [`crate::cluster`] keeps it up to date.

mod labels;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::bits::BitSet;
use crate::objects::{Node, Taint};
use crate::pod_info::{ANY_IP, HostPort, Usage};
pub use labels::LabelIndex;

/// One resource: what each node can give to pods, and what they take.
#[derive(Clone, Debug, Default)]
pub struct Column {
    pub allocatable: Vec<i64>,
    pub used: Vec<i64>,
}

impl Column {
    fn resize(&mut self, n: usize) {
        self.allocatable.resize(n, 0);
        self.used.resize(n, 0);
    }

    fn clear(&mut self, slot: usize) {
        self.allocatable[slot] = 0;
        self.used[slot] = 0;
    }

    pub fn free(&self, slot: usize) -> i64 {
        self.allocatable[slot] - self.used[slot]
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    slots: Vec<Option<Slot>>,
    by_name: BTreeMap<Arc<str>, usize>,
    vacant: Vec<usize>,
    /// The slots that are nodes.
    pub present: BitSet,
    pub milli_cpu: Column,
    pub memory: Column,
    pub ephemeral_storage: Column,
    pub pods: Column,
    /// Extended resources and the like, by name.
    pub scalars: BTreeMap<Box<str>, Column>,
    /// CPU and memory as scores count them: see [`crate::requests`].
    pub scored_milli_cpu: Vec<i64>,
    pub scored_memory: Vec<i64>,
    pub unschedulable: BitSet,
    pub taints: BTreeMap<Taint, BitSet>,
    pub labels: LabelIndex,
    /// Host ports in use, by protocol and port: each node's addresses, with how many pods use them.
    ports: BTreeMap<(Box<str>, i32), PortUsers>,
    /// How many pods of each priority each node has.
    priorities: Vec<BTreeMap<i32, u32>>,
}

/// Slot and address → pods.
type PortUsers = BTreeMap<(usize, Box<str>), u32>;

/// What is indexed of a node, to be taken out of the indexes again.
#[derive(Clone, Debug, PartialEq)]
struct Slot {
    name: Arc<str>,
    labels: BTreeMap<String, String>,
    taints: Vec<Taint>,
}

impl Snapshot {
    pub fn n_nodes(&self) -> usize {
        self.by_name.len()
    }

    pub fn name(&self, slot: usize) -> Option<&Arc<str>> {
        self.slots.get(slot)?.as_ref().map(|s| &s.name)
    }

    pub fn slot(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Adds a node or takes its new state. Returns its slot and whether anything that plugins read has changed.
    pub fn set_node(&mut self, node: &Node) -> (usize, bool) {
        let name: &str = &node.metadata.name;
        let known = self.slot(name);
        let slot = known.unwrap_or_else(|| self.take_slot(name));
        let facts = Slot {
            name: Arc::clone(&self.slots[slot].as_ref().expect("a slot that has a name").name),
            labels: node.metadata.labels.clone(),
            taints: node.spec.taints.clone(),
        };
        let mut changed = known.is_none();
        if self.slots[slot].as_ref() != Some(&facts) {
            changed = true;
            self.unindex(slot);
            for (key, value) in &facts.labels {
                self.labels.insert(slot, key, value);
            }
            for taint in &facts.taints {
                self.taints.entry(taint.clone()).or_default().insert(slot);
            }
            self.slots[slot] = Some(facts);
        }
        if self.unschedulable.contains(slot) != node.spec.unschedulable {
            changed = true;
            self.unschedulable.set(slot, node.spec.unschedulable);
        }
        (slot, self.set_allocatable(slot, node) || changed)
    }

    fn set_allocatable(&mut self, slot: usize, node: &Node) -> bool {
        let allocatable = &node.status.allocatable;
        let n = self.slots.len();
        let mut changed = false;
        let mut set = |column: &mut Column, amount: i64| {
            column.resize(n);
            changed |= column.allocatable[slot] != amount;
            column.allocatable[slot] = amount;
        };
        set(&mut self.milli_cpu, allocatable.get("cpu"));
        set(&mut self.memory, allocatable.get("memory"));
        set(&mut self.ephemeral_storage, allocatable.get("ephemeral-storage"));
        set(&mut self.pods, allocatable.get("pods"));
        for (name, _) in allocatable.iter() {
            if !matches!(name, "cpu" | "memory" | "ephemeral-storage" | "pods")
                && !self.scalars.contains_key(name)
            {
                self.scalars.insert(name.into(), Column::default());
            }
        }
        for (name, column) in &mut self.scalars {
            set(column, allocatable.get(name));
        }
        changed
    }

    fn take_slot(&mut self, name: &str) -> usize {
        let name: Arc<str> = name.into();
        let slot = self.vacant.pop().unwrap_or(self.slots.len());
        let empty = Slot { name: Arc::clone(&name), labels: BTreeMap::new(), taints: Vec::new() };
        if slot == self.slots.len() {
            self.slots.push(None);
            let n = self.slots.len();
            for column in [&mut self.milli_cpu, &mut self.memory, &mut self.ephemeral_storage, &mut self.pods]
            {
                column.resize(n);
            }
            for column in self.scalars.values_mut() {
                column.resize(n);
            }
            self.scored_milli_cpu.resize(n, 0);
            self.scored_memory.resize(n, 0);
            self.priorities.resize(n, BTreeMap::new());
        }
        self.slots[slot] = Some(empty);
        self.by_name.insert(name, slot);
        self.present.insert(slot);
        slot
    }

    fn unindex(&mut self, slot: usize) {
        let Some(facts) = &self.slots[slot] else { return };
        for (key, value) in &facts.labels {
            self.labels.remove(slot, key, value);
        }
        for taint in &facts.taints {
            if let Some(nodes) = self.taints.get_mut(taint) {
                nodes.remove(slot);
                if nodes.is_empty() {
                    self.taints.remove(taint);
                }
            }
        }
    }

    /// Removes a node with all that its pods take. Returns the slot that it had.
    pub fn remove_node(&mut self, name: &str) -> Option<usize> {
        let slot = self.by_name.remove(name)?;
        self.unindex(slot);
        self.slots[slot] = None;
        self.present.remove(slot);
        self.unschedulable.remove(slot);
        for column in [&mut self.milli_cpu, &mut self.memory, &mut self.ephemeral_storage, &mut self.pods] {
            column.clear(slot);
        }
        self.scalars.values_mut().for_each(|column| column.clear(slot));
        self.scored_milli_cpu[slot] = 0;
        self.scored_memory[slot] = 0;
        self.priorities[slot].clear();
        self.ports.retain(|_, users| {
            users.retain(|(user, _), _| *user != slot);
            !users.is_empty()
        });
        self.vacant.push(slot);
        Some(slot)
    }

    /// Counts a pod in.
    pub fn add_pod(&mut self, slot: usize, usage: &Usage) {
        self.count_pod(slot, usage, 1);
        for HostPort { protocol, port, ip } in &usage.ports {
            let users = self.ports.entry((protocol.clone(), *port)).or_default();
            *users.entry((slot, ip.clone())).or_default() += 1;
        }
        *self.priorities[slot].entry(usage.priority).or_default() += 1;
    }

    /// Counts a pod out that was counted in with the same usage.
    pub fn remove_pod(&mut self, slot: usize, usage: &Usage) {
        self.count_pod(slot, usage, -1);
        for HostPort { protocol, port, ip } in &usage.ports {
            let key = (protocol.clone(), *port);
            if let Some(users) = self.ports.get_mut(&key) {
                decrement(users, &(slot, ip.clone()));
                if users.is_empty() {
                    self.ports.remove(&key);
                }
            }
        }
        decrement(&mut self.priorities[slot], &usage.priority);
    }

    fn count_pod(&mut self, slot: usize, usage: &Usage, sign: i64) {
        let requests = &usage.requests;
        self.pods.used[slot] += sign;
        self.milli_cpu.used[slot] += sign * requests.milli_cpu;
        self.memory.used[slot] += sign * requests.memory;
        self.ephemeral_storage.used[slot] += sign * requests.ephemeral_storage;
        self.scored_milli_cpu[slot] += sign * requests.scored_milli_cpu;
        self.scored_memory[slot] += sign * requests.scored_memory;
        for (name, amount) in &requests.scalars {
            if !self.scalars.contains_key(name) {
                let mut column = Column::default();
                column.resize(self.slots.len());
                self.scalars.insert(name.clone(), column);
            }
            let column = self.scalars.get_mut(name).expect("inserted above");
            column.used[slot] += sign * amount;
        }
    }

    /// The nodes where `port` is taken: by the same address, or by either side wanting every address.
    pub fn port_users(&self, port: &HostPort) -> BitSet {
        let Some(users) = self.ports.get(&(port.protocol.clone(), port.port)) else {
            return BitSet::default();
        };
        let conflicts = |ip: &str| &*port.ip == ANY_IP || ip == ANY_IP || ip == &*port.ip;
        users.keys().filter(|(_, ip)| conflicts(ip)).map(|(slot, _)| *slot).collect()
    }

    /// Whether a node has a pod of a lower priority.
    pub fn has_lower(&self, slot: usize, priority: i32) -> bool {
        self.priorities[slot].first_key_value().is_some_and(|(lowest, _)| *lowest < priority)
    }
}

fn decrement<K: Ord>(counts: &mut BTreeMap<K, u32>, key: &K) {
    if let Some(n) = counts.get_mut(key) {
        *n -= 1;
        if *n == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod_info::PodInfo;
    use crate::testing::{node, pod};

    #[test]
    fn counting_out_leaves_nothing() {
        let mut snapshot = Snapshot::default();
        let (slot, changed) = snapshot.set_node(&node("a").cpu("2").build());
        assert!(changed);
        assert!(!snapshot.set_node(&node("a").cpu("2").build()).1, "nothing new");
        assert!(snapshot.set_node(&node("a").cpu("3").build()).1);
        assert!(snapshot.set_node(&node("a").cpu("3").label("k", "v").build()).1);
        let info = PodInfo::new(
            &pod("p").requests("cpu", "1").requests("example.com/x", "2").host_port(80, "").build(),
        );
        snapshot.add_pod(slot, &info.usage);
        assert_eq!(snapshot.milli_cpu.free(slot), 2000);
        assert_eq!(snapshot.scalars["example.com/x"].used[slot], 2);
        assert_eq!(snapshot.port_users(&info.usage.ports[0]).count(), 1);
        snapshot.remove_pod(slot, &info.usage);
        assert_eq!((snapshot.milli_cpu.used[slot], snapshot.scored_memory[slot]), (0, 0));
        assert!(snapshot.port_users(&info.usage.ports[0]).is_empty() && snapshot.ports.is_empty());
        assert!(!snapshot.has_lower(slot, i32::MAX));
    }

    #[test]
    fn a_slot_is_used_again_and_clean() {
        let mut snapshot = Snapshot::default();
        let (slot, _) =
            snapshot.set_node(&node("a").cpu("2").label("k", "v").taint("t", "", "NoSchedule").build());
        let info = PodInfo::new(&pod("p").requests("cpu", "1").host_port(80, "").build());
        snapshot.add_pod(slot, &info.usage);
        assert_eq!(snapshot.remove_node("a"), Some(slot));
        assert_eq!((snapshot.n_nodes(), snapshot.present.count(), snapshot.taints.len()), (0, 0, 0));
        let (again, _) = snapshot.set_node(&node("b").cpu("1").build());
        assert_eq!((again, snapshot.milli_cpu.free(slot), snapshot.pods.used[slot]), (slot, 1000, 0));
        assert!(snapshot.port_users(&info.usage.ports[0]).is_empty());
        assert!(snapshot.labels.with_key("k").is_empty());
    }
}
