//! Reading and writing YAML as `sigs.k8s.io/yaml` does: YAML 1.1 scalars (`yes`, `on`, `0777`), keys turned into strings.
//!
//! The texts of syntax errors are libyaml's where the parser's own say the same, and the parser's otherwise.

mod strict;

use std::cell::{Cell, RefCell};
use std::fmt;

use compact_str::CompactString;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

use super::json::{merge_into, push_key};
use super::serde_impl::unsigned;
use super::{DEPTH_MAX, Object, ParseError, ParseOptions, Parsed, Repr, Value};

impl Value {
    /// Reads the first document of a YAML text. The error reads `yaml: ...`, as from `yaml.YAMLToJSON`; where upstream
    /// calls `yaml.Unmarshal` it prefixes "error converting YAML to JSON: ", which is up to the caller.
    pub fn parse_yaml(text: &[u8], options: &ParseOptions) -> Result<Parsed, ParseError> {
        let text = std::str::from_utf8(text)
            .map_err(|_| ParseError("yaml: control characters are not allowed".into()))?;
        let text = first_document(text);
        let context = Context {
            merge_duplicates: options.merge_duplicates,
            depth_max: options.depth_max.min(DEPTH_MAX),
            duplicates: RefCell::default(),
            keyless: Cell::default(),
        };
        let yaml = serde_saphyr::options! {
            duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::PassThrough,
            legacy_octal_numbers: true,
            with_snippet: false,
        };
        let value = serde_saphyr::with_deserializer_from_str_with_options(text, yaml, |deserializer| {
            Seed { context: &context, path: String::new(), depth: 0 }.deserialize(deserializer)
        })
        .map_err(|error| ParseError(error_text(&error.to_string(), text)))?;
        if context.keyless.get()
            && let Some(line) = strict::read(text).keyless
        {
            let place = if line == 0 { String::new() } else { format!("line {line}: ") };
            return Err(ParseError(format!("yaml: {place}did not find expected key")));
        }
        Ok(Parsed { value, duplicates: context.duplicates.into_inner() })
    }

    /// What `yaml.UnmarshalStrict` says of keys that stand twice in a mapping of a text that can be read: a line for each,
    /// such as `line 7: key "a" already set in map`.
    pub fn yaml_repeated_keys(text: &[u8]) -> Vec<String> {
        std::str::from_utf8(text).map(|text| strict::read(first_document(text)).repeated).unwrap_or_default()
    }

    /// The value as YAML, keys sorted as `sigs.k8s.io/yaml` sorts them, with a final newline.
    pub fn to_yaml(&self) -> String {
        let mut sorted = self.clone();
        sort_all(&mut sorted);
        serde_saphyr::to_string(&sorted).expect("a value has only string keys and plain scalars")
    }
}

fn sort_all(value: &mut Value) {
    match &mut value.0 {
        Repr::Object(object) => {
            object.sort_keys();
            object.iter_mut().for_each(|(_, value)| sort_all(value));
        }
        Repr::Array(array) => array.iter_mut().for_each(sort_all),
        _ => {}
    }
}

/// What stands before a second `---` line; kubectl splits streams itself, the server reads one document.
fn first_document(text: &str) -> &str {
    let mut seen_content = false;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_end();
        if trimmed == "---" || trimmed.starts_with("--- ") {
            if seen_content {
                return &text[..at];
            }
            seen_content = trimmed != "---";
        } else if !trimmed.is_empty() && !trimmed.starts_with(['#', '%']) {
            seen_content = true;
        }
        at += line.len();
    }
    text
}

/// The parser's message in the form that libyaml gives it.
fn error_text(message: &str, text: &str) -> String {
    let first = message.lines().next().unwrap_or(message);
    if let Some(text) = unclosed_text(first, text) {
        return text;
    }
    for known in [
        "mapping values are not allowed in this context",
        "block sequence entries are not allowed in this context",
        "mapping keys are not allowed in this context",
    ] {
        if first.contains(known) {
            return format!("yaml: {known}");
        }
    }
    format!("yaml: {}", first.strip_prefix("error: ").unwrap_or(first))
}

/// The text ends inside of brackets: libyaml says what it looked for there. It counts lines from 0, and names none at 0:
/// for an entry that is missing that of the text's end, for a bracket that is missing the opening one's.
fn unclosed_text(message: &str, text: &str) -> Option<String> {
    let rest = &message[message.find("unclosed bracket '")? + "unclosed bracket '".len()..];
    let line = rest.split_once("at line ")?.1.split(',').next()?.parse::<usize>().ok()? - 1;
    let end = text.lines().count();
    Some(if text.trim_end().ends_with(['[', '{', ',', ':']) {
        format!("yaml: line {end}: did not find expected node content")
    } else {
        let close = if rest.starts_with('[') { ']' } else { '}' };
        format!("yaml: line {}: did not find expected ',' or '{close}'", if line == 0 { end } else { line })
    })
}

struct Context {
    merge_duplicates: bool,
    depth_max: usize,
    duplicates: RefCell<Vec<String>>,
    /// Whether a key is null: written so, or missing.
    keyless: Cell<bool>,
}

