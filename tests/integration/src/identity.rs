//! ServiceAccount tokens: asked for, shown, reviewed, and worth nothing once what they are bound to is gone.

use apiserver::seams::UserInfo;
use client::Client;
use client::resources::{PODS, SERVICE_ACCOUNTS};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use testing::{Cluster, eventually, pod, users};
use tower::Service as _;

use crate::when;

/// The answer to a request that shows `token` and nothing else.
async fn ask(cluster: &Cluster, token: &str, path: &str) -> (u16, Value) {
    let request = http::Request::get(path)
        .header("authorization", format!("Bearer {token}"))
        .body(apiserver::response::Body::empty())
        .unwrap();
    let answer = cluster.server.handle(request).await;
    let code = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn token_for(client: &Client, account: &str, bound: Option<&Value>) -> String {
    let mut request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    if let Some(pod) = bound {
        let meta = &pod["metadata"];
        request["spec"]["boundObjectRef"] =
            json!({"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]});
    }
    let answer: Value =
        client.create_subresource(&SERVICE_ACCOUNTS, "default", account, "token", &request).await.unwrap();
    answer["status"]["token"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_token_is_its_account_until_the_account_is_gone() {
    let cluster = Cluster::simulated(1, 0).await;
    cluster.ready_for_pods("default").await;
    let token = token_for(&cluster.admin, "default", None).await;
    let (code, answer) = ask(&cluster, &token, "/api/v1/namespaces/default/pods").await;
    assert_eq!(code, 403, "it is known, and has no rights: {answer}");
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains("system:serviceaccount:default:default"), "{message}");

    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "view"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}]});
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
    cluster.admin.request::<Value>(http::Method::POST, path, Some(&role)).await.unwrap();
    assert_eq!(ask(&cluster, &token, "/api/v1/namespaces/default/pods").await.0, 200);
    assert_eq!(ask(&cluster, &token, "/api/v1/namespaces/kube-system/pods").await.0, 403);

    cluster.delete(&SERVICE_ACCOUNTS, "default", "default", None).await;
    assert_eq!(ask(&cluster, &token, "/api/v1/namespaces/default/pods").await.0, 401);
    // The controller makes an account of the same name: another one.
    cluster.ready_for_pods("default").await;
    assert_eq!(ask(&cluster, &token, "/api/v1/namespaces/default/pods").await.0, 401);
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_pods_token_is_mounted_and_dies_with_the_pod() {
    let cluster = Cluster::simulated(2, 1).await;
    cluster.ready_for_pods("default").await;
    cluster.create(&PODS, "default", &pod("p").grace(1).build()).await;
    let made = eventually!(cluster, "a running pod", {
        let found = cluster.get(&PODS, "default", "p").await;
        when(found["status"]["phase"] == "Running", &found["status"])?;
        Ok(found)
    });
    let uid = made["metadata"]["uid"].as_str().unwrap();
    let volume = made["spec"]["volumes"][0]["name"].as_str().unwrap();
    let dir = format!("/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~projected/{volume}");
    let host = &cluster.nodes[0].machine.host;
    let token = host.file(format!("{dir}/token").as_ref()).expect("the token is mounted");
    assert!(host.file(format!("{dir}/ca.crt").as_ref()).is_some_and(|ca| ca.contains("BEGIN CERTIFICATE")));
    assert_eq!(host.file(format!("{dir}/namespace").as_ref()).as_deref(), Some("default"));

    let review = |token: &str| json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let answer: Value = cluster.admin.request(http::Method::POST, path, Some(&review(&token))).await.unwrap();
    assert_eq!(answer["status"]["authenticated"], true, "{answer}");
    assert_eq!(answer["status"]["user"]["username"], "system:serviceaccount:default:default");
    assert_eq!(answer["status"]["user"]["extra"]["authentication.kubernetes.io/pod-name"], json!(["p"]));

    cluster.delete(&PODS, "default", "p", None).await;
    eventually!(cluster, "the pod gone", {
        let left = cluster.list(&PODS, "default").await;
        when(left.is_empty(), &left)
    });
    let answer: Value = cluster.admin.request(http::Method::POST, path, Some(&review(&token))).await.unwrap();
    assert_ne!(answer["status"]["authenticated"], true, "{answer}");
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_writes_itself_and_nothing_of_others() {
    let cluster = Cluster::simulated(3, 2).await;
    cluster.ready_for_pods("default").await;
    cluster.create(&PODS, "default", &pod("p").on("n2").build()).await;
    let refused = async |user: UserInfo, method: http::Method, path: &str, body: Option<Value>| {
        let mut service = cluster.server.service(user);
        let body = body.map_or_else(Vec::new, |b| b.to_string().into_bytes());
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/merge-patch+json")
            .body(body.into())
            .unwrap();
        service.call(request).await.unwrap().status().as_u16()
    };
    let label = json!({"metadata": {"labels": {"x": "y"}}});
    let patch = http::Method::PATCH;
    assert_eq!(refused(users::node("n1"), patch.clone(), "/api/v1/nodes/n2", Some(label.clone())).await, 403);
    assert_eq!(
        refused(users::node("n1"), patch, "/api/v1/namespaces/default/pods/p/status", Some(label)).await,
        403
    );
    let get = http::Method::GET;
    assert_eq!(
        refused(users::node("n1"), get.clone(), "/api/v1/namespaces/default/secrets/s", None).await,
        403
    );
    assert_eq!(refused(users::user("nobody", &[]), get, "/api/v1/pods", None).await, 403);
    cluster.end().await;
}
