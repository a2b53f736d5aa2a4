//! The consensus library, wrapped: the one module that names it, its messages and its logger.
//!
//! A [`Node`] is a raft group's member without clock, disk and network: what it wants done comes out as [`Work`]. It
//! draws election timeouts from the environment's generator, so that simulation replays them (the library would ask the
//! thread's). Inside, entries are kept from when they are proposed until they are applied; the disk has them for ever
//! after.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use protobuf::Message as _;
use raft::prelude::{ConfChange, ConfChangeV2, ConfState, Entry, EntryType, HardState, Message, Snapshot};
use raft::{
    Config, Error, GetEntriesContext, RaftState, RawNode, ReadOnlyOption, StateRole, Storage, StorageError,
};

use super::log::{self, Batch, LogEntry};
use crate::backend::StoreError;

/// The member that starts a new group.
pub(super) const FIRST_MEMBER: u64 = 1;

/// With peers: a heartbeat each tick, an election after ten to twenty without one.
const ELECTION_TICKS: usize = 10;
const HEARTBEAT_TICKS: usize = 1;

/// Applied entries that are kept for followers that are a little behind.
const KEPT_FOR_PEERS: u64 = 4096;

/// Entries sent to a follower at once.
const MESSAGE_BYTES: u64 = 1 << 20;
const MESSAGES_IN_FLIGHT: usize = 64;

/// What opening the log and the snapshot brought.
#[derive(Debug)]
pub(super) struct Restored {
    pub(super) snapshot_index: u64,
    pub(super) snapshot_term: u64,
    /// As [`Node::members`] gave it; empty for a new group.
    pub(super) members: Vec<u8>,
    pub(super) hard_state: log::HardState,
    pub(super) entries: VecDeque<LogEntry>,
}

/// What the node wants done.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// To be reported by [`Node::persisted`] once `batch` is durable, and everything of earlier work.
    pub(super) number: u64,
    /// May be sent at once.
    pub(super) messages: Vec<(u64, Bytes)>,
    /// May be sent once `batch` is durable.
    pub(super) messages_after: Vec<(u64, Bytes)>,
    pub(super) batch: Batch,
    /// To be applied in order; durable already.
    pub(super) committed: Vec<LogEntry>,
    /// Reads by their number, each good from an index on.
    pub(super) reads: Vec<(u64, u64)>,
}

/// How a committed entry is to be applied.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    /// A change of the group's members: [`Node::apply_members`].
    Members,
}

/// A member of the group.
pub(super) struct Node {
    raw: RawNode<Entries>,
    /// Drawn once: the timeouts of all terms follow from it.
    seed: u64,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("term", &self.raw.raft.term)
            .field("role", &self.raw.raft.state)
            .field("committed", &self.raw.raft.raft_log.committed)
            .finish_non_exhaustive()
    }
}

impl Node {
    pub(super) fn new(id: u64, restored: Restored, rng: Arc<dyn env::Rng>) -> Result<Self, StoreError> {
        let broken =
            |error: &dyn std::fmt::Display| StoreError::Corrupt(format!("the group's state: {error}"));
        let config = Config {
            id,
            election_tick: ELECTION_TICKS,
            heartbeat_tick: HEARTBEAT_TICKS,
            applied: restored.snapshot_index,
            max_size_per_msg: MESSAGE_BYTES,
            max_inflight_msgs: MESSAGES_IN_FLIGHT,
            check_quorum: true,
            pre_vote: true,
            read_only_option: ReadOnlyOption::Safe,
            ..Config::default()
        };
        let entries = Entries::new(restored).map_err(|e| broken(&e))?;
        let logger = slog::Logger::root(ToTracing, slog::o!());
        let raw = RawNode::new(&config, entries, &logger).map_err(|e| broken(&e))?;
        let mut node = Self { raw, seed: rng.next_u64() };
        node.seed_timeout();
        Ok(node)
    }

    /// Replaces the election timeout, which the library draws anew whenever it likes, by this term's. Not drawn here: how
    /// often the library has drawn cannot be seen, as two draws may be equal.
    fn seed_timeout(&mut self) {
        let mixed = (self.seed ^ self.raw.raft.term).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let extra = usize::try_from(mixed).unwrap_or(0) % ELECTION_TICKS;
        self.raw.raft.set_randomized_election_timeout(ELECTION_TICKS + extra);
    }

    pub(super) fn has_peers(&self) -> bool {
        !self.raw.raft.prs().is_singleton()
    }

