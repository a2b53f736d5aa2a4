//! The state machine together with those who follow it: what is applied and what subscribers hear is one step.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::apply::StateMachine;
use crate::backend::{ChangeBatch, Outcome, Subscription, Txn};

/// Batches that a subscriber may be behind before applying waits for it. A View keeps up unless the process is starved,
/// so this only bounds memory.
const CHANGES_MAX: usize = 1024;

/// A subscriber's end, to wait on until it has room.
pub(crate) type Subscriber = mpsc::Sender<Arc<ChangeBatch>>;

#[derive(Debug, Default)]
pub(crate) struct Feed {
    pub(crate) state: StateMachine,
    subscribers: Vec<Subscriber>,
}

impl Feed {
    pub(crate) fn new(state: StateMachine) -> Self {
        Self { state, subscribers: Vec::new() }
    }

    pub(crate) fn subscribe(&mut self) -> Subscription {
        let (sender, changes) = mpsc::channel(CHANGES_MAX);
        self.subscribers.push(sender);
        Subscription { revision: self.state.revision(), state: self.state.state(), changes }
    }

    /// Applies when every subscriber has room, else names one that has none.
    pub(crate) fn try_apply(&mut self, txn: &Txn) -> Result<Outcome, Subscriber> {
        self.subscribers.retain(|s| !s.is_closed());
        // Only this function sends, and `self` is borrowed: room seen here is still there below.
        if let Some(full) = self.subscribers.iter().find(|s| s.capacity() == 0) {
            return Err(full.clone());
        }
        let (outcome, batch) = self.state.apply(txn);
        if let Some(batch) = batch {
            for subscriber in &self.subscribers {
                let _ = subscriber.try_send(Arc::clone(&batch));
            }
        }
        Ok(outcome)
    }
}
