//! From a CustomResourceDefinition to the resources that it defines.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::schema::{Lazy, TypeRef};
use apimachinery::{FieldError, Value, meta};
use base64::Engine as _;

use super::columns::PrinterColumn;
use super::jsonpath::JsonPath;
use super::schema::Schema;
use super::{defaulting, invariants, prune, types, validate};
use crate::decode::Report;
use crate::registry::{Gvk, ResourceInfo, Subresource};

/// Of a digest, as many as make a clash a matter of chance that does not come.
const DIGEST_BYTES: usize = 16;

/// What one version of a definition says beyond names.
#[derive(Debug)]
pub struct Version {
    pub schema: Arc<Schema>,
    /// As it was written, for OpenAPI.
    pub published: Value,
    pub columns: Vec<PrinterColumn>,
    /// Fields that selectors may name, as they are named: `spec.color`.
    pub selectable: Vec<String>,
    pub scale: Option<Scale>,
    /// The warning of a deprecated version.
    pub deprecation: Option<String>,
    /// The definition is being deleted: nothing new is made.
    pub terminating: bool,
    /// Tells this state of the definition's spec from every other: what is kept of an object beside it was made by this.
    pub identity: String,
    api_version: String,
    kind: String,
    metadata: TypeRef,
    /// The schemas of all versions by `apiVersion`: an object may be stored in any of them.
    all: Arc<BTreeMap<String, Arc<Schema>>>,
}

/// Where a custom resource keeps what its Scale shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scale {
    pub replicas: Vec<String>,
    pub status_replicas: Vec<String>,
    pub selector: Option<Vec<String>>,
}

/// The names of a definition: wanted in its spec, accepted in its status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub plural: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub kind: String,
    pub list_kind: String,
    pub categories: Vec<String>,
}

impl Names {
    /// The names of a resource that is served.
    pub fn of(info: &ResourceInfo) -> Self {
        Self {
            plural: info.plural.clone(),
            singular: info.singular.clone(),
            short_names: info.short_names.clone(),
            kind: info.kind.clone(),
            list_kind: info.list_kind.clone(),
            categories: info.categories.clone(),
        }
    }

    pub fn read(names: &Value) -> Self {
        let text = |key: &str| names.str_at(&[key]).unwrap_or_default().to_owned();
        let list =
            |key: &str| names.array_at(&[key]).iter().filter_map(Value::as_str).map(str::to_owned).collect();
        Self {
            plural: text("plural"),
            singular: text("singular"),
            short_names: list("shortNames"),
            kind: text("kind"),
            list_kind: text("listKind"),
            categories: list("categories"),
        }
    }
}

impl Version {
    /// Drops what the version that the object is stored in does not know.
    pub fn prune_for_storage(&self, object: &mut Value) {
        let stored = meta::api_version(object).to_owned();
        if let Some(schema) = self.all.get(&stored) {
            prune::prune(schema, &self.metadata, object);
        }
    }

    /// Drops what the schema does not know from an object that was sent.
    pub fn prune(&self, object: &mut Value) -> Report {
        prune::prune(&self.schema, &self.metadata, object)
    }

    pub fn default(&self, object: &mut Value) {
        defaulting::apply(&self.schema, object);
    }

    /// Sets the defaults of what was applied, whose nulls are validated.
    pub fn default_applied(&self, object: &mut Value) {
        defaulting::keep_nulls(&self.schema, object);
    }

    /// A stored object as this version shows it: pruned and defaulted by the version that it is stored in, converted and
    /// pruned again. What metadata is broken is shown as it is.
    pub fn read_stored(&self, object: &mut Value) {
        let stored = meta::api_version(object).to_owned();
        if let Some(schema) = self.all.get(&stored) {
            prune::prune(schema, &self.metadata, object);
            defaulting::apply(schema, object);
        }
        if stored != self.api_version {
            self.convert(object);
            prune::prune(&self.schema, &self.metadata, object);
        }
        object.set_at(&["kind"], self.kind.as_str());
    }

    /// Without a webhook all versions are the same but for their name.
    pub fn convert(&self, object: &mut Value) {
        object.set_at(&["apiVersion"], self.api_version.as_str());
    }

