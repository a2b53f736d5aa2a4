//! Which resources and kinds there are. A registry is a value: a server holds its own, composed of the built-in tables
//! and of what custom resource definitions add.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use apimachinery::schema::{Lazy, TypeRef};

use crate::blob::{Blob, Reader};
use crate::custom;
use crate::materialise::{Published, Types};

/// Group, version and kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gvk {
    /// Empty for the legacy group.
    pub group: String,
    pub version: String,
    pub kind: String,
}

impl Gvk {
    pub fn new(group: &str, version: &str, kind: &str) -> Self {
        Self { group: group.into(), version: version.into(), kind: kind.into() }
    }
    /// As `apiVersion` has it: `apps/v1`, `v1`.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }
}

/// `apps/v1`, `v1`.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// `apps/v1` → (`apps`, `v1`).
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// One resource of one group version.
#[derive(Clone, Debug)]
pub struct ResourceInfo {
    pub group: String,
    pub version: String,
    pub plural: String,
    pub singular: String,
    pub kind: String,
    pub list_kind: String,
    pub namespaced: bool,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    /// As discovery lists them.
    pub verbs: Vec<String>,
    pub subresources: Vec<Subresource>,
    /// What storage holds; `None` for what is never stored, such as reviews.
    pub stored: Option<Gvk>,
    /// As discovery publishes it; empty for what is never stored.
    pub storage_version_hash: String,
    /// Served by a server with default settings.
    pub served_by_default: bool,
    /// From a custom resource definition: not normalised, encoded as JSON only.
    pub custom: bool,
    /// Of a custom resource: what its definition says of this version.
    pub definition: Option<Arc<custom::Version>>,
    pub ty: Lazy,
}

impl ResourceInfo {
    pub fn gvk(&self) -> Gvk {
        Gvk::new(&self.group, &self.version, &self.kind)
    }
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }
    pub fn has_verb(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }
    /// `deployments.apps`, `pods`: how errors name the resource.
    pub fn group_resource(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }
}

/// `pods/log` and the like.
#[derive(Clone, Debug)]
pub struct Subresource {
    pub name: String,
    pub kind: Gvk,
    /// Discovery names the kind's group and version only where they are not the resource's own.
    pub foreign: bool,
    pub verbs: Vec<String>,
}

/// A group with its versions in order of preference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    pub name: String,
    pub versions: Vec<VersionInfo>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionInfo {
    pub version: String,
    /// Any of its resources is served by a server with default settings.
    pub served_by_default: bool,
}

/// All resources and types.
#[derive(Clone)]
pub struct Registry {
    types: Arc<Types>,
    /// Group and version → package of its types.
    packages: BTreeMap<(String, String), &'static str>,
    groups: Vec<GroupInfo>,
    resources: Vec<Arc<ResourceInfo>>,
    /// Places in `resources` by plural name and by kind: few groups share one.
    by_name: BTreeMap<String, Vec<usize>>,
    by_kind: BTreeMap<String, Vec<usize>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("resources", &self.resources.len()).finish_non_exhaustive()
    }
}

/// The package of `metav1`: its kinds (`Status`, `DeleteOptions`, …) belong to every group version.
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

impl Registry {
    /// All built-in kinds of the version that we speak.
    pub fn builtin() -> Arc<Self> {
        let blob = Blob::packed();
        let mut registry = Self {
            types: Types::new(blob),
            packages: BTreeMap::new(),
            groups: Vec::new(),
            resources: Vec::new(),
            by_name: BTreeMap::new(),
            by_kind: BTreeMap::new(),
        };
        let mut reader = blob.groups();
        for _ in 0..reader.number() {
            registry.read_group(&mut reader);
        }
        Arc::new(registry)
    }

    /// This registry with `entries` added behind its own; an entry of the same name replaces the older one.
    #[must_use]
    pub fn with(&self, entries: impl IntoIterator<Item = ResourceInfo>) -> Self {
        let mut registry = self.clone();
        for entry in entries {
            registry.add(entry);
        }
        registry
    }

    /// In upstream's discovery order: groups, versions by preference, resources as discovery lists them.
    pub fn resources(&self) -> &[Arc<ResourceInfo>] {
        &self.resources
    }

    /// In the order of `/apis`, the legacy group first.
    pub fn groups(&self) -> &[GroupInfo] {
        &self.groups
    }

    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Option<Arc<ResourceInfo>> {
        self.lookup(&self.by_name, plural, group, version)
    }

    /// The resource whose objects are of this kind.
    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<Arc<ResourceInfo>> {
        self.lookup(&self.by_kind, kind, group, version)
    }

    fn lookup(
        &self,
        index: &BTreeMap<String, Vec<usize>>,
        word: &str,
        group: &str,
        version: &str,
    ) -> Option<Arc<ResourceInfo>> {
        let mut found = index.get(word)?.iter().map(|at| &self.resources[*at]);
        found.find(|resource| resource.group == group && resource.version == version).cloned()
    }

