//! What a type *is*, as data: the one description that pruning, field validation, defaulting, strategic merge, apply,
//! protobuf and OpenAPI all read. Built-in kinds and custom resources are described alike; `kinds` fills it from its
//! tables, custom resources from their CRD.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// A shared, immutable type description.
pub type TypeRef = Arc<Type>;

/// A type.
#[derive(Debug)]
pub struct Type {
    /// Of a struct the OpenAPI v2 name, such as `io.k8s.api.core.v1.PodSpec`; of a built-in scalar, list or map the name
    /// that Go shows in errors, such as `v1.PullPolicy`, where it has one. Empty for anonymous types.
    pub name: String,
    pub kind: TypeKind,
}

/// The shape of a type.
#[derive(Debug)]
pub enum TypeKind {
    Scalar(Scalar),
    /// A Go struct or a CRD object with properties.
    Struct(Struct),
    /// `map[string]T`.
    Map {
        value: Lazy,
        list_type: MapType,
    },
    List(List),
    /// Anything: RawExtension, JSON, `x-kubernetes-preserve-unknown-fields`.
    Any,
}

/// Scalars, among them the strings with a format of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    String,
    Bool,
    Int32,
    Int64,
    Float64,
    /// base64 in JSON, bytes in protobuf.
    Bytes,
    /// RFC 3339 in seconds.
    Time,
    /// RFC 3339 in microseconds.
    MicroTime,
    /// Go's duration text ("1m0s"), as metav1.Duration.
    Duration,
    Quantity,
    IntOrString,
    /// managedFields' fieldsV1: a JSON object kept as it is.
    FieldsV1,
}

/// A type by reference, resolved on first use: types are recursive, and a kind is materialised when it is first touched.
#[derive(Clone)]
pub struct Lazy {
    cell: Arc<OnceLock<TypeRef>>,
    resolve: Arc<dyn Fn() -> TypeRef + Send + Sync>,
}

impl Lazy {
    pub fn new(resolve: impl Fn() -> TypeRef + Send + Sync + 'static) -> Self {
        Self { cell: Arc::new(OnceLock::new()), resolve: Arc::new(resolve) }
    }
    pub fn ready(ty: TypeRef) -> Self {
        let cell = OnceLock::new();
        let _ = cell.set(ty.clone());
        Self { cell: Arc::new(cell), resolve: Arc::new(move || ty.clone()) }
    }
    pub fn get(&self) -> &TypeRef {
        self.cell.get_or_init(|| (self.resolve)())
    }
}

impl std::fmt::Debug for Lazy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.cell.get() {
            Some(ty) => write!(f, "Lazy({})", ty.name),
            None => f.write_str("Lazy(..)"),
        }
    }
}

/// A struct's fields, in upstream's (Go and protobuf) order.
#[derive(Clone, Debug, Default)]
pub struct Struct {
    pub fields: Vec<Field>,
    /// Index into `fields` by JSON name.
    pub by_name: BTreeMap<String, usize>,
    /// `x-kubernetes-map-type: atomic`: apply and merge treat it as one value.
    pub atomic: bool,
    /// Unknown fields are kept (custom resources only).
    pub preserve_unknown: bool,
    /// `x-kubernetes-unions` and oneOf-like discriminators carry nothing here: strategies check them.
    /// The protobuf message, for built-in types: `k8s.io.api.core.v1.PodSpec`.
    pub proto_message: Option<String>,
}

impl Struct {
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.by_name.get(name).map(|&i| &self.fields[i])
    }
}

/// One field of a struct.
#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub ty: Lazy,
    /// OpenAPI `required`.
    pub required: bool,
    /// Go: `*T`. A pointer's zero value is kept, a plain value's zero is absent (omitempty) or emitted.
    pub pointer: bool,
    pub omitempty: bool,
    /// `omitzero`: as omitempty, for structs.
    pub omitzero: bool,
    pub nullable: bool,
    /// Protobuf field number; 0 when there is none. Fields of a struct that Go inlines carry the numbers of the messages
    /// around them in the bytes above: 0x0102 is field 2 of the message in field 1.
    pub proto: u32,
    /// `x-kubernetes-patch-strategy`: "merge", "replace", "retainKeys", or both joined by a comma; empty for none.
    pub patch_strategy: String,
    pub patch_merge_key: String,
    /// The schema's `default` (for structural schemas of custom resources; for built-ins only real defaults).
    pub default: Option<crate::Value>,
    /// Closed set of allowed strings; empty when open.
    pub enum_values: Vec<String>,
}

/// A list and how its elements are told apart.
#[derive(Debug)]
pub struct List {
    pub element: Lazy,
    pub list_type: ListType,
}

/// `x-kubernetes-list-type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListType {
    Atomic,
    Set,
    /// Keys with the default that each takes when an element leaves it out.
    Map(Vec<MapKey>),
}

/// A key of a `ListType::Map`.
#[derive(Debug, Clone, PartialEq)]
pub struct MapKey {
    pub name: String,
    pub default: Option<crate::Value>,
}

impl Eq for MapKey {}

/// `x-kubernetes-map-type` of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapType {
    Granular,
    Atomic,
}
