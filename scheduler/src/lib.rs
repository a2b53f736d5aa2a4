//! kube-scheduler: gives each pod that has no node a node.
//!
//! The core is [`schedule::schedule`], a pure function of a [`Snapshot`] and a [`PodInfo`]. Nodes are slots in columns of
//! the snapshot; each plugin looks at all of them at once, and every node is scored. Around it: [`queue`] decides which
//! pod is next and what wakes those that did not fit, [`cluster`] keeps the snapshot up to date (with pods that are being
//! bound counted at once), and [`run`](mod@run) observes and acts.
//!
//! Not here yet: preemption, and the plugins for spreading, pod affinity, volumes and device claims.

pub mod bits;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod framework;
mod metrics;
pub mod objects;
pub mod plugins;
pub mod pod_info;
pub mod queue;
pub mod requests;
mod run;
pub mod schedule;
pub mod snapshot;
#[cfg(test)]
mod testing;

pub use config::Config;
pub use framework::{Decision, Profile};
pub use pod_info::PodInfo;
pub use run::run;
pub use schedule::schedule;
pub use snapshot::Snapshot;
