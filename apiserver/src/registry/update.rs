//! Update: the loop in which PUT, PATCH and subresources turn the stored object into another one. Mirrors upstream's
//! `Store.Update` over `GuaranteedUpdate`.

use std::sync::Arc;

use apimachinery::{Status, Value, meta};
use store::{Cond, Entry};

use super::commit::{ATTEMPTS_MAX, Committed, Proposal, lost_every_race};
use super::create::Written;
use super::object::{dedup_owner_references, match_namespace, metadata};
use super::options::field_error;
use super::prepare::{AdmissionFrame, Context};
use super::{Registry, Resource, keys};
use crate::response::bad_request;
use crate::routes::parse_uint;
use crate::seams::Operation;

/// Makes the new object (served version) of the stored one (served version, with its revision). Called again with a
/// fresh one when a race was lost; `None` says that there is no object.
pub(crate) type Change<'a> =
    Box<dyn FnMut(Option<&Value>, &mut Vec<String>) -> Result<Value, Status> + Send + 'a>;

/// What is updated.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub resource: &'a Resource,
    pub namespace: &'a str,
    pub name: &'a str,
    pub subresource: &'a str,
}

impl Target<'_> {
    fn modified(&self) -> Status {
        Status::modified(self.resource.group(), self.resource.plural(), self.name)
    }
    pub(crate) fn not_found(&self) -> Status {
        Status::not_found(self.resource.group(), self.resource.plural(), self.name)
    }
    pub(crate) fn key(&self) -> String {
        keys::key(&self.resource.prefix, self.namespace, self.name)
    }
}

/// One attempt's ingredients.
struct Attempt<'a> {
    entry: &'a Entry,
    /// Hub version, with revision.
    old: Arc<Value>,
}

