//! The server's own access to objects, for admission, authorizers, bootstrap: reads from the View, writes through the
//! same paths as requests but without admission.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::{Status, Value};
use futures::future::BoxFuture;
use store::{Entry, Revision, StoreError};

use super::commit::store_status;
use super::create::Written;
use super::options::{DeleteOptions, WriteOptions};
use super::prepare::Context;
use super::selection::split_key;
use super::update::Target;
use super::{Registry, Resource, keys};
use crate::routes::Query;
use crate::seams::{Changes, Objects, UserInfo};

/// More changes than this are not told one by one: listing again is as cheap.
const CHANGES_MAX: usize = 10_000;
/// Read at once under the View's lock.
const CHANGES_CHUNK: usize = 256;

impl Registry {
    fn own_resource(&self, group: &str, resource: &str) -> Result<Arc<Resource>, Status> {
        self.any_version(group, resource).ok_or_else(crate::response::no_such_resource)
    }

    /// The server as a user.
    fn own_user(&self) -> Arc<UserInfo> {
        Arc::new(UserInfo {
            name: "system:apiserver".into(),
            groups: vec!["system:masters".into(), "system:authenticated".into()],
            ..UserInfo::default()
        })
    }

    /// What was written, decoded, with its revision; hub version.
    pub(crate) fn written_value(&self, written: &Written) -> Value {
        let mut value = Value::from_json(&written.text).expect("the registry's own encoding is valid");
        if let Some(revision) = written.revision {
            value.set_at(&["metadata", "resourceVersion"], revision.to_string());
        }
        value
    }

    /// Brings an object of the server's own making into canonical form.
    fn complete_own(&self, resource: &Resource, object: &mut Value) -> Result<(), Status> {
        super::object::set_type(object, &resource.info.gvk());
        let report = self.canonicalise(resource, object);
        match report.error {
            Some(error) => Err(Status::internal(error)),
            None => Ok(()),
        }
    }

    /// Field checks, canonical form and defaults of a decoded object in the served version.
    pub(crate) fn canonicalise(&self, resource: &Resource, object: &mut Value) -> kinds::decode::Report {
        if let Some(definition) = resource.definition() {
            let report = definition.prune(object);
            definition.default(object);
            return report;
        }
        let context = kinds::defaults::Context { now: self.now().as_second() };
        kinds::defaults::canonicalise(&resource.info, object, &context)
    }
}

