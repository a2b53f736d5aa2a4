//! Roles and bindings, compiled to grants by user and by group.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::{Selector, Value};

use super::GROUP;
use super::rule::Rule;
use crate::auth::mirror::Mirror;
use crate::auth::service_account::USER_PREFIX;
use crate::seams::{Objects, UserInfo};
use crate::values::{meta, text};

/// The newest changes of clusterroles, roles, clusterrolebindings and rolebindings, in that order.
type Revisions = [store::Revision; 4];
const RESOURCES: [&str; 4] = ["clusterroles", "roles", "clusterrolebindings", "rolebindings"];

/// What one binding gives one subject.
#[derive(Debug)]
pub struct Grant {
    /// The rules, or why there are none.
    pub rules: Result<Arc<[Rule]>, String>,
    binding: Arc<Binding>,
    subject: usize,
}

impl Grant {
    /// Upstream's reason for allowing by this grant.
    pub fn reason(&self) -> String {
        let binding = &self.binding;
        let (kind, name) = if binding.namespace.is_empty() {
            ("ClusterRoleBinding", binding.name.clone())
        } else {
            ("RoleBinding", format!("{}/{}", binding.name, binding.namespace))
        };
        let subject = &binding.subjects[self.subject];
        let whom = if subject.kind == "ServiceAccount" {
            format!("{}/{}", subject.name, subject.namespace)
        } else {
            subject.name.clone()
        };
        format!(
            "RBAC: allowed by {kind} {name:?} of {} {:?} to {} {whom:?}",
            binding.role_kind, binding.role_name, subject.kind
        )
    }
}

#[derive(Debug)]
struct Binding {
    namespace: String,
    name: String,
    role_kind: String,
    role_name: String,
    subjects: Vec<Subject>,
}

#[derive(Debug)]
struct Subject {
    kind: String,
    /// Of a ServiceAccount: its own or the binding's.
    namespace: String,
    name: String,
}

#[derive(Debug, Default)]
struct Grants {
    users: BTreeMap<String, Vec<Grant>>,
    groups: BTreeMap<String, Vec<Grant>>,
}

/// Everything compiled; immutable.
#[derive(Debug, Default)]
pub struct Index {
    revisions: Option<Revisions>,
    cluster_roles: BTreeMap<String, Arc<[Rule]>>,
    roles: BTreeMap<String, BTreeMap<String, Arc<[Rule]>>>,
    cluster: Grants,
    namespaces: BTreeMap<String, Grants>,
}

impl Index {
    pub fn revisions(&self) -> Option<Revisions> {
        self.revisions
    }

    /// The rules of a role or cluster role.
    pub fn role(&self, kind: &str, namespace: &str, name: &str) -> Option<Arc<[Rule]>> {
        match kind {
            "ClusterRole" => self.cluster_roles.get(name).cloned(),
            _ => self.roles.get(namespace)?.get(name).cloned(),
        }
    }

    /// Shows every grant of `user` that counts in `namespace`, cluster-wide ones first, until `done` says so.
    pub fn visit<'a>(&'a self, user: &UserInfo, namespace: &str, mut done: impl FnMut(&'a Grant) -> bool) {
        let scoped = if namespace.is_empty() { None } else { self.namespaces.get(namespace) };
        for grants in std::iter::once(&self.cluster).chain(scoped) {
            let by_user = grants.users.get(&user.name).into_iter();
            let by_group = user.groups.iter().filter_map(|g| grants.groups.get(g));
            for grant in by_user.chain(by_group).flatten() {
                if done(grant) {
                    return;
                }
            }
        }
    }

    fn add(&mut self, binding: &Arc<Binding>) {
        let rules = self.role(&binding.role_kind, &binding.namespace, &binding.role_name).ok_or_else(|| {
            let kind = binding.role_kind.to_ascii_lowercase();
            format!("{kind}.{GROUP} {:?} not found", binding.role_name)
        });
        let grants = if binding.namespace.is_empty() {
            &mut self.cluster
        } else {
            self.namespaces.entry(binding.namespace.clone()).or_default()
        };
        for (at, subject) in binding.subjects.iter().enumerate() {
            let grant = Grant { rules: rules.clone(), binding: Arc::clone(binding), subject: at };
            match subject.kind.as_str() {
                "User" => grants.users.entry(subject.name.clone()).or_default().push(grant),
                "Group" => grants.groups.entry(subject.name.clone()).or_default().push(grant),
                "ServiceAccount" => {
                    let user = format!("{USER_PREFIX}{}:{}", subject.namespace, subject.name);
                    grants.users.entry(user).or_default().push(grant);
                }
                _ => {}
            }
        }
    }
}

