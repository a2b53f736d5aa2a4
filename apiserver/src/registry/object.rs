//! Small things that every verb does to an object: names, times, canonical bytes, owner references.

use apimachinery::{Object, Status, Value, meta};
use bytes::Bytes;
use jiff::Timestamp;
use kinds::Gvk;

use super::{Registry, Resource};
use crate::config::OBJECT_MAX;
use crate::response::bad_request;

/// Sets metadata's `generation`, or takes it away when it is 0.
pub(crate) fn set_generation(object: &mut Value, generation: i64) {
    if generation == 0 {
        object.remove_at(&["metadata", "generation"]);
    } else {
        object.set_at(&["metadata", "generation"], generation);
    }
}

/// metadata as an object, made when it is missing.
pub(crate) fn metadata(object: &mut Value) -> &mut Object {
    if object.at(&["metadata"]).and_then(Value::as_object).is_none() {
        object.set_at(&["metadata"], Value::object());
    }
    object.get_mut("metadata").and_then(Value::as_object_mut).expect("made above")
}

/// The object's namespace must be that of the request; it is filled in when absent.
pub(crate) fn match_namespace(
    resource: &Resource,
    object: &mut Value,
    namespace: &str,
) -> Result<(), Status> {
    let own = meta::namespace(object);
    if own == namespace {
        return Ok(());
    }
    if own.is_empty() && resource.info.namespaced {
        object.set_at(&["metadata", "namespace"], namespace);
        return Ok(());
    }
    if own.is_empty() {
        return Ok(());
    }
    Err(bad_request("the namespace of the provided object does not match the namespace sent on the request"))
}

/// Writes the type of an object into it.
pub(crate) fn set_type(object: &mut Value, gvk: &Gvk) {
    object.set_at(&["kind"], gvk.kind.as_str());
    object.set_at(&["apiVersion"], gvk.api_version());
}

impl Registry {
    /// The canonical form of a hub object: fields in upstream's order, empty ones gone. Custom resources are sorted by
    /// key, as upstream serialises them.
    pub(crate) fn normalise(&self, resource: &Resource, object: &mut Value) {
        if resource.info.custom {
            sort_keys(object);
        } else {
            kinds::normalise::normalise_stored(resource.hub_info.ty.get(), object);
        }
    }

    /// The bytes to store: canonical, without a revision. Refuses what etcd would refuse.
    pub(crate) fn encode(&self, resource: &Resource, object: &mut Value) -> Result<Bytes, Status> {
        set_type(object, &resource.hub);
        self.normalise(resource, object);
        self.encode_canonical(object)
    }

    /// As `encode`, for what is in canonical form already.
    pub(crate) fn encode_canonical(&self, object: &mut Value) -> Result<Bytes, Status> {
        metadata(object).remove("resourceVersion");
        let text = object.to_json();
        if text.len() > OBJECT_MAX {
            return Err(Status::plain_error("etcdserver: request is too large"));
        }
        Ok(text.into())
    }

    /// Puts a served object's fields in upstream's order.
    pub(crate) fn order(&self, resource: &Resource, object: &mut Value) {
        if !resource.info.custom {
            kinds::normalise::normalise(resource.info.ty.get(), object);
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.env.clock.now()
    }
}

fn sort_keys(value: &mut Value) {
    if let Some(object) = value.as_object_mut() {
        object.sort_keys();
        object.iter_mut().for_each(|(_, v)| sort_keys(v));
    } else if let Some(array) = value.as_array_mut() {
        array.iter_mut().for_each(sort_keys);
    }
}

/// Owner references that say the same thing twice are made one, as upstream does with a warning.
pub(crate) fn dedup_owner_references(object: &mut Value, after_admission: bool, warnings: &mut Vec<String>) {
    let Some(list) = object.at_mut(&["metadata", "ownerReferences"]).and_then(Value::as_array_mut) else {
        return;
    };
    let mut seen: Vec<Value> = Vec::new();
    let mut twice: Vec<String> = Vec::new();
    for reference in list.iter() {
        if seen.contains(reference) {
            twice.push(reference.str_at(&["uid"]).unwrap_or_default().to_owned());
        } else {
            seen.push(reference.clone());
        }
    }
    if twice.is_empty() {
        return;
    }
    *list = seen;
    warnings.push(if after_admission {
        ".metadata.ownerReferences contains duplicate entries after mutating admission happens; API server dedups \
         owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests"
            .into()
    } else {
        format!(
            ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and \
             may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
            twice.join(", ")
        )
    });
}
