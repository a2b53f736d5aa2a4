//! What can go wrong with the node's network.

use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program is not there, or did not end in time.
    #[error("run {tool}: {source}")]
    Start {
        tool: String,
        #[source]
        source: io::Error,
    },
    /// The program ran and refused.
    #[error("{tool} failed with exit code {code:?}: {stderr}")]
    Refused { tool: String, code: Option<i32>, stderr: String },
    #[error("{operation}: {source}")]
    Netlink {
        operation: String,
        #[source]
        source: io::Error,
    },
    #[error("{operation} {}: {source}", path.display())]
    File {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{text:?} is not an address range: {why}")]
    Cidr { text: String, why: &'static str },
}

impl Error {
    /// The program itself is missing, as opposed to having refused.
    pub fn is_missing_tool(&self) -> bool {
        matches!(self, Self::Start { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// The kernel says that the thing is there already.
    pub fn is_already_there(&self) -> bool {
        matches!(self, Self::Netlink { source, .. } if source.kind() == io::ErrorKind::AlreadyExists)
    }

    /// The kernel says that there is no such thing.
    pub fn is_absent(&self) -> bool {
        matches!(
            self,
            Self::Netlink { source, .. }
                if source.kind() == io::ErrorKind::NotFound
                    || matches!(
                        source.raw_os_error(),
                        Some(code) if code == nix::errno::Errno::ENODEV as i32
                            || code == nix::errno::Errno::ESRCH as i32
                            || code == nix::errno::Errno::EADDRNOTAVAIL as i32
                    )
        )
    }
}
