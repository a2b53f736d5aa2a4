//! Problems of single fields, and the paths that name them, as upstream's `field` package words them.

use std::fmt;

use compact_str::ToCompactString as _;

use super::StatusCause;
use crate::{Value, go};

/// One problem that a validator found, as `field.Error` of upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    pub reason: FieldErrorReason,
    /// Such as `spec.containers[0].name`.
    pub field: String,
    /// The whole text after `field: `, such as `Invalid value: "x": must be no more than 63 characters`.
    pub message: String,
}

/// `field.ErrorType`, with the reason that a cause shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldErrorReason {
    Required,
    Invalid,
    NotSupported,
    Duplicate,
    Forbidden,
    TooLong,
    TooMany,
    NotFound,
    TypeInvalid,
    Internal,
}

impl FieldErrorReason {
    /// The `reason` of the status cause.
    pub fn cause(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::NotFound => "FieldValueNotFound",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Internal => "InternalError",
        }
    }

    /// How the message begins.
    pub fn title(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Duplicate => "Duplicate value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::NotFound => "Not found",
            Self::Internal => "Internal error",
        }
    }

    fn shows_value(self) -> bool {
        !matches!(self, Self::Required | Self::Forbidden | Self::TooLong | Self::Internal)
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// A value as a message shows it: strings quoted, numbers plain, the rest as JSON.
fn show(value: &Value) -> String {
    match value.as_str() {
        Some(s) => go::quote(s),
        None if value.is_float() => go::display(value),
        None => value.to_json_string(),
    }
}

impl FieldError {
    fn new(reason: FieldErrorReason, path: &Path, value: &Value, detail: &str) -> Self {
        let mut message = reason.title().to_owned();
        if reason.shows_value() {
            message.push_str(": ");
            message.push_str(&show(value));
        }
        if !detail.is_empty() {
            message.push_str(": ");
            message.push_str(detail);
        }
        Self { reason, field: path.to_string(), message }
    }

    /// A missing value; `detail` may be empty.
    pub fn required(path: &Path, detail: &str) -> Self {
        Self::new(FieldErrorReason::Required, path, &Value::NULL, detail)
    }
    pub fn invalid(path: &Path, value: impl Into<Value>, detail: &str) -> Self {
        Self::new(FieldErrorReason::Invalid, path, &value.into(), detail)
    }
    /// An invalid value whose text is not that of a JSON value (Go prints some types by their `String` method).
    pub fn invalid_text(path: &Path, shown: &str, detail: &str) -> Self {
        let message = format!("Invalid value: {shown}: {detail}");
        Self { reason: FieldErrorReason::Invalid, field: path.to_string(), message }
    }
    /// A value of the wrong type (custom resources).
    pub fn type_invalid(path: &Path, value: impl Into<Value>, detail: &str) -> Self {
        Self::new(FieldErrorReason::TypeInvalid, path, &value.into(), detail)
    }
    /// The supported values appear in the order given; upstream sorts some of its lists and not others.
    pub fn not_supported<S: AsRef<str>>(path: &Path, value: impl Into<Value>, supported: &[S]) -> Self {
        let quoted: Vec<_> = supported.iter().map(|s| go::quote(s.as_ref())).collect();
        let detail = if quoted.is_empty() {
            String::new()
        } else {
            format!("supported values: {}", quoted.join(", "))
        };
        Self::new(FieldErrorReason::NotSupported, path, &value.into(), &detail)
    }
    pub fn duplicate(path: &Path, value: impl Into<Value>) -> Self {
        Self::new(FieldErrorReason::Duplicate, path, &value.into(), "")
    }
    pub fn forbidden(path: &Path, detail: &str) -> Self {
        Self::new(FieldErrorReason::Forbidden, path, &Value::NULL, detail)
    }
    /// Over a number of bytes.
    pub fn too_long(path: &Path, max_bytes: usize) -> Self {
        let detail = format!("may not be more than {max_bytes} bytes");
        Self::new(FieldErrorReason::TooLong, path, &Value::NULL, &detail)
    }
    pub fn too_many(path: &Path, actual: usize, max: usize) -> Self {
        let items = if max == 1 { "item" } else { "items" };
        let actual = i64::try_from(actual).unwrap_or(i64::MAX);
        let detail = format!("must have at most {max} {items}");
        Self::new(FieldErrorReason::TooMany, path, &actual.into(), &detail)
    }
    pub fn not_found(path: &Path, value: impl Into<Value>) -> Self {
        Self::new(FieldErrorReason::NotFound, path, &value.into(), "")
    }
    pub fn internal(path: &Path, error: impl fmt::Display) -> Self {
        Self::new(FieldErrorReason::Internal, path, &Value::NULL, &error.to_string())
    }

    /// Adds more detail after a colon.
    #[must_use]
    pub fn with_detail(mut self, detail: &str) -> Self {
        self.message.push_str(": ");
        self.message.push_str(detail);
        self
    }

    /// The problem as a cause in a Status.
    pub fn cause(&self) -> StatusCause {
        StatusCause {
            reason: self.reason.cause().into(),
            message: self.message.clone(),
            field: self.field.clone(),
        }
    }
}

/// Several problems in one text: alone as it is, more in brackets, equal ones once.
pub fn aggregate(errors: &[FieldError]) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for error in errors {
        let text = error.to_string();
        if seen.insert(text.clone()) {
            texts.push(text);
        }
    }
    match texts.as_slice() {
        [single] => single.clone(),
        _ => format!("[{}]", texts.join(", ")),
    }
}

