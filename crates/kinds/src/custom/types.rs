//! A structural schema as a [`Type`]: what server-side apply and managedFields see of a custom resource.

use std::sync::Arc;

use apimachinery::schema::{
    Field, Lazy, List, ListType, MapKey, MapType, Scalar, Struct, Type, TypeKind, TypeRef,
};

use super::schema::{Additional, Schema};

/// The type of a whole object. `metadata` is metav1's ObjectMeta, whatever the schema says of it.
pub(super) fn object(name: &str, schema: &Schema, metadata: &TypeRef) -> TypeRef {
    let mut body = structure(schema, metadata);
    add_type_and_metadata(&mut body, metadata);
    Arc::new(Type { name: name.to_owned(), kind: TypeKind::Struct(body) })
}

fn of(schema: &Schema, metadata: &TypeRef) -> TypeRef {
    Arc::new(Type { name: String::new(), kind: kind(schema, metadata) })
}

fn kind(schema: &Schema, metadata: &TypeRef) -> TypeKind {
    if schema.int_or_string {
        return TypeKind::Scalar(Scalar::IntOrString);
    }
    match schema.kind.as_str() {
        "string" => TypeKind::Scalar(Scalar::String),
        "integer" => TypeKind::Scalar(Scalar::Int64),
        "number" => TypeKind::Scalar(Scalar::Float64),
        "boolean" => TypeKind::Scalar(Scalar::Bool),
        "array" => list(schema, metadata),
        "object" => map_or_struct(schema, metadata),
        _ => TypeKind::Any,
    }
}

fn map_or_struct(schema: &Schema, metadata: &TypeRef) -> TypeKind {
    let atomic = schema.map_type == "atomic";
    if !schema.properties.is_empty() || schema.embedded {
        let mut body = structure(schema, metadata);
        if schema.embedded {
            add_type_and_metadata(&mut body, metadata);
        }
        return TypeKind::Struct(body);
    }
    let value = match &schema.additional {
        Some(Additional::Of(value)) => of(value, metadata),
        _ if atomic => Arc::new(Type { name: String::new(), kind: TypeKind::Any }),
        _ => return TypeKind::Any,
    };
    let list_type = if atomic { MapType::Atomic } else { MapType::Granular };
    TypeKind::Map { value: Lazy::ready(value), list_type }
}

fn structure(schema: &Schema, metadata: &TypeRef) -> Struct {
    let mut body = Struct {
        atomic: schema.map_type == "atomic",
        preserve_unknown: schema.preserve_unknown || schema.additional.is_some(),
        ..Struct::default()
    };
    for (name, property) in &schema.properties {
        let required = schema.rules.required.contains(name);
        put(&mut body, name, of(property, metadata), required, property);
    }
    body
}

fn put(body: &mut Struct, name: &str, ty: TypeRef, required: bool, schema: &Schema) {
    let field = Field {
        name: name.to_owned(),
        ty: Lazy::ready(ty),
        required,
        // Nothing of a custom resource is made or left out by Go's rules.
        pointer: true,
        omitempty: true,
        omitzero: false,
        nullable: schema.nullable,
        proto: 0,
        patch_strategy: String::new(),
        patch_merge_key: String::new(),
        default: schema.default.clone(),
        enum_values: Vec::new(),
    };
    match body.by_name.get(name) {
        Some(at) => body.fields[*at] = field,
        None => {
            body.by_name.insert(name.to_owned(), body.fields.len());
            body.fields.push(field);
        }
    }
}

fn add_type_and_metadata(body: &mut Struct, metadata: &TypeRef) {
    let text = || Arc::new(Type { name: String::new(), kind: TypeKind::Scalar(Scalar::String) });
    let plain = Schema::default();
    put(body, "apiVersion", text(), false, &plain);
    put(body, "kind", text(), false, &plain);
    put(body, "metadata", Arc::clone(metadata), false, &plain);
}

fn list(schema: &Schema, metadata: &TypeRef) -> TypeKind {
    let plain = Schema::default();
    let items = schema.items.as_deref().unwrap_or(&plain);
    let list_type = match schema.list_type.as_str() {
        "set" => ListType::Set,
        "map" => ListType::Map(
            schema
                .map_keys
                .iter()
                .map(|name| MapKey {
                    name: name.clone(),
                    default: items.properties.get(name).and_then(|key| key.default.clone()),
                })
                .collect(),
        ),
        _ => ListType::Atomic,
    };
    TypeKind::List(List { element: Lazy::ready(of(items, metadata)), list_type })
}
