//! RuntimeClass: a pod's runtime class must exist; its overhead, node selector and tolerations go into the pod.

use std::sync::Arc;

use apimachinery::{Object, Status, Value};
use futures::future::BoxFuture;

use super::{forbidden, is_main, push};
use crate::seams::{Admission, AdmissionRequest, Objects, Operation};
use crate::values::text;

#[derive(Debug)]
pub struct RuntimeClass {
    objects: Arc<dyn Objects>,
}

impl RuntimeClass {
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects }
    }

    fn class(&self, request: &AdmissionRequest<'_>) -> Result<Option<Arc<Value>>, Status> {
        let name = text(request.object, &["spec", "runtimeClassName"]);
        if name.is_empty() {
            return Ok(None);
        }
        let found = self.objects.get("node.k8s.io", "runtimeclasses", "", name);
        let missing = || forbidden(request, &format!("pod rejected: RuntimeClass {name:?} not found"));
        found.map(Some).ok_or_else(missing)
    }

    fn apply(&self, request: &mut AdmissionRequest<'_>) -> Result<(), Status> {
        let Some(class) = self.class(request)? else { return Ok(()) };
        if let Some(overhead) = class.at(&["overhead", "podFixed"]) {
            let given = request.object.at(&["spec", "overhead"]);
            if given.is_some_and(|given| given != overhead) {
                return Err(forbidden(
                    request,
                    "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
                ));
            }
            request.object.set_at(&["spec", "overhead"], overhead.clone());
        }
        let selector = class.at(&["scheduling", "nodeSelector"]).and_then(Value::as_object);
        for (key, wanted) in selector.into_iter().flat_map(Object::iter) {
            let given = request.object.at(&["spec", "nodeSelector", key]);
            if given.is_some_and(|given| given != wanted) {
                let why = format!(
                    "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; pod.spec.nodeSelector[{key}] = {}",
                    wanted.as_str().unwrap_or_default(),
                    given.and_then(Value::as_str).unwrap_or_default()
                );
                return Err(forbidden(request, &why));
            }
            request.object.set_at(&["spec", "nodeSelector", key], wanted.clone());
        }
        for toleration in class.array_at(&["scheduling", "tolerations"]) {
            if !request.object.array_at(&["spec", "tolerations"]).contains(toleration) {
                push(request.object, &["spec", "tolerations"], toleration.clone());
            }
        }
        Ok(())
    }
}

impl Admission for RuntimeClass {
    fn name(&self) -> &'static str {
        "RuntimeClass"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        is_main(request, "", "pods", &[Operation::Create])
    }

    fn admit<'a>(&'a self, request: &'a mut AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        let outcome = self.apply(request);
        Box::pin(async move { outcome })
    }

    fn validate<'a>(&'a self, request: &'a AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        let given = request.object.at(&["spec", "overhead"]).is_some();
        let outcome = match self.class(request) {
            Err(status) => Err(status),
            Ok(class)
                if given && class.as_ref().is_none_or(|c| c.at(&["overhead", "podFixed"]).is_none()) =>
            {
                let why =
                    "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
                Err(forbidden(request, why))
            }
            Ok(_) => Ok(()),
        };
        Box::pin(async move { outcome })
    }
}
