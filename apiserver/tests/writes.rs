//! What writes do and refuse: patches, finalizers, dry runs, generated names, field validation, subresources.

mod support;

use std::sync::Arc;

use apiserver::{Plugins, strategy};
use futures::future::BoxFuture;
use serde_json::json;
use store::{Backend, Op, Outcome, Revision, StoreError, Subscription, Txn};
use support::Cluster;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

#[tokio::test(start_paused = true)]
async fn three_patches() {
    let cluster = Cluster::start().await;
    cluster
        .post(MAPS, json!({"metadata": {"name": "a"}, "data": {"a": "1", "b": "2"}}))
        .await
        .expect_code(201);
    let path = format!("{MAPS}/a");
    let merged = cluster
        .patch(&path, "application/merge-patch+json", json!({"data": {"a": null, "c": "3"}}))
        .await
        .expect_code(200);
    assert_eq!(merged["data"], json!({"b": "2", "c": "3"}));
    let patched = cluster
        .patch(
            &path,
            "application/json-patch+json",
            json!([{"op": "replace", "path": "/data/b", "value": "x"}]),
        )
        .await
        .expect_code(200);
    assert_eq!(patched["data"]["b"], "x");
    let strategic = cluster
        .patch(&path, "application/strategic-merge-patch+json", json!({"metadata": {"labels": {"l": "1"}}}))
        .await
        .expect_code(200);
    assert_eq!(strategic["metadata"]["labels"]["l"], "1");
    assert_eq!(strategic["data"]["b"], "x");
    let refused = cluster
        .patch(&path, "application/merge-patch+json", json!({"metadata": {"resourceVersion": "1"}}))
        .await
        .expect_code(409);
    assert_eq!(refused["reason"], "Conflict");
    let unknown = cluster.patch(&path, "application/json", json!({})).await.expect_code(415);
    assert_eq!(unknown["message"], "415: Unsupported Media Type");
    let same = cluster
        .patch(&path, "application/merge-patch+json", json!({"data": {"b": "x"}}))
        .await
        .expect_code(200);
    assert_eq!(
        same["metadata"]["resourceVersion"], strategic["metadata"]["resourceVersion"],
        "a patch that changes nothing writes nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn finalizers_hold_a_deletion_up() {
    let cluster = Cluster::start().await;
    let path = format!("{MAPS}/a");
    cluster.post(MAPS, json!({"metadata": {"name": "a", "finalizers": ["e.com/x"]}})).await.expect_code(201);
    let marked = cluster.delete(&path).await.expect_code(200);
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 0);
    let refused = cluster
        .patch(
            &path,
            "application/merge-patch+json",
            json!({"metadata": {"finalizers": ["e.com/x", "e.com/y"]}}),
        )
        .await
        .expect_code(422);
    assert!(refused["message"].as_str().unwrap().contains("no new finalizers can be added"));
    let twice = cluster.post(MAPS, json!({"metadata": {"name": "a"}})).await.expect_code(409);
    assert_eq!(twice["message"], "object is being deleted: configmaps \"a\" already exists");
    cluster
        .patch(&path, "application/merge-patch+json", json!({"metadata": {"finalizers": null}}))
        .await
        .expect_code(200);
    cluster.get(&path).await.expect_code(404);
}

#[tokio::test(start_paused = true)]
async fn propagation_sets_the_collectors_finalizers() {
    let cluster = Cluster::start().await;
    let path = format!("{MAPS}/a");
    cluster.post(MAPS, json!({"metadata": {"name": "a"}})).await.expect_code(201);
    for (policy, finalizers) in [("Foreground", json!(["foregroundDeletion"])), ("Orphan", json!(["orphan"]))]
    {
        let body = json!({"propagationPolicy": policy}).to_string();
        let answer = cluster.raw("DELETE", &path, JSON, body).await.expect_code(200);
        assert_eq!(answer["metadata"]["finalizers"], finalizers);
    }
    let body = json!({"propagationPolicy": "Background"}).to_string();
    assert_eq!(cluster.raw("DELETE", &path, JSON, body).await.expect_code(200)["status"], "Success");
    cluster.get(&path).await.expect_code(404);
}

#[tokio::test(start_paused = true)]
async fn preconditions_of_deletes() {
    let cluster = Cluster::start().await;
    let path = format!("{MAPS}/a");
    cluster.post(MAPS, json!({"metadata": {"name": "a"}})).await.expect_code(201);
    let body = json!({"preconditions": {"uid": "other"}}).to_string();
    let refused = cluster.raw("DELETE", &path, JSON, body).await.expect_code(409);
    assert!(refused["message"].as_str().unwrap().starts_with(
        "Operation cannot be fulfilled on ConfigMap \"a\": the UID in the precondition (other) does not match"
    ));
    let wrong =
        cluster.raw("DELETE", &path, JSON, json!({"kind": "Pod", "apiVersion": "v1"}).to_string()).await;
    wrong.expect_code(400);
    cluster.get(&path).await.expect_code(200);
}

