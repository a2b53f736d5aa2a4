//! Tables and PartialObjectMetadata: what `kubectl get` and metadata-only clients ask for.

use std::sync::Arc;

use apimachinery::{Status, Value};

use crate::registry::Resource;
use crate::response::bad_request;
use crate::server::{ApiServer, Call};

/// What a row holds of its object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Include {
    #[default]
    Metadata,
    Object,
    None,
}

/// Reads `includeObject`.
pub fn check_include(call: &Call) -> Result<Include, Status> {
    match call.query.text("includeObject") {
        "" | "Metadata" => Ok(Include::Metadata),
        "Object" => Ok(Include::Object),
        "None" => Ok(Include::None),
        other => Err(bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: must be 'Metadata', \
             'Object', 'None', or empty"
        ))),
    }
}

/// PartialObjectMetadata of an object.
pub fn partial(object: &Value, version: &str) -> Value {
    let mut partial = Value::object();
    partial.set_at(&["kind"], "PartialObjectMetadata");
    partial.set_at(&["apiVersion"], format!("meta.k8s.io/{version}"));
    partial.set_at(&["metadata"], object.get("metadata").cloned().unwrap_or_else(Value::object));
    partial
}

fn row(
    server: &Arc<ApiServer>,
    resource: &Resource,
    object: &Value,
    include: Include,
    version: &str,
) -> Value {
    let registry = server.registry();
    let (cells, conditions) = registry.cells(resource, object);
    let mut row = Value::object();
    row.set_at(&["cells"], cells);
    if let Some(conditions) = conditions {
        row.set_at(&["conditions"], conditions);
    }
    match include {
        Include::Metadata => row.set_at(&["object"], partial(object, version)),
        Include::Object => {
            let mut whole = object.clone();
            registry.order(resource, &mut whole);
            row.set_at(&["object"], whole);
        }
        // Upstream writes the empty RawExtension.
        Include::None => row.set_at(&["object"], Value::NULL),
    }
    row
}

fn table(version: &str, meta: Value, columns: Value, rows: Vec<Value>) -> Value {
    let mut table = Value::object();
    table.set_at(&["kind"], "Table");
    table.set_at(&["apiVersion"], format!("meta.k8s.io/{version}"));
    table.set_at(&["metadata"], meta);
    table.set_at(&["columnDefinitions"], columns);
    table.set_at(&["rows"], rows);
    table
}

fn meta_of(object: &Value) -> Value {
    let mut meta = Value::object();
    if let Some(revision) = object.at(&["metadata", "resourceVersion"]) {
        meta.set_at(&["resourceVersion"], revision.clone());
    }
    meta
}

/// The table of one object.
pub(crate) fn of_object(
    server: &Arc<ApiServer>,
    resource: &Resource,
    call: &Call,
    object: &Value,
    version: &str,
) -> Result<Value, Status> {
    let include = check_include(call)?;
    let columns = server.registry().columns(resource);
    let rows = vec![row(server, resource, object, include, version)];
    Ok(table(version, meta_of(object), columns, rows))
}

/// The table of a list.
pub(crate) fn of_list(
    server: &Arc<ApiServer>,
    resource: &Resource,
    call: &Call,
    items: &[Value],
    meta: Value,
    version: &str,
) -> Result<Value, Status> {
    let include = check_include(call)?;
    let rows = items.iter().map(|item| row(server, resource, item, include, version)).collect();
    Ok(table(version, meta, server.registry().columns(resource), rows))
}

/// The table of one watch event; only the first has columns.
pub(crate) fn of_event(
    server: &Arc<ApiServer>,
    resource: &Resource,
    object: &Value,
    include: Include,
    version: &str,
    first: bool,
) -> Value {
    let columns = if first { server.registry().columns(resource) } else { Value::NULL };
    table(version, meta_of(object), columns, vec![row(server, resource, object, include, version)])
}
