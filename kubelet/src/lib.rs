//! The node agent: makes the containers of the pods that are bound to its node, and tells the API how they and the node
//! are.
//!
//! Decisions are pure ([`pod::plan`], [`pod::status`], [`pod::config`]); the machine and the runtime are behind
//! [`host::Host`] and [`cri::Runtime`], which a hollow node implements without a machine.

mod agent;
pub mod api;
pub mod backoff;
pub mod cli;
pub mod config;
pub mod handle;
pub mod host;
pub mod images;
mod logs;
mod metrics;
pub mod node;
mod objects;
pub mod pod;
pub(crate) mod pods;
mod probe;
pub mod quantity;
mod run;
pub mod server;
mod static_pods;
mod sweep;
mod tokens;
mod volume;

pub use config::{Config, KubeletConfiguration};
pub use handle::Handle;
pub use host::{HollowHost, Host, RealHost};
pub use run::{Deps, Error, run};
