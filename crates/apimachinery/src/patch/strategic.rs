//! Strategic merge patch: a merge patch that knows from the type how lists merge, steered by directives in the patch
//! (`$patch`, `$retainKeys`, `$setElementOrder/...`, `$deleteFromPrimitiveList/...`).
//!
//! The order of merged lists follows upstream: items of the patch take the patch's order, items that only the server has
//! keep theirs, and the two are woven by the server's order. Where upstream looks through lists for each element we look
//! up an index, so that a large patch is not quadratic.

mod list;

use super::PatchError;
use crate::schema::{Type, TypeKind, TypeRef};
use crate::{Object, Value, go};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ELEMENT_ORDER: &str = "$setElementOrder";
const DELETE_FROM_PRIMITIVE_LIST: &str = "$deleteFromPrimitiveList";

type Outcome<T> = Result<T, PatchError>;

/// Applies a patch (null: none) to an object of the given type.
pub fn apply(original: &mut Value, patch: Value, ty: &TypeRef) -> Outcome<()> {
    let Some(patch) = patch.into_object() else { return Ok(()) };
    merge_object(original, patch, Some(ty))
}

fn plain(text: impl Into<String>) -> PatchError {
    PatchError::Plain(text.into())
}

/// How one field merges.
struct FieldRule<'t> {
    /// The type of the field (of a list: of its elements), when it is known.
    ty: Option<&'t TypeRef>,
    merge: bool,
    replace: bool,
    key: &'t str,
}

/// Looks a field up; what has no schema merges as a merge patch would, with atomic lists.
fn field_rule<'t>(ty: Option<&'t Type>, name: &str) -> FieldRule<'t> {
    let unknown = FieldRule { ty: None, merge: false, replace: false, key: "" };
    let (ty, strategy, key) = match ty.map(|ty| &ty.kind) {
        Some(TypeKind::Struct(fields)) => match fields.field(name) {
            Some(field) => (field.ty.get(), field.patch_strategy.as_str(), field.patch_merge_key.as_str()),
            None => return unknown,
        },
        Some(TypeKind::Map { value, .. }) => (value.get(), "", ""),
        _ => return unknown,
    };
    let ty = match &ty.kind {
        TypeKind::List(list) => list.element.get(),
        _ => ty,
    };
    let has = |word: &str| strategy.split(',').any(|s| s == word);
    FieldRule { ty: Some(ty), merge: has("merge"), replace: has("replace"), key }
}

fn is_parallel_list(key: &str, directive: &str) -> bool {
    key.strip_prefix(directive).is_some_and(|rest| rest.starts_with('/'))
}

/// The field that `$directive/field` names.
fn named_field(key: &str) -> Outcome<&str> {
    match key.split_once('/') {
        Some((_, field)) if !field.is_empty() => Ok(field),
        _ => Err(plain(format!("invalid patch format of {key}"))),
    }
}

/// Merges `patch` into what should be an object (anything else becomes one).
fn merge_object(original: &mut Value, mut patch: Object, ty: Option<&TypeRef>) -> Outcome<()> {
    if let Some(directive) = patch.get(PATCH) {
        match directive.as_str() {
            Some("replace") => {
                patch.remove(PATCH);
                *original = patch.into();
            }
            Some("delete") => *original = Value::object(),
            _ => return Err(bad_patch_type(directive, patch.clone().into())),
        }
        return Ok(());
    }
    if !original.is_object() {
        *original = Value::object();
    }
    let members = original.as_object_mut().expect("made an object above");
    retain_keys(members, &mut patch)?;
    let ty = ty.map(|ty| &**ty);
    set_element_orders(members, &mut patch, ty)?;
    for (key, value) in patch {
        merge_member(members, &key, value, ty)?;
    }
    Ok(())
}

fn bad_patch_type(directive: &Value, patch: Value) -> PatchError {
    plain(format!("unknown patch type: {} in map: {}", go::display(directive), go::display(&patch)))
}

