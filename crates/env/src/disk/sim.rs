//! A disk in memory that can crash: of what was not synced, the seed decides how much survives.
//!
//! File data and directory entries are durable apart, as on a real file system: `sync_data` keeps the bytes of a file,
//! `sync_dir` keeps the names (creations, renames, removals) in a directory. Of the changes of names that were not synced
//! any may survive, in no order but that of the changes of one name: journals do better, but promise nothing. It does
//! not model bytes written out of order or bad sectors; tests flip bits for those.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::{Disk, DiskFile, DiskLock};
use crate::rng::{Rng as _, SeededRng};

/// A disk in memory. Clones are the same disk.
#[derive(Debug, Clone)]
pub struct SimDisk(Arc<SimState>);

#[derive(Debug)]
struct SimState {
    files: Mutex<Files>,
    rng: SeededRng,
    /// Writes and syncs so far, and the count at which every further one fails (a crash between two disk writes).
    operations: AtomicU64,
    fail_from: AtomicU64,
}

#[derive(Debug, Default)]
struct Files {
    next_id: u64,
    contents: BTreeMap<u64, SimContent>,
    /// The names as the running system sees them.
    names: BTreeMap<PathBuf, u64>,
    /// The names that a crash leaves, before what survives of `pending`.
    durable: BTreeMap<PathBuf, u64>,
    pending: Vec<NameChange>,
    locks: BTreeSet<PathBuf>,
    /// Counts crashes, so that a guard from before one does not release a lock taken after it.
    life: u64,
}

#[derive(Debug, Default)]
struct SimContent {
    data: Vec<u8>,
    synced: usize,
}

#[derive(Debug, Clone)]
enum NameChange {
    Create(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl NameChange {
    fn is_in(&self, dir: &Path) -> bool {
        match self {
            Self::Create(path, _) | Self::Remove(path) | Self::Rename(_, path) => path.parent() == Some(dir),
        }
    }

    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let (first, second) = match self {
            Self::Create(path, _) | Self::Remove(path) => (path, None),
            Self::Rename(from, to) => (from, Some(to)),
        };
        std::iter::once(first).chain(second)
    }

    fn apply(self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Create(path, id) => {
                names.insert(path, id);
            }
            Self::Rename(from, to) => {
                if let Some(id) = names.remove(&from) {
                    names.insert(to, id);
                }
            }
            Self::Remove(path) => {
                names.remove(&path);
            }
        }
    }
}

impl Files {
    fn content(&self, path: &Path) -> io::Result<&SimContent> {
        self.names.get(path).and_then(|id| self.contents.get(id)).ok_or_else(|| missing(path))
    }

    fn change(&mut self, change: NameChange) {
        change.clone().apply(&mut self.names);
        self.pending.push(change);
    }
}

impl SimDisk {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(SimState {
            files: Mutex::default(),
            rng: SeededRng::new(seed ^ 0xd15c),
            operations: AtomicU64::new(0),
            fail_from: AtomicU64::new(u64::MAX),
        }))
    }

    /// Loses the host: of each file's unsynced tail a random prefix survives, of the unsynced changes of names any.
    /// Locks are released, and the disk works again.
    pub fn crash(&self) {
        let mut files = self.0.files.lock();
        let files = &mut *files;
        let pending = std::mem::take(&mut files.pending);
        let mut lost: BTreeSet<PathBuf> = BTreeSet::new();
        for change in pending {
            if change.paths().any(|p| lost.contains(p)) || self.0.rng.below(2) == 0 {
                lost.extend(change.paths().cloned());
            } else {
                change.apply(&mut files.durable);
            }
        }
        files.names = files.durable.clone();
        let named: BTreeSet<u64> = files.names.values().copied().collect();
        files.contents.retain(|id, _| named.contains(id));
        for content in files.contents.values_mut() {
            let unsynced = content.data.len() - content.synced;
            let kept = self.0.rng.below(unsynced as u64 + 1);
            content.data.truncate(content.synced + usize::try_from(kept).unwrap_or(0));
            content.synced = content.data.len();
        }
        files.locks.clear();
        files.life += 1;
        self.0.fail_from.store(u64::MAX, Ordering::Relaxed);
    }

    /// Writes and syncs done so far.
    pub fn operations(&self) -> u64 {
        self.0.operations.load(Ordering::Relaxed)
    }

    /// Makes each write and sync from the `n`th on fail, until [`SimDisk::crash`].
    pub fn fail_from(&self, n: u64) {
        self.0.fail_from.store(n, Ordering::Relaxed);
    }

    /// Flips one bit of a file, for corruption tests. False when there is no such byte.
    pub fn flip_bit(&self, path: &Path, byte: usize, bit: u8) -> bool {
        let mut files = self.0.files.lock();
        let Some(id) = files.names.get(path).copied() else { return false };
        match files.contents.get_mut(&id).and_then(|c| c.data.get_mut(byte)) {
            Some(b) => {
                *b ^= 1 << (bit & 7);
                true
            }
            None => false,
        }
    }

    /// Cuts a file to `len` bytes, as if its tail had never been written. False when there is no such file.
    pub fn cut(&self, path: &Path, len: usize) -> bool {
        let mut files = self.0.files.lock();
        let Some(id) = files.names.get(path).copied() else { return false };
        match files.contents.get_mut(&id) {
            Some(content) => {
                content.data.truncate(len);
                content.synced = content.synced.min(len);
                true
            }
            None => false,
        }
    }

    fn step(&self) -> io::Result<()> {
        let n = self.0.operations.fetch_add(1, Ordering::Relaxed);
        if n >= self.0.fail_from.load(Ordering::Relaxed) {
            return Err(io::Error::other("simulated failure of the disk"));
        }
        Ok(())
    }
}

