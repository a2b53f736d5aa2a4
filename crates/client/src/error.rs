//! What can go wrong with a request.

use apimachinery::Status;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server's own answer.
    #[error("{0}")]
    Api(Box<Status>),
    /// No answer: for a write, whether it happened is not known.
    #[error("no answer from the API server: {0}")]
    Transport(String),
    #[error("the API server's answer could not be decoded: {0}")]
    Decode(String),
    #[error("the request could not be built: {0}")]
    Request(String),
    /// The leader's lease is no longer sure to be held: nothing was sent.
    #[error("not the leader any more")]
    NotLeader,
}

impl Error {
    /// The error of an answer with a status other than 2xx: its `Status` body, or one made of what it says.
    pub(crate) fn from_answer(code: u16, body: &[u8]) -> Self {
        let mut status = match serde_json::from_slice::<Status>(body) {
            Ok(status) if status.status == "Failure" || status.code != 0 => status,
            _ => Status::new(code, reason(code), String::from_utf8_lossy(body).trim().to_owned()),
        };
        if status.code == 0 {
            status.code = code;
        }
        Self::Api(Box::new(status))
    }
    /// The HTTP status code of the server's answer.
    pub fn code(&self) -> Option<u16> {
        self.status().map(|s| s.code)
    }
    /// The server is there but can't serve now: worth another try, later.
    pub fn is_too_many_requests(&self) -> bool {
        self.is("TooManyRequests")
    }
    /// Of a write: it may have happened. There was no answer, or one that does not know.
    pub fn is_uncertain(&self) -> bool {
        match self {
            Self::Api(status) => status.code >= 500,
            Self::Transport(_) | Self::Decode(_) => true,
            Self::Request(_) | Self::NotLeader => false,
        }
    }
    pub fn is_invalid(&self) -> bool {
        self.is("Invalid")
    }
    pub fn is_forbidden(&self) -> bool {
        self.is("Forbidden")
    }
    /// A create that the server refused because its namespace is going away.
    pub fn is_namespace_terminating(&self) -> bool {
        self.is_forbidden()
            && self
                .status()
                .and_then(|s| s.details.as_ref())
                .is_some_and(|d| d.causes.iter().any(|c| c.reason == "NamespaceTerminating"))
    }
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Api(status) => Some(status),
            _ => None,
        }
    }
    fn is(&self, reason: &str) -> bool {
        self.status().is_some_and(|s| s.reason == reason)
    }
    pub fn is_not_found(&self) -> bool {
        self.is("NotFound")
    }
    pub fn is_already_exists(&self) -> bool {
        self.is("AlreadyExists")
    }
    pub fn is_conflict(&self) -> bool {
        self.is("Conflict")
    }
    pub fn is_gone(&self) -> bool {
        self.is("Gone") || self.is("Expired")
    }
}

/// The reason that upstream gives to a status code without a `Status` body.
fn reason(code: u16) -> &'static str {
    match code {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        405 => "MethodNotAllowed",
        406 => "NotAcceptable",
        409 => "Conflict",
        410 => "Gone",
        415 => "UnsupportedMediaType",
        422 => "Invalid",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "",
    }
}
