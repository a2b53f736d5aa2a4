//! Label selectors: the string form of queries (with upstream's parse errors), the structured form of objects, and
//! matching. Field selectors are in `selector::field`.

mod field;
mod parse;

use std::collections::BTreeSet;
use std::fmt;

use crate::status::{FieldError, Path, aggregate};
use crate::{Value, names};

pub use field::{FieldSelector, FieldTerm, escape as escape_field_value};

/// Why a selector cannot be read; the text is what a 400 shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub String);

/// A relation between a label and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    In,
    NotIn,
    Equals,
    DoubleEquals,
    NotEquals,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    pub key: String,
    pub operator: Operator,
    pub values: BTreeSet<String>,
}

/// A conjunction of requirements, ordered by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

impl Requirement {
    /// Checks the operator, the number of values and the syntax of key and values, as `labels.NewRequirement`.
    pub fn new(key: &str, operator: Operator, values: BTreeSet<String>) -> Result<Self, SelectorError> {
        let mut errors = Vec::new();
        push_key_problem(&mut errors, key, &Path::new("key"));
        let path = Path::new("values");
        let shown = || Value::from(values.iter().map(|v| Value::from(v.as_str())).collect::<Vec<_>>());
        let mut refuse = |detail| errors.push(FieldError::invalid(&path, shown(), detail));
        match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                refuse("for 'in', 'notin' operators, values set can't be empty");
            }
            Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => {
                refuse("exact-match compatibility requires one single value");
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                refuse("values set must be empty for exists and does not exist");
            }
            Operator::GreaterThan | Operator::LessThan => {
                if values.len() != 1 {
                    refuse("for 'Gt', 'Lt' operators, exactly one value is required");
                }
                for (i, value) in values.iter().enumerate().filter(|(_, v)| parse_int(v).is_none()) {
                    let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                    errors.push(FieldError::invalid(&path.index(i), value.as_str(), detail));
                }
            }
            _ => {}
        }
        for (i, value) in values.iter().enumerate() {
            let problems = names::label_value(value);
            if !problems.is_empty() {
                let path = path.index(i).key(key);
                errors.push(FieldError::invalid(&path, value.as_str(), &problems.join("; ")));
            }
        }
        if !errors.is_empty() {
            return Err(SelectorError(aggregate(&errors)));
        }
        Ok(Self { key: key.into(), operator, values })
    }

    /// Whether a label of this value (`None`: no such label) fulfils the requirement.
    pub fn matches(&self, value: Option<&str>) -> bool {
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => {
                value.is_some_and(|v| self.values.contains(v))
            }
            Operator::NotIn | Operator::NotEquals => !value.is_some_and(|v| self.values.contains(v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan | Operator::LessThan => {
                let limit = self.values.first().and_then(|v| parse_int(v));
                match (value.and_then(parse_int), limit) {
                    (Some(value), Some(limit)) if self.operator == Operator::GreaterThan => value > limit,
                    (Some(value), Some(limit)) => value < limit,
                    _ => false,
                }
            }
        }
    }
}

fn push_key_problem(errors: &mut Vec<FieldError>, key: &str, path: &Path) {
    let problems = names::qualified_name(key);
    if !problems.is_empty() {
        errors.push(FieldError::invalid(path, key, &problems.join("; ")));
    }
}

/// `strconv.ParseInt(text, 10, 64)`.
fn parse_int(text: &str) -> Option<i64> {
    text.parse().ok()
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<_> = self.values.iter().map(String::as_str).collect();
        let values = values.join(",");
        let key = &self.key;
        match self.operator {
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

impl Selector {
    pub fn everything() -> Self {
        Self::default()
    }
    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), nothing: true }
    }
    pub fn new(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self { requirements, nothing: false }
    }

    /// Reads the string form: `a=b,c!=d,e in (f,g),!h`.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        parse::parse(text).map(Self::new)
    }

    /// Reads a metav1.LabelSelector: null selects nothing, an empty one everything.
    pub fn from_label_selector(selector: Option<&Value>) -> Result<Self, SelectorError> {
        let Some(selector) = selector.filter(|s| !s.is_null()) else { return Ok(Self::nothing()) };
        let mut requirements = Vec::new();
        for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            let value = value.as_str().unwrap_or_default().to_owned();
            requirements.push(Requirement::new(key, Operator::Equals, [value].into())?);
        }
        for expression in selector.array_at(&["matchExpressions"]) {
            let operator = match expression.str_at(&["operator"]).unwrap_or_default() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    let quoted = crate::go::quote(other);
                    return Err(SelectorError(format!("{quoted} is not a valid label selector operator")));
                }
            };
            let values = expression.array_at(&["values"]).iter().filter_map(Value::as_str);
            let key = expression.str_at(&["key"]).unwrap_or_default();
            requirements.push(Requirement::new(key, operator, values.map(str::to_owned).collect())?);
        }
        Ok(Self::new(requirements))
    }

    /// A plain map of labels that must all be there, as of a Service or ReplicationController. It is not checked.
    pub fn from_map(labels: Option<&Value>) -> Self {
        let labels = labels.and_then(Value::as_object).into_iter().flatten();
        Self::new(
            labels
                .map(|(key, value)| Requirement {
                    key: key.into(),
                    operator: Operator::Equals,
                    values: [value.as_str().unwrap_or_default().to_owned()].into(),
                })
                .collect(),
        )
    }

    /// Whether labels, looked up by key, fulfil all requirements.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing && self.requirements.iter().all(|r| r.matches(label(&r.key)))
    }

    /// As `matches`, over the labels of an object (`metadata.labels`).
    pub fn matches_object(&self, object: &Value) -> bool {
        let labels = object.at(&["metadata", "labels"]);
        self.matches(|key| labels?.get(key)?.as_str())
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// The value that `key` must have, when one requirement says so.
    pub fn exact_value(&self, key: &str) -> Option<&str> {
        let exact = |r: &&Requirement| {
            r.key == key
                && r.values.len() == 1
                && matches!(r.operator, Operator::In | Operator::Equals | Operator::DoubleEquals)
        };
        self.requirements.iter().find(exact)?.values.first().map(String::as_str)
    }
}

