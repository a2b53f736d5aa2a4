//! DefaultStorageClass: a claim that names no class gets the default one.

use std::cmp::Reverse;
use std::sync::Arc;

use apimachinery::{Status, Value};
use futures::future::BoxFuture;

use super::is_main;
use crate::seams::{Admission, AdmissionRequest, Objects, Operation};
use crate::values::{annotation, meta};

const DEFAULT_ANNOTATIONS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

#[derive(Debug)]
pub struct DefaultStorageClass {
    objects: Arc<dyn Objects>,
}

impl DefaultStorageClass {
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects }
    }

    /// The default class; of several the newest, then the first by name.
    fn default_class(&self) -> Option<String> {
        let classes = self.objects.list("storage.k8s.io", "storageclasses", "");
        let is_default =
            |c: &&Arc<Value>| DEFAULT_ANNOTATIONS.iter().any(|a| annotation(c, a) == Some("true"));
        classes
            .iter()
            .filter(is_default)
            .min_by_key(|c| (Reverse(meta(c, "creationTimestamp")), meta(c, "name")))
            .map(|c| meta(c, "name").to_owned())
    }
}

impl Admission for DefaultStorageClass {
    fn name(&self) -> &'static str {
        "DefaultStorageClass"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        is_main(request, "", "persistentvolumeclaims", &[Operation::Create])
    }

    fn admit<'a>(&'a self, request: &'a mut AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        // An empty name is a choice: no class.
        let chosen = request.object.at(&["spec", "storageClassName"]).is_some_and(|v| !v.is_null())
            || annotation(request.object, "volume.beta.kubernetes.io/storage-class").is_some();
        if !chosen && let Some(class) = self.default_class() {
            request.object.set_at(&["spec", "storageClassName"], class);
        }
        Box::pin(async { Ok(()) })
    }

    fn validate<'a>(&'a self, _request: &'a AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async { Ok(()) })
    }
}
