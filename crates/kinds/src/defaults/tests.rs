//! Recorded objects of every kind: what was sent and what upstream made of it.

use std::collections::BTreeMap;

use apimachinery::Value;

use super::{Context, canonicalise};
use crate::Registry;
use crate::registry::split_api_version;

const CASES: &str = include_str!("../../../../tests/data/kinds/defaults.txt");

/// Scalars, empty lists and empty objects by their path.
fn leaves(value: &Value, path: &str, out: &mut BTreeMap<String, String>) {
    let dot = if path.is_empty() { "" } else { "." };
    if let Some(object) = value.as_object().filter(|o| !o.is_empty()) {
        for (key, item) in object.iter() {
            let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || "_$-".contains(c));
            let key = if plain { key.to_owned() } else { Value::from(key).to_json_string() };
            leaves(item, &format!("{path}{dot}{key}"), out);
        }
    } else if let Some(items) = value.as_array().filter(|a| !a.is_empty()) {
        for (at, item) in items.iter().enumerate() {
            leaves(item, &format!("{path}[{at}]"), out);
        }
    } else {
        out.insert(path.to_owned(), value.to_json_string());
    }
}

fn of(value: &Value) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    leaves(value, "", &mut out);
    out
}

#[test]
fn created_objects_get_upstreams_defaults() {
    let registry = Registry::builtin();
    let mut failures = Vec::new();
    let mut n_cases = 0;
    for case in CASES.split("\ncase ").skip(1) {
        let mut lines = case.lines();
        let name = lines.next().unwrap();
        let sent = Value::from_json(lines.next().unwrap().as_bytes()).unwrap();
        let mut expected = BTreeMap::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let (path, value) = line.strip_prefix("+ ").unwrap().split_once(" = ").unwrap();
            let value = Value::from_json(value.as_bytes()).unwrap();
            expected.insert(path.to_owned(), value.to_json_string());
        }
        let (group, version) = split_api_version(sent.str_at(&["apiVersion"]).unwrap());
        let resource = registry.kind(group, version, sent.str_at(&["kind"]).unwrap()).unwrap();
        let mut made = sent.clone();
        let report = canonicalise(&resource, &mut made, &Context::default());
        assert_eq!(report.error, None, "{name}");
        crate::normalise::normalise_stored(resource.ty.get(), &mut made);
        let (sent, made) = (of(&sent), of(&made));
        let added: BTreeMap<_, _> =
            made.into_iter().filter(|(path, value)| sent.get(path) != Some(value)).collect();
        for (path, value) in &expected {
            if added.get(path) != Some(value) {
                failures.push(format!("{name}: {path} should be {value}, is {:?}", added.get(path)));
            }
        }
        for (path, value) in added.iter().filter(|(path, _)| !expected.contains_key(*path)) {
            failures.push(format!("{name}: {path} should not be {value}"));
        }
        n_cases += 1;
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(n_cases > 150, "{n_cases}");
}
