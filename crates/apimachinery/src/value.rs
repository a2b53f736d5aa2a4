//! The tree that a request's body becomes: one concrete type whose inside is private and free to change.
//!
//! It keeps integers and floats apart, keeps the order of keys, and (while parsing) reports duplicate keys. It is not a
//! `serde_json::Value`, and that type appears in no signature of ours.

mod json;
mod object;
mod serde_impl;
mod write;
mod yaml;

use compact_str::CompactString;

pub use json::{DEPTH_MAX, ParseError, ParseOptions, Parsed};
pub use object::Object;
pub use serde_impl::{SerdeError, from_value, to_value};

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
    /// What `Object::remove` leaves in a large object. Never seen outside `object`.
    Hole,
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
    pub fn is_string(&self) -> bool {
        matches!(self.0, Repr::String(_))
    }
    pub fn is_number(&self) -> bool {
        matches!(self.0, Repr::Int(_) | Repr::Float(_))
    }
    /// Whether the number is held as a float; `1.0` is, `1` is not.
    pub fn is_float(&self) -> bool {
        matches!(self.0, Repr::Float(_))
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
    /// Takes the value out, leaving null.
    pub fn take(&mut self) -> Value {
        std::mem::take(self)
    }
    pub fn into_object(self) -> Option<Object> {
        match self.0 {
            Repr::Object(o) => Some(o),
            _ => None,
        }
    }
    pub fn into_array(self) -> Option<Vec<Value>> {
        match self.0 {
            Repr::Array(a) => Some(a),
            _ => None,
        }
    }
    pub fn into_string(self) -> Option<String> {
        match self.0 {
            Repr::String(s) => Some(s.into()),
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
            Repr::Null | Repr::Hole => "null",
            Repr::Bool(_) => "bool",
            Repr::Int(_) | Repr::Float(_) => "number",
            Repr::String(_) => "string",
            Repr::Array(_) => "array",
            Repr::Object(_) => "object",
        }
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
impl From<u32> for Value {
    fn from(v: u32) -> Self {
        Self(Repr::Int(v.into()))
    }
}
impl From<u16> for Value {
    fn from(v: u16) -> Self {
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
impl From<&String> for Value {
    fn from(v: &String) -> Self {
        Self(Repr::String(v.as_str().into()))
    }
}
impl From<CompactString> for Value {
    fn from(v: CompactString) -> Self {
        Self(Repr::String(v))
    }
}
/// An absent value is null.
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(v: Option<T>) -> Self {
        v.map_or(Value::NULL, Into::into)
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
