//! StorageObjectInUseProtection: claims, volumes and attribute classes get the finalizer that keeps them while they are
//! used.

use apimachinery::{Status, Value};
use futures::future::BoxFuture;

use super::{is_main, push};
use crate::seams::{Admission, AdmissionRequest, Operation};

#[derive(Debug)]
pub struct StorageObjectInUseProtection;

fn finalizer(request: &AdmissionRequest<'_>) -> Option<&'static str> {
    let create = [Operation::Create];
    if is_main(request, "", "persistentvolumeclaims", &create) {
        Some("kubernetes.io/pvc-protection")
    } else if is_main(request, "", "persistentvolumes", &create) {
        Some("kubernetes.io/pv-protection")
    } else if is_main(request, "storage.k8s.io", "volumeattributesclasses", &create) {
        Some("kubernetes.io/vac-protection")
    } else {
        None
    }
}

impl Admission for StorageObjectInUseProtection {
    fn name(&self) -> &'static str {
        "StorageObjectInUseProtection"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        finalizer(request).is_some()
    }

    fn admit<'a>(&'a self, request: &'a mut AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        if let Some(finalizer) = finalizer(request) {
            let has = request
                .object
                .array_at(&["metadata", "finalizers"])
                .iter()
                .any(|f| f.as_str() == Some(finalizer));
            if !has {
                push(request.object, &["metadata", "finalizers"], Value::from(finalizer));
            }
        }
        Box::pin(async { Ok(()) })
    }

    fn validate<'a>(&'a self, _request: &'a AdmissionRequest<'_>) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async { Ok(()) })
    }
}
