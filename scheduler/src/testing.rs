//! Builders and checks for this crate's tests.

use serde_json::{Value, json};

use crate::framework::{Plugin, Rejections};
use crate::objects::{Node, Pod};
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;

pub(crate) fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).unwrap()
}

#[derive(Clone)]
pub(crate) struct PodBuilder(Value);

/// A pod in `default` with one container.
pub(crate) fn pod(name: &str) -> PodBuilder {
    PodBuilder(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": format!("uid-{name}"), "generation": 1},
        "spec": {
            "schedulerName": "default-scheduler", "tolerations": [], "schedulingGates": [], "nodeSelector": {},
            "containers": [{"name": "c", "ports": [], "resources": {"requests": {}}}],
        },
        "status": {"phase": "Pending"},
    }))
}

impl PodBuilder {
    fn with(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.0);
        self
    }
    pub(crate) fn requests(self, name: &str, amount: &str) -> Self {
        self.with(|p| p["spec"]["containers"][0]["resources"]["requests"][name] = amount.into())
    }
    pub(crate) fn on(self, node: &str) -> Self {
        self.with(|p| p["spec"]["nodeName"] = node.into())
    }
    pub(crate) fn priority(self, priority: i32) -> Self {
        self.with(|p| p["spec"]["priority"] = priority.into())
    }
    pub(crate) fn never_preempts(self) -> Self {
        self.with(|p| p["spec"]["preemptionPolicy"] = "Never".into())
    }
    pub(crate) fn gate(self, name: &str) -> Self {
        self.with(|p| p["spec"]["schedulingGates"].as_array_mut().unwrap().push(json!({"name": name})))
    }
    pub(crate) fn node_selector(self, key: &str, value: &str) -> Self {
        self.with(|p| p["spec"]["nodeSelector"][key] = value.into())
    }
    pub(crate) fn required_terms(self, terms: &str) -> Self {
        let terms: Value = from_json(terms);
        self.with(|p| {
            p["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
                json!({"nodeSelectorTerms": terms});
        })
    }
    pub(crate) fn preferred_terms(self, terms: &str) -> Self {
        let terms: Value = from_json(terms);
        self.with(|p| {
            p["spec"]["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"] = terms;
        })
    }
    pub(crate) fn toleration(self, key: &str, operator: &str, value: &str, effect: &str) -> Self {
        let toleration = json!({"key": key, "operator": operator, "value": value, "effect": effect});
        self.with(|p| p["spec"]["tolerations"].as_array_mut().unwrap().push(toleration))
    }
    pub(crate) fn host_port(self, port: i32, ip: &str) -> Self {
        self.host_port_of("TCP", port, ip)
    }
    pub(crate) fn host_port_of(self, protocol: &str, port: i32, ip: &str) -> Self {
        let port = json!({"hostPort": port, "containerPort": port, "hostIP": ip, "protocol": protocol});
        self.with(|p| p["spec"]["containers"][0]["ports"].as_array_mut().unwrap().push(port))
    }
    pub(crate) fn json(&self) -> Value {
        self.0.clone()
    }
    pub(crate) fn build(&self) -> Pod {
        serde_json::from_value(self.0.clone()).unwrap()
    }
    pub(crate) fn info(&self) -> PodInfo {
        PodInfo::new(&self.build())
    }
}

#[derive(Clone)]
pub(crate) struct NodeBuilder {
    json: Value,
    pods: Vec<PodBuilder>,
}

/// A node with room for 110 pods and nothing else.
pub(crate) fn node(name: &str) -> NodeBuilder {
    let json = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {}},
        "spec": {"taints": []},
        "status": {"allocatable": {"pods": "110"}},
    });
    NodeBuilder { json, pods: Vec::new() }
}

impl NodeBuilder {
    fn with(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.json);
        self
    }
    pub(crate) fn resource(self, name: &str, amount: &str) -> Self {
        self.with(|n| n["status"]["allocatable"][name] = amount.into())
    }
    pub(crate) fn cpu(self, amount: &str) -> Self {
        self.resource("cpu", amount)
    }
    pub(crate) fn memory(self, amount: &str) -> Self {
        self.resource("memory", amount)
    }
    pub(crate) fn pods(self, n: u32) -> Self {
        self.resource("pods", &n.to_string())
    }
    pub(crate) fn label(self, key: &str, value: &str) -> Self {
        self.with(|n| n["metadata"]["labels"][key] = value.into())
    }
    pub(crate) fn taint(self, key: &str, value: &str, effect: &str) -> Self {
        let taint = json!({"key": key, "value": value, "effect": effect});
        self.with(|n| n["spec"]["taints"].as_array_mut().unwrap().push(taint))
    }
    pub(crate) fn unschedulable(self) -> Self {
        self.with(|n| n["spec"]["unschedulable"] = true.into())
    }
    /// A pod that is on the node already.
    pub(crate) fn pod(mut self, pod: PodBuilder) -> Self {
        self.pods.push(pod);
        self
    }
    pub(crate) fn json(&self) -> Value {
        self.json.clone()
    }
    pub(crate) fn build(&self) -> Node {
        serde_json::from_value(self.json.clone()).unwrap()
    }
}

pub(crate) fn snapshot(nodes: &[NodeBuilder]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for node in nodes {
        let (slot, _) = snapshot.set_node(&node.build());
        for pod in &node.pods {
            snapshot.add_pod(slot, &pod.info().usage);
        }
    }
    snapshot
}

/// Checks which nodes a plugin turns down: `node: reason` for each, with ` (unresolvable)` where it says so.
#[track_caller]
pub(crate) fn check_filter(plugin: &dyn Plugin, nodes: &[NodeBuilder], pod: PodBuilder, expected: &[&str]) {
    let snapshot = snapshot(nodes);
    let mut rejections = Rejections::default();
    plugin.filter(&snapshot, &pod.info(), &snapshot.present, &mut rejections);
    let mut found = Vec::new();
    for rejection in rejections.iter() {
        assert_eq!(rejection.plugin, plugin.name());
        for slot in rejection.nodes.iter() {
            let mark = if rejection.unresolvable.contains(slot) { " (unresolvable)" } else { "" };
            found.push(format!("{}: {}{mark}", snapshot.name(slot).unwrap(), rejection.reason));
        }
    }
    found.sort();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

/// Checks what a plugin gives each node; nothing expected: it has nothing to say.
#[track_caller]
pub(crate) fn check_scores(
    plugin: &dyn Plugin,
    nodes: &[NodeBuilder],
    pod: PodBuilder,
    expected: &[(&str, i64)],
) {
    let snapshot = snapshot(nodes);
    let scores = plugin.score(&snapshot, &pod.info(), &snapshot.present).unwrap_or_default();
    let found: Vec<(&str, i64)> =
        scores.iter().enumerate().map(|(slot, score)| (&**snapshot.name(slot).unwrap(), *score)).collect();
    assert_eq!(found, expected);
}
