//! What tests of several crates share: builders of objects, a cluster in one process, and [`eventually!`].
//!
//! For tests only. Everything here runs on a paused clock in one thread as well as on a real one.

pub mod builders;
pub mod cluster;
pub mod node;
pub mod parts;
pub mod refusals;
pub mod users;

pub use builders::{config_map, deployment, pod, service};
pub use cluster::{Cluster, PATIENCE};

/// Waits until a block gives `Ok`, looking again after each change in the cluster's store; fails with the last `Err`
/// once [`PATIENCE`] is over. The block may await; a `?` in it means "not yet".
#[macro_export]
macro_rules! eventually {
    ($cluster:expr, $what:expr, $check:expr) => {
        match $cluster.wait_for(async || -> Result<_, String> { $check }).await {
            Ok(value) => value,
            Err(last) => panic!("never saw {}: {last}", $what),
        }
    };
}
