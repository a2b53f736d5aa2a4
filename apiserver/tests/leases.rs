//! A leader's writes go no further than its lease.

mod support;

use serde_json::{Value, json};
use support::{Answer, Cluster};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";

async fn write(cluster: &Cluster, method: &str, path: &str, claim: &str, body: Value) -> Answer {
    let content = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let headers = [("content-type", content), (client::leader::LEASE_HEADER, claim)];
    cluster.raw(method, path, &headers, body.to_string()).await
}

async fn hold(cluster: &Cluster, holder: &str) {
    let path = format!("{LEASES}/boss");
    let spec = json!({"spec": {"holderIdentity": holder}});
    cluster.patch(&path, "application/merge-patch+json", spec).await.expect_code(200);
}

#[tokio::test(start_paused = true)]
async fn only_the_holder_writes() {
    let cluster = Cluster::start().await;
    cluster
        .post(LEASES, json!({"metadata": {"name": "boss"}, "spec": {"holderIdentity": "a"}}))
        .await
        .expect_code(201);
    let map = |name: &str| json!({"metadata": {"name": name}});
    let (one, two) = (format!("{MAPS}/one"), format!("{MAPS}/two"));
    let a = "kube-system/boss=a";
    write(&cluster, "POST", MAPS, a, map("one")).await.expect_code(201);
    write(&cluster, "POST", MAPS, a, map("two")).await.expect_code(201);
    write(&cluster, "PATCH", &one, a, json!({"data": {"k": "1"}})).await.expect_code(200);
    // Renewed: the same holder goes on.
    let renewed = json!({"spec": {"leaseTransitions": 1}});
    let lease = format!("{LEASES}/boss");
    cluster.patch(&lease, "application/merge-patch+json", renewed).await.expect_code(200);
    write(&cluster, "DELETE", &two, a, json!({})).await.expect_code(200);

    hold(&cluster, "b").await;
    for (method, path, body) in [
        ("POST", MAPS, map("three")),
        ("PUT", one.as_str(), map("one")),
        ("PATCH", one.as_str(), json!({"data": {"k": "2"}})),
        ("DELETE", one.as_str(), json!({})),
    ] {
        let refused = write(&cluster, method, path, a, body).await.expect_code(409);
        assert_eq!(refused["reason"], "Conflict", "{method}");
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains("the lease kube-system/boss is not held by a"), "{message}");
    }
    let left = cluster.get(MAPS).await.expect_code(200);
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
    assert_eq!(left["items"][0]["data"]["k"], "1");
    // Given back, or gone: nobody's.
    hold(&cluster, "").await;
    write(&cluster, "POST", MAPS, "kube-system/boss=b", map("four")).await.expect_code(409);
    cluster.delete(&lease).await.expect_code(200);
    write(&cluster, "POST", MAPS, "kube-system/boss=b", map("four")).await.expect_code(409);
    // Reads are everybody's, and a claim has a form.
    let headers = [(client::leader::LEASE_HEADER, a)];
    cluster.raw("GET", &one, &headers, "").await.expect_code(200);
    for claim in ["boss", "boss=a", "kube-system/=a", "kube-system/boss="] {
        write(&cluster, "POST", MAPS, claim, map("five")).await.expect_code(400);
    }
}

/// The lease changes hands while the write is decided: whatever their order, a write that was acknowledged came before.
#[tokio::test(start_paused = true)]
async fn a_write_and_a_new_holder_have_an_order() {
    for turn in 0..20 {
        let cluster = Cluster::start().await;
        let lease = json!({"metadata": {"name": "boss"}, "spec": {"holderIdentity": "a"}});
        cluster.post(LEASES, lease).await.expect_code(201);
        let (_, written) = tokio::join!(biased; async {
            for _ in 0..turn {
                tokio::task::yield_now().await;
            }
            hold(&cluster, "b").await;
        }, write(&cluster, "POST", MAPS, "kube-system/boss=a", json!({"metadata": {"name": "one"}})));
        let holder_since = cluster.get(&format!("{LEASES}/boss")).await.expect_code(200);
        let revision =
            |object: &Value| object["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
        match written.code {
            201 => assert!(revision(&written.expect_code(201)) < revision(&holder_since), "turn {turn}"),
            _ => drop(written.expect_code(409)),
        }
    }
}
