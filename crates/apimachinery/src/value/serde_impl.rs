//! `Value` on both sides of serde: it can be serialised and deserialised itself, and typed structs can be read from it
//! and turned into it without a detour through text.

use std::fmt;

use compact_str::CompactString;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};
use serde::ser::{self, Serialize, SerializeMap, SerializeSeq};

use super::{Object, Repr, Value, object};

/// Reads a typed struct from a value.
pub fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, SerdeError> {
    T::deserialize(value)
}

/// Turns a typed struct into a value.
pub fn to_value<T: Serialize + ?Sized>(data: &T) -> Result<Value, SerdeError> {
    data.serialize(ToValue)
}

/// Why a value does not fit a type, or a type has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SerdeError(String);

impl de::Error for SerdeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl ser::Error for SerdeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Repr::Null | Repr::Hole => serializer.serialize_unit(),
            Repr::Bool(b) => serializer.serialize_bool(*b),
            Repr::Int(i) => serializer.serialize_i64(*i),
            Repr::Float(f) => serializer.serialize_f64(*f),
            Repr::String(s) => serializer.serialize_str(s),
            Repr::Array(array) => {
                let mut seq = serializer.serialize_seq(Some(array.len()))?;
                for value in array {
                    seq.serialize_element(value)?;
                }
                seq.end()
            }
            Repr::Object(object) => {
                let mut map = serializer.serialize_map(Some(object.len()))?;
                for (key, value) in object {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> serde::Deserialize<'de> for Value {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::NULL)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::NULL)
    }
    fn visit_some<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
    fn visit_bool<E>(self, b: bool) -> Result<Value, E> {
        Ok(b.into())
    }
    fn visit_i64<E>(self, i: i64) -> Result<Value, E> {
        Ok(i.into())
    }
    fn visit_u64<E>(self, u: u64) -> Result<Value, E> {
        Ok(unsigned(u))
    }
    fn visit_f64<E>(self, f: f64) -> Result<Value, E> {
        Ok(f.into())
    }
    fn visit_str<E>(self, s: &str) -> Result<Value, E> {
        Ok(s.into())
    }
    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(value) = seq.next_element()? {
            array.push(value);
        }
        Ok(Value(Repr::Array(array)))
    }
    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Object::new();
        while let Some((key, value)) = map.next_entry::<CompactString, Value>()? {
            object.insert_owned(key, value);
        }
        Ok(Value(Repr::Object(object)))
    }
}

/// An unsigned number: a float once int64 is too small.
pub(super) fn unsigned(u: u64) -> Value {
    #[allow(clippy::cast_precision_loss, reason = "what Go's float64 conversion does too")]
    i64::try_from(u).map_or_else(|_| Value::from(u as f64), Value::from)
}

