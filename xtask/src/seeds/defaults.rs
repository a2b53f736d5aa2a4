//! What a real server adds to an object, learned from recordings of its answers.
//!
//! Each recorded create tells which fields were not written and are there all the same. From all of them together: what a
//! field can be where nobody wrote it, and which fields are there whenever their parent is. Metadata and status are not
//! compared: they tell of the moment and of who else is at work.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// A place in the objects of a kind: `Pod.spec.containers[]`.
type Place = String;

/// What is known of the kinds that were recorded.
#[derive(Debug, Default)]
pub(super) struct Defaults {
    /// How often an object was at a place.
    objects: BTreeMap<Place, usize>,
    /// How often one had this field.
    fields: BTreeMap<(Place, String), usize>,
    /// What a field was that nobody had written, as JSON, by its [`shared`] place.
    added: BTreeMap<(Place, String), BTreeSet<String>>,
}

/// What stands in recordings for a value that differs from run to run.
const PLACEHOLDERS: [&str; 6] = ["UID", "TIME", "CLUSTERIP", "NODEPORT", "IP", "DATA"];

impl Defaults {
    /// Learns from a file of recorded requests, one JSON object a line.
    pub(super) fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        let mut known = Self::default();
        for line in text.lines() {
            let line: Value =
                serde_json::from_str(line).with_context(|| format!("parse {}", file.display()))?;
            if line["method"] == "POST" && line["status"] == 201 {
                known.learn(&line["body"], &line["response"]);
            }
        }
        Ok(known)
    }

    fn learn(&mut self, written: &Value, answered: &Value) {
        visit(written, answered, &mut |place, fields| {
            *self.objects.entry(place.to_owned()).or_default() += 1;
            for (name, written, answered) in fields {
                let key = (place.to_owned(), (*name).clone());
                *self.fields.entry(key).or_default() += 1;
                if written.is_none() {
                    let key = (shared(place), (*name).clone());
                    self.added.entry(key).or_default().insert(plain(answered));
                }
            }
        });
    }

    /// What differs from what the recorded server would have made of `written`.
    pub(super) fn compare(&self, written: &Value, read: &Value, differences: &mut Vec<String>) {
        visit(written, read, &mut |place, fields| {
            let Some(objects) = self.objects.get(place) else { return };
            for (name, written_field, value) in fields {
                let Some(known) = self.added.get(&(shared(place), (*name).clone())) else { continue };
                let differs = |value: &Value| !known.contains(&plain(value)) && !holds(written, value);
                let holder = |text: &String| PLACEHOLDERS.iter().any(|p| text.contains(&format!("\"{p}\"")));
                let free = known.iter().any(holder);
                if written_field.is_none() && !free && differs(value) {
                    let known: Vec<&str> = known.iter().map(String::as_str).collect();
                    differences.push(format!("{place}.{name} became {value}, not {}", known.join(" or ")));
                }
            }
            for ((_, name), n) in
                self.fields.range((place.to_owned(), String::new())..).take_while(|((p, _), _)| p == place)
            {
                let default = self.added.contains_key(&(shared(place), name.clone()));
                if default && n == objects && fields.iter().all(|(there, ..)| *there != name) {
                    differences.push(format!("{place}.{name} is missing: it is always there"));
                }
            }
        });
    }
}

/// The place by which values are known: a pod is a pod, whoever has its template.
fn shared(place: &str) -> Place {
    const TEMPLATE: &str = ".template.spec";
    match place.rfind(TEMPLATE) {
        Some(at) => format!("Pod.spec{}", &place[at + TEMPLATE.len()..]),
        None => place.to_owned(),
    }
}

/// A value as JSON; of the name of the token's volume, which the server draws, only the part that it does not.
fn plain(value: &Value) -> String {
    const DRAWN: &str = "\"kube-api-access-";
    let text = value.to_string();
    let Some(at) = text.find(DRAWN).map(|at| at + DRAWN.len()) else { return text };
    let end = text[at..].find('"').map_or(text.len(), |end| at + end);
    format!("{}{}", &text[..at], &text[end..])
}

/// A value that was copied from what was written, such as a target port from a port.
fn holds(written: &Value, value: &Value) -> bool {
    written == value
        || match written {
            Value::Object(map) => map.values().any(|inner| holds(inner, value)),
            Value::Array(items) => items.iter().any(|inner| holds(inner, value)),
            _ => false,
        }
}

/// A field: its name, what was written, and what was answered.
type Field<'a> = (&'a String, Option<&'a Value>, &'a Value);

/// Calls `seen` with each object that was written, its place, and the fields that the answer has there.
fn visit(written: &Value, answered: &Value, seen: &mut impl FnMut(&str, &[Field<'_>])) {
    let kind = answered["kind"].as_str().unwrap_or_default();
    for (name, value) in answered.as_object().into_iter().flatten() {
        if !["metadata", "status", "kind", "apiVersion"].contains(&name.as_str()) {
            visit_below(&format!("{kind}.{name}"), written.get(name), value, seen);
        }
    }
}

fn visit_below(
    place: &str,
    written: Option<&Value>,
    answered: &Value,
    seen: &mut impl FnMut(&str, &[Field<'_>]),
) {
    match (written, answered) {
        (Some(Value::Object(written)), Value::Object(answered)) => {
            let fields: Vec<Field<'_>> = answered
                .iter()
                .map(|(name, value)| (name, written.get(name).filter(|value| !value.is_null()), value))
                .collect();
            seen(place, &fields);
            for (name, written, answered) in fields {
                visit_below(&format!("{place}.{name}"), written, answered, seen);
            }
        }
        (Some(Value::Array(written)), Value::Array(answered)) => {
            for (written, answered) in written.iter().zip(answered) {
                visit_below(&format!("{place}[]"), Some(written), answered, seen);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_are_those_that_were_recorded() {
        let pod = |containers: Value| json!({"kind": "Pod", "spec": {"containers": containers}});
        let mut known = Defaults::default();
        known.learn(
            &pod(json!([{"name": "a"}])),
            &pod(json!([{"name": "a", "policy": "Always", "ip": "IP"}])),
        );
        known.learn(
            &pod(json!([{"name": "b", "port": 1}])),
            &pod(json!([{"name": "b", "port": 1, "target": 1, "policy": "Never"}])),
        );
        let check = |written: Value, read: Value| {
            let mut differences = Vec::new();
            known.compare(&pod(written), &pod(read), &mut differences);
            differences
        };
        let written = json!([{"name": "c", "port": 7}]);
        let fine =
            json!([{"name": "c", "port": 7, "target": 7, "policy": "Never", "ip": "10.0.0.1", "more": 1}]);
        assert_eq!(check(written.clone(), fine), [""; 0]);
        let other = check(written.clone(), json!([{"name": "c", "port": 7, "policy": "Zap"}]));
        assert_eq!(other, [r#"Pod.spec.containers[].policy became "Zap", not "Always" or "Never""#]);
        let missing = check(written, json!([{"name": "c", "port": 7}]));
        assert_eq!(missing, ["Pod.spec.containers[].policy is missing: it is always there"]);
    }
}
