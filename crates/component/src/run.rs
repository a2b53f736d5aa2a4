//! From `main` to the runtime: logging, signals, a graceful stop and an exit code.

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::logging::{self, LogArgs};
use crate::tasks::Tasks;

/// How long a component may take to stop before its tasks are dropped.
const STOP_GRACE: Duration = Duration::from_secs(25);

/// `EX_USAGE` of sysexits: a configuration was refused before anything was started.
pub const EXIT_USAGE: u8 = 64;

/// A refused configuration. Anything else that ends a component is an ordinary failure (exit 1).
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// Runs a component until SIGTERM or SIGINT, or until it fails: builds the runtime, sets up the log, calls `start`, waits
/// for a signal, stops all tasks. `start` returns once everything runs; what it starts belongs to the given [`Tasks`].
pub fn run<F, Fut, E>(name: &str, log: &LogArgs, start: F) -> ExitCode
where
    F: FnOnce(Tasks) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    logging::init(log);
    crate::memory::small_pages();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{name}: the runtime could not be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        let tasks = Tasks::new(name);
        let stopped = stop_signal();
        tokio::pin!(stopped);
        let started = tokio::select! {
            biased;
            signal = &mut stopped => Err(format!("{signal} before the start was complete").into()),
            started = start(tasks.clone()) => started.map_err(Into::into),
        };
        let code = match started {
            Ok(()) => {
                let token = tasks.token();
                tokio::select! {
                    biased;
                    signal = &mut stopped => tracing::info!(component = name, signal, "stopping"),
                    () = token.cancelled() => tracing::info!(component = name, "stopping by itself"),
                }
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("{name}: {}", chain(&*error));
                if error.downcast_ref::<ConfigError>().is_some() {
                    ExitCode::from(EXIT_USAGE)
                } else {
                    ExitCode::FAILURE
                }
            }
        };
        let killed = tasks.stop(STOP_GRACE).await;
        if !killed.is_empty() {
            tracing::warn!(component = name, tasks = ?killed, "tasks did not stop in time");
        }
        code
    })
}

/// An error with everything below it, on one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

async fn stop_signal() -> &'static str {
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can always be handled");
    let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can always be handled");
    tokio::select! {
        biased;
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
