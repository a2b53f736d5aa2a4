//! Namespaces and ownership from end to end.

use client::resources::{
    CONFIG_MAPS, DEPLOYMENTS, NAMESPACES, PERSISTENT_VOLUME_CLAIMS, PODS, REPLICA_SETS, SERVICE_ACCOUNTS,
};
use client::{DeleteParams, Propagation};
use serde_json::{Value, json};

use super::{Cluster, names};

fn deployment() -> Value {
    json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    })
}

async fn delete(cluster: &Cluster, name: &str, propagation: Propagation) {
    let params = DeleteParams { propagation: Some(propagation), ..DeleteParams::default() };
    cluster.admin.delete(&DEPLOYMENTS, "default", name, &params).await.unwrap();
}

async fn with_deployment() -> Cluster {
    let cluster = Cluster::start().await;
    cluster.create(&DEPLOYMENTS, "default", &deployment()).await;
    cluster.eventually(&PODS, "default", "its pods", |pods| pods.len() == 2).await;
    cluster
}

#[tokio::test(start_paused = true)]
async fn background_deletion_takes_all_below() {
    let cluster = with_deployment().await;
    delete(&cluster, "web", Propagation::Background).await;
    assert!(cluster.list(&DEPLOYMENTS, "default").await.is_empty(), "the owner goes first");
    cluster.eventually(&PODS, "default", "no pods", <[Value]>::is_empty).await;
    cluster.eventually(&REPLICA_SETS, "default", "no sets", <[Value]>::is_empty).await;
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn foreground_deletion_takes_the_owner_last() {
    let cluster = with_deployment().await;
    delete(&cluster, "web", Propagation::Foreground).await;
    cluster.eventually(&DEPLOYMENTS, "default", "no deployment", <[Value]>::is_empty).await;
    assert!(
        cluster.list(&PODS, "default").await.is_empty()
            && cluster.list(&REPLICA_SETS, "default").await.is_empty()
    );
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn orphans_stay() {
    let cluster = with_deployment().await;
    delete(&cluster, "web", Propagation::Orphan).await;
    cluster.eventually(&DEPLOYMENTS, "default", "no deployment", <[Value]>::is_empty).await;
    let sets = cluster.list(&REPLICA_SETS, "default").await;
    assert_eq!((sets.len(), &sets[0]["metadata"]["ownerReferences"]), (1, &Value::Null));
    assert_eq!(cluster.list(&PODS, "default").await.len(), 2);
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_object_whose_owner_never_was_goes() {
    let cluster = Cluster::start().await;
    let map = |name: &str, owners: Value| json!({"metadata": {"name": name, "ownerReferences": owners}});
    let owner = cluster.create(&CONFIG_MAPS, "default", &map("owner", json!([]))).await;
    let reference =
        |uid: &Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid});
    let (good, bad) = (reference(&owner["metadata"]["uid"]), reference(&json!("another")));
    cluster.create(&CONFIG_MAPS, "default", &map("kept", json!([good, bad]))).await;
    cluster.create(&CONFIG_MAPS, "default", &map("doomed", json!([bad]))).await;
    let left = cluster
        .eventually(&CONFIG_MAPS, "default", "the doomed one gone and the reference cut", |maps| {
            let kept = maps.iter().find(|m| m["metadata"]["name"] == "kept");
            !names(maps).contains(&"doomed")
                && kept.is_some_and(|k| {
                    k["metadata"]["ownerReferences"].as_array().is_some_and(|o| o.len() == 1)
                })
        })
        .await;
    assert!(names(&left).contains(&"owner"));
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_gets_its_basics_and_goes_with_all_it_holds() {
    let cluster = Cluster::start().await;
    cluster
        .create(
            &NAMESPACES,
            "",
            &json!({"metadata": {"name": "team"}, "spec": {"finalizers": ["kubernetes"]}}),
        )
        .await;
    cluster
        .eventually(&SERVICE_ACCOUNTS, "team", "the default account", |all| names(all) == ["default"])
        .await;
    let maps = cluster.eventually(&CONFIG_MAPS, "team", "the root CA", |all| all.len() == 1).await;
    assert_eq!((names(&maps), &maps[0]["data"]["ca.crt"]), (vec!["kube-root-ca.crt"], &json!("CA")));
    // What somebody breaks is mended.
    cluster.patch(&CONFIG_MAPS, "team", "kube-root-ca.crt", "", json!({"data": {"ca.crt": "x"}})).await;
    cluster.eventually(&CONFIG_MAPS, "team", "mended", |all| all[0]["data"]["ca.crt"] == "CA").await;

    cluster.create(&DEPLOYMENTS, "team", &deployment()).await;
    cluster.eventually(&PODS, "team", "pods", |pods| pods.len() == 2).await;
    let held = json!({"metadata": {"name": "held", "finalizers": ["example.com/hold"]}});
    cluster.create(&CONFIG_MAPS, "team", &held).await;
    cluster.admin.delete(&NAMESPACES, "", "team", &DeleteParams::default()).await.unwrap();
    let find = |all: &[Value]| all.iter().find(|n| n["metadata"]["name"] == "team").cloned();
    let all = cluster
        .eventually(&NAMESPACES, "", "what remains", |all| {
            let conditions = find(all).map(|n| n["status"]["conditions"].to_string()).unwrap_or_default();
            conditions.contains("configmaps. has 1 resource instances")
                && conditions.contains("SomeFinalizersRemain")
        })
        .await;
    assert_eq!(find(&all).unwrap()["status"]["phase"], "Terminating");
    cluster.patch(&CONFIG_MAPS, "team", "held", "", json!({"metadata": {"finalizers": null}})).await;
    cluster.eventually(&NAMESPACES, "", "the namespace gone", |all| find(all).is_none()).await;
    assert!(cluster.list(&PODS, "team").await.is_empty());
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_in_use_stays_until_its_pod_is_gone() {
    let cluster = Cluster::start().await;
    cluster.eventually(&SERVICE_ACCOUNTS, "default", "an account", |a| !a.is_empty()).await;
    let claim = json!({"metadata": {"name": "c"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
    }});
    cluster.create(&PERSISTENT_VOLUME_CLAIMS, "default", &claim).await;
    let pod = json!({"metadata": {"name": "p"}, "spec": {
        "nodeName": "n", "containers": [{"name": "c", "image": "i"}],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}],
    }});
    cluster.create(&client::resources::NODES, "", &json!({"metadata": {"name": "n"}})).await;
    cluster.create(&PODS, "default", &pod).await;
    cluster
        .eventually(&PODS, "default", "a running pod", |pods| pods[0]["status"]["phase"] == "Running")
        .await;
    cluster.admin.delete(&PERSISTENT_VOLUME_CLAIMS, "default", "c", &DeleteParams::default()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    assert_eq!(cluster.list(&PERSISTENT_VOLUME_CLAIMS, "default").await.len(), 1, "in use");
    cluster.admin.delete(&PODS, "default", "p", &DeleteParams::default()).await.unwrap();
    cluster.eventually(&PERSISTENT_VOLUME_CLAIMS, "default", "no claim", <[Value]>::is_empty).await;
    cluster.end().await;
}
