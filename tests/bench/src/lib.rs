//! Programs that measure and compare: `gantry-bench` (what the README quotes) and `gantry-golden` (recorded answers).
//!
//! They are called through `cargo xtask bench` and `cargo xtask golden`.

pub mod cluster;
pub mod golden;
pub mod h2;
pub mod process;
pub mod server;
