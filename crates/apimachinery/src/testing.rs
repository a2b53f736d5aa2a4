//! Small types for the tests of this crate, where `kinds` with the real ones is out of reach.

use crate::schema::{Field, Lazy, List, ListType, MapKey, MapType, Scalar, Struct, Type, TypeKind, TypeRef};

fn anonymous(kind: TypeKind) -> TypeRef {
    TypeRef::new(Type { name: String::new(), kind })
}

pub(crate) fn scalar() -> TypeRef {
    of(Scalar::String)
}

pub(crate) fn of(scalar: Scalar) -> TypeRef {
    anonymous(TypeKind::Scalar(scalar))
}

pub(crate) fn any() -> TypeRef {
    anonymous(TypeKind::Any)
}

pub(crate) fn map(value: TypeRef) -> TypeRef {
    anonymous(TypeKind::Map { value: Lazy::ready(value), list_type: MapType::Granular })
}

pub(crate) fn atomic_map(value: TypeRef) -> TypeRef {
    anonymous(TypeKind::Map { value: Lazy::ready(value), list_type: MapType::Atomic })
}

fn list_of(element: TypeRef, list_type: ListType) -> TypeRef {
    anonymous(TypeKind::List(List { element: Lazy::ready(element), list_type }))
}

pub(crate) fn list(element: TypeRef) -> TypeRef {
    list_of(element, ListType::Atomic)
}

pub(crate) fn set(element: TypeRef) -> TypeRef {
    list_of(element, ListType::Set)
}

/// A list of objects told apart by keys, each with its default.
pub(crate) fn keyed(element: TypeRef, keys: &[(&str, Option<&str>)]) -> TypeRef {
    let key = |(name, default): &(&str, Option<&str>)| MapKey {
        name: (*name).into(),
        default: default.map(crate::Value::from),
    };
    list_of(element, ListType::Map(keys.iter().map(key).collect()))
}

pub(crate) fn field(name: &str, ty: TypeRef) -> Field {
    Field {
        name: name.into(),
        ty: Lazy::ready(ty),
        required: false,
        pointer: false,
        omitempty: true,
        omitzero: false,
        nullable: false,
        proto: 0,
        patch_strategy: String::new(),
        patch_merge_key: String::new(),
        default: None,
        enum_values: Vec::new(),
    }
}

/// A list field with patch strategy "merge".
pub(crate) fn merge_list(name: &str, element: TypeRef, key: &str) -> Field {
    let ty = if key.is_empty() { set(element) } else { keyed(element, &[(key, None)]) };
    Field { patch_strategy: "merge".into(), patch_merge_key: key.into(), ..field(name, ty) }
}

fn structure_with(fields: Vec<Field>, atomic: bool) -> TypeRef {
    let by_name = fields.iter().enumerate().map(|(i, field)| (field.name.clone(), i)).collect();
    anonymous(TypeKind::Struct(Struct { fields, by_name, atomic, ..Struct::default() }))
}

pub(crate) fn structure(fields: Vec<Field>) -> TypeRef {
    structure_with(fields, false)
}

pub(crate) fn atomic_structure(fields: Vec<Field>) -> TypeRef {
    structure_with(fields, true)
}
