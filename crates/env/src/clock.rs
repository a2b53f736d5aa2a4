//! Wall-clock time. Durations and timers use `tokio::time`, which simulation pauses.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// The source of wall-clock time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Now, by the wall clock. Can jump in either direction; never use it to measure a duration.
    fn now(&self) -> Timestamp;
}

/// The host's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the host's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Tokio's clock (paused in simulation) on top of a fixed epoch, plus a skew that a fault can change.
#[derive(Debug)]
pub struct SimClock {
    start: tokio::time::Instant,
    skew_nanos: AtomicI64,
}

/// 2026-01-01T00:00:00Z: any fixed instant serves; a recent one keeps certificates of test data valid.
const EPOCH_SECS: i64 = 1_767_225_600;

impl SimClock {
    #[allow(clippy::new_without_default, reason = "reads the runtime's clock: not a plain default")]
    pub fn new() -> Self {
        Self { start: tokio::time::Instant::now(), skew_nanos: AtomicI64::new(0) }
    }

    /// Sets the difference between this clock and simulated time, in nanoseconds.
    pub fn set_skew_nanos(&self, nanos: i64) {
        self.skew_nanos.store(nanos, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.start.elapsed().as_nanos()).unwrap_or(i64::MAX);
        let nanos = i128::from(EPOCH_SECS) * 1_000_000_000
            + i128::from(elapsed)
            + i128::from(self.skew_nanos.load(Ordering::Relaxed));
        Timestamp::from_nanosecond(nanos).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}
