//! The whole cluster in one thread, from one seed, with faults.
//!
//! API server (embedded store on a simulated disk), scheduler, controllers and hollow kubelets run on tokio's paused
//! clock. Requests between them can be delayed, lost, or lose their answer; every part can crash, the store's disk with
//! it. A failure is replayed by its seed. TLS, HTTP framing, gRPC and the real file system are not crossed.

pub mod cluster;
pub mod faults;
pub mod scenario;
pub mod trace;

pub use scenario::{Failure, Report, run};
