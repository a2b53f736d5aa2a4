//! Everything that differs between a real host and a simulated one: time, randomness, disk and child processes.
//!
//! A component receives an [`Env`] and never calls the originals. In simulation the clock is tokio's paused clock plus
//! a fixed epoch, the generator is seeded, the disk lives in memory and can lose what was not synced, and there are no
//! child processes. Timers are plain `tokio::time` everywhere: it is the paused clock in simulation already.

pub mod clock;
pub mod disk;
pub mod process;
pub mod rng;

use std::sync::Arc;

pub use clock::Clock;
pub use disk::{Disk, DiskFile, DiskLock};
pub use process::{Command, Output, Process};
pub use rng::Rng;

/// What a component may know of the world outside its arguments. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Env {
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    pub disk: Arc<dyn Disk>,
    pub process: Arc<dyn Process>,
}

impl Env {
    /// The real host.
    pub fn real() -> Self {
        Self {
            clock: Arc::new(clock::SystemClock),
            rng: Arc::new(rng::SystemRng::new()),
            disk: Arc::new(disk::RealDisk),
            process: Arc::new(process::RealProcess),
        }
    }

    /// A world that is a function of `seed`: paused tokio time from a fixed epoch, a seeded generator, a disk in
    /// memory, no processes. The runtime must have been built with `start_paused`.
    pub fn simulated(seed: u64) -> Self {
        Self {
            clock: Arc::new(clock::SimClock::new()),
            rng: Arc::new(rng::SeededRng::new(seed)),
            disk: Arc::new(disk::SimDisk::new(seed)),
            process: Arc::new(process::NoProcess),
        }
    }
}
