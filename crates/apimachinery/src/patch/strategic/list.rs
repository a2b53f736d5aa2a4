//! Merging lists: of objects by their merge key, of scalars as sets; and the order of the result.

use std::collections::BTreeMap;

use super::{FieldRule, Outcome, PATCH, SET_ELEMENT_ORDER, merge_object, plain, taken_as_new};
use crate::patch::PatchError;
use crate::{Value, go};

/// Where each element stands first, by its text (of objects: by that of the merge key).
struct Positions(BTreeMap<Vec<u8>, usize>);

impl Positions {
    fn of(list: &[Value], key: &str) -> Outcome<Self> {
        let mut positions = BTreeMap::new();
        for (i, element) in list.iter().enumerate() {
            if !key.is_empty() && !element.is_object() {
                return Err(plain(format!("value for key {i} is not a map")));
            }
            if let Some(identity) = identity(element, key) {
                positions.entry(identity).or_insert(i);
            }
        }
        Ok(Self(positions))
    }

    fn find(&self, element: &Value, key: &str) -> Option<usize> {
        self.0.get(&identity(element, key)?).copied()
    }
}

/// What tells an element from others: itself, or its merge key's value.
fn identity(element: &Value, key: &str) -> Option<Vec<u8>> {
    if key.is_empty() { Some(element.to_json()) } else { element.get(key).map(Value::to_json) }
}

fn no_merge_key(element: &Value, key: &str) -> PatchError {
    plain(format!("map: {} does not contain declared merge key: {key}", go::display(element)))
}

/// Whether the elements of all lists are objects; they must all be of one type, and not lists.
fn elements_are_objects(lists: &[&[Value]]) -> Outcome<bool> {
    let mut elements = lists.iter().copied().flatten();
    let Some(first) = elements.next() else {
        return Err(plain("no elements in any of the given slices"));
    };
    if first.is_array() {
        return Err(plain("lists of lists are not supported"));
    }
    let kind = go::type_name(first);
    if elements.any(|element| go::type_name(element) != kind) {
        let shown: Vec<String> = lists.iter().map(|list| go::display(&Value::from(list.to_vec()))).collect();
        return Err(plain(format!("list element types are not identical: [{}]", shown.join(" "))));
    }
    Ok(first.is_object())
}

/// Merges `patch` into `original`; with `delete` the patch names scalars to take out.
pub(super) fn merge(
    original: Vec<Value>,
    patch: Vec<Value>,
    rule: &FieldRule<'_>,
    delete: bool,
) -> Outcome<Vec<Value>> {
    if original.is_empty() && patch.is_empty() {
        return Ok(original);
    }
    if !elements_are_objects(&[&original, &patch])? {
        if delete {
            let gone = Positions::of(&patch, "")?;
            return Ok(original.into_iter().filter(|v| gone.find(v, "").is_none()).collect());
        }
        let mut both = original.clone();
        both.extend(patch.iter().cloned());
        return order(deduplicated(both), &patch, &original, "");
    }
    if rule.key.is_empty() {
        let name = rule.ty.map(|ty| ty.name.as_str()).unwrap_or_default();
        return Err(plain(format!("cannot merge lists without merge key for {name}")));
    }
    let (original, patch) = with_special_elements(original, patch, rule.key)?;
    let merged = merge_elements(&original, &patch, rule)?;
    order(merged, &patch, &original, rule.key)
}

/// The first of each scalar.
fn deduplicated(list: Vec<Value>) -> Vec<Value> {
    let mut seen = std::collections::BTreeSet::new();
    list.into_iter().filter(|v| seen.insert(v.to_json())).collect()
}

/// Obeys elements with `$patch`: takes deleted ones out of the original, or replaces all of it.
fn with_special_elements(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
) -> Outcome<(Vec<Value>, Vec<Value>)> {
    let (mut rest, mut gone, mut replace) = (Vec::new(), Vec::new(), false);
    for element in patch {
        let Some(directive) = element.get(PATCH) else {
            rest.push(element);
            continue;
        };
        match directive.as_str() {
            Some("delete") if element.get(key).is_some() => gone.push(element),
            Some("delete") => return Err(no_merge_key(&element, key)),
            Some("replace") => replace = true,
            Some("merge") => return Err(plain("merging lists cannot yet be specified in the patch")),
            _ => return Err(super::bad_patch_type(directive, element.clone())),
        }
    }
    if replace {
        return Ok((rest, Vec::new()));
    }
    if !gone.is_empty() {
        let gone = Positions::of(&gone, key)?;
        original.retain(|element| gone.find(element, key).is_none());
    }
    Ok((original, rest))
}

