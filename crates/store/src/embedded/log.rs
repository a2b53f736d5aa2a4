//! The log on disk: segments of frames, appended to by one writer, each append one write and one fdatasync.
//!
//! A frame holds records: entries of the group and the vote ("hard state"). Each segment starts with the number that its
//! name says, the index of its first entry and the vote, so older segments can go once a snapshot covers their entries. An entry with an index that is
//! there already replaces it and what follows, as raft wants. On opening, the torn end of the last segment is cut; any
//! other disagreement is [`StoreError::Corrupt`], with the file and the offset.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use env::{Disk, DiskFile};

use super::frame::{self, End};
use crate::backend::StoreError;
use crate::codec::{DecodeError, Reader, put_u64};

/// Written into each segment; a program that does not know the number refuses it.
const VERSION: u64 = 1;

const RECORD_SEGMENT: u8 = 1;
const RECORD_HARD_STATE: u8 = 2;
const RECORD_ENTRY: u8 = 3;
/// What a record takes besides its data, a hard state after it and a frame's end included.
const RECORD_ROOM: usize = 64;

/// What a member must not forget: the term it is in and whom it voted for; and how far it knew the log to be committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HardState {
    pub(super) term: u64,
    pub(super) vote: u64,
    pub(super) commit: u64,
}

/// An entry of the group's log. `kind` is raft's own number for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LogEntry {
    pub(super) index: u64,
    pub(super) term: u64,
    pub(super) kind: u8,
    pub(super) data: Vec<u8>,
}

/// What goes to disk together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    records: Vec<u8>,
    /// The first and last index of the entries in it.
    indexes: Option<(u64, u64)>,
    hard_state: Option<HardState>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn frame(&mut self) -> &mut Vec<u8> {
        if self.records.is_empty() {
            self.records = frame::begin();
        }
        &mut self.records
    }

    pub(super) fn entry(&mut self, index: u64, term: u64, kind: u8, data: &[u8]) {
        let out = self.frame();
        // With what ends the frame: a large frame is not to be moved for its last byte.
        out.reserve(data.len() + RECORD_ROOM);
        out.push(RECORD_ENTRY);
        put_u64(out, index);
        put_u64(out, term);
        out.push(kind);
        put_u64(out, data.len() as u64);
        out.extend_from_slice(data);
        let first = self.indexes.map_or(index, |(first, _)| first.min(index));
        self.indexes = Some((first, index));
    }

    pub(super) fn hard_state(&mut self, hard_state: HardState) {
        put_hard_state(self.frame(), hard_state);
        self.hard_state = Some(hard_state);
    }

    /// Puts `later` behind this one, into the same frame.
    pub(super) fn merge(&mut self, later: Batch) {
        if self.is_empty() {
            *self = later;
            return;
        }
        self.records.extend_from_slice(later.records.get(frame::HEADER..).unwrap_or_default());
        self.indexes = match (self.indexes, later.indexes) {
            (Some((a, _)), Some((b, last))) => Some((a.min(b), last)),
            (a, b) => b.or(a),
        };
        self.hard_state = later.hard_state.or(self.hard_state);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.records.len() as u64
    }
}

fn put_hard_state(out: &mut Vec<u8>, hard_state: HardState) {
    out.push(RECORD_HARD_STATE);
    put_u64(out, hard_state.term);
    put_u64(out, hard_state.vote);
    put_u64(out, hard_state.commit);
}

/// What a log held when it was opened.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    pub(super) hard_state: HardState,
    /// Those after the snapshot, without a gap.
    pub(super) entries: VecDeque<LogEntry>,
    pub(super) bytes: u64,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    /// The lowest index that an entry in it can have.
    first_index: u64,
}

/// The writer.
#[derive(Debug)]
pub(super) struct Log {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Oldest first; the last one is being written.
    segments: VecDeque<Segment>,
    file: Option<Box<dyn DiskFile>>,
    hard_state: HardState,
    next_index: u64,
    segment_bytes: u64,
}

fn name(number: u64) -> String {
    format!("log-{number:016x}")
}

fn parse_name(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_prefix("log-")?, 16).ok()
}

