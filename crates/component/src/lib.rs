//! What every binary shares: tasks with a name and an end, flags, configuration files, logging, metrics, health
//! endpoints, signals and exit codes.

pub mod config;
pub mod flags;
pub mod logging;
pub mod memory;
pub mod metrics;
pub mod run;
pub mod serving;
pub mod tasks;

pub use logging::LogArgs;
pub use metrics::{Metrics, VERSION};
pub use run::run;
pub use tasks::Tasks;
