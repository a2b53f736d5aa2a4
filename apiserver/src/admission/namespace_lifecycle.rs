//! NamespaceLifecycle: objects need a namespace that exists; nothing new comes into one that is going; the system's
//! namespaces stay.

use std::sync::Arc;

use apimachinery::Status;
use apimachinery::status::StatusCause;
use futures::future::BoxFuture;

use super::forbidden;
use crate::seams::{Admission, AdmissionRequest, Objects, Operation};
use crate::values::text;

/// Namespaces that cannot be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

#[derive(Debug)]
pub struct NamespaceLifecycle {
    objects: Arc<dyn Objects>,
}

impl NamespaceLifecycle {
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects }
    }

    fn check(&self, request: &AdmissionRequest<'_>) -> Result<(), Status> {
        if request.group.is_empty() && request.resource == "namespaces" {
            return match request.operation {
                Operation::Delete if IMMORTAL.contains(&request.name) => {
                    Err(forbidden(request, "this namespace may not be deleted"))
                }
                _ => Ok(()),
            };
        }
        let exempt = request.namespace.is_empty()
            || request.operation == Operation::Delete
            || request.resource == "localsubjectaccessreviews";
        if exempt {
            return Ok(());
        }
        let namespace = self
            .objects
            .get("", "namespaces", "", request.namespace)
            .ok_or_else(|| Status::not_found("", "namespaces", request.namespace))?;
        let going = text(&namespace, &["status", "phase"]) == "Terminating"
            || namespace.at(&["metadata", "deletionTimestamp"]).is_some();
        if request.operation != Operation::Create || !going {
            return Ok(());
        }
        let name = request.namespace;
        let mut status = forbidden(
            request,
            &format!("unable to create new content in namespace {name} because it is being terminated"),
        );
        status.details.get_or_insert_default().causes.push(StatusCause {
            reason: "NamespaceTerminating".into(),
            message: format!("namespace {name} is being terminated"),
            field: "metadata.namespace".into(),
        });
        Err(status)
    }
}

impl Admission for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        request.operation != Operation::Connect
    }

    fn admit<'a>(&'a self, request: &'a mut AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        let outcome = self.check(request);
        Box::pin(async move { outcome })
    }

    fn validate<'a>(&'a self, _request: &'a AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async { Ok(()) })
    }
}