    pub(super) fn is_leader(&self) -> bool {
        self.raw.raft.state == StateRole::Leader
    }

    /// The last entry that this member has proposed or received.
    pub(super) fn last_index(&self) -> u64 {
        self.raw.raft.raft_log.last_index()
    }

    /// Stands for election. A group of one has its leader when this returns.
    pub(super) fn campaign(&mut self) {
        if let Err(error) = self.raw.campaign() {
            tracing::warn!(component = "store", %error, "could not stand for election");
        }
        self.seed_timeout();
    }

    pub(super) fn tick(&mut self) {
        self.raw.tick();
        self.seed_timeout();
    }

    /// Takes a message from another member.
    pub(super) fn step(&mut self, bytes: &[u8]) {
        let mut message = Message::default();
        let taken =
            message.merge_from_bytes(bytes).map_err(Error::from).and_then(|()| self.raw.step(message));
        if let Err(error) = taken {
            tracing::debug!(component = "store", %error, "a message from a peer was not taken");
        }
        self.seed_timeout();
    }

    /// Proposes an entry and returns its index and term; `None` when this member does not lead.
    pub(super) fn propose(&mut self, data: Vec<u8>) -> Option<(u64, u64)> {
        if !self.is_leader() {
            return None;
        }
        self.raw.propose(Vec::new(), data).ok()?;
        Some((self.last_index(), self.raw.raft.term))
    }

    /// Asks for an index from which on a read sees everything acknowledged before. Answered in [`Work::reads`], or not
    /// at all when there is no leader.
    pub(super) fn read(&mut self, number: u64) {
        self.raw.read_index(number.to_le_bytes().to_vec());
    }

    /// The next work, in order; `None` when there is none for now.
    pub(super) fn work(&mut self) -> Option<Work> {
        if !self.raw.has_ready() {
            return None;
        }
        let mut ready = self.raw.ready();
        let mut work = Work { number: ready.number(), ..Work::default() };
        work.messages = encode(ready.take_messages());
        work.messages_after = encode(ready.take_persisted_messages());
        for entry in ready.entries() {
            // The library numbers kinds from 0 to 2.
            let kind = u8::try_from(entry.entry_type).unwrap_or(u8::MAX);
            work.batch.entry(entry.index, entry.term, kind, &entry.data);
        }
        if let Some(hs) = ready.hs()
            && (ready.must_sync() || !work.batch.is_empty())
        {
            // A commit index alone is not worth a write: it is found again.
            work.batch.hard_state(log::HardState { term: hs.term, vote: hs.vote, commit: hs.commit });
        }
        let state = self.raw.mut_store();
        if let Some(hs) = ready.hs() {
            state.hard_state = hs.clone();
        }
        state.append(ready.take_entries());
        work.committed = ready.take_committed_entries().into_iter().map(from_raft).collect();
        work.reads = ready.take_read_states().into_iter().filter_map(|r| read_number(&r)).collect();
        self.raw.advance_append_async(ready);
        Some(work)
    }

    /// The work of this number, and all before it, is durable.
    pub(super) fn persisted(&mut self, number: u64) {
        self.raw.on_persist_ready(number);
    }

    /// Everything up to `index` is applied, so nobody here asks for it any more.
    pub(super) fn applied(&mut self, index: u64) {
        self.raw.advance_apply_to(index);
        let keep = if self.has_peers() { KEPT_FOR_PEERS } else { 0 };
        self.raw.mut_store().drop_until(index.saturating_sub(keep));
    }

    pub(super) fn kind_of(entry: &LogEntry) -> Kind {
        if i32::from(entry.kind) == EntryType::EntryNormal as i32 { Kind::Data } else { Kind::Members }
    }

    /// Applies a committed change of members.
    pub(super) fn apply_members(&mut self, entry: &LogEntry) -> Result<(), StoreError> {
        let applied = if i32::from(entry.kind) == EntryType::EntryConfChange as i32 {
            let mut change = ConfChange::default();
            change
                .merge_from_bytes(&entry.data)
                .map_err(Error::from)
                .and_then(|()| self.raw.apply_conf_change(&change))
        } else {
            let mut change = ConfChangeV2::default();
            change
                .merge_from_bytes(&entry.data)
                .map_err(Error::from)
                .and_then(|()| self.raw.apply_conf_change(&change))
        };
        let broken =
            |e: Error| StoreError::Corrupt(format!("the change of members at index {}: {e}", entry.index));
        self.raw.mut_store().members = applied.map_err(broken)?;
        Ok(())
    }

