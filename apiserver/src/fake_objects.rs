//! An in-memory [`Objects`] for tests: no defaults, no validation, revisions that count up.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::{Status, Value};
use futures::future::BoxFuture;
use parking_lot::Mutex;

use crate::seams::Objects;
use crate::values::meta;

type Key = (String, String, String, String);

/// Objects by (group, resource, namespace, name), and how often each resource was listed.
#[derive(Debug, Default)]
pub(crate) struct FakeObjects {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    revision: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    last: BTreeMap<(String, String), u64>,
    raw: BTreeMap<store::Key, (bytes::Bytes, u64)>,
    writes: u64,
    lists: u64,
}

impl FakeObjects {
    /// From YAML documents, each with `apiVersion`, `kind` and the plural of the kind as resource.
    pub(crate) fn with(yaml: &str) -> Arc<Self> {
        let fake = Arc::new(Self::default());
        fake.add(yaml);
        fake
    }

    pub(crate) fn add(&self, yaml: &str) {
        for document in yaml.split("\n---\n") {
            let object = from_yaml(document);
            let group = object.str_at(&["apiVersion"]).and_then(|v| v.split_once('/')).map_or("", |(g, _)| g);
            let resource = plural(object.str_at(&["kind"]).unwrap());
            self.put(group, &resource, object.clone());
        }
    }

    pub(crate) fn put(&self, group: &str, resource: &str, mut object: Value) -> Value {
        let mut state = self.state.lock();
        state.revision += 1;
        state.writes += 1;
        let revision = state.revision;
        object.set_at(&["metadata", "resourceVersion"], revision.to_string());
        if meta(&object, "uid").is_empty() {
            object.set_at(&["metadata", "uid"], format!("uid-{revision}"));
        }
        let key = (
            group.to_owned(),
            resource.to_owned(),
            meta(&object, "namespace").to_owned(),
            meta(&object, "name").to_owned(),
        );
        state.last.insert((group.into(), resource.into()), revision);
        state.objects.insert(key, Arc::new(object.clone()));
        object
    }

    pub(crate) fn remove(&self, group: &str, resource: &str, namespace: &str, name: &str) -> bool {
        let mut state = self.state.lock();
        state.revision += 1;
        let revision = state.revision;
        state.last.insert((group.into(), resource.into()), revision);
        state.objects.remove(&(group.into(), resource.into(), namespace.into(), name.into())).is_some()
    }

    /// Applies a transaction on raw keys; keys of IPAddresses are their objects too. Whether the guards held.
    pub(crate) fn apply(&self, guards: Vec<store::Guard>, ops: Vec<store::Op>) -> bool {
        let holds = |guard: &store::Guard| {
            let found = self.raw(&guard.key).map(|(_, revision)| revision);
            match guard.cond {
                store::Cond::Absent => found.is_none(),
                store::Cond::Present => found.is_some(),
                store::Cond::ModRevision(revision) => found == Some(revision),
            }
        };
        if !guards.iter().all(holds) {
            return false;
        }
        for op in ops {
            let address = op.key().strip_prefix("/registry/ipaddresses/").map(String::from);
            let revision = {
                let mut state = self.state.lock();
                state.revision += 1;
                state.revision
            };
            match (op, address) {
                (store::Op::Put { value, .. }, Some(_)) => {
                    self.put("networking.k8s.io", "ipaddresses", Value::from_json(&value).unwrap());
                }
                (store::Op::Delete { .. }, Some(ip)) => {
                    self.remove("networking.k8s.io", "ipaddresses", "", &ip);
                }
                (store::Op::Put { key, value, .. }, None) => {
                    self.state.lock().raw.insert(key, (value, revision));
                }
                (store::Op::Delete { key }, None) => {
                    self.state.lock().raw.remove(&key);
                }
            }
        }
        true
    }

    pub(crate) fn writes(&self) -> u64 {
        self.state.lock().writes
    }

