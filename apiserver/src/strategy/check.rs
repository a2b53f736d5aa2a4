//! What validators of all kinds share: small checks that add problems in upstream's words to a list.

use apimachinery::names::{self, Problems};
use apimachinery::{FieldError, Path, Quantity, Value};

use crate::values::text;

/// The problems found so far, in upstream's order.
pub(crate) type Errors = Vec<FieldError>;

pub(crate) const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
pub(crate) const IMMUTABLE: &str = "field is immutable";
pub(crate) const BACKSTEP: &str = "must not contain '..'";

/// Every text problem of a value.
pub(crate) fn problems(errors: &mut Errors, path: &Path, value: &str, found: Problems) {
    errors.extend(found.iter().map(|why| FieldError::invalid(path, value, why)));
}

/// A member that must not be empty; what it says.
pub(crate) fn required<'a>(errors: &mut Errors, value: &'a Value, path: &Path, key: &str) -> &'a str {
    let found = text(value, &[key]);
    if found.is_empty() {
        errors.push(FieldError::required(&path.child(key), ""));
    }
    found
}

/// A member that must be there and follow a rule.
pub(crate) fn required_name(
    errors: &mut Errors,
    value: &Value,
    path: &Path,
    key: &str,
    rule: fn(&str) -> Problems,
) {
    let found = required(errors, value, path, key);
    if !found.is_empty() {
        problems(errors, &path.child(key), found, rule(found));
    }
}

/// A member that may be absent, and otherwise follows a rule.
pub(crate) fn optional_name(
    errors: &mut Errors,
    value: &Value,
    path: &Path,
    key: &str,
    rule: fn(&str) -> Problems,
) {
    let found = text(value, &[key]);
    if !found.is_empty() {
        problems(errors, &path.child(key), found, rule(found));
    }
}

/// A number that must not be negative, when it is there.
pub(crate) fn not_negative(errors: &mut Errors, value: &Value, path: &Path, key: &str) {
    if let Some(number) = value.i64_at(&[key])
        && number < 0
    {
        errors.push(FieldError::invalid(&path.child(key), number, NOT_NEGATIVE));
    }
}

/// A member of a closed set; empty is no member unless the set says so.
pub(crate) fn one_of(errors: &mut Errors, value: &Value, path: &Path, key: &str, supported: &[&str]) {
    let found = text(value, &[key]);
    if !supported.contains(&found) {
        errors.push(FieldError::not_supported(&path.child(key), found, supported));
    }
}

/// As [`one_of`], when the member is there.
pub(crate) fn optional_one_of(
    errors: &mut Errors,
    value: &Value,
    path: &Path,
    key: &str,
    supported: &[&str],
) {
    if !text(value, &[key]).is_empty() {
        one_of(errors, value, path, key, supported);
    }
}

/// A port number.
pub(crate) fn port(errors: &mut Errors, path: &Path, number: i64) {
    errors.extend(names::port_number(number).iter().map(|why| FieldError::invalid(path, number, why)));
}

/// A port by number or name; what is neither counts as number 0.
pub(crate) fn port_or_name(errors: &mut Errors, path: &Path, value: Option<&Value>) {
    match value.and_then(Value::as_str) {
        Some(name) => problems(errors, path, name, names::port_name(name)),
        None => port(errors, path, value.and_then(Value::as_i64).unwrap_or(0)),
    }
}

/// A field that no update changes.
pub(crate) fn immutable(errors: &mut Errors, new: &Value, old: &Value, at: &[&str], path: &Path) {
    let (now, before) = (new.at(at), old.at(at));
    if !same(now, before) {
        errors.push(FieldError::invalid(path, now.cloned().unwrap_or_default(), IMMUTABLE));
    }
}

