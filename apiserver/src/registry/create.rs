//! Create: from a decoded object to a stored one.

use std::sync::Arc;

use apimachinery::status::FieldError;
use apimachinery::{Status, Value, meta};
use bytes::Bytes;
use jiff::Timestamp;
use store::Cond;

use super::commit::{ATTEMPTS_MAX, Committed, Proposal, lost_every_race};
use super::managed::Managers;
use super::object::{dedup_owner_references, match_namespace, metadata};
use super::prepare::{AdmissionFrame, Context};
use super::{Registry, Resource, keys};
use crate::seams::Operation;

/// What a write left: canonical hub bytes without revision.
#[derive(Clone, Debug)]
pub struct Written {
    pub text: Bytes,
    /// `None` for dry runs of creates.
    pub revision: Option<u64>,
    /// The object did not exist before.
    pub created: bool,
}

/// Names that are tried when generated ones are taken, as upstream.
const GENERATE_ATTEMPTS: usize = 8;

impl Registry {
    /// Creates a decoded, normalised object of the served version.
    pub async fn create(
        &self,
        resource: &Resource,
        namespace: &str,
        object: Value,
        context: &mut Context<'_>,
    ) -> Result<Written, Status> {
        let base = object.str_at(&["metadata", "generateName"]).unwrap_or_default().to_owned();
        if !meta::name(&object).is_empty() || base.is_empty() {
            return self.create_named(resource, namespace, object, context).await;
        }
        let mut attempt = 0;
        loop {
            let mut named = object.clone();
            named.set_at(&["metadata", "name"], self.generate_name(&base));
            let outcome = self.create_named(resource, namespace, named, context).await;
            attempt += 1;
            match outcome {
                Err(status) if status.is_already_exists() => {
                    if attempt == GENERATE_ATTEMPTS {
                        let name = status.details.map(|d| d.name).unwrap_or_default();
                        return Err(Status::generate_name_conflict(
                            resource.group(),
                            resource.plural(),
                            &name,
                            1,
                        ));
                    }
                }
                other => return other,
            }
        }
    }

    async fn create_named(
        &self,
        resource: &Resource,
        namespace: &str,
        mut object: Value,
        context: &mut Context<'_>,
    ) -> Result<Written, Status> {
        let now = self.now();
        match_namespace(resource, &mut object, namespace)?;
        let name = meta::name(&object).to_owned();
        let revision = object.str_at(&["metadata", "resourceVersion"]).unwrap_or_default();
        // A dry run never gets as far as the store, which is what refuses this upstream.
        let shown = crate::routes::parse_uint(revision).ok().filter(|r| *r != 0);
        if !revision.is_empty() && revision != "0" && !context.dry_run() {
            return Err(Status::plain_error("resourceVersion should not be set on objects to be created"));
        }
        metadata(&mut object).remove("resourceVersion");
        self.fill_system_fields(&mut object, now);
        self.own_and_admit(resource, namespace, &name, &mut object, context, now).await?;
        self.to_hub(resource, &mut object);
        let prepared = self.strategy_context(context, namespace, "", now);
        self.prepare_create(resource, &prepared, &mut object);
        super::object::set_type(&mut object, &resource.hub);
        self.normalise(resource, &mut object);
        let errors = self.validate_create(resource, &prepared, &object);
        self.refuse(resource, &name, &errors)?;
        if let Some(strategy) = self.strategy(resource) {
            let warnings = strategy.warnings(&prepared, &object, None);
            context.warnings.extend(warnings);
        }
        self.last_admission(resource, namespace, &name, &mut object, context).await?;
        self.prune_for_storage(resource, &mut object);
        let written = self.store_new(resource, namespace, &name, object, context).await?;
        Ok(Written { revision: written.revision.or(shown), ..written })
    }

