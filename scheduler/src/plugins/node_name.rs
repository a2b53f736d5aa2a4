//! NodeName: a pod that names its node goes there or nowhere. (One that does is not queued by us; the filter is here for
//! those who ask whether a pod fits.)

use crate::bits::BitSet;
use crate::framework::{Plugin, Rejections};
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;

#[derive(Debug)]
pub struct NodeName;

impl Plugin for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn filter(&self, snapshot: &Snapshot, pod: &PodInfo, candidates: &BitSet, rejections: &mut Rejections) {
        if pod.node_name.is_empty() {
            return;
        }
        let mut nodes = candidates.clone();
        if let Some(slot) = snapshot.slot(&pod.node_name) {
            nodes.remove(slot);
        }
        rejections.unresolvable(
            self.name(),
            "node(s) didn't match the requested node name",
            candidates,
            nodes,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_filter, node, pod};

    #[test]
    fn only_the_named_node_is_left() {
        let nodes = [node("a"), node("b")];
        let no = |name: &str| format!("{name}: node(s) didn't match the requested node name (unresolvable)");
        check_filter(&NodeName, &nodes, pod("p"), &[]);
        check_filter(&NodeName, &nodes, pod("p").on("a"), &[&no("b")]);
        check_filter(&NodeName, &nodes, pod("p").on("gone"), &[&no("a"), &no("b")]);
    }
}
