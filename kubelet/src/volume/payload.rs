//! What ConfigMaps, Secrets and the pod's own fields become as files. Pure; shared by the plain types and by projected
//! volumes.

use base64::Engine as _;

use super::atomic::{Payload, ProjectedFile};
use crate::api::pod::FieldReference;
use crate::api::volume::{DownwardFile, KeyToPath};
use crate::api::{ConfigMap, Pod, Secret};
use crate::pod::env::{Surroundings, field_value, resource_value};

/// Modes of files that say nothing else.
pub(super) const DEFAULT_MODE: u32 = 0o644;

fn file(content: Vec<u8>, mode: u32) -> ProjectedFile {
    ProjectedFile { content, mode: mode & 0o777, user: None }
}

/// The chosen keys of an object, or all; `word` is what an error calls the object.
fn choose(
    content: impl Fn(&str) -> Option<Vec<u8>>,
    keys: impl Iterator<Item = String>,
    items: &[KeyToPath],
    mode: u32,
    optional: bool,
    word: &str,
) -> Result<Payload, String> {
    let mut made = Payload::new();
    if items.is_empty() {
        for key in keys {
            let bytes = content(&key).unwrap_or_default();
            made.insert(key, file(bytes, mode));
        }
        return Ok(made);
    }
    for item in items {
        match content(&item.key) {
            Some(bytes) => {
                made.insert(item.path.clone(), file(bytes, item.mode.unwrap_or(mode)));
            }
            None if optional => {}
            None => return Err(format!("references non-existent {word} key: {}", item.key)),
        }
    }
    Ok(made)
}

fn decode(text: &str) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default()
}

pub(super) fn of_config_map(
    map: &ConfigMap,
    items: &[KeyToPath],
    mode: u32,
    optional: bool,
) -> Result<Payload, String> {
    let content = |key: &str| {
        let text = map.data.get(key).map(|t| t.clone().into_bytes());
        text.or_else(|| map.binary_data.get(key).map(|t| decode(t)))
    };
    choose(content, map.data.keys().chain(map.binary_data.keys()).cloned(), items, mode, optional, "config")
}

pub(super) fn of_secret(
    secret: &Secret,
    items: &[KeyToPath],
    mode: u32,
    optional: bool,
) -> Result<Payload, String> {
    let content = |key: &str| secret.data.get(key).map(|t| decode(t));
    choose(content, secret.data.keys().cloned(), items, mode, optional, "secret")
}

pub(super) fn of_fields(
    pod: &Pod,
    around: &Surroundings,
    items: &[DownwardFile],
    mode: u32,
) -> Result<Payload, String> {
    let mut made = Payload::new();
    for item in items {
        let text = if let Some(FieldReference { field_path }) = &item.field_ref {
            field_value(pod, around, field_path)?
        } else if let Some(field) = &item.resource_field_ref {
            let container = pod
                .spec
                .container(&field.container_name)
                .ok_or_else(|| format!("container {} not found", field.container_name))?;
            resource_value(&container.resources, &field.resource, &field.divisor, around)?
        } else {
            continue;
        };
        made.insert(item.path.clone(), file(text.into_bytes(), item.mode.unwrap_or(mode)));
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_become_files() {
        let map: ConfigMap =
            serde_json::from_value(json!({"data": {"a": "1"}, "binaryData": {"b": "AAE="}})).unwrap();
        let all = of_config_map(&map, &[], 0o640, false).unwrap();
        assert_eq!((all["a"].mode, all["b"].content.as_slice()), (0o640, &[0u8, 1][..]));
        let item = |key: &str| KeyToPath { key: key.into(), path: "d/x".into(), mode: Some(0o400) };
        let chosen = of_config_map(&map, &[item("a")], 0o644, false).unwrap();
        assert_eq!((chosen.len(), chosen["d/x"].mode), (1, 0o400));
        assert_eq!(
            of_config_map(&map, &[item("z")], 0o644, false).unwrap_err(),
            "references non-existent config key: z"
        );
        assert!(of_config_map(&map, &[item("z")], 0o644, true).unwrap().is_empty());
    }

    #[test]
    fn fields_become_files() {
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"name": "p", "labels": {"b": "2", "a": "1"}},
            "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "1500m"}}}]}}))
            .unwrap();
        let items: Vec<DownwardFile> = serde_json::from_value(json!([
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            {"path": "cpu", "resourceFieldRef": {"containerName": "c", "resource": "limits.cpu", "divisor": "1m"}}]))
        .unwrap();
        let made = of_fields(&pod, &Surroundings::default(), &items, 0o644).unwrap();
        assert_eq!(made["labels"].content, b"a=\"1\"\nb=\"2\"");
        assert_eq!(made["cpu"].content, b"1500");
    }
}
