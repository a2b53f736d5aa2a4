//! pods/binding and bindings: gives a pod its node, with the labels and annotations of the binding and the condition
//! PodScheduled.

use std::sync::Arc;

use apimachinery::{Object, Status, Value};
use futures::future::BoxFuture;
use jiff::Timestamp;

use super::created_status;
use crate::seams::{Objects, Special, SpecialRequest};
use crate::value;
use crate::values::{meta, text};

/// Lost races with other writers of the pod before the caller hears of it; what it asks for is checked anew each time.
const ATTEMPTS_MAX: usize = 8;

#[derive(Debug)]
pub struct Binding {
    objects: Arc<dyn Objects>,
    /// The old top-level resource `bindings` instead of the subresource of pods.
    collection: bool,
}

impl Binding {
    pub fn of_pod(objects: Arc<dyn Objects>) -> Self {
        Self { objects, collection: false }
    }
    pub fn collection(objects: Arc<dyn Objects>) -> Self {
        Self { objects, collection: true }
    }

    async fn bind(&self, request: SpecialRequest<'_>) -> Result<Value, Status> {
        let binding = &request.object;
        let name = meta(binding, "name");
        let name = if self.collection || request.name.is_empty() { name } else { request.name };
        if !self.collection && !meta(binding, "name").is_empty() && meta(binding, "name") != name {
            return Err(Status::bad_request("name in URL does not match name in Binding object"));
        }
        check_target(binding)?;
        for _ in 0..ATTEMPTS_MAX {
            let pod = self
                .objects
                .get("", "pods", request.namespace, name)
                .ok_or_else(|| Status::not_found("", "pods", name))?;
            let bound = bound(&pod, binding, request.namespace, name, request.now)?;
            if request.dry_run {
                return Ok(created_status());
            }
            match self.objects.update("", "pods", request.namespace, name, "binding", bound).await {
                Ok(_) => return Ok(created_status()),
                Err(status) if status.is_conflict() => {}
                Err(status) => return Err(status),
            }
        }
        Err(Status::modified("", "pods", name))
    }
}

impl Special for Binding {
    fn resource(&self) -> (&'static str, &'static str, &'static str) {
        if self.collection { ("", "bindings", "") } else { ("", "pods", "binding") }
    }

    fn create<'a>(&'a self, request: SpecialRequest<'a>) -> BoxFuture<'a, Result<Value, Status>> {
        Box::pin(self.bind(request))
    }
}

/// Upstream answers these with the bare text of the field errors and 500.
fn check_target(binding: &Value) -> Result<(), Status> {
    let (kind, name) = (text(binding, &["target", "kind"]), text(binding, &["target", "name"]));
    if !matches!(kind, "" | "Node") {
        let text =
            format!("target.kind: Unsupported value: {kind:?}: supported values: \"Node\", \"<empty>\"");
        return Err(Status::plain_error(text));
    }
    if name.is_empty() {
        return Err(Status::plain_error("target.name: Required value"));
    }
    Ok(())
}

/// The pod with its node, or why it cannot have it.
fn bound(pod: &Value, binding: &Value, namespace: &str, name: &str, now: Timestamp) -> Result<Value, Status> {
    let uid = meta(binding, "uid");
    if !uid.is_empty() && uid != meta(pod, "uid") {
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: /registry/pods/{namespace}/{name}, ResourceVersion: 0, \
             AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            meta(pod, "uid")
        );
        return Err(Status::conflict("", "pods", name, &why));
    }
    let refuse = |why: String| Err(Status::conflict("", "pods/binding", name, &why));
    if pod.at(&["metadata", "deletionTimestamp"]).is_some() {
        return refuse(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    let node = text(pod, &["spec", "nodeName"]);
    if !node.is_empty() {
        return refuse(format!("pod {name} is already assigned to node {node:?}"));
    }
    if !pod.array_at(&["spec", "schedulingGates"]).is_empty() {
        return refuse(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    let mut bound = pod.clone();
    bound.set_at(&["spec", "nodeName"], text(binding, &["target", "name"]));
    for field in ["annotations", "labels"] {
        let entries = binding.at(&["metadata", field]).and_then(Value::as_object);
        for (key, value) in entries.into_iter().flat_map(Object::iter) {
            bound.set_at(&["metadata", field, key], value.clone());
        }
    }
    set_scheduled(&mut bound, now);
    Ok(bound)
}

fn set_scheduled(pod: &mut Value, now: Timestamp) {
    let mut condition = value!({
        "type": "PodScheduled",
        "status": "True",
        "lastProbeTime": null,
        "lastTransitionTime": (format!("{now:.0}")),
    });
    if let Some(generation) = pod.i64_at(&["status", "observedGeneration"]) {
        condition.set_at(&["observedGeneration"], generation);
    }
    match pod.at_mut(&["status", "conditions"]).and_then(Value::as_array_mut) {
        Some(conditions) => {
            conditions.retain(|c| c.str_at(&["type"]) != Some("PodScheduled"));
            conditions.push(condition);
        }
        None => pod.set_at(&["status", "conditions"], vec![condition]),
    }
}
