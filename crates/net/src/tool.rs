//! Programs that change the network, run in the host's network namespace or in a named one.
//!
//! A node in a namespace of its own enters it by `nsenter` (setns): `ip netns exec` would remount /sys and hide the
//! cgroups.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use env::{Command, Output, Process};

use crate::error::Error;

/// A rule program that has not ended by then hangs on a lock: give up and let the caller try again.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Runs programs in one network namespace. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tools {
    process: Arc<dyn Process>,
    /// `/run/netns/NAME` or `/proc/PID/ns/net`; the caller's own namespace when `None`.
    namespace: Option<PathBuf>,
}

impl Tools {
    /// Programs in the caller's own network namespace.
    pub fn new(process: Arc<dyn Process>) -> Self {
        Self { process, namespace: None }
    }

    /// Programs in the network namespace that `path` names.
    #[must_use]
    pub fn in_namespace(mut self, path: impl Into<PathBuf>) -> Self {
        self.namespace = Some(path.into());
        self
    }

    /// Runs `program` to its end, whatever its exit code.
    pub async fn output(&self, program: &str, args: &[&str], stdin: Vec<u8>) -> Result<Output, Error> {
        let command = match &self.namespace {
            None => Command::new(program).args(args.iter().copied()),
            Some(path) => Command::new("nsenter")
                .args([format!("--net={}", path.display()), "--".to_owned(), program.to_owned()])
                .args(args.iter().copied()),
        };
        // Messages of the tools are matched in a few places, so their language is fixed.
        let command = command.env("LC_ALL", "C").stdin(stdin).timeout(TIME_LIMIT);
        self.process.run(command).await.map_err(|source| Error::Start { tool: program.to_owned(), source })
    }

    /// Runs `program` to its end; an exit code other than 0 is an error with what it wrote to stderr.
    pub async fn run(&self, program: &str, args: &[&str], stdin: Vec<u8>) -> Result<Output, Error> {
        let output = self.output(program, args, stdin).await?;
        if output.success() {
            return Ok(output);
        }
        Err(Error::Refused {
            tool: format!("{program} {}", args.join(" ")).trim_end().to_owned(),
            code: output.code,
            stderr: excerpt(&output.stderr),
        })
    }
}

/// The first part of what a tool wrote: `nft` repeats the whole offending line, which may hold thousands of elements.
fn excerpt(text: &[u8]) -> String {
    const MAX: usize = 2000;
    let text = String::from_utf8_lossy(text);
    let text = text.trim();
    match text.char_indices().nth(MAX) {
        Some((at, _)) => format!("{} …", &text[..at]),
        None => text.to_owned(),
    }
}