#[tokio::test(start_paused = true)]
async fn dry_runs_leave_nothing() {
    let cluster = Cluster::start().await;
    let path = format!("{MAPS}/a");
    let dry = cluster
        .post(&format!("{MAPS}?dryRun=All"), json!({"metadata": {"name": "a"}}))
        .await
        .expect_code(201);
    assert_eq!(dry["metadata"].get("resourceVersion"), None);
    cluster.get(&path).await.expect_code(404);
    let made = cluster.post(MAPS, json!({"metadata": {"name": "a"}})).await.expect_code(201);
    cluster.post(&format!("{MAPS}?dryRun=All"), json!({"metadata": {"name": "a"}})).await.expect_code(409);
    let mut changed = made.clone();
    changed["data"] = json!({"k": "v"});
    let dry = cluster.put(&format!("{path}?dryRun=All"), changed).await.expect_code(200);
    assert_eq!(dry["data"]["k"], "v");
    cluster.raw("DELETE", &format!("{path}?dryRun=All"), &[], "").await.expect_code(200);
    assert_eq!(cluster.get(&path).await.expect_code(200), made);
}

#[tokio::test(start_paused = true)]
async fn names_are_generated_and_checked() {
    let cluster = Cluster::start().await;
    let made = cluster.post(MAPS, json!({"metadata": {"generateName": "g-"}})).await.expect_code(201);
    let name = made["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("g-") && name.len() == 7, "{name}");
    let nameless = cluster.post(MAPS, json!({"metadata": {}})).await.expect_code(422);
    assert_eq!(
        nameless["message"],
        "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required"
    );
    let elsewhere =
        cluster.post(MAPS, json!({"metadata": {"name": "a", "namespace": "other"}})).await.expect_code(400);
    assert_eq!(
        elsewhere["message"],
        "the namespace of the provided object does not match the namespace sent on the request"
    );
    cluster.post(MAPS, json!({"metadata": {"name": "A_b"}})).await.expect_code(422);
}

#[tokio::test(start_paused = true)]
async fn fields_are_checked_as_asked() {
    let cluster = Cluster::start().await;
    let body = r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x","name":"y"},"foo":1}"#;
    let strict =
        cluster.raw("POST", &format!("{MAPS}?fieldValidation=Strict"), JSON, body).await.expect_code(400);
    assert_eq!(
        strict["message"],
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: duplicate field \
         \"metadata.name\", unknown field \"foo\""
    );
    let warned = cluster.raw("POST", &format!("{MAPS}?dryRun=All"), JSON, body).await;
    let warnings: Vec<_> = warned.headers.get_all("warning").iter().map(|w| w.to_str().unwrap()).collect();
    assert_eq!(
        warnings,
        ["299 - \"duplicate field \\\"metadata.name\\\"\"", "299 - \"unknown field \\\"foo\\\"\""]
    );
    let ignored = cluster.raw("POST", &format!("{MAPS}?dryRun=All&fieldValidation=Ignore"), JSON, body).await;
    ignored.expect_code(201);
    assert!(ignored.headers.get("warning").is_none());
    let broken = cluster.raw("POST", MAPS, JSON, "{").await.expect_code(400);
    assert_eq!(
        broken["message"],
        "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse \
         error: unexpected end of JSON input ({)"
    );
}

#[tokio::test(start_paused = true)]
async fn bodies_and_objects_have_limits() {
    let cluster = Cluster::start().await;
    let big = "x".repeat(3 * 1024 * 1024);
    let body = json!({"metadata": {"name": "a"}, "data": {"k": big}}).to_string();
    let refused = cluster.raw("POST", MAPS, JSON, body).await.expect_code(413);
    assert_eq!(refused["message"], "Request entity too large: limit is 3145728");
    let large = "x".repeat(1_600_000);
    let body = json!({"metadata": {"name": "a"}, "binaryData": {}, "data": {"k": large}}).to_string();
    let refused = cluster.raw("POST", MAPS, JSON, body).await.expect_code(500);
    assert_eq!(refused["message"], "etcdserver: request is too large");
    cluster.get(&format!("{MAPS}/a")).await.expect_code(404);
}

fn deployment() -> serde_json::Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {
            "selector": {"matchLabels": {"app": "d"}},
            "template": {
                "metadata": {"labels": {"app": "d"}},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
        },
    })
}