    /// Every problem of an object, metadata apart. What `old` has already is not told again.
    pub fn validate(&self, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let mut errors = validate::validate(&self.schema, object, old);
        errors.extend(invariants::embedded(&self.schema, object));
        // Lists that were broken before may stay so.
        if old.is_none_or(|old| invariants::lists(&self.schema, old).is_empty()) {
            errors.extend(invariants::lists(&self.schema, object));
        }
        errors
    }
}

/// The resources of a definition whose `names` are accepted: one for each version that is served, best first.
pub fn resources(definition: &Value, names: &Names, metadata: &TypeRef) -> Vec<ResourceInfo> {
    let group = definition.str_at(&["spec", "group"]).unwrap_or_default();
    let versions = definition.array_at(&["spec", "versions"]);
    let name_of = |version: &Value| version.str_at(&["name"]).unwrap_or_default().to_owned();
    let Some(storage) = versions.iter().find(|v| v.bool_at(&["storage"]) == Some(true)).map(name_of) else {
        return Vec::new();
    };
    let schemas: BTreeMap<String, Arc<Schema>> = versions
        .iter()
        .map(|v| (format!("{group}/{}", name_of(v)), Arc::new(Schema::read(&published(v)))))
        .collect();
    let digest = digest(definition.at(&["spec"]).unwrap_or(&Value::NULL));
    let maker = Maker { definition, names, metadata, group, storage, digest, all: Arc::new(schemas) };
    let mut served: Vec<&Value> = versions.iter().filter(|v| v.bool_at(&["served"]) == Some(true)).collect();
    served.sort_by(|a, b| {
        let name = |v: &&Value| v.str_at(&["name"]).unwrap_or_default().to_owned();
        version_order(&name(a), &name(b))
    });
    served.into_iter().map(|version| maker.resource(version)).collect()
}

fn published(version: &Value) -> Value {
    version.at(&["schema", "openAPIV3Schema"]).cloned().unwrap_or_else(Value::object)
}

struct Maker<'a> {
    definition: &'a Value,
    names: &'a Names,
    metadata: &'a TypeRef,
    group: &'a str,
    storage: String,
    /// Of the definition's spec.
    digest: String,
    all: Arc<BTreeMap<String, Arc<Schema>>>,
}

/// Tells one spec from another. The generation does not: it also counts that a deletion has begun.
fn digest(spec: &Value) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, &spec.to_json());
    base64::engine::general_purpose::STANDARD.encode(&digest.as_ref()[..DIGEST_BYTES])
}

impl Maker<'_> {
    fn resource(&self, version: &Value) -> ResourceInfo {
        let name = version.str_at(&["name"]).unwrap_or_default();
        let names = self.names;
        let described = Arc::new(self.version(version, name));
        let (schema, metadata) = (Arc::clone(&described.schema), Arc::clone(self.metadata));
        let type_name = type_name(self.group, name, &names.kind);
        let verbs = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
        ResourceInfo {
            group: self.group.to_owned(),
            version: name.to_owned(),
            plural: names.plural.clone(),
            singular: names.singular.clone(),
            kind: names.kind.clone(),
            list_kind: names.list_kind.clone(),
            namespaced: self.definition.str_at(&["spec", "scope"]) == Some("Namespaced"),
            short_names: names.short_names.clone(),
            categories: names.categories.clone(),
            verbs: verbs.iter().map(|v| (*v).to_owned()).collect(),
            subresources: self.subresources(version, name),
            stored: Some(Gvk::new(self.group, &self.storage, &names.kind)),
            storage_version_hash: storage_version_hash(self.group, &self.storage, &names.kind),
            served_by_default: true,
            custom: true,
            definition: Some(described),
            ty: Lazy::new(move || types::object(&type_name, &schema, &metadata)),
        }
    }

    fn subresources(&self, version: &Value, name: &str) -> Vec<Subresource> {
        let verbs = || ["get", "patch", "update"].map(str::to_owned).to_vec();
        let mut all = Vec::new();
        if version.at(&["subresources", "status"]).is_some() {
            all.push(Subresource {
                name: "status".into(),
                kind: Gvk::new(self.group, name, &self.names.kind),
                foreign: false,
                verbs: verbs(),
            });
        }
        if version.at(&["subresources", "scale"]).is_some() {
            let kind = Gvk::new("autoscaling", "v1", "Scale");
            all.push(Subresource { name: "scale".into(), kind, foreign: true, verbs: verbs() });
        }
        all
    }

    fn version(&self, version: &Value, name: &str) -> Version {
        let api_version = format!("{}/{name}", self.group);
        let deprecated = version.bool_at(&["deprecated"]) == Some(true);
        let deprecation = deprecated.then(|| match version.str_at(&["deprecationWarning"]) {
            Some(own) => own.to_owned(),
            None => format!("{api_version} {} is deprecated", self.names.kind),
        });
        let terminating = condition(self.definition, "Terminating") == Some("True");
        Version {
            schema: Arc::clone(&self.all[&api_version]),
            published: published(version),
            columns: PrinterColumn::all(version),
            selectable: version
                .array_at(&["selectableFields"])
                .iter()
                .filter_map(|f| f.str_at(&["jsonPath"]))
                .map(|path| path.trim_start_matches('.').to_owned())
                .collect(),
            scale: version.at(&["subresources", "scale"]).and_then(scale),
            deprecation,
            terminating,
            identity: format!("{api_version} {} {}", meta::uid(self.definition), self.digest),
            api_version,
            kind: self.names.kind.clone(),
            metadata: Arc::clone(self.metadata),
            all: Arc::clone(&self.all),
        }
    }
}