    /// managedFields from the object as sent, then mutating admission.
    async fn own_and_admit(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        object: &mut Value,
        context: &mut Context<'_>,
        now: Timestamp,
    ) -> Result<(), Status> {
        dedup_owner_references(object, false, context.warnings);
        let manager = context.manager();
        if !super::managed::owned_already(context) {
            Managers { registry: self, resource, subresource: "", now }.created(object, &manager);
        }
        if !context.admit {
            return Ok(());
        }
        let options = context.options.as_value();
        let user = Arc::clone(context.user);
        let frame = AdmissionFrame {
            operation: Operation::Create,
            resource,
            subresource: "",
            kind: &resource.info.kind,
            namespace,
            name,
            options: &options,
            dry_run: context.options.dry_run,
            user: &user,
        };
        self.admit(&mut frame.request(object, None, context.warnings)).await?;
        dedup_owner_references(object, true, context.warnings);
        Ok(())
    }

    /// The validating half of admission sees the object as it will be stored.
    async fn last_admission(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        object: &mut Value,
        context: &mut Context<'_>,
    ) -> Result<(), Status> {
        if !context.admit || self.plugins().admission.is_empty() {
            return Ok(());
        }
        let options = context.options.as_value();
        let user = Arc::clone(context.user);
        let frame = AdmissionFrame {
            operation: Operation::Create,
            resource,
            subresource: "",
            kind: &resource.info.kind,
            namespace,
            name,
            options: &options,
            dry_run: context.options.dry_run,
            user: &user,
        };
        self.validate_admission(&frame.request(object, None, context.warnings)).await
    }

    async fn store_new(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        object: Value,
        context: &Context<'_>,
    ) -> Result<Written, Status> {
        let key: store::Key = keys::key(&resource.prefix, namespace, name).into();
        let exists = || {
            let taken = Status::already_exists(resource.group(), resource.plural(), name);
            match self.view.get(&key).and_then(|e| self.decoded(resource, &e)) {
                Some(old) if meta::deletion_timestamp(&old).is_some() => {
                    Status { message: format!("object is being deleted: {}", taken.message), ..taken }
                }
                _ => taken,
            }
        };
        let allocator = self.allocator(resource);
        let mut object = object;
        for _ in 0..ATTEMPTS_MAX {
            let (text, (guards, ops)) = match &allocator {
                Some(allocator) => {
                    let mut object = object.clone();
                    let extra = allocator.allocate(&mut object, None, context.dry_run())?;
                    (self.encode(resource, &mut object)?, extra)
                }
                None => (self.encode_canonical(&mut object)?, Default::default()),
            };
            if context.dry_run() {
                self.linearize().await?;
                if self.view.get(&key).is_some() {
                    return Err(exists());
                }
                return Ok(Written { text, revision: None, created: true });
            }
            let proposal = Proposal {
                key: Arc::clone(&key),
                cond: Cond::Absent,
                value: Some(text.clone()),
                expiry: self.expiry(resource),
                guards,
                ops,
            };
            match self.commit(proposal).await? {
                Committed::Done(revision) => {
                    return Ok(Written { text, revision: Some(revision), created: true });
                }
                Committed::Lost { own: true } => return Err(exists()),
                Committed::Lost { own: false } => {}
            }
        }
        Err(lost_every_race(resource.group(), resource.plural(), "create"))
    }

    /// Events do not stay.
    pub(crate) fn expiry(&self, resource: &Resource) -> Option<i64> {
        let ttl = i64::try_from(self.config.event_ttl.as_millis()).ok()?;
        (resource.plural() == "events").then(|| self.now().as_millisecond().saturating_add(ttl))
    }

    /// 422 with every problem there is.
    pub(crate) fn refuse(
        &self,
        resource: &Resource,
        name: &str,
        errors: &[FieldError],
    ) -> Result<(), Status> {
        if errors.is_empty() {
            return Ok(());
        }
        // Problems are found in the stored form, whose group upstream names (events have two).
        Err(Status::invalid(&resource.hub.group, &resource.hub.kind, name, errors))
    }
}
