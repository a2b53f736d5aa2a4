//! The embedded backend: a raft group whose members keep a log and snapshots in a directory. This server is a group of
//! one; the parts are shaped for more (messages go through a [`transport::Transport`], reads can ask the group).
//!
//! What is acknowledged is in the log and synced. After a start the state is the newest snapshot and the log after it.
//! [`raft`] alone names the consensus library; [`log`] and [`snapshot`] own the files; [`driver`] is the loop between.

mod driver;
mod frame;
mod log;
mod raft;
mod snapshot;
#[cfg(test)]
mod tests;
pub mod transport;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use component::Tasks;
use env::Env;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::backend::{Backend, Outcome, Revision, StoreError, Subscription, Txn};
use crate::feed::Feed;
use driver::{Driver, Start};
use log::Log;
use raft::{FIRST_MEMBER, Node, Restored};
use transport::NoPeers;

/// Transactions that may wait for the disk. At a millisecond per fdatasync a full queue is gone in a few of them; more
/// would only be latency.
pub const PROPOSALS_MAX: usize = 4096;

/// Bytes of keys and values that may wait, for when transactions are large.
pub const PROPOSAL_BYTES_MAX: usize = 64 << 20;

/// Sizes that tests make small.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// A log segment that has reached this size is followed by a new one: small enough that old ones go soon after a
    /// snapshot, large enough that a new file is rare.
    segment_bytes: u64,
    /// A snapshot is made when the log since the last one has this size, or that of the live data when that is more:
    /// what is written twice then stays below what is written once.
    snapshot_log_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { segment_bytes: 8 << 20, snapshot_log_bytes: 16 << 20 }
    }
}

/// See the module.
pub struct Embedded {
    requests: mpsc::Sender<Request>,
    queued_bytes: Arc<AtomicUsize>,
    shared: Arc<Shared>,
    has_peers: bool,
}

/// What the driver and the callers share.
#[derive(Debug)]
struct Shared {
    feed: Mutex<Feed>,
    leader: AtomicBool,
    failed: AtomicBool,
    failure: Mutex<String>,
}

impl Shared {
    /// Refuses writes from now on.
    fn fail(&self, reason: String) {
        *self.failure.lock() = reason;
        self.failed.store(true, Ordering::Release);
    }

    fn failure(&self) -> Option<String> {
        self.failed.load(Ordering::Acquire).then(|| self.failure.lock().clone())
    }

    fn set_leader(&self, leader: bool) {
        self.leader.store(leader, Ordering::Release);
    }
}

enum Request {
    Commit(Proposal),
    Barrier(oneshot::Sender<Result<Revision, StoreError>>),
}

/// A transaction on its way.
struct Proposal {
    txn: Txn,
    reply: oneshot::Sender<Result<Outcome, StoreError>>,
    _queued: Queued,
}

/// Counts a transaction's bytes while it waits.
struct Queued(Arc<AtomicUsize>, usize);

impl Queued {
    fn new(bytes: &Arc<AtomicUsize>, n: usize) -> Option<Self> {
        let before = bytes.fetch_add(n, Ordering::AcqRel);
        let queued = Self(Arc::clone(bytes), n);
        // A single one always fits, whatever its size.
        (before == 0 || before + n <= PROPOSAL_BYTES_MAX).then_some(queued)
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::AcqRel);
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded")
            .field("revision", &self.shared.feed.lock().state.revision())
            .field("failure", &self.shared.failure())
            .finish_non_exhaustive()
    }
}

impl Embedded {
    /// Opens the store in `dir` as a group of one, making it when there is none. Ends once everything that was ever
    /// acknowledged is applied.
    pub async fn open(env: &Env, dir: &Path, tasks: &Tasks) -> Result<Self, StoreError> {
        Self::open_with(env, dir, tasks, Limits::default()).await
    }

