//! SelfSubjectRulesReview: what the caller may do in a namespace.

use std::sync::Arc;

use apimachinery::{Status, Value};
use futures::future::BoxFuture;

use crate::seams::{Authorizer, Special, SpecialRequest};
use crate::value;
use crate::values::text;

#[derive(Debug)]
pub struct RulesReview {
    authorizer: Arc<dyn Authorizer>,
}

impl RulesReview {
    pub fn new(authorizer: Arc<dyn Authorizer>) -> Self {
        Self { authorizer }
    }
}

impl Special for RulesReview {
    fn resource(&self) -> (&'static str, &'static str, &'static str) {
        ("authorization.k8s.io", "selfsubjectrulesreviews", "")
    }

    fn create<'a>(&'a self, request: SpecialRequest<'a>) -> BoxFuture<'a, Result<Value, Status>> {
        Box::pin(async move {
            let namespace = text(&request.object, &["spec", "namespace"]);
            if namespace.is_empty() {
                return Err(Status::bad_request("no namespace on request"));
            }
            let (resource, other, incomplete) = self.authorizer.rules(request.user, namespace);
            // Upstream answers with a new object: metadata and spec come back empty.
            Ok(value!({
                "kind": "SelfSubjectRulesReview",
                "apiVersion": "authorization.k8s.io/v1",
                "metadata": {},
                "spec": {},
                "status": { "resourceRules": (resource), "nonResourceRules": (other), "incomplete": (incomplete) },
            }))
        })
    }
}