/// A field path that grows downwards: `Path::new("spec").child("containers").index(0)`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Option<String>);

impl Path {
    pub fn new(name: &str) -> Self {
        Self(Some(name.into()))
    }
    /// No path at all, which upstream prints as `<nil>`.
    pub fn nil() -> Self {
        Self(None)
    }
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        match &self.0 {
            Some(_) => self.with(".", name, ""),
            None => Self::new(name),
        }
    }
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with("[", &index.to_compact_string(), "]")
    }
    /// A member of a map: `metadata.annotations[key]`.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with("[", key, "]")
    }
    /// Validators make paths for every field, and nearly all of them for nothing: one allocation each, no formatting.
    fn with(&self, before: &str, name: &str, after: &str) -> Self {
        let path = self.0.as_deref().unwrap_or_default();
        let mut text = String::with_capacity(path.len() + before.len() + name.len() + after.len());
        for part in [path, before, name, after] {
            text.push_str(part);
        }
        Self(Some(text))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("<nil>"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_upstreams() {
        let path = Path::new("metadata").child("annotations").key("a/b");
        let list: Value = vec![Value::from("Bogus")].into();
        for (error, expected) in [
            (FieldError::required(&path, "x"), "metadata.annotations[a/b]: Required value: x"),
            (
                FieldError::invalid(&path, "a\0b", "bad"),
                "metadata.annotations[a/b]: Invalid value: \"a\\x00b\": bad",
            ),
            (
                FieldError::invalid(&path, Value::NULL, "bad"),
                "metadata.annotations[a/b]: Invalid value: null: bad",
            ),
            (
                FieldError::not_supported(&path, list, &["All"]),
                "metadata.annotations[a/b]: Unsupported value: [\"Bogus\"]: supported values: \"All\"",
            ),
            (
                FieldError::too_long(&path, 3),
                "metadata.annotations[a/b]: Too long: may not be more than 3 bytes",
            ),
            (
                FieldError::too_many(&path, 9, 1),
                "metadata.annotations[a/b]: Too many: 9: must have at most 1 item",
            ),
            (FieldError::duplicate(&Path::nil(), "v"), "<nil>: Duplicate value: \"v\""),
        ] {
            assert_eq!(error.to_string(), expected);
        }
    }
}