    /// The versions in which a resource exists, by preference.
    pub fn versions_of(&self, group: &str, plural: &str) -> impl Iterator<Item = &Arc<ResourceInfo>> {
        self.resources.iter().filter(move |r| r.group == group && r.plural == plural)
    }

    /// What storage holds for a resource.
    pub fn storage_version(&self, group: &str, plural: &str) -> Option<Gvk> {
        self.versions_of(group, plural).find_map(|r| r.stored.clone())
    }

    /// The type with an OpenAPI name such as `io.k8s.api.core.v1.PodSpec`.
    pub fn type_named(&self, name: &str) -> Option<TypeRef> {
        Some(self.types.get(self.types.find(name)?))
    }

    /// What only OpenAPI shows of the type with that name.
    pub fn published(&self, name: &str) -> Option<Published> {
        Some(self.types.published(self.types.find(name)?))
    }

    /// The OpenAPI names of all built-in struct types, sorted.
    pub fn type_names(&self) -> impl Iterator<Item = &'static str> {
        self.types.names()
    }

    /// The type of a kind: of a resource, its list, a subresource's body or one of metav1's.
    pub fn type_of(&self, group: &str, version: &str, kind: &str) -> Option<TypeRef> {
        if let Some(resource) = self.kind(group, version, kind) {
            return Some(resource.ty.get().clone());
        }
        let package = self.packages.get(&(group.to_owned(), version.to_owned()));
        package
            .and_then(|package| self.type_named(&format!("{package}.{kind}")))
            .or_else(|| self.type_named(&format!("{META}.{kind}")))
    }

    fn add(&mut self, info: ResourceInfo) {
        let same = |at: &&usize| {
            let old = &self.resources[**at];
            old.group == info.group && old.version == info.version
        };
        match self.by_name.get(&info.plural).and_then(|places| places.iter().find(same)).copied() {
            Some(at) => {
                let old = std::mem::replace(&mut self.resources[at], Arc::new(info));
                let new = self.resources[at].kind.clone();
                if old.kind != new {
                    self.by_kind.entry(old.kind.clone()).or_default().retain(|place| *place != at);
                    self.by_kind.entry(new).or_default().push(at);
                }
            }
            None => {
                let at = self.resources.len();
                self.add_group(&info);
                self.by_name.entry(info.plural.clone()).or_default().push(at);
                self.by_kind.entry(info.kind.clone()).or_default().push(at);
                self.resources.push(Arc::new(info));
            }
        }
    }

    fn add_group(&mut self, info: &ResourceInfo) {
        let at = match self.groups.iter().position(|g| g.name == info.group) {
            Some(at) => at,
            None => {
                self.groups.push(GroupInfo { name: info.group.clone(), versions: Vec::new() });
                self.groups.len() - 1
            }
        };
        let versions = &mut self.groups[at].versions;
        match versions.iter_mut().find(|v| v.version == info.version) {
            Some(version) => version.served_by_default |= info.served_by_default,
            None => versions.push(VersionInfo {
                version: info.version.clone(),
                served_by_default: info.served_by_default,
            }),
        }
    }

    fn read_group(&mut self, reader: &mut Reader) {
        let (group, version, package) = (reader.string(), reader.string(), reader.string());
        reader.byte();
        self.packages.insert((group.to_owned(), version.to_owned()), package);
        for _ in 0..reader.number() {
            let resource = self.read_resource(reader, group, version);
            self.add(resource);
        }
    }

    fn read_resource(&self, reader: &mut Reader, group: &str, version: &str) -> ResourceInfo {
        let mut word = || reader.string();
        let (plural, kind, singular, of, stored, hash) = (word(), word(), word(), word(), word(), word());
        let flags = reader.byte();
        let (short_names, categories, verbs) = (reader.strings(), reader.strings(), reader.strings());
        let foreign = |of: &str, kind: &str| match of {
            "" => Gvk::new(group, version, kind),
            of => {
                let (group, version) = split_api_version(of);
                Gvk::new(group, version, kind)
            }
        };
        let subresources = (0..reader.number())
            .map(|_| {
                let (name, kind, of) = (reader.string(), reader.string(), reader.string());
                Subresource {
                    name: name.to_owned(),
                    kind: foreign(of, kind),
                    foreign: !of.is_empty(),
                    verbs: reader.strings(),
                }
            })
            .collect();
        let gvk = foreign(of, kind);
        let package = self.packages[&(gvk.group.clone(), gvk.version.clone())];
        let at = self
            .types
            .find(&format!("{package}.{kind}"))
            .expect("the importer writes a type for each resource");
        let types = self.types.clone();
        ResourceInfo {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            singular: singular.to_owned(),
            kind: kind.to_owned(),
            list_kind: format!("{kind}List"),
            namespaced: flags & 1 != 0,
            short_names,
            categories,
            verbs,
            subresources,
            stored: (!stored.is_empty()).then(|| foreign(stored, kind)),
            storage_version_hash: hash.to_owned(),
            served_by_default: flags & 2 != 0,
            custom: false,
            definition: None,
            ty: Lazy::new(move || types.get(at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::schema::{ListType, Scalar, TypeKind};

    use super::*;

    #[test]
    fn every_type_can_be_made_and_its_references_resolve() {
        let registry = Registry::builtin();
        let mut n_fields = 0;
        for name in registry.type_names() {
            let ty = registry.type_named(name).unwrap();
            let TypeKind::Struct(body) = &ty.kind else { panic!("{name} is no struct") };
            for field in &body.fields {
                n_fields += 1;
                let _ = field.ty.get();
            }
        }
        assert!(n_fields > 3000, "{n_fields}");
    }

    #[test]
    fn resources_are_found_by_name_and_by_kind() {
        let registry = Registry::builtin();
        let deployments = registry.resource("apps", "v1", "deployments").unwrap();
        assert_eq!(deployments.kind, "Deployment");
        assert_eq!(deployments.short_names, ["deploy"]);
        assert_eq!(deployments.group_resource(), "deployments.apps");
        assert!(deployments.namespaced && deployments.served_by_default);
        let scale = deployments.subresource("scale").unwrap();
        assert_eq!(scale.kind, Gvk::new("autoscaling", "v1", "Scale"));
        assert_eq!(registry.kind("", "v1", "Node").unwrap().plural, "nodes");
        assert!(registry.kind("", "v1", "Nope").is_none());
        assert!(!registry.resource("resource.k8s.io", "v1beta1", "deviceclasses").unwrap().served_by_default);
    }

    #[test]
    fn groups_have_the_order_of_discovery() {
        let registry = Registry::builtin();
        let names: Vec<_> = registry.groups().iter().map(|g| g.name.as_str()).collect();
        assert_eq!(names[..3], ["", "apiregistration.k8s.io", "apps"]);
        let autoscaling = registry.groups().iter().find(|g| g.name == "autoscaling").unwrap();
        assert_eq!(autoscaling.versions[0].version, "v2");
    }

    #[test]
    fn storage_versions_follow_upstream() {
        let registry = Registry::builtin();
        let stored = |group, plural| registry.storage_version(group, plural).unwrap().api_version();
        assert_eq!(stored("events.k8s.io", "events"), "v1");
        assert_eq!(stored("autoscaling", "horizontalpodautoscalers"), "autoscaling/v2");
        assert_eq!(stored("apps", "deployments"), "apps/v1");
        assert!(registry.storage_version("authentication.k8s.io", "tokenreviews").is_none());
    }

    #[test]
    fn fields_carry_what_the_tables_say() {
        let registry = Registry::builtin();
        let container = registry.type_named("io.k8s.api.core.v1.Container").unwrap();
        let TypeKind::Struct(container) = &container.kind else { panic!("a struct") };
        assert_eq!(container.fields[0].name, "name");
        let ports = container.field("ports").unwrap();
        assert_eq!((ports.proto, ports.patch_merge_key.as_str()), (6, "containerPort"));
        let TypeKind::List(list) = &ports.ty.get().kind else { panic!("a list") };
        let ListType::Map(keys) = &list.list_type else { panic!("a map") };
        assert_eq!(keys[1].default, Some("TCP".into()));
        let probe = registry.type_named("io.k8s.api.core.v1.Probe").unwrap();
        let TypeKind::Struct(probe) = &probe.kind else { panic!("a struct") };
        let http = probe.field("httpGet").unwrap();
        assert_eq!(http.proto, 0x0102);
        assert!(http.pointer);
        let policy = container.field("imagePullPolicy").unwrap().ty.get();
        assert_eq!(policy.name, "v1.PullPolicy");
        assert!(matches!(policy.kind, TypeKind::Scalar(Scalar::String)));
        let recursive = registry
            .type_named("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")
            .unwrap();
        assert!(matches!(&recursive.kind, TypeKind::Struct(s) if s.field("not").is_some()));
    }

    #[test]
    fn kinds_without_a_resource_have_types() {
        let registry = Registry::builtin();
        for (group, version, kind) in [
            ("", "v1", "PodList"),
            ("apps", "v1", "DeleteOptions"),
            ("autoscaling", "v1", "Scale"),
            ("meta.k8s.io", "v1", "Table"),
        ] {
            assert!(registry.type_of(group, version, kind).is_some(), "{group}/{version} {kind}");
        }
        assert!(registry.type_of("apps", "v1", "Nope").is_none());
    }

    #[test]
    fn dynamic_entries_compose() {
        let registry = Registry::builtin();
        let mut entry = (*registry.resource("apps", "v1", "deployments").unwrap()).clone();
        entry.group = "example.com".into();
        entry.kind = "Thing".into();
        let more = registry.with([entry]);
        assert_eq!(more.kind("example.com", "v1", "Thing").unwrap().plural, "deployments");
        assert!(registry.kind("example.com", "v1", "Thing").is_none());
        assert_eq!(more.groups().last().unwrap().name, "example.com");
    }
}
