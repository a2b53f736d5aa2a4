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

#[tokio::test(start_paused = true)]
async fn a_quiet_watch_hears_each_minute_how_far_it_is() {
    let cluster = Cluster::start().await;
    let secrets = "/api/v1/namespaces/default/secrets";
    let mut watch =
        cluster.watch(&format!("{MAPS}?watch=1&allowWatchBookmarks=true&timeoutSeconds=200")).await;
    let opened = tokio::time::Instant::now();
    let end = watch.next().await;
    assert_eq!(end["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    let mut heard = Vec::new();
    for i in 0.. {
        let name = format!("s{i}");
        let made = cluster.post(secrets, json!({"metadata": {"name": name}})).await.expect_code(201);
        let Some(event) = watch.try_next().await else { break };
        assert_eq!(event["type"], "BOOKMARK");
        assert_eq!(event["object"]["kind"], "ConfigMap");
        assert_eq!(event["object"]["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"]);
        assert_eq!(event["object"]["metadata"].get("annotations"), None);
        heard.push(opened.elapsed().as_secs());
    }
    // Each minute, and two seconds before the end.
    assert_eq!(heard, [60, 120, 180, 198]);
    assert_eq!(opened.elapsed().as_secs(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_slow_watch_loses_its_place_and_holds_no_history() {
    let cluster = Cluster::start().await;
    let big = "x".repeat(512 * 1024);
    cluster.post(MAPS, json!({"metadata": {"name": "a"}})).await.expect_code(201);
    let mut slow = cluster.watch(&format!("{MAPS}?watch=1")).await;
    assert_eq!(slow.next().await["type"], "ADDED");
    // Half as much again as the history may take.
    let n = 3 * store::view::HISTORY_BYTES / big.len() / 2;
    let view = cluster.server.registry().view();
    for i in 0..n {
        let patch = json!({"data": {"n": i.to_string(), "big": big}});
        cluster.patch(&format!("{MAPS}/a"), MERGE, patch).await.expect_code(200);
    }
    let kept = view.revision() - view.compacted_revision();
    assert!(usize::try_from(kept).unwrap() * big.len() <= store::view::HISTORY_BYTES, "{kept} kept");
    let error = slow.next().await;
    assert_eq!((error["type"].as_str(), error["object"]["code"].as_i64()), (Some("ERROR"), Some(410)));
    assert_eq!(error["object"]["reason"], "Expired");
    assert!(slow.try_next().await.is_none());
    // One that starts with what there is goes on.
    let mut fresh = cluster.watch(&format!("{MAPS}?watch=1")).await;
    assert_eq!(fresh.next().await["object"]["data"]["n"], (n - 1).to_string());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_takes_its_state_too_slowly_is_told_so() {
    let cluster = Cluster::start().await;
    for i in 0..1100 {
        cluster.post(MAPS, json!({"metadata": {"name": format!("m{i:04}")}})).await.expect_code(201);
    }
    let mut slow = cluster.watch(&format!("{MAPS}?watch=1")).await;
    let mut all = cluster.watch(&format!("{MAPS}?watch=1")).await;
    for i in 0..1100 {
        assert_eq!(all.next().await["object"]["metadata"]["name"], format!("m{i:04}"));
    }
    assert_eq!(slow.next().await["object"]["metadata"]["name"], "m0000");
    tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    cluster.patch(&format!("{MAPS}/m0001"), MERGE, json!({"data": {"a": "b"}})).await.expect_code(200);
    tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    cluster.patch(&format!("{MAPS}/m0001"), MERGE, json!({"data": {"a": "c"}})).await.expect_code(200);
    let last = loop {
        let event = slow.next().await;
        if event["type"] == "ERROR" {
            break event;
        }
    };
    assert_eq!(last["object"]["code"], 410);
    assert!(slow.try_next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn watches_are_never_pretty() {
    let cluster = Cluster::start().await;
    cluster.post(MAPS, json!({"metadata": {"name": "a"}})).await.expect_code(201);
    for (query, agent) in [("&pretty=true", "test/1.0"), ("", "curl/8.0")] {
        let path = format!("{MAPS}?watch=1&timeoutSeconds=1{query}");
        let request = http::Request::builder().uri(path).header("user-agent", agent);
        let response = cluster.send(request.body(apiserver::response::Body::empty()).unwrap()).await;
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        assert_eq!(body.iter().filter(|b| **b == b'\n').count(), 1, "{}", String::from_utf8_lossy(&body));
    }
}
