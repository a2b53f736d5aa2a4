//! Files of the store: append, sync, rename. The simulated disk loses what was not synced when it crashes.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use crate::rng::{Rng as _, SeededRng};

/// A directory tree on durable storage.
pub trait Disk: Send + Sync + fmt::Debug {
    fn create_dir_all<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<()>>;
    /// Names (not paths) in `dir`, sorted.
    fn list<'a>(&'a self, dir: &'a Path) -> BoxFuture<'a, io::Result<Vec<String>>>;
    fn read<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<Bytes>>;
    /// Opens for appending, creating an empty file when there is none.
    fn open_append<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<Box<dyn DiskFile>>>;
    fn rename<'a>(&'a self, from: &'a Path, to: &'a Path) -> BoxFuture<'a, io::Result<()>>;
    fn remove<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<()>>;
    /// Makes creations, renames and removals in `dir` durable.
    fn sync_dir<'a>(&'a self, dir: &'a Path) -> BoxFuture<'a, io::Result<()>>;
}

/// A file open for appending.
pub trait DiskFile: Send + fmt::Debug {
    fn append(&mut self, data: Bytes) -> BoxFuture<'_, io::Result<()>>;
    /// Makes everything appended so far durable (fdatasync).
    fn sync_data(&mut self) -> BoxFuture<'_, io::Result<()>>;
    fn truncate(&mut self, len: u64) -> BoxFuture<'_, io::Result<()>>;
    fn len(&self) -> u64;
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The host's file system. Blocking calls run on tokio's blocking pool.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

#[allow(clippy::disallowed_methods, reason = "the one place that blocks on files")]
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

impl Disk for RealDisk {
    fn create_dir_all<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<()>> {
        let path = path.to_owned();
        Box::pin(blocking(move || std::fs::create_dir_all(path)))
    }
    fn list<'a>(&'a self, dir: &'a Path) -> BoxFuture<'a, io::Result<Vec<String>>> {
        let dir = dir.to_owned();
        Box::pin(blocking(move || {
            let mut names = Vec::new();
            for entry in std::fs::read_dir(dir)? {
                names.push(entry?.file_name().to_string_lossy().into_owned());
            }
            names.sort();
            Ok(names)
        }))
    }
    fn read<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<Bytes>> {
        let path = path.to_owned();
        Box::pin(blocking(move || std::fs::read(path).map(Bytes::from)))
    }
    fn open_append<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<Box<dyn DiskFile>>> {
        let path = path.to_owned();
        Box::pin(blocking(move || {
            let file = std::fs::OpenOptions::new().append(true).create(true).open(path)?;
            let len = file.metadata()?.len();
            Ok(Box::new(RealFile { file: Arc::new(file), len }) as Box<dyn DiskFile>)
        }))
    }
    fn rename<'a>(&'a self, from: &'a Path, to: &'a Path) -> BoxFuture<'a, io::Result<()>> {
        let (from, to) = (from.to_owned(), to.to_owned());
        Box::pin(blocking(move || std::fs::rename(from, to)))
    }
    fn remove<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<()>> {
        let path = path.to_owned();
        Box::pin(blocking(move || std::fs::remove_file(path)))
    }
    fn sync_dir<'a>(&'a self, dir: &'a Path) -> BoxFuture<'a, io::Result<()>> {
        let dir = dir.to_owned();
        Box::pin(blocking(move || std::fs::File::open(dir)?.sync_all()))
    }
}

#[derive(Debug)]
struct RealFile {
    file: Arc<std::fs::File>,
    len: u64,
}

impl DiskFile for RealFile {
    fn append(&mut self, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        let file = Arc::clone(&self.file);
        Box::pin(async move {
            let n = data.len() as u64;
            blocking(move || (&*file).write_all(&data)).await?;
            self.len += n;
            Ok(())
        })
    }
    fn sync_data(&mut self) -> BoxFuture<'_, io::Result<()>> {
        let file = Arc::clone(&self.file);
        Box::pin(blocking(move || file.sync_data()))
    }
    fn truncate(&mut self, len: u64) -> BoxFuture<'_, io::Result<()>> {
        let file = Arc::clone(&self.file);
        Box::pin(async move {
            blocking(move || file.set_len(len)).await?;
            self.len = len;
            Ok(())
        })
    }
    fn len(&self) -> u64 {
        self.len
    }
}

/// A disk in memory with a crash: what was not synced may be lost or torn, and the seed decides how much of it.
///
/// Directory changes count as durable at once; the store syncs directories all the same, for real disks.
#[derive(Debug, Clone)]
pub struct SimDisk(Arc<SimState>);

#[derive(Debug)]
struct SimState {
    files: Mutex<BTreeMap<PathBuf, SimContent>>,
    rng: SeededRng,
    /// Writes and syncs so far, and the count at which every further one fails (a crash between two disk writes).
    operations: AtomicU64,
    fail_from: AtomicU64,
}

#[derive(Debug, Default, Clone)]
struct SimContent {
    data: Vec<u8>,
    synced: usize,
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

    /// Loses the host: of each file's unsynced tail a random prefix survives.
    pub fn crash(&self) {
        for content in self.0.files.lock().values_mut() {
            let unsynced = content.data.len() - content.synced;
            let kept = self.0.rng.below(unsynced as u64 + 1);
            content.data.truncate(content.synced + usize::try_from(kept).unwrap_or(0));
            content.synced = content.data.len();
        }
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
        match files.get_mut(path).and_then(|c| c.data.get_mut(byte)) {
            Some(b) => {
                *b ^= 1 << (bit & 7);
                true
            }
            None => false,
        }
    }

    fn step(&self) -> io::Result<()> {
        let n = self.0.operations.fetch_add(1, Ordering::Relaxed);
        if n >= self.0.fail_from.load(Ordering::Relaxed) {
            return Err(io::Error::other("simulated crash of the disk"));
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
                .keys()
                .filter(|p| p.parent() == Some(dir))
                .filter_map(|p| p.file_name())
                .map(|n| n.to_string_lossy().into_owned())
                .collect())
        })
    }
    fn read<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<Bytes>> {
        Box::pin(async move {
            let files = self.0.files.lock();
            let content = files.get(path).ok_or_else(|| missing(path))?;
            Ok(Bytes::copy_from_slice(&content.data))
        })
    }
    fn open_append<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<Box<dyn DiskFile>>> {
        Box::pin(async move {
            let len = self.0.files.lock().entry(path.to_owned()).or_default().data.len() as u64;
            Ok(Box::new(SimFile { disk: self.clone(), path: path.to_owned(), len }) as Box<dyn DiskFile>)
        })
    }
    fn rename<'a>(&'a self, from: &'a Path, to: &'a Path) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            self.step()?;
            let mut files = self.0.files.lock();
            let content = files.remove(from).ok_or_else(|| missing(from))?;
            files.insert(to.to_owned(), content);
            Ok(())
        })
    }
    fn remove<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            self.step()?;
            self.0.files.lock().remove(path).map(|_| ()).ok_or_else(|| missing(path))
        })
    }
    fn sync_dir<'a>(&'a self, _dir: &'a Path) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async { self.step() })
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    path: PathBuf,
    len: u64,
}

impl SimFile {
    fn with<T>(&self, f: impl FnOnce(&mut SimContent) -> T) -> io::Result<T> {
        self.disk.step()?;
        let mut files = self.disk.0.files.lock();
        files.get_mut(&self.path).map(f).ok_or_else(|| missing(&self.path))
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