fn scale(scale: &Value) -> Option<Scale> {
    let path = |key: &str| -> Option<Vec<String>> {
        let path = JsonPath::parse(scale.str_at(&[key])?)?;
        Some(path.members()?.into_iter().map(str::to_owned).collect())
    };
    Some(Scale {
        replicas: path("specReplicasPath")?,
        status_replicas: path("statusReplicasPath")?,
        selector: path("labelSelectorPath"),
    })
}

/// The status of a condition of a definition.
fn condition<'a>(definition: &'a Value, kind: &str) -> Option<&'a str> {
    let all = definition.array_at(&["status", "conditions"]);
    all.iter().find(|c| c.str_at(&["type"]) == Some(kind))?.str_at(&["status"])
}

/// The name of a kind's type in OpenAPI: `com.example.v1.Foo`.
fn type_name(group: &str, version: &str, kind: &str) -> String {
    let reversed: Vec<&str> = group.rsplit('.').collect();
    format!("{}.{version}.{kind}", reversed.join("."))
}

/// What discovery publishes, so that clients notice when the version in storage changes.
pub fn storage_version_hash(group: &str, version: &str, kind: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, format!("{group}/{version}/{kind}").as_bytes());
    base64::engine::general_purpose::STANDARD.encode(&digest.as_ref()[..8])
}

/// The order of versions by preference: `v2`, `v1`, `v1beta2`, `v1alpha1`, and then everything else by name.
pub fn version_order(a: &str, b: &str) -> Ordering {
    match (rank(a), rank(b)) {
        (Some(a), Some(b)) => b.cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Reverse(b).cmp(&Reverse(a)),
    }
}

/// Stability, major, minor of `v1`, `v1beta2`, `v1alpha1`.
fn rank(version: &str) -> Option<(u8, u64, u64)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let number = |text: &str| if text.starts_with('0') { None } else { text.parse().ok() };
    let rest = version.strip_prefix('v')?;
    let (major, rest) = rest.split_at(digits(rest));
    let major = number(major)?;
    if rest.is_empty() {
        return Some((3, major, 0));
    }
    let (stability, minor) =
        rest.strip_prefix("beta").map(|m| (2, m)).or_else(|| rest.strip_prefix("alpha").map(|m| (1, m)))?;
    Some((stability, major, number(minor)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_by_preference() {
        let mut all = ["foo10", "v1alpha1", "v10beta3", "v1", "v11alpha2", "v2", "foo1", "v3beta1", "v10"];
        all.sort_by(|a, b| version_order(a, b));
        assert_eq!(all, ["v10", "v2", "v1", "v10beta3", "v3beta1", "v11alpha2", "v1alpha1", "foo1", "foo10"]);
    }
}