    /// The group's members as applied, for a snapshot.
    pub(super) fn members(&self) -> Vec<u8> {
        self.raw.store().members.write_to_bytes().expect("encoding to memory does not fail")
    }
}

fn encode(messages: Vec<Message>) -> Vec<(u64, Bytes)> {
    let bytes = |m: &Message| Bytes::from(m.write_to_bytes().expect("encoding to memory does not fail"));
    messages.iter().map(|m| (m.to, bytes(m))).collect()
}

fn from_raft(entry: Entry) -> LogEntry {
    let kind = u8::try_from(entry.entry_type).unwrap_or(u8::MAX);
    LogEntry { index: entry.index, term: entry.term, kind, data: entry.data }
}

fn read_number(read: &raft::ReadState) -> Option<(u64, u64)> {
    let number = read.request_ctx.as_slice().try_into().ok()?;
    Some((u64::from_le_bytes(number), read.index))
}

/// The part of the log that the library reads: what is not applied yet.
struct Entries {
    hard_state: HardState,
    members: ConfState,
    entries: VecDeque<Entry>,
    /// The index and term of the entry before the first.
    before: (u64, u64),
}

impl Entries {
    fn new(restored: Restored) -> raft::Result<Self> {
        let mut members = ConfState::default();
        if restored.members.is_empty() {
            members.voters.push(FIRST_MEMBER);
        } else {
            members.merge_from_bytes(&restored.members)?;
        }
        let entries: VecDeque<Entry> = restored.entries.into_iter().map(to_raft).collect();
        let before = (restored.snapshot_index, restored.snapshot_term);
        let last = entries.back().map_or(before, |e| (e.index, e.term));
        // The vote may be older than the snapshot, which is from the same or a later term.
        let mut hard_state = HardState { term: restored.hard_state.term.max(last.1), ..HardState::default() };
        if hard_state.term == restored.hard_state.term {
            hard_state.vote = restored.hard_state.vote;
        }
        hard_state.commit = restored.hard_state.commit.clamp(before.0, last.0);
        Ok(Self { hard_state, members, entries, before })
    }

    fn append(&mut self, new: Vec<Entry>) {
        let Some(first) = new.first() else { return };
        while self.entries.back().is_some_and(|e| e.index >= first.index) {
            self.entries.pop_back();
        }
        self.entries.extend(new);
    }

    fn drop_until(&mut self, index: u64) {
        while self.entries.front().is_some_and(|e| e.index <= index) {
            let entry = self.entries.pop_front().expect("there is a front");
            self.before = (entry.index, entry.term);
        }
    }

    fn get(&self, index: u64) -> raft::Result<&Entry> {
        let i = index.checked_sub(self.before.0 + 1).ok_or(Error::Store(StorageError::Compacted))?;
        let entry = usize::try_from(i).ok().and_then(|i| self.entries.get(i));
        entry.ok_or(Error::Store(StorageError::Unavailable))
    }
}

fn to_raft(entry: LogEntry) -> Entry {
    Entry {
        entry_type: i32::from(entry.kind),
        term: entry.term,
        index: entry.index,
        data: entry.data,
        ..Entry::default()
    }
}

impl Storage for Entries {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(self.hard_state.clone(), self.members.clone()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        let max_size = max_size.into().unwrap_or(u64::MAX);
        let mut size = 0;
        let mut found = Vec::new();
        for index in low..high {
            let entry = self.get(index)?;
            size += entry.data.len() as u64 + 32;
            if size > max_size && !found.is_empty() {
                break;
            }
            found.push(entry.clone());
        }
        Ok(found)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.before.0 { Ok(self.before.1) } else { self.get(index).map(|e| e.term) }
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.before.0 + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.before.0 + self.entries.len() as u64)
    }

    /// A follower that needs what has left memory is told to wait: there is nobody to ask in a group of one.
    fn snapshot(&self, _request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable))
    }
}

/// The library's log lines, among ours.
struct ToTracing;

impl slog::Drain for ToTracing {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &slog::Record<'_>, _values: &slog::OwnedKVList) -> Result<(), slog::Never> {
        let message = record.msg();
        match record.level() {
            slog::Level::Critical | slog::Level::Error => tracing::error!(component = "raft", "{message}"),
            slog::Level::Warning => tracing::warn!(component = "raft", "{message}"),
            slog::Level::Info | slog::Level::Debug => tracing::debug!(component = "raft", "{message}"),
            slog::Level::Trace => tracing::trace!(component = "raft", "{message}"),
        }
        Ok(())
    }
}
