//! What is different between two objects of a type, as sets of fields.

use std::collections::BTreeMap;

use super::element::Element;
use super::set::Set;
use super::shape::{Below, Shape, Types, bare, item_element, same};
use crate::Value;
use crate::schema::{List, Type};

/// The fields that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    pub added: Set,
    pub modified: Set,
    pub removed: Set,
}

impl Comparison {
    pub fn is_same(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    /// Takes the fields away, and all that is below them.
    pub(super) fn exclude(mut self, fields: &Set) -> Self {
        for set in [&mut self.added, &mut self.modified, &mut self.removed] {
            set.subtract_recursively(fields);
        }
        self
    }

    fn push(&mut self, element: &Element, mark: Option<Mark>, below: Comparison) {
        let marked = |m: Mark| mark == Some(m);
        // Most elements are the same on both sides: nothing is cloned for them.
        if marked(Mark::Added) || !below.added.is_empty() {
            self.added.push(element.clone(), marked(Mark::Added), below.added);
        }
        if marked(Mark::Modified) || !below.modified.is_empty() {
            self.modified.push(element.clone(), marked(Mark::Modified), below.modified);
        }
        if marked(Mark::Removed) || !below.removed.is_empty() {
            self.removed.push(element.clone(), marked(Mark::Removed), below.removed);
        }
    }

    fn sort(&mut self) {
        self.added.sort();
        self.modified.sort();
        self.removed.sort();
    }
}

/// What became of one element itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Added,
    Modified,
    Removed,
}

/// Compares two objects; an error says that an item of a list has no key.
pub(super) fn compare(types: Types, ty: &Type, old: &Value, new: &Value) -> Result<Comparison, String> {
    let mut found = Comparison::default();
    walk(types, types.shape(ty), Some(old), Some(new), &mut found)?;
    Ok(found)
}

fn leaf(old: Option<&Value>, new: Option<&Value>) -> Option<Mark> {
    match (old, new) {
        (None, Some(_)) => Some(Mark::Added),
        (Some(_), None) => Some(Mark::Removed),
        (Some(old), Some(new)) if !same(old, new) => Some(Mark::Modified),
        _ => None,
    }
}

/// The shape that a value without a description has; absent ones and null take that of the other side.
fn deduce(value: Option<&Value>) -> Option<bool> {
    value.filter(|v| !v.is_null()).map(Value::is_object)
}

fn walk(
    types: Types,
    shape: Shape<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
    found: &mut Comparison,
) -> Result<Option<Mark>, String> {
    if let Shape::Leaf = shape {
        return Ok(leaf(old, new));
    }
    if let Shape::Deduced = shape {
        match (deduce(old), deduce(new)) {
            (Some(true) | None, Some(true)) | (Some(true), None) => {}
            // A map became something else, or something else a map.
            (Some(true), Some(false)) | (Some(false), Some(true)) => {
                objects(types, shape, old, new, found)?;
                return Ok(leaf(old, new));
            }
            _ => return Ok(leaf(old, new)),
        }
    }
    if bare(old) && bare(new) {
        return Ok(leaf(old, new));
    }
    match shape {
        Shape::List(list) => items(types, list, old, new, found)?,
        _ => objects(types, shape, old, new, found)?,
    }
    Ok(match (old, new) {
        (None, _) => Some(Mark::Added),
        (_, None) => Some(Mark::Removed),
        _ => None,
    })
}

fn objects(
    types: Types,
    shape: Shape<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
    found: &mut Comparison,
) -> Result<(), String> {
    let old = old.and_then(Value::as_object);
    let new = new.and_then(Value::as_object);
    let mut member = |name: &str, a: Option<&Value>, b: Option<&Value>| -> Result<(), String> {
        let mut below = Comparison::default();
        let mark = walk(types, shape.below(name).0.shape(types), a, b, &mut below)?;
        if mark.is_some() || !below.is_same() {
            found.push(&Element::field(name), mark, below);
        }
        Ok(())
    };
    for (name, value) in old.into_iter().flat_map(|o| o.iter()) {
        member(name, Some(value), new.and_then(|o| o.get(name)))?;
    }
    for (name, value) in new.into_iter().flat_map(|o| o.iter()) {
        if old.is_none_or(|o| !o.contains_key(name)) {
            member(name, None, Some(value))?;
        }
    }
    found.sort();
    Ok(())
}

/// The items of both sides that have the same key.
#[derive(Default)]
struct Pair<'a> {
    old: Vec<&'a Value>,
    new: Vec<&'a Value>,
}

fn items(
    types: Types,
    list: &List,
    old: Option<&Value>,
    new: Option<&Value>,
    found: &mut Comparison,
) -> Result<(), String> {
    let old = old.and_then(Value::as_array).unwrap_or_default();
    let new = new.and_then(Value::as_array).unwrap_or_default();
    // The usual case: nothing changed in the list, and no key has to be built.
    if !old.is_empty() && old.len() == new.len() && old.iter().zip(new).all(|(a, b)| same(a, b)) {
        return Ok(());
    }
    let mut pairs: BTreeMap<Element, Pair<'_>> = BTreeMap::new();
    for item in old {
        pairs.entry(item_element(list, item)?).or_default().old.push(item);
    }
    for item in new {
        pairs.entry(item_element(list, item)?).or_default().new.push(item);
    }
    let shape = Below::Type(list.element.get()).shape(types);
    for (element, pair) in pairs {
        let mut below = Comparison::default();
        let (first_old, first_new) = (pair.old.first().copied(), pair.new.first().copied());
        let mark = match (pair.old.len(), pair.new.len()) {
            (0 | 1, 0 | 1) => walk(types, shape, first_old, first_new, &mut below)?,
            // Items of the same key are one value.
            (2.., 2..) => {
                let equal = pair.old.len() == pair.new.len()
                    && pair.old.iter().zip(&pair.new).all(|(a, b)| same(a, b));
                (!equal).then_some(Mark::Modified)
            }
            (2.., _) => {
                if first_new.is_some() {
                    let mark = walk(types, shape, None, first_new, &mut below)?;
                    found.push(&element, mark, std::mem::take(&mut below));
                }
                Some(Mark::Removed)
            }
            (_, _) => {
                if first_old.is_some() {
                    let mark = walk(types, shape, first_old, None, &mut below)?;
                    found.push(&element, mark, std::mem::take(&mut below));
                }
                Some(Mark::Added)
            }
        };
        found.push(&element, mark, below);
    }
    found.sort();
    Ok(())
}