    async fn open_with(env: &Env, dir: &Path, tasks: &Tasks, limits: Limits) -> Result<Self, StoreError> {
        let disk = Arc::clone(&env.disk);
        let unwritable = |e: io::Error| StoreError::Unwritable(format!("{}: {e}", dir.display()));
        disk.create_dir_all(dir).await.map_err(unwritable)?;
        let lock = disk.lock(&dir.join("lock")).await.map_err(|e| match e.kind() {
            io::ErrorKind::WouldBlock => StoreError::InUse(dir.display().to_string()),
            _ => unwritable(e),
        })?;
        let (meta, state) = snapshot::read(&disk, dir).await?;
        let (log, recovered) = Log::open(Arc::clone(&disk), dir, meta.index, limits.segment_bytes).await?;
        tracing::info!(
            component = "store",
            revision = state.revision(),
            entries = recovered.entries.len(),
            log_bytes = recovered.bytes,
            "opened the store"
        );
        let log_bytes = recovered.bytes;
        let restored = Restored {
            snapshot_index: meta.index,
            snapshot_term: meta.term,
            members: meta.members,
            hard_state: recovered.hard_state,
            entries: recovered.entries,
        };
        let node = Node::new(FIRST_MEMBER, restored, Arc::clone(&env.rng))?;
        let has_peers = node.has_peers();
        let shared = Arc::new(Shared {
            feed: Mutex::new(Feed::new(state)),
            leader: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            failure: Mutex::default(),
        });
        let (requests, receiver) = mpsc::channel(PROPOSALS_MAX);
        let (ready, is_ready) = oneshot::channel();
        let driver = Driver::new(Start {
            node,
            log,
            log_bytes,
            applied: (meta.index, meta.term),
            shared: Arc::clone(&shared),
            requests: receiver,
            transport: Box::new(NoPeers),
            disk,
            dir: dir.to_owned(),
            lock: lock.into(),
            limits,
            tasks: tasks.clone(),
            ready,
        });
        tasks.spawn("store", driver.run());
        if is_ready.await.is_err() {
            return Err(shared.failure().map_or(StoreError::Stopped, StoreError::Unwritable));
        }
        Ok(Self { requests, queued_bytes: Arc::default(), shared, has_peers })
    }
}

impl Backend for Embedded {
    fn commit(&self, txn: Txn) -> BoxFuture<'_, Result<Outcome, StoreError>> {
        Box::pin(async move {
            txn.validate()?;
            self.writable()?;
            let queued = Queued::new(&self.queued_bytes, txn.size()).ok_or_else(|| {
                StoreError::Overloaded(format!("more than {PROPOSAL_BYTES_MAX} bytes wait for the disk"))
            })?;
            let (reply, outcome) = oneshot::channel();
            let proposal = Proposal { txn, reply, _queued: queued };
            self.requests.try_send(Request::Commit(proposal)).map_err(|e| match e {
                mpsc::error::TrySendError::Full(_) => {
                    StoreError::Overloaded(format!("{PROPOSALS_MAX} transactions wait for the disk"))
                }
                mpsc::error::TrySendError::Closed(_) => StoreError::Stopped,
            })?;
            // No answer: the loop ended with it in its hands.
            outcome.await.unwrap_or(Ok(Outcome::Unknown))
        })
    }

    fn barrier(&self) -> BoxFuture<'_, Result<Revision, StoreError>> {
        Box::pin(async {
            // Nothing is acknowledged before it is applied here, and nobody else acknowledges.
            if !self.has_peers {
                return Ok(self.shared.feed.lock().state.revision());
            }
            let (reply, revision) = oneshot::channel();
            self.requests.send(Request::Barrier(reply)).await.map_err(|_| StoreError::Stopped)?;
            revision.await.unwrap_or(Err(StoreError::Stopped))
        })
    }

    fn subscribe(&self) -> BoxFuture<'_, Result<Subscription, StoreError>> {
        Box::pin(async { Ok(self.shared.feed.lock().subscribe()) })
    }

    /// Nothing to do: history is the View's, and the log is dropped by snapshots.
    fn compact(&self, _revision: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn is_leader(&self) -> bool {
        self.shared.leader.load(Ordering::Acquire)
    }

    fn writable(&self) -> Result<(), StoreError> {
        self.shared.failure().map_or(Ok(()), |reason| Err(StoreError::Unwritable(reason)))
    }
}
