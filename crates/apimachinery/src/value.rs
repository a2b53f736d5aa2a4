//! The tree that a request's body becomes: one concrete type whose inside is private and free to change.
//!
//! It keeps integers and floats apart, keeps the order of keys, and (while parsing) reports duplicate keys. It is not a
//! `serde_json::Value`, and that type appears in no signature of ours.

use compact_str::CompactString;

/// A JSON value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Value(Repr);

#[derive(Clone, Debug, Default, PartialEq)]
enum Repr {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(CompactString),
    Array(Vec<Value>),
    Object(Object),
}

/// A JSON object: keys in order of insertion, each once.
#[derive(Clone, Debug, Default)]
pub struct Object {
    entries: Vec<(CompactString, Value)>,
}

/// Objects are equal when they hold the same keys with the same values, in any order.
impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(k, v)| other.get(k) == Some(v))
    }
}

impl Value {
    pub const NULL: Value = Value(Repr::Null);

    pub fn object() -> Self {
        Self(Repr::Object(Object::default()))
    }
    pub fn is_null(&self) -> bool {
        matches!(self.0, Repr::Null)
    }
    pub fn is_object(&self) -> bool {
        matches!(self.0, Repr::Object(_))
    }
    pub fn is_array(&self) -> bool {
        matches!(self.0, Repr::Array(_))
    }
    pub fn as_bool(&self) -> Option<bool> {
        match self.0 {
            Repr::Bool(b) => Some(b),
            _ => None,
        }
    }
    pub fn as_i64(&self) -> Option<i64> {
        match self.0 {
            Repr::Int(i) => Some(i),
            _ => None,
        }
    }
    /// The number as a float, whether it was written as an integer or not.
    pub fn as_f64(&self) -> Option<f64> {
        match self.0 {
            #[allow(clippy::cast_precision_loss, reason = "what Go's float64 conversion does too")]
            Repr::Int(i) => Some(i as f64),
            Repr::Float(f) => Some(f),
            _ => None,
        }
    }
    pub fn as_str(&self) -> Option<&str> {
        match &self.0 {
            Repr::String(s) => Some(s),
            _ => None,
        }
    }
    pub fn as_array(&self) -> Option<&[Value]> {
        match &self.0 {
            Repr::Array(a) => Some(a),
            _ => None,
        }
    }
    pub fn as_array_mut(&mut self) -> Option<&mut Vec<Value>> {
        match &mut self.0 {
            Repr::Array(a) => Some(a),
            _ => None,
        }
    }
    pub fn as_object(&self) -> Option<&Object> {
        match &self.0 {
            Repr::Object(o) => Some(o),
            _ => None,
        }
    }
    pub fn as_object_mut(&mut self) -> Option<&mut Object> {
        match &mut self.0 {
            Repr::Object(o) => Some(o),
            _ => None,
        }
    }
    /// The member `key` of an object; `None` for anything else.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_object()?.get(key)
    }
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.as_object_mut()?.get_mut(key)
    }
    /// Follows object keys: `at(&["metadata", "name"])`.
    pub fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self, |v, key| v.get(key))
    }
    pub fn at_mut(&mut self, path: &[&str]) -> Option<&mut Value> {
        path.iter().try_fold(self, |v, key| v.get_mut(key))
    }
    pub fn str_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path)?.as_str()
    }
    pub fn i64_at(&self, path: &[&str]) -> Option<i64> {
        self.at(path)?.as_i64()
    }
    pub fn bool_at(&self, path: &[&str]) -> Option<bool> {
        self.at(path)?.as_bool()
    }
    /// The elements of the array at `path`; empty when it is absent or no array.
    pub fn array_at(&self, path: &[&str]) -> &[Value] {
        self.at(path).and_then(Value::as_array).unwrap_or_default()
    }
    /// Sets the member at `path`, making objects on the way (replacing what is not one).
    pub fn set_at(&mut self, path: &[&str], value: impl Into<Value>) {
        let mut here = self;
        for key in path {
            if !here.is_object() {
                *here = Value::object();
            }
            here = here.as_object_mut().expect("made an object above").entry(key);
        }
        *here = value.into();
    }
    /// Removes the member at `path` and returns it.
    pub fn remove_at(&mut self, path: &[&str]) -> Option<Value> {
        let (last, parents) = path.split_last()?;
        self.at_mut(parents)?.as_object_mut()?.remove(last)
    }
    /// What JSON calls this type: "null", "bool", "number", "string", "array", "object".
    pub fn type_name(&self) -> &'static str {
        match self.0 {
            Repr::Null => "null",
            Repr::Bool(_) => "bool",
            Repr::Int(_) | Repr::Float(_) => "number",
            Repr::String(_) => "string",
            Repr::Array(_) => "array",
            Repr::Object(_) => "object",
        }
    }
}

impl Object {
    pub fn new() -> Self {
        Self::default()
    }
    pub fn len(&self) -> usize {
        self.entries.len()
    }
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.entries.iter_mut().find(|(k, _)| k == key).map(|(_, v)| v)
    }
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }
    /// Sets `key`, keeping its place when it was there, and returns the old value.
    pub fn insert(&mut self, key: &str, value: impl Into<Value>) -> Option<Value> {
        let value = value.into();
        match self.get_mut(key) {
            Some(slot) => Some(std::mem::replace(slot, value)),
            None => {
                self.entries.push((key.into(), value));
                None
            }
        }
    }
    /// The value of `key`, null and new when it was absent.
    pub fn entry(&mut self, key: &str) -> &mut Value {
        let at = match self.entries.iter().position(|(k, _)| k == key) {
            Some(at) => at,
            None => {
                self.entries.push((key.into(), Value::NULL));
                self.entries.len() - 1
            }
        };
        &mut self.entries[at].1
    }
    /// Removes `key`, keeping the order of the others.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.entries.iter().position(|(k, _)| k == key)?;
        Some(self.entries.remove(at).1)
    }
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &mut Value) -> bool) {
        self.entries.retain_mut(|(k, v)| keep(k, v));
    }
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(k, v)| (k.as_str(), v))
    }
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&str, &mut Value)> {
        self.entries.iter_mut().map(|(k, v)| (k.as_str(), v))
    }
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.entries.iter().map(|(k, _)| k.as_str())
    }
}

impl From<bool> for Value {
    fn from(v: bool) -> Self {
        Self(Repr::Bool(v))
    }
}
impl From<i64> for Value {
    fn from(v: i64) -> Self {
        Self(Repr::Int(v))
    }
}
impl From<i32> for Value {
    fn from(v: i32) -> Self {
        Self(Repr::Int(v.into()))
    }
}
impl From<f64> for Value {
    fn from(v: f64) -> Self {
        Self(Repr::Float(v))
    }
}
impl From<&str> for Value {
    fn from(v: &str) -> Self {
        Self(Repr::String(v.into()))
    }
}
impl From<String> for Value {
    fn from(v: String) -> Self {
        Self(Repr::String(v.into()))
    }
}
impl From<Vec<Value>> for Value {
    fn from(v: Vec<Value>) -> Self {
        Self(Repr::Array(v))
    }
}
impl From<Object> for Value {
    fn from(v: Object) -> Self {
        Self(Repr::Object(v))
    }
}
impl<K: AsRef<str>, V: Into<Value>> FromIterator<(K, V)> for Value {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(iter: I) -> Self {
        let mut object = Object::new();
        for (k, v) in iter {
            object.insert(k.as_ref(), v);
        }
        object.into()
    }
}
