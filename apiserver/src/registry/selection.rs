//! Label and field selectors of a list or watch, matched against heads: no object is decoded for it.

use std::borrow::Cow;
use std::sync::Arc;

use apimachinery::selector::{FieldSelector, Selector};
use apimachinery::{Status, Value};
use store::{Entry, Index};

use super::head::{Head, Span};
use super::selectable::{self, Absent, Selectable};
use super::served::served_of;
use super::{Registry, Resource};
use crate::response::bad_request;

/// Where a field's value comes from.
#[derive(Clone, Debug)]
enum Place {
    Name,
    Namespace,
    /// Indices into the head's fields, tried in order.
    Fields(Vec<usize>, Absent),
    /// A path that a definition made selectable.
    Custom(Vec<String>),
}

#[derive(Clone, Debug)]
struct Term {
    place: Place,
    value: String,
    negated: bool,
}

/// The field by which watchers of pods are told apart: each kubelet watches the pods of its node.
const INDEXED: &str = "spec.nodeName";

/// The View's index of pods by their node.
pub(crate) fn index(pods: Arc<Resource>) -> Index {
    let at = selectable::of(pods.group(), pods.plural())
        .iter()
        .find(|s| s.label == INDEXED)
        .map(|s| head_fields(&pods, s))
        .expect("pods are selected by their node");
    Index::new(&pods.prefix.clone(), move |entry| {
        let served = served_of(&pods, entry)?;
        Some(field(&served.head, &entry.value, &at, Absent::Empty).into_owned())
    })
}

/// What a list or watch lets through.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    labels: Option<Selector>,
    fields: Vec<Term>,
    /// The one name that can match, when the fields say so.
    pub name: Option<String>,
    /// The one value of the View's index that can match, when the fields say so.
    pub(crate) indexed: Option<String>,
}

impl Selection {
    /// Parses the selectors of a request; the namespace of the request itself is the key's affair.
    pub fn parse(resource: &Resource, labels: &str, fields: &str) -> Result<Self, Status> {
        let selector = Selector::parse(labels).map_err(|e| bad_request(e.0))?;
        let parsed = FieldSelector::parse(fields).map_err(|e| bad_request(e.0))?;
        let mut terms = Vec::new();
        for term in &parsed.terms {
            // Upstream drops a term that names nothing.
            if term.field.is_empty() && term.value.is_empty() {
                continue;
            }
            let place = place(resource, &term.field)?;
            terms.push(Term { place, value: term.value.clone(), negated: term.negated });
        }
        let name = terms
            .iter()
            .find(|t| matches!(t.place, Place::Name) && !t.negated && !t.value.is_empty())
            .map(|t| t.value.clone());
        let indexed = parsed
            .terms
            .iter()
            .filter(|_| (resource.group(), resource.plural()) == ("", "pods"))
            .find(|t| t.field == INDEXED && !t.negated)
            .map(|t| t.value.clone());
        Ok(Self { labels: (!selector.is_empty()).then_some(selector), fields: terms, name, indexed })
    }

    /// Whether the fields leave it open which object is meant, or mean the one of this name.
    pub(crate) fn is_of(&self, name: &str) -> bool {
        self.fields.is_empty() || self.name.as_deref() == Some(name)
    }

    /// Everything matches.
    pub fn is_everything(&self) -> bool {
        self.labels.is_none() && self.fields.is_empty()
    }

    /// Whether an object without any labels and fields matches.
    pub(crate) fn matches_bare(&self) -> bool {
        self.fields.iter().all(|term| term.value.is_empty() != term.negated)
            && self.labels.as_ref().is_none_or(|selector| selector.matches(|_| None))
    }

