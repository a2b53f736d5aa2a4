//! Field selectors: what each kind lets clients name, how it refuses the rest, and what an object answers.

mod support;

use apiserver::runtime_config::RuntimeConfig;
use apiserver::{Config, no_plugins};
use serde_json::{Value, json};
use support::Cluster;

/// Group and resource with the fields that upstream's conversion functions let through, as they stand there. Kinds without
/// one have `metadata.name` and `metadata.namespace`.
const FIELDS: [(&str, &str); 13] = [
    (
        "pods",
        "metadata.name metadata.namespace spec.host spec.hostNetwork spec.nodeName spec.restartPolicy \
         spec.schedulerName spec.serviceAccountName status.nominatedNodeName status.phase status.podIP status.podIPs",
    ),
    (
        "events",
        "involvedObject.apiVersion involvedObject.fieldPath involvedObject.kind involvedObject.name \
         involvedObject.namespace involvedObject.resourceVersion involvedObject.uid metadata.name metadata.namespace \
         reason reportingComponent source type",
    ),
    (
        "events.events.k8s.io",
        "metadata.name metadata.namespace reason regarding.apiVersion regarding.fieldPath regarding.kind \
         regarding.name regarding.namespace regarding.resourceVersion regarding.uid reportingController type",
    ),
    ("nodes", "metadata.name spec.unschedulable"),
    ("namespaces", "metadata.name status.phase"),
    ("secrets", "metadata.name metadata.namespace type"),
    ("services", "metadata.name metadata.namespace spec.clusterIP spec.type"),
    ("replicationcontrollers", "metadata.name metadata.namespace status.replicas"),
    ("jobs.batch", "metadata.name metadata.namespace status.successful"),
    ("certificatesigningrequests.certificates.k8s.io", "metadata.name spec.signerName"),
    ("clustertrustbundles.certificates.k8s.io", "metadata.name spec.signerName"),
    (
        "podcertificaterequests.certificates.k8s.io",
        "metadata.name spec.nodeName spec.podName spec.signerName",
    ),
    ("resourceslices.resource.k8s.io", "metadata.name spec.driver spec.nodeName"),
];

/// Fields that no kind has, or that look as if it might.
const OTHERS: &str = "foo metadata.uid metadata.labels name status spec.replicas message";

async fn everything() -> Cluster {
    let config = Config { runtime_config: RuntimeConfig::everything(), ..Config::default() };
    Cluster::configured(config, store::memory(), no_plugins()).await
}

