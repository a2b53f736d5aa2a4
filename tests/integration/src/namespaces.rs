//! What a namespace gets at its birth, and that all it holds goes with it.

use client::resources::{CONFIG_MAPS, DEPLOYMENTS, NAMESPACES, PODS, SERVICE_ACCOUNTS};
use serde_json::json;
use testing::{Cluster, config_map, deployment, eventually};

use crate::{name, when};

async fn with_namespace() -> Cluster {
    let cluster = Cluster::simulated(1, 1).await;
    cluster
        .create(
            &NAMESPACES,
            "",
            &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}}),
        )
        .await;
    cluster.ready_for_pods("team").await;
    cluster
}

#[tokio::test(start_paused = true)]
async fn gets_an_account_and_the_root_ca_and_keeps_them() {
    let cluster = with_namespace().await;
    let root = eventually!(cluster, "the root CA", {
        let maps = cluster.list(&CONFIG_MAPS, "team").await;
        when(maps.len() == 1 && name(&maps[0]) == "kube-root-ca.crt", &maps)?;
        Ok(maps[0]["data"]["ca.crt"].clone())
    });
    assert!(root.as_str().is_some_and(|pem| pem.starts_with("-----BEGIN CERTIFICATE-----")));
    cluster.delete(&CONFIG_MAPS, "team", "kube-root-ca.crt", None).await;
    cluster.delete(&SERVICE_ACCOUNTS, "team", "default", None).await;
    eventually!(cluster, "both made again", {
        let (maps, accounts) =
            (cluster.list(&CONFIG_MAPS, "team").await, cluster.list(&SERVICE_ACCOUNTS, "team").await);
        when(maps.len() == 1 && maps[0]["data"]["ca.crt"] == root && accounts.len() == 1, &(maps, accounts))
    });
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn goes_with_all_it_holds() {
    let cluster = with_namespace().await;
    cluster.create(&DEPLOYMENTS, "team", &deployment("web").replicas(2).grace(1).build()).await;
    eventually!(cluster, "running pods", {
        let running = cluster.nodes[0].machine.runtime.running();
        when(running.len() == 2, &running)
    });
    let mut held = config_map("held", &[]);
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    cluster.create(&CONFIG_MAPS, "team", &held).await;
    cluster.delete(&NAMESPACES, "", "team", None).await;
    eventually!(cluster, "only what is held", {
        let (pods, maps) = (cluster.list(&PODS, "team").await, cluster.list(&CONFIG_MAPS, "team").await);
        let names: Vec<&str> = maps.iter().map(name).collect();
        when(pods.is_empty() && names == ["held"], &names)
    });
    let refused =
        cluster.admin.create::<serde_json::Value>(&CONFIG_MAPS, "team", &config_map("late", &[])).await;
    assert!(refused.is_err_and(|e| e.is_namespace_terminating()));
    cluster.patch(&CONFIG_MAPS, "team", "held", json!({"metadata": {"finalizers": null}})).await;
    eventually!(cluster, "the namespace gone", {
        let all = cluster.list(&NAMESPACES, "").await;
        when(all.iter().all(|n| name(n) != "team"), &all)
    });
    assert!(cluster.nodes[0].machine.runtime.running().is_empty());
    cluster.end().await;
}
