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
