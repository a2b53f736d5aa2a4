//! The rim: one look at all nodes every five seconds, and at once when a node changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::{
    Client, EventType, Informer, Key, ListParams, ObjectReference, PartialObject, Patch, Recorder, resources,
};
use controller_kit::{Queue, SyncError, SyncResult};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use super::plan::{self, ZoneState};
use crate::context::{Context, synced};
use crate::objects::{Lease, Node, Pod};

/// A node that has just registered is given this long for its first status (`--node-startup-grace-period`).
const STARTUP_GRACE: Duration = Duration::from_secs(60);
const LEASE_NAMESPACE: &str = "kube-node-lease";
const ZONE: &str = "topology.kubernetes.io/zone";
const REGION: &str = "topology.kubernetes.io/region";
pub(crate) const BY_NODE: &str = "node";

/// A sign of life as last seen, and when it was first seen so by our clock.
#[derive(Clone, Debug)]
struct Sign {
    heartbeat: Option<Timestamp>,
    lease: Option<Timestamp>,
    seen: Instant,
}

#[derive(Clone, Debug, Default)]
struct Zone {
    /// When the next node of the zone may be tainted.
    next: Option<Instant>,
}

#[derive(Debug, Default)]
struct State {
    signs: BTreeMap<String, Sign>,
    zones: BTreeMap<String, Zone>,
}

struct Controller {
    client: Client,
    /// Reads leases, which the controller's own user may not.
    reader: Client,
    env: env::Env,
    recorder: Recorder,
    nodes: Informer<Node>,
    leases: Informer<Lease>,
    pods: Informer<Pod>,
    grace: Duration,
    state: Mutex<State>,
}

pub(crate) fn start(context: &Context) {
    let queue: Queue<Key> = Queue::new(context.env.clone());
    let nodes = context.informers.of::<Node>();
    let pods = context.informers.of::<Pod>();
    pods.add_index(BY_NODE, |p| vec![p.spec.node_name.clone()]);
    let params = ListParams { namespace: LEASE_NAMESPACE.into(), ..ListParams::default() };
    let leases = context.informers.with::<Lease>(params);
    let add = queue.clone();
    nodes.add_handler(move |event| add.add(Key::of(&event.object().metadata)));
    let caches = vec![synced(&nodes), synced(&leases), synced(&pods)];
    let again = vec![synced(&nodes), synced(&leases), synced(&pods)];
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        reader: context.informers.client().clone(),
        env: context.env.clone(),
        recorder: context.recorder.clone(),
        nodes: nodes.clone(),
        leases,
        pods,
        grace: context.config.node_monitor_grace_period,
        state: Mutex::default(),
    });
    context.run(caches, 8, &queue, move |key| {
        let controller = Arc::clone(&controller);
        async move { controller.sync(&key.name).await }
    });
    context.every(again, context.config.node_monitor_period, move || {
        nodes.list().iter().for_each(|node| queue.add(Key::of(&node.metadata)));
        std::future::ready(())
    });
}

fn zone_of(node: &Node) -> String {
    let label = |name: &str| node.metadata.labels.get(name).cloned().unwrap_or_default();
    format!("{}:\0:{}", label(REGION), label(ZONE))
}

impl Controller {
    async fn sync(&self, name: &str) -> SyncResult {
        let Some(node) = self.nodes.get("", name) else {
            self.state.lock().signs.remove(name);
            return Ok(None);
        };
        let silent =
            self.is_silent(&node) && (plan::ready(&node) == "Unknown" || self.confirm_silence(&node).await?);
        let node = if silent { self.tell_silence(&node).await? } else { node };
        self.taint(&node).await?;
        if plan::ready(&node) != "True" {
            self.unready_pods(name).await?;
        }
        Ok(None)
    }

    /// Notes signs of life, and says whether there was none for the grace period.
    fn is_silent(&self, node: &Node) -> bool {
        let name = &node.metadata.name;
        let ready = crate::objects::Condition::find(&node.status.conditions, "Ready");
        let heartbeat = ready.and_then(|c| c.last_heartbeat_time);
        let lease = self.leases.get(LEASE_NAMESPACE, name).and_then(|l| l.spec.renew_time);
        let now = Instant::now();
        let mut state = self.state.lock();
        let is_new = !state.signs.contains_key(name);
        let sign = state.signs.entry(name.clone()).or_insert(Sign { heartbeat, lease, seen: now });
        if is_new {
            let object = ObjectReference::of(&resources::NODES, &node.metadata);
            let text = format!("Node {name} event: Registered Node {name} in Controller");
            self.recorder.event(&object, EventType::Normal, "RegisteredNode", text);
        }
        // What we wrote ourselves (Unknown) is no sign of life.
        let ours = ready.is_some_and(|c| c.status == "Unknown");
        if (sign.heartbeat != heartbeat && !ours) || sign.lease != lease {
            *sign = Sign { heartbeat, lease, seen: now };
        }
        let grace = if ready.is_none() { STARTUP_GRACE.max(self.grace) } else { self.grace };
        now.duration_since(sign.seen) > grace
    }