fn merge_member(members: &mut Object, key: &str, value: Value, ty: Option<&Type>) -> Outcome<()> {
    let delete_list = is_parallel_list(key, DELETE_FROM_PRIMITIVE_LIST);
    let key = if delete_list { named_field(key)? } else { key };
    if value.is_null() {
        members.remove(key);
        return Ok(());
    }
    let current = members.get_mut(key);
    let same_shape = current.as_ref().is_some_and(|current| {
        current.is_object() && value.is_object() || current.is_array() && value.is_array()
    });
    match current {
        Some(current) if same_shape => {
            let rule = field_rule(ty, key);
            if value.is_array() {
                let patch = value.into_array().expect("of the same shape");
                let slot = current.as_array_mut().expect("of the same shape");
                if rule.merge || delete_list {
                    *slot = list::merge(std::mem::take(slot), patch, &rule, delete_list)?;
                } else {
                    *slot = patch;
                }
            } else if rule.replace {
                *current = value;
            } else {
                merge_object(current, value.into_object().expect("of the same shape"), rule.ty)?;
            }
        }
        _ if delete_list => {}
        _ => {
            if let Some(value) = taken_as_new(value) {
                members.insert(key, value);
            }
        }
    }
    Ok(())
}

/// What a patch leaves where there was nothing: without nulls and without anything that has a directive.
fn taken_as_new(mut value: Value) -> Option<Value> {
    if let Some(object) = value.as_object_mut() {
        if object.contains_key(PATCH) {
            return None;
        }
        object.retain(|key, member| {
            let directive = key == RETAIN_KEYS
                || is_parallel_list(key, SET_ELEMENT_ORDER)
                || is_parallel_list(key, DELETE_FROM_PRIMITIVE_LIST);
            if directive || member.is_null() {
                return false;
            }
            match taken_as_new(member.take()) {
                Some(kept) => *member = kept,
                None => return false,
            }
            true
        });
    } else if let Some(array) = value.as_array_mut() {
        *array = std::mem::take(array).into_iter().filter_map(taken_as_new).collect();
    }
    Some(value)
}

/// `$retainKeys`: drops what is not in the list, which must name every field of the patch.
fn retain_keys(members: &mut Object, patch: &mut Object) -> Outcome<()> {
    let Some(directive) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let bad = || PatchError::BadRequest("invalid patch format of retainKeys".into());
    let keys: std::collections::BTreeSet<&str> =
        directive.as_array().ok_or_else(bad)?.iter().filter_map(Value::as_str).collect();
    let named = |(key, value): (&str, &Value)| {
        value.is_null()
            || is_parallel_list(key, DELETE_FROM_PRIMITIVE_LIST)
            || is_parallel_list(key, SET_ELEMENT_ORDER)
            || keys.contains(key)
    };
    if !patch.iter().all(named) {
        return Err(bad());
    }
    members.retain(|key, _| keys.contains(key));
    Ok(())
}

/// `$setElementOrder/field`: merges the field's list, if the patch has it, and orders the result.
fn set_element_orders(members: &mut Object, patch: &mut Object, ty: Option<&Type>) -> Outcome<()> {
    let directives: Vec<String> =
        patch.keys().filter(|key| is_parallel_list(key, SET_ELEMENT_ORDER)).map(str::to_owned).collect();
    for directive in directives {
        let order = patch.remove(&directive).expect("its key was just seen");
        let field = named_field(&directive)?;
        let wrong = |value: &Value| {
            plain(format!("expected a []interface {{}}, but received a {}", go::type_name(value)))
        };
        let order = match order.as_array() {
            Some(order) => order,
            None => return Err(wrong(&order)),
        };
        let changes = match patch.get(field) {
            Some(value) if !value.is_array() => return Err(wrong(value)),
            Some(_) => patch.remove(field).and_then(Value::into_array),
            None => None,
        };
        let current = match members.get(field) {
            Some(value) if !value.is_array() => return Err(wrong(value)),
            value => value.and_then(Value::as_array),
        };
        let rule = field_rule(ty, field);
        if let Some(ordered) = list::merge_in_order(current, changes, order, &rule)? {
            members.insert(field, ordered);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