impl Log {
    /// Reads what is there after the snapshot at `snapshot_index`, repairing a torn end. A segment that has reached
    /// `segment_bytes` is followed by a new one.
    pub(super) async fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        snapshot_index: u64,
        segment_bytes: u64,
    ) -> Result<(Self, Recovered), StoreError> {
        let names = disk.list(dir).await.map_err(|e| unreadable(dir, &e))?;
        let numbers: Vec<u64> = names.iter().filter_map(|n| parse_name(n)).collect();
        let mut log = Self {
            disk,
            dir: dir.to_owned(),
            segments: VecDeque::new(),
            file: None,
            hard_state: HardState::default(),
            next_index: snapshot_index + 1,
            segment_bytes,
        };
        let mut recovery = Recovery { snapshot_index, out: Recovered::default() };
        // Removals of old segments may survive a crash in any order, so those before a gap are such leftovers; each
        // segment names its first entry, so a segment that is missed is noticed.
        let gap = (1..numbers.len()).rev().find(|i| numbers[i - 1] + 1 != numbers[*i]).unwrap_or(0);
        let (leftovers, numbers) = numbers.split_at(gap);
        for (i, number) in numbers.iter().enumerate() {
            log.recover_segment(*number, i + 1 == numbers.len(), &mut recovery).await?;
        }
        for number in leftovers {
            log.disk.remove(&dir.join(name(*number))).await.map_err(|e| unwritable(&e))?;
        }
        let recovered = recovery.out;
        log.hard_state = recovered.hard_state;
        log.next_index = recovered.entries.back().map_or(snapshot_index, |e| e.index) + 1;
        Ok((log, recovered))
    }

    async fn recover_segment(
        &mut self,
        number: u64,
        last: bool,
        to: &mut Recovery,
    ) -> Result<(), StoreError> {
        let path = self.dir.join(name(number));
        let bytes = self.disk.read(&path).await.map_err(|e| unreadable(&path, &e))?;
        let corrupt = |offset: usize, why: &dyn std::fmt::Display| {
            StoreError::Corrupt(format!("{} at offset {offset}: {why}", path.display()))
        };
        let (payloads, end) = frame::scan(&bytes);
        let kept = match end {
            End::Clean => bytes.len(),
            End::Torn { offset } if last => {
                let lost = bytes.len() - offset;
                tracing::warn!(component = "store", file = %path.display(), offset, bytes = lost, "cut the torn end");
                offset
            }
            End::Torn { offset } => {
                return Err(corrupt(offset, &"it ends early, and a later segment follows"));
            }
            End::Damaged { offset } => return Err(corrupt(offset, &"a checksum does not match")),
        };
        let first_index = to.next_index();
        let mut first_index_in = first_index;
        for (i, payload) in payloads.iter().enumerate() {
            let lowest = to
                .frame(&bytes[payload.clone()], (i == 0).then_some(number))
                .map_err(|e| corrupt(payload.start, &e))?;
            first_index_in = first_index_in.min(lowest.unwrap_or(first_index));
        }
        to.out.bytes += kept as u64;
        if last {
            // One without its first frame is written from the start, under the same number.
            let mut file = self.disk.open_append(&path).await.map_err(|e| unwritable(&e))?;
            if kept < bytes.len() {
                file.truncate(kept as u64).await.map_err(|e| unwritable(&e))?;
                file.sync_data().await.map_err(|e| unwritable(&e))?;
            }
            if payloads.is_empty() {
                begin_segment(file.as_mut(), number, first_index, to.out.hard_state)
                    .await
                    .map_err(|e| unwritable(&e))?;
            }
            // The names that survived a crash may not have been durable before it.
            self.disk.sync_dir(&self.dir).await.map_err(|e| unwritable(&e))?;
            self.file = Some(file);
        }
        self.segments.push_back(Segment { number, first_index: first_index_in });
        Ok(())
    }

    /// Makes `batch` durable. After an error the log must not be written to any more: what is in the file is not known.
    pub(super) async fn append(&mut self, mut batch: Batch) -> io::Result<()> {
        if self.file.as_ref().is_none_or(|f| f.len() >= self.segment_bytes) {
            let number = self.segments.back().map_or(1, |s| s.number + 1);
            let mut file = self.disk.open_append(&self.dir.join(name(number))).await?;
            begin_segment(file.as_mut(), number, self.next_index, self.hard_state).await?;
            self.disk.sync_dir(&self.dir).await?;
            self.segments.push_back(Segment { number, first_index: self.next_index });
            self.file = Some(file);
        }
        frame::finish(batch.frame());
        let file = self.file.as_mut().expect("a segment was begun above");
        file.append_sync(Bytes::from(batch.records)).await?;
        if let Some((first, last)) = batch.indexes {
            let segment = self.segments.back_mut().expect("a file has its segment");
            segment.first_index = segment.first_index.min(first);
            self.next_index = last + 1;
        }
        self.hard_state = batch.hard_state.unwrap_or(self.hard_state);
        Ok(())
    }

    /// Removes the segments that a snapshot at `index` makes superfluous.
    pub(super) async fn drop_until(&mut self, index: u64) -> io::Result<()> {
        let mut dropped = false;
        while self.segments.len() > 1 && self.segments[1].first_index <= index + 1 {
            let path = self.dir.join(name(self.segments[0].number));
            self.disk.remove(&path).await?;
            self.segments.pop_front();
            dropped = true;
        }
        if dropped { self.disk.sync_dir(&self.dir).await } else { Ok(()) }
    }
}

