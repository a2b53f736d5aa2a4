//! Types as OpenAPI schemas, each once per document, reached from what the paths name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use apimachinery::schema::{Field, ListType, MapType, Scalar, Struct, Type, TypeKind};
use apimachinery::{Object, Value};
use kinds::Gvk;

use super::descriptions::Descriptions;
use crate::registry::Resource;
use crate::value;
use crate::values::strings;

/// Which OpenAPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flavor {
    V2,
    V3,
}

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
const RAW_EXTENSION: &str = "io.k8s.apimachinery.pkg.runtime.RawExtension";

/// The schemas of one document.
#[derive(Debug)]
pub(super) struct Schemas<'a> {
    kinds: &'a kinds::Registry,
    descriptions: &'a Descriptions,
    pub(super) flavor: Flavor,
    /// Kinds by the type that is theirs.
    gvks: BTreeMap<String, Vec<Gvk>>,
    done: BTreeMap<String, Value>,
    waiting: BTreeSet<String>,
}

impl<'a> Schemas<'a> {
    pub(super) fn new(
        kinds: &'a kinds::Registry,
        descriptions: &'a Descriptions,
        flavor: Flavor,
        resources: &[Arc<Resource>],
    ) -> Self {
        let mut gvks: BTreeMap<String, Vec<Gvk>> = BTreeMap::new();
        for resource in resources {
            let info = &resource.info;
            let names = std::iter::once(&info.kind).chain(info.has_verb("list").then_some(&info.list_kind));
            let foreign = info.subresources.iter().map(|s| s.kind.clone());
            let own = names.map(|kind| Gvk::new(&info.group, &info.version, kind));
            for gvk in own.chain(foreign) {
                if let Some(ty) = kinds.type_of(&gvk.group, &gvk.version, &gvk.kind) {
                    let known = gvks.entry(ty.name.clone()).or_default();
                    if !known.contains(&gvk) {
                        known.push(gvk);
                    }
                }
            }
        }
        Self { kinds, descriptions, flavor, gvks, done: BTreeMap::new(), waiting: BTreeSet::new() }
    }

    /// A reference to a kind's schema, which becomes part of the document.
    pub(super) fn of_kind(&mut self, gvk: &Gvk) -> Option<Value> {
        let ty = self.kinds.type_of(&gvk.group, &gvk.version, &gvk.kind)?;
        Some(self.reference(&ty.name))
    }

    /// A reference by the type's name.
    pub(super) fn reference(&mut self, name: &str) -> Value {
        if !self.done.contains_key(name) {
            self.waiting.insert(name.to_owned());
        }
        let place = match self.flavor {
            Flavor::V2 => "#/definitions/",
            Flavor::V3 => "#/components/schemas/",
        };
        value!({ "$ref": (format!("{place}{name}")) })
    }

    /// Everything that was referred to, directly or not.
    pub(super) fn finish(mut self) -> Value {
        while let Some(name) = self.waiting.pop_first() {
            let schema = self.define(&name);
            self.done.insert(name, schema);
        }
        self.done.into_iter().collect()
    }

    fn define(&mut self, name: &str) -> Value {
        let description = self.descriptions.of_type(name);
        let mut schema = Object::new();
        if let Some(text) = description {
            schema.insert("description", text);
        }
        match self.kinds.type_named(name).as_deref() {
            Some(Type { kind: TypeKind::Struct(body), .. }) => self.structure(name, body, &mut schema),
            _ => self.well_known(name, &mut schema),
        }
        if let Some(gvks) = self.gvks.get(name) {
            let list: Vec<Value> = gvks.iter().map(gvk_value).collect();
            schema.insert("x-kubernetes-group-version-kind", list);
        }
        schema.into()
    }

    /// Types that have codecs instead of fields.
    fn well_known(&self, name: &str, schema: &mut Object) {
        let text = |schema: &mut Object, format: Option<&str>| {
            schema.insert("type", "string");
            if let Some(format) = format {
                schema.insert("format", format);
            }
        };
        let either = |schema: &mut Object, other: &str| {
            schema.insert("oneOf", vec![value!({ "type": "string" }), value!({ "type": (other) })]);
        };
        match (name, self.flavor) {
            (QUANTITY, Flavor::V3) => either(schema, "number"),
            (QUANTITY, Flavor::V2) => text(schema, None),
            (INT_OR_STRING, Flavor::V3) => {
                schema.insert("format", "int-or-string");
                either(schema, "integer");
            }
            (INT_OR_STRING, Flavor::V2) => text(schema, Some("int-or-string")),
            _ if name.ends_with(".Time") || name.ends_with(".MicroTime") => text(schema, Some("date-time")),
            _ if name.ends_with(".Duration") => text(schema, None),
            _ => {
                schema.insert("type", "object");
            }
        }
    }

