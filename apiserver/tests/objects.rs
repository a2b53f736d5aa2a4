//! The server in process over the memory backend, under a paused clock: every verb of a ConfigMap, watches, pages.

mod support;

use serde_json::json;
use support::Cluster;

#[tokio::test(start_paused = true)]
async fn a_config_map_lives_and_dies() {
    let cluster = Cluster::start().await;
    let made = cluster
        .post("/api/v1/namespaces/default/configmaps", json!({"metadata": {"name": "a"}, "data": {"k": "v"}}))
        .await
        .expect_code(201);
    assert_eq!(made["kind"], "ConfigMap");
    assert_eq!(made["metadata"]["namespace"], "default");
    let first = made["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let got = cluster.get("/api/v1/namespaces/default/configmaps/a").await.expect_code(200);
    assert_eq!(got, made);

    let mut changed = got.clone();
    changed["data"]["k"] = json!("w");
    let put = cluster.put("/api/v1/namespaces/default/configmaps/a", changed.clone()).await.expect_code(200);
    assert_ne!(put["metadata"]["resourceVersion"], first);
    let stale = cluster.put("/api/v1/namespaces/default/configmaps/a", changed).await.expect_code(409);
    assert_eq!(
        stale["message"],
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes \
         to the latest version and try again"
    );

    let gone = cluster.delete("/api/v1/namespaces/default/configmaps/a").await.expect_code(200);
    assert_eq!(gone["status"], "Success");
    let missing = cluster.get("/api/v1/namespaces/default/configmaps/a").await.expect_code(404);
    assert_eq!(missing["message"], "configmaps \"a\" not found");
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_of_every_change_in_order() {
    let cluster = Cluster::start().await;
    let mut watch = cluster.watch("/api/v1/namespaces/default/configmaps?watch=1&resourceVersion=0").await;
    cluster.post("/api/v1/namespaces/default/configmaps", json!({"metadata": {"name": "a"}})).await.expect_code(201);
    cluster
        .patch("/api/v1/namespaces/default/configmaps/a", "application/merge-patch+json", json!({"data": {"k": "v"}}))
        .await
        .expect_code(200);
    cluster.delete("/api/v1/namespaces/default/configmaps/a").await.expect_code(200);
    let added = watch.next().await;
    assert_eq!((added["type"].as_str(), added["object"]["metadata"]["name"].as_str()), (Some("ADDED"), Some("a")));
    let modified = watch.next().await;
    assert_eq!(modified["type"], "MODIFIED");
    assert_eq!(modified["object"]["data"]["k"], "v");
    let deleted = watch.next().await;
    assert_eq!(deleted["type"], "DELETED");
    // A deletion has a revision of its own.
    assert_ne!(deleted["object"]["metadata"]["resourceVersion"], modified["object"]["metadata"]["resourceVersion"]);
}