impl<'de> serde::Deserializer<'de> for &'de Value {
    type Error = SerdeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        match &self.0 {
            Repr::Null | Repr::Hole => visitor.visit_unit(),
            Repr::Bool(b) => visitor.visit_bool(*b),
            Repr::Int(i) => visitor.visit_i64(*i),
            Repr::Float(f) => visitor.visit_f64(*f),
            Repr::String(s) => visitor.visit_borrowed_str(s),
            Repr::Array(array) => visitor.visit_seq(Elements(array.iter())),
            Repr::Object(object) => visitor.visit_map(Members { entries: object.iter(), value: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SerdeError> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SerdeError> {
        match &self.0 {
            Repr::String(s) => visitor.visit_enum(s.as_str().into_deserializer()),
            Repr::Object(object) if object.len() == 1 => {
                visitor.visit_enum(de::value::MapAccessDeserializer::new(Members {
                    entries: object.iter(),
                    value: None,
                }))
            }
            _ => Err(de::Error::custom("expected a string or an object with one member for an enum")),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, SerdeError> for &'de Value {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

struct Elements<'a>(std::slice::Iter<'a, Value>);

impl<'de> de::SeqAccess<'de> for Elements<'de> {
    type Error = SerdeError;
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, SerdeError> {
        self.0.next().map(|value| seed.deserialize(value)).transpose()
    }
    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Members<'a> {
    entries: object::Iter<'a>,
    value: Option<&'a Value>,
}

impl<'de> de::MapAccess<'de> for Members<'de> {
    type Error = SerdeError;
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, SerdeError> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(de::value::BorrowedStrDeserializer::new(key)).map(Some)
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, SerdeError> {
        seed.deserialize(self.value.take().expect("serde asks for a value after its key"))
    }
}

/// Builds a `Value` from anything serialisable.
struct ToValue;

/// A sequence, or a map with the key that waits for its value; `variant` wraps the whole in an enum's object.
struct Builder {
    array: Vec<Value>,
    object: Object,
    key: Option<CompactString>,
    variant: Option<&'static str>,
}

impl Builder {
    fn new(variant: Option<&'static str>) -> Self {
        Self { array: Vec::new(), object: Object::new(), key: None, variant }
    }
    fn wrap(variant: Option<&'static str>, value: Value) -> Value {
        match variant {
            Some(name) => [(name, value)].into_iter().collect(),
            None => value,
        }
    }
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerdeError> {
        self.array.push(to_value(value)?);
        Ok(())
    }
    fn set<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), SerdeError> {
        self.object.insert(key, to_value(value)?);
        Ok(())
    }
    fn end_array(self) -> Result<Value, SerdeError> {
        Ok(Self::wrap(self.variant, Value(Repr::Array(self.array))))
    }
    fn end_object(self) -> Result<Value, SerdeError> {
        Ok(Self::wrap(self.variant, Value(Repr::Object(self.object))))
    }
}

macro_rules! scalars {
    ($($name:ident $ty:ty),*) => {
        $(fn $name(self, v: $ty) -> Result<Value, SerdeError> { Ok(Value::from(v)) })*
    };
}

impl serde::Serializer for ToValue {
    type Ok = Value;
    type Error = SerdeError;
    type SerializeSeq = Builder;
    type SerializeTuple = Builder;
    type SerializeTupleStruct = Builder;
    type SerializeTupleVariant = Builder;
    type SerializeMap = Builder;
    type SerializeStruct = Builder;
    type SerializeStructVariant = Builder;

    scalars! { serialize_bool bool, serialize_i32 i32, serialize_i64 i64, serialize_u16 u16, serialize_u32 u32,
    serialize_f64 f64, serialize_str &str }

    fn serialize_i8(self, v: i8) -> Result<Value, SerdeError> {
        Ok(Value::from(i64::from(v)))
    }
    fn serialize_i16(self, v: i16) -> Result<Value, SerdeError> {
        Ok(Value::from(i64::from(v)))
    }
    fn serialize_u8(self, v: u8) -> Result<Value, SerdeError> {
        Ok(Value::from(i64::from(v)))
    }
    fn serialize_u64(self, v: u64) -> Result<Value, SerdeError> {
        Ok(unsigned(v))
    }
    fn serialize_f32(self, v: f32) -> Result<Value, SerdeError> {
        Ok(Value::from(f64::from(v)))
    }
    fn serialize_char(self, v: char) -> Result<Value, SerdeError> {
        Ok(Value::from(v.to_string()))
    }
    fn serialize_bytes(self, v: &[u8]) -> Result<Value, SerdeError> {
        Ok(Value(Repr::Array(v.iter().map(|b| Value::from(i64::from(*b))).collect())))
    }
    fn serialize_none(self) -> Result<Value, SerdeError> {
        Ok(Value::NULL)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, SerdeError> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<Value, SerdeError> {
        Ok(Value::NULL)
    }
    fn serialize_unit_struct(self, _name: &'static str) -> Result<Value, SerdeError> {
        Ok(Value::NULL)
    }
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Value, SerdeError> {
        Ok(variant.into())
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Value, SerdeError> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, SerdeError> {
        Ok(Builder::wrap(Some(variant), to_value(value)?))
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<Builder, SerdeError> {
        Ok(Builder::new(None))
    }
    fn serialize_tuple(self, _: usize) -> Result<Builder, SerdeError> {
        Ok(Builder::new(None))
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Builder, SerdeError> {
        Ok(Builder::new(None))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Builder, SerdeError> {
        Ok(Builder::new(Some(variant)))
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Builder, SerdeError> {
        Ok(Builder::new(None))
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Builder, SerdeError> {
        Ok(Builder::new(None))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Builder, SerdeError> {
        Ok(Builder::new(Some(variant)))
    }
}

macro_rules! sequence {
    ($($tr:ident $f:ident),*) => {
        $(impl ser::$tr for Builder {
            type Ok = Value;
            type Error = SerdeError;
            fn $f<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerdeError> { self.push(value) }
            fn end(self) -> Result<Value, SerdeError> { self.end_array() }
        })*
    };
}
sequence! { SerializeSeq serialize_element, SerializeTuple serialize_element, SerializeTupleStruct serialize_field,
SerializeTupleVariant serialize_field }

macro_rules! structure {
    ($($tr:ident),*) => {
        $(impl ser::$tr for Builder {
            type Ok = Value;
            type Error = SerdeError;
            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), SerdeError> {
                self.set(key, value)
            }
            fn end(self) -> Result<Value, SerdeError> { self.end_object() }
        })*
    };
}
structure! { SerializeStruct, SerializeStructVariant }

impl SerializeMap for Builder {
    type Ok = Value;
    type Error = SerdeError;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), SerdeError> {
        let key = match to_value(key)?.0 {
            Repr::String(s) => s,
            Repr::Int(i) => CompactString::new(i.to_string()),
            Repr::Bool(b) => CompactString::new(b.to_string()),
            _ => return Err(ser::Error::custom("the key of a map must be a string")),
        };
        self.key = Some(key);
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), SerdeError> {
        let key = self.key.take().expect("serde gives a key before its value");
        self.object.insert_owned(key, to_value(value)?);
        Ok(())
    }
    fn end(self) -> Result<Value, SerdeError> {
        self.end_object()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};
    use std::collections::BTreeMap;

    #[derive(Debug, Serialize, Deserialize, PartialEq)]
    enum Shape {
        Unit,
        New(i32),
        Struct { a: bool },
    }

    #[derive(Debug, Serialize, Deserialize, PartialEq)]
    struct Sample {
        name: String,
        n: Option<i64>,
        f: f64,
        list: Vec<u8>,
        map: BTreeMap<i32, String>,
        shapes: Vec<Shape>,
    }

    #[test]
    fn a_typed_struct_survives_both_ways() {
        let sample = Sample {
            name: "x".into(),
            n: None,
            f: 1.5,
            list: vec![1, 2],
            map: [(3, "c".to_owned())].into(),
            shapes: vec![Shape::Unit, Shape::New(1), Shape::Struct { a: true }],
        };
        let value = to_value(&sample).unwrap();
        assert_eq!(
            value.to_json_string(),
            r#"{"name":"x","n":null,"f":1.5,"list":[1,2],"map":{"3":"c"},"shapes":["Unit",{"New":1},{"Struct":{"a":true}}]}"#
        );
        let back: Value = serde_json::from_slice(&serde_json::to_vec(&sample).unwrap()).unwrap();
        assert_eq!(back, value);
        assert_eq!(serde_json::from_slice::<Sample>(&value.to_json()).unwrap(), sample);
        // serde reads integer map keys from text only in serde_json; without such a key both ways agree.
        let mut value = value;
        value.set_at(&["map"], Value::object());
        assert_eq!(from_value::<Sample>(&value).unwrap(), Sample { map: BTreeMap::new(), ..sample });
    }

    #[test]
    fn a_misfit_is_an_error() {
        assert!(from_value::<Sample>(&Value::from("x")).is_err());
    }
}
