use std::collections::BTreeMap;

use super::*;
use crate::auth::Chain;
use crate::fake_objects::{FakeObjects, from_yaml};
use crate::seams::UserInfo;
use crate::values::text;

const OBJECTS: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: ns}
---
apiVersion: v1
kind: Namespace
metadata: {name: going, deletionTimestamp: "2026-01-01T00:00:00Z"}
status: {phase: Terminating}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: ns}
imagePullSecrets: [{name: pull}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: quiet, namespace: ns}
automountServiceAccountToken: false
---
apiVersion: v1
kind: Node
metadata: {name: n1, uid: node-uid}
---
apiVersion: v1
kind: Pod
metadata: {name: there, namespace: ns, uid: pod-uid}
spec: {nodeName: n1}
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: high}
value: 1000
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: fast, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
"#;

struct Case<'a> {
    user: &'a str,
    operation: Operation,
    /// `[GROUP/]RESOURCE[:SUB]`.
    resource: &'a str,
    namespace: &'a str,
    object: &'a str,
    old: Option<&'a str>,
}

/// Runs all plugins; the object afterwards, or the refusal's message.
fn admit(case: &Case<'_>) -> Result<Value, String> {
    let objects = FakeObjects::with(OBJECTS);
    let (authorizer, rbac) = Chain::node_and_rbac(Arc::clone(&objects) as Arc<dyn Objects>);
    let plugins =
        all(&Dependencies { objects, rng: Arc::new(env::rng::SeededRng::new(7)), rbac, authorizer });
    let (resource, subresource) = case.resource.split_once(':').unwrap_or((case.resource, ""));
    let (group, resource) = resource.split_once('/').unwrap_or(("", resource));
    let mut object = from_yaml(case.object);
    let old = case.old.map(from_yaml);
    let name = meta(old.as_ref().unwrap_or(&object), "name").to_owned();
    let groups = if case.user.starts_with("system:node:") { vec!["system:nodes".into()] } else { Vec::new() };
    let user =
        Arc::new(UserInfo { name: case.user.into(), groups, extra: BTreeMap::new(), uid: String::new() });
    let options = Value::object();
    let mut warnings = Vec::new();
    let mut request = AdmissionRequest {
        operation: case.operation,
        group,
        version: "v1",
        resource,
        subresource,
        kind: "",
        namespace: case.namespace,
        name: &name,
        object: &mut object,
        old: old.as_ref(),
        options: &options,
        dry_run: false,
        user: &user,
        warnings: &mut warnings,
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        for plugin in &plugins {
            if plugin.handles(&request) {
                plugin.admit(&mut request).await.map_err(|s| s.message)?;
            }
        }
        for plugin in &plugins {
            if plugin.handles(&request) {
                plugin.validate(&request).await.map_err(|s| s.message)?;
            }
        }
        Ok::<(), String>(())
    })?;
    Ok(object)
}

fn create<'a>(resource: &'a str, namespace: &'a str, object: &'a str) -> Case<'a> {
    Case { user: "ann", operation: Operation::Create, resource, namespace, object, old: None }
}

#[track_caller]
fn check_denied(case: &Case<'_>, expected: &str) {
    assert_eq!(admit(case).unwrap_err(), expected);
}

const POD: &str = "metadata: {name: p}\nspec: {containers: [{name: c, image: i}]}";

#[test]
fn namespaces_must_be_there_and_stay() {
    check_denied(&create("configmaps", "nope", "metadata: {name: x}"), "namespaces \"nope\" not found");
    check_denied(
        &create("configmaps", "going", "metadata: {name: x}"),
        "configmaps \"x\" is forbidden: unable to create new content in namespace going because it is being terminated",
    );
    let delete =
        |name| Case { operation: Operation::Delete, old: Some(name), ..create("namespaces", "", "null") };
    check_denied(
        &delete("metadata: {name: kube-system}"),
        "namespaces \"kube-system\" is forbidden: this namespace may not be deleted",
    );
    assert!(admit(&delete("metadata: {name: ns}")).is_ok());
}

#[test]
fn pods_get_account_token_secrets_priority_and_tolerations() {
    let pod = admit(&create("pods", "ns", POD)).unwrap();
    let mut yaml = pod.to_json_pretty();
    yaml.push(b'\n');
    expect_test::expect_file!["../../tests/data/admitted-pod.json"]
        .assert_eq(&String::from_utf8(yaml).unwrap());
}

#[test]
fn accounts_decide_about_tokens() {
    let quiet = admit(&create(
        "pods",
        "ns",
        "metadata: {name: p}\nspec: {serviceAccountName: quiet, containers: [{name: c, image: i}]}",
    ))
    .unwrap();
    assert!(quiet.at(&["spec", "volumes"]).is_none());
    check_denied(
        &create("pods", "ns", "metadata: {name: x}\nspec: {serviceAccountName: nosuch}"),
        "pods \"x\" is forbidden: error looking up service account ns/nosuch: serviceaccount \"nosuch\" not found",
    );
}

