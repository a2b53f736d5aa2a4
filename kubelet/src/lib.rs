//! The node agent: makes the containers of the pods that are bound to its node, and tells the API how they and the node
//! are.
//!
//! Decisions are pure ([`pod::plan`], [`pod::status`], [`pod::config`]); the machine and the runtime are behind
//! [`host::Host`] and [`cri::Runtime`], which a hollow node implements without a machine.

pub mod api;
pub mod backoff;
pub mod config;
pub mod host;
pub mod pod;
pub mod quantity;
