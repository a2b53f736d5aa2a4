//! Nodes that come, fail and come back.

use std::time::Duration;

use client::resources::{DEPLOYMENTS, LEASES, NODES, PODS};
use testing::{Cluster, deployment, eventually};

use crate::{condition, rollout, when};

fn ready(node: &serde_json::Value) -> Option<&str> {
    condition(node, "Ready")?["status"].as_str()
}

#[tokio::test(start_paused = true)]
async fn a_node_registers_with_capacity_lease_and_pod_range() {
    let cluster = Cluster::simulated(1, 2).await;
    for name in ["n1", "n2"] {
        let node = eventually!(cluster, "a Ready node", {
            let all = cluster.list(&NODES, "").await;
            let node = all.iter().find(|n| crate::name(n) == name).ok_or("not registered")?;
            when(ready(node) == Some("True") && node["spec"]["podCIDR"].is_string(), node)?;
            Ok(node.clone())
        });
        assert_eq!(
            (&node["status"]["capacity"]["cpu"], &node["status"]["capacity"]["pods"]),
            (&"4".into(), &"110".into())
        );
        assert!(node["spec"].get("taints").is_none(), "{}", node["spec"]);
        let lease = cluster.get(&LEASES, "kube-node-lease", name).await;
        assert_eq!(lease["spec"]["holderIdentity"], name);
    }
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_dead_node_are_replaced_and_the_node_may_come_back() {
    let mut cluster = Cluster::simulated(2, 2).await;
    cluster.create(&DEPLOYMENTS, "default", &deployment("web").replicas(4).grace(1).build()).await;
    rollout(&cluster, "web").await;
    let on = |pods: &[serde_json::Value], node: &str| {
        pods.iter()
            .filter(|p| p["spec"]["nodeName"] == node && p["metadata"].get("deletionTimestamp").is_none())
            .count()
    };
    assert_eq!(on(&cluster.list(&PODS, "default").await, "n1"), 2);

    let died = tokio::time::Instant::now();
    cluster.nodes[0].tasks.kill();
    eventually!(cluster, "the node's state unknown", {
        let node = cluster.get(&NODES, "", "n1").await;
        let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        let unreachable =
            taints.iter().any(|t| t["key"] == "node.kubernetes.io/unreachable" && t["effect"] == "NoExecute");
        when(ready(&node) == Some("Unknown") && unreachable, &node)
    });
    let noticed = died.elapsed();
    assert!((Duration::from_secs(40)..Duration::from_secs(70)).contains(&noticed), "{noticed:?}");
    eventually!(cluster, "four live pods on the other node", {
        let pods = cluster.list(&PODS, "default").await;
        when(on(&pods, "n2") == 4, &pods)
    });
    let evicted = died.elapsed() - noticed;
    assert!((Duration::from_secs(299)..Duration::from_secs(330)).contains(&evicted), "{evicted:?}");

    // The kubelet comes back, stops what was evicted and lets it go.
    cluster.restart_node(0);
    eventually!(cluster, "the evicted pods gone and the node Ready", {
        let (pods, node) = (cluster.list(&PODS, "default").await, cluster.get(&NODES, "", "n1").await);
        let tainted = node["spec"]["taints"].as_array().is_some_and(|t| !t.is_empty());
        when(pods.len() == 4 && ready(&node) == Some("True") && !tainted, &node)
    });
    assert!(cluster.nodes[0].machine.runtime.running().is_empty());
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_restarted_kubelet_adopts_what_runs() {
    let mut cluster = Cluster::simulated(3, 1).await;
    cluster.create(&DEPLOYMENTS, "default", &deployment("web").replicas(3).build()).await;
    rollout(&cluster, "web").await;
    let before = cluster.nodes[0].machine.runtime.running();
    cluster.nodes[0].tasks.kill();
    tokio::time::sleep(Duration::from_secs(5)).await;
    cluster.restart_node(0);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(cluster.nodes[0].machine.runtime.running(), before);
    assert!(cluster.nodes[0].machine.starts().values().all(|n| *n == 1));
    rollout(&cluster, "web").await;
    cluster.end().await;
}
