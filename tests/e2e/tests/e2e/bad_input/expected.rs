//! The Status objects of refused requests.

use serde_json::{Value, json};

/// What is wrong with a field: the reason without its prefix, the field, the message.
#[derive(Clone, Copy)]
pub(super) struct Cause<'a>(pub(super) &'a str, pub(super) &'a str, pub(super) &'a str);

pub(super) fn status(code: u16, reason: &str, message: &str, details: Option<Value>) -> Value {
    let mut status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "code": code,
    });
    if !reason.is_empty() {
        status["reason"] = reason.into();
    }
    if let Some(details) = details {
        status["details"] = details;
    }
    status
}

pub(super) fn bad_request(message: &str) -> Value {
    status(400, "BadRequest", message, None)
}

/// What validation says of an object: every cause in the message, and each by itself.
pub(super) fn invalid(kind: &str, group: &str, name: &str, causes: &[Cause<'_>]) -> Value {
    let told: Vec<String> =
        causes.iter().map(|Cause(_, field, message)| format!("{field}: {message}")).collect();
    let told = if let [one] = &told[..] { one.clone() } else { format!("[{}]", told.join(", ")) };
    let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
    let mut details = json!({"name": name, "kind": kind});
    if !group.is_empty() {
        details["group"] = group.into();
    }
    let cause = |Cause(reason, field, message): &Cause<'_>| json!({"reason": format!("FieldValue{reason}"), "message": message, "field": field});
    details["causes"] = causes.iter().map(cause).collect();
    status(422, "Invalid", &format!("{qualified} \"{name}\" is invalid: {told}"), Some(details))
}
