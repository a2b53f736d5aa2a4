//! One pod on this node: what it wants ([`plan`]), what it is ([`status`]), what its sandbox and containers are told
//! ([`config`], [`env`], [`dns`]), and the task that brings the two together ([`worker`]).

pub mod config;
pub mod dns;
pub mod env;
pub mod expand;
pub mod hash;
pub mod observed;
pub mod plan;
pub mod qos;
pub mod resources;
pub mod status;
