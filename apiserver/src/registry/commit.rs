//! Transactions: what a write proposes, and what its outcome means.

use std::time::Duration;

use apimachinery::Status;
use bytes::Bytes;
use store::{Cond, Guard, Key, Op, Outcome, Revision, StoreError, Txn};

use super::Registry;
use crate::response::unavailable;

/// Races that one request may lose before it is refused. Each loss means that somebody else won, so this many mean that
/// the object is written faster than it can be read.
pub(crate) const ATTEMPTS_MAX: usize = 64;

/// How long a write whose answer was lost is looked for.
const SETTLE_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks.
const SETTLE_PAUSE: Duration = Duration::from_millis(50);

/// What became of a proposal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Committed {
    Done(Revision),
    /// A guard did not hold; the View has reached the revision at which that was decided. The flag says that it was the
    /// guard of the object itself.
    Lost {
        own: bool,
    },
}

/// A write of one object, with what else goes into its transaction. The first guard is the object's own.
#[derive(Debug)]
pub(crate) struct Proposal {
    pub(crate) key: Key,
    pub(crate) cond: Cond,
    /// `None`: delete.
    pub(crate) value: Option<Bytes>,
    pub(crate) expiry: Option<i64>,
    pub(crate) guards: Vec<Guard>,
    pub(crate) ops: Vec<Op>,
}

impl Registry {
    /// Proposes, waits for the outcome and until the View shows it.
    pub(crate) async fn commit(&self, proposal: Proposal) -> Result<Committed, Status> {
        let Proposal { key, cond, value, expiry, guards, ops } = proposal;
        let own = match &value {
            Some(value) => Op::Put { key: key.clone(), value: value.clone(), expiry },
            None => Op::Delete { key: key.clone() },
        };
        let lease = self.lease_guard()?;
        let own_guard = Guard { key: key.clone(), cond };
        let txn = Txn {
            guards: std::iter::once(own_guard).chain(guards).chain(lease).collect(),
            ops: std::iter::once(own).chain(ops).collect(),
        };
        match self.view.backend().commit(txn).await.map_err(|e| store_status(&e))? {
            Outcome::Committed { revision } => {
                self.view.wait_for(revision).await.map_err(|e| store_status(&e))?;
                Ok(Committed::Done(revision))
            }
            Outcome::Failed { guard, revision } => {
                self.view.wait_for(revision).await.map_err(|e| store_status(&e))?;
                Ok(Committed::Lost { own: guard == 0 })
            }
            Outcome::Unknown => self.settle(&key, cond, value.as_ref()).await,
        }
    }

    /// Finds out by reading whether a proposal whose answer was lost has been applied. It is never repeated: what cannot
    /// be found out is said so.
    async fn settle(&self, key: &Key, cond: Cond, value: Option<&Bytes>) -> Result<Committed, Status> {
        let deadline = tokio::time::Instant::now() + SETTLE_LIMIT;
        loop {
            if let Ok(revision) = self.view.linearize().await {
                let now = self.view.get(key);
                let before = match cond {
                    Cond::ModRevision(revision) => revision,
                    Cond::Absent | Cond::Present => 0,
                };
                match (value, &now) {
                    (Some(value), Some(entry)) if entry.value == *value && entry.mod_revision > before => {
                        return Ok(Committed::Done(entry.mod_revision));
                    }
                    (None, None) => return Ok(Committed::Done(revision)),
                    // Somebody else has written since: our guard cannot hold any more, now or later.
                    (_, Some(entry)) if entry.mod_revision > before && before > 0 => {
                        return Ok(Committed::Lost { own: true });
                    }
                    (Some(_), Some(_)) if cond == Cond::Absent => return Ok(Committed::Lost { own: true }),
                    _ => {}
                }
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(Status::timeout("whether the write was applied is not known", 1));
            }
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
    }

    /// Makes the reads that follow see everything that was acknowledged before.
    pub(crate) async fn linearize(&self) -> Result<Revision, Status> {
        self.view.linearize().await.map_err(|e| store_status(&e))
    }
}

/// What a client hears of the store's trouble.
pub(crate) fn store_status(error: &StoreError) -> Status {
    match error {
        StoreError::Overloaded(_) => Status::too_many_requests(error.to_string(), 1),
        StoreError::Compacted { .. } => {
            Status::resource_expired("The resourceVersion for the provided list is too old.")
        }
        StoreError::Future { requested, current } => {
            Status::too_large_resource_version(*requested, *current, 1)
        }
        StoreError::Invalid(_) => Status::plain_error("etcdserver: request is too large"),
        _ => unavailable(error.to_string()),
    }
}

/// The refusal of a request that lost every race.
pub(crate) fn lost_every_race(group: &str, resource: &str, verb: &str) -> Status {
    Status::server_timeout(group, resource, verb, 1)
}