fn merge_elements(original: &[Value], patch: &[Value], rule: &FieldRule<'_>) -> Outcome<Vec<Value>> {
    let mut merged = original.to_vec();
    let mut positions = Positions::of(original, rule.key)?;
    for element in patch {
        let identity = identity(element, rule.key).ok_or_else(|| no_merge_key(element, rule.key))?;
        match positions.0.get(&identity) {
            Some(&at) => {
                let element = element.clone().into_object().expect("all elements are objects");
                merge_object(&mut merged[at], element, rule.ty)?;
            }
            None => {
                positions.0.insert(identity, merged.len());
                merged.extend(taken_as_new(element.clone()));
            }
        }
    }
    Ok(merged)
}

/// Weaves elements that `patch_order` names (in its order) with the others (in the server's order).
fn order(
    merged: Vec<Value>,
    patch_order: &[Value],
    server_order: &[Value],
    key: &str,
) -> Outcome<Vec<Value>> {
    let by_patch = Positions::of(patch_order, key)?;
    let by_server = Positions::of(server_order, key)?;
    let (mut from_patch, mut server_only) = (Vec::new(), Vec::new());
    for element in merged {
        if !key.is_empty() && element.get(key).is_none() {
            return Err(no_merge_key(&element, key));
        }
        match by_patch.find(&element, key) {
            Some(at) => from_patch.push((at, element)),
            None => server_only.push((by_server.find(&element, key), element)),
        }
    }
    from_patch.sort_by_key(|(at, _)| *at);
    server_only.sort_by_key(|(at, _)| *at);
    let mut woven = Vec::with_capacity(from_patch.len() + server_only.len());
    let mut from_patch = from_patch.into_iter().map(|(_, element)| element).peekable();
    let mut server_only = server_only.into_iter().peekable();
    loop {
        let server_first = match (server_only.peek(), from_patch.peek()) {
            (None, None) => return Ok(woven),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some((server, _)), Some(patch)) => match (server, by_server.find(patch, key)) {
                (Some(server), Some(patch)) => *server < patch,
                _ => false,
            },
        };
        if server_first {
            woven.extend(server_only.next().map(|(_, element)| element));
        } else {
            woven.extend(from_patch.next());
        }
    }
}

/// A list with `$setElementOrder`: `None` when there is neither a list nor a change to it.
pub(super) fn merge_in_order(
    current: Option<&[Value]>,
    changes: Option<Vec<Value>>,
    wanted: &[Value],
    rule: &FieldRule<'_>,
) -> Outcome<Option<Vec<Value>>> {
    check_order(changes.as_deref().unwrap_or_default(), wanted, rule.key)?;
    let server = current.unwrap_or_default();
    elements_are_objects_if_any(&[server, changes.as_deref().unwrap_or_default()], rule.key)?;
    let merged = match (current, changes) {
        (None, None) => return Ok(None),
        (Some(current), None) => current.to_vec(),
        (None, Some(changes)) => changes.into_iter().filter_map(taken_as_new).collect(),
        (Some(current), Some(changes)) if rule.merge => merge(current.to_vec(), changes, rule, false)?,
        (Some(_), Some(changes)) => changes,
    };
    order(merged, wanted, server, rule.key).map(Some)
}

/// Upstream's server crashes on an order for objects that have no merge key; we refuse it.
fn elements_are_objects_if_any(lists: &[&[Value]], key: &str) -> Outcome<()> {
    if elements_are_objects(lists)? && key.is_empty() {
        return Err(PatchError::BadRequest("invalid patch format of setElementOrder list".into()));
    }
    Ok(())
}

/// The elements of the patch must stand in the order that the directive names.
fn check_order(patch: &[Value], wanted: &[Value], key: &str) -> Outcome<()> {
    let mut wanted_left = wanted.iter();
    for element in patch.iter().filter(|e| e.str_at(&[PATCH]) != Some("delete")) {
        let identity = |e: &Value| identity(e, key).ok_or_else(|| no_merge_key(e, key));
        let id = identity(element)?;
        loop {
            match wanted_left.next() {
                Some(candidate) if identity(candidate)? == id => break,
                Some(_) => {}
                None => {
                    return Err(plain(format!(
                        "The order in patch list:\n{}\n doesn't match {SET_ELEMENT_ORDER} list:\n{}\n",
                        go::display(&patch.to_vec().into()),
                        go::display(&wanted.to_vec().into())
                    )));
                }
            }
        }
    }
    Ok(())
}