/// How a kind refuses a field.
fn refusal(resource: &str, api_version: &str, field: &str) -> String {
    match resource {
        "jobs.batch" => format!("field label \"{field}\" not supported for Job"),
        "resourceslices.resource.k8s.io" => {
            format!("field label not supported for {api_version}, Kind=ResourceSlice: {field}")
        }
        _ if FIELDS.iter().any(|(known, _)| *known == resource) => {
            format!("field label not supported: {field}")
        }
        _ => format!(
            "\"{field}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        ),
    }
}

#[tokio::test(start_paused = true)]
async fn each_kind_has_its_fields() {
    let cluster = everything().await;
    let mut labels: Vec<&str> = FIELDS.iter().flat_map(|(_, fields)| fields.split(' ')).collect();
    labels.extend(OTHERS.split(' '));
    labels.sort_unstable();
    labels.dedup();
    let mut met = Vec::new();
    for resource in cluster.server.registry().served() {
        let info = &resource.info;
        if !info.has_verb("list") || info.stored.is_none() {
            continue;
        }
        let name = info.group_resource();
        let known = FIELDS.iter().find(|(known, _)| *known == name);
        let fields = known.map_or("metadata.name metadata.namespace", |(_, fields)| fields);
        met.extend(known.map(|(known, _)| *known));
        let root = if info.group.is_empty() { "/api" } else { "/apis" };
        let path = format!("{root}/{}/{}", info.api_version(), info.plural);
        for label in &labels {
            let answer = cluster.get(&format!("{path}?fieldSelector={label}%3Dx")).await;
            if fields.split(' ').any(|field| field == *label) {
                assert_eq!(answer.code, 200, "{path} by {label}");
                continue;
            }
            let refused = answer.expect_code(400);
            let expected = refusal(&name, &info.api_version(), label);
            assert_eq!(refused["message"], expected, "{path} by {label}");
            assert_eq!((&refused["reason"], refused.get("details")), (&json!("BadRequest"), None));
        }
    }
    met.sort_unstable();
    met.dedup();
    assert_eq!(met.len(), FIELDS.len(), "a kind of the table is not served: {met:?}");
}

/// The names that a selector finds in a list, and that a watch begins with.
async fn found(cluster: &Cluster, path: &str, selector: &str) -> Vec<String> {
    let query = selector.replace('=', "%3D").replace('!', "%21").replace(',', "%2C");
    let list = cluster.get(&format!("{path}?fieldSelector={query}")).await.expect_code(200);
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    let listed: Vec<String> = list["items"].as_array().unwrap().iter().map(name).collect();
    let path = format!("{path}?watch=1&timeoutSeconds=1&fieldSelector={query}");
    let answer = cluster.raw("GET", &path, &[], "").await;
    let lines = answer.body.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    let events: Vec<Value> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    assert_eq!(listed, events.iter().map(|e| name(&e["object"])).collect::<Vec<_>>(), "{selector}");
    listed
}

/// Stores objects as they are, and compares what selectors find.
async fn check_found(key: &str, path: &str, objects: &[Value], cases: &[(&str, &[&str])]) {
    let backend = store::memory();
    for object in objects {
        let name = object["metadata"]["name"].as_str().unwrap();
        let key = format!("/registry/{key}/{name}");
        let op = store::Op::Put { key: key.into(), value: object.to_string().into(), expiry: None };
        backend.commit(store::Txn { guards: vec![], ops: vec![op] }).await.unwrap();
    }
    let config = Config { runtime_config: RuntimeConfig::everything(), ..Config::default() };
    let cluster = Cluster::configured(config, backend, no_plugins()).await;
    for (selector, expected) in cases {
        assert_eq!(found(&cluster, path, selector).await, *expected, "{path} by {selector}");
    }
}

fn object(kind: &str, name: &str, rest: &Value) -> Value {
    let (api_version, kind) = kind.rsplit_once('/').unwrap_or(("v1", kind));
    let mut object = json!({
        "kind": kind, "apiVersion": api_version,
        "metadata": {"name": name, "namespace": "default"},
    });
    for (key, value) in rest.as_object().unwrap() {
        object[key] = value.clone();
    }
    object
}

#[tokio::test(start_paused = true)]
async fn pods_are_found_by_their_fields() {
    let full = json!({
        "spec": {
            "containers": [{"name": "c", "image": "i"}], "nodeName": "n1", "restartPolicy": "Never",
            "schedulerName": "s", "serviceAccountName": "sa", "hostNetwork": true,
        },
        "status": {
            "phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}], "nominatedNodeName": "n2",
        },
    });
    let bare = json!({"spec": {"containers": [{"name": "c", "image": "i"}]}});
    check_found(
        "pods/default",
        "/api/v1/namespaces/default/pods",
        &[object("Pod", "bare", &bare), object("Pod", "full", &full)],
        &[
            ("metadata.name=full", &["full"]),
            ("metadata.name!=full", &["bare"]),
            ("metadata.namespace=default", &["bare", "full"]),
            ("metadata.namespace=other", &[]),
            ("spec.nodeName=n1", &["full"]),
            ("spec.nodeName=", &["bare"]),
            ("spec.nodeName!=", &["full"]),
            ("spec.host=n1", &["full"]),
            ("spec.restartPolicy=Never", &["full"]),
            ("spec.schedulerName=s", &["full"]),
            ("spec.serviceAccountName=sa", &["full"]),
            ("spec.hostNetwork=true", &["full"]),
            ("spec.hostNetwork=false", &["bare"]),
            ("status.phase=Running", &["full"]),
            ("status.phase!=Running,status.phase!=Failed", &["bare"]),
            ("status.podIP=10.0.0.1", &["full"]),
            // Upstream lets it be named and knows no pod by it.
            ("status.podIPs=10.0.0.1", &[]),
            ("status.podIPs=", &["bare", "full"]),
            ("status.nominatedNodeName=n2", &["full"]),
            ("spec.nodeName=n1,status.phase=Pending", &[]),
        ],
    )
    .await;
    check_found(
        "pods/default",
        "/api/v1/pods",
        &[object("Pod", "bare", &bare), object("Pod", "full", &full)],
        &[("spec.nodeName=n1", &["full"]), ("spec.nodeName=", &["bare"]), ("metadata.name=full", &["full"])],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn events_are_found_by_their_fields_in_both_groups() {
    let reference = json!({
        "kind": "Pod", "namespace": "default", "name": "p", "uid": "u", "apiVersion": "v1", "resourceVersion": "7",
        "fieldPath": "spec",
    });
    let old = json!({
        "involvedObject": reference, "reason": "R", "type": "Normal", "source": {"component": "kubelet"},
        "reportingComponent": "", "reportingInstance": "",
    });
    let new = json!({
        "involvedObject": {"kind": "Node", "name": "n"}, "reason": "S", "type": "Warning", "source": {},
        "reportingComponent": "ctl", "reportingInstance": "i",
    });
    let objects = [object("Event", "new", &new), object("Event", "old", &old)];
    check_found(
        "events/default",
        "/api/v1/namespaces/default/events",
        &objects,
        &[
            ("involvedObject.kind=Pod", &["old"]),
            ("involvedObject.name=n", &["new"]),
            ("involvedObject.namespace=default", &["old"]),
            ("involvedObject.uid=u,involvedObject.resourceVersion=7,involvedObject.fieldPath=spec", &["old"]),
            ("involvedObject.apiVersion=v1", &["old"]),
            ("reason=S", &["new"]),
            ("type!=Normal", &["new"]),
            ("source=kubelet", &["old"]),
            ("source=ctl", &["new"]),
            ("reportingComponent=ctl", &["new"]),
        ],
    )
    .await;
    check_found(
        "events/default",
        "/apis/events.k8s.io/v1/namespaces/default/events",
        &objects,
        &[
            ("regarding.kind=Pod", &["old"]),
            ("regarding.name=n,reason=S", &["new"]),
            ("reportingController=ctl", &["new"]),
            ("type=Normal", &["old"]),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn other_kinds_are_found_by_their_fields() {
    let empty = json!({});
    let check =
        |key: &'static str, path: &'static str, kind: &'static str, full: Value, field: &'static str| {
            let objects = [object(kind, "a", &empty), object(kind, "b", &full)];
            let selector = field;
            async move { check_found(key, path, &objects, &[(selector, &["b"])]).await }
        };
    check(
        "minions",
        "/api/v1/nodes",
        "Node",
        json!({"spec": {"unschedulable": true}}),
        "spec.unschedulable=true",
    )
    .await;
    check(
        "namespaces",
        "/api/v1/namespaces",
        "Namespace",
        json!({"status": {"phase": "Active"}}),
        "status.phase=Active",
    )
    .await;
    check(
        "secrets/default",
        "/api/v1/namespaces/default/secrets",
        "Secret",
        json!({"type": "Opaque"}),
        "type=Opaque",
    )
    .await;
    let services = "/api/v1/namespaces/default/services";
    let service = || json!({"spec": {"clusterIP": "None", "type": "ClusterIP"}});
    check("services/specs/default", services, "Service", service(), "spec.clusterIP=None").await;
    check("services/specs/default", services, "Service", service(), "spec.type=ClusterIP").await;
    let controllers = "/api/v1/namespaces/default/replicationcontrollers";
    let status = || json!({"status": {"replicas": 2}});
    check("controllers/default", controllers, "ReplicationController", status(), "status.replicas=2").await;
    check("controllers/default", controllers, "ReplicationController", status(), "status.replicas!=0").await;
    let jobs = "/apis/batch/v1/namespaces/default/jobs";
    let status = || json!({"status": {"succeeded": 1}});
    check("jobs/default", jobs, "batch/v1/Job", status(), "status.successful=1").await;
    check("jobs/default", jobs, "batch/v1/Job", status(), "status.successful!=0").await;
    let requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let spec = json!({"spec": {"signerName": "example.com/x"}});
    let kind = "certificates.k8s.io/v1/CertificateSigningRequest";
    check("certificatesigningrequests", requests, kind, spec, "spec.signerName=example.com/x").await;
    let slices = "/apis/resource.k8s.io/v1/resourceslices";
    let spec = || json!({"spec": {"driver": "d", "nodeName": "n"}});
    let kind = "resource.k8s.io/v1/ResourceSlice";
    check("resourceslices", slices, kind, spec(), "spec.driver=d").await;
    check("resourceslices", slices, kind, spec(), "spec.nodeName=n").await;
}
