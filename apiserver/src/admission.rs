//! The built-in admission plugins, in upstream's order.
//!
//! They read the server's own caches. ResourceQuota, PodSecurity, webhooks and policies are not here.

pub mod default_ingress_class;
pub mod default_storage_class;
pub mod default_toleration_seconds;
pub mod limit_ranger;
pub mod namespace_lifecycle;
pub mod node_restriction;
pub mod pod_resize;
pub mod priority;
pub mod runtime_class;
pub mod service_account;
pub mod storage_object_in_use_protection;
pub mod taint_nodes_by_condition;

use std::sync::Arc;

use apimachinery::{Status, Value};

use crate::auth::escalation::Escalation;
use crate::auth::rbac::Rbac;
use crate::seams::{Admission, AdmissionRequest, Authorizer, Objects, Operation};
use crate::values::meta;

/// What the plugins need of the server.
#[derive(Clone, Debug)]
pub struct Dependencies {
    pub objects: Arc<dyn Objects>,
    pub rng: Arc<dyn env::Rng>,
    /// For the check against privilege escalation.
    pub rbac: Arc<Rbac>,
    pub authorizer: Arc<dyn Authorizer>,
}

/// All of them, in the order in which they run.
pub fn all(dependencies: &Dependencies) -> Vec<Arc<dyn Admission>> {
    let objects = || Arc::clone(&dependencies.objects);
    vec![
        Arc::new(namespace_lifecycle::NamespaceLifecycle::new(objects())),
        Arc::new(limit_ranger::LimitRanger::new(objects())),
        Arc::new(service_account::ServiceAccount::new(objects(), Arc::clone(&dependencies.rng))),
        Arc::new(node_restriction::NodeRestriction::new(objects())),
        Arc::new(taint_nodes_by_condition::TaintNodesByCondition),
        Arc::new(priority::Priority::new(objects())),
        Arc::new(default_toleration_seconds::DefaultTolerationSeconds),
        Arc::new(default_storage_class::DefaultStorageClass::new(objects())),
        Arc::new(storage_object_in_use_protection::StorageObjectInUseProtection),
        Arc::new(runtime_class::RuntimeClass::new(objects())),
        Arc::new(default_ingress_class::DefaultIngressClass::new(objects())),
        Arc::new(pod_resize::PodResize::new(objects())),
        Arc::new(Escalation::new(Arc::clone(&dependencies.rbac), Arc::clone(&dependencies.authorizer))),
    ]
}

/// 403 about the object of the request, which may have no final name yet.
pub fn forbidden(request: &AdmissionRequest<'_>, why: &str) -> Status {
    let name = [request.name, meta(request.object, "name"), meta(request.object, "generateName")]
        .into_iter()
        .find(|n| !n.is_empty())
        .unwrap_or("Unknown");
    Status::forbidden(request.group, request.resource, name, why)
}

/// Whether the request is about `resource` itself, not a subresource, with one of the operations.
fn is_main(request: &AdmissionRequest<'_>, group: &str, resource: &str, operations: &[Operation]) -> bool {
    request.group == group
        && request.resource == resource
        && request.subresource.is_empty()
        && operations.contains(&request.operation)
}

/// Appends to a list that may not be there.
fn push(object: &mut Value, path: &[&str], item: Value) {
    match object.at_mut(path).and_then(Value::as_array_mut) {
        Some(list) => list.push(item),
        None => object.set_at(path, Value::from(vec![item])),
    }
}

/// A pod that a node made from a file of its own.
fn is_mirror(pod: &Value) -> bool {
    pod.at(&["metadata", "annotations", "kubernetes.io/config.mirror"]).is_some()
}

#[cfg(test)]
mod tests;
