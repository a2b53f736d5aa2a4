//! Validation of values against a structural schema, in the words of upstream's validator and in its order: type, then
//! `allOf` and the like, then what belongs to the type, then enumerations, then what is inside.
//!
//! An update is not refused for what it leaves as it was: a part that equals its old self is not looked at again.

use std::fmt::Write as _;

use apimachinery::{FieldError, Object, Path, Value, go};

use super::schema::{Additional, Rules, Schema};

/// Every problem of `value`.
pub(super) fn validate(schema: &Schema, value: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut found = Found::default();
    Place { path: String::new() }.check(schema, value, old, &mut found);
    found.errors
}

/// What a check found: problems, and how much of the schema was met, by which upstream ranks alternatives.
#[derive(Default)]
struct Found {
    errors: Vec<FieldError>,
    n_matches: usize,
}

impl Found {
    fn merge(&mut self, other: Found) {
        self.errors.extend(other.errors);
        self.n_matches += other.n_matches;
    }
}

/// Where a value stands: `spec.ports[0].name`.
struct Place {
    path: String,
}

impl Place {
    fn at(&self) -> Path {
        if self.path.is_empty() { Path::nil() } else { Path::new(&self.path) }
    }

    fn member(&self, key: &str) -> Self {
        Self { path: if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) } }
    }

    fn item(&self, at: usize) -> Self {
        Self { path: format!("{}[{at}]", self.path) }
    }

    /// A problem with the value shown.
    fn invalid(&self, value: impl Into<Value>, what: &str) -> FieldError {
        FieldError::invalid(&self.at(), value, &format!("{} in body {what}", self.path))
    }

    fn wrong_type(&self, wanted: &str, found: &str) -> FieldError {
        let what = format!("{} in body must be of type {wanted}: {}", self.path, go::quote(found));
        FieldError::type_invalid(&self.at(), found, &what)
    }

    fn check(&self, schema: &Schema, value: &Value, old: Option<&Value>, found: &mut Found) {
        if old == Some(value) {
            return;
        }
        found.n_matches += 1;
        self.check_type(schema, value, found);
        if value.is_null() {
            // Of null only its type counts, and whether it is among the allowed values.
            if !schema.nullable {
                self.check_enumeration(&schema.rules, value, found);
            }
            return;
        }
        self.check_combinations(&schema.rules, value, found);
        if let Some(text) = value.as_str() {
            self.check_text(&schema.rules, text, found);
        } else if value.is_number() {
            self.check_number(&schema.rules, value, found);
        } else if let Some(items) = value.as_array() {
            self.check_items(schema, items, old, found);
        }
        self.check_enumeration(&schema.rules, value, found);
        if let Some(object) = value.as_object() {
            self.check_object(schema, object, old, found);
        }
    }

    fn check_type(&self, schema: &Schema, value: &Value, found: &mut Found) {
        let wanted = if schema.int_or_string { "integer,string" } else { schema.kind.as_str() };
        if wanted.is_empty() || (value.is_null() && schema.nullable) {
            return;
        }
        let own = type_of(value);
        let whole = value.is_float() && value.as_f64().is_some_and(|f| f.fract() == 0.0);
        let fits = wanted.split(',').any(|w| w == own)
            || (own == "integer" && wanted == "number")
            || (whole && wanted.starts_with("integer"));
        if !fits {
            found.errors.push(self.wrong_type(wanted, own));
        }
    }

    fn check_combinations(&self, rules: &Rules, value: &Value, found: &mut Found) {
        let trial = |schema: &Schema| {
            let mut trial = Found::default();
            self.check(schema, value, None, &mut trial);
            trial
        };
        let say = |found: &mut Found, what: String| {
            let text = format!("{} {what}", go::quote(&self.path));
            found.errors.push(FieldError::invalid(&Path::nil(), "", &text));
        };
        if !rules.any_of.is_empty() {
            let (n_valid, best) = alternatives(rules.any_of.iter().map(trial), true);
            if n_valid == 0 {
                say(found, "must validate at least one schema (anyOf)".into());
                found.merge(best);
            }
        }
        if !rules.one_of.is_empty() {
            let (n_valid, best) = alternatives(rules.one_of.iter().map(trial), false);
            if n_valid != 1 {
                let how = match n_valid {
                    0 => "Found none valid".to_owned(),
                    n => format!("Found {n} valid alternatives"),
                };
                say(found, format!("must validate one and only one schema (oneOf). {how}"));
                if n_valid == 0 {
                    found.merge(best);
                }
            }
        }
        let mut n_valid = 0;
        for schema in &rules.all_of {
            let trial = trial(schema);
            n_valid += usize::from(trial.errors.is_empty());
            found.merge(trial);
        }
        if n_valid != rules.all_of.len() {
            let how = if n_valid == 0 { ". None validated" } else { "" };
            say(found, format!("must validate all the schemas (allOf){how}"));
        }
        if rules.not.as_ref().is_some_and(|schema| trial(schema).errors.is_empty()) {
            say(found, "must not validate the schema (not)".into());
        }
    }

    fn check_text(&self, rules: &Rules, text: &str, found: &mut Found) {
        let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
        if let Some(max) = rules.max_length.filter(|max| length > *max) {
            found.errors.push(FieldError::too_long(&self.at(), usize::try_from(max).unwrap_or(0)));
        }
        if let Some(min) = rules.min_length.filter(|min| length < *min) {
            found.errors.push(self.invalid(text, &format!("should be at least {min} chars long")));
        }
        if let Some((pattern, compiled)) = &rules.pattern
            && compiled.as_ref().is_some_and(|regex| !regex.is_match(text))
        {
            found.errors.push(self.invalid(text, &format!("should match '{pattern}'")));
        }
        if let Some(format) = rules.format
            && !format.matches(text)
        {
            let what = format!("must be of type {}: {}", format.name(), go::quote(text));
            let what = format!("{} in body {what}", self.path);
            found.errors.push(FieldError::type_invalid(&self.at(), text, &what));
        }
    }

    fn check_number(&self, rules: &Rules, value: &Value, found: &mut Found) {
        let number = value.as_f64().unwrap_or_default();
        // Limits of integers are shown as integers.
        let shown = |limit: &Value| match limit.as_f64() {
            #[allow(clippy::cast_possible_truncation, reason = "what Go's conversion does too")]
            Some(limit) if !value.is_float() => (limit as i64).to_string(),
            _ => go::display(limit),
        };
        let float = |limit: &Value| limit.as_f64().unwrap_or_default();
        if let Some(factor) = &rules.multiple_of
            && float(factor) != 0.0
            && (number / float(factor)).fract() != 0.0
        {
            found
                .errors
                .push(self.invalid(value.clone(), &format!("should be a multiple of {}", shown(factor))));
        }
        if let Some(max) = &rules.maximum {
            let (fits, words) = match rules.exclusive_maximum {
                true => (number < float(max), "less than"),
                false => (number <= float(max), "less than or equal to"),
            };
            if !fits {
                found.errors.push(self.invalid(value.clone(), &format!("should be {words} {}", shown(max))));
            }
        }
        if let Some(min) = &rules.minimum {
            let (fits, words) = match rules.exclusive_minimum {
                true => (number > float(min), "greater than"),
                false => (number >= float(min), "greater than or equal to"),
            };
            if !fits {
                found.errors.push(self.invalid(value.clone(), &format!("should be {words} {}", shown(min))));
            }
        }
    }

    fn check_items(&self, schema: &Schema, items: &[Value], old: Option<&Value>, found: &mut Found) {
        let rules = &schema.rules;
        if let Some(element) = &schema.items {
            let old = old.map_or(&[][..], |old| old.as_array().unwrap_or_default());
            for (at, item) in items.iter().enumerate() {
                let before = if schema.list_type == "map" {
                    old.iter().find(|o| schema.map_keys.iter().all(|key| o.get(key) == item.get(key)))
                } else {
                    None
                };
                self.item(at).check(element, item, before, found);
            }
        }
        let n_items = i64::try_from(items.len()).unwrap_or(i64::MAX);
        if let Some(min) = rules.min_items.filter(|min| n_items < *min) {
            found.errors.push(self.invalid(n_items, &format!("should have at least {min} items")));
        }
        if let Some(max) = rules.max_items.filter(|max| n_items > *max) {
            let max = usize::try_from(max).unwrap_or(0);
            found.errors.push(FieldError::too_many(&self.at(), items.len(), max));
        }
        if rules.unique_items && (1..items.len()).any(|at| items[..at].contains(&items[at])) {
            found.errors.push(self.invalid("", "shouldn't contain duplicates"));
        }
    }

    fn check_enumeration(&self, rules: &Rules, value: &Value, found: &mut Found) {
        let allowed = &rules.enumeration;
        let same = |other: &Value| {
            other == value || (other.is_number() && value.is_number() && other.as_f64() == value.as_f64())
        };
        if allowed.is_empty() || allowed.iter().any(same) {
            return;
        }
        let shown: Vec<String> =
            allowed.iter().map(|v| v.as_str().map_or_else(|| v.to_json_string(), str::to_owned)).collect();
        found.errors.push(FieldError::not_supported(&self.at(), value.clone(), &shown));
    }

    fn check_object(&self, schema: &Schema, object: &Object, old: Option<&Value>, found: &mut Found) {
        let rules = &schema.rules;
        let n_members = i64::try_from(object.len()).unwrap_or(i64::MAX);
        if let Some(min) = rules.min_properties.filter(|min| n_members < *min) {
            found.errors.push(self.invalid(n_members, &format!("should have at least {min} properties")));
        }
        if let Some(max) = rules.max_properties.filter(|max| n_members > *max) {
            let max = usize::try_from(max).unwrap_or(0);
            found.errors.push(FieldError::too_many(&self.at(), object.len(), max));
        }
        for key in rules.required.iter().filter(|key| !object.contains_key(key)) {
            found.errors.push(FieldError::required(&self.member(key).at(), ""));
        }
        for (key, member) in object.sorted() {
            let before = old.and_then(|old| old.get(key));
            match schema.below(key) {
                Some(below) => self.member(key).check(below, member, before, found),
                None if matches!(schema.additional, Some(Additional::None)) => {
                    let mut what = String::new();
                    let _ = write!(what, "{}.{key} in body is a forbidden property", self.path);
                    found.errors.push(FieldError::invalid(&self.member(key).at(), "", &what));
                }
                None => {}
            }
        }
    }
}

