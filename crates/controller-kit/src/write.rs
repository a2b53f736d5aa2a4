//! Writing back: read live, change, PUT with the version that was read.
//!
//! For what upstream's controller roles allow `update` and not `patch`. The whole object goes back as it was read, so
//! no field that our slim structs lack is lost.

use client::{Client, Error, Meta, ResourceType};
use serde_json::Value;

/// Changes the object that `meta` is of, through `subresource` (empty for the object itself). Refused as a conflict
/// when another object has taken the name since. When `change` says false nothing is written. Returns the metadata
/// after the write.
pub async fn update(
    client: &Client,
    ty: &ResourceType,
    meta: &Meta,
    subresource: &str,
    change: impl FnOnce(&mut Value) -> bool,
) -> Result<Meta, Error> {
    let mut live: Value = client.get(ty, &meta.namespace, &meta.name).await?;
    if live["metadata"]["uid"].as_str() != Some(meta.uid.as_str()) {
        let text = format!("{} {:?} was replaced by another object of its name", ty.kind, meta.name);
        return Err(Error::Api(Box::new(apimachinery::Status::new(409, "Conflict", text))));
    }
    if !change(&mut live) {
        return read_meta(&live);
    }
    read_meta(&client.replace(ty, &meta.namespace, &meta.name, subresource, &live).await?)
}

fn read_meta(object: &Value) -> Result<Meta, Error> {
    serde::Deserialize::deserialize(&object["metadata"])
        .map_err(|e: serde_json::Error| Error::Decode(e.to_string()))
}

/// As [`update`] of the status subresource: sets the fields of `status`, where `null` removes one.
pub async fn update_status(
    client: &Client,
    ty: &ResourceType,
    meta: &Meta,
    status: Value,
) -> Result<Meta, Error> {
    update(client, ty, meta, "status", |live| set_fields(&mut live["status"], status)).await
}

/// Sets each field of `fields` in `target`; says whether that changed anything.
fn set_fields(target: &mut Value, fields: Value) -> bool {
    let Value::Object(fields) = fields else { return false };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Some(map) = target.as_object_mut() else { return false };
    let mut changed = false;
    for (name, value) in fields {
        changed |= match value {
            Value::Null => map.remove(&name).is_some(),
            value => map.get(&name) != Some(&value) && map.insert(name, value).is_none_or(|_| true),
        };
    }
    changed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sets_and_removes_fields() {
        let mut status = json!({"a": 1, "b": 2});
        assert!(set_fields(&mut status, json!({"a": 3, "b": null, "c": 4})));
        assert_eq!(status, json!({"a": 3, "c": 4}));
        assert!(!set_fields(&mut status, json!({"a": 3, "b": null})));
        let mut absent = Value::Null;
        assert!(set_fields(&mut absent, json!({"a": 1})));
    }
}
