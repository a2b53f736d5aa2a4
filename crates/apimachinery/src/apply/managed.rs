//! `metadata.managedFields` as a list of managers with the sets that they own: reading, writing, order, and the cap on
//! managers that write by other verbs than apply.

use jiff::Timestamp;

use super::set::Set;
use crate::{Object, Value, go, time};

/// How a manager writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Apply,
    Update,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// Who a manager is: two entries with equal ids are one manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id {
    pub manager: String,
    pub operation: Operation,
    /// Of Update alone: who applies is the same in all versions.
    pub api_version: String,
    pub subresource: String,
}

impl Id {
    pub fn new(manager: &str, operation: Operation, api_version: &str, subresource: &str) -> Self {
        Self {
            manager: if manager.is_empty() { "unknown" } else { manager }.into(),
            operation,
            api_version: if operation == Operation::Update { api_version } else { "" }.into(),
            subresource: subresource.into(),
        }
    }
}

/// As conflicts name a manager.
impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&go::quote(&self.manager))?;
        if !self.subresource.is_empty() {
            write!(f, " with subresource {}", go::quote(&self.subresource))?;
        }
        if self.operation == Operation::Update {
            write!(f, " using {}", self.api_version)?;
        }
        Ok(())
    }
}

/// One entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Manager {
    pub id: Id,
    /// The version that the set's fields are of.
    pub api_version: String,
    pub set: Set,
    /// RFC 3339, as it was read.
    pub time: Option<String>,
}

impl Manager {
    pub fn applied(&self) -> bool {
        self.id.operation == Operation::Apply
    }

    fn seconds(&self) -> Option<i64> {
        self.time.as_deref().and_then(|text| time::parse_time(text).ok()).map(Timestamp::as_second)
    }
}

/// All entries of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Managed(pub Vec<Manager>);

/// Managers that update are merged above this number, as upstream.
const UPDATE_MANAGERS_MAX: usize = 10;
/// The manager that they are merged into.
const ANCIENT: &str = "ancient-changes";

impl Managed {
    /// Reads the entries; an error says what is wrong with them.
    pub fn decode(value: Option<&Value>) -> Result<Self, String> {
        let entries = value.and_then(Value::as_array).unwrap_or_default();
        let mut managed = Self(Vec::with_capacity(entries.len()));
        for (i, entry) in entries.iter().enumerate() {
            let text = |key: &str| entry.str_at(&[key]).unwrap_or_default();
            match text("fieldsType") {
                "FieldsV1" => {}
                "" => return Err(format!("missing fieldsType in managed fields entry {i}")),
                other => {
                    return Err(format!(
                        "invalid fieldsType {} in managed fields entry {i}",
                        go::quote(other)
                    ));
                }
            }
            let operation = if text("operation") == "Apply" { Operation::Apply } else { Operation::Update };
            let set = match entry.get("fieldsV1").filter(|v| !v.is_null()) {
                Some(fields) => Set::from_value(fields)
                    .ok_or_else(|| format!("error decoding set from fieldsV1 in managed fields entry {i}"))?,
                None => Set::new(),
            };
            let id = Id {
                manager: text("manager").into(),
                operation,
                api_version: if operation == Operation::Update { text("apiVersion") } else { "" }.into(),
                subresource: text("subresource").into(),
            };
            let time = entry.str_at(&["time"]).map(str::to_owned);
            managed.put(Manager { id, api_version: text("apiVersion").into(), set, time });
        }
        Ok(managed)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn find(&self, id: &Id) -> Option<&Manager> {
        self.0.iter().find(|m| m.id == *id)
    }

    fn take(&mut self, id: &Id) -> Option<Manager> {
        let at = self.0.iter().position(|m| m.id == *id)?;
        Some(self.0.remove(at))
    }

    /// Sets a manager's entry.
    pub fn put(&mut self, manager: Manager) {
        match self.0.iter_mut().find(|m| m.id == manager.id) {
            Some(slot) => *slot = manager,
            None => self.0.push(manager),
        }
    }

    /// The entries in upstream's order: who applies first, the oldest first, those without time before all.
    fn sort(&mut self) {
        let key = |m: &Manager| (m.id.operation, m.seconds().unwrap_or(i64::MIN));
        self.0.sort_by_cached_key(|m| {
            (key(m), m.id.manager.clone(), m.api_version.clone(), m.id.subresource.clone())
        });
    }

    /// As the entries stand in metadata.
    pub fn encode(mut self) -> Vec<Value> {
        self.sort();
        self.0
            .into_iter()
            .map(|manager| {
                let mut entry = Object::with_capacity(7);
                entry.insert("manager", manager.id.manager);
                entry.insert("operation", manager.id.operation.name());
                entry.insert("apiVersion", manager.api_version);
                if let Some(time) = manager.time {
                    entry.insert("time", time);
                }
                entry.insert("fieldsType", "FieldsV1");
                entry.insert("fieldsV1", manager.set.to_value());
                if !manager.id.subresource.is_empty() {
                    entry.insert("subresource", manager.id.subresource);
                }
                entry.into()
            })
            .collect()
    }

    /// Merges the oldest managers that update, per version, until there are few enough.
    pub(super) fn cap(&mut self) {
        let mut updaters: Vec<(Option<i64>, Id)> =
            self.0.iter().filter(|m| !m.applied()).map(|m| (m.seconds(), m.id.clone())).collect();
        let mut left = updaters.len();
        if left <= UPDATE_MANAGERS_MAX {
            return;
        }
        let identity = |id: &Id| {
            // The order of the identifiers' JSON texts, which upstream's ties are broken by.
            (id.manager.clone(), id.api_version.clone(), id.subresource.clone())
        };
        updaters.sort_by_cached_key(|(seconds, id)| (*seconds, identity(id)));
        let mut first_of: Vec<(String, Id)> = Vec::new();
        for (_, id) in updaters {
            if left <= UPDATE_MANAGERS_MAX {
                return;
            }
            let version = id.api_version.clone();
            let Some((_, first)) = first_of.iter().find(|(v, _)| *v == version) else {
                first_of.push((version, id));
                continue;
            };
            let bucket = Id::new(ANCIENT, Operation::Update, &version, "");
            if self.find(&bucket).is_none()
                && let Some(first) = self.take(first)
            {
                self.put(Manager { id: bucket.clone(), time: None, ..first });
            }
            let (Some(merged), Some(old)) = (self.find(&id).cloned(), self.find(&bucket)) else { continue };
            if id == bucket {
                continue;
            }
            let set = merged.set.union(&old.set);
            self.put(Manager { id: bucket, api_version: version, set, time: merged.time.clone() });
            self.take(&id);
            left -= 1;
        }
    }
}
