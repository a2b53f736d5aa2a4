//! Types as OpenAPI schemas, each once per document, reached from what the paths name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use apimachinery::schema::{Field, ListType, MapType, Scalar, Struct, Type, TypeKind, TypeRef};
use apimachinery::{Object, Value};
use kinds::{Gvk, Published, PublishedField};

use super::custom;
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

pub(super) const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
const EXTENSIONS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1";
pub(super) const VERSION_INFO: &str = "io.k8s.apimachinery.pkg.version.Info";
const RAW_EXTENSION: &str = "io.k8s.apimachinery.pkg.runtime.RawExtension";

/// The fields of `/version`; the first are not always there.
const VERSION_OPTIONAL: [&str; 4] =
    ["emulationMajor", "emulationMinor", "minCompatibilityMajor", "minCompatibilityMinor"];
const VERSION_REQUIRED: [&str; 9] = [
    "major",
    "minor",
    "gitVersion",
    "gitCommit",
    "gitTreeState",
    "buildDate",
    "goVersion",
    "compiler",
    "platform",
];

/// Group versions that are not served any more, or never were, but whose kinds upstream still knows: v2 names them with
/// the kinds that belong to every group version.
const KNOWN_VERSIONS: [(&str, &str); 29] = [
    ("admission.k8s.io", "v1"),
    ("admission.k8s.io", "v1beta1"),
    ("apiextensions.k8s.io", "v1beta1"),
    ("apiregistration.k8s.io", "v1beta1"),
    ("apps", "v1beta1"),
    ("apps", "v1beta2"),
    ("authentication.k8s.io", "v1alpha1"),
    ("authentication.k8s.io", "v1beta1"),
    ("authorization.k8s.io", "v1beta1"),
    ("batch", "v1beta1"),
    ("discovery.k8s.io", "v1beta1"),
    ("events.k8s.io", "v1beta1"),
    ("extensions", "v1beta1"),
    ("flowcontrol.apiserver.k8s.io", "v1beta1"),
    ("flowcontrol.apiserver.k8s.io", "v1beta2"),
    ("flowcontrol.apiserver.k8s.io", "v1beta3"),
    ("imagepolicy.k8s.io", "v1alpha1"),
    ("networking.k8s.io", "v1beta1"),
    ("node.k8s.io", "v1alpha1"),
    ("node.k8s.io", "v1beta1"),
    ("policy", "v1beta1"),
    ("rbac.authorization.k8s.io", "v1alpha1"),
    ("rbac.authorization.k8s.io", "v1beta1"),
    ("resource.k8s.io", "v1beta1"),
    ("resource.k8s.io", "v1beta2"),
    ("scheduling.k8s.io", "v1beta1"),
    ("storage.k8s.io", "v1alpha1"),
    ("storage.k8s.io", "v1beta1"),
    ("storagemigration.k8s.io", "v1beta1"),
];
/// Kinds of the machinery that are of the legacy group alone.
const META_KINDS: [&str; 5] = ["APIGroup", "APIGroupList", "APIResourceList", "APIVersions", "Status"];
/// Kinds that every group version has.
const EVERYWHERE_KINDS: [&str; 2] = ["DeleteOptions", "WatchEvent"];

