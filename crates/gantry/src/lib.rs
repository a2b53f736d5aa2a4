//! The front door: a whole cluster in one process, and the one file that is every binary.
//!
//! `gantry up` starts [`server`] in the background and shows its progress ([`launch`]); `down` removes everything that a
//! cluster made ([`mod@down`]). Called by the name of one of upstream's five binaries, the file is that binary.

#![allow(clippy::print_stdout, reason = "the front door talks to people")]

pub mod addons;
pub mod cli;
pub mod containerd;
pub mod down;
pub mod identity;
pub mod image;
mod image_load;
mod launch;
mod runtime;
pub mod server;
pub mod state;
mod status;
mod wait;

/// What `--version` says.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (Kubernetes v1.36.2+gantry)");
