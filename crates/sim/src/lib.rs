//! The whole cluster in one thread, from one seed, with faults.
//!
//! API server (embedded store on a simulated disk, or the memory backend), scheduler, controllers and hollow nodes run
//! on tokio's paused clock. Requests between them can be delayed, lost, or lose their answer; streams lag and break;
//! every part can crash, the store's disk with it; clocks are wrong. Meanwhile a user rolls a Deployment out, scales it
//! and takes it back. [`monitor`] checks each change in the store; when the faults have ended, [`converge`] demands that
//! everything comes to rest as the user asked. A failure is replayed by its seed.
//!
//! TLS, HTTP framing, gRPC and the real file system are not crossed. What a crashed part had sent and the server had not
//! received is gone with it: requests that arrive long after their sender's death are not modelled.

pub mod cluster;
pub mod converge;
pub mod faults;
pub mod monitor;
pub mod network;
pub mod objects;
pub mod scenario;
pub mod trace;
pub mod user;

#[cfg(test)]
mod tests;

pub use scenario::{Failure, Options, Report, run};