/// Equality in which absent, null and empty are one, as in Go's semantic equality.
pub(crate) fn same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a.filter(|v| !is_empty(v)), b.filter(|v| !is_empty(v))) {
        (Some(a), Some(b)) => {
            if let (Some(x), Some(y)) = (a.as_object(), b.as_object()) {
                x.keys().chain(y.keys()).all(|k| same(x.get(k), y.get(k)))
            } else if let (Some(x), Some(y)) = (a.as_array(), b.as_array()) {
                x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(Some(x), Some(y)) || x == y)
            } else {
                a == b
            }
        }
        (None, None) => true,
        _ => false,
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null()
        || value.as_str() == Some("")
        || value.as_array().is_some_and(<[Value]>::is_empty)
        || value.as_object().is_some_and(apimachinery::Object::is_empty)
}

/// A path without `..` between its slashes.
pub(crate) fn has_backstep(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

/// A path inside a volume.
pub(crate) fn local_path(errors: &mut Errors, path: &Path, value: &str) {
    if value.starts_with('/') {
        errors.push(FieldError::invalid(path, value, "must be a relative path"));
    }
    if has_backstep(value) {
        errors.push(FieldError::invalid(path, value, BACKSTEP));
    }
}

/// A path inside a volume that is not hidden from updates (`..data`).
pub(crate) fn local_visible_path(errors: &mut Errors, path: &Path, value: &str) {
    local_path(errors, path, value);
    if value.starts_with("..") && !value.starts_with("../") {
        errors.push(FieldError::invalid(path, value, "must not start with '..'"));
    }
}

pub(crate) fn file_mode(errors: &mut Errors, value: &Value, path: &Path, key: &str) {
    if let Some(mode) = value.i64_at(&[key])
        && !(0..=0o777).contains(&mode)
    {
        let why = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.push(FieldError::invalid(&path.child(key), mode, why));
    }
}

/// An address. What stood there before may stay in a form that a new one may not have.
pub(crate) fn ip(errors: &mut Errors, path: &Path, text: &str, before: &[String]) {
    let known = before.iter().any(|b| b == text);
    problems(errors, path, text, if known { names::ip(text) } else { names::strict_ip(text) });
}

/// A network, with the same leniency.
pub(crate) fn cidr(errors: &mut Errors, path: &Path, text: &str, before: &[String]) {
    let known = before.iter().any(|b| b == text);
    problems(errors, path, text, if known { names::cidr(text) } else { names::strict_cidr(text) });
}

/// The quantity at a place, when it is there and can be read.
pub(crate) fn quantity(value: Option<&Value>) -> Option<Quantity> {
    Quantity::from_value(value?).ok()
}

/// A sorted list of an object's members.
pub(crate) fn members(value: Option<&Value>) -> Vec<(&str, &Value)> {
    value.and_then(Value::as_object).map(apimachinery::Object::sorted).unwrap_or_default()
}

/// `25%` or a number that is not negative.
pub(crate) fn count_or_percent(errors: &mut Errors, value: &Value, path: &Path) {
    match (value.as_str(), value.as_i64()) {
        (Some(text), _) => problems(errors, path, text, names::percent(text)),
        (_, Some(number)) if number < 0 => errors.push(FieldError::invalid(path, number, NOT_NEGATIVE)),
        _ => {}
    }
}

/// A percentage of at most 100, when it is one.
pub(crate) fn at_most_all(errors: &mut Errors, value: &Value, path: &Path) {
    if let Some(text) = value.as_str()
        && let Some(Ok(percent)) = text.strip_suffix('%').map(str::parse::<i64>)
        && percent > 100
    {
        errors.push(FieldError::invalid(path, text, "must not be greater than 100%"));
    }
}

/// The number of a count or percentage, 0 when it is neither.
pub(crate) fn count_or_percent_number(value: Option<&Value>) -> i64 {
    let Some(value) = value else { return 0 };
    value.as_i64().or_else(|| value.as_str().and_then(|t| t.trim_end_matches('%').parse().ok())).unwrap_or(0)
}
