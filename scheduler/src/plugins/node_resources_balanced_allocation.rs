//! NodeResourcesBalancedAllocation: the closer the used fractions of CPU and memory are to each other, the better the
//! score, so that no node runs out of one with much of the other left. Pods that request neither are not scored.

use crate::bits::BitSet;
use crate::framework::{Plugin, SCORE_MAX};
use crate::plugins::score_column;
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;

#[derive(Debug)]
pub struct NodeResourcesBalancedAllocation;

#[allow(clippy::cast_precision_loss, reason = "a fraction of a score needs no more")]
fn fraction(wanted: i64, allocatable: i64) -> Option<f64> {
    (allocatable > 0).then(|| (wanted as f64 / allocatable as f64).min(1.0))
}

impl Plugin for NodeResourcesBalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn score(&self, snapshot: &Snapshot, pod: &PodInfo, feasible: &BitSet) -> Option<Vec<i64>> {
        let requests = &pod.usage.requests;
        if requests.milli_cpu == 0 && requests.memory == 0 {
            return None;
        }
        let mut scores = score_column(feasible);
        for slot in feasible.iter() {
            let (cpu, memory) = (&snapshot.milli_cpu, &snapshot.memory);
            let cpu = fraction(cpu.used[slot] + requests.milli_cpu, cpu.allocatable[slot]);
            let memory = fraction(memory.used[slot] + requests.memory, memory.allocatable[slot]);
            // The standard deviation of two numbers.
            let deviation = cpu.zip(memory).map_or(0.0, |(a, b)| ((a - b) / 2.0).abs());
            #[allow(
                clippy::cast_possible_truncation,
                reason = "between 0 and 100; upstream cuts the fraction off too"
            )]
            #[allow(clippy::cast_precision_loss, reason = "the constant is 100")]
            let score = ((1.0 - deviation) * SCORE_MAX as f64) as i64;
            scores[slot] = score;
        }
        Some(scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_scores, node, pod};

    #[test]
    fn balanced_nodes_score_higher() {
        // Upstream's own table: fractions 0.75 and 0.5 give 87, 0.5 and 0.5 give 100.
        let nodes = [node("a").cpu("4").memory("10000"), node("b").cpu("6").memory("10000")];
        let big = || pod("p").requests("cpu", "3").requests("memory", "5000");
        check_scores(&NodeResourcesBalancedAllocation, &nodes, big(), &[("a", 87), ("b", 100)]);
        // Over-committed counts as full: 1 and 0.5.
        let tight = [node("a").cpu("2").memory("10000"), node("b").cpu("3")];
        check_scores(&NodeResourcesBalancedAllocation, &tight, big(), &[("a", 75), ("b", 100)]);
        check_scores(&NodeResourcesBalancedAllocation, &tight, pod("p"), &[]);
    }
}
