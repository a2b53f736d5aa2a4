//! Makes `schema` types out of the packed tables, each when it is first used.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};

use apimachinery::Value;
use apimachinery::schema::{
    Field, Lazy, List, ListType, MapKey, MapType, Scalar, Struct, Type, TypeKind, TypeRef,
};

use crate::blob::{Blob, Reader, Shape};

/// The struct types of the tables, each with its place for the type once it is made.
#[derive(Debug)]
pub(crate) struct Types {
    blob: Blob,
    made: Vec<OnceLock<TypeRef>>,
}

impl Types {
    pub(crate) fn new(blob: Blob) -> Arc<Self> {
        Arc::new(Self { blob, made: std::iter::repeat_with(OnceLock::new).take(blob.n_types()).collect() })
    }

    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.blob.find_type(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        (0..self.blob.n_types()).map(|at| self.blob.type_name(at))
    }

    /// What OpenAPI says of a type beyond what a type is.
    pub(crate) fn published(&self, at: usize) -> Published {
        let mut reader = self.blob.type_body(at);
        let (_proto, _atomic, union) = (reader.string(), reader.byte(), reader.string());
        let mut published = Published { union, ..Published::default() };
        for _ in 0..reader.number() {
            let (name, _number, flags) = (reader.string(), reader.number(), reader.byte());
            let list = reader.string();
            let (_patch, _merge, _default) = (reader.string(), reader.string(), reader.string());
            let zero_default = reader.string();
            reader.skip_type();
            let has_list_type = !list.is_empty();
            let granular = flags & (1 << 5) != 0;
            published.fields.insert(name, PublishedField { has_list_type, granular, zero_default });
        }
        published
    }

    pub(crate) fn get(self: &Arc<Self>, at: usize) -> TypeRef {
        let maker = Maker { blob: self.blob, types: Arc::downgrade(self) };
        self.made[at].get_or_init(|| maker.make(at)).clone()
    }
}

/// Facts of a type that only OpenAPI shows.
#[derive(Debug, Default)]
pub struct Published {
    /// `discriminator(member,member)`; empty when the type is no union.
    pub union: &'static str,
    pub fields: BTreeMap<&'static str, PublishedField>,
}

/// Facts of a field that only OpenAPI shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublishedField {
    /// A list that says nothing is atomic, and shows nothing.
    pub has_list_type: bool,
    /// The field says that it is walked into.
    pub granular: bool,
    /// JSON of a zero value that is shown as the default although the field may be absent; empty for none.
    pub zero_default: &'static str,
}

/// Makes types whose references find the shared ones while the registry lives. They hold it weakly, because it holds
/// them; one that outlives its registry makes its references anew.
#[derive(Clone)]
struct Maker {
    blob: Blob,
    types: Weak<Types>,
}

impl Maker {
    fn make(&self, at: usize) -> TypeRef {
        let mut reader = self.blob.type_body(at);
        let proto = reader.string();
        let atomic = reader.byte() != 0;
        let _union = reader.string();
        let mut body = Struct {
            atomic,
            proto_message: (!proto.is_empty()).then(|| proto.to_owned()),
            ..Struct::default()
        };
        for _ in 0..reader.number() {
            let field = self.field(&mut reader);
            body.by_name.insert(field.name.clone(), body.fields.len());
            body.fields.push(field);
        }
        Arc::new(Type { name: self.blob.type_name(at).to_owned(), kind: TypeKind::Struct(body) })
    }

    fn field(&self, reader: &mut Reader) -> Field {
        let name = reader.string().to_owned();
        let proto = u32::try_from(reader.number()).expect("build.rs packs 32 bits");
        let flags = reader.byte();
        let flag = |bit: u8| flags & (1 << bit) != 0;
        let list = reader.string();
        let (patch, merge, default) = (reader.string(), reader.string(), reader.string());
        let _shows = reader.string();
        let map_type = if flag(4) { MapType::Atomic } else { MapType::Granular };
        let ty = self.lazy(reader, list, map_type);
        Field {
            name,
            ty: if flag(5) { granular(&ty) } else { ty },
            required: flag(3),
            pointer: flag(0),
            omitempty: !flag(1),
            omitzero: flag(2),
            nullable: false,
            proto,
            patch_strategy: patch.to_owned(),
            patch_merge_key: merge.to_owned(),
            default: (!default.is_empty()).then(|| constant(default)),
            enum_values: Vec::new(),
        }
    }

