//! Server-side apply and managedFields: who owns which field, merging what somebody applies, conflicts, and taking away
//! what nobody wants any more. Pure: objects in, objects out; the clock, the kinds and their versions are handed in.
//!
//! Mirrors `k8s.io/apimachinery/pkg/util/managedfields` of 1.36 over structured-merge-diff v6. Not mirrored: rewriting
//! recorded sets after a schema changed between atomic and granular.

mod check;
mod compare;
mod element;
mod extract;
mod last_applied;
mod managed;
mod merge;
mod set;
mod shape;
#[cfg(test)]
mod tests;
mod updater;

use jiff::Timestamp;

pub use compare::Comparison;
pub use element::{Atom, Element};
pub use managed::{Id, Managed, Manager, Operation};
pub use set::Set;

use crate::schema::TypeRef;
use crate::{Status, Value, meta, time};
use shape::Types;

/// What is never owned: it is the system's, or tells the object from others.
const NEVER_OWNED: &[&[&str]] = &[
    &["apiVersion"],
    &["kind"],
    &["metadata"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "creationTimestamp"],
    &["metadata", "selfLink"],
    &["metadata", "uid"],
    &["metadata", "clusterName"],
    &["metadata", "generation"],
    &["metadata", "managedFields"],
    &["metadata", "resourceVersion"],
];

/// Who owns what was there before the first apply.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// How objects of other versions are reached.
pub trait Versions: std::fmt::Debug + Send + Sync {
    /// The object in another version, with that version's type; `None` when it is not served any more.
    fn convert(&self, value: &Value, api_version: &str) -> Option<(Value, TypeRef)>;
}

/// Keeps the managedFields of objects of one kind and version.
#[derive(Debug)]
pub struct FieldManager<'a> {
    /// The version that requests speak: `apps/v1`.
    pub api_version: &'a str,
    pub kind: &'a str,
    pub ty: &'a TypeRef,
    /// Of a custom resource: what its schema leaves open is walked into.
    pub custom: bool,
    pub subresource: &'a str,
    /// Fields that writes through here do not change, and so do not own.
    pub reset: &'a Set,
    pub versions: &'a dyn Versions,
    /// An object of the kind with nothing set, in canonical form.
    pub empty: &'a Value,
    pub now: Timestamp,
}

/// One field that somebody else owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub manager: Id,
    pub path: String,
}

/// Why an apply is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// 409 with a cause per field.
    #[error("{}", conflict_text(.0))]
    Conflicts(Vec<Conflict>),
    /// 400 with this text.
    #[error("{0}")]
    BadRequest(String),
    /// 500 with this text and no reason.
    #[error("{0}")]
    Plain(String),
}

fn conflict_text(conflicts: &[Conflict]) -> String {
    if let [one] = conflicts {
        return format!("Apply failed with 1 conflict: conflict with {}: {}", one.manager, one.path);
    }
    let mut managers: Vec<String> = conflicts.iter().map(|c| c.manager.to_string()).collect();
    managers.sort();
    managers.dedup();
    let mut lines = Vec::new();
    for manager in managers {
        lines.push(format!("conflicts with {manager}:"));
        let own = conflicts.iter().filter(|c| c.manager.to_string() == manager);
        lines.extend(own.map(|c| format!("- {}", c.path)));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}

impl From<ApplyError> for Status {
    fn from(error: ApplyError) -> Self {
        match &error {
            ApplyError::BadRequest(text) => Status::bad_request(text),
            ApplyError::Plain(text) => Status::plain_error(text),
            ApplyError::Conflicts(conflicts) => {
                let status = Status::new(409, "Conflict", error.to_string());
                conflicts.iter().fold(status, |status, conflict| {
                    let text = format!("conflict with {}", conflict.manager);
                    status.with_cause("FieldManagerConflict", text, &conflict.path)
                })
            }
        }
    }
}

/// What an apply makes.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The merged object with its managedFields; not yet in canonical form.
    pub object: Value,
    /// Whether anything but managedFields is to change.
    pub changed: bool,
}

/// Whether managedFields of a request ask to forget all: an empty list, or a list of one empty entry.
pub fn is_reset(managed: Option<&Value>) -> bool {
    match managed.and_then(Value::as_array) {
        Some([]) => true,
        Some([one]) => one.as_object().is_some_and(|entry| entry.is_empty() || entry.values().all(zero)),
        _ => false,
    }
}

/// Whether a member of an entry says nothing.
fn zero(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}

fn take_managed(object: &mut Value) -> Option<Value> {
    object.remove_at(&["metadata", "managedFields"])
}

fn put_managed(object: &mut Value, managed: Managed) {
    let entries = managed.encode();
    if entries.is_empty() {
        take_managed(object);
    } else {
        object.set_at(&["metadata", "managedFields"], entries);
    }
}