/// A compiled role.
#[derive(Debug)]
struct Role {
    rules: Arc<[Rule]>,
    labels: BTreeMap<String, String>,
    /// Selectors of an aggregation rule.
    aggregates: Vec<Selector>,
}

/// The compiled objects that an index is made of.
#[derive(Debug)]
pub struct Sources {
    cluster_roles: Mirror<Role>,
    roles: Mirror<Role>,
    cluster_bindings: Mirror<Arc<Binding>>,
    bindings: Mirror<Arc<Binding>>,
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            cluster_roles: Mirror::new(GROUP, RESOURCES[0]),
            roles: Mirror::new(GROUP, RESOURCES[1]),
            cluster_bindings: Mirror::new(GROUP, RESOURCES[2]),
            bindings: Mirror::new(GROUP, RESOURCES[3]),
        }
    }
}

impl Sources {
    pub fn revisions(objects: &dyn Objects) -> Revisions {
        RESOURCES.map(|resource| objects.last_change(GROUP, resource))
    }

    /// Takes up what changed and makes the index anew. `revisions` were read before.
    pub fn build(&mut self, objects: &dyn Objects, revisions: Revisions) -> Index {
        self.cluster_roles.refresh(objects, compile_role, |_, _, _| {});
        self.roles.refresh(objects, compile_role, |_, _, _| {});
        self.cluster_bindings.refresh(objects, compile_binding, |_, _, _| {});
        self.bindings.refresh(objects, compile_binding, |_, _, _| {});
        let mut index = Index { revisions: Some(revisions), ..Index::default() };
        for ((_, name), _) in self.cluster_roles.iter() {
            index.cluster_roles.insert(name.clone(), self.resolved(name));
        }
        for ((namespace, name), role) in self.roles.iter() {
            index.roles.entry(namespace.clone()).or_default().insert(name.clone(), Arc::clone(&role.rules));
        }
        for (_, binding) in self.cluster_bindings.iter().chain(self.bindings.iter()) {
            index.add(binding);
        }
        index
    }

    /// The rules of a cluster role with those that it aggregates, also through roles that aggregate themselves.
    fn resolved(&self, name: &str) -> Arc<[Rule]> {
        let Some(role) = self.cluster_roles.get("", name) else { return Arc::default() };
        if role.aggregates.is_empty() {
            return Arc::clone(&role.rules);
        }
        let mut rules: Vec<Rule> = role.rules.to_vec();
        let mut seen = vec![name.to_owned()];
        let mut todo = vec![role];
        while let Some(aggregating) = todo.pop() {
            for ((_, other), candidate) in self.cluster_roles.iter() {
                let label = |key: &str| candidate.labels.get(key).map(String::as_str);
                let selected = aggregating.aggregates.iter().any(|s| s.matches(label));
                if !selected || seen.contains(other) {
                    continue;
                }
                seen.push(other.clone());
                for rule in candidate.rules.iter() {
                    if !rules.contains(rule) {
                        rules.push(rule.clone());
                    }
                }
                todo.push(candidate);
            }
        }
        rules.into()
    }
}

fn compile_role(role: &Value) -> Role {
    let selectors = role.array_at(&["aggregationRule", "clusterRoleSelectors"]).iter();
    Role {
        rules: Rule::list(role).into(),
        labels: apimachinery::meta::labels(role).map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        // A selector that cannot be read selects nothing.
        aggregates: selectors.filter_map(|s| Selector::from_label_selector(Some(s)).ok()).collect(),
    }
}

fn compile_binding(binding: &Value) -> Arc<Binding> {
    let namespace = meta(binding, "namespace");
    let subjects = binding.array_at(&["subjects"]).iter().map(|subject| {
        let own = text(subject, &["namespace"]);
        Subject {
            kind: text(subject, &["kind"]).into(),
            namespace: if own.is_empty() { namespace.into() } else { own.into() },
            name: text(subject, &["name"]).into(),
        }
    });
    Arc::new(Binding {
        namespace: namespace.into(),
        name: meta(binding, "name").into(),
        role_kind: text(binding, &["roleRef", "kind"]).into(),
        role_name: text(binding, &["roleRef", "name"]).into(),
        subjects: subjects.collect(),
    })
}
