//! Watches: selectors, bookmarks, time limits, history that is gone.

mod support;

use serde_json::json;
use support::Cluster;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const MERGE: &str = "application/merge-patch+json";

#[tokio::test(start_paused = true)]
async fn objects_come_and_go_by_their_labels() {
    let cluster = Cluster::start().await;
    cluster.post(MAPS, json!({"metadata": {"name": "a"}})).await.expect_code(201);
    let mut watch = cluster.watch(&format!("{MAPS}?watch=1&labelSelector=l%3D1")).await;
    let path = format!("{MAPS}/a");
    for labels in [json!({"l": "1"}), json!({"l": "2"}), json!({"l": "1"})] {
        cluster.patch(&path, MERGE, json!({"metadata": {"labels": labels}})).await.expect_code(200);
    }
    cluster.patch(&path, MERGE, json!({"data": {"k": "v"}})).await.expect_code(200);
    let mut seen = Vec::new();
    for _ in 0..4 {
        let event = watch.next().await;
        let labels = event["object"]["metadata"]["labels"]["l"].as_str().unwrap().to_owned();
        seen.push(format!("{} {labels}", event["type"].as_str().unwrap()));
    }
    assert_eq!(seen, ["ADDED 1", "DELETED 1", "ADDED 1", "MODIFIED 1"]);
}

#[tokio::test(start_paused = true)]
async fn initial_events_end_with_a_bookmark() {
    let cluster = Cluster::start().await;
    cluster.post(MAPS, json!({"metadata": {"name": "a"}})).await.expect_code(201);
    let mut watch = cluster
        .watch(&format!(
            "{MAPS}?watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
        ))
        .await;
    assert_eq!(watch.next().await["type"], "ADDED");
    let bookmark = watch.next().await;
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    cluster.post(MAPS, json!({"metadata": {"name": "b"}})).await.expect_code(201);
    assert_eq!(watch.next().await["object"]["metadata"]["name"], "b");
}

#[tokio::test(start_paused = true)]
async fn bookmarks_tell_of_progress_elsewhere() {
    let cluster = Cluster::start().await;
    let list = cluster.get(MAPS).await.expect_code(200);
    let revision = list["metadata"]["resourceVersion"].as_str().unwrap();
    let mut watch =
        cluster.watch(&format!("{MAPS}?watch=1&allowWatchBookmarks=true&resourceVersion={revision}")).await;
    let made = cluster
        .post("/api/v1/namespaces/default/secrets", json!({"metadata": {"name": "s"}}))
        .await
        .expect_code(201);
    // The clock is paused: the minute passes as soon as nothing else is to be done.
    let bookmark = watch.next().await;
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_when_its_time_is_up() {
    let cluster = Cluster::start().await;
    let mut watch = cluster.watch(&format!("{MAPS}?watch=1&timeoutSeconds=5")).await;
    let before = tokio::time::Instant::now();
    assert!(watch.try_next().await.is_none());
    assert_eq!(before.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_when_the_server_stops() {
    let cluster = Cluster::start().await;
    let mut watch = cluster.watch(&format!("{MAPS}?watch=1")).await;
    cluster.tasks.stop(std::time::Duration::from_secs(1)).await;
    assert!(watch.try_next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn history_that_is_gone_is_said_so() {
    let cluster = Cluster::start().await;
    let first = cluster.post(MAPS, json!({"metadata": {"name": "a"}})).await.expect_code(201);
    cluster.delete(&format!("{MAPS}/a")).await.expect_code(200);
    let revision = first["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    cluster.post(MAPS, json!({"metadata": {"name": "b"}})).await.expect_code(201);
    let mut watch = cluster.watch(&format!("{MAPS}?watch=1&resourceVersion={revision}")).await;
    let error = watch.next().await;
    assert_eq!((error["type"].as_str(), error["object"]["code"].as_i64()), (Some("ERROR"), Some(410)));
    assert!(watch.try_next().await.is_none());
    let list = cluster.get(&format!("{MAPS}?resourceVersion={revision}&resourceVersionMatch=Exact")).await;
    assert_eq!(list.expect_code(410)["reason"], "Expired");
}

#[tokio::test(start_paused = true)]
async fn watches_of_tables_and_protobuf() {
    let cluster = Cluster::start().await;
    cluster.post(MAPS, json!({"metadata": {"name": "a"}})).await.expect_code(201);
    let answer = cluster
        .raw(
            "GET",
            &format!("{MAPS}?watch=1&timeoutSeconds=1"),
            &[("accept", "application/json;as=Table;g=meta.k8s.io;v=v1")],
            "",
        )
        .await;
    let event: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(event["object"]["kind"], "Table");
    assert_eq!(event["object"]["rows"][0]["cells"][0], "a");
    let answer = cluster
        .raw(
            "GET",
            &format!("{MAPS}?watch=1&timeoutSeconds=1"),
            &[("accept", "application/vnd.kubernetes.protobuf")],
            "",
        )
        .await;
    assert_eq!(answer.headers["content-type"], "application/vnd.kubernetes.protobuf;stream=watch");
    let length = u32::from_be_bytes(answer.body[..4].try_into().unwrap());
    assert_eq!(answer.body.len(), 4 + usize::try_from(length).unwrap());
}
