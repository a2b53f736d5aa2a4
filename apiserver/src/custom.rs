//! Custom resource definitions at work: each is looked at when it changes, its names are accepted or refused, its kinds
//! are served, and when it is deleted its objects go first. Mirrors the controllers of upstream's apiextensions server.
//!
//! A kind is served before its definition says `Established`, so that who has waited for that finds it. What is served is
//! loaded from the store before the first request is answered.

pub(crate) mod conditions;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use apimachinery::schema::TypeRef;
use apimachinery::{Status, Value, meta};
use component::Tasks;
use kinds::ResourceInfo;
use kinds::custom::Names;
use store::{Revision, StoreError, Watcher};

use crate::registry::Registry;
use crate::registry::commit::store_status;
use crate::seams::Objects;
use conditions::Conditions;

const GROUP: &str = "apiextensions.k8s.io";
const PLURAL: &str = "customresourcedefinitions";
/// The prefix of definitions in the store.
const PREFIX: &str = "/registry/apiextensions.k8s.io/customresourcedefinitions/";

/// Keeps a definition until its objects are gone.
pub(crate) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Until what has failed is tried again: a write of a definition's status, or a delete of an object.
const RETRY: Duration = Duration::from_secs(1);

/// Serves what is in the store, and follows it until the tasks are stopped.
pub(crate) fn start(registry: &Arc<Registry>, tasks: &Tasks) {
    let Some(metadata) = registry.kinds().type_named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
    else {
        return;
    };
    let mut controller = Controller {
        registry: Arc::downgrade(registry),
        metadata,
        accepted: BTreeMap::new(),
        soon: BTreeSet::new(),
        failed: BTreeSet::new(),
        emptying: BTreeMap::new(),
    };
    let since = registry.view().revision();
    for definition in Objects::list(&**registry, GROUP, PLURAL, "") {
        controller.learn(registry, &definition);
    }
    tasks.spawn_until_stop("custom resources", controller.run(since));
}

/// Marks a definition whose deletion begins: it stays until its objects are gone.
pub(crate) fn begin_deletion(definition: &mut Value, now: jiff::Timestamp) {
    if !meta::finalizers(definition).any(|f| f == CLEANUP) {
        let mut finalizers = definition.array_at(&["metadata", "finalizers"]).to_vec();
        finalizers.push(CLEANUP.into());
        definition.set_at(&["metadata", "finalizers"], finalizers);
    }
    let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
    Conditions::of(definition, now).set("Terminating", "True", "InstanceDeletionPending", message);
}

struct Controller {
    /// Weak: a server that has ended frees its objects.
    registry: Weak<Registry>,
    metadata: TypeRef,
    /// The group and accepted names of every definition, by its name.
    accepted: BTreeMap<String, (String, Names)>,
    /// Definitions to look at again at once.
    soon: BTreeSet<String>,
    /// Definitions to look at again in a while.
    failed: BTreeSet<String>,
    /// Definitions that wait for their objects to go, and what happens to these.
    emptying: BTreeMap<String, Watcher>,
}

impl Controller {
    async fn run(mut self, since: Revision) {
        let mut watcher = None;
        let mut from = since;
        // What was made while nobody looked has no status yet.
        let mut waiting: BTreeSet<String> = self.all();
        loop {
            while !waiting.is_empty() {
                for name in std::mem::take(&mut waiting) {
                    self.sync(&name).await;
                }
                waiting = std::mem::take(&mut self.soon);
            }
            let Some(registry) = self.registry.upgrade() else { return };
            if watcher.is_none() {
                from = from.max(registry.view().compacted_revision());
                watcher = registry.view().watch(PREFIX, from + 1).ok();
                waiting = self.all();
            }
            drop(registry);
            let next = self.next(watcher.as_mut());
            match next.await {
                Ok(names) => waiting.extend(names),
                Err(StoreError::Stopped) => return,
                // It was too slow: everything is looked at again.
                Err(_) => watcher = None,
            }
        }
    }

    fn all(&self) -> BTreeSet<String> {
        let Some(registry) = self.registry.upgrade() else { return BTreeSet::new() };
        let stored = Objects::list(&*registry, GROUP, PLURAL, "");
        stored.iter().map(|d| meta::name(d).to_owned()).chain(self.accepted.keys().cloned()).collect()
    }

    /// The definitions to look at next, once there are any.
    async fn next(&mut self, watcher: Option<&mut Watcher>) -> Result<BTreeSet<String>, StoreError> {
        let Some(watcher) = watcher else {
            tokio::time::sleep(RETRY).await;
            return Ok(BTreeSet::new());
        };
        let retry = !self.failed.is_empty();
        tokio::select! {
            biased;
            event = watcher.next() => {
                let event = event?;
                Ok(BTreeSet::from([event.key[PREFIX.len()..].to_owned()]))
            }
            name = object_gone(&mut self.emptying) => Ok(BTreeSet::from([name])),
            () = tokio::time::sleep(RETRY), if retry => Ok(std::mem::take(&mut self.failed)),
        }
    }

    /// Takes over what a stored definition says of itself, and serves it when it is established.
    fn learn(&mut self, registry: &Registry, definition: &Value) {
        let accepted = Names::read(definition.at(&["status", "acceptedNames"]).unwrap_or(&Value::NULL));
        if conditions::is_true(definition, "Established") {
            self.serve(registry, definition, &accepted);
        }
        let group = definition.str_at(&["spec", "group"]).unwrap_or_default().to_owned();
        self.accepted.insert(meta::name(definition).to_owned(), (group, accepted));
    }

