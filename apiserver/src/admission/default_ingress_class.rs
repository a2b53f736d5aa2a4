//! DefaultIngressClass: an ingress that names no class gets the default one.

use std::cmp::Reverse;
use std::sync::Arc;

use apimachinery::{Status, Value};
use futures::future::BoxFuture;

use super::is_main;
use crate::seams::{Admission, AdmissionRequest, Objects, Operation};
use crate::values::{annotation, meta};

const GROUP: &str = "networking.k8s.io";
const DEFAULT_ANNOTATION: &str = "ingressclass.kubernetes.io/is-default-class";

#[derive(Debug)]
pub struct DefaultIngressClass {
    objects: Arc<dyn Objects>,
}

impl DefaultIngressClass {
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects }
    }

    /// The default class; of several the newest, then the first by name.
    fn default_class(&self) -> Option<String> {
        let classes = self.objects.list(GROUP, "ingressclasses", "");
        let is_default = |c: &&Arc<Value>| annotation(c, DEFAULT_ANNOTATION) == Some("true");
        classes
            .iter()
            .filter(is_default)
            .min_by_key(|c| (Reverse(meta(c, "creationTimestamp")), meta(c, "name")))
            .map(|c| meta(c, "name").to_owned())
    }
}

impl Admission for DefaultIngressClass {
    fn name(&self) -> &'static str {
        "DefaultIngressClass"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        is_main(request, GROUP, "ingresses", &[Operation::Create])
    }

    fn admit<'a>(&'a self, request: &'a mut AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        let chosen = request.object.at(&["spec", "ingressClassName"]).is_some_and(|v| !v.is_null())
            || annotation(request.object, "kubernetes.io/ingress.class").is_some();
        if !chosen && let Some(class) = self.default_class() {
            request.object.set_at(&["spec", "ingressClassName"], class);
        }
        Box::pin(async { Ok(()) })
    }

    fn validate<'a>(&'a self, _request: &'a AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async { Ok(()) })
    }
}
