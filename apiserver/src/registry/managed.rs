//! managedFields: who owns which fields of an object, kept up to date by each write; and server-side apply.
//!
//! The rules are `apimachinery::apply`'s. This file supplies kinds, versions and the fields that a subresource does not
//! write, and runs apply through the ordinary paths of create and update.

use apimachinery::apply::{self, FieldManager, Set, Versions};
use apimachinery::schema::TypeRef;
use apimachinery::{Status, Value};
use jiff::Timestamp;
use kinds::Gvk;

use super::commit::{ATTEMPTS_MAX, lost_every_race};
use super::create::Written;
use super::object::match_namespace;
use super::options::FieldValidation;
use super::prepare::Context;
use super::update::{Change, Target, check_name};
use super::{Registry, Resource};

/// The bookkeeping of one write.
#[derive(Debug)]
pub(crate) struct Managers<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) resource: &'a Resource,
    pub(crate) subresource: &'a str,
    pub(crate) now: Timestamp,
}

/// Other versions of a kind, by the tables' conversions.
#[derive(Debug)]
struct Served<'a> {
    registry: &'a Registry,
    kind: &'a str,
}

impl Versions for Served<'_> {
    fn convert(&self, value: &Value, api_version: &str) -> Option<(Value, TypeRef)> {
        let (group, version) = kinds::registry::split_api_version(api_version);
        if !self.registry.serves_version(group, version) {
            return None;
        }
        let ty = self.registry.type_of(group, version, self.kind)?;
        let value = kinds::convert::convert(value.clone(), &Gvk::new(group, version, self.kind));
        Some((value, ty))
    }
}

/// The fields that upstream's strategy resets on writes through the subresource.
fn reset_fields(resource: &Resource, subresource: &str) -> Set {
    match (subresource, resource.group(), resource.plural()) {
        ("finalize", "", "namespaces") => Set::of_fields(&[&["status"]]),
        // What is asked for never changes, so that nobody is said to own it.
        ("", "certificates.k8s.io", "certificatesigningrequests") => {
            Set::of_fields(&[&["spec"], &["status"]])
        }
        ("status", "certificates.k8s.io", "certificatesigningrequests") => {
            Set::of_fields(&[&["spec"], &["status", "conditions"]])
        }
        ("approval", "certificates.k8s.io", "certificatesigningrequests") => {
            Set::of_fields(&[&["spec"], &["status", "certificate"]])
        }
        ("", ..) | ("ephemeralcontainers", ..) if resource.traits.has_status => {
            Set::of_fields(&[&["status"]])
        }
        ("status", "apps", "deployments") => Set::of_fields(&[&["spec"], &["metadata", "labels"]]),
        ("status", "", "pods") => {
            Set::of_fields(&[&["spec"], &["metadata", "deletionTimestamp"], &["metadata", "ownerReferences"]])
        }
        ("status", "apiextensions.k8s.io" | "apiregistration.k8s.io", _) => {
            Set::of_fields(&[&["spec"], &["metadata"]])
        }
        ("status", ..) if resource.info.custom => Set::of_fields(&[&["spec"], &["metadata"]]),
        ("status" | "approval", ..) => Set::of_fields(&[&["spec"]]),
        _ => Set::new(),
    }
}

