//! The ConfigMaps and Secrets that pods of this node refer to: each is watched by name while some pod uses it, and never
//! all of them. The node's authorization allows no more than that, either.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use client::{Client, Informer, Informers, ListParams, Resource};
use component::Tasks;
use env::Env;
use parking_lot::Mutex;

use crate::api::pod::{Container, PodSpec};
use crate::api::{ConfigMap, Secret};
use crate::pods::Inbox;

/// How long a pod waits for the first answer about an object, before it says so.
const SYNC_MAX: Duration = Duration::from_secs(10);

/// Both kinds.
#[derive(Debug)]
pub(crate) struct Objects {
    pub(crate) config_maps: Watched<ConfigMap>,
    pub(crate) secrets: Watched<Secret>,
}

impl Objects {
    pub(crate) fn new(client: &Client, env: &Env, tasks: &Tasks) -> Self {
        Self {
            config_maps: Watched::new(client, env, tasks, "configmap"),
            secrets: Watched::new(client, env, tasks, "secret"),
        }
    }

    /// Watches everything that `spec` refers to on behalf of a pod. Idempotent.
    pub(crate) fn register(&self, namespace: &str, uid: &str, spec: &PodSpec, inbox: &Arc<Inbox>) {
        let (config_maps, secrets) = references(spec);
        for name in config_maps {
            self.config_maps.register(namespace, name, uid, inbox);
        }
        for name in secrets {
            self.secrets.register(namespace, name, uid, inbox);
        }
    }

    /// Ends a pod's interest.
    pub(crate) fn release(&self, uid: &str) {
        self.config_maps.release(uid);
        self.secrets.release(uid);
    }
}

/// The names of ConfigMaps and of Secrets that a pod refers to, each sorted and once.
pub(crate) fn references(spec: &PodSpec) -> (Vec<&str>, Vec<&str>) {
    let (mut maps, mut secrets): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    secrets.extend(spec.image_pull_secrets.iter().map(|r| r.name.as_str()));
    for container in spec.all_containers() {
        of_container(container, &mut maps, &mut secrets);
    }
    for volume in &spec.volumes {
        maps.extend(volume.config_map.iter().map(|v| v.name.as_str()));
        secrets.extend(volume.secret.iter().map(|v| v.secret_name.as_str()));
        for source in volume.projected.iter().flat_map(|p| &p.sources) {
            maps.extend(source.config_map.iter().map(|v| v.name.as_str()));
            secrets.extend(source.secret.iter().map(|v| v.name.as_str()));
        }
    }
    for list in [&mut maps, &mut secrets] {
        list.retain(|name| !name.is_empty());
        list.sort_unstable();
        list.dedup();
    }
    (maps, secrets)
}

fn of_container<'a>(container: &'a Container, maps: &mut Vec<&'a str>, secrets: &mut Vec<&'a str>) {
    for from in &container.env_from {
        maps.extend(from.config_map_ref.iter().map(|r| r.name.as_str()));
        secrets.extend(from.secret_ref.iter().map(|r| r.name.as_str()));
    }
    for from in container.env.iter().filter_map(|e| e.value_from.as_ref()) {
        maps.extend(from.config_map_key_ref.iter().map(|r| r.name.as_str()));
        secrets.extend(from.secret_key_ref.iter().map(|r| r.name.as_str()));
    }
}

/// Objects of one kind, by namespace and name.
pub(crate) struct Watched<T: Resource> {
    client: Client,
    env: Env,
    tasks: Tasks,
    word: &'static str,
    entries: Mutex<BTreeMap<(String, String), Entry<T>>>,
}

type Users = Arc<Mutex<BTreeMap<String, Weak<Inbox>>>>;

struct Entry<T: Resource> {
    informer: Informer<T>,
    tasks: Tasks,
    users: Users,
}

impl<T: Resource> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched")
            .field("kind", &self.word)
            .field("objects", &self.entries.lock().len())
            .finish()
    }
}

impl<T: Resource> Watched<T> {
    fn new(client: &Client, env: &Env, tasks: &Tasks, word: &'static str) -> Self {
        let tasks = tasks.child(format!("{word}s"));
        Self { client: client.clone(), env: env.clone(), tasks, word, entries: Mutex::default() }
    }

    fn register(&self, namespace: &str, name: &str, uid: &str, inbox: &Arc<Inbox>) {
        let mut entries = self.entries.lock();
        let entry = entries.entry((namespace.to_owned(), name.to_owned())).or_insert_with(|| {
            let tasks = self.tasks.child(format!("{} {namespace}/{name}", self.word));
            let informers = Informers::new(self.client.clone(), self.env.clone(), tasks.clone());
            let informer = informers.with::<T>(ListParams {
                namespace: namespace.to_owned(),
                field_selector: format!("metadata.name={name}"),
                ..ListParams::default()
            });
            let users = Users::default();
            let told = Arc::clone(&users);
            informer.add_handler(move |_| {
                for inbox in told.lock().values().filter_map(Weak::upgrade) {
                    inbox.objects_changed();
                }
            });
            informers.start();
            Entry { informer, tasks, users }
        });
        entry.users.lock().insert(uid.to_owned(), Arc::downgrade(inbox));
    }

    fn release(&self, uid: &str) {
        self.entries.lock().retain(|_, entry| {
            let mut users = entry.users.lock();
            users.remove(uid);
            if users.is_empty() {
                entry.tasks.kill();
            }
            !users.is_empty()
        });
    }

    /// The object as it is now; `None` when it does not exist. An error when nothing is known of it.
    pub(crate) async fn get(&self, namespace: &str, name: &str) -> Result<Option<Arc<T>>, String> {
        let key = (namespace.to_owned(), name.to_owned());
        let Some(informer) = self.entries.lock().get(&key).map(|e| e.informer.clone()) else {
            return Err(format!("object {namespace:?}/{name:?} not registered"));
        };
        match tokio::time::timeout(SYNC_MAX, informer.synced()).await {
            Ok(()) => Ok(informer.get(namespace, name)),
            Err(_) => Err(format!("failed to sync {} cache: timed out waiting for the condition", self.word)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_is_found_once() {
        let spec: PodSpec = serde_json::from_value(serde_json::json!({
            "imagePullSecrets": [{"name": "pull"}],
            "containers": [{"envFrom": [{"configMapRef": {"name": "m1"}}, {"secretRef": {"name": "s1"}}],
                "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "m2", "key": "k"}}},
                        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s1", "key": "k"}}}]}],
            "volumes": [{"name": "a", "configMap": {"name": "m3"}}, {"name": "b", "secret": {"secretName": "s2"}},
                {"name": "c", "projected": {"sources": [{"configMap": {"name": "m1"}}, {"secret": {"name": "s3"}}]}}]}))
        .unwrap();
        let (maps, secrets) = references(&spec);
        assert_eq!(maps, ["m1", "m2", "m3"]);
        assert_eq!(secrets, ["pull", "s1", "s2", "s3"]);
    }
}
