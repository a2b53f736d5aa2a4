//! The deployment controller: turns the template of a Deployment into ReplicaSets and moves replicas between them.
//!
//! Upstream's rules throughout: revisions, history, proportional scaling, progress deadline, conditions and events.
//! The deprecated rollback annotation is not read; `kubectl rollout undo` patches the template.

mod plan;
mod status;
mod sync;

pub(crate) use sync::start;
