//! `metav1.Status`: the one form in which an API error leaves the server, with upstream's reasons, codes and wording.

mod field;

use serde::{Deserialize, Serialize};

use crate::Value;

pub use field::{FieldError, FieldErrorReason, Path, aggregate};

/// metav1.Status.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, thiserror::Error)]
#[error("{message}")]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// ListMeta: carries a fresh `continue` token when an old one expired.
    #[serde(default)]
    pub metadata: StatusMetadata,
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub message: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<StatusDetails>,
    #[serde(default)]
    pub code: u16,
}

/// What of metav1.ListMeta a Status uses.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StatusMetadata {
    #[serde(default, rename = "continue", skip_serializing_if = "String::is_empty")]
    pub continue_token: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining_item_count: Option<i64>,
}

/// metav1.StatusDetails.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StatusDetails {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<StatusCause>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retry_after_seconds: i32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(n: &i32) -> bool {
    *n == 0
}

/// metav1.StatusCause.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct StatusCause {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// `resource.group`, or the resource alone in the core group; kinds are written alike.
pub fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

fn details(group: &str, kind: &str, name: &str) -> StatusDetails {
    StatusDetails { name: name.into(), group: group.into(), kind: kind.into(), ..StatusDetails::default() }
}

impl Status {
    /// A failure without details.
    pub fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Self {
            status: "Failure".into(),
            message: message.into(),
            reason: reason.into(),
            code,
            ..Self::default()
        }
    }

    #[must_use]
    pub fn with_details(mut self, details: StatusDetails) -> Self {
        self.details = Some(details);
        self
    }

    /// Adds a cause, making details when there are none.
    #[must_use]
    pub fn with_cause(mut self, reason: &str, message: impl Into<String>, field: &str) -> Self {
        self.details.get_or_insert_default().causes.push(StatusCause {
            reason: reason.into(),
            message: message.into(),
            field: field.into(),
        });
        self
    }

    /// `{"kind":"Status","apiVersion":"v1","metadata":{},"status":...}`, as it goes over the wire.
    pub fn to_value(&self) -> Value {
        let mut value: Value = [("kind", "Status"), ("apiVersion", "v1")].into_iter().collect();
        let own = crate::to_value(self).expect("a Status has only string keys");
        let object = value.as_object_mut().expect("collected as an object");
        for (key, member) in own.into_object().expect("a struct becomes an object") {
            let empty = member.as_str() == Some("") || member.as_i64() == Some(0);
            if !empty {
                object.insert_owned(key, member);
            }
        }
        value
    }

    /// A success, as deletes without an object answer: details name what was deleted.
    pub fn success(group: &str, resource: &str, name: &str, uid: &str) -> Self {
        let details = StatusDetails { uid: uid.into(), ..details(group, resource, name) };
        Self { status: "Success".into(), details: Some(details), ..Self::default() }
    }

    pub fn is(&self, reason: &str) -> bool {
        self.reason == reason
    }
    pub fn is_not_found(&self) -> bool {
        self.is("NotFound")
    }
    pub fn is_conflict(&self) -> bool {
        self.is("Conflict")
    }
    pub fn is_already_exists(&self) -> bool {
        self.is("AlreadyExists")
    }
    /// A list position that compaction took away: 410 with either of upstream's two reasons.
    pub fn is_expired(&self) -> bool {
        self.is("Expired") || self.is("Gone")
    }

    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {} not found", qualified(group, resource), crate::go::quote(name));
        Self::new(404, "NotFound", message).with_details(details(group, resource, name))
    }

    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        let message = format!("{} {} already exists", qualified(group, resource), crate::go::quote(name));
        Self::new(409, "AlreadyExists", message).with_details(details(group, resource, name))
    }

    /// No free name was found for `metadata.generateName`; the client should try again.
    pub fn generate_name_conflict(group: &str, resource: &str, name: &str, retry_after_seconds: i32) -> Self {
        let message = format!(
            "{} {} already exists, the server was not able to generate a unique name for the object",
            qualified(group, resource),
            crate::go::quote(name)
        );
        let details = StatusDetails { retry_after_seconds, ..details(group, resource, name) };
        Self::new(409, "AlreadyExists", message).with_details(details)
    }

    /// `reason` is the text after "Operation cannot be fulfilled on ...: ".
    pub fn conflict(group: &str, resource: &str, name: &str, reason: &str) -> Self {
        let subject = format!("{} {}", qualified(group, resource), crate::go::quote(name));
        Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {subject}: {reason}"))
            .with_details(details(group, resource, name))
    }

    /// The conflict of a stale resourceVersion.
    pub fn modified(group: &str, resource: &str, name: &str) -> Self {
        let reason =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(group, resource, name, reason)
    }

    pub fn forbidden(group: &str, resource: &str, name: &str, reason: &str) -> Self {
        let message = match (resource, name) {
            ("", _) => format!("forbidden: {reason}"),
            (_, "") => format!("{} is forbidden: {reason}", qualified(group, resource)),
            _ => format!("{} {} is forbidden: {reason}", qualified(group, resource), crate::go::quote(name)),
        };
        Self::new(403, "Forbidden", message).with_details(details(group, resource, name))
    }

    pub fn unauthorized(message: &str) -> Self {
        let message = if message.is_empty() { "not authorized" } else { message };
        Self::new(401, "Unauthorized", message)
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// All problems of an object at once; `kind` is the Go kind (`Deployment`), not the resource.
    pub fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let subject = format!("{} {} is invalid", qualified(group, kind), crate::go::quote(name));
        let message = if errors.is_empty() { subject } else { format!("{subject}: {}", aggregate(errors)) };
        let causes = errors.iter().map(FieldError::cause).collect();
        let details = StatusDetails { causes, ..details(group, kind, name) };
        Self::new(422, "Invalid", message).with_details(details)
    }

    /// `verb` such as "create" on a resource that has no such verb.
    pub fn method_not_supported(group: &str, resource: &str, verb: &str) -> Self {
        let subject = crate::go::quote(&qualified(group, resource));
        Self::new(405, "MethodNotAllowed", format!("{verb} is not supported on resources of kind {subject}"))
            .with_details(details(group, resource, ""))
    }

    pub fn not_acceptable(message: impl Into<String>) -> Self {
        Self::new(406, "NotAcceptable", message)
    }

    /// None of the accepted media types fits.
    pub fn not_acceptable_types(accepted: &[&str]) -> Self {
        let accepted = accepted.join(", ");
        Self::not_acceptable(format!("only the following media types are accepted: {accepted}"))
    }

    /// The body's media type is not one of `accepted`.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let accepted = accepted.join(", ");
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted}"
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// The history that the request needs was compacted.
    pub fn resource_expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    pub fn gone(message: impl Into<String>) -> Self {
        Self::new(410, "Gone", message)
    }

    /// `message` follows "Request entity too large: ".
    pub fn too_large(message: &str) -> Self {
        Self::new(413, "RequestEntityTooLarge", format!("Request entity too large: {message}"))
    }

    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: i32) -> Self {
        Self::new(429, "TooManyRequests", message)
            .with_details(StatusDetails { retry_after_seconds, ..StatusDetails::default() })
    }

    /// The server gave up; whether the operation took place is not known. `message` follows "Timeout: ".
    pub fn timeout(message: &str, retry_after_seconds: i32) -> Self {
        Self::new(504, "Timeout", format!("Timeout: {message}"))
            .with_details(StatusDetails { retry_after_seconds, ..StatusDetails::default() })
    }

    /// The client asks for a revision that this server has not reached.
    pub fn too_large_resource_version(asked: u64, current: u64, retry_after_seconds: i32) -> Self {
        let message = format!("Too large resource version: {asked}, current: {current}");
        Self::timeout(&message, retry_after_seconds).with_cause(
            "ResourceVersionTooLarge",
            "Too large resource version",
            "",
        )
    }

    /// The operation could not be tried now and may be repeated at once (code 500, as upstream).
    pub fn server_timeout(group: &str, resource: &str, verb: &str, retry_after_seconds: i32) -> Self {
        let message = format!(
            "The {verb} operation against {} could not be completed at this time, please try again.",
            qualified(group, resource)
        );
        let details = StatusDetails { retry_after_seconds, ..details(group, resource, "") };
        Self::new(500, "ServerTimeout", message).with_details(details)
    }

    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message)
    }

    /// `NewInternalError`.
    pub fn internal(error: impl std::fmt::Display) -> Self {
        Self::new(500, "InternalError", format!("Internal error occurred: {error}")).with_cause(
            "",
            error.to_string(),
            "",
        )
    }

    /// An error that is no Status, as upstream's `ErrorToAPIStatus` shows it: 500 without a reason.
    pub fn plain_error(error: impl std::fmt::Display) -> Self {
        Self::new(500, "", error.to_string())
    }

    /// What `NewGenericServerResponse` makes of a bare code.
    pub fn generic_server_response(
        code: u16,
        verb: &str,
        group: &str,
        resource: &str,
        name: &str,
        server_message: &str,
    ) -> Self {
        let (reason, message) = generic(code, verb, server_message);
        let subject = qualified(group, resource);
        let message = match (resource, name) {
            ("", _) => message,
            (_, "") => format!("{message} ({} {subject})", verb.to_lowercase()),
            _ => format!("{message} ({} {subject} {name})", verb.to_lowercase()),
        };
        Self::new(code, reason, message).with_details(details(group, resource, name))
    }
}

