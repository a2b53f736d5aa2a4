//! Programs that measure and compare: `gantry-bench` (what the README quotes), `gantry-golden` (recorded answers),
//! `gantry-openapi` (upstream's documents) and `gantry-coverage` (what those documents describe).
//!
//! They are called through `cargo xtask bench`, `golden`, `openapi` and `coverage`.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    missing_debug_implementations,
    reason = "programs for people: they run other programs and measure wall time"
)]

pub mod cluster;
pub mod coverage;
pub mod golden;
pub mod h2;
pub mod process;
pub mod server;