    /// Whether an entry matches.
    pub(crate) fn matches(&self, registry: &Registry, resource: &Resource, entry: &Entry) -> bool {
        if self.is_everything() {
            return true;
        }
        let (namespace, name) = split_key(&resource.prefix, &entry.key, resource.info.namespaced);
        let Some(served) = registry.served_of(resource, entry) else { return false };
        self.fields.iter().all(|term| {
            let found: Cow<'_, str> = match &term.place {
                Place::Name => name.into(),
                Place::Namespace => namespace.into(),
                Place::Fields(indices, absent) => field(&served.head, &entry.value, indices, *absent),
                Place::Custom(path) => custom_field(registry, resource, entry, path).into(),
            };
            (found == term.value) != term.negated
        }) && self.labels.as_ref().is_none_or(|selector| labels_match(selector, &served.head, &entry.value))
    }
}

fn place(resource: &Resource, label: &str) -> Result<Place, Status> {
    let (group, plural) = (resource.group(), resource.plural());
    if let Some(definition) = resource.definition() {
        return custom_place(resource, definition, label);
    }
    match label {
        "metadata.name" => return Ok(Place::Name),
        "metadata.namespace" if selectable::has_namespace(&resource.info) => return Ok(Place::Namespace),
        _ => {}
    }
    let Some(field) = selectable::of(group, plural).iter().find(|s| s.label == label) else {
        return Err(selectable::unsupported(&resource.info, label));
    };
    Ok(Place::Fields(head_fields(resource, field), field.absent))
}

/// Where a head keeps a selectable field.
fn head_fields(resource: &Resource, field: &Selectable) -> Vec<usize> {
    field.paths.iter().filter_map(|p| resource.field_paths.iter().position(|q| q == p)).collect()
}

fn custom_place(
    resource: &Resource,
    definition: &kinds::custom::Version,
    label: &str,
) -> Result<Place, Status> {
    match label {
        "metadata.name" => Ok(Place::Name),
        "metadata.namespace" if resource.info.namespaced => Ok(Place::Namespace),
        _ if definition.selectable.iter().any(|field| field == label) => {
            Ok(Place::Custom(label.split('.').map(str::to_owned).collect()))
        }
        _ => Err(bad_request(format!("field label not supported: {label}"))),
    }
}

/// A field of a custom resource as it is shown, defaults included. Looked up in its bytes.
fn custom_field(registry: &Registry, resource: &Resource, entry: &Entry, path: &[String]) -> String {
    let Some(form) = registry.form(resource, entry) else { return String::new() };
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let found = Head::scan(&form.text, &[&path], true).and_then(|head| head.fields[0]);
    found.map(|span| scalar(&form.text, span).into_owned()).unwrap_or_default()
}

/// Namespace and name of a key under `prefix`.
pub(crate) fn split_key<'a>(prefix: &str, key: &'a str, namespaced: bool) -> (&'a str, &'a str) {
    let rest = key.get(prefix.len()..).unwrap_or_default();
    if namespaced { rest.split_once('/').unwrap_or(("", rest)) } else { ("", rest) }
}

fn field<'a>(head: &Head, text: &'a [u8], indices: &[usize], absent: Absent) -> Cow<'a, str> {
    for span in indices.iter().filter_map(|i| head.fields.get(*i).copied().flatten()) {
        let shown = scalar(text, span);
        if !shown.is_empty() {
            return shown;
        }
    }
    match absent {
        Absent::Empty => "".into(),
        Absent::As(text) => text.into(),
    }
}

/// A scalar as selectors compare it: strings without quotes, others as written.
fn scalar(text: &[u8], (start, end): Span) -> Cow<'_, str> {
    let raw = &text[start as usize..end as usize];
    match raw {
        b"null" => "".into(),
        [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => String::from_utf8_lossy(inner),
        [b'"', ..] => match Value::from_json(raw) {
            Ok(value) => value.as_str().unwrap_or_default().to_owned().into(),
            Err(_) => "".into(),
        },
        other => String::from_utf8_lossy(other),
    }
}

fn labels_match(selector: &Selector, head: &Head, text: &[u8]) -> bool {
    let labels = head.labels.and_then(|(a, b)| Value::from_json(&text[a as usize..b as usize]).ok());
    selector.matches(|key| labels.as_ref()?.get(key)?.as_str())
}