#[test]
fn priorities_are_computed() {
    let pod = admit(&create("pods", "ns", "metadata: {name: p}\nspec: {priorityClassName: high}")).unwrap();
    assert_eq!(pod.i64_at(&["spec", "priority"]), Some(1000));
    check_denied(
        &create("pods", "ns", "metadata: {name: x}\nspec: {priorityClassName: nosuch}"),
        "pods \"x\" is forbidden: no PriorityClass with name nosuch was found",
    );
    check_denied(
        &create("pods", "ns", "metadata: {name: x}\nspec: {priority: 5}"),
        "pods \"x\" is forbidden: the integer value of priority (5) must not be provided in pod spec; priority \
         admission controller computed 0 from the given PriorityClass name",
    );
}

#[test]
fn storage_gets_class_and_finalizer() {
    let claim = admit(&create("persistentvolumeclaims", "ns", "metadata: {name: c}\nspec: {}")).unwrap();
    assert_eq!(text(&claim, &["spec", "storageClassName"]), "fast");
    assert_eq!(claim.array_at(&["metadata", "finalizers"])[0].as_str(), Some("kubernetes.io/pvc-protection"));
    let claim = admit(&create("persistentvolumeclaims", "ns", "spec: {storageClassName: \"\"}")).unwrap();
    assert_eq!(text(&claim, &["spec", "storageClassName"]), "");
}

#[test]
fn runtime_classes_must_be_there() {
    check_denied(
        &create("pods", "ns", "metadata: {name: x}\nspec: {runtimeClassName: nosuch}"),
        "pods \"x\" is forbidden: pod rejected: RuntimeClass \"nosuch\" not found",
    );
    check_denied(
        &create("pods", "ns", "metadata: {name: x}\nspec: {overhead: {cpu: 1}}"),
        "pods \"x\" is forbidden: pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
    );
}

#[test]
fn nodes_write_only_what_is_theirs() {
    let node = |operation, resource, namespace, object, old| Case {
        user: "system:node:n1",
        operation,
        resource,
        namespace,
        object,
        old,
    };
    use Operation::{Create, Delete, Update};
    check_denied(
        &node(Create, "pods", "ns", POD, None),
        "pods \"p\" is forbidden: pod does not have \"kubernetes.io/config.mirror\" annotation, node \"n1\" can only \
         create mirror pods",
    );
    check_denied(
        &node(Create, "nodes", "", "metadata: {name: n2}", None),
        "nodes \"n2\" is forbidden: node \"n1\" is not allowed to modify node \"n2\"",
    );
    check_denied(
        &node(
            Update,
            "nodes",
            "",
            "metadata: {name: n1, labels: {node-restriction.kubernetes.io/x: y}}",
            Some("metadata: {name: n1}"),
        ),
        "nodes \"n1\" is forbidden: is not allowed to modify labels: node-restriction.kubernetes.io/x",
    );
    check_denied(
        &node(
            Update,
            "pods:status",
            "ns",
            "metadata: {name: q}",
            Some("metadata: {name: q}\nspec: {nodeName: other}"),
        ),
        "pods \"q\" is forbidden: node \"n1\" can only update pod status for pods with spec.nodeName set to itself",
    );
    check_denied(
        &node(Create, "storage.k8s.io/csinodes", "", "metadata: {name: n2}", None),
        "csinodes.storage.k8s.io \"n2\" is forbidden: can only access CSINode with the same name as the requesting node",
    );
    assert!(admit(&node(Delete, "pods", "ns", "null", Some("metadata: {name: there}"))).is_ok());
    let created =
        admit(&node(Create, "nodes", "", "metadata: {name: n1, labels: {kubernetes.io/os: linux}}", None));
    assert_eq!(
        text(&created.unwrap().array_at(&["spec", "taints"])[0], &["key"]),
        "node.kubernetes.io/not-ready"
    );
}

#[test]
fn nobody_grants_what_they_do_not_hold() {
    let bob = |resource, namespace, object| Case { user: "bob", ..create(resource, namespace, object) };
    check_denied(
        &bob(
            "rbac.authorization.k8s.io/roles",
            "ns",
            "metadata: {name: esc}\nrules: [{verbs: [get, list], apiGroups: [\"\"], resources: [pods]}]",
        ),
        "roles.rbac.authorization.k8s.io \"esc\" is forbidden: user \"bob\" (groups=[]) is attempting to grant RBAC \
         permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"get\" \"list\"]}",
    );
    check_denied(
        &bob(
            "rbac.authorization.k8s.io/clusterroles",
            "",
            "metadata: {name: esc}\naggregationRule: {clusterRoleSelectors: [{matchLabels: {a: b}}]}",
        ),
        "clusterroles.rbac.authorization.k8s.io \"esc\" is forbidden: must have cluster-admin privileges to use the \
         aggregationRule",
    );
    check_denied(
        &bob(
            "rbac.authorization.k8s.io/rolebindings",
            "ns",
            "metadata: {name: b}\nroleRef: {kind: Role, name: gone}",
        ),
        "rolebindings.rbac.authorization.k8s.io \"gone\" not found",
    );
}