/// The schemas of one document.
#[derive(Debug)]
pub(super) struct Schemas<'a> {
    kinds: &'a kinds::Registry,
    descriptions: &'a Descriptions,
    pub(super) flavor: Flavor,
    /// The schemas of custom kinds and their lists by name, and the names by kind.
    custom: BTreeMap<String, Value>,
    custom_names: BTreeMap<Gvk, String>,
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
        let gvks = kinds_by_type(kinds, flavor, resources);
        let mut schemas = Self {
            kinds,
            descriptions,
            flavor,
            custom: BTreeMap::new(),
            custom_names: BTreeMap::new(),
            gvks,
            done: BTreeMap::new(),
            waiting: BTreeSet::new(),
        };
        for resource in resources {
            if let Some(definition) = &resource.info.definition {
                schemas.add_custom(&resource.info, definition);
            }
        }
        schemas
    }

    /// A reference to a kind's schema, which becomes part of the document.
    pub(super) fn of_kind(&mut self, gvk: &Gvk) -> Option<Value> {
        if let Some(name) = self.custom_names.get(gvk).cloned() {
            return Some(self.reference(&name));
        }
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

    /// A custom kind and its list, as their definition describes them.
    fn add_custom(&mut self, info: &kinds::ResourceInfo, definition: &kinds::custom::Version) {
        let gvk = info.gvk();
        let name = info.ty.get().name.clone();
        let schema = custom::object(self, definition, &gvk);
        self.custom.insert(name.clone(), schema);
        let list = Gvk { kind: info.list_kind.clone(), ..gvk.clone() };
        let list_name = format!("{}{}", name.strip_suffix(&info.kind).unwrap_or(&name), info.list_kind);
        let schema = custom::list(self, &name, &info.plural, &list);
        self.custom.insert(list_name.clone(), schema);
        self.custom_names.insert(gvk, name);
        self.custom_names.insert(list, list_name);
    }

    /// A built-in type, which does not become part of the document by being looked at.
    pub(super) fn type_named(&self, name: &str) -> Option<TypeRef> {
        self.kinds.type_named(name)
    }

    /// The description of a field of a built-in type.
    pub(super) fn text_of(&self, owner: &str, field: &str) -> Option<&str> {
        self.descriptions.of_field(owner, field)
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
        if let Some(schema) = self.custom.remove(name) {
            return schema;
        }
        let description = self.descriptions.of_type(name);
        let published = self.kinds.published(name).unwrap_or_default();
        let mut schema = Object::new();
        if let Some(text) = description {
            schema.insert("description", text);
        }
        match self.kinds.type_named(name).as_deref() {
            Some(Type { kind: TypeKind::Struct(body), .. }) => {
                self.structure(name, body, &published, &mut schema);
            }
            _ => self.well_known(name, &mut schema),
        }
        if let Some(union) = union(published.union) {
            schema.insert("x-kubernetes-unions", vec![union]);
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
            // Any JSON at all.
            _ if name.starts_with(EXTENSIONS) => {}
            (VERSION_INFO, flavor) => version_info(flavor, schema),
            _ => {
                schema.insert("type", "object");
            }
        }
    }

    fn structure(&mut self, name: &str, body: &Struct, published: &Published, schema: &mut Object) {
        let mut properties: BTreeMap<&str, Value> = BTreeMap::new();
        for field in &body.fields {
            let shown = published.fields.get(field.name.as_str()).copied().unwrap_or_default();
            properties.insert(&field.name, self.field(name, field, shown));
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

    fn field(&mut self, owner: &str, field: &Field, shown: PublishedField) -> Value {
        let ty = field.ty.get().clone();
        let mut schema = Object::new();
        if let Some(text) = self.description_of(owner, &field.name) {
            schema.insert("description", text);
        }
        self.describe(&ty, &mut schema);
        if shown.has_list_type {
            list_type(&ty, &mut schema);
        }
        if shown.granular {
            schema.insert("x-kubernetes-map-type", "granular");
        }
        if self.flavor == Flavor::V3
            && let Some(default) = default_of(field, &ty, shown)
        {
            schema.insert("default", default);
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
        if self.flavor == Flavor::V3 {
            wrap_reference(&mut schema);
        }
        schema.into()
    }

    /// What a field is for. Lists have none in the texts; their type is described as everybody's.
    fn description_of(&self, owner: &str, field: &str) -> Option<&str> {
        let own = self.descriptions.of_field(owner, field);
        let common = matches!(field, "kind" | "apiVersion") && self.gvks.contains_key(owner);
        own.or_else(|| common.then(|| self.descriptions.of_field(&format!("{META}.Status"), field)).flatten())
    }

    /// Adds what a type says of itself.
    fn describe(&mut self, ty: &Type, schema: &mut Object) {
        match &ty.kind {
            TypeKind::Struct(_) => self.refer(&ty.name, schema),
            TypeKind::Scalar(scalar) => self.scalar(*scalar, schema),
            TypeKind::Any => match ty.name.strip_prefix("v1.") {
                _ if ty.name.is_empty() => self.refer(RAW_EXTENSION, schema),
                Some(name) if name.starts_with("JSON") => self.refer(&format!("{EXTENSIONS}.{name}"), schema),
                _ => {
                    schema.insert("type", "object");
                }
            },
            TypeKind::List(list) => {
                schema.insert("type", "array");
                let element = list.element.get().clone();
                schema.insert("items", self.inner(&element));
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

/// In v3 nothing may stand beside a reference: it goes into `allOf` when there is something.
fn wrap_reference(schema: &mut Object) {
    if schema.len() > 1
        && let Some(reference) = schema.remove("$ref")
    {
        schema.insert("allOf", vec![value!({ "$ref": (reference) })]);
    }
}

/// What v3 publishes as a field's default: the real one, or Go's zero value where a plain field always shows it.
fn default_of(field: &Field, ty: &Type, shown: PublishedField) -> Option<Value> {
    if field.default.is_some() {
        return field.default.clone();
    }
    if !shown.zero_default.is_empty() {
        return Value::from_json(shown.zero_default.as_bytes()).ok();
    }
    if field.pointer {
        return None;
    }
    match &ty.kind {
        TypeKind::Struct(_) => Some(Value::object()),
        TypeKind::Scalar(_) if field.omitempty => None,
        TypeKind::Scalar(Scalar::String) => Some("".into()),
        TypeKind::Scalar(Scalar::Bool) => Some(false.into()),
        TypeKind::Scalar(Scalar::Int32 | Scalar::Int64 | Scalar::Float64) => Some(0.into()),
        _ => None,
    }
}

/// How apply sees a list. Bytes are a list to Go, and some say so.
fn list_type(ty: &Type, schema: &mut Object) {
    let name = match &ty.kind {
        TypeKind::List(list) => match &list.list_type {
            ListType::Atomic => "atomic",
            ListType::Set => "set",
            ListType::Map(keys) => {
                let names = strings(keys.iter().map(|k| k.name.as_str()));
                schema.insert("x-kubernetes-list-map-keys", names);
                "map"
            }
        },
        _ => "atomic",
    };
    schema.insert("x-kubernetes-list-type", name);
}

/// `type(localhostProfile)` as OpenAPI has it; the members have Go's names.
fn union(text: &str) -> Option<Value> {
    let (discriminator, members) = text.strip_suffix(')')?.split_once('(')?;
    let members: Value = members.split(',').map(|name| (name, Value::from(capital(name)))).collect();
    let mut union = Object::new();
    if !discriminator.is_empty() {
        union.insert("discriminator", discriminator);
    }
    union.insert("fields-to-discriminateBy", members);
    Some(union.into())
}

/// With a capital first letter.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}

fn version_info(flavor: Flavor, schema: &mut Object) {
    let mut properties: BTreeMap<&str, Value> = BTreeMap::new();
    for name in VERSION_OPTIONAL {
        properties.insert(name, value!({ "type": "string" }));
    }
    for name in VERSION_REQUIRED {
        let mut field = value!({ "type": "string" });
        if flavor == Flavor::V3 {
            field.set_at(&["default"], "");
        }
        properties.insert(name, field);
    }
    schema.insert("properties", properties.into_iter().collect::<Value>());
    schema.insert("required", strings(VERSION_REQUIRED));
    schema.insert("type", "object");
}

/// Kinds by the type that is theirs: those of all group versions, whichever the document is about.
fn kinds_by_type(
    kinds: &kinds::Registry,
    flavor: Flavor,
    resources: &[Arc<Resource>],
) -> BTreeMap<String, Vec<Gvk>> {
    let mut gvks: BTreeMap<String, Vec<Gvk>> = BTreeMap::new();
    let mut add = |gvk: Gvk| {
        if let Some(ty) = kinds.type_of(&gvk.group, &gvk.version, &gvk.kind) {
            let known = gvks.entry(ty.name.clone()).or_default();
            if !known.contains(&gvk) {
                known.push(gvk);
            }
        }
    };
    for info in kinds.resources() {
        let names = std::iter::once(&info.kind).chain(info.has_verb("list").then_some(&info.list_kind));
        names.map(|kind| Gvk::new(&info.group, &info.version, kind)).for_each(&mut add);
        info.subresources.iter().map(|s| s.kind.clone()).for_each(&mut add);
    }
    META_KINDS.iter().map(|kind| Gvk::new("", "v1", kind)).for_each(&mut add);
    let mut versions: BTreeSet<(&str, &str)> = [("", "v1")].into();
    versions.extend(resources.iter().map(|r| (r.group(), r.info.version.as_str())));
    if flavor == Flavor::V2 {
        versions.extend(KNOWN_VERSIONS);
        versions.extend(kinds.resources().iter().map(|r| (r.group.as_str(), r.version.as_str())));
    }
    for kind in EVERYWHERE_KINDS {
        versions.iter().map(|(group, version)| Gvk::new(group, version, kind)).for_each(|gvk| {
            let known = gvks.entry(format!("{META}.{kind}")).or_default();
            known.push(gvk);
        });
    }
    gvks
}

/// A kind as `x-kubernetes-group-version-kind` writes it.
pub(super) fn gvk_value(gvk: &Gvk) -> Value {
    value!({ "group": (gvk.group.as_str()), "kind": (gvk.kind.as_str()), "version": (gvk.version.as_str()) })
}
