//! The decision: a pure function of the nodes and the pod. Every node is filtered and every one that fits is scored.

use std::sync::Arc;

use crate::framework::{Decision, Diagnosis, Profile};
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;

/// Finds the best node. Among equals `tie`, a random number, decides, so that they fill evenly.
pub fn schedule(profile: &Profile, snapshot: &Snapshot, pod: &PodInfo, tie: u64) -> Decision {
    let mut feasible = snapshot.present.clone();
    let rejections = profile.filter(snapshot, pod, &mut feasible);
    let best = match feasible.count() {
        0 => return Decision::Unschedulable(Diagnosis::new(snapshot, pod, rejections)),
        1 => feasible.iter().collect(),
        _ => best_of(&scores(profile, snapshot, pod, &feasible), &feasible),
    };
    let pick = usize::try_from(tie % best.len() as u64).unwrap_or(0);
    let slot = best[pick];
    let name = snapshot.name(slot).expect("a feasible slot is a node");
    Decision::Node { slot, name: Arc::clone(name) }
}

/// The weighted sum of all plugins' scores, by slot.
fn scores(profile: &Profile, snapshot: &Snapshot, pod: &PodInfo, feasible: &crate::bits::BitSet) -> Vec<i64> {
    let n = feasible.iter().last().map_or(0, |slot| slot + 1);
    let mut total = vec![0; n];
    for entry in profile.plugins.iter().filter(|e| e.weight != 0) {
        if let Some(scores) = entry.plugin.score(snapshot, pod, feasible) {
            for (sum, score) in total.iter_mut().zip(scores) {
                *sum += score * entry.weight;
            }
        }
    }
    total
}

fn best_of(scores: &[i64], feasible: &crate::bits::BitSet) -> Vec<usize> {
    let mut best = Vec::new();
    let mut best_score = i64::MIN;
    for slot in feasible.iter() {
        if scores[slot] > best_score {
            best_score = scores[slot];
            best.clear();
        }
        if scores[slot] == best_score {
            best.push(slot);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::testing::{NodeBuilder, PodBuilder, node, pod, snapshot};

    #[track_caller]
    fn check(nodes: &[NodeBuilder], pod: PodBuilder, expected: &Expect) {
        let snapshot = snapshot(nodes);
        let found = match schedule(&Profile::default(), &snapshot, &PodInfo::new(&pod.build()), 0) {
            Decision::Node { name, .. } => name.to_string(),
            Decision::Unschedulable(diagnosis) => diagnosis.to_string(),
        };
        expected.assert_eq(&found);
    }

    #[test]
    fn upstreams_words() {
        check(&[], pod("p"), &expect!["no nodes available to schedule pods"]);
        let small = node("a").cpu("1").pod(pod("busy").requests("cpu", "900m"));
        check(
            &[small],
            pod("p").requests("cpu", "200m"),
            &expect![
                "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
            ],
        );
        check(
            &[node("a").cpu("1")],
            pod("p").requests("cpu", "2"),
            &expect![
                "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
            ],
        );
        let busy = |name| {
            node(name).cpu("4").memory("1Gi").pod(pod("busy").requests("cpu", "4").requests("memory", "1Gi"))
        };
        check(
            &[busy("a"), busy("b"), node("c").unschedulable(), node("d").taint("k", "v", "NoSchedule")],
            pod("p").requests("cpu", "1").requests("memory", "1"),
            &expect![
                "0/4 nodes are available: 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable, 2 Insufficient cpu, 2 Insufficient memory. preemption: 0/4 nodes are available: 2 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling."
            ],
        );
        check(
            &[busy("a")],
            pod("p").requests("cpu", "1").never_preempts(),
            &expect![
                "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never."
            ],
        );
        // There is somebody to evict, which is not done yet: nothing untrue is said.
        check(
            &[busy("a")],
            pod("p").requests("cpu", "1").priority(10),
            &expect!["0/1 nodes are available: 1 Insufficient cpu."],
        );
    }

    #[test]
    fn the_emptier_node_wins_and_ties_are_drawn() {
        let full =
            node("full").cpu("4").memory("4Gi").pod(pod("x").requests("cpu", "2").requests("memory", "2Gi"));
        let empty = |name| node(name).cpu("4").memory("4Gi");
        check(&[full.clone(), empty("empty")], pod("p").requests("cpu", "1"), &expect!["empty"]);
        let snapshot = snapshot(&[empty("a"), full, empty("b")]);
        let info = PodInfo::new(&pod("p").requests("cpu", "1").build());
        let picks: Vec<_> = (0..4)
            .map(|tie| match schedule(&Profile::default(), &snapshot, &info, tie) {
                Decision::Node { name, .. } => name.to_string(),
                Decision::Unschedulable(diagnosis) => panic!("{diagnosis}"),
            })
            .collect();
        assert_eq!(picks, ["a", "b", "a", "b"]);
    }
}
