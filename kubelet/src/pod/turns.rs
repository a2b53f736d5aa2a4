//! Pods take turns where making one keeps a processor busy, and clearing away the rest of others waits meanwhile.
//!
//! A burst of pods that are all started at once shares the processors between all of them: each is as late as the last.
//! In turns the first is ready long before the last, and the last no later than without. What the API has forgotten already
//! can wait for what somebody waits for.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

/// Whoever takes longer waits for something else than a processor, and lets others on.
const TURN_MAX: Duration = Duration::from_secs(2);

/// How long clearing away waits at most for a moment in which nothing is made: a node that makes pods without end gets rid
/// of them all the same.
const CLEARING_DELAY_MAX: Duration = Duration::from_secs(10);

/// As many turns at once as there are processors, in the order of asking.
#[derive(Debug)]
pub(crate) struct Turns {
    making: Semaphore,
    clearing: Semaphore,
    /// How many make something or want to.
    makers: watch::Sender<usize>,
}

/// One that makes something, as long as it lives.
#[derive(Debug)]
struct Maker<'a>(&'a watch::Sender<usize>);

impl Drop for Maker<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|makers| *makers -= 1);
    }
}

impl Turns {
    pub(crate) fn new(processors: u64) -> Self {
        let turns = usize::try_from(processors).unwrap_or(1).clamp(1, Semaphore::MAX_PERMITS);
        Self { making: Semaphore::new(turns), clearing: Semaphore::new(turns), makers: watch::Sender::new(0) }
    }

    fn maker(&self) -> Maker<'_> {
        self.makers.send_modify(|makers| *makers += 1);
        Maker(&self.makers)
    }

    /// Makes something in a turn. What hangs keeps nobody waiting for longer than [`TURN_MAX`].
    pub(crate) async fn take<T>(&self, work: impl Future<Output = T>) -> T {
        let maker = self.maker();
        let turn = self.making.acquire().await.expect("it is never closed");
        let mut work = pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(TURN_MAX) => drop((turn, maker)),
        }
        work.await
    }

    /// Makes something that needs no turn: another has been taken for it before.
    pub(crate) async fn go_on<T>(&self, work: impl Future<Output = T>) -> T {
        let _maker = self.maker();
        work.await
    }

    /// Clears something away, at a moment when nothing is made if there is one soon.
    pub(crate) async fn clear<T>(&self, work: impl Future<Output = T>) -> T {
        let deadline = Instant::now() + CLEARING_DELAY_MAX;
        let turn = self.clearing.acquire().await.expect("it is never closed");
        let mut makers = self.makers.subscribe();
        // Neither a moment that did not come nor a closed channel is a reason not to clear away.
        let _ = tokio::time::timeout_at(deadline, makers.wait_for(|makers| *makers == 0)).await;
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

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[tokio::test(start_paused = true)]
    async fn turns_are_taken_in_order_and_lost_by_who_hangs() {
        let turns = Turns::new(2);
        let began = Instant::now();
        let (done, mut order) = mpsc::channel(8);
        let work = |name: &'static str, takes: u64| {
            let (turns, done) = (&turns, done.clone());
            async move {
                turns.take(async move { tokio::time::sleep(secs(takes)).await }).await;
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

    #[tokio::test(start_paused = true)]
    async fn clearing_waits_for_a_pause_but_not_for_ever() {
        let turns = Turns::new(1);
        let began = Instant::now();
        let cleared = || turns.clear(async { began.elapsed().as_secs() });
        assert_eq!(cleared().await, 0, "at once when nothing is made");
        let ((), first, second) =
            tokio::join!(turns.go_on(tokio::time::sleep(secs(3))), cleared(), cleared());
        assert_eq!((first, second), (3, 3));
        // Two that take turns without a pause, for a minute; both who clear waited from the same moment.
        let without_end = async {
            for _ in 0..60 {
                turns.go_on(tokio::time::sleep(secs(1))).await;
            }
        };
        let makes = turns.go_on(without_end);
        let (_, first, second) = tokio::join!(makes, cleared(), cleared());
        assert_eq!((first, second), (13, 13));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_given_up_counts_no_longer() {
        let turns = Turns::new(1);
        let given_up = tokio::time::timeout(secs(1), turns.take(std::future::pending::<()>())).await;
        assert!(given_up.is_err());
        assert_eq!(turns.clear(async { 1 }).await + turns.take(async { 1 }).await, 2);
        assert_eq!(*turns.makers.borrow(), 0);
    }
}