impl Managers<'_> {
    fn with<T>(&self, then: impl FnOnce(&FieldManager<'_>) -> T) -> T {
        let info = &self.resource.info;
        let api_version = info.api_version();
        let ty = info.ty.get();
        let reset = reset_fields(self.resource, self.subresource);
        let versions = Served { registry: self.registry, kind: &info.kind };
        let mut empty = Value::object();
        if !info.custom {
            kinds::normalise::normalise(ty, &mut empty);
        }
        super::object::set_type(&mut empty, &info.gvk());
        then(&FieldManager {
            api_version: &api_version,
            kind: &info.kind,
            ty,
            custom: info.custom,
            subresource: self.subresource,
            reset: &reset,
            versions: &versions,
            empty: &empty,
            now: self.now,
        })
    }

    /// A new object: its writer owns what it sent.
    pub(crate) fn created(&self, object: &mut Value, manager: &str) {
        self.with(|fields| fields.updated(None, object, manager));
    }

    /// A new object of another kind than the resource's own: a review, a token request.
    pub(crate) fn created_of(&self, gvk: &Gvk, ty: &TypeRef, object: &mut Value, manager: &str) {
        let mut empty = Value::object();
        kinds::normalise::normalise(ty, &mut empty);
        super::object::set_type(&mut empty, gvk);
        let fields = FieldManager {
            api_version: &gvk.api_version(),
            kind: &gvk.kind,
            ty,
            custom: false,
            subresource: self.subresource,
            reset: &Set::new(),
            versions: &Served { registry: self.registry, kind: &gvk.kind },
            empty: &empty,
            now: self.now,
        };
        fields.updated(None, object, manager);
    }

    /// A changed object: its writer owns what it changed.
    pub(crate) fn updated(&self, live: &Value, object: &mut Value, manager: &str) {
        if matches!(self.subresource, "binding" | "eviction") {
            // The node of a pod and the reason of its eviction are nobody's: they are the server's own doing.
            const FIELDS: [&str; 2] = ["metadata", "managedFields"];
            match live.at(&FIELDS).cloned() {
                Some(entries) => object.set_at(&FIELDS, entries),
                None => {
                    object.remove_at(&FIELDS);
                }
            }
            return;
        }
        self.with(|fields| fields.updated(Some(live), object, manager));
    }

    /// What somebody applies, merged into the stored object and in canonical form.
    fn applied(
        &self,
        live: Option<&Value>,
        sent: &Value,
        manager: &str,
        force: bool,
    ) -> Result<Value, Status> {
        let applied = self.with(|fields| fields.apply(live, sent, manager, force))?;
        let mut object = applied.object;
        if applied.changed || live.is_none() {
            let shown = apply::object_text(sent);
            let gvk = shown.rsplit("; ").next().unwrap_or_default().to_owned();
            let report = match self.resource.definition() {
                Some(definition) => {
                    let report = definition.prune(&mut object);
                    definition.default_applied(&mut object);
                    report
                }
                None => self.registry.canonicalise(self.resource, &mut object),
            };
            if let Some(why) = report.error {
                return Err(Status::plain_error(format!(
                    "failed to convert new object ({shown}) to proper version: unable to convert unstructured object \
                     to {gvk}: {}",
                    converter_text(&why)
                )));
            }
        }
        Ok(object)
    }
}

/// An error of decoding in the words of upstream's converter from maps to structs.
fn converter_text(why: &str) -> String {
    if let Some(target) =
        why.strip_prefix("json: cannot unmarshal number ").and_then(|r| r.rsplit(' ').next())
    {
        return format!("cannot convert float64 to {target}");
    }
    why.to_owned()
}

/// Keeps an empty list of managedFields, which asks to forget all of them, from being normalised away.
pub(crate) fn keep_reset(object: &mut Value) {
    let path = ["metadata", "managedFields"];
    if object.at(&path).and_then(Value::as_array).is_some_and(<[Value]>::is_empty) {
        object.set_at(&path, vec![Value::object()]);
    }
}

/// Takes back times of managedFields when nothing else has changed: what changes nothing is not written.
pub(crate) fn ignore_times(object: &mut Value, live: &Value) {
    const FIELDS: [&str; 2] = ["metadata", "managedFields"];
    let (new, old) = (object.array_at(&FIELDS), live.array_at(&FIELDS));
    if new == old || new.len() != old.len() {
        return;
    }
    let same = |a: &Value, b: &Value, but: &str| match (a.as_object(), b.as_object()) {
        (Some(a), Some(b)) => {
            let rest = |o: &apimachinery::Object| o.keys().filter(|k| *k != but).count();
            rest(a) == rest(b) && a.iter().all(|(k, v)| k == but || b.get(k).is_some_and(|w| alike(v, w)))
        }
        _ => false,
    };
    if !new.iter().zip(old).all(|(a, b)| same(a, b, "time")) || !same(object, live, "metadata") {
        return;
    }
    let metadata = |v: &Value| v.get("metadata").cloned().unwrap_or_default();
    let (mut a, mut b) = (metadata(object), metadata(live));
    for meta in [&mut a, &mut b] {
        for key in ["managedFields", "resourceVersion"] {
            meta.as_object_mut().map(|m| m.remove(key));
        }
    }
    if a == b {
        let old = old.to_vec();
        object.set_at(&FIELDS, old);
    }
}

