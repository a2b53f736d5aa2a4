//! Tables and PartialObjectMetadata: what `kubectl get` and metadata-only clients ask for.

use std::sync::Arc;

use apimachinery::{Status, Value};
use kinds::columns::{Columns, Row};

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

fn columns_of(resource: &Resource) -> Columns {
    match &resource.info.definition {
        Some(version) => Columns::custom(version),
        None => Columns::of(resource.group(), resource.plural()),
    }
}

/// `columnDefinitions`.
fn definitions(columns: &Columns) -> Value {
    let all = columns.columns.iter().map(|column| {
        let mut shown = Value::object();
        shown.set_at(&["name"], column.name.as_str());
        shown.set_at(&["type"], column.kind.as_str());
        shown.set_at(&["format"], column.format.as_str());
        shown.set_at(&["description"], column.description.as_str());
        shown.set_at(&["priority"], column.priority);
        shown
    });
    Value::from(all.collect::<Vec<_>>())
}

fn row(
    server: &Arc<ApiServer>,
    resource: &Resource,
    columns: &Columns,
    object: &Value,
    include: Include,
    version: &str,
) -> Value {
    let registry = server.registry();
    let now = server.env().clock.now().as_second();
    let Row { cells, conditions } = columns.row(object, now);
    let mut row = Value::object();
    row.set_at(&["cells"], cells);
    if !conditions.is_empty() {
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
    let columns = columns_of(resource);
    let rows = vec![row(server, resource, &columns, object, include, version)];
    Ok(table(version, meta_of(object), definitions(&columns), rows))
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
    let columns = columns_of(resource);
    let rows = items.iter().map(|item| row(server, resource, &columns, item, include, version)).collect();
    Ok(table(version, meta, definitions(&columns), rows))
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
    let columns = columns_of(resource);
    let rows = vec![row(server, resource, &columns, object, include, version)];
    table(version, meta_of(object), if first { definitions(&columns) } else { Value::NULL }, rows)
}
