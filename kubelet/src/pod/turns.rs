//! Pods take turns where making one keeps a processor busy.
//!
//! A burst of pods that are all started at once shares the processors between all of them: each is as late as the last.
//! In turns the first is ready as soon as if it were alone, and the last no later.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::Semaphore;

/// Whoever takes longer waits for something else than a processor, and lets others on.
const TURN_MAX: Duration = Duration::from_secs(2);

/// As many turns at once as there are processors, in the order of asking.
#[derive(Debug)]
pub(crate) struct Turns(Semaphore);

impl Turns {
    pub(crate) fn new(processors: u64) -> Self {
        Self(Semaphore::new(usize::try_from(processors).unwrap_or(1).clamp(1, Semaphore::MAX_PERMITS)))
    }

    /// Does `work` in a turn. What hangs keeps nobody waiting for longer than [`TURN_MAX`].
    pub(crate) async fn take<T>(&self, work: impl Future<Output = T>) -> T {
        let turn = self.0.acquire().await.expect("it is never closed");
        let mut work = pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(TURN_MAX) => drop(turn),
        }
        work.await
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn turns_are_taken_in_order_and_lost_by_who_hangs() {
        let turns = Turns::new(2);
        let began = tokio::time::Instant::now();
        let (done, mut order) = mpsc::channel(8);
        let work = |name: &'static str, secs: u64| {
            let (turns, done) = (&turns, done.clone());
            async move {
                turns.take(async move { tokio::time::sleep(Duration::from_secs(secs)).await }).await;
                done.try_send((name, began.elapsed().as_secs())).expect("there is room");
            }
        };
        tokio::join!(work("hangs", 100), work("a", 1), work("b", 1), work("c", 1));
        drop(done);
        let mut seen = Vec::new();
        while let Some(one) = order.recv().await {
            seen.push(one);
        }
        // `c` has the turn that `hangs` lost after two seconds.
        assert_eq!(seen, [("a", 1), ("b", 2), ("c", 3), ("hangs", 100)]);
    }
}
