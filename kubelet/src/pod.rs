//! One pod on this node: what it wants ([`plan`]), what it is ([`status`]), what its sandbox and containers are told
//! ([`config`], [`env`], [`dns`]), and the task that brings the two together ([`worker`]).

pub(crate) mod admit;
pub mod config;
pub mod dns;
pub mod env;
pub mod expand;
pub mod hash;
pub(crate) mod hooks;
pub mod observed;
pub(crate) mod ops;
pub(crate) mod patch;
pub mod plan;
pub(crate) mod prepare;
pub(crate) mod probes;
pub mod qos;
pub mod resources;
pub(crate) mod seccomp;
pub(crate) mod start;
pub mod status;
pub(crate) mod turns;
pub(crate) mod worker;
