//! The loop that drives a member of the group: it proposes what is queued, hands the log to the disk, applies what is
//! committed and answers.
//!
//! One write to the log is in flight at a time, as a future beside the loop, so ticks and messages never wait for the
//! disk. In a group of one, requests stay queued while it is: all that have come when an fdatasync ends go out together,
//! in one entry and one write, with no timer. A transaction that this member proposed is applied from memory, where its
//! values are the caller's own bytes; only what is replayed after a start, or came from a peer, is decoded.
//!
//! When the disk fails, the state of the log's end is not known, so nothing is ever written to it again: transactions in
//! flight are [`Outcome::Unknown`], later ones refused, reads go on.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use component::Tasks;
use env::{Disk, DiskLock};
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Interval;
use tokio_util::sync::CancellationToken;

use super::log::{Batch, Log, LogEntry};
use super::raft::{Kind, Node, Work};
use super::snapshot::{self, Meta};
use super::transport::Transport;
use super::{Limits, Proposal, Request, Shared};
use crate::backend::{Outcome, StoreError, Txn};
use crate::codec;
use crate::feed::Subscriber;

/// Requests taken from the queue at once.
const REQUESTS_MAX: usize = 1024;

/// An entry is closed at this size; one transaction may be larger.
const ENTRY_BYTES: usize = 4 << 20;

/// Raft's unit of time, in a group with peers. A group of one has no timer.
const TICK: Duration = Duration::from_millis(100);

type Written = (Log, io::Result<()>);

type Reply = oneshot::Sender<Result<Outcome, StoreError>>;

pub(super) struct Driver {
    node: Node,
    shared: Arc<Shared>,
    requests: mpsc::Receiver<Request>,
    transport: Box<dyn Transport>,
    tasks: Tasks,
    token: CancellationToken,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Held while the loop runs, or a snapshot is written.
    lock: Arc<dyn DiskLock>,
    limits: Limits,

    /// `None` while a write is in flight, and for ever after one has failed.
    log: Option<Log>,
    writing: Option<BoxFuture<'static, Written>>,
    /// What the write in flight completes.
    in_flight: Pending,
    /// What the next write will hold.
    pending: Pending,

    proposed: VecDeque<Proposed>,
    to_apply: VecDeque<LogEntry>,
    applying: Option<Applying>,
    /// Index and term of the last entry that is applied as a whole.
    applied: (u64, u64),

    reads: VecDeque<PendingRead>,
    next_read: u64,

    log_bytes: u64,
    snapshotting: Option<Snapshotting>,
    /// Segments that a finished snapshot covers are to go.
    drop_until: Option<u64>,

    /// Rung once this member has applied everything that was acknowledged before it started.
    ready: Option<(u64, oneshot::Sender<()>)>,
    ticks: Option<Interval>,
}

/// Work whose log records go to disk together.
#[derive(Debug, Default)]
struct Pending {
    batch: Batch,
    /// The number of the last work in it; 0 when there is none.
    number: u64,
    messages_after: Vec<(u64, bytes::Bytes)>,
}

/// An entry that this member proposed.
struct Proposed {
    index: u64,
    term: u64,
    proposals: Vec<Proposal>,
}

/// An entry that is partly applied: a subscriber had no room.
struct Applying {
    index: u64,
    term: u64,
    txns: VecDeque<(Txn, Option<Reply>)>,
}

struct PendingRead {
    number: u64,
    /// Known once the group has answered.
    index: Option<u64>,
    reply: oneshot::Sender<Result<u64, StoreError>>,
}

struct Snapshotting {
    done: oneshot::Receiver<io::Result<()>>,
    index: u64,
    /// The log's size when it began.
    log_bytes: u64,
}

/// What the loop was woken by.
enum Wake {
    Stop,
    Written(Box<Written>),
    Room,
    Message(bytes::Bytes),
    Snapshot(io::Result<()>),
    Requests,
    Closed,
    Tick,
}

/// What a driver starts from.
pub(super) struct Start {
    pub(super) node: Node,
    pub(super) log: Log,
    pub(super) log_bytes: u64,
    pub(super) applied: (u64, u64),
    pub(super) shared: Arc<Shared>,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) transport: Box<dyn Transport>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    pub(super) lock: Arc<dyn DiskLock>,
    pub(super) limits: Limits,
    pub(super) tasks: Tasks,
    pub(super) ready: oneshot::Sender<()>,
}