fn generic(code: u16, verb: &str, server_message: &str) -> (&'static str, String) {
    let (reason, message) = match code {
        409 if verb == "POST" => ("AlreadyExists", "the server reported a conflict"),
        409 => ("Conflict", "the server reported a conflict"),
        404 => ("NotFound", "the server could not find the requested resource"),
        400 => ("BadRequest", "the server rejected our request for an unknown reason"),
        401 => ("Unauthorized", "the server has asked for the client to provide credentials"),
        403 => ("Forbidden", server_message),
        405 => ("MethodNotAllowed", "the server does not allow this method on the requested resource"),
        406 if server_message.is_empty() || server_message == "unknown" => {
            ("NotAcceptable", "the server was unable to respond with a content type that the client supports")
        }
        406 => ("NotAcceptable", server_message),
        415 => ("UnsupportedMediaType", server_message),
        422 => ("Invalid", "the server rejected our request due to an error in our request"),
        429 => (
            "TooManyRequests",
            "the server has received too many requests and has asked us to try again later",
        ),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => (
            "Timeout",
            "the server was unable to return a response in the time allotted, but may still be processing the request",
        ),
        500.. => {
            let quoted = crate::go::quote(server_message);
            return (
                "InternalError",
                format!("an error on the server ({quoted}) has prevented the request from succeeding"),
            );
        }
        _ => {
            let message = format!(
                "the server responded with the status code {code} but did not return more information"
            );
            return ("", message);
        }
    };
    (reason, message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[track_caller]
    fn check(status: Status, expected: Expect) {
        expected.assert_eq(&status.to_value().to_json_string());
    }

    #[test]
    fn statuses_look_as_upstream() {
        check(
            Status::not_found("apps", "deployments", "nope"),
            expect![[
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"deployments.apps \"nope\" not found","reason":"NotFound","details":{"name":"nope","group":"apps","kind":"deployments"},"code":404}"#
            ]],
        );
        check(
            Status::generic_server_response(405, "PUT", "", "", "", ""),
            expect![[
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the server does not allow this method on the requested resource","reason":"MethodNotAllowed","details":{},"code":405}"#
            ]],
        );
        check(
            Status::plain_error("x"),
            expect![[
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"x","code":500}"#
            ]],
        );
        check(
            Status::too_large_resource_version(9, 3, 1),
            expect![[
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Timeout: Too large resource version: 9, current: 3","reason":"Timeout","details":{"causes":[{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}],"retryAfterSeconds":1},"code":504}"#
            ]],
        );
        check(
            Status::success("", "configmaps", "x", "u"),
            expect![[
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","details":{"name":"x","kind":"configmaps","uid":"u"}}"#
            ]],
        );
    }

    #[test]
    fn a_status_reads_back() {
        let status = Status::modified("apps", "deployments", "x");
        assert_eq!(crate::from_value::<Status>(&status.to_value()).unwrap(), status);
    }

    #[test]
    fn invalid_lists_every_problem_and_joins_them_once() {
        let path = Path::new("spec").child("containers").index(0).child("name");
        let errors = [
            FieldError::required(&path, ""),
            FieldError::required(&path, ""),
            FieldError::invalid(
                &Path::new("spec").child("replicas"),
                -1,
                "must be greater than or equal to 0",
            ),
        ];
        let status = Status::invalid("apps", "Deployment", "x", &errors);
        assert_eq!(
            status.message,
            "Deployment.apps \"x\" is invalid: [spec.containers[0].name: Required value, \
             spec.replicas: Invalid value: -1: must be greater than or equal to 0]"
        );
        assert_eq!(status.details.unwrap().causes.len(), 3);
    }
}
