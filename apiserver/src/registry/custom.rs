//! The kinds that custom resource definitions add: an immutable snapshot beside the built-in tables, swapped as a whole
//! when a definition changes. A request for a built-in kind never looks at it.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::Value;
use apimachinery::schema::TypeRef;
use kinds::ResourceInfo;
use kinds::custom::Names;
use tokio_util::sync::CancellationToken;

use super::{Registry, Resource, describe};

/// One state of the custom kinds.
#[derive(Debug, Default)]
pub(crate) struct CustomKinds {
    /// Counts the snapshots of a server: what is made of one is kept by this.
    pub(crate) number: u64,
    /// Each definition's resources by preference of their versions, by the definition's name.
    definitions: BTreeMap<String, Vec<Arc<Resource>>>,
    /// The same by group and version, then by plural name.
    resources: BTreeMap<(String, String), BTreeMap<String, Arc<Resource>>>,
}

impl CustomKinds {
    fn of(number: u64, definitions: BTreeMap<String, Vec<Arc<Resource>>>) -> Self {
        let mut resources: BTreeMap<(String, String), BTreeMap<String, Arc<Resource>>> = BTreeMap::new();
        for resource in definitions.values().flatten() {
            let info = &resource.info;
            resources
                .entry((info.group.clone(), info.version.clone()))
                .or_default()
                .insert(info.plural.clone(), Arc::clone(resource));
        }
        Self { number, definitions, resources }
    }

    pub(super) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.resources.get(&(group.to_owned(), version.to_owned()))?.get(plural)
    }

    pub(super) fn kind(&self, group: &str, version: &str, kind: &str) -> Option<&Arc<Resource>> {
        let all = self.resources.get(&(group.to_owned(), version.to_owned()))?;
        all.values().find(|resource| resource.info.kind == kind)
    }

    pub(super) fn serves_version(&self, group: &str, version: &str) -> bool {
        self.resources.contains_key(&(group.to_owned(), version.to_owned()))
    }

    pub(super) fn serves_group(&self, group: &str) -> bool {
        self.resources.keys().any(|(g, _)| g == group)
    }

    /// The resource in its preferred version.
    pub(super) fn any_version(&self, group: &str, plural: &str) -> Option<&Arc<Resource>> {
        let name = format!("{plural}.{group}");
        self.definitions.get(&name)?.first()
    }

    /// Groups with their versions by preference, sorted by name: all have the same priority.
    pub(crate) fn groups(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (group, version) in self.resources.keys() {
            groups.entry(group).or_default().push(version);
        }
        for versions in groups.values_mut() {
            versions.sort_by(|a, b| kinds::custom::version_order(a, b));
        }
        groups
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.definitions.values().flatten()
    }

    /// The resources of one definition.
    pub(crate) fn of_definition(&self, name: &str) -> &[Arc<Resource>] {
        self.definitions.get(name).map(Vec::as_slice).unwrap_or_default()
    }
}

impl Resource {
    /// The accepted names of a custom kind.
    pub(crate) fn names(&self) -> Names {
        Names::of(&self.info)
    }
}

impl Registry {
    /// The custom kinds of this moment.
    pub(crate) fn custom(&self) -> Arc<CustomKinds> {
        Arc::clone(&self.custom.read())
    }

    /// Serves a definition's resources from now on in place of those that it had; none takes it away. What was served
    /// before and is no longer the same is retired, and its watches end.
    pub(crate) fn serve_definition(&self, name: &str, resources: Vec<ResourceInfo>) {
        let mut described: Vec<Resource> =
            resources.into_iter().map(|info| describe(&self.kinds, &Arc::new(info))).collect();
        let mut slot = self.custom.write();
        let mut definitions = slot.definitions.clone();
        let before = definitions.remove(name).unwrap_or_default();
        for old in &before {
            match described.iter_mut().find(|new| new.form == old.form && new.names() == old.names()) {
                Some(same) => same.retired = old.retired.clone(),
                None => old.retired.iter().for_each(CancellationToken::cancel),
            }
        }
        if !described.is_empty() {
            definitions.insert(name.to_owned(), described.into_iter().map(Arc::new).collect());
        }
        *slot = Arc::new(CustomKinds::of(slot.number + 1, definitions));
    }

    /// An object that is sent in one version and stored in another keeps what the latter knows.
    pub(crate) fn prune_for_storage(&self, resource: &Resource, object: &mut Value) {
        if let Some(definition) = resource.definition().filter(|_| resource.converts()) {
            definition.prune_for_storage(object);
            self.normalise(resource, object);
        }
    }

    /// The type of a kind, built-in or custom.
    pub(crate) fn type_of(&self, group: &str, version: &str, kind: &str) -> Option<TypeRef> {
        if let Some(resource) = self.custom().kind(group, version, kind) {
            return Some(Arc::clone(resource.info.ty.get()));
        }
        self.kinds.type_of(group, version, kind)
    }
}