impl Driver {
    pub(super) fn new(mut start: Start) -> Self {
        let has_peers = start.node.has_peers();
        let mut ticks = None;
        if has_peers {
            ticks = Some(tokio::time::interval(TICK));
        } else {
            // Nobody else can lead: no reason to wait for a timeout.
            start.node.campaign();
        }
        // The leader's own first entry; with it everything before it is committed. With peers, a barrier tells.
        let ready_at = if has_peers { 0 } else { start.node.last_index() };
        Self {
            node: start.node,
            shared: start.shared,
            requests: start.requests,
            transport: start.transport,
            token: start.tasks.token(),
            tasks: start.tasks,
            disk: start.disk,
            dir: start.dir,
            lock: start.lock,
            limits: start.limits,
            log: Some(start.log),
            writing: None,
            in_flight: Pending::default(),
            pending: Pending::default(),
            proposed: VecDeque::new(),
            to_apply: VecDeque::new(),
            applying: None,
            applied: start.applied,
            reads: VecDeque::new(),
            next_read: 0,
            log_bytes: start.log_bytes,
            snapshotting: None,
            drop_until: None,
            ready: Some((ready_at, start.ready)),
            ticks,
        }
    }

    /// Runs until the tasks stop, the last handle is dropped, or what is committed cannot be applied.
    pub(super) async fn run(mut self) {
        let mut requests = Vec::new();
        let mut stopping = false;
        loop {
            let full = match self.turn() {
                Ok(full) => full,
                Err(error) => {
                    tracing::error!(component = "store", %error, "the store stops");
                    self.shared.fail(error.to_string());
                    return;
                }
            };
            if stopping && self.writing.is_none() && full.is_none() {
                return;
            }
            match self.wait(full, &mut requests, stopping).await {
                Wake::Stop | Wake::Closed => {
                    stopping = true;
                    self.refuse_queued();
                }
                Wake::Written(written) => self.written(*written),
                Wake::Room => {}
                Wake::Message(message) => self.node.step(&message),
                Wake::Snapshot(result) => self.snapshot_done(result),
                Wake::Requests => self.take_requests(&mut requests),
                Wake::Tick => self.node.tick(),
            }
        }
    }

    async fn wait(&mut self, full: Option<Subscriber>, requests: &mut Vec<Request>, stopping: bool) -> Wake {
        let failed = self.shared.failure().is_some();
        // With peers, proposals go out to them while the disk is busy; alone, they gather.
        let accepting = !stopping && (failed || self.node.has_peers() || self.writing.is_none());
        tokio::select! {
            biased;
            () = self.token.cancelled(), if !stopping => Wake::Stop,
            written = poll_some(&mut self.writing) => Wake::Written(Box::new(written)),
            _ = room(full.as_ref()), if full.is_some() => Wake::Room,
            message = self.transport.receive() => Wake::Message(message),
            result = snapshot_end(&mut self.snapshotting) => Wake::Snapshot(result),
            n = self.requests.recv_many(requests, REQUESTS_MAX), if accepting => {
                if n == 0 { Wake::Closed } else { Wake::Requests }
            }
            () = tick(&mut self.ticks) => Wake::Tick,
        }
    }

    /// Does everything that can be done without waiting. Returns the subscriber that must make room first, if any.
    fn turn(&mut self) -> Result<Option<Subscriber>, StoreError> {
        loop {
            while let Some(work) = self.node.work() {
                self.take_work(work);
            }
            self.shared.set_leader(self.node.is_leader());
            self.write();
            let full = self.apply()?;
            self.answer_reads();
            if full.is_some() || !self.node_has_more() {
                self.snapshot_if_due();
                return Ok(full);
            }
        }
    }

    /// Applying, or work that needed no disk, may have made more work.
    fn node_has_more(&mut self) -> bool {
        match self.node.work() {
            Some(work) => {
                self.take_work(work);
                true
            }
            None => false,
        }
    }

    fn take_work(&mut self, work: Work) {
        self.send(work.messages);
        self.to_apply.extend(work.committed);
        for (number, index) in work.reads {
            if let Some(read) = self.reads.iter_mut().find(|r| r.number == number) {
                read.index = Some(index);
            }
        }
        if work.batch.is_empty() && self.pending.number == 0 && self.writing.is_none() {
            self.send(work.messages_after);
            self.node.persisted(work.number);
            return;
        }
        self.pending.number = work.number;
        self.pending.messages_after.extend(work.messages_after);
        if !work.batch.is_empty() {
            self.pending.batch.merge(work.batch);
        }
    }

