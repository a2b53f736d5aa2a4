//! Snapshots: the state at one moment in one file, written in the background while transactions go on.
//!
//! The file is frames: a header (where in the log it stands, the revision, the group's members), records in order, and a
//! trailer with their number. It is written under a temporary name, synced, renamed, and its directory synced, before
//! anything older is removed; a temporary file found at start is removed. A snapshot under its own name was durable
//! once, so whatever is wrong with it is damage, and is refused.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use env::{Disk, DiskFile};
use parking_lot::Mutex;

use super::frame::{self, HEADER, Header};
use crate::apply::{Record, StateMachine};
use crate::backend::{Revision, StateEntry, StoreError};
use crate::codec::{DecodeError, Reader, put_state_entry, put_u64, read_state_entry};
use crate::feed::Feed;

const VERSION: u64 = 1;
const FRAME_HEADER: u8 = 1;
const FRAME_RECORDS: u8 = 2;
const FRAME_TRAILER: u8 = 3;

/// Keys taken under one hold of the state's lock: some tens of microseconds.
const CHUNK: usize = 256;

/// A frame of records is written once it has this size.
const FRAME_BYTES: usize = 1 << 20;

/// Read at once.
const READ_BYTES: usize = 1 << 20;

/// Where a snapshot stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) index: u64,
    pub(super) term: u64,
    pub(super) revision: Revision,
    /// The group's members, as raft encodes them; empty for a new group.
    pub(super) members: Vec<u8>,
}

fn name(index: u64) -> String {
    format!("snapshot-{index:016x}")
}

fn parse_name(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_prefix("snapshot-")?, 16).ok()
}

fn temporary(dir: &Path) -> PathBuf {
    dir.join("snapshot.tmp")
}

/// Writes the state that `feed` has pinned, then removes older snapshots. The pin is gone afterwards.
pub(super) async fn write(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    meta: &Meta,
    feed: &Mutex<Feed>,
) -> io::Result<()> {
    let result = write_temporary(disk, dir, meta, feed).await;
    feed.lock().state.unpin();
    result?;
    disk.rename(&temporary(dir), &dir.join(name(meta.index))).await?;
    disk.sync_dir(dir).await?;
    for other in disk.list(dir).await? {
        if parse_name(&other).is_some_and(|index| index < meta.index) {
            disk.remove(&dir.join(other)).await?;
        }
    }
    Ok(())
}

async fn write_temporary(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    meta: &Meta,
    feed: &Mutex<Feed>,
) -> io::Result<()> {
    let mut file = disk.open_append(&temporary(dir)).await?;
    // One that failed half-way may have left something.
    file.truncate(0).await?;
    let mut out = frame::begin();
    out.push(FRAME_HEADER);
    for n in [VERSION, meta.index, meta.term, meta.revision, meta.members.len() as u64] {
        put_u64(&mut out, n);
    }
    out.extend_from_slice(&meta.members);
    append(file.as_mut(), out).await?;
    let mut n_records = 0;
    let mut records = Records::default();
    loop {
        let chunk = feed.lock().state.next_pinned(CHUNK);
        let Some(chunk) = chunk else { break };
        for entry in chunk {
            n_records += 1;
            if records.add(&entry) {
                append(file.as_mut(), std::mem::take(&mut records).0).await?;
            }
        }
        // Requests go first on a server with one thread.
        tokio::task::yield_now().await;
    }
    if !records.0.is_empty() {
        append(file.as_mut(), records.0).await?;
    }
    let mut out = frame::begin();
    out.push(FRAME_TRAILER);
    put_u64(&mut out, n_records);
    append(file.as_mut(), out).await?;
    file.sync_data().await
}

async fn append(file: &mut dyn DiskFile, mut frame: Vec<u8>) -> io::Result<()> {
    frame::finish(&mut frame);
    file.append(frame.into()).await
}

#[derive(Default)]
struct Records(Vec<u8>);

impl Records {
    /// True when the frame is full.
    fn add(&mut self, entry: &StateEntry) -> bool {
        if self.0.is_empty() {
            self.0 = frame::begin();
            self.0.push(FRAME_RECORDS);
        }
        put_state_entry(&mut self.0, entry);
        self.0.len() >= FRAME_BYTES
    }
}