/// Validates a metav1.LabelSelector in an object, as upstream's `ValidateLabelSelector`.
pub fn validate_label_selector(selector: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(labels) = selector.get("matchLabels") {
        errors.extend(crate::meta::validate_labels(labels, &path.child("matchLabels")));
    }
    for (i, expression) in selector.array_at(&["matchExpressions"]).iter().enumerate() {
        let path = path.child("matchExpressions").index(i);
        let values = expression.array_at(&["values"]);
        match expression.str_at(&["operator"]).unwrap_or_default() {
            "In" | "NotIn" if values.is_empty() => errors.push(FieldError::required(
                &path.child("values"),
                "must be specified when `operator` is 'In' or 'NotIn'",
            )),
            "Exists" | "DoesNotExist" if !values.is_empty() => errors.push(FieldError::forbidden(
                &path.child("values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            )),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                errors.push(FieldError::invalid(
                    &path.child("operator"),
                    other,
                    "not a valid selector operator",
                ));
            }
        }
        let key = expression.str_at(&["key"]).unwrap_or_default();
        for problem in names::qualified_name(key) {
            errors.push(FieldError::invalid(&path.child("key"), key, &problem));
        }
        for (i, value) in values.iter().enumerate() {
            for problem in names::label_value(value.as_str().unwrap_or_default()) {
                errors.push(FieldError::invalid(&path.child("values").index(i), value.clone(), &problem));
            }
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        assert_eq!(Selector::parse(text).unwrap_err().to_string(), expected, "{text}");
    }

    #[test]
    fn parse_errors_are_upstreams() {
        for (text, expected) in [
            ("a===", "unable to parse requirement: found '=', expected: identifier"),
            ("a in", "unable to parse requirement: found '' expected: '('"),
            ("!", "unable to parse requirement: found '', expected: identifier"),
            (
                "a>",
                "unable to parse requirement: values[0]: Invalid value: \"\": for 'Gt', 'Lt' operators, the value must be an integer",
            ),
            (",", "found ',', expected: !, identifier, or 'end of string'"),
            ("a=b,", "found '', expected: identifier after ','"),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("a in (=)", "unable to parse requirement: found '=', expected: ',', ')' or identifier"),
        ] {
            check_error(text, expected);
        }
        let error = Selector::parse("a=-").unwrap_err().to_string();
        assert!(
            error.starts_with(
                "unable to parse requirement: values[0][a]: Invalid value: \"-\": a valid label"
            ),
            "{error}"
        );
        let error = Selector::parse("-=a").unwrap_err().to_string();
        assert!(
            error.starts_with("unable to parse requirement: <nil>: Invalid value: \"-\": name part"),
            "{error}"
        );
    }

    #[track_caller]
    fn check(text: &str, labels: &[(&str, &str)], expected: bool) {
        let selector = Selector::parse(text).unwrap();
        let lookup = |key: &str| labels.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
        assert_eq!(selector.matches(lookup), expected, "{text} on {labels:?}");
        assert_eq!(Selector::parse(&selector.to_string()).unwrap(), selector, "{text}");
    }

    #[test]
    fn matches_as_upstream() {
        let labels = &[("a", "1"), ("in", "x"), ("e", "")];
        for (text, expected) in [
            ("", true),
            ("a", true),
            ("!a", false),
            ("a=1", true),
            ("a==2", false),
            ("a!=1", false),
            ("z!=1", true),
            ("a in (1,2)", true),
            ("a notin (1)", false),
            ("z notin (1)", true),
            ("a>0", true),
            ("a<1", false),
            ("in=x", true),
            ("in in (x)", true),
            ("e=", true),
            ("a notin ()", true),
            ("e in (,1)", true),
            (" a = 1 , ! z ", true),
            ("a>0,in!=y", true),
        ] {
            check(text, labels, expected);
        }
    }

    #[test]
    fn structured_selectors() {
        let json = br#"{"matchLabels":{"b":"1"},"matchExpressions":[{"key":"a","operator":"NotIn","values":["y","x"]}]}"#;
        let selector = Value::from_json(json).unwrap();
        assert_eq!(Selector::from_label_selector(Some(&selector)).unwrap().to_string(), "a notin (x,y),b=1");
        assert!(!Selector::from_label_selector(None).unwrap().matches(|_| None));
        assert!(Selector::from_label_selector(Some(&Value::object())).unwrap().matches(|_| None));
        let bad = Value::from_json(
            br#"{"matchExpressions":[{"key":"a","operator":"Zap"},{"key":"b","operator":"In"}]}"#,
        )
        .unwrap();
        let errors = validate_label_selector(&bad, &Path::new("spec").child("selector"));
        assert_eq!(
            aggregate(&errors),
            "[spec.selector.matchExpressions[0].operator: Invalid value: \"Zap\": not a valid selector operator, \
             spec.selector.matchExpressions[1].values: Required value: must be specified when `operator` is 'In' or 'NotIn']"
        );
    }
}
