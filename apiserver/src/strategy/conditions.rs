//! Conditions of the common form: each type once, with a time and a reason that can be read by a program.

use apimachinery::{FieldError, Path, Value, names};

use super::check::{Errors, one_of, problems};
use crate::values::text;

const REASON_MAX: usize = 1024;
const MESSAGE_MAX: usize = 32 * 1024;

pub(crate) fn validate(errors: &mut Errors, conditions: &[Value], path: &Path) {
    for (at, condition) in conditions.iter().enumerate() {
        let path = path.index(at);
        let kind = text(condition, &["type"]);
        if conditions[..at].iter().any(|c| text(c, &["type"]) == kind) {
            errors.push(FieldError::duplicate(&path.child("type"), kind));
        }
        problems(errors, &path.child("type"), kind, names::qualified_name(kind));
        one_of(errors, condition, &path, "status", &["False", "True", "Unknown"]);
        if let Some(generation) = condition.i64_at(&["observedGeneration"]).filter(|g| *g < 0) {
            let why = "must be greater than or equal to zero";
            errors.push(FieldError::invalid(&path.child("observedGeneration"), generation, why));
        }
        if text(condition, &["lastTransitionTime"]).is_empty() {
            errors.push(FieldError::required(&path.child("lastTransitionTime"), "must be set"));
        }
        let reason = text(condition, &["reason"]);
        if reason.is_empty() {
            errors.push(FieldError::required(&path.child("reason"), "must be set"));
        } else {
            problems(errors, &path.child("reason"), reason, reason_problems(reason));
        }
        for (key, max) in [("reason", REASON_MAX), ("message", MESSAGE_MAX)] {
            if text(condition, &[key]).len() > max {
                errors.push(FieldError::too_long(&path.child(key), max));
            }
        }
    }
}

fn reason_problems(reason: &str) -> names::Problems {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let fits = reason.starts_with(|c: char| c.is_ascii_alphabetic())
        && reason.bytes().all(|b| word(b) || b == b',' || b == b':')
        && reason.bytes().last().is_some_and(word);
    if fits {
        return names::Problems::new();
    }
    vec![names::regex_message(
        "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric \
         characters or '_,:', and must end with an alphanumeric character or '_'",
        "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?",
        &["my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB"],
    )]
}
