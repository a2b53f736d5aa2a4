//! A backend in memory, for tests, simulation and throw-away clusters.
//!
//! It owns no thread and no task, so it works under tokio's paused clock: a transaction is applied inside `commit`,
//! under a lock, and handed to the subscribers in the same step.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::apply::StateMachine;
use crate::backend::{Backend, ChangeBatch, Outcome, Revision, StoreError, Subscription, Txn};

/// Batches that a subscriber may be behind before commits wait for it. A View keeps up unless the process is starved,
/// so this only bounds memory.
pub(crate) const CHANGES_MAX: usize = 1024;

/// See the module.
#[derive(Default)]
pub struct Memory(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    state: StateMachine,
    subscribers: Vec<mpsc::Sender<Arc<ChangeBatch>>>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("revision", &self.0.lock().state.revision()).finish()
    }
}

impl Memory {
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies when every subscriber has room, else tells which one has none.
    fn try_commit(&self, txn: &Txn) -> Result<Outcome, mpsc::Sender<Arc<ChangeBatch>>> {
        let mut inner = self.0.lock();
        inner.subscribers.retain(|s| !s.is_closed());
        // Only this function sends, under the lock: room seen here is still there below.
        if let Some(full) = inner.subscribers.iter().find(|s| s.capacity() == 0) {
            return Err(full.clone());
        }
        let (outcome, batch) = inner.state.apply(txn);
        if let Some(batch) = batch {
            for subscriber in &inner.subscribers {
                let _ = subscriber.try_send(Arc::clone(&batch));
            }
        }
        Ok(outcome)
    }
}

impl Backend for Memory {
    fn commit(&self, txn: Txn) -> BoxFuture<'_, Result<Outcome, StoreError>> {
        Box::pin(async move {
            txn.validate()?;
            loop {
                match self.try_commit(&txn) {
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
        Box::pin(async {
            let (sender, changes) = mpsc::channel(CHANGES_MAX);
            let mut inner = self.0.lock();
            inner.subscribers.push(sender);
            Ok(Subscription { revision: inner.state.revision(), state: inner.state.state(), changes })
        })
    }

    /// Nothing to do: history is the View's.
    fn compact(&self, _revision: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }
}
