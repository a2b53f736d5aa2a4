//! A structural schema, read from `openAPIV3Schema`: what pruning, defaulting and validation walk along an object.
//!
//! Texts for people (titles, descriptions, examples) are not kept: OpenAPI publishes them from the definition itself.

use std::collections::BTreeMap;

use apimachinery::Value;
use regex::Regex;

use super::formats::Format;

/// A node of a schema. Nodes below `allOf` and the like have the same form, but only rules and the way down.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    /// `object`, `array`, `string`, `integer`, `number`, `boolean`; empty where none is said.
    pub kind: String,
    pub default: Option<Value>,
    pub nullable: bool,
    pub properties: BTreeMap<String, Schema>,
    pub additional: Option<Additional>,
    pub items: Option<Box<Schema>>,
    pub preserve_unknown: bool,
    pub embedded: bool,
    pub int_or_string: bool,
    /// `x-kubernetes-list-type`; empty means atomic.
    pub list_type: String,
    pub map_keys: Vec<String>,
    /// `x-kubernetes-map-type`; empty means granular.
    pub map_type: String,
    pub rules: Rules,
}

/// `additionalProperties`.
#[derive(Clone, Debug)]
pub enum Additional {
    Any,
    None,
    Of(Box<Schema>),
}

/// What a value must be like beyond its type.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub(super) format: Option<Format>,
    pub(super) maximum: Option<Value>,
    pub(super) exclusive_maximum: bool,
    pub(super) minimum: Option<Value>,
    pub(super) exclusive_minimum: bool,
    pub(super) multiple_of: Option<Value>,
    pub(super) max_length: Option<i64>,
    pub(super) min_length: Option<i64>,
    /// The text, and what it compiles to; a text that is no expression matches everything (it was refused when the
    /// definition was made).
    pub(super) pattern: Option<(String, Option<Regex>)>,
    pub(super) max_items: Option<i64>,
    pub(super) min_items: Option<i64>,
    pub(super) unique_items: bool,
    pub(super) max_properties: Option<i64>,
    pub(super) min_properties: Option<i64>,
    pub(super) required: Vec<String>,
    pub(super) enumeration: Vec<Value>,
    pub(super) all_of: Vec<Schema>,
    pub(super) any_of: Vec<Schema>,
    pub(super) one_of: Vec<Schema>,
    pub(super) not: Option<Box<Schema>>,
}

impl Schema {
    /// Reads a schema that may be anything: what is not understood is left out, and validation of the definition says so.
    pub fn read(value: &Value) -> Self {
        let text = |key: &str| value.str_at(&[key]).unwrap_or_default().to_owned();
        let flag = |key: &str| value.bool_at(&[key]) == Some(true);
        Self {
            kind: text("type"),
            default: value.get("default").filter(|d| !d.is_null()).cloned(),
            nullable: flag("nullable"),
            properties: members(value, "properties"),
            additional: match value.get("additionalProperties") {
                Some(schema) if schema.is_object() => Some(Additional::Of(Box::new(Self::read(schema)))),
                Some(other) => {
                    other.as_bool().map(|allowed| if allowed { Additional::Any } else { Additional::None })
                }
                None => None,
            },
            items: value.get("items").filter(|i| i.is_object()).map(|items| Box::new(Self::read(items))),
            preserve_unknown: flag("x-kubernetes-preserve-unknown-fields"),
            embedded: flag("x-kubernetes-embedded-resource"),
            int_or_string: flag("x-kubernetes-int-or-string"),
            list_type: text("x-kubernetes-list-type"),
            map_keys: texts(value, "x-kubernetes-list-map-keys"),
            map_type: text("x-kubernetes-map-type"),
            rules: Rules::read(value),
        }
    }

    /// The schema below a key of an object: of a declared field, else of any other.
    pub fn below(&self, key: &str) -> Option<&Schema> {
        self.properties.get(key).or(match &self.additional {
            Some(Additional::Of(schema)) => Some(schema),
            _ => None,
        })
    }

    /// Whether null stands where it may not.
    pub(super) fn wrongly_null(&self, value: &Value) -> bool {
        value.is_null() && !self.nullable
    }
}

impl Rules {
    fn read(value: &Value) -> Self {
        let flag = |key: &str| value.bool_at(&[key]) == Some(true);
        let number = |key: &str| value.get(key).filter(|n| n.is_number()).cloned();
        let count = |key: &str| value.i64_at(&[key]);
        let list = |key: &str| value.array_at(&[key]).iter().map(Schema::read).collect::<Vec<_>>();
        Self {
            format: value.str_at(&["format"]).and_then(Format::named),
            maximum: number("maximum"),
            exclusive_maximum: flag("exclusiveMaximum"),
            minimum: number("minimum"),
            exclusive_minimum: flag("exclusiveMinimum"),
            multiple_of: number("multipleOf"),
            max_length: count("maxLength"),
            min_length: count("minLength"),
            pattern: value
                .str_at(&["pattern"])
                .filter(|p| !p.is_empty())
                .map(|text| (text.to_owned(), Regex::new(text).ok())),
            max_items: count("maxItems"),
            min_items: count("minItems"),
            unique_items: flag("uniqueItems"),
            max_properties: count("maxProperties"),
            min_properties: count("minProperties"),
            required: texts(value, "required"),
            enumeration: value.array_at(&["enum"]).to_vec(),
            all_of: list("allOf"),
            any_of: list("anyOf"),
            one_of: list("oneOf"),
            not: value.get("not").filter(|n| n.is_object()).map(|not| Box::new(Schema::read(not))),
        }
    }
}

fn members(value: &Value, key: &str) -> BTreeMap<String, Schema> {
    let object = value.get(key).and_then(Value::as_object);
    object.into_iter().flat_map(|o| o.iter()).map(|(k, v)| (k.to_owned(), Schema::read(v))).collect()
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    value.array_at(&[key]).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