/// Reads the newest snapshot, the empty state when there is none, and clears away what an interrupted one left.
pub(super) async fn read(disk: &Arc<dyn Disk>, dir: &Path) -> Result<(Meta, StateMachine), StoreError> {
    let broken = |error: io::Error| StoreError::Corrupt(format!("{} cannot be read: {error}", dir.display()));
    let names = disk.list(dir).await.map_err(broken)?;
    if names.iter().any(|n| Some(&**n) == temporary(dir).file_name().and_then(|n| n.to_str())) {
        disk.remove(&temporary(dir)).await.map_err(|e| StoreError::Unwritable(e.to_string()))?;
    }
    let Some(newest) = names.iter().filter_map(|n| parse_name(n)).max() else {
        return Ok((Meta::default(), StateMachine::default()));
    };
    let mut file = FrameFile { disk, path: dir.join(name(newest)), offset: 0, buffer: Bytes::new() };
    let mut loader = Loader::default();
    loop {
        let offset = file.offset;
        let corrupt = |why: &dyn std::fmt::Display| {
            StoreError::Corrupt(format!("{} at offset {offset}: {why}", dir.join(name(newest)).display()))
        };
        let payload = file.next().await.map_err(|e| corrupt(&e))?;
        if loader.frame(&payload).map_err(|e| corrupt(&e))? {
            break;
        }
    }
    let state = StateMachine::restore(loader.meta.revision, loader.records);
    Ok((loader.meta, state))
}

#[derive(Default)]
struct Loader {
    meta: Meta,
    begun: bool,
    records: BTreeMap<Arc<str>, Record>,
}

impl Loader {
    /// Takes one frame; true after the last.
    fn frame(&mut self, payload: &[u8]) -> Result<bool, DecodeError> {
        let mut r = Reader::new(payload);
        match (r.u8()?, self.begun) {
            (FRAME_HEADER, false) => {
                if r.u64()? != VERSION {
                    return Err(DecodeError("an unknown version of the format"));
                }
                let (index, term, revision) = (r.u64()?, r.u64()?, r.u64()?);
                self.meta = Meta { index, term, revision, members: r.bytes()?.to_vec() };
                self.begun = true;
                Ok(false)
            }
            (FRAME_RECORDS, true) => {
                while !r.is_empty() {
                    let StateEntry { key, value, mod_revision, create_revision, expiry } =
                        read_state_entry(&mut r)?;
                    self.records.insert(key, Record { value, mod_revision, create_revision, expiry });
                }
                Ok(false)
            }
            (FRAME_TRAILER, true) => {
                if r.u64()? == self.records.len() as u64 {
                    Ok(true)
                } else {
                    Err(DecodeError("records are missing"))
                }
            }
            _ => Err(DecodeError("an unexpected kind of frame")),
        }
    }
}

/// Reads frames one after the other, without holding the whole file.
struct FrameFile<'a> {
    disk: &'a Arc<dyn Disk>,
    path: PathBuf,
    /// Of the next frame.
    offset: u64,
    /// What has been read from there on.
    buffer: Bytes,
}

impl FrameFile<'_> {
    async fn next(&mut self) -> io::Result<Bytes> {
        let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
        self.fill(HEADER).await?;
        let header = Header::parse(&self.buffer).ok_or_else(|| invalid("a checksum does not match"))?;
        let whole = HEADER + header.len;
        self.fill(whole).await?;
        if !header.matches(&self.buffer[HEADER..whole]) {
            return Err(invalid("a checksum does not match"));
        }
        let payload = self.buffer.slice(HEADER..whole - 1);
        self.offset += whole as u64;
        self.buffer = self.buffer.slice(whole..);
        Ok(payload)
    }

    /// Makes sure that the buffer has `len` bytes.
    async fn fill(&mut self, len: usize) -> io::Result<()> {
        if self.buffer.len() < len {
            self.buffer = self.disk.read_range(&self.path, self.offset, len.max(READ_BYTES)).await?;
        }
        if self.buffer.len() < len { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}