impl FieldManager<'_> {
    fn types(&self) -> Types {
        Types { deduced: self.custom }
    }

    fn now_text(&self) -> String {
        time::format_time(self.now)
    }

    /// Keeps the managedFields of an object that was made by create, update or a patch. `live` is what is stored; `None`
    /// for a create. Objects that cannot be compared keep the managers that they have.
    pub fn updated(&self, live: Option<&Value>, new: &mut Value, manager: &str) {
        let stored = || live.and_then(|live| live.at(&["metadata", "managedFields"]));
        let given = take_managed(new);
        // Through a subresource nobody says who owns what.
        let decoded = if !self.subresource.is_empty() {
            Managed::decode(stored())
        } else if is_reset(given.as_ref()) {
            Ok(Managed::default())
        } else {
            match Managed::decode(given.as_ref()) {
                Ok(managed) if !managed.is_empty() => Ok(managed),
                _ => Managed::decode(stored()),
            }
        };
        let managed = decoded.unwrap_or_default();
        let tracked = !managed.is_empty() || live.is_none_or(|live| meta::uid(live).is_empty());
        let managed = if tracked {
            let mut managed = self.update(live.unwrap_or(self.empty), new, managed, manager);
            managed.cap();
            managed
        } else {
            managed
        };
        put_managed(new, managed);
    }

    /// One update's bookkeeping: the writer takes what it changed from everybody.
    fn update(&self, live: &Value, new: &Value, managed: Managed, manager: &str) -> Managed {
        let Ok((mut updated, comparison)) = self.retire(live, new, managed.clone(), None) else {
            return managed;
        };
        let mut taken = match comparison.modified.is_empty() {
            true => comparison.added,
            false => comparison.modified.union(&comparison.added),
        };
        taken.subtract(&Set::of_fields(NEVER_OWNED));
        if !taken.is_empty() {
            let id = Id::new(manager, Operation::Update, self.api_version, self.subresource);
            let set = match updated.find(&id) {
                Some(previous) => taken.union(&previous.set),
                None => taken,
            };
            updated.put(Manager {
                id,
                api_version: self.api_version.into(),
                set,
                time: Some(self.now_text()),
            });
        }
        updated
    }

    /// Merges `applied`, as it was sent, into the stored object (`None`: there is none).
    pub fn apply(
        &self,
        live: Option<&Value>,
        applied: &Value,
        manager: &str,
        force: bool,
    ) -> Result<Applied, ApplyError> {
        self.check_type(applied)?;
        let mut live = live.unwrap_or(self.empty).clone();
        let stored = take_managed(&mut live);
        let mut managed = Managed::decode(stored.as_ref())
            .map_err(|e| ApplyError::Plain(format!("failed to decode managed fields: {e}")))?;
        if managed.is_empty() {
            managed = self.update(self.empty, &live, managed, BEFORE_FIRST_APPLY);
        }
        let merged = self.merge(&live, applied, &managed, manager, force);
        let (object, managed) = match merged {
            Err(ApplyError::Conflicts(conflicts)) if manager == last_applied::MANAGER => {
                self.upgrade(&live, applied, &managed, manager, conflicts)?
            }
            other => other?,
        };
        let changed = object.is_some();
        let mut object = object.unwrap_or(live);
        if manager == last_applied::MANAGER {
            last_applied::refresh(&mut object, applied);
        }
        put_managed(&mut object, managed);
        Ok(Applied { object, changed })
    }

    fn check_type(&self, applied: &Value) -> Result<(), ApplyError> {
        let (api_version, kind) = (meta::api_version(applied), meta::kind(applied));
        if (api_version, kind) != (self.api_version, self.kind) {
            let text = format!("invalid object type: {}", gvk_text(api_version, kind));
            return Err(ApplyError::BadRequest(text));
        }
        if applied.at(&["metadata", "managedFields"]).is_some_and(|v| !v.is_null()) {
            return Err(ApplyError::BadRequest("metadata.managedFields must be nil".into()));
        }
        let metadata = if self.custom { check::Metadata::Open } else { check::Metadata::Known };
        check::check(self.ty, applied, false, metadata).map_err(|why| {
            ApplyError::Plain(format!(
                "failed to create typed patch object ({}): {why}",
                object_text(applied)
            ))
        })
    }
}

/// `apps/v1, Kind=Deployment`; of the core group `/v1, Kind=Pod`.
fn gvk_text(api_version: &str, kind: &str) -> String {
    let slash = if api_version.contains('/') { "" } else { "/" };
    format!("{slash}{api_version}, Kind={kind}")
}

/// How errors name an object: `namespace/name; group/version, Kind=Kind`.
pub fn object_text(object: &Value) -> String {
    let gvk = gvk_text(meta::api_version(object), meta::kind(object));
    format!("{}/{}; {gvk}", meta::namespace(object), meta::name(object))
}