/// How many alternatives are met, and the problems of the one that comes closest.
fn alternatives(trials: impl Iterator<Item = Found>, first_is_enough: bool) -> (usize, Found) {
    let (mut n_valid, mut best) = (0, None::<Found>);
    for trial in trials {
        if trial.errors.is_empty() {
            n_valid += 1;
            if first_is_enough {
                break;
            }
        } else if best.as_ref().is_none_or(|best| trial.n_matches > best.n_matches) {
            best = Some(trial);
        }
    }
    (n_valid, best.unwrap_or_default())
}

fn type_of(value: &Value) -> &'static str {
    match value.type_name() {
        "bool" => "boolean",
        "number" if value.is_float() => "number",
        "number" => "integer",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(schema: &str, value: &str, expected: &[&str]) {
        let schema =
            Value::parse_yaml(schema.as_bytes(), &apimachinery::ParseOptions::default()).unwrap().value;
        let value =
            Value::parse_yaml(value.as_bytes(), &apimachinery::ParseOptions::default()).unwrap().value;
        let got: Vec<String> =
            validate(&Schema::read(&schema), &value, None).iter().map(ToString::to_string).collect();
        assert_eq!(got, expected);
    }

    fn of(rule: &str) -> String {
        format!("{{type: object, properties: {{spec: {{type: object, properties: {{x: {rule}}}}}}}}}")
    }

    #[test]
    fn types() {
        let text = "spec.x: Invalid value: \"string\": spec.x in body must be of type integer: \"string\"";
        check(&of("{type: integer}"), "{spec: {x: a}}", &[text]);
        check(&of("{type: integer}"), "{spec: {x: 3.0}}", &[]);
        check(&of("{type: number}"), "{spec: {x: 3}}", &[]);
        check(
            &of("{type: integer}"),
            "{spec: {x: 3.5}}",
            &["spec.x: Invalid value: \"number\": spec.x in body must be of type integer: \"number\""],
        );
        check(
            &of("{type: string}"),
            "{spec: {x: null}}",
            &["spec.x: Invalid value: \"null\": spec.x in body must be of type string: \"null\""],
        );
        check(&of("{type: string, nullable: true}"), "{spec: {x: null}}", &[]);
        check(&of("{x-kubernetes-int-or-string: true}"), "{spec: {x: 80%}}", &[]);
        check(
            &of("{x-kubernetes-int-or-string: true}"),
            "{spec: {x: true}}",
            &[
                "spec.x: Invalid value: \"boolean\": spec.x in body must be of type integer,string: \"boolean\"",
            ],
        );
    }

    #[test]
    fn rules_of_scalars() {
        check(
            &of("{type: integer, minimum: 1, maximum: 5}"),
            "{spec: {x: 9}}",
            &["spec.x: Invalid value: 9: spec.x in body should be less than or equal to 5"],
        );
        check(
            &of("{type: integer, minimum: 1, exclusiveMinimum: true, multipleOf: 2}"),
            "{spec: {x: 1}}",
            &[
                "spec.x: Invalid value: 1: spec.x in body should be a multiple of 2",
                "spec.x: Invalid value: 1: spec.x in body should be greater than 1",
            ],
        );
        check(
            &of("{type: string, pattern: '^a+$', maxLength: 2}"),
            "{spec: {x: bbb}}",
            &[
                "spec.x: Too long: may not be more than 2 bytes",
                "spec.x: Invalid value: \"bbb\": spec.x in body should match '^a+$'",
            ],
        );
        check(
            &of("{type: string, enum: [a, b]}"),
            "{spec: {x: c}}",
            &["spec.x: Unsupported value: \"c\": supported values: \"a\", \"b\""],
        );
        check(
            &of("{type: string, format: date-time}"),
            "{spec: {x: now}}",
            &["spec.x: Invalid value: \"now\": spec.x in body must be of type date-time: \"now\""],
        );
    }

    #[test]
    fn rules_of_lists_and_objects() {
        check(
            &of("{type: array, items: {type: object, required: [name]}, minItems: 2}"),
            "{spec: {x: [{}]}}",
            &[
                "spec.x[0].name: Required value",
                "spec.x: Invalid value: 1: spec.x in body should have at least 2 items",
            ],
        );
        check("{type: object, required: [spec]}", "{}", &["spec: Required value"]);
        check(
            &of("{type: object, additionalProperties: {type: string}, maxProperties: 1}"),
            "{spec: {x: {a: b, c: 1}}}",
            &[
                "spec.x: Too many: 2: must have at most 1 item",
                "spec.x.c: Invalid value: \"integer\": spec.x.c in body must be of type string: \"integer\"",
            ],
        );
    }

    #[test]
    fn combinations() {
        let one = of("{type: object, oneOf: [{required: [a]}, {required: [b]}]}");
        check(&one, "{spec: {x: {a: 1}}}", &[]);
        check(
            &one,
            "{spec: {x: {a: 1, b: 2}}}",
            &[
                "<nil>: Invalid value: \"\": \"spec.x\" must validate one and only one schema (oneOf). Found 2 valid \
               alternatives",
            ],
        );
        check(
            &one,
            "{spec: {x: {}}}",
            &[
                "<nil>: Invalid value: \"\": \"spec.x\" must validate one and only one schema (oneOf). Found none valid",
                "spec.x.a: Required value",
            ],
        );
        check(
            &of("{not: {type: string}}"),
            "{spec: {x: a}}",
            &["<nil>: Invalid value: \"\": \"spec.x\" must not validate the schema (not)"],
        );
    }

    #[test]
    fn what_is_unchanged_is_not_refused_again() {
        let schema = Schema::read(
            &Value::from_json(br#"{"properties":{"a":{"type":"integer"},"b":{"type":"integer"}}}"#).unwrap(),
        );
        let old = Value::from_json(br#"{"a":"x","b":1}"#).unwrap();
        let new = Value::from_json(br#"{"a":"x","b":2}"#).unwrap();
        assert!(validate(&schema, &new, Some(&old)).is_empty());
        assert_eq!(validate(&schema, &new, None).len(), 1);
    }
}
