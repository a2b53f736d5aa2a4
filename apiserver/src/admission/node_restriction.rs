//! NodeRestriction: a node writes itself, its lease, its CSINode and the pods that run on it, and nothing of others.
//!
//! What the Node authorizer cannot see, because it stands in the body, is checked here. Upstream's check of the audiences
//! of requested tokens against the pod's volumes is not made.

mod node_object;

use std::sync::Arc;

use apimachinery::{Status, Value};
use futures::future::BoxFuture;

use super::{forbidden, is_mirror};
use crate::auth::node_identity;
use crate::seams::{Admission, AdmissionRequest, Objects, Operation};
use crate::values::{meta, text};

#[derive(Debug)]
pub struct NodeRestriction {
    objects: Arc<dyn Objects>,
}

impl NodeRestriction {
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects }
    }

    fn check(&self, request: &AdmissionRequest<'_>) -> Result<(), Status> {
        let Some(node) = node_identity(request.user) else { return Ok(()) };
        if node.is_empty() {
            let why = format!("could not determine node from user {:?}", request.user.name);
            return Err(forbidden(request, &why));
        }
        let outcome = match (request.group, request.resource, request.subresource) {
            ("", "pods", "") => return self.pod(node, request),
            ("", "pods", "status") => pod_status(node, request),
            ("", "pods", "eviction") => return self.pod_eviction(node, request),
            ("", "pods", other) => {
                Err(format!("unexpected pod subresource {other:?}, only 'status' and 'eviction' are allowed"))
            }
            ("", "nodes", _) => node_object::check(node, request),
            ("", "persistentvolumeclaims", "status") => Ok(()),
            ("", "persistentvolumeclaims", _) => Err("may only update PVC status".into()),
            ("", "serviceaccounts", "token") => return self.token(node, request),
            ("coordination.k8s.io", "leases", _) => lease(node, request),
            ("storage.k8s.io", "csinodes", _) => csi_node(node, request),
            _ => Ok(()),
        };
        outcome.map_err(|why| forbidden(request, &why))
    }

    fn pod(&self, node: &str, request: &AdmissionRequest<'_>) -> Result<(), Status> {
        let outcome = match request.operation {
            Operation::Create => self.mirror_pod(node, request.object),
            Operation::Delete => {
                let pod = self
                    .objects
                    .get("", "pods", request.namespace, request.name)
                    .ok_or_else(|| Status::not_found("", "pods", request.name))?;
                match text(&pod, &["spec", "nodeName"]) == node {
                    true => Ok(()),
                    false => {
                        Err(format!("node {node:?} can only delete pods with spec.nodeName set to itself"))
                    }
                }
            }
            other => Err(format!(
                "unexpected operation {:?}, node {node:?} can only create and delete mirror pods",
                operation_name(other)
            )),
        };
        outcome.map_err(|why| forbidden(request, &why))
    }

    fn mirror_pod(&self, node: &str, pod: &Value) -> Result<(), String> {
        if !is_mirror(pod) {
            return Err(format!(
                "pod does not have \"kubernetes.io/config.mirror\" annotation, node {node:?} can only create mirror pods"
            ));
        }
        if text(pod, &["spec", "nodeName"]) != node {
            return Err(format!("node {node:?} can only create pods with spec.nodeName set to itself"));
        }
        let [owner] = pod.array_at(&["metadata", "ownerReferences"]) else {
            return Err(format!("node {node:?} can only create pods with an owner reference set to itself"));
        };
        let of_node = text(owner, &["apiVersion"]) == "v1"
            && text(owner, &["kind"]) == "Node"
            && text(owner, &["name"]) == node;
        if !of_node {
            return Err(format!("node {node:?} can only create pods with an owner reference set to itself"));
        }
        if owner.bool_at(&["controller"]) != Some(true) {
            return Err(format!(
                "node {node:?} can only create pods with a controller owner reference set to itself"
            ));
        }
        if owner.bool_at(&["blockOwnerDeletion"]) == Some(true) {
            return Err(format!("node {node:?} must not set blockOwnerDeletion on an owner reference"));
        }
        let object = self.objects.get("", "nodes", "", node);
        let uid = object.map(|o| meta(&o, "uid").to_owned()).unwrap_or_default();
        if uid != text(owner, &["uid"]) {
            return Err(format!(
                "node {node:?} UID mismatch: expected {uid:?} got {:?}",
                text(owner, &["uid"])
            ));
        }
        match references(pod) {
            Some(what) => Err(format!("node {node:?} can not create pods that reference {what}")),
            None => Ok(()),
        }
    }

    fn pod_eviction(&self, node: &str, request: &AdmissionRequest<'_>) -> Result<(), Status> {
        if request.operation != Operation::Create {
            let why = format!("unexpected operation {:?}", operation_name(request.operation));
            return Err(forbidden(request, &why));
        }
        let pod = self
            .objects
            .get("", "pods", request.namespace, request.name)
            .ok_or_else(|| Status::not_found("", "pods", request.name))?;
        if text(&pod, &["spec", "nodeName"]) == node {
            return Ok(());
        }
        Err(forbidden(request, &format!("node {node} can only evict pods with spec.nodeName set to itself")))
    }

    fn token(&self, node: &str, request: &AdmissionRequest<'_>) -> Result<(), Status> {
        let refuse = |why: &str| Err(forbidden(request, why));
        if request.operation != Operation::Create {
            return refuse("unexpected operation");
        }
        let Some(bound) = request.object.at(&["spec", "boundObjectRef"]).filter(|b| !b.is_null()) else {
            return refuse("node requested token not bound to a pod");
        };
        if text(bound, &["apiVersion"]) != "v1"
            || text(bound, &["kind"]) != "Pod"
            || text(bound, &["name"]).is_empty()
        {
            return refuse("node requested token not bound to a pod");
        }
        let uid = text(bound, &["uid"]);
        if uid.is_empty() {
            return refuse("node requested token with a pod binding without a uid");
        }
        let name = text(bound, &["name"]);
        let pod = self
            .objects
            .get("", "pods", request.namespace, name)
            .ok_or_else(|| Status::not_found("", "pods", name))?;
        if meta(&pod, "uid") != uid {
            return refuse(&format!(
                "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have \
                 been deleted and then recreated"
            ));
        }
        if text(&pod, &["spec", "nodeName"]) != node {
            return refuse("node requested token bound to a pod scheduled on a different node");
        }
        Ok(())
    }
}

