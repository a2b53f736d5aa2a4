//! Pruning: fields that a schema does not know are dropped, and their paths told to those who want to know.
//!
//! `apiVersion`, `kind` and `metadata` of the object and of embedded resources are known always; what is in their metadata
//! is for ObjectMeta to say.

use apimachinery::Value;
use apimachinery::schema::Type;

use super::schema::{Additional, Schema};
use crate::decode::Report;

const IMPLIED: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Drops what `schema` does not know from a whole object, and brings metadata into the form of `metadata`. An error is
/// the decoder's, of metadata: nothing else has a type before it is validated.
pub(super) fn prune(schema: &Schema, metadata: &Type, object: &mut Value) -> Report {
    let mut pruner = Pruner { path: String::new(), unknown: Vec::new(), metadata, error: None };
    pruner.metadata_of(object);
    pruner.value(Some(schema), true, object);
    pruner.unknown.sort();
    Report { unknown: pruner.unknown, error: pruner.error }
}

struct Pruner<'a> {
    path: String,
    unknown: Vec<String>,
    metadata: &'a Type,
    error: Option<String>,
}

impl Pruner<'_> {
    fn value(&mut self, schema: Option<&Schema>, resource: bool, value: &mut Value) {
        if let Some(items) = value.as_array_mut() {
            let element = schema.and_then(|s| s.items.as_deref());
            let preserved = schema.is_some_and(|s| s.preserve_unknown) && element.is_none();
            if preserved {
                return;
            }
            for (at, item) in items.iter_mut().enumerate() {
                let length = self.path.len();
                self.path.push_str(&format!("[{at}]"));
                self.value(element, false, item);
                self.path.truncate(length);
            }
        } else if value.is_object() {
            self.object(schema, resource, value);
        }
    }

    fn object(&mut self, schema: Option<&Schema>, root: bool, value: &mut Value) {
        let embedded = schema.is_some_and(|s| s.embedded);
        if embedded && !root {
            self.metadata_of(value);
        }
        let members = value.as_object_mut().expect("the caller looked");
        let mut n_unknown = 0;
        for (key, member) in members.iter_mut() {
            if (root || embedded) && IMPLIED.contains(&key) {
                continue;
            }
            let length = self.push(key);
            match known(schema, key) {
                Known::As(schema) => self.value(schema, false, member),
                Known::Preserved => {}
                Known::No => {
                    n_unknown += 1;
                    self.unknown.push(self.path.clone());
                }
            }
            self.path.truncate(length);
        }
        if n_unknown > 0 {
            members.retain(|key, _| {
                ((root || embedded) && IMPLIED.contains(&key)) || !matches!(known(schema, key), Known::No)
            });
        }
    }

    /// Checks and canonicalises the metadata of a resource. What is no object is left for validation.
    fn metadata_of(&mut self, object: &mut Value) {
        let Some(metadata) = object.get_mut("metadata").filter(|m| m.is_object()) else { return };
        let report = crate::decode::check(self.metadata, metadata);
        let prefix = if self.path.is_empty() { String::new() } else { format!("{}.", self.path) };
        self.unknown.extend(report.unknown.into_iter().map(|path| format!("{prefix}metadata.{path}")));
        match report.error {
            Some(error) => {
                self.error.get_or_insert(error);
            }
            None => crate::normalise::normalise(self.metadata, metadata),
        }
    }

    fn push(&mut self, key: &str) -> usize {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(key);
        length
    }
}

enum Known<'a> {
    As(Option<&'a Schema>),
    Preserved,
    No,
}

fn known<'a>(schema: Option<&'a Schema>, key: &str) -> Known<'a> {
    let Some(schema) = schema else { return Known::No };
    if let Some(property) = schema.properties.get(key) {
        return Known::As(Some(property));
    }
    match &schema.additional {
        Some(Additional::Of(value)) => Known::As(Some(value)),
        // Anything is allowed here, but what is in it has no schema of its own.
        Some(Additional::Any) => Known::As(None),
        _ if schema.preserve_unknown => Known::Preserved,
        _ => Known::No,
    }
}

/// Whether pruning would take something away from a value that is no whole object.
pub(super) fn loses(schema: &Schema, value: &Value) -> bool {
    if let Some(object) = value.as_object() {
        return object.iter().any(|(key, member)| {
            if schema.embedded && IMPLIED.contains(&key) {
                return false;
            }
            match known(Some(schema), key) {
                Known::As(Some(below)) => loses(below, member),
                Known::As(None) => member.as_object().is_some_and(|o| !o.is_empty()),
                Known::Preserved => false,
                Known::No => true,
            }
        });
    }
    match (value.as_array(), &schema.items) {
        (Some(items), Some(element)) => items.iter().any(|item| loses(element, item)),
        _ => false,
    }
}
