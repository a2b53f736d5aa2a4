//! Child processes that run to their end: `nft`, `iptables-restore`, CNI plugins.
//!
//! Long-running children (containerd) are started by the front door itself, which owns their life.

use std::fmt;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::io::AsyncWriteExt;

/// One command to run to its end.
#[derive(Debug, Clone, Default)]
pub struct Command {
    pub program: String,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub stdin: Vec<u8>,
    /// The child is killed when this has passed.
    pub timeout: Option<Duration>,
}

impl Command {
    pub fn new(program: impl Into<String>) -> Self {
        Self { program: program.into(), ..Self::default() }
    }

    #[must_use]
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    #[must_use]
    pub fn stdin(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.stdin = input.into();
        self
    }

    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// What a finished command left.
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Output {
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
}

/// Runs commands.
pub trait Process: Send + Sync + fmt::Debug {
    /// Runs `command` to its end. An `Err` means that it could not be started or was killed by its time limit.
    fn run(&self, command: Command) -> BoxFuture<'_, io::Result<Output>>;
}

/// The host's processes.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealProcess;

impl Process for RealProcess {
    #[allow(clippy::disallowed_methods, reason = "the one place that starts child processes")]
    fn run(&self, command: Command) -> BoxFuture<'_, io::Result<Output>> {
        Box::pin(async move {
            let mut child = tokio::process::Command::new(&command.program)
                .args(&command.args)
                .envs(command.env.iter().map(|(k, v)| (k, v)))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .map_err(|e| io::Error::new(e.kind(), format!("start {}: {e}", command.program)))?;
            let mut stdin = child.stdin.take().expect("stdin was piped above");
            let input = command.stdin;
            // Writing and reading go on together: a child that answers before it has read all would block both.
            let feed = async move {
                // A child may close its input early; what it then says is in its exit code and stderr.
                let _ = stdin.write_all(&input).await;
                drop(stdin);
            };
            let work = async { futures::future::join(feed, child.wait_with_output()).await.1 };
            let output = match command.timeout {
                Some(limit) => tokio::time::timeout(limit, work).await.map_err(|_| {
                    io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("{} did not end within {limit:?}", command.program),
                    )
                })??,
                None => work.await?,
            };
            Ok(Output { code: output.status.code(), stdout: output.stdout, stderr: output.stderr })
        })
    }
}

/// For simulation: no command exists.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProcess;

impl Process for NoProcess {
    fn run(&self, command: Command) -> BoxFuture<'_, io::Result<Output>> {
        let error =
            io::Error::new(io::ErrorKind::NotFound, format!("no process in simulation: {}", command.program));
        Box::pin(async move { Err(error) })
    }
}