/// Writes what a segment starts with.
async fn begin_segment(
    file: &mut dyn DiskFile,
    number: u64,
    first_index: u64,
    hard_state: HardState,
) -> io::Result<()> {
    let mut frame = frame::begin();
    frame.push(RECORD_SEGMENT);
    put_u64(&mut frame, VERSION);
    put_u64(&mut frame, number);
    put_u64(&mut frame, first_index);
    put_hard_state(&mut frame, hard_state);
    frame::finish(&mut frame);
    file.append_sync(frame.into()).await
}

/// Puts records in order as they are read.
struct Recovery {
    snapshot_index: u64,
    out: Recovered,
}

impl Recovery {
    fn next_index(&self) -> u64 {
        self.out.entries.back().map_or(self.snapshot_index, |e| e.index) + 1
    }

    /// Takes one frame; the first of a segment must name it. Returns the lowest index in it.
    fn frame(&mut self, payload: &[u8], segment: Option<u64>) -> Result<Option<u64>, DecodeError> {
        let mut r = Reader::new(payload);
        if let Some(number) = segment {
            if (r.u8()?, r.u64()?, r.u64()?) != (RECORD_SEGMENT, VERSION, number) {
                return Err(DecodeError("it is not the segment that its name says, or of another version"));
            }
            if r.u64()? > self.next_index() {
                return Err(DecodeError("entries are missing before it"));
            }
        }
        let mut lowest = None;
        while !r.is_empty() {
            match r.u8()? {
                RECORD_HARD_STATE => {
                    self.out.hard_state = HardState { term: r.u64()?, vote: r.u64()?, commit: r.u64()? };
                }
                RECORD_ENTRY => {
                    let (index, term, kind) = (r.u64()?, r.u64()?, r.u8()?);
                    let data = r.bytes()?.to_vec();
                    lowest = Some(lowest.map_or(index, |l: u64| l.min(index)));
                    self.entry(LogEntry { index, term, kind, data })?;
                }
                _ => return Err(DecodeError("an unknown kind of record")),
            }
        }
        Ok(lowest)
    }

    fn entry(&mut self, entry: LogEntry) -> Result<(), DecodeError> {
        if entry.index <= self.snapshot_index {
            return Ok(());
        }
        while self.out.entries.back().is_some_and(|e| e.index >= entry.index) {
            self.out.entries.pop_back();
        }
        if entry.index != self.next_index() {
            return Err(DecodeError("entries are missing before it"));
        }
        self.out.entries.push_back(entry);
        Ok(())
    }
}

fn unreadable(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Corrupt(format!("{} cannot be read: {error}", path.display()))
}

fn unwritable(error: &io::Error) -> StoreError {
    StoreError::Unwritable(error.to_string())
}
