//! What happened between the recorded lines without being recorded itself: objects, rights and statuses that the
//! recorded answers show to have been there, and bodies that were too long to be kept.

use anyhow::Result;
use serde_json::{Value, json};

use super::files;
use super::server::Server;

/// A request that was made just before the line of this name.
type Between = (&'static str, &'static str, &'static str, &'static str);

const BETWEEN: &[Between] = &[
    // Statuses, as a kubelet or controller would have set them.
    (
        "name-2",
        "PATCH",
        "/api/v1/namespaces/gold/pods/probe-http/status",
        r#"{"status":{"containerStatuses":[{"name":"c","image":"nginx","imageID":"x","restartCount":0,"ready":false,
            "lastState":{},"state":{"waiting":{"reason":"ContainerCreating"}}}]}}"#,
    ),
    (
        "name-2",
        "PATCH",
        "/apis/apps/v1/namespaces/gold/statefulsets/statefulset-rich/status",
        r#"{"status":{"replicas":2,"readyReplicas":1}}"#,
    ),
    (
        "name-2",
        "PATCH",
        "/apis/apps/v1/namespaces/gold/deployments/deployment-minimal/status",
        r#"{"status":{"replicas":1}}"#,
    ),
    (
        "name-2",
        "PATCH",
        "/apis/batch/v1/namespaces/gold/jobs/job-minimal/status",
        r#"{"status":{"active":1,"ready":0,"startTime":"2020-01-01T00:00:00Z"}}"#,
    ),
    (
        "name-2",
        "PATCH",
        "/api/v1/namespaces/gold/persistentvolumeclaims/pvc-rich/status",
        r#"{"status":{"phase":"Bound","capacity":{"storage":"1Gi"}}}"#,
    ),
    (
        "name-2",
        "PATCH",
        "/api/v1/namespaces/gold-min/resourcequotas/rq2/status",
        r#"{"status":{"hard":{"pods":"5","requests.cpu":"1"},"used":{"pods":"1","requests.cpu":"250m"}}}"#,
    ),
    // A map without data that later lines list.
    ("list-opt", "POST", "/api/v1/namespaces/gold/configmaps", r#"{"metadata":{"name":"x"}}"#),
    ("options", "DELETE", "/api/v1/namespaces/gold/configmaps/x", ""),
    // Who tries to grant more than he has may write roles.
    (
        "escalate-role",
        "POST",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        r#"{"metadata":{"name":"between-rbac"},"rules":[{"apiGroups":["rbac.authorization.k8s.io"],
            "resources":["roles","rolebindings","clusterroles","clusterrolebindings"],"verbs":["create"]}]}"#,
    ),
    (
        "escalate-role",
        "POST",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        r#"{"metadata":{"name":"between-rbac"},"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io",
            "name":"bob"}],"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole",
            "name":"between-rbac"}}"#,
    ),
    // A healthy pod behind a budget, which nobody has looked at, then allows nothing, then has a double.
    (
        "eviction-pdb-unobserved",
        "POST",
        "/api/v1/namespaces/gold/pods",
        r#"{"metadata":{"name":"guarded","labels":{"guard":"1"}},
            "spec":{"containers":[{"name":"c","image":"nginx"}]}}"#,
    ),
    (
        "eviction-pdb-unobserved",
        "PATCH",
        "/api/v1/namespaces/gold/pods/guarded/status",
        r#"{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}"#,
    ),
    (
        "eviction-pdb-unobserved",
        "POST",
        "/apis/policy/v1/namespaces/gold/poddisruptionbudgets",
        r#"{"metadata":{"name":"guard"},"spec":{"minAvailable":1,"selector":{"matchLabels":{"guard":"1"}}}}"#,
    ),
    (
        "eviction-pdb-zero",
        "PATCH",
        "/apis/policy/v1/namespaces/gold/poddisruptionbudgets/guard/status",
        r#"{"status":{"observedGeneration":1,"desiredHealthy":1,"currentHealthy":1,"expectedPods":1,
            "disruptionsAllowed":0}}"#,
    ),
    (
        "eviction-two-pdbs",
        "POST",
        "/apis/policy/v1/namespaces/gold/poddisruptionbudgets",
        r#"{"metadata":{"name":"guard2"},"spec":{"minAvailable":1,"selector":{"matchLabels":{"guard":"1"}}}}"#,
    ),
];

/// Does what was done just before the line of this name.
pub(super) async fn before(server: &Server, name: &str) -> Result<()> {
    for (_, method, path, body) in BETWEEN.iter().filter(|b| name == b.0) {
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let line = json!({
            "name": "between", "method": method, "path": path, "body": body,
            "contentType": "application/merge-patch+json",
        });
        let answer = files::send_line(server, &line, &line.to_string()).await?;
        anyhow::ensure!(answer.status < 300, "{method} {path}: {}", answer.json());
    }
    Ok(())
}

/// A body of which only the size was kept: something of that size and meaning.
pub(super) fn long_body(name: &str, size: usize) -> Vec<u8> {
    const OPERATION: &str = r#"{"op": "test", "path": "/metadata/name", "value": "cm"}"#;
    let filled = |head: &str, tail: &str| {
        let filler = "x".repeat(size.saturating_sub(head.len() + tail.len()));
        format!("{head}{filler}{tail}").into_bytes()
    };
    match name {
        "annotation-3" => filled(
            r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "annotations": {"a": ""#,
            r#""}}}"#,
        ),
        "secret-big" => {
            // Base64 of what is over a mebibyte.
            let head = r#"{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "data": {"a": ""#;
            let text = "A".repeat(size.saturating_sub(head.len() + 4) / 4 * 4);
            format!(r#"{head}{text}"}}}}"#).into_bytes()
        }
        "jsonpatch-many" => {
            let operations = vec![OPERATION; size / (OPERATION.len() + 2)];
            format!("[{}]", operations.join(", ")).into_bytes()
        }
        _ => filled(
            r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": ""#,
            r#""}}"#,
        ),
    }
}
