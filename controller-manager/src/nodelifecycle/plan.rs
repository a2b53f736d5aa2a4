//! Taints and conditions of a node as functions of what is known about it.

use jiff::Timestamp;

use crate::objects::{Condition, Node, Taint};

pub(crate) const NOT_READY: &str = "node.kubernetes.io/not-ready";
pub(crate) const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
const NO_SCHEDULE: &str = "NoSchedule";
pub(crate) const NO_EXECUTE: &str = "NoExecute";

/// The conditions that go unknown with the kubelet.
const KUBELET_CONDITIONS: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// Condition, its status, and the taint that stands for it.
const CONDITION_TAINTS: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
];

pub(crate) fn ready(node: &Node) -> &str {
    Condition::find(&node.status.conditions, "Ready").map_or("Unknown", |c| c.status.as_str())
}

/// The node's taints as they should be: the NoSchedule ones follow conditions and `spec.unschedulable`; the NoExecute
/// one of a bad node is added only when `evict` allows it, but always exchanged or taken away.
pub(crate) fn plan_taints(node: &Node, evict: bool, now: Timestamp) -> Vec<Taint> {
    let conditions = &node.status.conditions;
    let mut keys: Vec<&str> = CONDITION_TAINTS
        .iter()
        .filter(|(kind, status, _)| Condition::find(conditions, kind).is_some_and(|c| c.status == *status))
        .map(|(_, _, key)| *key)
        .collect();
    if node.spec.unschedulable {
        keys.push(UNSCHEDULABLE);
    }
    let bad = match ready(node) {
        "False" => Some(NOT_READY),
        "Unknown" => Some(UNREACHABLE),
        _ => None,
    };
    let ours = |key: &str| key == UNSCHEDULABLE || CONDITION_TAINTS.iter().any(|(_, _, k)| *k == key);
    let had_execute = node
        .spec
        .taints
        .iter()
        .any(|t| t.effect == NO_EXECUTE && (t.key == NOT_READY || t.key == UNREACHABLE));
    let execute = bad.filter(|_| evict || had_execute);
    let mut taints: Vec<Taint> = node
        .spec
        .taints
        .iter()
        .filter(|t| match t.effect.as_str() {
            NO_SCHEDULE if ours(&t.key) => keys.contains(&t.key.as_str()),
            NO_EXECUTE if t.key == NOT_READY || t.key == UNREACHABLE => execute == Some(t.key.as_str()),
            _ => true,
        })
        .cloned()
        .collect();
    let mut want = |key: &str, effect: &str| {
        if !taints.iter().any(|t| t.key == key && t.effect == effect) {
            let time_added = Timestamp::from_second(now.as_second()).ok();
            taints.push(Taint { key: key.into(), value: String::new(), effect: effect.into(), time_added });
        }
    };
    keys.iter().for_each(|key| want(key, NO_SCHEDULE));
    execute.into_iter().for_each(|key| want(key, NO_EXECUTE));
    taints
}

