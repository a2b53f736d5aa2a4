//! `value!`: objects written down as they look in JSON. Keys are literals; anything that is not a literal, an object or
//! a list stands in parentheses.

/// Builds a [`Value`](apimachinery::Value): `value!({ "kind": "Pod", "n": (count) })`.
#[macro_export]
macro_rules! value {
    ({ $($key:literal : $value:tt),* $(,)? }) => {{
        #[allow(unused_mut, reason = "an empty object")]
        let mut object = apimachinery::Object::new();
        $( object.insert($key, $crate::value!($value)); )*
        apimachinery::Value::from(object)
    }};
    ([ $($value:tt),* $(,)? ]) => { apimachinery::Value::from(vec![$($crate::value!($value)),*]) };
    (null) => { apimachinery::Value::NULL };
    ($value:expr) => { apimachinery::Value::from($value) };
}

use apimachinery::Value;

/// A list of strings.
pub fn strings<S: AsRef<str>>(list: impl IntoIterator<Item = S>) -> Value {
    Value::from(list.into_iter().map(|s| Value::from(s.as_ref())).collect::<Vec<_>>())
}

/// The strings of a list, leaving out what is none.
pub fn string_list(value: Option<&Value>) -> Vec<String> {
    value
        .and_then(Value::as_array)
        .unwrap_or_default()
        .iter()
        .filter_map(Value::as_str)
        .map(String::from)
        .collect()
}

/// The string at `path`, empty when there is none: Go's zero value.
pub fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    value.str_at(path).unwrap_or_default()
}

/// `metadata.NAME` of an object as text, empty when there is none.
pub fn meta<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get("metadata").and_then(|m| m.get(field)).and_then(Value::as_str).unwrap_or_default()
}

/// An annotation's text.
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.str_at(&["metadata", "annotations", key])
}