    fn structure(&mut self, name: &str, body: &Struct, schema: &mut Object) {
        let mut properties: BTreeMap<&str, Value> = BTreeMap::new();
        for field in &body.fields {
            properties.insert(&field.name, self.field(name, field));
        }
        if !properties.is_empty() {
            schema.insert("properties", properties.into_iter().collect::<Value>());
        }
        let required: Vec<&str> =
            body.fields.iter().filter(|f| f.required).map(|f| f.name.as_str()).collect();
        if !required.is_empty() {
            schema.insert("required", strings(required));
        }
        schema.insert("type", "object");
        if body.atomic {
            schema.insert("x-kubernetes-map-type", "atomic");
        }
    }

    fn field(&mut self, owner: &str, field: &Field) -> Value {
        let ty = field.ty.get().clone();
        let mut schema = Object::new();
        if let Some(text) = self.descriptions.of_field(owner, &field.name) {
            schema.insert("description", text);
        }
        self.describe(&ty, &mut schema);
        if self.flavor == Flavor::V3 {
            wrap_reference(&mut schema, matches!(ty.kind, TypeKind::Struct(_)) && !field.pointer);
        }
        if !field.enum_values.is_empty() {
            schema.insert("enum", strings(&field.enum_values));
        }
        if !field.patch_strategy.is_empty() {
            schema.insert("x-kubernetes-patch-strategy", field.patch_strategy.as_str());
        }
        if !field.patch_merge_key.is_empty() {
            schema.insert("x-kubernetes-patch-merge-key", field.patch_merge_key.as_str());
        }
        schema.into()
    }

    /// Adds what a type says of itself.
    fn describe(&mut self, ty: &Type, schema: &mut Object) {
        match &ty.kind {
            TypeKind::Struct(_) => self.refer(&ty.name, schema),
            TypeKind::Scalar(scalar) => self.scalar(*scalar, schema),
            TypeKind::Any => match ty.name.as_str() {
                "" => self.refer(RAW_EXTENSION, schema),
                _ => {
                    schema.insert("type", "object");
                }
            },
            TypeKind::List(list) => {
                schema.insert("type", "array");
                let element = list.element.get().clone();
                schema.insert("items", self.inner(&element));
                let list_type = match &list.list_type {
                    ListType::Atomic => "atomic",
                    ListType::Set => "set",
                    ListType::Map(keys) => {
                        schema.insert(
                            "x-kubernetes-list-map-keys",
                            strings(keys.iter().map(|k| k.name.as_str())),
                        );
                        "map"
                    }
                };
                schema.insert("x-kubernetes-list-type", list_type);
            }
            TypeKind::Map { value, list_type } => {
                schema.insert("type", "object");
                let element = value.get().clone();
                schema.insert("additionalProperties", self.inner(&element));
                if *list_type == MapType::Atomic {
                    schema.insert("x-kubernetes-map-type", "atomic");
                }
            }
        }
    }

    fn inner(&mut self, ty: &Type) -> Value {
        let mut schema = Object::new();
        self.describe(ty, &mut schema);
        schema.into()
    }

    fn refer(&mut self, name: &str, schema: &mut Object) {
        for (key, value) in self.reference(name).into_object().unwrap_or_default().iter() {
            schema.insert(key, value.clone());
        }
    }

    fn scalar(&mut self, scalar: Scalar, schema: &mut Object) {
        let (kind, format) = match scalar {
            Scalar::String => ("string", ""),
            Scalar::Bool => ("boolean", ""),
            Scalar::Int32 => ("integer", "int32"),
            Scalar::Int64 => ("integer", "int64"),
            Scalar::Float64 => ("number", "double"),
            Scalar::Bytes => ("string", "byte"),
            Scalar::Time => return self.refer(&format!("{META}.Time"), schema),
            Scalar::MicroTime => return self.refer(&format!("{META}.MicroTime"), schema),
            Scalar::Duration => return self.refer(&format!("{META}.Duration"), schema),
            Scalar::FieldsV1 => return self.refer(&format!("{META}.FieldsV1"), schema),
            Scalar::Quantity => return self.refer(QUANTITY, schema),
            Scalar::IntOrString => return self.refer(INT_OR_STRING, schema),
        };
        schema.insert("type", kind);
        if !format.is_empty() {
            schema.insert("format", format);
        }
    }
}

/// In v3 nothing may stand beside a reference: it goes into `allOf`. Plain structs publish their zero value.
fn wrap_reference(schema: &mut Object, plain_struct: bool) {
    let Some(reference) = schema.remove("$ref") else { return };
    schema.insert("allOf", vec![value!({ "$ref": (reference) })]);
    if plain_struct {
        schema.insert("default", Value::object());
    }
}

/// A kind as `x-kubernetes-group-version-kind` writes it.
pub(super) fn gvk_value(gvk: &Gvk) -> Value {
    value!({ "group": (gvk.group.as_str()), "kind": (gvk.kind.as_str()), "version": (gvk.version.as_str()) })
}
