//! Who owns whom, from metadata as it arrives; and what deserves a look after each change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use client::{ApiResource, Meta, OwnerReference};

pub(crate) const FOREGROUND: &str = "foregroundDeletion";
pub(crate) const ORPHAN: &str = "orphan";

/// What to do about an object, by uid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Task {
    /// Check its owners, or (being deleted in the foreground) its dependents.
    Check(String),
    /// Let its dependents go.
    Orphan(String),
}

impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Check(uid) => write!(f, "check {uid}"),
            Self::Orphan(uid) => write!(f, "orphan {uid}"),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) resource: Arc<ApiResource>,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) owners: Vec<OwnerReference>,
    pub(crate) deleting: bool,
    pub(crate) foreground: bool,
    pub(crate) orphan: bool,
}

impl Node {
    fn of(resource: &Arc<ApiResource>, meta: &Meta) -> Self {
        Self {
            resource: Arc::clone(resource),
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            owners: meta.owner_references.clone(),
            deleting: meta.deleting(),
            foreground: meta.has_finalizer(FOREGROUND),
            orphan: meta.has_finalizer(ORPHAN),
        }
    }

    /// Waits for its dependents before it goes.
    pub(crate) fn waits(&self) -> bool {
        self.deleting && self.foreground
    }

    pub(crate) fn path(&self) -> String {
        self.resource.path(&self.namespace, &self.name, "")
    }

    /// Holds up the foreground deletion of `owner`.
    pub(crate) fn blocks(&self, owner: &str) -> bool {
        self.owners.iter().any(|o| o.uid == owner && o.block_owner_deletion == Some(true))
    }
}

