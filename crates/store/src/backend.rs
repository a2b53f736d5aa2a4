//! The seam between what needs agreement and what does not.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

/// A store revision: each transaction that changes something takes exactly one. Never 0 for a stored key.
pub type Revision = u64;

/// A key as upstream lays it out: `/registry/pods/default/a`.
pub type Key = Arc<str>;

/// Absolute expiry in milliseconds since the Unix epoch; decided by whoever proposes, never by apply.
pub type Expiry = i64;

/// What must hold for a transaction to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    pub key: Key,
    pub cond: Cond,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cond {
    /// The key does not exist.
    Absent,
    /// The key exists, at whatever revision.
    Present,
    /// The key was last changed at this revision.
    ModRevision(Revision),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    Put { key: Key, value: Bytes, expiry: Option<Expiry> },
    Delete { key: Key },
}

impl Op {
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Put { key, value, .. } => key.len() + value.len(),
            Self::Delete { key } => key.len(),
        }
    }
}

/// Applied as a whole when every guard holds, else not at all. A key appears in `ops` at most once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    pub guards: Vec<Guard>,
    pub ops: Vec<Op>,
}

/// The largest transaction, by [`Txn::size`]: above the 1.5 MiB that an object may have, with room for several.
pub const TXN_BYTES_MAX: usize = 4 << 20;

impl Txn {
    /// Bytes of keys and values, which is what queues and logs are bounded by.
    pub fn size(&self) -> usize {
        let guards: usize = self.guards.iter().map(|g| g.key.len()).sum();
        let ops: usize = self.ops.iter().map(Op::size).sum();
        guards + ops
    }

    /// Refuses what apply could not decide the same way everywhere, or no log record can hold.
    pub fn validate(&self) -> Result<(), StoreError> {
        let size = self.size();
        if size > TXN_BYTES_MAX {
            return Err(StoreError::Invalid(format!("{size} bytes, more than the {TXN_BYTES_MAX} allowed")));
        }
        for (i, op) in self.ops.iter().enumerate() {
            if self.ops[..i].iter().any(|other| other.key() == op.key()) {
                return Err(StoreError::Invalid(format!("{} is changed twice", op.key())));
            }
        }
        Ok(())
    }
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Applied and durable. Every changed key has this revision. A transaction that changed nothing (deletes of
    /// absent keys) reports the revision at which it was decided and takes none.
    Committed { revision: Revision },
    /// Guard number `guard` did not hold when the transaction was decided, after `revision`.
    Failed { guard: usize, revision: Revision },
    /// The answer was lost: the transaction may have been applied or may yet be. Settle it by `barrier` and a read;
    /// never repeat it blindly.
    Unknown,
}

/// One key's change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub key: Key,
    /// `None`: deleted.
    pub value: Option<Bytes>,
    pub expiry: Option<Expiry>,
}

/// The changes of one transaction, which share a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeBatch {
    pub revision: Revision,
    pub changes: Vec<Change>,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Refused before it was proposed: nothing happened.
    #[error("the store is overloaded: {0}")]
    Overloaded(String),
    /// The transaction can never be applied (a key twice, too large): nothing happened.
    #[error("invalid transaction: {0}")]
    Invalid(String),
    /// Another process has the store open.
    #[error("the store is in use: {0}")]
    InUse(String),
    #[error("the store is stopped")]
    Stopped,
    /// The disk refuses writes (full, failing). Reads go on.
    #[error("the store cannot write: {0}")]
    Unwritable(String),
    /// The revision asked for has left the history. `oldest` can still be read; watches can start after it.
    #[error("revision {requested} is compacted; the oldest kept is {oldest}")]
    Compacted { requested: Revision, oldest: Revision },
    /// Not there yet: wait for it first.
    #[error("revision {requested} lies ahead of the current {current}")]
    Future { requested: Revision, current: Revision },
    #[error("the store is corrupt: {0}")]
    Corrupt(String),
}

/// What needs agreement, and nothing else. Memory, embedded and etcd implement it.
pub trait Backend: Send + Sync + fmt::Debug {
    /// Proposes a transaction and waits for its outcome. Dropping the future does not withdraw it.
    fn commit(&self, txn: Txn) -> BoxFuture<'_, Result<Outcome, StoreError>>;

    /// A revision such that every transaction acknowledged before this call is at or below it.
    fn barrier(&self) -> BoxFuture<'_, Result<Revision, StoreError>>;

    /// The state now and every batch after it, in order without a gap. The View calls it once.
    fn subscribe(&self) -> BoxFuture<'_, Result<Subscription, StoreError>>;

    /// History before `revision` may be dropped.
    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Whether this server leads its group: the one that proposes the deletes of expired keys.
    fn is_leader(&self) -> bool {
        true
    }

    /// Why writes are refused, for health checks; `Ok` while they are not.
    fn writable(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A consistent start and what follows it.
#[derive(Debug)]
pub struct Subscription {
    pub revision: Revision,
    /// Every live key with the revision of its last change and of its creation.
    pub state: Vec<StateEntry>,
    /// Bounded: a backend waits for the View rather than letting it fall behind.
    pub changes: tokio::sync::mpsc::Receiver<Arc<ChangeBatch>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateEntry {
    pub key: Key,
    pub value: Bytes,
    pub mod_revision: Revision,
    pub create_revision: Revision,
    pub expiry: Option<Expiry>,
}
