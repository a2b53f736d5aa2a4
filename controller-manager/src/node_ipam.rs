//! The node IPAM controller (range allocator): a pod CIDR for each node, out of the cluster's.
//!
//! The lowest free subnet is taken, one node at a time. A subnet is free again when its node is gone. IPv4 only.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use client::{Client, EventType, Informer, Key, ObjectReference, PartialObject, Patch, Recorder, resources};
use controller_kit::{Queue, SyncError, SyncResult};
use parking_lot::Mutex;
use serde_json::json;

use crate::context::{Context, synced};
use crate::objects::Node;

/// A range of equal subnets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: u32,
    mask: u8,
    count: u32,
}

impl Range {
    /// `None` when the text is no IPv4 CIDR or the subnets do not fit into it.
    fn parse(cidr: &str, mask: u8) -> Option<Self> {
        let (address, length) = cidr.split_once('/')?;
        let address: Ipv4Addr = address.parse().ok()?;
        let length: u8 = length.parse().ok()?;
        // Upstream refuses more than 2^16 subnets as well.
        if length > mask || mask > 32 || mask - length > 16 {
            return None;
        }
        let network = if length == 0 { 0 } else { u32::from(address) & (u32::MAX << (32 - length)) };
        Some(Self { first: network, mask, count: 1 << (mask - length) })
    }

    fn subnet(&self, index: u32) -> String {
        let size = 1u64 << (32 - self.mask);
        let address = u64::from(self.first) + u64::from(index) * size;
        format!("{}/{}", Ipv4Addr::from(u32::try_from(address).unwrap_or(u32::MAX)), self.mask)
    }

    fn lowest_free(&self, used: &BTreeSet<String>) -> Option<String> {
        (0..self.count).map(|i| self.subnet(i)).find(|s| !used.contains(s))
    }
}

struct Controller {
    client: Client,
    recorder: Recorder,
    nodes: Informer<Node>,
    range: Range,
    /// What was given to each node, also when the cache does not show it yet.
    given: Mutex<BTreeMap<String, String>>,
}

pub(crate) fn start(context: &Context) {
    if context.config.cluster_cidr.is_empty() {
        return;
    }
    let Some(range) = Range::parse(&context.config.cluster_cidr, context.config.node_cidr_mask_size) else {
        tracing::error!(cidr = %context.config.cluster_cidr, "the cluster CIDR can't be divided among nodes");
        return;
    };
    let queue: Queue<Key> = Queue::new(context.env.clone());
    let nodes = context.informers.of::<Node>();
    let add = queue.clone();
    nodes.add_handler(move |event| {
        if event.is_deleted() || event.object().spec.pod_cidr.is_empty() {
            add.add(Key::of(&event.object().metadata));
        }
    });
    let caches = vec![synced(&nodes)];
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        recorder: context.recorder.clone(),
        nodes,
        range,
        given: Mutex::default(),
    });
    // One worker: two nodes must never see the same subnet as free.
    context.run(caches, 1, &queue, move |key| {
        let controller = Arc::clone(&controller);
        async move { controller.sync(&key.name).await }
    });
}

impl Controller {
    async fn sync(&self, name: &str) -> SyncResult {
        let Some(node) = self.nodes.get("", name) else {
            self.given.lock().remove(name);
            return Ok(None);
        };
        if !node.spec.pod_cidr.is_empty() {
            return Ok(None);
        }
        let subnet = {
            let mut given = self.given.lock();
            let mut used: BTreeSet<String> = given.values().cloned().collect();
            used.extend(self.nodes.list().iter().map(|n| n.spec.pod_cidr.clone()));
            match given.get(name).cloned().or_else(|| self.range.lowest_free(&used)) {
                Some(subnet) => {
                    given.insert(name.to_owned(), subnet.clone());
                    subnet
                }
                None => {
                    drop(given);
                    let object = ObjectReference::of(&resources::NODES, &node.metadata);
                    let text = format!("Node {name} status is now: CIDRNotAvailable");
                    self.recorder.event(&object, EventType::Normal, "CIDRNotAvailable", text);
                    return Err(SyncError::Other("no subnet is left in the cluster CIDR".into()));
                }
            }
        };
        let patch = Patch::Strategic(json!({
            "metadata": {"uid": node.metadata.uid},
            "spec": {"podCIDR": subnet, "podCIDRs": [subnet]},
        }));
        match self.client.patch::<PartialObject>(&resources::NODES, "", name, "", &patch).await {
            Ok(_) => Ok(None),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let range = Range::parse("10.244.0.0/16", 24).unwrap();
        assert_eq!(
            (range.count, range.subnet(0), range.subnet(255)),
            (256, "10.244.0.0/24".into(), "10.244.255.0/24".into())
        );
        let used = BTreeSet::from(["10.244.0.0/24".to_owned(), "10.244.2.0/24".to_owned()]);
        assert_eq!(range.lowest_free(&used).as_deref(), Some("10.244.1.0/24"));
        let one = Range::parse("10.1.2.3/24", 24).unwrap();
        assert_eq!(one.subnet(0), "10.1.2.0/24");
        assert_eq!(one.lowest_free(&BTreeSet::from(["10.1.2.0/24".to_owned()])), None);
        for bad in ["10.0.0.0", "x/16", "10.0.0.0/25", "0.0.0.0/0", "fd00::/48"] {
            assert_eq!(Range::parse(bad, 24), None, "{bad}");
        }
    }
}
