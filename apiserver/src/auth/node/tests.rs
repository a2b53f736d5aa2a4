use super::*;
use crate::fake_objects::FakeObjects;

const OBJECTS: &str = r"
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: ns}
spec:
  nodeName: n1
  serviceAccountName: sa
  imagePullSecrets: [{name: pull}]
  volumes:
  - {name: a, secret: {secretName: s1}}
  - {name: b, projected: {sources: [{configMap: {name: c1}}]}}
  - {name: c, persistentVolumeClaim: {claimName: claim}}
  - {name: d, ephemeral: {volumeClaimTemplate: {}}}
  containers:
  - {name: c, env: [{name: X, valueFrom: {secretKeyRef: {name: s2, key: k}}}], envFrom: [{configMapRef: {name: c2}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: mirror, namespace: ns, annotations: {kubernetes.io/config.mirror: x}}
spec: {nodeName: n1, volumes: [{name: a, secret: {secretName: stolen}}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: claim, namespace: ns}
spec: {volumeName: pv}
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: pv}
spec:
  claimRef: {namespace: ns, name: claim}
  csi: {nodeStageSecretRef: {namespace: other, name: stage}}
";

/// `request` is `VERB RESOURCE[/SUB] [NAMESPACE/NAME]`, with `?SELECTOR` at its end for lists.
#[track_caller]
fn check(node: &str, request: &str, expected: &str) {
    let authorizer = NodeAuthorizer::new(FakeObjects::with(OBJECTS));
    let user = UserInfo {
        name: format!("system:node:{node}"),
        groups: vec!["system:nodes".into()],
        ..UserInfo::default()
    };
    let (request, selector) = request.split_once('?').unwrap_or((request, ""));
    let words: Vec<&str> = request.split(' ').collect();
    let (resource, subresource) = words[1].split_once('/').unwrap_or((words[1], ""));
    let (namespace, name) = words.get(2).and_then(|w| w.split_once('/')).unwrap_or_default();
    let group = match resource {
        "leases" => "coordination.k8s.io",
        "csinodes" => "storage.k8s.io",
        _ => "",
    };
    let attributes = Attributes {
        user: Arc::new(user),
        verb: words[0].into(),
        group: group.into(),
        resource: resource.into(),
        subresource: subresource.into(),
        namespace: namespace.into(),
        name: name.into(),
        is_resource: true,
        field_selector: selector.into(),
        ..Attributes::default()
    };
    let actual = match authorizer.authorize(&attributes) {
        Decision::Allow(_) => "yes".to_owned(),
        Decision::Deny(reason) | Decision::NoOpinion(reason) => reason,
    };
    assert_eq!(actual, expected, "{request}");
}

#[test]
fn a_node_reads_what_its_pods_refer_to() {
    let unrelated = "no relationship found between node 'n1' and this object";
    for name in ["s1", "s2", "pull"] {
        check("n1", &format!("get secrets ns/{name}"), "yes");
    }
    check("n1", "get secrets other/stage", "yes");
    check("n1", "get secrets ns/stolen", unrelated);
    check("n1", "get secrets other/s1", unrelated);
    check("n2", "get secrets ns/s1", "no relationship found between node 'n2' and this object");
    check("n1", "get configmaps ns/c1", "yes");
    check("n1", "get configmaps ns/c2", "yes");
    check("n1", "watch configmaps ns/?metadata.name=c1", "yes");
    check("n1", "list secrets ns/", "No Object name found");
    check("n1", "update secrets ns/s1", "can only read resources of this type");
    check("n1", "get persistentvolumeclaims ns/claim", "yes");
    check("n1", "get persistentvolumeclaims ns/p-d", "yes");
    check("n1", "get persistentvolumes /pv", "yes");
    check("n2", "get persistentvolumes /pv", "no relationship found between node 'n2' and this object");
    check("n1", "create serviceaccounts/token ns/sa", "yes");
    check("n1", "create serviceaccounts/token ns/default", unrelated);
}

#[test]
fn a_node_reads_itself_and_its_pods() {
    check("n1", "get nodes /n1", "yes");
    check("n1", "get nodes /n2", "node 'n1' cannot read 'n2', only its own Node object");
    check("n1", "list nodes", "node 'n1' cannot read all nodes, only its own Node object");
    check("n1", "watch nodes ?metadata.name=n1", "yes");
    check("n1", "get pods ns/p", "yes");
    check("n2", "get pods ns/p", "no relationship found between node 'n2' and this object");
    check("n1", "list pods ?spec.nodeName=n1", "yes");
    check("n1", "list pods ?spec.nodeName=n2", "can only list/watch pods with spec.nodeName field selector");
    check("n1", "patch pods/status ns/p", "yes");
    check("n1", "get services ns/s", "yes");
    check("n1", "create services ns/s", "");
}

#[test]
fn a_node_has_one_lease_and_one_csinode() {
    check("n1", "update leases kube-node-lease/n1", "yes");
    check(
        "n1",
        "update leases kube-node-lease/n2",
        "can only access node lease with the same name as the requesting node",
    );
    check("n1", "get leases ns/n1", "can only access leases in the \"kube-node-lease\" system namespace");
    check("n1", "get csinodes /n1", "yes");
    check("n1", "get csinodes /n2", "can only access CSINode with the same name as the requesting node");
}

#[test]
fn references_follow_pods() {
    let objects = FakeObjects::with(OBJECTS);
    let mut pods = NodePods::default();
    pods.refresh(&*objects);
    assert!(pods.reaches(&*objects, "n1", Kind::Secret, "ns", "s1"));
    objects.remove("", "pods", "ns", "p");
    pods.refresh(&*objects);
    assert!(!pods.reaches(&*objects, "n1", Kind::Secret, "ns", "s1"));
}
