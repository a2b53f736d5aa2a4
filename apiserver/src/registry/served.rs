//! The served form of a stored object: bytes that GET, LIST and WATCH splice, made once per version of the object and
//! shared by all who read it.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use apimachinery::Value;
use bytes::Bytes;
use parking_lot::Mutex;
use store::Entry;

use super::head::Head;
use super::{Registry, Resource};

/// What is kept beside an entry: its head, and the object in other served versions than the stored one.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) head: Head,
    /// JSON in a form that is not the stored one, for the form that was asked for last: few objects are read in two
    /// foreign versions.
    other: Mutex<Option<Other>>,
    /// The decoded object, for small ones that the server itself reads again and again.
    value: OnceLock<Arc<Value>>,
}

/// The form by its name ([`Resource::form`]), and what the object is in it.
type Other = (String, Arc<(Head, Bytes)>);

/// Objects up to this size are kept decoded when the server's own parts read them.
const KEEP_DECODED_MAX: usize = 8 * 1024;

/// An object's JSON (without revision) and its head, in one served version.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    pub(crate) text: Bytes,
    pub(crate) head: FormHead,
}

#[derive(Clone, Debug)]
pub(crate) enum FormHead {
    Stored(Arc<Served>),
    Other(Arc<(Head, Bytes)>),
}

impl Form {
    pub(crate) fn head(&self) -> &Head {
        match &self.head {
            FormHead::Stored(served) => &served.head,
            FormHead::Other(other) => &other.0,
        }
    }
}

/// What is kept beside the entry, made now if nobody has asked before. `None` for bytes that are no object.
pub(crate) fn served_of(resource: &Resource, entry: &Entry) -> Option<Arc<Served>> {
    let slot = entry.cache();
    if let Some(kept) = slot.get() {
        return Arc::clone(kept).downcast::<Served>().ok();
    }
    let head = Head::scan(&entry.value, &resource.field_paths, resource.info.custom)?;
    let served = Arc::new(Served { head, other: Mutex::default(), value: OnceLock::new() });
    let shared: Arc<dyn Any + Send + Sync> = Arc::clone(&served) as _;
    match slot.set(shared) {
        Ok(()) => Some(served),
        // Somebody was faster; theirs is as good.
        Err(_) => slot.get().cloned().and_then(|kept| kept.downcast::<Served>().ok()),
    }
}

impl Registry {
    /// What is kept beside the entry; see [`served_of`].
    pub(crate) fn served_of(&self, resource: &Resource, entry: &Entry) -> Option<Arc<Served>> {
        served_of(resource, entry)
    }

    /// The object in the version that the resource is served in.
    pub(crate) fn form(&self, resource: &Resource, entry: &Entry) -> Option<Form> {
        let served = self.served_of(resource, entry)?;
        if !resource.converts() && !resource.info.custom {
            return Some(Form { text: entry.value.clone(), head: FormHead::Stored(served) });
        }
        let kept = served
            .other
            .lock()
            .as_ref()
            .filter(|kept| kept.0 == resource.form)
            .map(|kept| Arc::clone(&kept.1));
        if let Some(other) = kept {
            return Some(Form { text: other.1.clone(), head: FormHead::Other(other) });
        }
        let mut value = Value::from_json(&entry.value).ok()?;
        match resource.definition() {
            Some(definition) => {
                definition.read_stored(&mut value);
                self.normalise(resource, &mut value);
            }
            None => self.to_served(resource, &mut value),
        }
        let made = value.to_json();
        // Most custom resources are stored as they are shown: their bytes are shared.
        let text = if entry.value == made { entry.value.clone() } else { Bytes::from(made) };
        let head = Head::scan(&text, &[], resource.info.custom)?;
        let other = Arc::new((head, text.clone()));
        *served.other.lock() = Some((resource.form.clone(), Arc::clone(&other)));
        Some(Form { text, head: FormHead::Other(other) })
    }

    /// The stored object, decoded, with its revision.
    pub(crate) fn decoded(&self, resource: &Resource, entry: &Entry) -> Option<Arc<Value>> {
        if let Some(definition) = resource.definition() {
            let mut value = decode_entry(entry)?;
            definition.read_stored(&mut value);
            return Some(Arc::new(value));
        }
        let served = self.served_of(resource, entry)?;
        if let Some(value) = served.value.get() {
            return Some(Arc::clone(value));
        }
        let value = Arc::new(decode_entry(entry)?);
        if entry.value.len() <= KEEP_DECODED_MAX
            && resource.plural() != "pods"
            && resource.plural() != "events"
        {
            let _ = served.value.set(Arc::clone(&value));
        }
        Some(value)
    }

    /// Brings a hub object into the version that the resource is served in.
    pub(crate) fn to_served(&self, resource: &Resource, value: &mut Value) {
        if resource.converts() {
            *value = kinds::convert::convert(value.take(), &resource.info.gvk());
            self.order(resource, value);
        }
    }

    /// Brings a served object into the version that is stored.
    pub(crate) fn to_hub(&self, resource: &Resource, value: &mut Value) {
        if resource.converts() {
            *value = kinds::convert::convert(value.take(), &resource.hub);
        }
    }
}

/// Decodes an entry and fills in its revision.
pub(crate) fn decode_entry(entry: &Entry) -> Option<Value> {
    let mut value = Value::from_json(&entry.value).ok()?;
    value.set_at(&["metadata", "resourceVersion"], entry.mod_revision.to_string());
    Some(value)
}
