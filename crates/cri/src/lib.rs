//! The container runtime as the kubelet sees it: one object-safe trait, the real runtime behind CRI and containerd's
//! event service, and a deterministic one without processes for hollow nodes and simulation.
//!
//! Messages are CRI's own ([`v1`], generated from `proto/runtime.proto`, committed). CRI's event stream is not used:
//! containerd 1.6, the oldest that we support, has none.

pub mod containerd;
pub mod error;
pub mod events;
pub mod fake;
pub mod image_tar;
pub mod runtime;
pub mod settings;

/// CRI v1, the part that we use.
#[allow(
    unreachable_pub,
    missing_debug_implementations,
    clippy::all,
    clippy::pedantic,
    clippy::disallowed_types,
    reason = "generated code"
)]
pub mod v1 {
    include!("generated/runtime.v1.rs");
}

pub use containerd::ContainerdRuntime;
pub use error::{Error, Result};
pub use events::{EventReceiver, RuntimeEvent};
pub use fake::FakeRuntime;
pub use runtime::{ExecOutput, Reply, Runtime};
