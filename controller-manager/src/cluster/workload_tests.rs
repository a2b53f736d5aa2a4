//! Deployments, ReplicaSets and Services from end to end.

use serde_json::{Value, json};

use super::{Cluster, names};
use client::resources::{
    DEPLOYMENTS, ENDPOINT_SLICES, ENDPOINTS, EVENTS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, SERVICES,
};

fn template(image: &str) -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}})
}

fn deployment(replicas: i32) -> Value {
    json!({
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template("v1"),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "progressDeadlineSeconds": 600, "revisionHistoryLimit": 10,
        },
    })
}

/// What `kubectl rollout status` waits for.
fn rolled_out(deployment: &Value) -> bool {
    let (spec, status) = (&deployment["spec"], &deployment["status"]);
    status["observedGeneration"] == deployment["metadata"]["generation"]
        && status["updatedReplicas"] == spec["replicas"]
        && status["replicas"] == status["updatedReplicas"]
        && status["availableReplicas"] == status["updatedReplicas"]
}

impl Cluster {
    async fn rolled_out(&self) -> Value {
        let all = self.eventually(&DEPLOYMENTS, "default", "a complete rollout", |all| {
            all.len() == 1 && rolled_out(&all[0])
        });
        all.await.remove(0)
    }
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == kind)
}