impl Objects for Registry {
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let resource = &self.any_version(group, resource)?;
        let entry = self.view.get(&keys::key(&resource.prefix, namespace, name))?;
        self.decoded(resource, &entry)
    }

    fn list(&self, group: &str, resource: &str, namespace: &str) -> Vec<Arc<Value>> {
        let Some(resource) = &self.any_version(group, resource) else { return Vec::new() };
        let scope = keys::scope(&resource.prefix, namespace);
        // The present is never compacted while it is being read in one call without a revision; if history is dropped
        // between two chunks, the next try starts from a newer present.
        let entries = loop {
            match self.view.range(&scope, None, 0, None) {
                Ok(range) => break range.entries,
                Err(StoreError::Compacted { .. }) => {}
                Err(_) => return Vec::new(),
            }
        };
        entries.iter().filter_map(|entry| self.decoded(resource, entry)).collect()
    }

    fn last_change(&self, group: &str, resource: &str) -> Revision {
        self.any_version(group, resource).map_or(0, |r| self.view.last_change(&r.prefix))
    }

    fn changes_since(&self, group: &str, resource: &str, since: Revision) -> Option<Changes> {
        let resource = &self.any_version(group, resource)?;
        let mut watcher = self.view.watch(&resource.prefix, since + 1).ok()?;
        let mut newest: BTreeMap<store::Key, Option<Arc<Entry>>> = BTreeMap::new();
        let mut events = Vec::new();
        loop {
            watcher.read(CHANGES_CHUNK, &mut events).ok()?;
            if events.is_empty() {
                break;
            }
            for event in events.drain(..) {
                newest.insert(Arc::clone(&event.key), event.entry.clone());
            }
            if newest.len() > CHANGES_MAX {
                return None;
            }
        }
        let revision = watcher.progress();
        let objects = newest.into_iter().map(|(key, entry)| {
            let (namespace, name) = split_key(&resource.prefix, &key, resource.info.namespaced);
            (namespace.to_owned(), name.to_owned(), entry.and_then(|e| self.decoded(resource, &e)))
        });
        Some(Changes { revision, objects: objects.collect() })
    }

    fn raw(&self, key: &str) -> Option<(bytes::Bytes, Revision)> {
        self.view.get(key).map(|entry| (entry.value.clone(), entry.mod_revision))
    }

    fn commit_raw(
        &self,
        guards: Vec<store::Guard>,
        ops: Vec<store::Op>,
    ) -> BoxFuture<'_, Result<bool, Status>> {
        Box::pin(async move {
            let txn = store::Txn { guards, ops };
            let outcome = self.view.backend().commit(txn).await.map_err(|e| store_status(&e))?;
            match outcome {
                store::Outcome::Committed { revision } => {
                    self.view.wait_for(revision).await.map_err(|e| store_status(&e))?;
                    Ok(true)
                }
                store::Outcome::Failed { .. } => Ok(false),
                store::Outcome::Unknown => {
                    Err(Status::timeout("whether the write was applied is not known", 1))
                }
            }
        })
    }

    fn create<'a>(
        &'a self,
        group: &'a str,
        resource: &'a str,
        namespace: &'a str,
        mut object: Value,
    ) -> BoxFuture<'a, Result<Value, Status>> {
        Box::pin(async move {
            let resource = &self.own_resource(group, resource)?;
            self.complete_own(resource, &mut object)?;
            let (user, options, mut warnings) = (self.own_user(), WriteOptions::own(), Vec::new());
            let mut context = own_context(&user, &options, &mut warnings);
            let written = self.create(resource, namespace, object, &mut context).await?;
            Ok(self.written_value(&written))
        })
    }

    fn create_by<'a>(
        &'a self,
        manager: &'a str,
        group: &'a str,
        resource: &'a str,
        namespace: &'a str,
        mut object: Value,
    ) -> BoxFuture<'a, Result<Value, Status>> {
        Box::pin(async move {
            let resource = &*self.own_resource(group, resource)?;
            self.complete_own(resource, &mut object)?;
            let (user, options, mut warnings) = (self.own_user(), WriteOptions::own_by(manager), Vec::new());
            let mut context = own_context(&user, &options, &mut warnings);
            let written = self.create(resource, namespace, object, &mut context).await?;
            Ok(self.written_value(&written))
        })
    }

    fn apply_status<'a>(
        &'a self,
        manager: &'a str,
        group: &'a str,
        resource: &'a str,
        name: &'a str,
        object: Value,
    ) -> BoxFuture<'a, Result<Value, Status>> {
        Box::pin(async move {
            let resource = &*self.own_resource(group, resource)?;
            let (user, options, mut warnings) =
                (self.own_user(), WriteOptions::own_apply(manager), Vec::new());
            let mut context = own_context(&user, &options, &mut warnings);
            let target = Target { resource, namespace: "", name, subresource: "status" };
            let patch = super::managed::Applied { sent: object, problems: Vec::new() };
            let written = self.apply(target, patch, &|| Ok(()), &mut context).await?;
            Ok(self.written_value(&written))
        })
    }

    fn update<'a>(
        &'a self,
        group: &'a str,
        resource: &'a str,
        namespace: &'a str,
        name: &'a str,
        subresource: &'a str,
        mut object: Value,
    ) -> BoxFuture<'a, Result<Value, Status>> {
        Box::pin(async move {
            let resource = &self.own_resource(group, resource)?;
            self.complete_own(resource, &mut object)?;
            let (user, options, mut warnings) = (self.own_user(), WriteOptions::own(), Vec::new());
            let mut context = own_context(&user, &options, &mut warnings);
            let target = Target { resource, namespace, name, subresource };
            let written = self.replace(target, object, &mut context).await?;
            Ok(self.written_value(&written))
        })
    }

    fn delete<'a>(
        &'a self,
        group: &'a str,
        resource: &'a str,
        namespace: &'a str,
        name: &'a str,
        options: Value,
    ) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            let resource = &self.own_resource(group, resource)?;
            let delete = DeleteOptions::parse(&Query::default(), Some(&options))?;
            let (user, options, mut warnings) = (self.own_user(), WriteOptions::own(), Vec::new());
            let mut context = own_context(&user, &options, &mut warnings);
            let target = Target { resource, namespace, name, subresource: "" };
            self.delete(target, &delete, &mut context).await.map(|_| ())
        })
    }
}

fn own_context<'a>(
    user: &'a Arc<UserInfo>,
    options: &'a WriteOptions,
    warnings: &'a mut Vec<String>,
) -> Context<'a> {
    Context { user, user_agent: "kube-apiserver", options, admit: false, warnings }
}