/// The conditions of a node that has been silent for too long: what its kubelet says is unknown now.
pub(crate) fn plan_silent(node: &Node, now: Timestamp) -> Vec<Condition> {
    let now = Timestamp::from_second(now.as_second()).ok();
    KUBELET_CONDITIONS
        .iter()
        .filter_map(|kind| match Condition::find(&node.status.conditions, kind) {
            Some(c) if c.status == "Unknown" => None,
            Some(c) => Some(Condition {
                status: "Unknown".into(),
                reason: "NodeStatusUnknown".into(),
                message: "Kubelet stopped posting node status.".into(),
                last_transition_time: now,
                ..c.clone()
            }),
            None => Some(Condition {
                kind: (*kind).into(),
                status: "Unknown".into(),
                reason: "NodeStatusNeverUpdated".into(),
                message: "Kubelet never posted node status.".into(),
                last_heartbeat_time: node.metadata.creation_timestamp,
                last_transition_time: now,
                ..Condition::default()
            }),
        })
        .collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ZoneState {
    Normal,
    Partial,
    Full,
}

/// Fewer than three silent nodes are never a disruption, except when they are all there is.
pub(crate) fn zone_state(n_ready: usize, n_bad: usize) -> ZoneState {
    if n_ready == 0 && n_bad > 0 {
        ZoneState::Full
    } else if n_bad > 2 && n_bad * 100 >= (n_ready + n_bad) * 55 {
        ZoneState::Partial
    } else {
        ZoneState::Normal
    }
}

/// Nodes per second that may be given a NoExecute taint, in thousandths. `zones` are the states of all zones.
pub(crate) fn eviction_rate_millis(state: ZoneState, n_nodes: usize, zones: &[ZoneState]) -> u64 {
    if zones.iter().all(|z| *z == ZoneState::Full) {
        return 0;
    }
    match state {
        ZoneState::Normal | ZoneState::Full => 100,
        // A zone that is half gone is likely a network's fault; a small one waits until that is over.
        ZoneState::Partial if n_nodes > 50 => 10,
        ZoneState::Partial => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(ready: &str, with: &Value) -> Node {
        let mut node = json!({
            "metadata": {"name": "n"},
            "status": {"conditions": [{"type": "Ready", "status": ready}, {"type": "DiskPressure", "status": "False"}]},
        });
        node["spec"] = with.clone();
        serde_json::from_value(node).unwrap()
    }

    #[track_caller]
    fn check_taints(ready: &str, spec: Value, evict: bool, expected: &[&str]) {
        let taints = plan_taints(&node(ready, &spec), evict, Timestamp::UNIX_EPOCH);
        let got: Vec<String> = taints.iter().map(|t| format!("{}:{}", t.key, t.effect)).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn taints_follow_the_node() {
        let (not_ready, unreachable) = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable");
        let both = |key: &str| [format!("{key}:NoSchedule"), format!("{key}:NoExecute")];
        let strs = |v: &[String]| v.to_vec();
        check_taints("True", json!({}), true, &[]);
        let expected = strs(&both(not_ready));
        check_taints("False", json!({}), true, &expected.iter().map(String::as_str).collect::<Vec<_>>());
        let expected = strs(&both(unreachable));
        check_taints("Unknown", json!({}), true, &expected.iter().map(String::as_str).collect::<Vec<_>>());
        check_taints("Unknown", json!({}), false, &["node.kubernetes.io/unreachable:NoSchedule"]);
        check_taints(
            "True",
            json!({"unschedulable": true}),
            true,
            &["node.kubernetes.io/unschedulable:NoSchedule"],
        );
        // Other people's taints stay; ours go when their reason does.
        let tainted = json!({"taints": [
            {"key": "mine", "effect": "NoSchedule"}, {"key": not_ready, "effect": "NoSchedule"},
            {"key": not_ready, "effect": "NoExecute"},
        ]});
        check_taints("True", tainted.clone(), false, &["mine:NoSchedule"]);
        // From one bad state to the other the taint is exchanged even when nothing may be evicted now.
        let exchanged = [
            "mine:NoSchedule",
            "node.kubernetes.io/unreachable:NoSchedule",
            "node.kubernetes.io/unreachable:NoExecute",
        ];
        check_taints("Unknown", tainted, false, &exchanged);
    }

    #[test]
    fn silence_makes_conditions_unknown() {
        let conditions = plan_silent(&node("True", &json!({})), Timestamp::UNIX_EPOCH);
        let got: Vec<(&str, &str)> =
            conditions.iter().map(|c| (c.kind.as_str(), c.reason.as_str())).collect();
        assert_eq!(
            got,
            [
                ("Ready", "NodeStatusUnknown"),
                ("MemoryPressure", "NodeStatusNeverUpdated"),
                ("DiskPressure", "NodeStatusUnknown"),
                ("PIDPressure", "NodeStatusNeverUpdated"),
            ]
        );
        assert_eq!(plan_silent(&node("Unknown", &json!({})), Timestamp::UNIX_EPOCH).len(), 3);
    }

    #[test]
    fn zones() {
        use ZoneState::{Full, Normal, Partial};
        assert_eq!(
            [zone_state(0, 1), zone_state(1, 2), zone_state(2, 3), zone_state(3, 3), zone_state(0, 0)],
            [Full, Normal, Partial, Normal, Normal]
        );
        assert_eq!(eviction_rate_millis(Full, 1, &[Full]), 0, "all is silent: it is us");
        assert_eq!(eviction_rate_millis(Full, 1, &[Full, Normal]), 100);
        assert_eq!(eviction_rate_millis(Partial, 10, &[Partial]), 0);
        assert_eq!(eviction_rate_millis(Partial, 51, &[Partial]), 10);
    }
}
