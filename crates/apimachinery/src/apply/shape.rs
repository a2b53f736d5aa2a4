//! How server-side apply sees a type: what it walks into and what it takes as one value, and which path element an item of
//! a list has. Mirrors how upstream turns OpenAPI into structured-merge-diff's schema.

use super::element::{Atom, Element};
use crate::schema::{List, ListType, MapKey, MapType, Scalar, Struct, Type, TypeKind, TypeRef};
use crate::{Object, Value};

/// A type as apply sees it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape<'a> {
    /// One value: a scalar, or what is atomic.
    Leaf,
    Struct(&'a Struct),
    Map(&'a TypeRef),
    /// A set or a list map.
    List(&'a List),
    /// Whatever the value says: maps are walked into, lists are one value. What custom resources preserve.
    Deduced,
}

/// How types without a description are taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Types {
    /// `Any` is what the value says (custom resources) instead of one value (built-in kinds).
    pub(super) deduced: bool,
}

impl Types {
    pub(super) fn shape(self, ty: &Type) -> Shape<'_> {
        match &ty.kind {
            TypeKind::Scalar(_) => Shape::Leaf,
            TypeKind::Struct(body) if body.atomic => Shape::Leaf,
            TypeKind::Struct(body) => Shape::Struct(body),
            TypeKind::Map { list_type: MapType::Atomic, .. } => Shape::Leaf,
            TypeKind::Map { value, .. } => Shape::Map(value.get()),
            TypeKind::List(list) if list.list_type == ListType::Atomic => Shape::Leaf,
            TypeKind::List(list) => Shape::List(list),
            TypeKind::Any if self.deduced => Shape::Deduced,
            TypeKind::Any => Shape::Leaf,
        }
    }
}

/// The type below a key of an object. `Unknown` is a field that the struct does not have.
#[derive(Clone, Copy, Debug)]
pub(super) enum Below<'a> {
    Type(&'a Type),
    Deduced,
    Unknown,
}

impl<'a> Shape<'a> {
    /// What is below `name`, and whether it is a declared field.
    pub(super) fn below(self, name: &str) -> (Below<'a>, bool) {
        match self {
            Shape::Struct(body) => match body.field(name) {
                Some(field) => (Below::Type(field.ty.get()), true),
                None if body.preserve_unknown => (Below::Deduced, false),
                None => (Below::Unknown, false),
            },
            Shape::Map(value) => (Below::Type(value), false),
            _ => (Below::Deduced, false),
        }
    }
}

impl<'a> Below<'a> {
    pub(super) fn shape(self, types: Types) -> Shape<'a> {
        match self {
            Below::Type(ty) => types.shape(ty),
            Below::Deduced => Shape::Deduced,
            // Not to be met in checked values; a lone unknown value is one value.
            Below::Unknown => Shape::Leaf,
        }
    }
}

/// The default of a key that an item leaves out. Built-in types that always write the field default to its zero.
fn key_default(list: &List, key: &MapKey) -> Option<Value> {
    if key.default.is_some() {
        return key.default.clone();
    }
    let TypeKind::Struct(body) = &list.element.get().kind else { return None };
    // Only Go's structs have a protobuf message; a custom resource's defaults are all written down.
    body.proto_message.as_ref()?;
    let field = body.field(&key.name)?;
    if field.pointer || field.omitempty || field.omitzero {
        return None;
    }
    Some(match &field.ty.get().kind {
        TypeKind::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::Float64) => 0i64.into(),
        TypeKind::Scalar(Scalar::Bool) => false.into(),
        _ => "".into(),
    })
}

fn keyed(list: &List, keys: &[MapKey], item: &Object) -> Result<Element, String> {
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        let value = item.get(&key.name).cloned().or_else(|| key_default(list, key));
        if let Some(value) = value {
            found.push((key.name.as_str().into(), Atom(value)));
        }
    }
    if found.is_empty() {
        let names: Vec<String> = keys.iter().map(|key| crate::go::quote(&key.name)).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default \
             values for any key fields)",
            names.join(" ")
        ));
    }
    found.sort();
    Ok(Element::Key(found.into()))
}

/// The path element of an item of a set or list map.
pub(super) fn item_element(list: &List, item: &Value) -> Result<Element, String> {
    match &list.list_type {
        ListType::Map(keys) => match item.as_object() {
            Some(object) => keyed(list, keys, object),
            None if item.is_null() => Err("associative list with keys may not have a null element".into()),
            None => Err("associative list with keys may not have non-map elements".into()),
        },
        _ if item.is_object() => Err("associative list without keys has an element that's a map type".into()),
        _ if item.is_array() => Err("not supported: associative list with lists as elements".into()),
        _ if item.is_null() => {
            Err("associative list without keys has an element that's an explicit null".into())
        }
        _ => Ok(Element::Value(Atom(item.clone()))),
    }
}

/// Whether two values are the same; `1` and `1.0` are.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    if a.is_number() && b.is_number() {
        return a == b || a.as_f64() == b.as_f64();
    }
    match (a.as_object(), b.as_object(), a.as_array(), b.as_array()) {
        (Some(a), Some(b), ..) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        (_, _, Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        _ => a == b,
    }
}

/// Whether a value is nothing to walk into: absent, null or empty.
pub(super) fn bare(value: Option<&Value>) -> bool {
    match value {
        None => true,
        Some(value) => match (value.as_object(), value.as_array()) {
            (Some(object), _) => object.is_empty(),
            (_, Some(array)) => array.is_empty(),
            _ => true,
        },
    }
}
