//! Deletion with what depends on it: in the background, in the foreground, and with orphans.

use client::Propagation;
use client::resources::{DEPLOYMENTS, PODS, REPLICA_SETS};
use testing::{Cluster, deployment, eventually};

use crate::{rollout, when};

async fn with_deployment() -> Cluster {
    let cluster = Cluster::simulated(1, 1).await;
    cluster.create(&DEPLOYMENTS, "default", &deployment("web").replicas(2).grace(1).build()).await;
    rollout(&cluster, "web").await;
    cluster
}

/// Everything below is gone, containers too.
async fn all_gone(cluster: &Cluster) {
    eventually!(cluster, "nothing left", {
        let left = (cluster.list(&REPLICA_SETS, "default").await, cluster.list(&PODS, "default").await);
        when(left.0.is_empty() && left.1.is_empty(), &left)
    });
    assert!(cluster.nodes[0].machine.runtime.running().is_empty());
}

#[tokio::test(start_paused = true)]
async fn in_the_background_the_owner_goes_first() {
    let cluster = with_deployment().await;
    cluster.delete(&DEPLOYMENTS, "default", "web", Some(Propagation::Background)).await;
    assert!(cluster.list(&DEPLOYMENTS, "default").await.is_empty());
    all_gone(&cluster).await;
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn in_the_foreground_the_owner_goes_last() {
    let cluster = with_deployment().await;
    cluster.delete(&DEPLOYMENTS, "default", "web", Some(Propagation::Foreground)).await;
    let owner = cluster.get(&DEPLOYMENTS, "default", "web").await;
    assert_eq!(owner["metadata"]["finalizers"][0], "foregroundDeletion");
    eventually!(cluster, "the owner gone", {
        let left = cluster.list(&DEPLOYMENTS, "default").await;
        when(left.is_empty(), &left)
    });
    assert!(cluster.list(&REPLICA_SETS, "default").await.is_empty());
    all_gone(&cluster).await;
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn orphans_stay_and_run_on() {
    let cluster = with_deployment().await;
    cluster.delete(&DEPLOYMENTS, "default", "web", Some(Propagation::Orphan)).await;
    eventually!(cluster, "the owner gone", {
        let left = cluster.list(&DEPLOYMENTS, "default").await;
        when(left.is_empty(), &left)
    });
    let sets = cluster.list(&REPLICA_SETS, "default").await;
    assert_eq!(sets.len(), 1);
    assert!(sets[0]["metadata"].get("ownerReferences").is_none(), "{}", sets[0]["metadata"]);
    assert_eq!(cluster.nodes[0].machine.runtime.running().len(), 2);
    // A Deployment of the same selector takes them over.
    cluster.create(&DEPLOYMENTS, "default", &deployment("web").replicas(2).grace(1).build()).await;
    rollout(&cluster, "web").await;
    eventually!(cluster, "the set adopted", {
        let sets = cluster.list(&REPLICA_SETS, "default").await;
        when(sets.len() == 1 && sets[0]["metadata"]["ownerReferences"][0]["name"] == "web", &sets)
    });
    cluster.end().await;
}