    pub(crate) fn lists(&self) -> u64 {
        self.state.lock().lists
    }
}

pub(crate) fn from_yaml(text: &str) -> Value {
    Value::parse_yaml(text.as_bytes(), &apimachinery::ParseOptions::default()).unwrap().value
}

fn plural(kind: &str) -> String {
    let lower = kind.to_ascii_lowercase();
    match lower.as_str() {
        "endpoints" => lower,
        k if k.ends_with('s') => format!("{k}es"),
        k if k.ends_with('y') => format!("{}ies", &k[..k.len() - 1]),
        k => format!("{k}s"),
    }
}

impl Objects for FakeObjects {
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let key = (group.to_owned(), resource.to_owned(), namespace.to_owned(), name.to_owned());
        self.state.lock().objects.get(&key).cloned()
    }

    fn list(&self, group: &str, resource: &str, namespace: &str) -> Vec<Arc<Value>> {
        let mut state = self.state.lock();
        state.lists += 1;
        let matches =
            |key: &Key| key.0 == group && key.1 == resource && (namespace.is_empty() || key.2 == namespace);
        state.objects.iter().filter(|(key, _)| matches(key)).map(|(_, o)| Arc::clone(o)).collect()
    }

    fn last_change(&self, group: &str, resource: &str) -> store::Revision {
        self.state.lock().last.get(&(group.to_owned(), resource.to_owned())).copied().unwrap_or(0)
    }

    fn raw(&self, key: &str) -> Option<(bytes::Bytes, store::Revision)> {
        if let Some(ip) = key.strip_prefix("/registry/ipaddresses/") {
            let object = self.get("networking.k8s.io", "ipaddresses", "", ip)?;
            let revision = meta(&object, "resourceVersion").parse().unwrap();
            return Some((object.to_json().into(), revision));
        }
        self.state.lock().raw.get(key).cloned()
    }

    fn commit_raw(
        &self,
        guards: Vec<store::Guard>,
        ops: Vec<store::Op>,
    ) -> BoxFuture<'_, Result<bool, Status>> {
        Box::pin(async move { Ok(self.apply(guards, ops)) })
    }

    fn create<'a>(
        &'a self,
        group: &'a str,
        resource: &'a str,
        namespace: &'a str,
        mut object: Value,
    ) -> BoxFuture<'a, Result<Value, Status>> {
        Box::pin(async move {
            let name = meta(&object, "name").to_owned();
            if self.get(group, resource, namespace, &name).is_some() {
                return Err(Status::already_exists(group, resource, &name));
            }
            if !namespace.is_empty() {
                object.set_at(&["metadata", "namespace"], namespace);
            }
            object.remove_at(&["status"]);
            Ok(self.put(group, resource, object))
        })
    }

    fn update<'a>(
        &'a self,
        group: &'a str,
        resource: &'a str,
        namespace: &'a str,
        name: &'a str,
        subresource: &'a str,
        object: Value,
    ) -> BoxFuture<'a, Result<Value, Status>> {
        Box::pin(async move {
            let Some(old) = self.get(group, resource, namespace, name) else {
                return Err(Status::not_found(group, resource, name));
            };
            let expected = meta(&object, "resourceVersion");
            if !expected.is_empty() && expected != meta(&old, "resourceVersion") {
                return Err(Status::modified(group, resource, name));
            }
            let written = if subresource == "status" {
                let mut kept = Arc::unwrap_or_clone(old);
                kept.set_at(&["status"], object.get("status").cloned().unwrap_or_default());
                kept
            } else {
                object
            };
            Ok(self.put(group, resource, written))
        })
    }

    fn delete<'a>(
        &'a self,
        group: &'a str,
        resource: &'a str,
        namespace: &'a str,
        name: &'a str,
        _options: Value,
    ) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            match self.remove(group, resource, namespace, name) {
                true => Ok(()),
                false => Err(Status::not_found(group, resource, name)),
            }
        })
    }
}
