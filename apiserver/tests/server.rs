//! The server as a whole: who is let in, what a panic does, who owns a request, sockets with TLS.

mod support;

use std::sync::Arc;

use apimachinery::{Status, Value};
use apiserver::config::Plugins;
use apiserver::response::Body;
use apiserver::seams::{
    Admission, AdmissionRequest, Attributes, Authenticator, Authorizer, Decision, UserInfo,
};
use futures::future::BoxFuture;
use serde_json::json;
use support::Cluster;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Knows one token, and lets its owner do everything.
#[derive(Debug)]
struct OneToken;

impl Authenticator for OneToken {
    fn authenticate<'a>(
        &'a self,
        request: &'a http::request::Parts,
    ) -> BoxFuture<'a, Result<Option<Arc<UserInfo>>, String>> {
        Box::pin(async {
            match request.headers.get("authorization").map(|v| v.as_bytes()) {
                None => Ok(None),
                Some(b"Bearer good") => {
                    Ok(Some(Arc::new(UserInfo { name: "root".into(), ..UserInfo::default() })))
                }
                Some(_) => Err("not known".into()),
            }
        })
    }
}

impl Authorizer for OneToken {
    fn authorize(&self, attributes: &Attributes) -> Decision {
        if attributes.user.name == "root" || attributes.path == "/healthz" {
            Decision::Allow(String::new())
        } else {
            Decision::NoOpinion(String::new())
        }
    }
    fn rules(&self, _user: &UserInfo, _namespace: &str) -> (Vec<Value>, Vec<Value>, bool) {
        (Vec::new(), Vec::new(), false)
    }
}

async fn guarded() -> Cluster {
    Cluster::with(Box::new(|_| Plugins {
        authenticators: vec![Arc::new(OneToken)],
        authorizers: vec![Arc::new(OneToken)],
        ..Plugins::default()
    }))
    .await
}

#[tokio::test(start_paused = true)]
async fn strangers_and_liars() {
    let cluster = guarded().await;
    let stranger = cluster.anonymous("GET", MAPS, &[]).await.expect_code(403);
    assert_eq!(
        stranger["message"],
        "configmaps is forbidden: User \"system:anonymous\" cannot list resource \"configmaps\" in API group \"\" in \
         the namespace \"default\""
    );
    let liar = cluster.anonymous("GET", MAPS, &[("authorization", "Bearer bad")]).await.expect_code(401);
    assert_eq!(
        (liar["message"].as_str(), liar["reason"].as_str()),
        (Some("Unauthorized"), Some("Unauthorized"))
    );
    cluster.anonymous("GET", MAPS, &[("authorization", "Bearer good")]).await.expect_code(200);
    assert_eq!(cluster.anonymous("GET", "/healthz", &[]).await.code, 200);
    assert_eq!(cluster.anonymous("GET", "/metrics", &[]).await.code, 403);
}

#[tokio::test(start_paused = true)]
async fn impersonation_needs_the_right_to_it() {
    let cluster = guarded().await;
    let as_bob = [("authorization", "Bearer good"), ("impersonate-user", "bob")];
    let refused = cluster.anonymous("GET", MAPS, &as_bob).await.expect_code(403);
    assert!(refused["message"].as_str().unwrap().contains("User \"bob\" cannot list"), "{refused}");
    let nobody = [("authorization", "Bearer good"), ("impersonate-group", "g")];
    cluster.anonymous("GET", MAPS, &nobody).await.expect_code(400);
}

/// Panics for one name, and is slow for another.
#[derive(Debug)]
struct Trouble;

impl Admission for Trouble {
    fn name(&self) -> &'static str {
        "Trouble"
    }
    fn handles(&self, _request: &AdmissionRequest<'_>) -> bool {
        true
    }
    fn admit<'a>(&'a self, request: &'a mut AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async {
            match request.name {
                "panic" => panic!("a plugin's mistake"),
                "slow" => tokio::time::sleep(std::time::Duration::from_secs(5)).await,
                "stuck" => std::future::pending().await,
                _ => {}
            }
            Ok(())
        })
    }
    fn validate<'a>(&'a self, _request: &'a AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async { Ok(()) })
    }
}

async fn troubled() -> Cluster {
    Cluster::with(Box::new(|_| Plugins { admission: vec![Arc::new(Trouble)], ..Plugins::default() })).await
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_its_request_alone() {
    let cluster = troubled().await;
    let answer = cluster.post(MAPS, json!({"metadata": {"name": "panic"}})).await;
    assert_eq!(answer.code, 500);
    cluster.post(MAPS, json!({"metadata": {"name": "fine"}})).await.expect_code(201);
    let metrics = cluster.get("/metrics").await;
    assert!(String::from_utf8_lossy(&metrics.body).contains("apiserver_request_panics_total 1"));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_does_not_stop_its_write() {
    let cluster = troubled().await;
    let body = Body::from(json!({"metadata": {"name": "slow"}}).to_string());
    let request = http::Request::post(MAPS).body(body).unwrap();
    let gone = tokio::time::timeout(std::time::Duration::from_secs(1), cluster.send(request)).await;
    assert!(gone.is_err(), "the caller gave up first");
    cluster.get(&format!("{MAPS}/slow")).await.expect_code(404);
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    cluster.get(&format!("{MAPS}/slow")).await.expect_code(200);
}

#[tokio::test(start_paused = true)]
async fn requests_have_a_deadline() {
    let cluster = troubled().await;
    let before = tokio::time::Instant::now();
    let answer = cluster.post(&format!("{MAPS}?timeout=7s"), json!({"metadata": {"name": "stuck"}})).await;
    assert_eq!(answer.expect_code(504)["reason"], "Timeout");
    assert_eq!(before.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn servers_in_one_process_share_nothing() {
    let (one, two) = (Cluster::start().await, Cluster::start().await);
    one.post(MAPS, json!({"metadata": {"name": "a"}})).await.expect_code(201);
    two.get(&format!("{MAPS}/a")).await.expect_code(404);
    let shown = |answer: support::Answer| String::from_utf8_lossy(&answer.body).into_owned();
    assert!(shown(one.get("/metrics").await).contains("code=\"201\""));
    assert!(!shown(two.get("/metrics").await).contains("code=\"201\""));
}

#[tokio::test(start_paused = true)]
async fn answers_carry_upstreams_headers() {
    let cluster = Cluster::start().await;
    let answer = cluster.get("/healthz").await;
    assert_eq!(answer.headers["cache-control"], "no-cache, private");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert_eq!(answer.headers["audit-id"].len(), 36);
    assert_eq!(&answer.body[..], b"ok");
}

#[tokio::test]
async fn sockets_speak_tls_and_both_versions_of_http() {
    let cluster = Cluster::start().await;
    support::tls::check(&cluster).await;
}
