//! NodeResourcesFit: a node must have room for what the pod requests; the more it has left (LeastAllocated, CPU and
//! memory with equal weight), the better its score.

use std::borrow::Cow;

use crate::bits::BitSet;
use crate::framework::{Plugin, Rejection, Rejections, SCORE_MAX};
use crate::plugins::score_column;
use crate::pod_info::PodInfo;
use crate::snapshot::{Column, Snapshot};

#[derive(Debug)]
pub struct NodeResourcesFit;

impl NodeResourcesFit {
    /// Turns down the candidates that lack `amount` of a resource; where the whole node has less, nothing would help.
    fn check(
        &self,
        column: Option<&Column>,
        amount: i64,
        reason: Cow<'static, str>,
        candidates: &BitSet,
        rejections: &mut Rejections,
    ) {
        if amount <= 0 {
            return;
        }
        let mut nodes = BitSet::default();
        let mut unresolvable = BitSet::default();
        for slot in candidates.iter() {
            let (free, allocatable) = column.map_or((0, 0), |c| (c.free(slot), c.allocatable[slot]));
            if amount > free {
                nodes.insert(slot);
                unresolvable.set(slot, amount > allocatable);
            }
        }
        rejections.add(Rejection { plugin: self.name(), reason, nodes, unresolvable });
    }
}

impl Plugin for NodeResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn filter(&self, snapshot: &Snapshot, pod: &PodInfo, candidates: &BitSet, rejections: &mut Rejections) {
        let nodes = candidates.iter().filter(|slot| snapshot.pods.free(*slot) < 1).collect();
        let unresolvable = BitSet::default();
        rejections.add(Rejection {
            plugin: self.name(),
            reason: "Too many pods".into(),
            nodes,
            unresolvable,
        });
        let requests = &pod.usage.requests;
        for (column, amount, reason) in [
            (&snapshot.milli_cpu, requests.milli_cpu, "Insufficient cpu"),
            (&snapshot.memory, requests.memory, "Insufficient memory"),
            (&snapshot.ephemeral_storage, requests.ephemeral_storage, "Insufficient ephemeral-storage"),
        ] {
            self.check(Some(column), amount, reason.into(), candidates, rejections);
        }
        for (name, amount) in &requests.scalars {
            let reason = format!("Insufficient {name}");
            self.check(snapshot.scalars.get(name), *amount, reason.into(), candidates, rejections);
        }
    }

    fn score(&self, snapshot: &Snapshot, pod: &PodInfo, feasible: &BitSet) -> Option<Vec<i64>> {
        let mut scores = score_column(feasible);
        let requests = &pod.usage.requests;
        for slot in feasible.iter() {
            let resources = [
                (
                    snapshot.milli_cpu.allocatable[slot],
                    snapshot.scored_milli_cpu[slot] + requests.scored_milli_cpu,
                ),
                (snapshot.memory.allocatable[slot], snapshot.scored_memory[slot] + requests.scored_memory),
            ];
            let known = resources.iter().filter(|(allocatable, _)| *allocatable > 0);
            let (sum, n) = known.fold((0, 0), |(sum, n), (allocatable, wanted)| {
                (sum + (allocatable - wanted).max(0) * SCORE_MAX / allocatable, n + 1)
            });
            scores[slot] = if n == 0 { 0 } else { sum / n };
        }
        Some(scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_filter, check_scores, node, pod};

    #[test]
    fn what_is_short_is_named() {
        let full = node("full").cpu("2").memory("1Gi").pods(2).pod(pod("x").requests("cpu", "1500m"));
        let nodes = [full, node("empty").cpu("4").memory("4Gi"), node("small").cpu("100m").memory("1Gi")];
        check_filter(&NodeResourcesFit, &nodes, pod("p"), &[]);
        check_filter(
            &NodeResourcesFit,
            &nodes,
            pod("p").requests("cpu", "1").requests("memory", "2Gi"),
            &[
                "full: Insufficient cpu",
                "full: Insufficient memory (unresolvable)",
                "small: Insufficient cpu (unresolvable)",
                "small: Insufficient memory (unresolvable)",
            ],
        );
        check_filter(
            &NodeResourcesFit,
            &nodes,
            pod("p").requests("cpu", "500m"),
            &["small: Insufficient cpu (unresolvable)"],
        );
    }

    #[test]
    fn pods_extended_resources_and_disk() {
        let crowded = node("crowded").cpu("4").pods(1).pod(pod("x"));
        check_filter(&NodeResourcesFit, &[crowded], pod("p"), &["crowded: Too many pods"]);
        let taken = pod("x").requests("example.com/gpu", "1");
        let gpus = [node("a").resource("example.com/gpu", "1").pod(taken), node("b")];
        check_filter(
            &NodeResourcesFit,
            &gpus,
            pod("p").requests("example.com/gpu", "1"),
            &["a: Insufficient example.com/gpu", "b: Insufficient example.com/gpu (unresolvable)"],
        );
        let unknown = [node("a")];
        check_filter(
            &NodeResourcesFit,
            &unknown,
            pod("p").requests("example.com/x", "1"),
            &["a: Insufficient example.com/x (unresolvable)"],
        );
        let disk = [node("a").resource("ephemeral-storage", "1Gi")];
        check_filter(
            &NodeResourcesFit,
            &disk,
            pod("p").requests("ephemeral-storage", "2Gi"),
            &["a: Insufficient ephemeral-storage (unresolvable)"],
        );
    }

    #[test]
    fn least_allocated() {
        // Upstream's own table: (4000-3000)*100/4000 = 25, (10000-5000)*100/10000 = 50, together 37; and 6000: 50, 50.
        let nodes = [node("a").cpu("4").memory("10000"), node("b").cpu("6").memory("10000")];
        let big = pod("p").requests("cpu", "3").requests("memory", "5000");
        check_scores(&NodeResourcesFit, &nodes, big, &[("a", 37), ("b", 50)]);
        // Nothing requested counts as 100m and 200 MiB.
        let roomy = [node("a").cpu("1").memory("2000Mi")];
        check_scores(&NodeResourcesFit, &roomy, pod("p"), &[("a", 90)]);
        let over = [node("a").cpu("1").memory("100Mi")];
        check_scores(&NodeResourcesFit, &over, pod("p"), &[("a", 45)]);
    }
}