    fn send(&mut self, messages: Vec<(u64, bytes::Bytes)>) {
        for (to, message) in messages {
            self.transport.send(to, message);
        }
    }

    /// Hands what is pending to the disk when it is idle.
    fn write(&mut self) {
        if self.pending.number == 0 && self.drop_until.is_none() {
            return;
        }
        let Some(mut log) = self.log.take() else { return };
        self.in_flight = std::mem::take(&mut self.pending);
        let batch = std::mem::take(&mut self.in_flight.batch);
        self.log_bytes += batch.bytes();
        let drop_until = self.drop_until.take();
        self.writing = Some(Box::pin(async move {
            if !batch.is_empty()
                && let Err(error) = log.append(batch).await
            {
                return (log, Err(error));
            }
            if let Some(index) = drop_until
                && let Err(error) = log.drop_until(index).await
            {
                // They only take room; the next snapshot tries again.
                tracing::warn!(component = "store", %error, "could not remove old log segments");
            }
            (log, Ok(()))
        }));
    }

    fn written(&mut self, (log, result): Written) {
        self.writing = None;
        let in_flight = std::mem::take(&mut self.in_flight);
        match result {
            Ok(()) => {
                self.log = Some(log);
                self.send(in_flight.messages_after);
                if in_flight.number != 0 {
                    self.node.persisted(in_flight.number);
                }
            }
            Err(error) => {
                tracing::error!(component = "store", %error, "the log cannot be written; writes are refused from now on");
                self.shared.fail(error.to_string());
                for proposed in self.proposed.drain(..) {
                    for proposal in proposed.proposals {
                        let _ = proposal.reply.send(Ok(Outcome::Unknown));
                    }
                }
                if let Some((_, ready)) = self.ready.take() {
                    drop(ready);
                }
            }
        }
    }

    fn take_requests(&mut self, requests: &mut Vec<Request>) {
        let mut proposals = Vec::new();
        let mut bytes = 0;
        for request in requests.drain(..) {
            match request {
                Request::Commit(proposal) => {
                    bytes += proposal.txn.size();
                    proposals.push(proposal);
                    if bytes >= ENTRY_BYTES {
                        self.propose(std::mem::take(&mut proposals));
                        bytes = 0;
                    }
                }
                Request::Barrier(reply) => {
                    self.next_read += 1;
                    self.reads.push_back(PendingRead { number: self.next_read, index: None, reply });
                }
            }
        }
        if !proposals.is_empty() {
            self.propose(proposals);
        }
        // One question serves all that wait for an answer.
        if self.reads.iter().any(|r| r.index.is_none()) {
            self.node.read(self.next_read);
        }
    }

    fn propose(&mut self, proposals: Vec<Proposal>) {
        if let Some(reason) = self.shared.failure() {
            for proposal in proposals {
                let _ = proposal.reply.send(Err(StoreError::Unwritable(reason.clone())));
            }
            return;
        }
        let data = codec::encode_batch(proposals.iter().map(|p| &p.txn));
        match self.node.propose(data) {
            Some((index, term)) => self.proposed.push_back(Proposed { index, term, proposals }),
            None => {
                for proposal in proposals {
                    let _ = proposal
                        .reply
                        .send(Err(StoreError::Overloaded("the group has no leader".to_owned())));
                }
            }
        }
    }

    fn refuse_queued(&mut self) {
        self.requests.close();
        while let Ok(request) = self.requests.try_recv() {
            match request {
                Request::Commit(proposal) => drop(proposal.reply.send(Err(StoreError::Stopped))),
                Request::Barrier(reply) => drop(reply.send(Err(StoreError::Stopped))),
            }
        }
    }

    /// Applies what is committed, until a subscriber has no room.
    fn apply(&mut self) -> Result<Option<Subscriber>, StoreError> {
        loop {
            if self.applying.is_none() {
                let Some(entry) = self.to_apply.pop_front() else { return Ok(None) };
                self.applying = Some(self.begin_entry(&entry)?);
            }
            let applying = self.applying.as_mut().expect("set above");
            while let Some((txn, reply)) = applying.txns.front_mut() {
                let applied = self.shared.feed.lock().try_apply(txn);
                match applied {
                    Err(full) => return Ok(Some(full)),
                    Ok(outcome) => {
                        if let Some(reply) = reply.take() {
                            let _ = reply.send(Ok(outcome));
                        }
                    }
                }
                applying.txns.pop_front();
            }
            self.applied = (applying.index, applying.term);
            self.applying = None;
            self.node.applied(self.applied.0);
            if self.ready.as_ref().is_some_and(|(at, _)| self.applied.0 >= *at)
                && let Some((_, ready)) = self.ready.take()
            {
                let _ = ready.send(());
            }
        }
    }

