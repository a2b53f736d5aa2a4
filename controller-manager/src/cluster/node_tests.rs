//! Nodes from end to end: CIDRs, silence, taints, eviction.

use std::time::Duration;

use client::resources::{LEASES, NODES, PODS, SERVICE_ACCOUNTS};
use serde_json::{Value, json};

use super::Cluster;

async fn add_node(cluster: &Cluster, name: &str) {
    cluster.create(&NODES, "", &json!({"metadata": {"name": name}})).await;
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady",
        "lastHeartbeatTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    cluster.patch(&NODES, "", name, "status", ready).await;
    let lease = json!({"metadata": {"name": name}, "spec": {"holderIdentity": name, "renewTime": "2026-01-01T00:00:00.000000Z"}});
    cluster.create(&LEASES, "kube-node-lease", &lease).await;
}

/// Renews the lease of a node every ten seconds.
fn keep_alive(cluster: &Cluster, name: &'static str) {
    let admin = cluster.admin.clone();
    cluster.tasks.spawn_until_stop(format!("heart of {name}"), async move {
        for beat in 1.. {
            tokio::time::sleep(Duration::from_secs(10)).await;
            let time = jiff::Timestamp::from_second(1_767_225_600 + beat).unwrap();
            let patch = client::Patch::Merge(json!({"spec": {"renewTime": client::time::micros(time)}}));
            let _ = admin.patch::<Value>(&LEASES, "kube-node-lease", name, "", &patch).await;
        }
    });
}

fn taints(node: &Value) -> Vec<String> {
    let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let text = |t: &Value| format!("{}:{}", t["key"].as_str().unwrap(), t["effect"].as_str().unwrap());
    let mut texts: Vec<String> = taints.iter().map(text).collect();
    texts.sort();
    texts
}

fn find<'a>(all: &'a [Value], name: &str) -> &'a Value {
    all.iter().find(|n| n["metadata"]["name"] == name).unwrap_or(&Value::Null)
}

#[tokio::test(start_paused = true)]
async fn each_node_gets_a_range() {
    let cluster = Cluster::start().await;
    for name in ["a", "b"] {
        cluster.create(&NODES, "", &json!({"metadata": {"name": name}})).await;
    }
    let nodes = cluster
        .eventually(&NODES, "", "ranges", |all| all.iter().all(|n| n["spec"]["podCIDR"].is_string()))
        .await;
    let mut ranges: Vec<&str> = nodes.iter().filter_map(|n| n["spec"]["podCIDR"].as_str()).collect();
    ranges.sort_unstable();
    assert_eq!(ranges, ["10.244.0.0/24", "10.244.1.0/24"]);
    assert_eq!(nodes[0]["spec"]["podCIDRs"], json!([nodes[0]["spec"]["podCIDR"]]));
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_node_is_tainted_and_its_pods_are_evicted() {
    let cluster = Cluster::start().await;
    cluster.eventually(&SERVICE_ACCOUNTS, "default", "an account", |a| !a.is_empty()).await;
    for name in ["quiet", "well"] {
        add_node(&cluster, name).await;
    }
    keep_alive(&cluster, "well");
    let pod = |name: &str, seconds: i64| {
        let toleration = |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds});
        json!({"metadata": {"name": name}, "spec": {
            "nodeName": "quiet", "containers": [{"name": "c", "image": "i"}],
            "tolerations": [toleration("node.kubernetes.io/unreachable"), toleration("node.kubernetes.io/not-ready")],
        }})
    };
    cluster.create(&PODS, "default", &pod("brief", 30)).await;
    cluster.create(&PODS, "default", &pod("patient", 300)).await;
    let started = tokio::time::Instant::now();
    let nodes = cluster
        .eventually(&NODES, "", "both taints", |all| {
            taints(find(all, "quiet"))
                == ["node.kubernetes.io/unreachable:NoExecute", "node.kubernetes.io/unreachable:NoSchedule"]
        })
        .await;
    let silence = started.elapsed();
    assert!(silence >= Duration::from_secs(45) && silence < Duration::from_secs(70), "{silence:?}");
    let ready = find(&nodes, "quiet")["status"]["conditions"][0].clone();
    assert_eq!((&ready["status"], &ready["reason"]), (&json!("Unknown"), &json!("NodeStatusUnknown")));
    assert!(taints(find(&nodes, "well")).is_empty());
    cluster
        .eventually(&PODS, "default", "the brief pod gone", |pods| super::names(pods) == ["patient"])
        .await;
    let evicted = started.elapsed() - silence;
    assert!(evicted >= Duration::from_secs(29) && evicted < Duration::from_secs(40), "{evicted:?}");
    // Back again: the taints go, and the patient pod stays.
    keep_alive(&cluster, "quiet");
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:05:00Z"}]}});
    cluster.patch(&NODES, "", "quiet", "status", ready).await;
    cluster.eventually(&NODES, "", "no taints", |all| taints(find(all, "quiet")).is_empty()).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(cluster.list(&PODS, "default").await.len(), 1);
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn when_all_nodes_are_silent_nobody_is_evicted() {
    let cluster = Cluster::start().await;
    add_node(&cluster, "only").await;
    cluster
        .eventually(&NODES, "", "the NoSchedule taint", |all| {
            taints(find(all, "only")) == ["node.kubernetes.io/unreachable:NoSchedule"]
        })
        .await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(taints(&cluster.get(&NODES, "", "only").await), ["node.kubernetes.io/unreachable:NoSchedule"]);
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_node_that_is_gone_are_removed() {
    let cluster = Cluster::start().await;
    cluster.eventually(&SERVICE_ACCOUNTS, "default", "an account", |a| !a.is_empty()).await;
    let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "nowhere", "containers": [{"name": "c", "image": "i"}]}});
    cluster.create(&PODS, "default", &pod).await;
    let started = tokio::time::Instant::now();
    cluster.eventually(&PODS, "default", "no pods", <[Value]>::is_empty).await;
    assert!(
        started.elapsed() >= Duration::from_secs(40),
        "not before the quarantine: {:?}",
        started.elapsed()
    );
    cluster.end().await;
}
