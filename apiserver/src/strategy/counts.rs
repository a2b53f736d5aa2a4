//! What the status of something that keeps pods may count: nothing below zero, no part greater than the whole, and no
//! collision forgotten.

use apimachinery::{FieldError, Path, Value};

use super::check::{Errors, not_negative};

/// The counts of a kind.
#[derive(Debug)]
pub(crate) struct Counts {
    /// Fields that are not below zero, in upstream's order.
    pub(crate) all: &'static [&'static str],
    /// Those that are parts of `replicas`.
    pub(crate) parts: &'static [&'static str],
    /// How upstream says that no more are available than are ready; empty where it does not.
    pub(crate) more_than_ready: &'static str,
}

/// The problems of a new status.
pub(crate) fn validate(object: &Value, old: &Value, counts: &Counts) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("status");
    let empty = Value::object();
    let status = object.get("status").unwrap_or(&empty);
    for field in counts.all {
        not_negative(&mut errors, status, &path, field);
    }
    let number = |field: &str| status.i64_at(&[field]).unwrap_or(0);
    let mut within = |field: &str, whole: &str, why: &str| {
        if number(field) > number(whole) {
            errors.push(FieldError::invalid(&path.child(field), number(field), why));
        }
    };
    for part in counts.parts {
        within(part, "replicas", "cannot be greater than status.replicas");
    }
    if !counts.more_than_ready.is_empty() {
        within("availableReplicas", "readyReplicas", counts.more_than_ready);
    }
    let collisions = |object: &Value| object.i64_at(&["status", "collisionCount"]);
    if let Some(before) = collisions(old)
        && collisions(object).is_none_or(|now| now < before)
    {
        let now = collisions(object).unwrap_or(0);
        errors.push(FieldError::invalid(&path.child("collisionCount"), now, "cannot be decremented"));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::testing::yaml;

    const COUNTS: Counts = Counts {
        all: &["replicas", "readyReplicas", "availableReplicas"],
        parts: &["readyReplicas", "availableReplicas"],
        more_than_ready: "cannot be greater than readyReplicas",
    };

    #[track_caller]
    fn check(old: &str, new: &str, expected: &[&str]) {
        let found: Vec<String> =
            validate(&yaml(new), &yaml(old), &COUNTS).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn parts_are_not_greater_than_the_whole() {
        check("{}", "status: {replicas: 3, readyReplicas: 2, availableReplicas: 1}", &[]);
        check(
            "{}",
            "status: {replicas: -1}",
            &[
                "status.replicas: Invalid value: -1: must be greater than or equal to 0",
                "status.readyReplicas: Invalid value: 0: cannot be greater than status.replicas",
                "status.availableReplicas: Invalid value: 0: cannot be greater than status.replicas",
            ],
        );
        check(
            "{}",
            "status: {replicas: 3, readyReplicas: 1, availableReplicas: 2}",
            &["status.availableReplicas: Invalid value: 2: cannot be greater than readyReplicas"],
        );
        check(
            "{}",
            "status: {replicas: 1, readyReplicas: 2, availableReplicas: 2}",
            &[
                "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas",
                "status.availableReplicas: Invalid value: 2: cannot be greater than status.replicas",
            ],
        );
    }

    #[test]
    fn collisions_are_not_forgotten() {
        check("status: {collisionCount: 1}", "status: {collisionCount: 2}", &[]);
        let why = "status.collisionCount: Invalid value: 0: cannot be decremented";
        check("status: {collisionCount: 1}", "status: {}", &[why]);
        check("status: {collisionCount: 1}", "status: {collisionCount: 0}", &[why]);
    }
}
