//! What a strict reader of YAML objects to, with its lines: keys that stand twice in a mapping, and what libyaml refuses
//! and our parser takes. Upstream reads a text a second time for that; so do we, and only where the first reading gave
//! reason to.

use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::go;
use crate::value::{Repr, Value};

/// A node as far as keys go.
enum Node {
    Map(Vec<(Spanned<Value>, Spanned<Node>)>),
    List(Vec<Node>),
    Scalar,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Nodes)
    }
}

struct Nodes;

impl<'de> Visitor<'de> for Nodes {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }
    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut members = Vec::new();
        while let Some(key) = map.next_key()? {
            members.push((key, map.next_value()?));
        }
        Ok(Node::Map(members))
    }
}

/// What the second reading finds.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// `line 7: key "a" already set in map`, inner mappings first.
    pub(super) repeated: Vec<String>,
    /// The line, from zero, of a mapping's entry that has neither a key nor the sign of one.
    pub(super) keyless: Option<u64>,
}

/// Reads a text that is known to be readable.
pub(super) fn read(text: &str) -> Found {
    let mut found = Found::default();
    let yaml = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::PassThrough,
        legacy_octal_numbers: true,
        with_snippet: false,
    };
    if let Ok(node) = serde_saphyr::from_str_with_options::<Node>(text, yaml) {
        walk(text, &node, &mut found);
    }
    found
}

fn walk(text: &str, node: &Node, found: &mut Found) {
    match node {
        Node::Scalar => {}
        Node::List(items) => items.iter().for_each(|item| walk(text, item, found)),
        Node::Map(members) => {
            let mut seen: Vec<&Value> = Vec::new();
            for (key, value) in members {
                walk(text, &value.value, found);
                if matches!(key.value.0, Repr::Null) && found.keyless.is_none() {
                    let line = key.referenced.line().saturating_sub(1);
                    if is_keyless(text, usize::try_from(line).unwrap_or_default()) {
                        found.keyless = Some(line);
                    }
                }
                if seen.contains(&&key.value) {
                    let shown = match key.value.as_str() {
                        Some(text) => go::quote(text),
                        None => key.value.to_json_string(),
                    };
                    let line = value.referenced.line();
                    found.repeated.push(format!("line {line}: key {shown} already set in map"));
                }
                seen.push(&key.value);
            }
        }
    }
}

/// Whether a line starts with the value of an entry and no `?` stands before it.
fn is_keyless(text: &str, line: usize) -> bool {
    let mut lines = text.split_inclusive('\n');
    let before: usize = lines.by_ref().take(line).map(str::len).sum();
    let starts_a_value = lines.next().is_some_and(|line| line.trim_start().starts_with(':'));
    starts_a_value && !text[..before].trim_end().ends_with('?')
}
