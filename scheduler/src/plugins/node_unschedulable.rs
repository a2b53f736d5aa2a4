//! NodeUnschedulable: a cordoned node takes only pods that tolerate the taint of that name.

use crate::bits::BitSet;
use crate::framework::{Plugin, Rejections};
use crate::objects::Taint;
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;

#[derive(Debug)]
pub struct NodeUnschedulable;

impl Plugin for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn filter(&self, snapshot: &Snapshot, pod: &PodInfo, candidates: &BitSet, rejections: &mut Rejections) {
        let taint = Taint {
            key: "node.kubernetes.io/unschedulable".to_owned(),
            value: String::new(),
            effect: "NoSchedule".to_owned(),
        };
        if pod.tolerations.iter().any(|t| t.tolerates(&taint)) {
            return;
        }
        let nodes = snapshot.unschedulable.clone();
        rejections.unresolvable(self.name(), "node(s) were unschedulable", candidates, nodes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_filter, node, pod};

    #[test]
    fn cordoned_nodes_are_left_out() {
        let nodes = [node("a"), node("b").unschedulable()];
        check_filter(&NodeUnschedulable, &nodes, pod("p"), &["b: node(s) were unschedulable (unresolvable)"]);
        let tolerant = || pod("p").toleration("node.kubernetes.io/unschedulable", "Exists", "", "NoSchedule");
        check_filter(&NodeUnschedulable, &nodes, tolerant(), &[]);
        let other = pod("p").toleration("node.kubernetes.io/unschedulable", "Exists", "", "NoExecute");
        check_filter(&NodeUnschedulable, &nodes, other, &["b: node(s) were unschedulable (unresolvable)"]);
        check_filter(&NodeUnschedulable, &nodes, pod("p").toleration("", "Exists", "", ""), &[]);
    }
}