    /// Reads one type. Structs stay unmade until they are asked for; the rest is small.
    fn lazy(&self, reader: &mut Reader, list: &str, map_type: MapType) -> Lazy {
        match reader.shape() {
            Shape::Struct { name } => {
                let maker = self.clone();
                let at = self.blob.find_type(name).expect("the importer names only types that it writes");
                Lazy::new(move || match maker.types.upgrade() {
                    Some(types) => types.get(at),
                    None => maker.make(at),
                })
            }
            Shape::Named { name } => Lazy::ready(self.composite(reader, name, list, map_type)),
            shape => Lazy::ready(self.shaped(reader, &shape, "", list, map_type)),
        }
    }

    /// The type below a name, which stays on it: errors show it.
    fn composite(&self, reader: &mut Reader, name: &str, list: &str, map_type: MapType) -> TypeRef {
        match reader.shape() {
            Shape::Struct { name } => unreachable!("the importer resolves aliases of the struct {name}"),
            shape => self.shaped(reader, &shape, name, list, map_type),
        }
    }

    fn shaped(
        &self,
        reader: &mut Reader,
        shape: &Shape,
        name: &str,
        list: &str,
        map_type: MapType,
    ) -> TypeRef {
        let mut name = name.to_owned();
        let kind = match shape {
            Shape::List => {
                TypeKind::List(List { element: self.lazy(reader, "", map_type), list_type: list_type(list) })
            }
            Shape::Map { key } => {
                // The key's Go type shows in errors only, so it travels in the name, with a mark in front of the value's.
                if name.is_empty() && *key != "string" {
                    name = format!("map[{key}]");
                }
                TypeKind::Map { value: self.lazy(reader, "", MapType::Granular), list_type: map_type }
            }
            Shape::Scalar { word: "any" } => TypeKind::Any,
            Shape::Scalar { word } => TypeKind::Scalar(scalar(word)),
            Shape::Named { .. } | Shape::Struct { .. } => unreachable!("handled by the callers"),
        };
        Arc::new(Type { name, kind })
    }
}

/// The same type, walked into where the struct itself would be one value.
fn granular(ty: &Lazy) -> Lazy {
    let ty = ty.clone();
    Lazy::new(move || {
        let ty = ty.get();
        match &ty.kind {
            TypeKind::Struct(body) if body.atomic => {
                let body = Struct { atomic: false, ..body.clone() };
                Arc::new(Type { name: ty.name.clone(), kind: TypeKind::Struct(body) })
            }
            _ => Arc::clone(ty),
        }
    })
}

fn scalar(word: &str) -> Scalar {
    match word {
        "string" => Scalar::String,
        "bool" => Scalar::Bool,
        "int32" => Scalar::Int32,
        "int64" => Scalar::Int64,
        "float64" => Scalar::Float64,
        "bytes" => Scalar::Bytes,
        "Time" => Scalar::Time,
        "MicroTime" => Scalar::MicroTime,
        "Duration" => Scalar::Duration,
        "Quantity" => Scalar::Quantity,
        "IntOrString" => Scalar::IntOrString,
        "FieldsV1" => Scalar::FieldsV1,
        word => unreachable!("build.rs accepts no type {word}"),
    }
}

/// `atomic`, `set`, `map(containerPort,protocol="TCP")`; a list that says nothing is atomic.
fn list_type(text: &str) -> ListType {
    match text.strip_prefix("map(").and_then(|rest| rest.strip_suffix(')')) {
        Some(keys) => ListType::Map(
            keys.split(',')
                .map(|key| match key.split_once('=') {
                    Some((name, default)) => {
                        MapKey { name: name.to_owned(), default: Some(constant(default)) }
                    }
                    None => MapKey { name: key.to_owned(), default: None },
                })
                .collect(),
        ),
        None if text == "set" => ListType::Set,
        None => ListType::Atomic,
    }
}

/// Defaults are JSON scalars.
fn constant(text: &str) -> Value {
    match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(string) => Value::from(string),
        None => match text {
            "true" => Value::from(true),
            number => Value::from(
                number.parse::<i64>().expect("the tables' defaults are strings, true or integers"),
            ),
        },
    }
}
