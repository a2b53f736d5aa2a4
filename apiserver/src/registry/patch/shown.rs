//! How refusals show what a patch made. Upstream's library for JSON and merge patches keeps as text what a patch does not
//! look into and makes maps of the rest, which Go writes in the order of their keys.

use std::collections::BTreeMap;

use apimachinery::schema::{Type, TypeKind};
use apimachinery::{Object, Value, go};

use super::{Into, Patch};

/// Which levels of an object a patch looked into.
#[derive(Debug, Default)]
struct Opened {
    below: BTreeMap<String, Opened>,
    /// All below are in the order of their keys.
    all: bool,
}

/// The object that a patch made, or of a strategic one the patch itself.
pub(super) fn text(patch: &Patch, object: &Value, into: Into<'_>) -> String {
    let mut opened = Opened { all: into.custom.is_some(), ..Opened::default() };
    match patch {
        Patch::Strategic(patch) => return go::display(patch),
        Patch::Json(patch) => {
            for path in patch.pointers() {
                let parts: Vec<String> =
                    path.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
                if let Some((_, parents)) = parts.split_last() {
                    parents
                        .iter()
                        .fold(&mut opened, |here, part| here.below.entry(part.clone()).or_default());
                }
            }
        }
        Patch::Merge(patch) => opened.merged(patch, object),
        Patch::Apply(_) => {}
    }
    let mut shown = object.clone();
    order_metadata(&mut shown, into.ty);
    order(&mut shown, &opened);
    shown.to_json_string()
}

impl Opened {
    /// What was there is looked into where the patch has an object, and what the patch brings is as a whole.
    fn merged(&mut self, patch: &Value, object: &Value) {
        for (key, value) in patch.as_object().into_iter().flat_map(Object::iter) {
            let below = self.below.entry(key.to_owned()).or_default();
            match object.get(key) {
                Some(result) if value.is_object() => below.merged(value, result),
                _ => {}
            }
        }
    }
}

/// Levels that were looked into in the order of their keys; others stay as they stand in the object or the patch.
fn order(value: &mut Value, opened: &Opened) {
    let every = Opened { all: true, ..Opened::default() };
    let below = |name: &str| if opened.all { Some(&every) } else { opened.below.get(name) };
    if let Some(array) = value.as_array_mut() {
        for (at, item) in array.iter_mut().enumerate() {
            if let Some(opened) = below(&at.to_string()) {
                order(item, opened);
            }
        }
    }
    let Some(object) = value.as_object_mut() else { return };
    for (name, member) in object.iter_mut() {
        if let Some(opened) = below(name) {
            order(member, opened);
        }
    }
    object.sort_keys();
}

/// Puts metadata in the order of its type: the server adds the revision at its end.
fn order_metadata(object: &mut Value, ty: &Type) {
    let TypeKind::Struct(fields) = &ty.kind else { return };
    let Some(TypeKind::Struct(fields)) = fields.field("metadata").map(|field| &field.ty.get().kind) else {
        return;
    };
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let mut rest = std::mem::take(metadata);
    for field in &fields.fields {
        if let Some(member) = rest.remove(&field.name) {
            metadata.insert(&field.name, member);
        }
    }
    for (name, member) in rest {
        metadata.insert_owned(name, member);
    }
}
