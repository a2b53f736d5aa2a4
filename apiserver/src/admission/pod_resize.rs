//! PodResizeValidator: a pod that has a node is resized only to what that node could ever hold, and only on Linux.

use std::sync::Arc;

use apimachinery::quantity::Quantity;
use apimachinery::{Status, Value};
use futures::future::BoxFuture;

use super::forbidden;
use crate::seams::{Admission, AdmissionRequest, Objects, Operation};
use crate::values::text;

#[derive(Debug)]
pub struct PodResize {
    objects: Arc<dyn Objects>,
}

impl PodResize {
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects }
    }

    fn check(&self, request: &AdmissionRequest<'_>) -> Result<(), Status> {
        let name = text(request.object, &["spec", "nodeName"]);
        let same = request.old.is_some_and(|old| old.get("spec") == request.object.get("spec"));
        if name.is_empty() || same {
            return Ok(());
        }
        let node = self
            .objects
            .get("", "nodes", "", name)
            .ok_or_else(|| forbidden(request, &format!("node {name:?} not found")))?;
        let os = node.str_at(&["metadata", "labels", "kubernetes.io/os"]).unwrap_or("linux");
        if os != "linux" {
            let why = format!("pod resize is only supported on linux nodes, node {name:?} is {os:?}");
            return Err(forbidden(request, &why));
        }
        let lacking = lacking(request.object, &node);
        if lacking.is_empty() {
            return Ok(());
        }
        let why = format!("node didn't have enough allocatable resources: {}", lacking.join("; "));
        Err(forbidden(request, &why))
    }
}

impl Admission for PodResize {
    fn name(&self) -> &'static str {
        "PodResizeValidator"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        request.operation == Operation::Update
            && request.group.is_empty()
            && request.resource == "pods"
            && request.subresource == "resize"
    }

    fn admit<'a>(&'a self, _request: &'a mut AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async { Ok(()) })
    }

    fn validate<'a>(&'a self, request: &'a AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        let checked = self.check(request);
        Box::pin(async move { checked })
    }
}

/// The resources of which the pod asks for more than the node has in all.
fn lacking(pod: &Value, node: &Value) -> Vec<String> {
    let unit = |resource: &str, quantity: Quantity| match resource {
        "cpu" => quantity.milli_value(),
        _ => quantity.value(),
    };
    let mut lacking = Vec::new();
    for resource in ["cpu", "memory"] {
        let amount = |value: Option<&Value>| {
            let quantity = value.and_then(|v| Quantity::from_value(v).ok());
            quantity.map_or(0, |quantity| unit(resource, quantity))
        };
        let requested = requested(pod, &|resources| amount(resources.at(&["requests", resource])), resource);
        let allocatable = amount(node.at(&["status", "allocatable", resource]));
        if requested > allocatable {
            lacking.push(format!("{resource}, requested: {requested}, allocatable: {allocatable}"));
        }
    }
    lacking
}

/// What a pod asks for: what runs at once at its peak, or what it says for itself, and its overhead.
fn requested(pod: &Value, of: &dyn Fn(&Value) -> i64, resource: &str) -> i64 {
    let empty = Value::object();
    let own = |container: &Value| of(container.get("resources").unwrap_or(&empty));
    let sum: i64 = pod.array_at(&["spec", "containers"]).iter().map(own).sum();
    let (mut sidecars, mut peak) = (0, 0);
    for container in pod.array_at(&["spec", "initContainers"]) {
        if container.str_at(&["restartPolicy"]) == Some("Always") {
            sidecars += own(container);
            peak = peak.max(sidecars);
        } else {
            peak = peak.max(sidecars + own(container));
        }
    }
    let containers = peak.max(sum + sidecars);
    let whole = pod.at(&["spec", "resources"]).filter(|r| r.at(&["requests", resource]).is_some());
    let overhead = pod.at(&["spec", "overhead", resource]).cloned();
    let overhead = overhead.map_or(0, |amount| {
        let mut resources = Value::object();
        resources.set_at(&["requests", resource], amount);
        of(&resources)
    });
    whole.map_or(containers, of) + overhead
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(spec: &str, allocatable: &str, expected: &[&str]) {
        let value = |text: String| Value::from_json(text.as_bytes()).unwrap();
        let pod = value(format!(r#"{{"spec":{spec}}}"#));
        let node = value(format!(r#"{{"status":{{"allocatable":{allocatable}}}}}"#));
        assert_eq!(lacking(&pod, &node), expected);
    }

    #[test]
    fn what_a_node_lacks() {
        let one = r#"{"containers":[{"resources":{"requests":{"cpu":"1500m","memory":"1Gi"}}}]}"#;
        check(one, r#"{"cpu":"2","memory":"1Gi"}"#, &[]);
        check(one, r#"{"cpu":"1","memory":"1Gi"}"#, &["cpu, requested: 1500, allocatable: 1000"]);
        check(
            one,
            "{}",
            &["cpu, requested: 1500, allocatable: 0", "memory, requested: 1073741824, allocatable: 0"],
        );
        // Sidecars run beside the others, other init containers before them.
        check(
            r#"{"initContainers":[
                {"restartPolicy":"Always","resources":{"requests":{"cpu":"1"}}},
                {"resources":{"requests":{"cpu":"3"}}}],
              "containers":[{"resources":{"requests":{"cpu":"2"}}}]}"#,
            r#"{"cpu":"3"}"#,
            &["cpu, requested: 4000, allocatable: 3000"],
        );
        // What the pod says for itself counts, with its overhead.
        check(
            r#"{"resources":{"requests":{"cpu":"1"}},"overhead":{"cpu":"250m"},
              "containers":[{"resources":{"requests":{"cpu":"500m"}}}]}"#,
            r#"{"cpu":"1"}"#,
            &["cpu, requested: 1250, allocatable: 1000"],
        );
    }
}