#[derive(Debug, Default)]
pub(crate) struct Graph {
    nodes: BTreeMap<String, Node>,
    dependents: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    pub(crate) fn get(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    pub(crate) fn dependents(&self, uid: &str) -> Vec<String> {
        self.dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    /// An object was added or changed.
    pub(crate) fn put(&mut self, resource: &Arc<ApiResource>, meta: &Meta) -> Vec<Task> {
        let uid = meta.uid.clone();
        let node = Node::of(resource, meta);
        let mut tasks = Vec::new();
        let old = self.nodes.get(&uid);
        // An owner that waits must hear of a dependent that left it or blocks it no more.
        for reference in old.iter().flat_map(|o| &o.owners) {
            let blocked = reference.block_owner_deletion == Some(true);
            let waits = self.nodes.get(&reference.uid).is_some_and(Node::waits);
            if waits && blocked && !node.blocks(&reference.uid) {
                tasks.push(Task::Check(reference.uid.clone()));
            }
        }
        let newly_waiting = node.waits() && !old.is_some_and(Node::waits);
        let newly_orphaning = node.deleting && node.orphan && !old.is_some_and(|o| o.deleting && o.orphan);
        let known: BTreeSet<&String> = old.iter().flat_map(|o| &o.owners).map(|o| &o.uid).collect();
        // An owner that nobody has seen may never have been, or may be gone; one that waits deletes its dependents.
        let suspicious = node
            .owners
            .iter()
            .filter(|o| !known.contains(&o.uid))
            .any(|o| self.nodes.get(&o.uid).is_none_or(Node::waits));
        if suspicious {
            tasks.push(Task::Check(uid.clone()));
        }
        self.unlink(&uid);
        for owner in &node.owners {
            self.dependents.entry(owner.uid.clone()).or_default().insert(uid.clone());
        }
        self.nodes.insert(uid.clone(), node);
        if newly_waiting {
            tasks.extend(self.dependents(&uid).into_iter().map(Task::Check));
            tasks.push(Task::Check(uid.clone()));
        }
        if newly_orphaning {
            tasks.push(Task::Orphan(uid));
        }
        tasks
    }

    /// An object is gone: its dependents lost an owner, and its owners may have waited for it.
    pub(crate) fn remove(&mut self, uid: &str) -> Vec<Task> {
        let owners: Vec<String> =
            self.nodes.get(uid).iter().flat_map(|n| &n.owners).map(|o| o.uid.clone()).collect();
        self.unlink(uid);
        self.nodes.remove(uid);
        let mut tasks: Vec<Task> = self.dependents(uid).into_iter().map(Task::Check).collect();
        tasks.extend(
            owners.into_iter().filter(|o| self.nodes.get(o).is_some_and(Node::waits)).map(Task::Check),
        );
        tasks
    }

    /// All objects of a resource that is served no more.
    pub(crate) fn remove_resource(&mut self, resource: &ApiResource) -> Vec<Task> {
        let gone: Vec<String> =
            self.nodes.iter().filter(|(_, n)| *n.resource == *resource).map(|(uid, _)| uid.clone()).collect();
        gone.iter().flat_map(|uid| self.remove(uid)).collect()
    }

    fn unlink(&mut self, uid: &str) {
        let owners: Vec<String> =
            self.nodes.get(uid).iter().flat_map(|n| &n.owners).map(|o| o.uid.clone()).collect();
        for owner in owners {
            if let Some(set) = self.dependents.get_mut(&owner) {
                set.remove(uid);
                if set.is_empty() {
                    self.dependents.remove(&owner);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(uid: &str, owners: &[(&str, bool)], deleting: Option<&str>) -> Meta {
        Meta {
            uid: uid.into(),
            name: uid.into(),
            owner_references: owners
                .iter()
                .map(|(uid, block)| OwnerReference {
                    uid: (*uid).into(),
                    block_owner_deletion: Some(*block),
                    ..OwnerReference::default()
                })
                .collect(),
            finalizers: deleting.filter(|f| !f.is_empty()).map(str::to_owned).into_iter().collect(),
            deletion_timestamp: deleting.map(|_| jiff::Timestamp::UNIX_EPOCH),
            ..Meta::default()
        }
    }

    fn check(uid: &str) -> Task {
        Task::Check(uid.into())
    }

    struct World(Graph, Arc<ApiResource>);

    impl World {
        fn put(&mut self, meta: &Meta) -> Vec<Task> {
            self.0.put(&self.1, meta)
        }
    }

    fn world() -> World {
        World(Graph::default(), Arc::default())
    }

    #[test]
    fn an_unknown_owner_is_suspicious_once() {
        let mut w = world();
        assert_eq!(w.put(&meta("child", &[("owner", true)], None)), [check("child")]);
        assert_eq!(w.put(&meta("child", &[("owner", true)], None)), []);
        assert_eq!(w.put(&meta("owner", &[], None)), []);
        assert_eq!(w.put(&meta("second", &[("owner", true)], None)), []);
        assert_eq!(w.0.remove("owner"), [check("child"), check("second")]);
    }

    #[test]
    fn foreground_deletion_looks_at_dependents_and_hears_of_their_end() {
        let mut w = world();
        w.put(&meta("owner", &[], None));
        w.put(&meta("child", &[("owner", true)], None));
        let waiting = meta("owner", &[], Some(FOREGROUND));
        assert_eq!(w.put(&waiting), [check("child"), check("owner")]);
        assert_eq!(w.put(&waiting), []);
        // One that is made meanwhile must go as well.
        assert_eq!(w.put(&meta("late", &[("owner", true)], None)), [check("late")]);
        // One that stops blocking, and one that goes.
        assert_eq!(w.put(&meta("late", &[("owner", false)], None)), [check("owner")]);
        assert_eq!(w.0.remove("child"), [check("owner")]);
    }

    #[test]
    fn orphaning_is_a_task_of_its_own() {
        let mut w = world();
        w.put(&meta("owner", &[], None));
        w.put(&meta("child", &[("owner", true)], None));
        assert_eq!(w.put(&meta("owner", &[], Some(ORPHAN))), [Task::Orphan("owner".into())]);
        assert_eq!(w.0.dependents("owner"), ["child"]);
        w.put(&meta("child", &[], None));
        assert!(w.0.dependents("owner").is_empty());
    }

    #[test]
    fn a_resource_that_goes_takes_its_objects_along() {
        let mut w = world();
        let crd = Arc::new(ApiResource { plural: "things".into(), ..ApiResource::default() });
        w.0.put(&crd, &meta("owner", &[], None));
        w.put(&meta("child", &[("owner", true)], None));
        assert_eq!(w.0.remove_resource(&crd), [check("child")]);
        assert!(w.0.get("owner").is_none());
    }
}
