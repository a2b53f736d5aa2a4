//! Exponential back-off as upstream's kubelet keeps it for containers and images: 10 s, doubled up to 5 minutes, forgotten
//! after twice that without another failure. Pure: told the time.

use std::time::Duration;

use jiff::Timestamp;

/// The first delay.
pub const INITIAL: Duration = Duration::from_secs(10);
/// The longest delay of both containers and images.
pub const MAX: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub delay: Duration,
    updated: Timestamp,
    max: Duration,
}

impl Backoff {
    /// After a first failure at `now`.
    pub fn first(now: Timestamp, max: Duration) -> Self {
        Self { delay: INITIAL.min(max), updated: now, max }
    }

    /// The back-off that follows `old` when something that ended at `ended` is tried again at `now`.
    pub fn next(old: Option<&Self>, ended: Timestamp, now: Timestamp, max: Duration) -> Self {
        match old {
            Some(old) if !old.forgotten(ended) => {
                Self { delay: (old.delay * 2).min(old.max), updated: now, max: old.max }
            }
            _ => Self::first(now, max),
        }
    }

    /// When something that ended at `ended` may be tried again; `None`: at once.
    pub fn ready_at(&self, ended: Timestamp) -> Option<Timestamp> {
        if self.forgotten(ended) { None } else { Some(after(ended, self.delay)) }
    }

    fn forgotten(&self, at: Timestamp) -> bool {
        at > after(self.updated, self.max * 2)
    }
}

/// `time` plus `duration`, within what can be told.
pub fn after(time: Timestamp, duration: Duration) -> Timestamp {
    time.checked_add(jiff::SignedDuration::try_from(duration).unwrap_or(jiff::SignedDuration::MAX))
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(secs).unwrap()
    }

    #[test]
    fn doubles_to_the_limit_and_forgets() {
        let mut backoff = Backoff::first(at(0), MAX);
        assert_eq!(backoff.ready_at(at(1)), Some(at(11)));
        let delays: Vec<u64> = (1..7)
            .map(|i| {
                backoff = Backoff::next(Some(&backoff), at(i * 100), at(i * 100), MAX);
                backoff.delay.as_secs()
            })
            .collect();
        assert_eq!(delays, [20, 40, 80, 160, 300, 300]);
        assert_eq!(backoff.ready_at(at(600 + 601)), None);
        assert_eq!(Backoff::next(Some(&backoff), at(2000), at(2000), MAX).delay, INITIAL);
    }
}