fn operation_name(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "CREATE",
        Operation::Update => "UPDATE",
        Operation::Delete => "DELETE",
        Operation::Connect => "CONNECT",
    }
}

/// What a mirror pod may not refer to and does.
fn references(pod: &Value) -> Option<&'static str> {
    if !text(pod, &["spec", "serviceAccountName"]).is_empty() {
        return Some("a service account");
    }
    let volumes = pod.array_at(&["spec", "volumes"]);
    let mut sources: Vec<&Value> = volumes.iter().collect();
    sources.extend(volumes.iter().flat_map(|v| v.array_at(&["projected", "sources"])));
    let mut names: Vec<&str> = Vec::new();
    for source in sources {
        names.extend(source.as_object().into_iter().flat_map(|o| o.keys()));
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in pod.array_at(&["spec", list]) {
            for variable in container.array_at(&["env"]) {
                let keys = variable.at(&["valueFrom"]).and_then(Value::as_object);
                names.extend(keys.into_iter().flat_map(|o| o.keys()));
            }
            for from in container.array_at(&["envFrom"]) {
                names.extend(from.as_object().into_iter().flat_map(|o| o.keys()));
            }
        }
    }
    let uses = |wanted: &[&str]| names.iter().any(|n| wanted.contains(n));
    if uses(&["secret", "secretKeyRef", "secretRef"])
        || !pod.array_at(&["spec", "imagePullSecrets"]).is_empty()
    {
        return Some("secrets");
    }
    if uses(&["configMap", "configMapKeyRef", "configMapRef"]) {
        return Some("configmaps");
    }
    if uses(&["clusterTrustBundle"]) {
        return Some("clustertrustbundles");
    }
    if uses(&["persistentVolumeClaim"]) {
        return Some("persistentvolumeclaims");
    }
    if !pod.array_at(&["spec", "resourceClaims"]).is_empty() {
        return Some("resourceclaims");
    }
    None
}

fn pod_status(node: &str, request: &AdmissionRequest<'_>) -> Result<(), String> {
    if request.operation != Operation::Update {
        return Err(format!("unexpected operation {:?}", operation_name(request.operation)));
    }
    let Some(old) = request.old else { return Ok(()) };
    if text(old, &["spec", "nodeName"]) != node {
        return Err(format!(
            "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
        ));
    }
    let labels = |pod: &Value| pod.at(&["metadata", "labels"]).cloned();
    if labels(old) != labels(request.object) {
        return Err(format!("node {node:?} cannot update labels through pod status"));
    }
    Ok(())
}

fn lease(node: &str, request: &AdmissionRequest<'_>) -> Result<(), String> {
    if request.namespace != "kube-node-lease" {
        return Err("can only access leases in the \"kube-node-lease\" system namespace".into());
    }
    let name =
        if request.operation == Operation::Create { meta(request.object, "name") } else { request.name };
    match name == node {
        true => Ok(()),
        false => Err("can only access node lease with the same name as the requesting node".into()),
    }
}

fn csi_node(node: &str, request: &AdmissionRequest<'_>) -> Result<(), String> {
    let name =
        if request.operation == Operation::Create { meta(request.object, "name") } else { request.name };
    match name == node {
        true => Ok(()),
        false => Err("can only access CSINode with the same name as the requesting node".into()),
    }
}

impl Admission for NodeRestriction {
    fn name(&self) -> &'static str {
        "NodeRestriction"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        request.user.name.starts_with(crate::auth::NODE_USER_PREFIX)
            && matches!(request.operation, Operation::Create | Operation::Update | Operation::Delete)
    }

    fn admit<'a>(&'a self, request: &'a mut AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        let outcome = self.check(request);
        Box::pin(async move { outcome })
    }

    fn validate<'a>(&'a self, _request: &'a AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async { Ok(()) })
    }
}