impl Registry {
    /// PUT of a decoded, normalised object.
    pub async fn replace(
        &self,
        target: Target<'_>,
        object: Value,
        context: &mut Context<'_>,
    ) -> Result<Written, Status> {
        check_name(&target, &object)?;
        let resource = target.resource;
        let mut object = object;
        match_namespace(resource, &mut object, target.namespace)?;
        let manager = context.manager();
        let now = self.now();
        let create = resource.traits.create_on_update && target.subresource.is_empty();
        let sent = object.clone();
        let change: Change<'_> = Box::new(move |live, _| {
            let mut object = sent.clone();
            if let Some(live) = live {
                super::managed::Managers { registry: self, resource, subresource: target.subresource, now }
                    .updated(live, &mut object, &manager);
            }
            Ok(object)
        });
        match self.update(target, change, context).await {
            Err(status) if create && status.is_not_found() => {
                let preconditioned = !meta::uid(&object).is_empty()
                    || !matches!(object.str_at(&["metadata", "resourceVersion"]), None | Some("" | "0"));
                if preconditioned {
                    return Err(status);
                }
                self.create(resource, target.namespace, object, context).await
            }
            other => other,
        }
    }

    /// The loop.
    pub(crate) async fn update(
        &self,
        target: Target<'_>,
        mut change: Change<'_>,
        context: &mut Context<'_>,
    ) -> Result<Written, Status> {
        let key: store::Key = target.key().into();
        self.linearize().await?;
        for _ in 0..ATTEMPTS_MAX {
            let Some(entry) = self.view.get(&key) else {
                // The change may refuse in words of its own, or make an object that is not there (apply).
                change(None, context.warnings)?;
                return Err(target.not_found());
            };
            let old = self
                .decoded(target.resource, &entry)
                .ok_or_else(|| Status::internal("the stored object cannot be decoded"))?;
            let attempt = Attempt { entry: &entry, old };
            if let Some(written) = self.attempt(&target, &key, &attempt, &mut change, context).await? {
                return Ok(written);
            }
        }
        Err(lost_every_race(target.resource.group(), target.resource.plural(), "update"))
    }

    /// One attempt; `None` when somebody else was faster.
    async fn attempt(
        &self,
        target: &Target<'_>,
        key: &store::Key,
        attempt: &Attempt<'_>,
        change: &mut Change<'_>,
        context: &mut Context<'_>,
    ) -> Result<Option<Written>, Status> {
        let resource = target.resource;
        let mut live = (*attempt.old).clone();
        self.to_served(resource, &mut live);
        let mut object = change(Some(&live), context.warnings)?;
        self.check_preconditions(target, attempt, &object, context)?;
        dedup_owner_references(&mut object, false, context.warnings);
        let now = self.now();
        if context.admit {
            self.admission(target, &mut object, &live, context, false).await?;
        }
        super::managed::ignore_times(&mut object, &live);
        pin_revision(&mut object, &live);
        self.to_hub(resource, &mut object);
        let prepared = self.strategy_context(context, target.namespace, target.subresource, now);
        self.prepare_update(resource, &prepared, &mut object, &attempt.old);
        let errors = self.validate_update(resource, &prepared, &object, &attempt.old);
        self.refuse(resource, target.name, &errors)?;
        if let Some(strategy) = self.strategy(resource) {
            let warnings = strategy.warnings(&prepared, &object, Some(&attempt.old));
            context.warnings.extend(warnings);
        }
        if context.admit {
            self.admission(target, &mut object, &live, context, true).await?;
        }
        self.prune_for_storage(resource, &mut object);
        self.store_changed(target, key, attempt, object, context).await
    }

    /// What must hold of the stored object before anything else is looked at.
    fn check_preconditions(
        &self,
        target: &Target<'_>,
        attempt: &Attempt<'_>,
        object: &Value,
        context: &Context<'_>,
    ) -> Result<(), Status> {
        let (group, plural) = (target.resource.group(), target.resource.plural());
        let uid = meta::uid(object);
        let stored_uid = meta::uid(&attempt.old);
        if context.options.preconditions() && !uid.is_empty() && uid != stored_uid {
            let why = format!(
                "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: Precondition \
                 failed: UID in precondition: {uid}, UID in object meta: {stored_uid}",
                attempt.entry.key
            );
            return Err(Status::conflict(group, plural, target.name, &why));
        }
        let revision = object.str_at(&["metadata", "resourceVersion"]).unwrap_or_default();
        let revision =
            if revision.is_empty() { 0 } else { parse_uint(revision).map_err(Status::plain_error)? };
        if revision == 0 {
            if target.resource.traits.conditional_update && target.subresource != "scale" {
                let error = field_error(
                    apimachinery::status::FieldErrorReason::Invalid,
                    "metadata.resourceVersion",
                    "Invalid value: 0: must be specified for an update",
                );
                return Err(Status::invalid(group, plural, target.name, &[error]));
            }
            return Ok(());
        }
        if revision != attempt.entry.mod_revision {
            return Err(target.modified());
        }
        Ok(())
    }

    async fn admission(
        &self,
        target: &Target<'_>,
        object: &mut Value,
        old: &Value,
        context: &mut Context<'_>,
        last: bool,
    ) -> Result<(), Status> {
        if self.plugins().admission.is_empty() {
            return Ok(());
        }
        let options = context.options.as_value();
        let user = Arc::clone(context.user);
        let frame = AdmissionFrame {
            operation: Operation::Update,
            resource: target.resource,
            subresource: target.subresource,
            kind: &target.resource.info.kind,
            namespace: target.namespace,
            name: target.name,
            options: &options,
            dry_run: context.options.dry_run,
            user: &user,
        };
        if last {
            return self.validate_admission(&frame.request(object, Some(old), context.warnings)).await;
        }
        self.admit(&mut frame.request(object, Some(old), context.warnings)).await?;
        dedup_owner_references(object, true, context.warnings);
        Ok(())
    }

    async fn store_changed(
        &self,
        target: &Target<'_>,
        key: &store::Key,
        attempt: &Attempt<'_>,
        mut object: Value,
        context: &Context<'_>,
    ) -> Result<Option<Written>, Status> {
        let resource = target.resource;
        let entry = attempt.entry;
        let (text, (guards, ops)) = match self.allocator(resource).filter(|_| target.subresource.is_empty()) {
            Some(allocator) => {
                let extra = allocator.allocate(&mut object, Some(&attempt.old), context.dry_run())?;
                (self.encode(resource, &mut object)?, extra)
            }
            None => (self.encode_canonical(&mut object)?, Default::default()),
        };
        let gone = self.ends_with(resource, &object, &attempt.old);
        let written = |revision| Some(Written { text: text.clone(), revision, created: false });
        if text == entry.value && !gone && ops.is_empty() {
            return Ok(written(Some(entry.mod_revision)));
        }
        if context.dry_run() {
            return Ok(written(Some(entry.mod_revision)));
        }
        let (guards, ops) = match self.allocator(resource).filter(|_| gone) {
            Some(allocator) => allocator.release(&attempt.old),
            None => (guards, ops),
        };
        let proposal = Proposal {
            key: Arc::clone(key),
            cond: Cond::ModRevision(entry.mod_revision),
            value: (!gone).then(|| text.clone()),
            expiry: self.expiry(resource),
            guards,
            ops,
        };
        match self.commit(proposal).await? {
            // What is gone is shown with the revision that it was last stored at.
            Committed::Done(_) if gone => Ok(written(Some(entry.mod_revision))),
            Committed::Done(revision) => Ok(written(Some(revision))),
            Committed::Lost { .. } => Ok(None),
        }
    }

    /// Whether this update takes away the last thing that a deletion waited for.
    fn ends_with(&self, resource: &Resource, object: &Value, old: &Value) -> bool {
        if meta::deletion_timestamp(old).is_none() || meta::finalizers(object).next().is_some() {
            return false;
        }
        if (resource.group(), resource.plural()) == ("", "namespaces") {
            return object.array_at(&["spec", "finalizers"]).is_empty();
        }
        old.i64_at(&["metadata", "deletionGracePeriodSeconds"]) == Some(0)
    }
}

/// The name in the body must be that of the path.
pub(crate) fn check_name(target: &Target<'_>, object: &Value) -> Result<(), Status> {
    let own = meta::name(object);
    if own.is_empty() {
        return Err(bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            target.name
        )));
    }
    if own != target.name {
        return Err(bad_request(format!(
            "the name of the object ({own}) does not match the name on the URL ({})",
            target.name
        )));
    }
    Ok(())
}

/// Puts the stored revision into a new object that names none, so that it is written over exactly what it was made of.
pub(crate) fn pin_revision(object: &mut Value, live: &Value) {
    let own = object.str_at(&["metadata", "resourceVersion"]).unwrap_or_default();
    if matches!(own, "" | "0")
        && let Some(revision) = live.at(&["metadata", "resourceVersion"])
    {
        let revision = revision.clone();
        metadata(object).insert("resourceVersion", revision);
    }
}
