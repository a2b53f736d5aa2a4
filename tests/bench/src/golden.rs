//! Replays recordings of a real server against ours, in process, and counts which answers differ.
//!
//! The recordings' formats are described beside them. What a server makes up (uids, times, revisions, addresses,
//! suffixes) stands in them as a placeholder and matches anything of its kind.

mod between;
pub mod compare;
pub mod files;
pub mod scenario;
pub mod server;

/// How one recorded answer fared.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub name: String,
    /// Empty: it matched.
    pub differences: Vec<String>,
}

impl Verdict {
    pub fn matched(&self) -> bool {
        self.differences.is_empty()
    }
}