    fn serve(&self, registry: &Registry, definition: &Value, names: &Names) {
        let name = meta::name(definition);
        let fresh = kinds::custom::resources(definition, names, &self.metadata);
        let current = registry.custom();
        let served = current.of_definition(name);
        let same = served.len() == fresh.len()
            && served.iter().zip(&fresh).all(|(old, new)| {
                let state = |info: &ResourceInfo| {
                    info.definition.as_ref().map(|d| (d.identity.clone(), d.terminating))
                };
                state(&old.info) == state(new) && old.names() == *names
            });
        if !same {
            registry.serve_definition(name, fresh);
        }
    }

    /// Brings one definition's status and what is served of it up to date.
    async fn sync(&mut self, name: &str) {
        let Some(registry) = self.registry.upgrade() else { return };
        if let Err(status) = self.try_sync(&registry, name).await {
            // Somebody else's write is told by the watch; anything else is tried again.
            if !status.is_conflict() && !status.is_not_found() {
                tracing::warn!(definition = name, error = %status, "a custom resource definition was not brought up to date");
                self.failed.insert(name.to_owned());
            }
        }
    }

    async fn try_sync(&mut self, registry: &Arc<Registry>, name: &str) -> Result<(), Status> {
        let Some(definition) = registry.get(GROUP, PLURAL, "", name) else {
            self.emptying.remove(name);
            if let Some((group, _)) = self.accepted.remove(name) {
                registry.serve_definition(name, Vec::new());
                // Its names are free: others of the group may have waited for them.
                self.soon.extend(self.of_group(&group, name));
            }
            return Ok(());
        };
        let group = definition.str_at(&["spec", "group"]).unwrap_or_default().to_owned();
        let mut wanted = (*definition).clone();
        let others = self.accepted.iter().filter(|(n, (g, _))| *n != name && *g == group);
        let decision = names::decide(&definition, others.map(|(_, (_, names))| names));
        let now = registry.now();
        let mut conditions = Conditions::of(&mut wanted, now);
        names::set_conditions(&mut conditions, &decision);
        conditions::set_approval(&mut conditions, &definition, &group);
        let established = conditions.is_true("Established");
        wanted.set_at(&["status", "acceptedNames"], names::value(&decision.accepted));
        if established {
            self.serve(registry, &wanted, &decision.accepted);
        }
        self.accepted.insert(name.to_owned(), (group, decision.accepted));
        if wanted != *definition {
            Objects::update(&**registry, GROUP, PLURAL, "", name, "status", wanted).await?;
            // The write is told by the watch, and clean-up begins from what it says.
            return Ok(());
        }
        if meta::deletion_timestamp(&definition).is_some()
            && meta::finalizers(&definition).any(|f| f == CLEANUP)
        {
            self.clean_up(registry, name, wanted).await?;
        }
        Ok(())
    }

    fn of_group(&self, group: &str, except: &str) -> Vec<String> {
        let same = self.accepted.iter().filter(|(name, (g, _))| *name != except && g == group);
        same.map(|(name, _)| name.clone()).collect()
    }

    /// Deletes the objects of a definition, and lets it go once there are none.
    async fn clean_up(
        &mut self,
        registry: &Arc<Registry>,
        name: &str,
        mut definition: Value,
    ) -> Result<(), Status> {
        let now = registry.now();
        let resource = registry.custom().of_definition(name).first().cloned();
        let mut n_left = 0;
        if let Some(resource) = resource {
            let (group, plural) = (resource.group(), resource.plural());
            // What happens from here on is heard of; nothing new is made meanwhile.
            let view = registry.view();
            let heard = view.watch(&resource.prefix, view.revision() + 1);
            self.emptying.insert(name.to_owned(), heard.map_err(|e| store_status(&e))?);
            for object in Objects::list(&**registry, group, plural, "") {
                if meta::deletion_timestamp(&object).is_some() {
                    continue;
                }
                let namespace = meta::namespace(&object);
                match Objects::delete(&**registry, group, plural, namespace, meta::name(&object), Value::NULL)
                    .await
                {
                    Err(status) if !status.is_not_found() => return Err(status),
                    _ => {}
                }
            }
            n_left = view.count(&resource.prefix);
        }
        let mut conditions = Conditions::of(&mut definition, now);
        if n_left > 0 {
            conditions.set(
                "Terminating",
                "True",
                "InstanceDeletionInProgress",
                "CustomResource deletion is in progress",
            );
        } else {
            self.emptying.remove(name);
            conditions.set("Terminating", "False", "InstanceDeletionCompleted", "removed all instances");
            let left: Vec<Value> =
                meta::finalizers(&definition).filter(|f| *f != CLEANUP).map(Value::from).collect();
            definition.set_at(&["metadata", "finalizers"], left);
        }
        Objects::update(&**registry, GROUP, PLURAL, "", name, "status", definition).await?;
        Ok(())
    }
}

/// The name of a definition once one of the objects that it waits for is gone, or once there is no telling.
async fn object_gone(emptying: &mut BTreeMap<String, Watcher>) -> String {
    if emptying.is_empty() {
        return std::future::pending().await;
    }
    let all = emptying.iter_mut().map(|(name, watcher)| {
        Box::pin(async move {
            // An object that only changes, as by the finalizers of others, is waited for further.
            while watcher.next().await.is_ok_and(|event| !event.deleted()) {}
            name.clone()
        })
    });
    let (name, _, _) = futures::future::select_all(all).await;
    name
}
