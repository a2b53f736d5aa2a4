//! Where the registry meets the parts that know schemas: managedFields, conversion between versions, protobuf,
//! validation of metadata.

use apimachinery::meta::{MetaRules, validate_object_meta, validate_object_meta_update};
use apimachinery::names::{self, NameRule};
use apimachinery::status::{FieldError, Path};
use apimachinery::{Status, Value};
use jiff::Timestamp;
use kinds::Gvk;

use super::decode::Expected;
use super::{Registry, Resource};

/// Who owns which fields of an object, kept up to date by each write.
#[derive(Debug)]
pub(crate) struct Managers<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) resource: &'a Resource,
    pub(crate) subresource: &'a str,
    pub(crate) now: Timestamp,
}

impl Managers<'_> {
    /// A new object: its writer owns what it sent.
    pub(crate) fn created(&self, _object: &mut Value, _manager: &str) {}

    /// A changed object: its writer owns what it changed.
    pub(crate) fn updated(&self, live: &Value, object: &mut Value, _manager: &str) {
        let _ = live;
        let _ = object;
    }
}

/// Brings an object into another version of its kind.
pub(crate) fn convert(_kinds: &kinds::Registry, object: &mut Value, to: &Gvk) {
    super::object::set_type(object, to);
}

/// Decodes a protobuf body.
pub(crate) fn decode_protobuf(
    _expected: &Expected<'_>,
    _body: &[u8],
    unrecognized: &dyn Fn(String) -> Status,
) -> Result<Value, Status> {
    Err(unrecognized("protobuf".into()))
}

/// How the names of a kind look.
fn name_rule(resource: &Resource) -> NameRule {
    match (resource.group(), resource.plural()) {
        ("", "namespaces") => names::label_rule,
        ("", "services") => names::label_rule,
        ("rbac.authorization.k8s.io", _) => names::path_segment_rule,
        _ => names::subdomain_rule,
    }
}

/// Every problem of a new object's metadata.
pub(crate) fn validate_meta(resource: &Resource, object: &Value) -> Vec<FieldError> {
    let rules = MetaRules {
        namespaced: resource.info.namespaced,
        name: name_rule(resource),
        built_in: !resource.info.custom,
    };
    validate_object_meta(object.get("metadata").unwrap_or(&Value::NULL), rules, &Path::new("metadata"))
}

/// Every problem of a changed object's metadata.
pub(crate) fn validate_meta_update(resource: &Resource, object: &Value, old: &Value) -> Vec<FieldError> {
    let meta = |value: &Value| value.get("metadata").cloned().unwrap_or_default();
    validate_object_meta_update(&meta(object), &meta(old), !resource.info.custom, &Path::new("metadata"))
}

/// Decodes DeleteOptions in protobuf.
pub(crate) fn decode_options(_body: &[u8]) -> Result<Value, Status> {
    Err(Status::bad_request("protobuf"))
}

/// Encodes an object in protobuf, with its envelope.
pub(crate) fn encode_protobuf(_registry: &Registry, _gvk: &Gvk, _value: &Value) -> Result<Vec<u8>, Status> {
    Err(Status::not_acceptable("protobuf"))
}

/// A watch event in protobuf, with its length in front.
pub(crate) fn encode_event(
    _registry: &Registry,
    _kind: &str,
    _gvk: &Gvk,
    _value: &Value,
) -> Result<Vec<u8>, Status> {
    Err(Status::not_acceptable("protobuf"))
}

impl Registry {
    /// Puts a served object's fields in upstream's order.
    pub(crate) fn order(&self, resource: &Resource, object: &mut Value) {
        if !resource.info.custom {
            kinds::normalise::normalise(resource.info.ty.get(), object);
        }
    }

    /// The cells and conditions of an object's row.
    pub(crate) fn cells(&self, resource: &Resource, object: &Value) -> (Vec<Value>, Option<Vec<Value>>) {
        let _ = (resource, object);
        (Vec::new(), None)
    }

    /// The columns of a resource's table.
    pub(crate) fn columns(&self, resource: &Resource) -> Value {
        let _ = resource;
        Value::NULL
    }

    /// Server-side apply.
    pub(crate) async fn apply(
        &self,
        target: super::update::Target<'_>,
        _sent: Value,
        _context: &mut super::prepare::Context<'_>,
    ) -> Result<super::create::Written, Status> {
        Err(target.not_found())
    }
}
