//! Logging: one subscriber, set up once by [`crate::run`]; nothing else in the workspace installs one.

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// The logging flags, named as upstream's.
#[derive(Args, Clone, Debug, Default)]
pub struct LogArgs {
    /// Log verbosity: 0 to 3 logs what operators need, 4 and 5 add decisions, 6 and up add every request
    #[arg(short = 'v', long = "v", default_value_t = 2, global = true)]
    pub v: u8,

    /// How log lines look
    #[arg(long, value_enum, default_value_t = LogFormat::Text, global = true)]
    pub logging_format: LogFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// Installs the process's subscriber. `GANTRY_LOG` overrides `--v` with a `tracing` filter, such as
/// `info,kubelet=debug`.
pub(crate) fn init(args: &LogArgs) {
    let default = match args.v {
        0..=3 => "info",
        4 | 5 => "debug",
        _ => "trace",
    };
    // Libraries below us log at debug what nobody asked of Gantry.
    let quiet =
        "h2=info,hyper=info,hyper_util=info,rustls=info,tower=info,tonic=info,netlink_packet_route=error";
    let filter = std::env::var("GANTRY_LOG").unwrap_or_else(|_| format!("{default},{quiet}"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_target(false);
    // A second run in one process (tests) keeps the first subscriber.
    let installed = match args.logging_format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    if let Err(error) = installed {
        tracing::debug!(%error, "the log is set up already");
    }
}
