//! kubectl's annotation of client-side apply: what it lets a first server-side apply take over, and keeping it up to date
//! for those who go back.

use super::{FieldManager, Set, check};
use crate::{ParseOptions, Value, meta};

/// The one manager that the annotation is for.
pub(super) const MANAGER: &str = "kubectl";
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Annotations of an object may have this many bytes; a longer configuration is dropped.
const TOTAL_MAX: usize = 256 * 1024;

/// The fields that the annotation names and that are still as they were applied; `None` when it tells nothing.
pub(super) fn owned(manager: &FieldManager<'_>, live: &Value) -> Option<Set> {
    let text = meta::annotation(live, ANNOTATION)?;
    let last = Value::parse_json(text.as_bytes(), &ParseOptions::default()).ok()?.value;
    if meta::api_version(&last) != manager.api_version
        || check::check(manager.ty, &last, false, check::Metadata::Known).is_err()
    {
        return None;
    }
    let changes = manager.compare_plain(&last, live)?;
    let set = manager.field_set(&last);
    Some(set.difference(&changes.modified).difference(&changes.added).difference(&changes.removed))
}

/// Writes the applied configuration into the annotation of an object that has one.
pub(super) fn refresh(object: &mut Value, applied: &Value) {
    if meta::annotation(object, ANNOTATION).is_none_or(str::is_empty) {
        return;
    }
    let mut config = applied.clone();
    config.remove_at(&["metadata", "annotations", ANNOTATION]);
    sort_keys(&mut config);
    let text = format!("{}\n", config.to_json_string());
    let path = ["metadata", "annotations", ANNOTATION];
    let others: usize = meta::annotations(object)
        .filter(|(key, _)| *key != ANNOTATION)
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if others + ANNOTATION.len() + text.len() > TOTAL_MAX {
        object.remove_at(&path);
    } else {
        object.set_at(&path, text);
    }
}

fn sort_keys(value: &mut Value) {
    if let Some(object) = value.as_object_mut() {
        object.sort_keys();
        object.iter_mut().for_each(|(_, member)| sort_keys(member));
    } else if let Some(array) = value.as_array_mut() {
        array.iter_mut().for_each(sort_keys);
    }
}