#[tokio::test(start_paused = true)]
async fn status_and_spec_have_writers_of_their_own() {
    let cluster = Cluster::start().await;
    let base = "/apis/apps/v1/namespaces/default/deployments";
    let made = cluster.post(base, deployment()).await.expect_code(201);
    assert_eq!(made["metadata"]["generation"], 1);
    assert_eq!(made["spec"]["replicas"], 1, "defaults are stored");
    let path = format!("{base}/d");
    let merge = "application/merge-patch+json";
    let status = cluster
        .patch(&format!("{path}/status"), merge, json!({"spec": {"replicas": 9}, "status": {"replicas": 4}}))
        .await
        .expect_code(200);
    assert_eq!(
        (status["spec"]["replicas"].as_i64(), status["status"]["replicas"].as_i64()),
        (Some(1), Some(4))
    );
    let spec = cluster
        .patch(&path, merge, json!({"spec": {"replicas": 2}, "status": {"replicas": 8}}))
        .await
        .expect_code(200);
    assert_eq!((spec["spec"]["replicas"].as_i64(), spec["status"]["replicas"].as_i64()), (Some(2), Some(4)));
    assert_eq!(spec["metadata"]["generation"], 2);
    let scale = cluster.get(&format!("{path}/scale")).await.expect_code(200);
    assert_eq!(
        (scale["spec"]["replicas"].as_i64(), scale["status"]["selector"].as_str()),
        (Some(2), Some("app=d"))
    );
    let scaled = cluster
        .put(
            &format!("{path}/scale"),
            json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d"}, "spec": {"replicas": 7}}),
        )
        .await
        .expect_code(200);
    assert_eq!(scaled["kind"], "Scale");
    let after = cluster.get(&path).await.expect_code(200);
    assert_eq!(
        (after["spec"]["replicas"].as_i64(), after["metadata"]["generation"].as_i64()),
        (Some(7), Some(3))
    );
}

#[tokio::test(start_paused = true)]
async fn protobuf_there_and_back() {
    const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
    let cluster = Cluster::start().await;
    let base = "/apis/apps/v1/namespaces/default/deployments";
    let made = cluster.raw("POST", base, &[("accept", PROTOBUF), JSON[0]], deployment().to_string()).await;
    assert_eq!(made.code, 201);
    assert_eq!(made.headers["content-type"], PROTOBUF);
    assert_eq!(&made.body[..4], b"k8s\0");
    let shown = cluster.get(&format!("{base}/d")).await.expect_code(200);
    let sent =
        cluster.raw("PUT", &format!("{base}/d"), &[("content-type", PROTOBUF)], made.body.to_vec()).await;
    assert_eq!(sent.expect_code(200), shown, "what was read in protobuf and sent back changes nothing");
    let refused =
        cluster.raw("POST", base, &[("content-type", PROTOBUF)], "{\"a\":1}").await.expect_code(400);
    assert_eq!(
        refused["message"],
        "the object provided is unrecognized (must be of type Deployment): provided data does not appear to be a \
         protobuf message, expected prefix [107 56 115 0] ({\"a\":1})"
    );
}

#[tokio::test(start_paused = true)]
async fn routes_that_are_not_there() {
    let cluster = Cluster::start().await;
    for (method, path, code) in [
        ("GET", "/api/v1/nope", 404),
        ("GET", "/apis/nope.io/v1/x", 404),
        ("GET", "/apis/apps/v9/deployments", 404),
        ("GET", "/api/v1/namespaces/default/nodes", 404),
        ("GET", "/api/v1/namespaces/default/configmaps/a/status", 404),
        ("POST", "/api/v1/configmaps", 405),
        ("PUT", MAPS, 405),
        ("DELETE", "/api/v1/namespaces", 405),
        ("OPTIONS", MAPS, 405),
        ("HEAD", "/api/v1/namespaces/default/configmaps/a", 405),
    ] {
        let answer = cluster.raw(method, path, &[], "").await;
        assert_eq!(answer.code, code, "{method} {path}");
    }
}

/// A store in which somebody else always deletes a little earlier.
#[derive(Debug)]
struct Overtaken(Arc<dyn Backend>);

impl Backend for Overtaken {
    fn commit(&self, txn: Txn) -> BoxFuture<'_, Result<Outcome, StoreError>> {
        Box::pin(async move {
            if txn.ops.iter().all(|op| matches!(op, Op::Delete { .. })) {
                self.0.commit(Txn { guards: Vec::new(), ops: txn.ops.clone() }).await?;
            }
            self.0.commit(txn).await
        })
    }
    fn barrier(&self) -> BoxFuture<'_, Result<Revision, StoreError>> {
        self.0.barrier()
    }
    fn subscribe(&self) -> BoxFuture<'_, Result<Subscription, StoreError>> {
        self.0.subscribe()
    }
    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        self.0.compact(revision)
    }
}

/// The end of a graceful deletion is two transactions. A kubelet that sees the first may be quicker with the second.
#[tokio::test(start_paused = true)]
async fn a_delete_that_another_finishes_has_succeeded() {
    let plugins = Plugins { strategies: strategy::all(), ..Plugins::default() };
    let cluster = Cluster::on(Arc::new(Overtaken(store::memory())), Box::new(|_| plugins)).await;
    let pods = "/api/v1/namespaces/default/pods";
    let pod = json!({
        "metadata": {"name": "raced"},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "c", "image": "i"}]},
    });
    cluster.post(pods, pod).await.expect_code(201);
    let deleted = cluster.delete(&format!("{pods}/raced")).await.expect_code(200);
    assert_eq!(deleted["metadata"]["deletionGracePeriodSeconds"], 0);
    cluster.get(&format!("{pods}/raced")).await.expect_code(404);
    // Without a first transaction there is nothing that was ours.
    cluster.post(MAPS, json!({"metadata": {"name": "raced"}})).await.expect_code(201);
    cluster.delete(&format!("{MAPS}/raced")).await.expect_code(404);
}