#[tokio::test(start_paused = true)]
async fn rolls_out_scales_and_goes_back() {
    let cluster = Cluster::start().await;
    cluster.create(&DEPLOYMENTS, "default", &deployment(3)).await;
    let first = cluster.rolled_out().await;
    assert_eq!(first["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "1");
    cluster
        .eventually(&DEPLOYMENTS, "default", "NewReplicaSetAvailable", |all| {
            condition(&all[0], "Progressing").is_some_and(|c| c["reason"] == "NewReplicaSetAvailable")
        })
        .await;
    assert_eq!(cluster.list(&PODS, "default").await.len(), 3);

    let image = |image: &str| json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}});
    cluster.patch(&DEPLOYMENTS, "default", "web", "", image("v2")).await;
    let second = cluster.rolled_out().await;
    assert_eq!(second["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "2");
    let sets = cluster
        .eventually(&REPLICA_SETS, "default", "an empty old set", |sets| {
            let mut replicas: Vec<&Value> = sets.iter().map(|s| &s["spec"]["replicas"]).collect();
            replicas.sort_by_key(|r| r.as_i64());
            replicas == [&json!(0), &json!(3)]
        })
        .await;
    for set in &sets {
        let hash = &set["metadata"]["labels"]["pod-template-hash"];
        assert_eq!(set["metadata"]["name"], json!(format!("web-{}", hash.as_str().unwrap())));
        assert_eq!(set["spec"]["selector"]["matchLabels"]["pod-template-hash"], *hash);
    }

    cluster.patch(&DEPLOYMENTS, "default", "web", "", json!({"spec": {"replicas": 5}})).await;
    cluster.rolled_out().await;
    assert_eq!(cluster.list(&PODS, "default").await.len(), 5);

    // `kubectl rollout undo` writes the old template back.
    cluster.patch(&DEPLOYMENTS, "default", "web", "", image("v1")).await;
    let third = cluster.rolled_out().await;
    assert_eq!(third["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "3");
    assert_eq!(cluster.list(&REPLICA_SETS, "default").await.len(), 2, "the old set serves again");
    cluster
        .eventually(&EVENTS, "default", "events", |events| {
            let has = |reason: &str| events.iter().any(|e| e["reason"] == reason);
            has("ScalingReplicaSet") && has("SuccessfulCreate") && has("SuccessfulDelete")
        })
        .await;
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_cannot_progress_times_out() {
    let cluster = Cluster::start().await;
    let mut stuck = deployment(2);
    stuck["spec"]["progressDeadlineSeconds"] = 60.into();
    *cluster.healthy.lock() = false;
    cluster.create(&DEPLOYMENTS, "default", &stuck).await;
    let all = cluster
        .eventually(&DEPLOYMENTS, "default", "a missed deadline", |all| {
            condition(&all[0], "Progressing").is_some_and(|c| c["reason"] == "ProgressDeadlineExceeded")
        })
        .await;
    assert_eq!(condition(&all[0], "Available").unwrap()["status"], "False");
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn adopts_and_releases_pods() {
    let cluster = Cluster::start().await;
    let bare =
        json!({"metadata": {"name": "bare", "labels": {"app": "web"}}, "spec": template("v1")["spec"]});
    cluster
        .eventually(&client::resources::SERVICE_ACCOUNTS, "default", "an account", |a| !a.is_empty())
        .await;
    cluster.create(&PODS, "default", &bare).await;
    let set = json!({
        "metadata": {"name": "rs"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template("v1")},
    });
    cluster.create(&REPLICA_SETS, "default", &set).await;
    let owned =
        |pods: &[Value]| pods.iter().filter(|p| p["metadata"]["ownerReferences"][0]["name"] == "rs").count();
    let pods = cluster
        .eventually(&PODS, "default", "two owned pods", |pods| pods.len() == 2 && owned(pods) == 2)
        .await;
    assert!(names(&pods).contains(&"bare"), "the orphan counts");
    cluster.patch(&PODS, "default", "bare", "", json!({"metadata": {"labels": {"app": "other"}}})).await;
    let pods = cluster
        .eventually(&PODS, "default", "a replacement", |pods| pods.len() == 3 && owned(pods) == 2)
        .await;
    let bare = pods.iter().find(|p| p["metadata"]["name"] == "bare").unwrap();
    assert_eq!(bare["metadata"]["ownerReferences"], Value::Null);
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn replication_controllers_are_kept_too() {
    let cluster = Cluster::start().await;
    let rc = json!({"metadata": {"name": "rc"}, "spec": {"replicas": 2, "selector": {"app": "web"}, "template": template("v1")}});
    cluster.create(&REPLICATION_CONTROLLERS, "default", &rc).await;
    cluster
        .eventually(&REPLICATION_CONTROLLERS, "default", "ready replicas", |all| {
            all[0]["status"]["readyReplicas"] == 2
        })
        .await;
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn endpoints_follow_readiness() {
    let cluster = Cluster::start().await;
    let service = json!({"metadata": {"name": "web"}, "spec": {
        "selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}],
        "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "ipFamilies": ["IPv4"], "type": "ClusterIP",
    }});
    cluster.create(&SERVICES, "default", &service).await;
    cluster.create(&DEPLOYMENTS, "default", &deployment(2)).await;
    cluster.rolled_out().await;
    let ready = |slices: &[Value]| -> usize {
        slices
            .iter()
            .filter(|s| s["metadata"]["labels"]["kubernetes.io/service-name"] == "web")
            .flat_map(|s| s["endpoints"].as_array().cloned().unwrap_or_default())
            .filter(|e| e["conditions"]["ready"] == true)
            .count()
    };
    cluster.eventually(&ENDPOINT_SLICES, "default", "two ready endpoints", |slices| ready(slices) == 2).await;
    let of = |all: &[Value], list: &str| -> usize {
        let web = all.iter().find(|e| e["metadata"]["name"] == "web");
        web.and_then(|e| e["subsets"][0][list].as_array()).map_or(0, Vec::len)
    };
    cluster.eventually(&ENDPOINTS, "default", "two addresses", |all| of(all, "addresses") == 2).await;
    let pod = cluster.list(&PODS, "default").await[0]["metadata"]["name"].as_str().unwrap().to_owned();
    let unready = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
    let before = tokio::time::Instant::now();
    cluster.patch(&PODS, "default", &pod, "status", unready).await;
    cluster.eventually(&ENDPOINT_SLICES, "default", "one ready endpoint", |slices| ready(slices) == 1).await;
    assert!(before.elapsed() < std::time::Duration::from_millis(100), "an unready pod leaves at once");
    cluster.eventually(&ENDPOINTS, "default", "one unready", |all| of(all, "notReadyAddresses") == 1).await;
    cluster.end().await;
}

/// The whole cluster is a function of its seed: two runs leave the same objects, to the last name and revision.
#[test]
fn two_runs_are_equal() {
    let run = || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let cluster = Cluster::start().await;
            cluster.create(&DEPLOYMENTS, "default", &deployment(3)).await;
            cluster.rolled_out().await;
            cluster.patch(&DEPLOYMENTS, "default", "web", "", json!({"spec": {"replicas": 6}})).await;
            cluster.rolled_out().await;
            tokio::time::sleep(std::time::Duration::from_secs(60)).await;
            let mut left = Vec::new();
            for ty in [&DEPLOYMENTS, &REPLICA_SETS, &PODS, &EVENTS] {
                left.push(cluster.list(ty, "default").await);
            }
            cluster.end().await;
            left
        })
    };
    // Line by line: the first difference is the one that counts.
    let lines = |kinds: Vec<Vec<Value>>| serde_json::to_string_pretty(&kinds).unwrap();
    let (first, second) = (lines(run()), lines(run()));
    for (a, b) in first.lines().zip(second.lines()) {
        assert_eq!(a, b);
    }
    assert_eq!(first.len(), second.len());
}
