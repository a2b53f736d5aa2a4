//! What a plugin is, and what an attempt to schedule comes to.
//!
//! Upstream's framework calls a plugin once per node; here it is called once, for all nodes. The points and the plugins'
//! names are upstream's. "Does not fit" is a value, not an error.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::bits::BitSet;
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;

/// The best score that a plugin gives, before its weight.
pub const SCORE_MAX: i64 = 100;

/// One plugin: it implements the points that it has something to say at.
pub trait Plugin: Send + Sync + fmt::Debug {
    /// Upstream's name.
    fn name(&self) -> &'static str;

    /// QueueSort: which of two pods is tried first.
    fn queue_sort(&self) -> Option<fn(&PodInfo, &PodInfo) -> Ordering> {
        None
    }

    /// PreEnqueue: why the pod may not be tried at all for now.
    fn pre_enqueue(&self, _pod: &PodInfo) -> Result<(), String> {
        Ok(())
    }

    /// Filter: adds to `rejections` the nodes of `candidates` that cannot take the pod.
    fn filter(
        &self,
        _snapshot: &Snapshot,
        _pod: &PodInfo,
        _candidates: &BitSet,
        _rejections: &mut Rejections,
    ) {
    }

    /// Score, normalized: for each of the `feasible` nodes, by slot, 0 to [`SCORE_MAX`]. `None`: nothing to say.
    fn score(&self, _snapshot: &Snapshot, _pod: &PodInfo, _feasible: &BitSet) -> Option<Vec<i64>> {
        None
    }
}

/// Nodes that were turned down for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub plugin: &'static str,
    /// Upstream's words, to be read after the number of nodes.
    pub reason: Cow<'static, str>,
    pub nodes: BitSet,
    /// Those of `nodes` where removing other pods would not help ("UnschedulableAndUnresolvable").
    pub unresolvable: BitSet,
}

/// What the plugins have turned down so far. A node counts under all reasons of the first plugin that turns it down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejections(Vec<Rejection>);

impl Rejections {
    /// Turns down the members of `nodes` that are `candidates`, whatever pods they have.
    pub fn unresolvable(
        &mut self,
        plugin: &'static str,
        reason: &'static str,
        candidates: &BitSet,
        mut nodes: BitSet,
    ) {
        nodes.and(candidates);
        let unresolvable = nodes.clone();
        self.add(Rejection { plugin, reason: reason.into(), nodes, unresolvable });
    }

    pub fn add(&mut self, rejection: Rejection) {
        if !rejection.nodes.is_empty() {
            self.0.push(rejection);
        }
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Rejection> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What an attempt comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Node { slot: usize, name: Arc<str> },
    Unschedulable(Diagnosis),
}

/// Why no node fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    pub n_nodes: usize,
    pub rejections: Rejections,
    /// What preemption would have to say; empty when nothing.
    pub preemption: String,
}

fn histogram(n_nodes: usize, reasons: &BTreeMap<&str, usize>) -> String {
    let mut parts: Vec<String> = reasons.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
    parts.sort();
    format!("0/{n_nodes} nodes are available: {}.", parts.join(", "))
}

/// Upstream's FitError: `0/2 nodes are available: 1 Insufficient cpu, 1 node(s) were unschedulable. preemption: …`.
impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.n_nodes == 0 {
            return f.write_str("no nodes available to schedule pods");
        }
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for rejection in self.rejections.iter() {
            *reasons.entry(&rejection.reason).or_default() += rejection.nodes.count();
        }
        f.write_str(&histogram(self.n_nodes, &reasons))?;
        if self.preemption.is_empty() { Ok(()) } else { write!(f, " preemption: {}", self.preemption) }
    }
}

impl Diagnosis {
    /// Says about preemption what is true without trying it: that nothing could be evicted for this pod. Where there are
    /// pods of lower priority on a node that evicting could help, nothing is said.
    pub fn new(snapshot: &Snapshot, pod: &PodInfo, rejections: Rejections) -> Self {
        let n_nodes = snapshot.n_nodes();
        let mut unresolvable = BitSet::default();
        for rejection in rejections.iter() {
            unresolvable.or(&rejection.unresolvable);
        }
        let mut resolvable = snapshot.present.clone();
        resolvable.and_not(&unresolvable);
        let preemption = if n_nodes == 0 {
            String::new()
        } else if pod.never_preempts {
            "not eligible due to preemptionPolicy=Never.".to_owned()
        } else if resolvable.iter().any(|slot| snapshot.has_lower(slot, pod.priority())) {
            String::new()
        } else {
            let counts = [
                ("No preemption victims found for incoming pod", resolvable.count()),
                ("Preemption is not helpful for scheduling", unresolvable.count()),
            ];
            histogram(n_nodes, &counts.into_iter().filter(|(_, n)| *n > 0).collect())
        };
        Self { n_nodes, rejections, preemption }
    }
}

/// The plugins that are on, in order, each with the weight of its score.
#[derive(Debug)]
pub struct Profile {
    pub plugins: Vec<Entry>,
}

#[derive(Debug)]
pub struct Entry {
    pub plugin: Box<dyn Plugin>,
    pub weight: i64,
}

impl Default for Profile {
    fn default() -> Self {
        Self { plugins: crate::plugins::all() }
    }
}

impl Profile {
    /// Why the pod may not enter the queue, from the first plugin that objects.
    pub fn pre_enqueue(&self, pod: &PodInfo) -> Result<(), String> {
        self.plugins.iter().try_for_each(|e| e.plugin.pre_enqueue(pod))
    }

    /// The order of the queue; pods that are equal in it go in the order in which they came.
    pub fn queue_sort(&self) -> fn(&PodInfo, &PodInfo) -> Ordering {
        self.plugins.iter().find_map(|e| e.plugin.queue_sort()).unwrap_or(|_, _| Ordering::Equal)
    }

    /// Runs all filters; what is left of `candidates` fits.
    pub fn filter(&self, snapshot: &Snapshot, pod: &PodInfo, candidates: &mut BitSet) -> Rejections {
        let mut rejections = Rejections::default();
        for Entry { plugin, .. } in &self.plugins {
            if candidates.is_empty() {
                break;
            }
            let before = rejections.len();
            plugin.filter(snapshot, pod, candidates, &mut rejections);
            for rejection in &rejections.0[before..] {
                candidates.and_not(&rejection.nodes);
            }
        }
        rejections
    }

    /// Whether any of `nodes` would take the pod.
    pub fn fits_any(&self, snapshot: &Snapshot, pod: &PodInfo, nodes: &BitSet) -> bool {
        let mut candidates = nodes.clone();
        candidates.and(&snapshot.present);
        self.filter(snapshot, pod, &mut candidates);
        !candidates.is_empty()
    }
}
