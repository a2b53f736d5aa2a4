//! Events of the legacy group and of `events.k8s.io`: the same fields under other names.

use apimachinery::{Object, Value};

/// Name in the legacy group, name in `events.k8s.io`.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

pub(super) fn rename(value: Value, to_new: bool) -> Value {
    let Some(object) = value.as_object() else { return value };
    let mut renamed = Object::with_capacity(object.len());
    for (key, value) in object.iter() {
        let name = NAMES.iter().find_map(|(old, new)| match to_new {
            true if *old == key => Some(*new),
            false if *new == key => Some(*old),
            _ => None,
        });
        renamed.insert(name.unwrap_or(key), value.clone());
    }
    renamed.into()
}
