//! Deployments from the user's word to running containers.

use std::time::Duration;

use client::resources::{DEPLOYMENTS, PODS, REPLICA_SETS};
use cri::fake::Script;
use serde_json::{Value, json};
use testing::builders::image_patch;
use testing::{Cluster, deployment, eventually, pod};

use crate::{condition, name, rollout, when};

fn images(pods: &[Value]) -> Vec<&str> {
    pods.iter().filter_map(|p| p["spec"]["containers"][0]["image"].as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn rolls_out_updates_scales_and_goes_back() {
    let cluster = Cluster::simulated(1, 2).await;
    let made = deployment("web").replicas(3).rolling(1, 0).grace(1).build();
    cluster.create(&DEPLOYMENTS, "default", &made).await;
    let first = rollout(&cluster, "web").await;
    assert_eq!(first["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "1");
    let pods = cluster.list(&PODS, "default").await;
    assert_eq!(images(&pods), ["app:v1"; 3]);
    for pod in &pods {
        assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0);
        assert!(pod["status"]["podIP"].as_str().is_some_and(|ip| ip.starts_with("10.244.")));
    }
    let nodes: std::collections::BTreeSet<_> =
        pods.iter().map(|p| p["spec"]["nodeName"].to_string()).collect();
    assert_eq!(nodes.len(), 2, "pods spread over empty nodes");

    cluster.patch_strategic(&DEPLOYMENTS, "default", "web", image_patch("app:v2")).await;
    let second = rollout(&cluster, "web").await;
    assert_eq!(second["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "2");
    cluster.patch(&DEPLOYMENTS, "default", "web", json!({"spec": {"replicas": 5}})).await;
    rollout(&cluster, "web").await;
    eventually!(cluster, "five pods of the new image", {
        let pods = cluster.list(&PODS, "default").await;
        when(images(&pods) == ["app:v2"; 5], &images(&pods))
    });
    cluster.patch_strategic(&DEPLOYMENTS, "default", "web", image_patch("app:v1")).await;
    let third = rollout(&cluster, "web").await;
    assert_eq!(third["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "3");
    eventually!(cluster, "five pods of the old image", {
        let pods = cluster.list(&PODS, "default").await;
        when(images(&pods) == ["app:v1"; 5], &images(&pods))
    });
    assert_eq!(cluster.list(&REPLICA_SETS, "default").await.len(), 2, "the first set serves again");
    let running: usize = cluster.nodes.iter().map(|n| n.machine.runtime.running().len()).sum();
    assert_eq!(running, 5, "every container of old pods has ended");
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_does_not_fit_waits_for_room() {
    let cluster = Cluster::simulated(2, 1).await;
    cluster.ready_for_pods("default").await;
    for n in 1..=2 {
        cluster.create(&PODS, "default", &pod(&format!("p{n}")).cpu("3").build()).await;
    }
    let waiting = eventually!(cluster, "one pod that runs and one that is told why not", {
        let pods = cluster.list(&PODS, "default").await;
        let runs = pods.iter().filter(|p| p["status"]["phase"] == "Running").count();
        let waiting =
            pods.iter().find(|p| condition(p, "PodScheduled").is_some_and(|c| c["status"] == "False"));
        when(runs == 1 && waiting.is_some(), &pods)?;
        Ok(waiting.expect("checked above").clone())
    });
    let message = condition(&waiting, "PodScheduled").expect("found by it")["message"].as_str().unwrap();
    assert!(message.contains("Insufficient cpu"), "{message}");
    let other = if name(&waiting) == "p1" { "p2" } else { "p1" };
    cluster.delete(&PODS, "default", other, None).await;
    eventually!(cluster, "the other pod running", {
        let found = cluster.get(&PODS, "default", name(&waiting)).await;
        when(found["status"]["phase"] == "Running", &found["status"])
    });
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_container_that_ends_is_restarted_with_back_off() {
    let cluster = Cluster::simulated(3, 1).await;
    cluster.ready_for_pods("default").await;
    cluster.nodes[0]
        .machine
        .set_script(Script { exit: Some((Duration::from_secs(1), 7)), ..Script::default() });
    cluster.create(&PODS, "default", &pod("p").build()).await;
    let found = eventually!(cluster, "a crash loop", {
        let found = cluster.get(&PODS, "default", "p").await;
        let status = &found["status"]["containerStatuses"][0];
        when(status["state"]["waiting"]["reason"] == "CrashLoopBackOff", status)?;
        Ok(found)
    });
    let status = &found["status"]["containerStatuses"][0];
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 7);
    assert_eq!(condition(&found, "Ready").map(|c| &c["status"]), Some(&json!("False")));
    cluster.nodes[0].machine.set_script(Script::default());
    eventually!(cluster, "the container running again", {
        let found = cluster.get(&PODS, "default", "p").await;
        when(condition(&found, "Ready").is_some_and(|c| c["status"] == "True"), &found["status"])
    });
    cluster.end().await;
}