/// What is applied, with the keys that stand twice in its text.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) sent: Value,
    pub(crate) problems: Vec<String>,
}

impl Applied {
    /// Once the rest is in order, field validation has its say.
    fn check_fields(
        problems: &mut Vec<String>,
        validation: FieldValidation,
        warnings: &mut Vec<String>,
    ) -> Result<(), Status> {
        match validation {
            FieldValidation::Strict if !problems.is_empty() => Err(crate::response::bad_request(format!(
                "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  {}",
                problems.join("\n  ")
            ))),
            FieldValidation::Warn => {
                warnings.append(problems);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Equality in which an empty list or map is the same as none: storage keeps no difference.
fn alike(a: &Value, b: &Value) -> bool {
    let hollow = |v: &Value| {
        v.is_null()
            || v.as_array().is_some_and(<[Value]>::is_empty)
            || v.as_object().is_some_and(apimachinery::Object::is_empty)
    };
    match (a.as_object(), b.as_object()) {
        (Some(a), Some(b)) if a.len() == b.len() => {
            a.iter().all(|(k, v)| b.get(k).is_some_and(|w| alike(v, w)))
        }
        _ => match (a.as_array(), b.as_array()) {
            (Some(a), Some(b)) if a.len() == b.len() => a.iter().zip(b).all(|(a, b)| alike(a, b)),
            _ => a == b || hollow(a) && hollow(b),
        },
    }
}

impl Registry {
    /// Server-side apply. `may_create` is asked before an object is made.
    pub(crate) async fn apply(
        &self,
        target: Target<'_>,
        patch: Applied,
        may_create: &(dyn Fn() -> Result<(), Status> + Sync),
        context: &mut Context<'_>,
    ) -> Result<Written, Status> {
        let resource = target.resource;
        let (sent, mut problems) = (patch.sent, patch.problems);
        let validation = context.options.field_validation;
        if !sent.is_object() && !sent.is_null() {
            return Err(crate::response::bad_request(format!(
                "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go \
                 value of type map[string]interface {{}}",
                sent.type_name()
            )));
        }
        let (manager, force) = (context.manager(), context.options.force);
        let fields = Managers { registry: self, resource, subresource: target.subresource, now: self.now() };
        let key = target.key();
        for _ in 0..ATTEMPTS_MAX {
            self.linearize().await?;
            if self.view.get(&key).is_none() {
                if !target.subresource.is_empty() {
                    return Err(target.not_found());
                }
                let mut object = fields.applied(None, &sent, &manager, force)?;
                Applied::check_fields(&mut problems, validation, context.warnings)?;
                check_name(&target, &object)?;
                match_namespace(resource, &mut object, target.namespace)?;
                may_create()?;
                match self.create(resource, target.namespace, object, context).await {
                    Err(status) if status.is_already_exists() => continue,
                    other => return other,
                }
            }
            let change: Change<'_> = Box::new(|live, warnings| {
                // Deleted in between: the update finds out, and the loop starts again.
                let Some(live) = live else { return Ok(Value::NULL) };
                let mut object = fields.applied(Some(live), &sent, &manager, force)?;
                Applied::check_fields(&mut problems, validation, warnings)?;
                check_name(&target, &object)?;
                match_namespace(resource, &mut object, target.namespace)?;
                Ok(object)
            });
            match self.update(target, change, context).await {
                Err(status) if status.is_not_found() && self.view.get(&key).is_none() => {}
                other => return other,
            }
        }
        Err(lost_every_race(resource.group(), resource.plural(), "patch"))
    }
}

/// Whether an object that is created has its managers already: only apply creates by PATCH.
pub(crate) fn owned_already(context: &Context<'_>) -> bool {
    context.options.kind == "PatchOptions"
}
