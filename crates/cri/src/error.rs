//! What a runtime can answer instead of doing what it was asked.

/// Shorthand for this crate's results.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed call. Its text is the one that users find in events, so it reads as upstream's does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("rpc error: code = NotFound desc = {0}")]
    NotFound(String),
    /// Any other refusal, with the name of its gRPC code.
    #[error("rpc error: code = {code} desc = {message}")]
    Refused { code: String, message: String },
    /// No answer in time, or no connection: the call may have had its effect.
    #[error("rpc error: code = {code} desc = {message}")]
    Unknown { code: String, message: String },
    /// A helper program failed.
    #[error("{0}")]
    Helper(String),
}

impl Error {
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }

    /// The text without the gRPC code before it.
    pub fn message(&self) -> &str {
        match self {
            Self::NotFound(m) | Self::Helper(m) => m,
            Self::Refused { message, .. } | Self::Unknown { message, .. } => message,
        }
    }
}

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Self {
        use tonic::Code;
        let message = status.message().to_owned();
        match status.code() {
            Code::NotFound => Self::NotFound(message),
            code @ (Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled) => {
                // Go spells one of them differently.
                let code = if code == Code::Cancelled { "Canceled".to_owned() } else { format!("{code:?}") };
                Self::Unknown { code, message }
            }
            code => Self::Refused { code: format!("{code:?}"), message },
        }
    }
}
