//! Deletes keys whose time has passed (events after an hour, and the like).
//!
//! Expiry is an absolute time in each record. The leader's loop here compares it with the clock and proposes ordinary
//! deletes, each guarded by the revision that carried the expiry, so that a key renewed meanwhile stays. Apply never
//! reads a clock. A key is gone when its delete is committed, a moment after its time, not at it.

use std::sync::Arc;
use std::time::Duration;

use component::Tasks;
use env::Env;
use futures::StreamExt as _;
use futures::stream;

use crate::backend::{Cond, Guard, Op, StoreError, Txn};
use crate::view::View;

/// Deletes proposed at once: enough to share a few disk writes, few enough to leave room for requests.
const DELETES_MAX: usize = 64;

/// Keys that expire within this time of each other go in one round, so that many events do not mean many wake-ups.
const ROUND: Duration = Duration::from_secs(1);

/// The wall clock can jump, so a long wait looks at it again after this time.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// How long to wait after the store refused a delete, or while another server leads.
const RETRY: Duration = Duration::from_secs(5);

/// Starts the loop for the keys that `view` shows.
pub fn start(view: &Arc<View>, env: &Env, tasks: &Tasks) {
    let (view, env) = (Arc::clone(view), env.clone());
    tasks.spawn_until_stop("expiry", async move { run(&view, &env).await });
}

async fn run(view: &View, env: &Env) {
    loop {
        let now = env.clock.now().as_millisecond();
        let Some(next) = view.next_expiry() else {
            view.expiry_changed().await;
            continue;
        };
        if next > now {
            let due_in = Duration::from_millis(u64::try_from(next - now).unwrap_or(0)) + ROUND;
            tokio::select! {
                biased;
                () = view.expiry_changed() => {}
                () = tokio::time::sleep(due_in.min(WAIT_MAX)) => {}
            }
            continue;
        }
        if !view.backend().is_leader() || !delete_expired(view, now).await {
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Deletes up to [`DELETES_MAX`] keys and waits until the View shows it, so that none is proposed twice. False when the
/// store refused.
async fn delete_expired(view: &View, now: i64) -> bool {
    let expired = view.expired(now, DELETES_MAX);
    let commits = stream::iter(expired.into_iter().map(|(key, revision)| {
        let guards = vec![Guard { key: Arc::clone(&key), cond: Cond::ModRevision(revision) }];
        view.backend().commit(Txn { guards, ops: vec![Op::Delete { key }] })
    }));
    let mut commits = commits.buffer_unordered(DELETES_MAX);
    let mut refused: Option<StoreError> = None;
    while let Some(outcome) = commits.next().await {
        refused = refused.or(outcome.err());
    }
    // A guard that failed means that the key was renewed or deleted: the View will show that too.
    match (refused, view.linearize().await) {
        (None, Ok(_)) => true,
        (Some(error), _) | (None, Err(error)) => {
            tracing::warn!(component = "store", %error, "could not delete expired keys");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Outcome;

    async fn put(view: &View, key: &str, expiry: Option<i64>) {
        let op = Op::Put { key: key.into(), value: bytes::Bytes::from_static(b"v"), expiry };
        let outcome = view.backend().commit(Txn { guards: vec![], ops: vec![op] }).await.unwrap();
        assert!(matches!(outcome, Outcome::Committed { .. }));
        view.linearize().await.unwrap();
    }

    fn keys(view: &View) -> Vec<String> {
        view.range("", None, 0, None).unwrap().entries.iter().map(|e| e.key.to_string()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn expired_keys_go_and_renewed_ones_stay() {
        let (env, tasks) = (Env::simulated(1), Tasks::new("test"));
        let view = View::start(crate::memory(), &tasks).await.unwrap();
        start(&view, &env, &tasks);
        let now = env.clock.now().as_millisecond();
        put(&view, "/forever", None).await;
        put(&view, "/hour", Some(now + 3_600_000)).await;
        put(&view, "/renewed", Some(now + 60_000)).await;
        for i in 0..3 * DELETES_MAX {
            put(&view, &format!("/minute/{i}"), Some(now + 60_000)).await;
        }
        tokio::time::sleep(Duration::from_secs(59)).await;
        put(&view, "/renewed", Some(now + 7_200_000)).await;
        assert_eq!(view.count("/minute/"), 3 * DELETES_MAX);

        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(keys(&view), ["/forever", "/hour", "/renewed"]);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(keys(&view), ["/forever", "/renewed"]);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(keys(&view), ["/forever"]);
        assert_eq!(tasks.panics(), 0);
    }
}