fn missing(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} does not exist", path.display()))
}

impl Disk for SimDisk {
    fn create_dir_all<'a>(&'a self, _path: &'a Path) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async { Ok(()) })
    }
    fn list<'a>(&'a self, dir: &'a Path) -> BoxFuture<'a, io::Result<Vec<String>>> {
        Box::pin(async move {
            let files = self.0.files.lock();
            Ok(files
                .names
                .keys()
                .filter(|p| p.parent() == Some(dir))
                .filter_map(|p| p.file_name())
                .map(|n| n.to_string_lossy().into_owned())
                .collect())
        })
    }
    fn read<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<Bytes>> {
        Box::pin(async move { Ok(Bytes::copy_from_slice(&self.0.files.lock().content(path)?.data)) })
    }
    fn read_range<'a>(&'a self, path: &'a Path, offset: u64, len: usize) -> BoxFuture<'a, io::Result<Bytes>> {
        Box::pin(async move {
            let files = self.0.files.lock();
            let data = &files.content(path)?.data;
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(data.len());
            let end = start.saturating_add(len).min(data.len());
            Ok(Bytes::copy_from_slice(&data[start..end]))
        })
    }
    fn lock<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<Box<dyn DiskLock>>> {
        Box::pin(async move {
            let mut files = self.0.files.lock();
            if !files.locks.insert(path.to_owned()) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let life = files.life;
            Ok(Box::new(SimLock { disk: self.clone(), path: path.to_owned(), life }) as Box<dyn DiskLock>)
        })
    }
    fn open_append<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<Box<dyn DiskFile>>> {
        Box::pin(async move {
            let known = self.0.files.lock().names.get(path).copied();
            let id = match known {
                Some(id) => id,
                None => {
                    self.step()?;
                    let mut files = self.0.files.lock();
                    files.next_id += 1;
                    let id = files.next_id;
                    files.contents.insert(id, SimContent::default());
                    files.change(NameChange::Create(path.to_owned(), id));
                    id
                }
            };
            let len = self.0.files.lock().contents.get(&id).map_or(0, |c| c.data.len() as u64);
            Ok(Box::new(SimFile { disk: self.clone(), path: path.to_owned(), id, len }) as Box<dyn DiskFile>)
        })
    }
    fn rename<'a>(&'a self, from: &'a Path, to: &'a Path) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            self.step()?;
            let mut files = self.0.files.lock();
            files.content(from)?;
            files.change(NameChange::Rename(from.to_owned(), to.to_owned()));
            Ok(())
        })
    }
    fn remove<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            self.step()?;
            let mut files = self.0.files.lock();
            files.content(path)?;
            files.change(NameChange::Remove(path.to_owned()));
            Ok(())
        })
    }
    fn sync_dir<'a>(&'a self, dir: &'a Path) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            self.step()?;
            let mut files = self.0.files.lock();
            let files = &mut *files;
            let (now, later) = std::mem::take(&mut files.pending).into_iter().partition(|c| c.is_in(dir));
            files.pending = later;
            let now: Vec<NameChange> = now;
            for change in now {
                change.apply(&mut files.durable);
            }
            Ok(())
        })
    }
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    path: PathBuf,
    life: u64,
}

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut files = self.disk.0.files.lock();
        if files.life == self.life {
            files.locks.remove(&self.path);
        }
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    path: PathBuf,
    id: u64,
    len: u64,
}

impl SimFile {
    fn with<T>(&self, f: impl FnOnce(&mut SimContent) -> T) -> io::Result<T> {
        self.disk.step()?;
        let mut files = self.disk.0.files.lock();
        files.contents.get_mut(&self.id).map(f).ok_or_else(|| missing(&self.path))
    }
}

impl DiskFile for SimFile {
    fn append(&mut self, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            self.with(|c| c.data.extend_from_slice(&data))?;
            self.len += data.len() as u64;
            Ok(())
        })
    }
    fn sync_data(&mut self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move { self.with(|c| c.synced = c.data.len()) })
    }
    fn truncate(&mut self, len: u64) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            let keep = usize::try_from(len).unwrap_or(usize::MAX);
            self.with(|c| {
                c.data.truncate(keep);
                c.synced = c.synced.min(keep);
            })?;
            self.len = len;
            Ok(())
        })
    }
    fn len(&self) -> u64 {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn a_name_survives_only_with_its_directory_synced() {
        let (dir, path) = (Path::new("/d"), Path::new("/d/a"));
        let mut lost = 0;
        for seed in 0..20 {
            let disk = SimDisk::new(seed);
            block(async {
                let mut file = disk.open_append(path).await.unwrap();
                file.append_sync(Bytes::from_static(b"x")).await.unwrap();
            });
            disk.crash();
            lost += usize::from(block(disk.read(path)).is_err());
        }
        assert!((1..20).contains(&lost), "lost {lost} of 20: a crash must be able to go both ways");

        let disk = SimDisk::new(1);
        block(async {
            let mut file = disk.open_append(path).await.unwrap();
            file.append_sync(Bytes::from_static(b"kept")).await.unwrap();
            disk.sync_dir(dir).await.unwrap();
        });
        disk.crash();
        assert_eq!(block(disk.read(path)).unwrap(), Bytes::from_static(b"kept"));
    }

    #[test]
    fn a_lock_is_exclusive_until_dropped_or_crashed() {
        let disk = SimDisk::new(1);
        let path = Path::new("/d/lock");
        let first = block(disk.lock(path)).unwrap();
        assert_eq!(block(disk.lock(path)).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        disk.crash();
        let second = block(disk.lock(path)).unwrap();
        drop(first);
        assert_eq!(block(disk.lock(path)).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(second);
        block(disk.lock(path)).unwrap();
    }
}
