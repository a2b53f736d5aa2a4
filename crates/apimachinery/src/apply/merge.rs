//! Merging an applied configuration into an object, and taking fields out of one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::element::Element;
use super::set::Set;
use super::shape::{Below, Shape, Types, bare, item_element};
use crate::schema::{List, Type};
use crate::{Object, Value};

/// The live object with the applied one merged in. Fields and items keep the live object's order; new ones follow.
pub(super) fn merge(types: Types, ty: &Type, live: &Value, applied: &Value) -> Result<Value, String> {
    Ok(walk(types, types.shape(ty), Some(live), Some(applied))?.unwrap_or_else(Value::object))
}

fn leaf(live: Option<&Value>, applied: Option<&Value>) -> Option<Value> {
    applied.or(live).cloned()
}

fn walk(
    types: Types,
    shape: Shape<'_>,
    live: Option<&Value>,
    applied: Option<&Value>,
) -> Result<Option<Value>, String> {
    let Some(wanted) = applied else { return Ok(live.cloned()) };
    let whole = match shape {
        Shape::Leaf => true,
        Shape::Deduced => !(wanted.is_object() || wanted.is_null() && live.is_some_and(Value::is_object)),
        _ => false,
    };
    if whole || (bare(live) && bare(applied)) {
        return Ok(leaf(live, applied));
    }
    match shape {
        Shape::List(list) => items(types, list, live, wanted),
        _ => objects(types, shape, live.and_then(Value::as_object), wanted.as_object()),
    }
}

fn objects(
    types: Types,
    shape: Shape<'_>,
    live: Option<&Object>,
    applied: Option<&Object>,
) -> Result<Option<Value>, String> {
    let mut out = Object::with_capacity(live.map_or(0, Object::len).max(applied.map_or(0, Object::len)));
    let mut member = |name: &str, a: Option<&Value>, b: Option<&Value>| -> Result<(), String> {
        if let Some(value) = walk(types, shape.below(name).0.shape(types), a, b)? {
            out.insert(name, value);
        }
        Ok(())
    };
    for (name, value) in live.into_iter().flat_map(|o| o.iter()) {
        member(name, Some(value), applied.and_then(|o| o.get(name)))?;
    }
    for (name, value) in applied.into_iter().flat_map(|o| o.iter()) {
        if live.is_none_or(|o| !o.contains_key(name)) {
            member(name, None, Some(value))?;
        }
    }
    Ok((!out.is_empty()).then(|| out.into()))
}

/// Items by their elements; `None` for elements that stand for several.
type Observed<'a> = BTreeMap<Element, Option<&'a Value>>;

fn observe<'a>(list: &List, items: &'a [Value]) -> Result<(Vec<Element>, Observed<'a>), String> {
    let mut observed = Observed::new();
    let mut elements = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let element = item_element(list, item).map_err(|why| format!("element {i}: {why}"))?;
        observed.entry(element.clone()).and_modify(|slot| *slot = None).or_insert(Some(item));
        elements.push(element);
    }
    Ok((elements, observed))
}

/// Weaves two lists: shared items stand in the applied order, items of the live list alone keep their place among them.
fn items(types: Types, list: &List, live: Option<&Value>, applied: &Value) -> Result<Option<Value>, String> {
    let live_items = live.and_then(Value::as_array).unwrap_or_default();
    let (lefts, left) = observe(list, live_items)?;
    let (rights, right) = observe(list, applied.as_array().unwrap_or_default())?;
    let shape = Below::Type(list.element.get()).shape(types);
    let mut shared: VecDeque<&Element> = rights.iter().filter(|e| left.contains_key(*e)).collect();
    let mut next_shared = shared.pop_front();
    let mut merged = BTreeSet::new();
    let mut out = Vec::with_capacity(lefts.len().max(rights.len()));
    let (mut l, mut r) = (0, 0);
    let both = |element: &Element| {
        let live = left.get(element).copied().flatten();
        let applied = right.get(element).copied().flatten();
        walk(types, shape, live, applied)
    };
    while l < lefts.len() || r < rights.len() {
        if l < lefts.len() && r < rights.len() {
            if lefts[l] == rights[r] {
                out.extend(both(&lefts[l])?);
                merged.insert(&lefts[l]);
                l += 1;
                r += 1;
                next_shared = shared.pop_front();
                continue;
            }
            // A shared item, but not the one whose turn it is.
            if right.contains_key(&lefts[l]) && next_shared.is_some_and(|next| *next != lefts[l]) {
                l += 1;
                continue;
            }
        }
        if l < lefts.len() {
            if !right.contains_key(&lefts[l]) {
                out.extend(walk(types, shape, Some(&live_items[l]), None)?);
                l += 1;
                continue;
            }
            if merged.contains(&lefts[l]) {
                l += 1;
            }
        }
        if r < rights.len() {
            out.extend(both(&rights[r])?);
            merged.insert(&rights[r]);
            if next_shared == Some(&rights[r]) {
                next_shared = shared.pop_front();
            }
            r += 1;
        }
    }
    Ok((!out.is_empty()).then(|| out.into()))
}

/// The value without the fields of the set. What is emptied by that stays, without anything in it.
pub(super) fn remove(types: Types, ty: &Type, value: &Value, gone: &Set) -> Value {
    if gone.is_empty() {
        return value.clone();
    }
    take_out(types, types.shape(ty), value, gone)
}

fn take_out(types: Types, shape: Shape<'_>, value: &Value, gone: &Set) -> Value {
    match (shape, value.as_object(), value.as_array()) {
        (Shape::List(list), _, Some(items)) => {
            let below = Below::Type(list.element.get()).shape(types);
            let kept: Vec<Value> = items
                .iter()
                .filter_map(|item| {
                    let Ok(element) = item_element(list, item) else { return Some(item.clone()) };
                    if gone.has_element(&element) {
                        return None;
                    }
                    Some(match gone.below(&element) {
                        Some(gone) => take_out(types, below, item, gone),
                        None => item.clone(),
                    })
                })
                .collect();
            kept.into()
        }
        (Shape::Struct(_) | Shape::Map(_) | Shape::Deduced, Some(object), _) => {
            let mut kept = Object::with_capacity(object.len());
            for (name, member) in object.iter() {
                let element = Element::field(name);
                if gone.has_element(&element) {
                    continue;
                }
                let member = match gone.below(&element) {
                    Some(gone) => take_out(types, shape.below(name).0.shape(types), member, gone),
                    None => member.clone(),
                };
                kept.insert(name, member);
            }
            kept.into()
        }
        // Fields below something atomic cannot be taken out one by one.
        (Shape::Leaf, Some(_), _) | (Shape::Leaf, _, Some(_)) => Value::NULL,
        _ => value.clone(),
    }
}
