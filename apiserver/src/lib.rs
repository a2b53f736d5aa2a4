//! `kube-apiserver`: the only component that touches the store.
//!
//! A request comes in through [`listener`] (sockets) or [`server::InProcess`] (the same process), is read by [`routes`],
//! admitted by `handlers::access`, and answered by `handlers` over [`registry`]. What single kinds need beyond their tables
//! is plugged in through [`seams`].

#![allow(
    clippy::result_large_err,
    reason = "a Status is built once per refused request and never on a hot path"
)]

pub mod admission;
pub mod alloc;
pub mod assembly;
pub mod auth;
pub mod bootstrap;
pub mod cli;
pub mod config;
pub(crate) mod custom;
pub mod discovery;
#[cfg(test)]
mod fake_objects;
pub mod handlers;
pub mod health;
pub mod listener;
pub mod metrics;
pub mod negotiate;
pub mod openapi;
pub mod registry;
pub mod response;
pub mod routes;
pub mod runtime_config;
pub mod seams;
pub mod server;
pub mod special;
pub mod strategy;
pub mod table;
pub mod values;
pub mod watch;

pub use config::{Config, PluginFactory, Plugins, no_plugins};
pub use server::{ApiServer, Deps, InProcess};
