//! What every controller is made of: a queue of keys, workers with back-off, the rule that nobody acts on a cache
//! older than its own last write, owner references, selectors and template hashes.
//!
//! A controller is: handlers that add keys to a [`Queue`], and a sync function that reads caches, decides (in a pure
//! `plan`), acts and writes status.

pub mod hash;
pub mod metrics;
pub mod own_writes;
pub mod queue;
pub mod refs;
pub mod runner;
pub mod selector;
pub mod write;

pub use metrics::QueueMetrics;
pub use own_writes::OwnWrites;
pub use queue::Queue;
pub use refs::{Claim, claim, controller_ref};
pub use runner::{SyncError, SyncResult, run_controller};
pub use selector::{LabelSelector, Requirement};
