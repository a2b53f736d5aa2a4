//! The fields that a value names: what an applied configuration owns.

use std::collections::BTreeSet;

use super::element::Element;
use super::set::Set;
use super::shape::{Below, Shape, Types, item_element};
use crate::Value;
use crate::schema::{List, Type};

/// Every field of an object. Leaves are members, and so are the items of lists and the keys of maps.
pub(super) fn field_set(types: Types, ty: &Type, value: &Value) -> Set {
    let mut set = Set::new();
    inside(types, types.shape(ty), value, &mut set);
    set
}

/// Fills `set` with what is inside a value; says whether the value is a leaf, and so a member itself.
fn inside(types: Types, shape: Shape<'_>, value: &Value, set: &mut Set) -> bool {
    match shape {
        Shape::Leaf => true,
        Shape::Deduced if !value.is_object() => !value.is_null(),
        Shape::List(list) => {
            items(types, list, value.as_array().unwrap_or_default(), set);
            false
        }
        Shape::Struct(_) | Shape::Map(_) | Shape::Deduced => {
            for (name, member) in value.as_object().into_iter().flat_map(|object| object.iter()) {
                let (below, declared) = shape.below(name);
                let mut children = Set::new();
                let leaf = inside(types, below.shape(types), member, &mut children);
                let bare = member.is_null() || member.as_object().is_some_and(|o| o.is_empty());
                set.push(Element::field(name), leaf || bare || !declared, children);
            }
            set.sort();
            false
        }
    }
}

fn items(types: Types, list: &List, items: &[Value], set: &mut Set) {
    let elements: Vec<Option<Element>> = items.iter().map(|item| item_element(list, item).ok()).collect();
    let (mut seen, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for element in elements.iter().flatten() {
        if !seen.insert(element) {
            twice.insert(element.clone());
        }
    }
    for (item, element) in items.iter().zip(elements) {
        let Some(element) = element else { continue };
        // Items of the same key are owned as one, whatever is in them.
        if twice.contains(&element) {
            continue;
        }
        let mut children = Set::new();
        inside(types, Below::Type(list.element.get()).shape(types), item, &mut children);
        set.push(element, true, children);
    }
    for element in twice {
        set.push(element, true, Set::new());
    }
    set.sort();
}
