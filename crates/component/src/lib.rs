//! What every binary shares: tasks with a name and an end, flags, configuration files, logging, metrics, health
//! endpoints, TLS listeners, signals and exit codes.

pub mod tasks;

pub use tasks::Tasks;