struct Seed<'a> {
    context: &'a Context,
    path: String,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::NULL)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::NULL)
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
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        self.check_depth()?;
        let mut array = Vec::new();
        loop {
            let path = format!("{}[{}]", self.path, array.len());
            match seq.next_element_seed(Seed { context: self.context, path, depth: self.depth + 1 })? {
                Some(value) => array.push(value),
                None => return Ok(Value(Repr::Array(array))),
            }
        }
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        self.check_depth()?;
        let mut object = Object::new();
        while let Some(key) = map.next_key::<Value>()? {
            if matches!(key.0, Repr::Null) {
                self.context.keyless.set(true);
            }
            let key = key_text(key);
            let mut path = self.path.clone();
            push_key(&mut path, &key);
            let seed = Seed { context: self.context, path: path.clone(), depth: self.depth + 1 };
            let value = map.next_value_seed(seed)?;
            match object.get_mut(&key) {
                None => {
                    object.insert_owned(key, value);
                }
                Some(slot) => {
                    if self.context.merge_duplicates {
                        merge_into(slot, value);
                    } else {
                        *slot = value;
                    }
                    let mut duplicates = self.context.duplicates.borrow_mut();
                    if !duplicates.contains(&path) {
                        duplicates.push(path);
                    }
                }
            }
        }
        Ok(Value(Repr::Object(object)))
    }
}

impl Seed<'_> {
    fn check_depth<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.depth >= self.context.depth_max {
            return Err(E::custom("exceeded max depth"));
        }
        Ok(())
    }
}

/// A key as JSON must have it: numbers and booleans become their text.
fn key_text(key: Value) -> CompactString {
    match key.0 {
        Repr::String(s) => s,
        Repr::Null | Repr::Hole => "null".into(),
        _ => key.to_json_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(yaml: &str, json: &str) {
        let parsed = Value::parse_yaml(yaml.as_bytes(), &ParseOptions::default()).unwrap();
        assert_eq!(parsed.value.to_json_string(), json, "{yaml}");
    }

    #[test]
    fn repeated_keys_have_the_lines_of_their_values() {
        for (text, expected) in [
            ("a: 1\nb: 2\n", &[] as &[&str]),
            ("a: 1\na: 2\n", &["line 2: key \"a\" already set in map"]),
            ("x:\n  a: 1\n  a:\n    b: 1\n", &["line 4: key \"a\" already set in map"]),
            (
                "x: {a: 1, a: 2}\nx:\n- 1\n",
                &["line 1: key \"a\" already set in map", "line 3: key \"x\" already set in map"],
            ),
            ("1: a\n1: b\n", &["line 2: key 1 already set in map"]),
        ] {
            assert_eq!(Value::yaml_repeated_keys(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn an_entry_has_a_key() {
        let error = |text: &str| {
            Value::parse_yaml(text.as_bytes(), &ParseOptions::default()).unwrap_err().to_string()
        };
        assert_eq!(error(": x"), "yaml: did not find expected key");
        assert_eq!(error("a:\n  : x"), "yaml: line 1: did not find expected key");
        check("? \n: 1\n", "{\"null\":1}");
        check("null: 1\n", "{\"null\":1}");
    }

    #[test]
    fn scalars_are_those_of_yaml_1_1() {
        check(
            "a: yes\nb: off\nc: y\nd: 'yes'\ne: 0777\nf: 0x1f\ng: 1.5\nh: ~\ni:\nj: 1e3\nk: -3\n",
            r#"{"a":true,"b":false,"c":true,"d":"yes","e":511,"f":31,"g":1.5,"h":null,"i":null,"j":1000,"k":-3}"#,
        );
        check("1: a\ntrue: b\n", r#"{"1":"a","true":"b"}"#);
        check("- |\n  x\n  y\n- >-\n  x\n  y\n- 2020-01-01\n", r#"["x\ny\n","x y","2020-01-01"]"#);
        check(
            "a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2\n",
            r#"{"a":{"b":1},"c":{"b":1},"d":{"e":2,"b":1}}"#,
        );
        check("", "null");
        check("---\na: 1\n---\nb: 2\n", r#"{"a":1}"#);
        check("{\"a\": [1, \"x\"]}", r#"{"a":[1,"x"]}"#);
    }

    #[test]
    fn duplicates_are_reported() {
        let parsed = Value::parse_yaml(b"a:\n- b: 1\n  b: 2\n", &ParseOptions::default()).unwrap();
        assert_eq!(parsed.duplicates, ["a[0].b"]);
        assert_eq!(parsed.value.to_json_string(), r#"{"a":[{"b":2}]}"#);
    }

    #[test]
    fn errors_are_named() {
        for (text, wanted) in [
            ("a: b: c", "yaml: mapping values are not allowed in this context"),
            ("{a: [", "yaml: line 1: did not find expected node content"),
            ("a:\n  [b,\n", "yaml: line 2: did not find expected node content"),
            ("a: [b\n", "yaml: line 1: did not find expected ',' or ']'"),
            ("a:\n- {b: c\n", "yaml: line 1: did not find expected ',' or '}'"),
        ] {
            let error = Value::parse_yaml(text.as_bytes(), &ParseOptions::default()).unwrap_err();
            assert_eq!(error.to_string(), wanted, "{text:?}");
        }
        let deep = "[".repeat(DEPTH_MAX + 1);
        assert!(Value::parse_yaml(deep.as_bytes(), &ParseOptions::default()).is_err());
    }

    #[test]
    fn what_is_written_reads_back() {
        let json = br#"{"b":[{"x":"yes","y":["1","null",""]},[]],"a":{},"c":"line\nline\n","d":1.5,"e":"0x1","f":"a: b"}"#;
        let value = Value::from_json(json).unwrap();
        let text = value.to_yaml();
        assert!(text.starts_with("a:"), "{text}");
        assert_eq!(
            Value::parse_yaml(text.as_bytes(), &ParseOptions::default()).unwrap().value,
            value,
            "{text}"
        );
    }
}
