//! A backend in memory, for tests, simulation and throw-away clusters.
//!
//! It owns no thread and no task, so it works under tokio's paused clock: a transaction is applied inside `commit`,
//! under a lock, and handed to the subscribers in the same step.

use std::fmt;

use futures::future::BoxFuture;
use parking_lot::Mutex;

use crate::backend::{Backend, Outcome, Revision, StoreError, Subscription, Txn};
use crate::feed::Feed;

/// See the module.
#[derive(Default)]
pub struct Memory(Mutex<Feed>);

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("revision", &self.0.lock().state.revision()).finish()
    }
}

impl Memory {
    pub fn new() -> Self {
        Self::default()
    }
}

impl Backend for Memory {
    fn commit(&self, txn: Txn) -> BoxFuture<'_, Result<Outcome, StoreError>> {
        Box::pin(async move {
            txn.validate()?;
            loop {
                let applied = self.0.lock().try_apply(&txn);
                match applied {
                    Ok(outcome) => return Ok(outcome),
                    // The permit is dropped at once: it only says that there is room to try again.
                    Err(full) => drop(full.reserve().await),
                }
            }
        })
    }

    fn barrier(&self) -> BoxFuture<'_, Result<Revision, StoreError>> {
        Box::pin(async { Ok(self.0.lock().state.revision()) })
    }

    fn subscribe(&self) -> BoxFuture<'_, Result<Subscription, StoreError>> {
        Box::pin(async { Ok(self.0.lock().subscribe()) })
    }

    /// Nothing to do: history is the View's.
    fn compact(&self, _revision: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }
}
