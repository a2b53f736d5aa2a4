//! Tables for the replicaset controller's plan.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn at(seconds_ago: i64) -> String {
    Timestamp::from_second(NOW - seconds_ago).unwrap().to_string()
}

/// A ready pod of an hour on node n1, changed by a merge of `with`.
fn pod(name: &str, with: &Value) -> PodRef {
    let mut object = json!({
        "metadata": {"name": name, "uid": name, "creationTimestamp": at(3600), "labels": {"app": "x"}},
        "spec": {"nodeName": "n1"},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at(3000)}],
        },
    });
    merge(&mut object, with);
    Arc::new(serde_json::from_value(object).unwrap())
}

fn merge(target: &mut Value, with: &Value) {
    match (target, with) {
        (Value::Object(target), Value::Object(with)) => {
            for (key, value) in with {
                merge(target.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (target, with) => *target = with.clone(),
    }
}

/// The first of the two goes first, whichever way they are given.
#[track_caller]
fn check_goes_first(first: &Value, second: &Value) {
    for swapped in [false, true] {
        let (a, b) = (pod("first", first), pod("second", second));
        let mut pods = if swapped { vec![b, a] } else { vec![a, b] };
        sort_for_deletion(&mut pods, &[], now());
        assert_eq!(pods[0].metadata.name, "first");
    }
}

#[test]
fn deletion_order() {
    let plain = json!({});
    check_goes_first(&json!({"spec": {"nodeName": ""}}), &plain);
    check_goes_first(&json!({"status": {"phase": "Pending"}}), &json!({"status": {"phase": "Unknown"}}));
    check_goes_first(&json!({"status": {"phase": "Unknown"}}), &plain);
    check_goes_first(&json!({"status": {"conditions": []}}), &plain);
    let cost = |c: &str| json!({"metadata": {"annotations": {DELETION_COST: c}}});
    check_goes_first(&cost("-1"), &plain);
    check_goes_first(&plain, &cost("5"));
    let ready_for = |s| json!({"status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at(s)}]}});
    check_goes_first(&ready_for(10), &ready_for(3000));
    let restarted = |n: i32| json!({"status": {"containerStatuses": [{"name": "c", "restartCount": n}]}});
    check_goes_first(&restarted(3), &restarted(2));
    check_goes_first(&json!({"metadata": {"creationTimestamp": at(100)}}), &plain);
    // Unready beats cost: an unready pod goes first however dear it is.
    let mut dear = cost("100");
    merge(&mut dear, &json!({"status": {"conditions": []}}));
    check_goes_first(&dear, &cost("-100"));
}

#[test]
fn crowded_nodes_go_first() {
    let on = |name: &str, node: &str| pod(name, &json!({"spec": {"nodeName": node}}));
    let related = [on("x", "n2"), on("y", "n2"), on("z", "n1")];
    let mut pods = vec![on("a", "n1"), on("b", "n2")];
    sort_for_deletion(&mut pods, &related, now());
    assert_eq!(pods[0].metadata.name, "b");
}

#[track_caller]
fn check_delta(replicas: i32, n_pods: usize, create: usize, delete: usize) {
    let pods: Vec<PodRef> = (0..n_pods).map(|i| pod(&format!("p{i}"), &json!({}))).collect();
    let got = match plan(replicas, &pods, &pods, now()) {
        Delta::None => (0, 0),
        Delta::Create(n) => (n, 0),
        Delta::Delete(pods) => (0, pods.len()),
    };
    assert_eq!(got, (create, delete));
}

#[test]
fn deltas() {
    check_delta(3, 3, 0, 0);
    check_delta(3, 1, 2, 0);
    check_delta(0, 2, 0, 2);
    check_delta(2, 5, 0, 3);
    check_delta(2000, 0, BURST_MAX, 0);
}

#[test]
fn status_counts() {
    let unready = json!({"status": {"conditions": []}});
    let fresh =
        json!({"status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at(4)}]}});
    let deleting = json!({"metadata": {"deletionTimestamp": at(1)}});
    let failed = json!({"status": {"phase": "Failed"}});
    let unlabelled = json!({"metadata": {"labels": {"app": "y"}}});
    let pods: Vec<PodRef> = [json!({}), unready, fresh, deleting, failed, unlabelled]
        .iter()
        .enumerate()
        .map(|(i, with)| pod(&format!("p{i}"), with))
        .collect();
    let labels = BTreeMap::from([("app".to_owned(), "x".to_owned())]);
    let (got, next) = status(&ReplicaSetStatus::default(), 7, 10, &labels, &pods, None, now());
    let expected = ReplicaSetStatus {
        replicas: 4,
        fully_labeled_replicas: 3,
        ready_replicas: 3,
        available_replicas: 2,
        terminating_replicas: Some(1),
        observed_generation: 7,
        conditions: Vec::new(),
    };
    assert_eq!((got, next), (expected, Some(6)));
}

#[test]
fn failures_come_and_go() {
    let failure = Failure { reason: "FailedCreate", message: "quota".into() };
    let labels = BTreeMap::new();
    let (bad, _) = status(&ReplicaSetStatus::default(), 1, 0, &labels, &[], Some(&failure), now());
    assert_eq!(
        (bad.conditions[0].kind.as_str(), bad.conditions[0].reason.as_str()),
        ("ReplicaFailure", "FailedCreate")
    );
    let (still, _) =
        status(&bad, 1, 0, &labels, &[], Some(&failure), Timestamp::from_second(NOW + 9).unwrap());
    assert_eq!(still, bad, "the first time stays");
    let (good, _) = status(&bad, 1, 0, &labels, &[], None, now());
    assert!(good.conditions.is_empty());
}
