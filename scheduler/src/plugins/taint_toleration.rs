//! TaintToleration: a node's NoSchedule and NoExecute taints keep away pods that do not tolerate them; the fewer
//! untolerated PreferNoSchedule taints, the better the score.

use crate::bits::BitSet;
use crate::framework::{Plugin, Rejections};
use crate::objects::Taint;
use crate::plugins::{normalize, score_column};
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;

#[derive(Debug)]
pub struct TaintToleration;

fn tolerated(pod: &PodInfo, taint: &Taint) -> bool {
    pod.tolerations.iter().any(|t| t.tolerates(taint))
}

impl Plugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn filter(&self, snapshot: &Snapshot, pod: &PodInfo, candidates: &BitSet, rejections: &mut Rejections) {
        let mut nodes = BitSet::default();
        for (taint, tainted) in &snapshot.taints {
            if matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute") && !tolerated(pod, taint) {
                nodes.or(tainted);
            }
        }
        rejections.unresolvable(self.name(), "node(s) had untolerated taint(s)", candidates, nodes);
    }

    fn score(&self, snapshot: &Snapshot, pod: &PodInfo, feasible: &BitSet) -> Option<Vec<i64>> {
        let mut scores = score_column(feasible);
        for (taint, tainted) in &snapshot.taints {
            if taint.effect == "PreferNoSchedule" && !tolerated(pod, taint) {
                for slot in tainted.iter().filter(|slot| feasible.contains(*slot)) {
                    scores[slot] += 1;
                }
            }
        }
        normalize(&mut scores, feasible, true);
        Some(scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_filter, check_scores, node, pod};

    #[test]
    fn untolerated_taints_keep_pods_away() {
        let nodes = [
            node("free"),
            node("a").taint("k", "v", "NoSchedule"),
            node("b").taint("k", "v", "NoExecute"),
            node("c").taint("k", "v", "PreferNoSchedule"),
            node("d").taint("k", "v", "NoSchedule").taint("other", "", "NoSchedule"),
        ];
        let no = |names: &[&str]| -> Vec<String> {
            names.iter().map(|n| format!("{n}: node(s) had untolerated taint(s) (unresolvable)")).collect()
        };
        for (key, operator, value, effect, left) in [
            ("none", "Exists", "", "", &["a", "b", "d"][..]),
            ("k", "Equal", "v", "", &["d"]),
            ("k", "", "v", "NoSchedule", &["b", "d"]),
            ("k", "Equal", "w", "", &["a", "b", "d"]),
            ("k", "Exists", "", "NoExecute", &["a", "d"]),
            ("", "Exists", "", "", &[]),
        ] {
            let expected = no(left);
            let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
            check_filter(
                &TaintToleration,
                &nodes,
                pod("p").toleration(key, operator, value, effect),
                &expected,
            );
        }
    }

    #[test]
    fn preferred_taints_cost_points() {
        let soft = |n: crate::testing::NodeBuilder, key: &str| n.taint(key, "", "PreferNoSchedule");
        let nodes = [
            node("a"),
            soft(node("b"), "x"),
            soft(soft(node("c"), "x"), "y"),
            node("d").taint("z", "", "NoSchedule"),
        ];
        check_scores(&TaintToleration, &nodes, pod("p"), &[("a", 100), ("b", 50), ("c", 0), ("d", 100)]);
        let tolerant = pod("p").toleration("x", "Exists", "", "PreferNoSchedule");
        check_scores(&TaintToleration, &nodes, tolerant, &[("a", 100), ("b", 100), ("c", 0), ("d", 100)]);
        let all = pod("p").toleration("", "Exists", "", "");
        check_scores(&TaintToleration, &nodes, all, &[("a", 100), ("b", 100), ("c", 100), ("d", 100)]);
    }
}