    /// Asks the server itself before a node is called dead: that the caches heard nothing of it may as well mean that
    /// nobody told the caches (upstream's controller cannot tell the two apart).
    async fn confirm_silence(&self, node: &Node) -> Result<bool, SyncError> {
        let name = &node.metadata.name;
        let params = ListParams {
            namespace: LEASE_NAMESPACE.into(),
            field_selector: format!("metadata.name={name}"),
            ..ListParams::default()
        };
        let leases = self.reader.list::<Lease>(&resources::LEASES, &params).await?;
        let lease = leases.items.first().and_then(|l| l.spec.renew_time);
        let live: Node = self.client.get(&resources::NODES, "", name).await?;
        let ready = crate::objects::Condition::find(&live.status.conditions, "Ready");
        let heartbeat = ready.and_then(|c| c.last_heartbeat_time);
        let mut state = self.state.lock();
        let Some(sign) = state.signs.get_mut(name) else { return Ok(false) };
        if (sign.heartbeat, sign.lease) == (heartbeat, lease) {
            return Ok(true);
        }
        *sign = Sign { heartbeat, lease, seen: Instant::now() };
        Ok(false)
    }

    async fn tell_silence(&self, node: &Arc<Node>) -> Result<Arc<Node>, SyncError> {
        let conditions = plan::plan_silent(node, self.env.clock.now());
        if conditions.is_empty() {
            return Ok(Arc::clone(node));
        }
        let patch = Patch::Strategic(json!({"status": {"conditions": conditions}}));
        let name = &node.metadata.name;
        let written: Node = self.client.patch(&resources::NODES, "", name, "status", &patch).await?;
        Ok(Arc::new(written))
    }

    async fn taint(&self, node: &Node) -> Result<(), SyncError> {
        let evict = plan::ready(node) != "True" && self.may_evict(node);
        let taints = plan::plan_taints(node, evict, self.env.clock.now());
        if taints == node.spec.taints {
            return Ok(());
        }
        let meta = &node.metadata;
        let patch = Patch::Merge(json!({
            "metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version},
            "spec": {"taints": taints},
        }));
        let _: PartialObject = self.client.patch(&resources::NODES, "", &meta.name, "", &patch).await?;
        Ok(())
    }

    /// Whether this bad node may be given its NoExecute taint now. Counts against its zone's rate if it has none yet.
    fn may_evict(&self, node: &Node) -> bool {
        let tainted = node.spec.taints.iter().any(|t| {
            t.effect == plan::NO_EXECUTE && (t.key == plan::NOT_READY || t.key == plan::UNREACHABLE)
        });
        if tainted {
            return true;
        }
        let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for other in self.nodes.list() {
            let (n_ready, n_bad) = counts.entry(zone_of(&other)).or_default();
            // The node at hand counts as what it was just found to be.
            let status = if other.metadata.name == node.metadata.name {
                plan::ready(node)
            } else {
                plan::ready(&other)
            };
            *(if status == "True" { n_ready } else { n_bad }) += 1;
        }
        let zone = zone_of(node);
        let states: Vec<ZoneState> = counts.values().map(|(r, b)| plan::zone_state(*r, *b)).collect();
        let (n_ready, n_bad) = counts.get(&zone).copied().unwrap_or_default();
        let rate = plan::eviction_rate_millis(plan::zone_state(n_ready, n_bad), n_ready + n_bad, &states);
        if rate == 0 {
            return false;
        }
        let now = Instant::now();
        let mut state = self.state.lock();
        let zone = state.zones.entry(zone).or_default();
        if zone.next.is_some_and(|next| now < next) {
            return false;
        }
        zone.next = Some(now + Duration::from_millis(1_000_000 / rate));
        true
    }

    /// Nobody can say that the pods of a bad node are ready: they leave the endpoints.
    async fn unready_pods(&self, node: &str) -> Result<(), SyncError> {
        for pod in self.pods.by_index(BY_NODE, node).iter().filter(|p| p.is_ready()) {
            let now = client::time::seconds(self.env.clock.now());
            let patch = Patch::Strategic(json!({
                "metadata": {"uid": pod.metadata.uid},
                "status": {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": now}]},
            }));
            let (namespace, name) = (&pod.metadata.namespace, &pod.metadata.name);
            let result =
                self.client.patch::<PartialObject>(&resources::PODS, namespace, name, "status", &patch).await;
            match result {
                Ok(_) => {
                    let object = ObjectReference::of(&resources::PODS, &pod.metadata);
                    self.recorder.event(&object, EventType::Warning, "NodeNotReady", "Node is not ready");
                }
                Err(e) if e.is_not_found() || e.is_conflict() => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}
