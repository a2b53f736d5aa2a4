//! The three patches that a PATCH request may carry besides apply: JSON patch, JSON merge patch and strategic merge
//! patch. Each changes a `Value`; reading the result as a kind, and refusing it, is up to the caller.

pub mod json;
pub mod merge;
pub mod strategic;

use crate::Status;

/// Why a patch cannot be read or does not apply, by how upstream answers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// 400 with this text.
    #[error("{0}")]
    BadRequest(String),
    /// 422; the client gets only a general text, this one is for the log.
    #[error("{0}")]
    Unprocessable(String),
    /// 413 with this text.
    #[error("{0}")]
    TooLarge(String),
    /// 500 with this text and no reason, as upstream answers where it returns a plain error.
    #[error("{0}")]
    Plain(String),
}

impl From<PatchError> for Status {
    fn from(error: PatchError) -> Self {
        match error {
            PatchError::BadRequest(text) => Status::bad_request(text),
            PatchError::Unprocessable(text) => Status::generic_server_response(422, "", "", "", "", &text),
            PatchError::TooLarge(text) => Status::too_large(&text),
            PatchError::Plain(text) => Status::plain_error(text),
        }
    }
}

/// "error decoding patch: ...", for a body that is not what it should be.
fn decoding(text: impl std::fmt::Display) -> PatchError {
    PatchError::BadRequest(format!("error decoding patch: {text}"))
}
