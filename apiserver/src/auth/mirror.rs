//! A projection of all objects of one resource that is brought up to date when somebody looks: what changed since the
//! last look is projected anew, everything else is kept.

use std::collections::BTreeMap;

use apimachinery::Value;

use crate::seams::Objects;
use crate::values::meta;

/// Namespace (empty for cluster scope) and name.
pub type ObjectKey = (String, String);

/// All objects of a resource, each as a `T`.
#[derive(Debug)]
pub struct Mirror<T> {
    group: &'static str,
    resource: &'static str,
    revision: Option<store::Revision>,
    entries: BTreeMap<ObjectKey, Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    resource_version: String,
    projected: T,
}

impl<T> Mirror<T> {
    pub fn new(group: &'static str, resource: &'static str) -> Self {
        Self { group, resource, revision: None, entries: BTreeMap::new() }
    }

    /// Whether [`Mirror::refresh`] has nothing to do.
    pub fn is_fresh(&self, objects: &dyn Objects) -> bool {
        self.revision == Some(objects.last_change(self.group, self.resource))
    }

    /// Takes up what changed; `changed` hears of each old and new projection. Returns whether anything moved.
    pub fn refresh(
        &mut self,
        objects: &dyn Objects,
        project: impl Fn(&Value) -> T,
        mut changed: impl FnMut(&ObjectKey, Option<&T>, Option<&T>),
    ) -> bool {
        // Read before the list: a change that comes between is seen twice rather than never.
        let newest = objects.last_change(self.group, self.resource);
        if self.revision == Some(newest) {
            return false;
        }
        let changes = self.revision.and_then(|since| objects.changes_since(self.group, self.resource, since));
        if let Some(changes) = changes {
            for (namespace, name, object) in changes.objects {
                self.apply((namespace, name), object.as_deref(), &project, &mut changed);
            }
            self.revision = Some(changes.revision);
            return true;
        }
        let all = objects.list(self.group, self.resource, "");
        let mut gone: Vec<ObjectKey> = Vec::new();
        let listed: BTreeMap<ObjectKey, _> =
            all.iter().map(|o| ((meta(o, "namespace").to_owned(), meta(o, "name").to_owned()), o)).collect();
        gone.extend(self.entries.keys().filter(|key| !listed.contains_key(*key)).cloned());
        for key in gone {
            self.apply(key, None, &project, &mut changed);
        }
        for (key, object) in listed {
            let same = self.entries.get(&key).is_some_and(|e| {
                !e.resource_version.is_empty() && e.resource_version == meta(object, "resourceVersion")
            });
            if !same {
                self.apply(key, Some(object), &project, &mut changed);
            }
        }
        self.revision = Some(newest);
        true
    }

    fn apply(
        &mut self,
        key: ObjectKey,
        object: Option<&Value>,
        project: &impl Fn(&Value) -> T,
        changed: &mut impl FnMut(&ObjectKey, Option<&T>, Option<&T>),
    ) {
        let entry = object.map(|o| Entry {
            resource_version: meta(o, "resourceVersion").to_owned(),
            projected: project(o),
        });
        let old = self.entries.remove(&key);
        changed(&key, old.as_ref().map(|e| &e.projected), entry.as_ref().map(|e| &e.projected));
        if let Some(entry) = entry {
            self.entries.insert(key, entry);
        }
    }

    pub fn get(&self, namespace: &str, name: &str) -> Option<&T> {
        // Lookups are by owned pair: BTreeMap cannot borrow a tuple of &str as a tuple of String.
        self.entries.get(&(namespace.to_owned(), name.to_owned())).map(|e| &e.projected)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ObjectKey, &T)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.projected))
    }
}
