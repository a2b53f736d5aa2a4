//! Path elements: one step into an object, as managedFields write them (`f:name`, `k:{"name":"a"}`, `v:"x"`, `i:0`) and as
//! conflicts show them (`.name`, `[name="a"]`, `[="x"]`, `[0]`).
//!
//! Their order is that of structured-merge-diff: fields, keys, values, indices; it decides the bytes of managedFields.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use compact_str::CompactString;

use crate::{Value, go};

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// A field of a struct or a key of a map.
    Field(CompactString),
    /// An item of a list map, by its keys in the order of their names.
    Key(Arc<[(CompactString, Atom)]>),
    /// A member of a set.
    Value(Atom),
    /// An item of an atomic list; only ever read, and shown in errors.
    Index(i64),
}

/// A value with upstream's total order: numbers, strings, booleans, lists, maps, null.
#[derive(Clone, Debug)]
pub struct Atom(pub Value);

impl Atom {
    fn rank(&self) -> u8 {
        match self.0.type_name() {
            "number" => 0,
            "string" => 1,
            "bool" => 2,
            "array" => 3,
            "object" => 4,
            _ => 5,
        }
    }
}

impl Ord for Atom {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank()).then_with(|| match (&self.0, &other.0) {
            (a, b) if a.is_string() => a.as_str().cmp(&b.as_str()),
            (a, b) => match (a.as_i64(), b.as_i64()) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ if a.is_number() => {
                    a.as_f64().unwrap_or_default().total_cmp(&b.as_f64().unwrap_or_default())
                }
                _ => a.to_json().cmp(&b.to_json()),
            },
        })
    }
}

impl PartialOrd for Atom {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Atom {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Atom {}

impl Element {
    pub fn field(name: &str) -> Self {
        Self::Field(name.into())
    }

    /// As a key of fieldsV1.
    pub(super) fn to_text(&self) -> CompactString {
        match self {
            Self::Field(name) => {
                // Every field of every write comes by here: no formatting.
                let mut text = CompactString::with_capacity(2 + name.len());
                text.push_str("f:");
                text.push_str(name);
                text
            }
            Self::Key(keys) => {
                let object: Value =
                    keys.iter().map(|(name, value)| (name.as_str(), value.0.clone())).collect();
                compact_str::format_compact!("k:{}", object.to_json_string())
            }
            Self::Value(value) => compact_str::format_compact!("v:{}", value.0.to_json_string()),
            Self::Index(index) => compact_str::format_compact!("i:{index}"),
        }
    }

    /// Reads a key of fieldsV1; `None` for what is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "f" => Some(Self::field(rest)),
            "v" => Some(Self::Value(Atom(Value::from_json(rest.as_bytes()).ok()?))),
            "i" => rest.parse().ok().map(Self::Index),
            "k" => {
                let keys = Value::from_json(rest.as_bytes()).ok()?.into_object()?;
                let mut keys: Vec<_> = keys.into_iter().map(|(name, value)| (name, Atom(value))).collect();
                keys.sort();
                Some(Self::Key(keys.into()))
            }
            _ => None,
        }
    }
}

fn shown(value: &Value) -> String {
    match value.as_str() {
        Some(text) => go::quote(text),
        None => value.to_json_string(),
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(keys) => {
                f.write_str("[")?;
                for (i, (name, value)) in keys.iter().enumerate() {
                    write!(f, "{}{name}={}", if i > 0 { "," } else { "" }, shown(&value.0))?;
                }
                f.write_str("]")
            }
            Self::Value(value) => write!(f, "[={}]", shown(&value.0)),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}