    /// The transactions of an entry: the caller's own when this member proposed it.
    fn begin_entry(&mut self, entry: &LogEntry) -> Result<Applying, StoreError> {
        let (index, term) = (entry.index, entry.term);
        let mut txns = VecDeque::new();
        if Node::kind_of(entry) == Kind::Members {
            self.node.apply_members(entry)?;
            return Ok(Applying { index, term, txns });
        }
        while self.proposed.front().is_some_and(|p| p.index <= index) {
            let proposed = self.proposed.pop_front().expect("there is a front");
            if (proposed.index, proposed.term) == (index, term) {
                txns.extend(proposed.proposals.into_iter().map(|p| (p.txn, Some(p.reply))));
                return Ok(Applying { index, term, txns });
            }
            // Another leader's entry took its place.
            for proposal in proposed.proposals {
                let _ = proposal.reply.send(Ok(Outcome::Unknown));
            }
        }
        // A leader's first entry is empty.
        if !entry.data.is_empty() {
            let decoded = codec::decode_batch(&entry.data);
            let decoded = decoded.map_err(|e| StoreError::Corrupt(format!("the log entry {index} {e}")))?;
            txns.extend(decoded.into_iter().map(|txn| (txn, None)));
        }
        Ok(Applying { index, term, txns })
    }

    fn answer_reads(&mut self) {
        let answered =
            self.reads.iter().filter(|r| r.index.is_some_and(|i| i <= self.applied.0)).map(|r| r.number);
        let Some(until) = answered.max() else { return };
        let revision = self.shared.feed.lock().state.revision();
        // A later question's answer is good for all before it.
        while let Some(read) = self.reads.pop_front_if(|r| r.number <= until) {
            let _ = read.reply.send(Ok(revision));
        }
    }

    fn snapshot_if_due(&mut self) {
        if self.snapshotting.is_some() || self.applying.is_some() || self.shared.failure().is_some() {
            return;
        }
        if self.log_bytes < self.limits.snapshot_log_bytes {
            return;
        }
        let revision = {
            let mut feed = self.shared.feed.lock();
            if self.log_bytes < feed.state.bytes() as u64 {
                return;
            }
            feed.state.pin();
            feed.state.revision()
        };
        let (index, term) = self.applied;
        let meta = Meta { index, term, revision, members: self.node.members() };
        let (reply, done) = oneshot::channel();
        let (disk, dir, shared) = (Arc::clone(&self.disk), self.dir.clone(), Arc::clone(&self.shared));
        let lock = Arc::clone(&self.lock);
        self.tasks.spawn("snapshot", async move {
            let _lock = lock;
            let result = snapshot::write(&disk, &dir, &meta, &shared.feed).await;
            let _ = reply.send(result);
        });
        self.snapshotting = Some(Snapshotting { done, index, log_bytes: self.log_bytes });
    }

    fn snapshot_done(&mut self, result: io::Result<()>) {
        let Some(done) = self.snapshotting.take() else { return };
        // Also after a failure: the next one is tried when the log has grown as much again.
        self.log_bytes -= done.log_bytes;
        match result {
            Ok(()) => self.drop_until = Some(done.index),
            Err(error) => {
                tracing::warn!(component = "store", %error, "could not write a snapshot; the log keeps growing")
            }
        }
    }
}

async fn poll_some(writing: &mut Option<BoxFuture<'static, Written>>) -> Written {
    match writing {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn room(full: Option<&Subscriber>) {
    if let Some(full) = full {
        drop(full.reserve().await);
    }
}

async fn snapshot_end(snapshotting: &mut Option<Snapshotting>) -> io::Result<()> {
    match snapshotting {
        Some(s) => (&mut s.done).await.unwrap_or_else(|_| Err(io::Error::other("the task ended"))),
        None => std::future::pending().await,
    }
}

async fn tick(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => {
            ticks.tick().await;
        }
        None => std::future::pending().await,
    }
}
