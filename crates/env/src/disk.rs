//! Files of the store: append, sync, rename. The simulated disk ([`sim`]) loses what was not synced when it crashes.

pub mod sim;

use std::fmt;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

pub use sim::SimDisk;

/// The store holds every Secret of a cluster: nobody else may read it.
const MODE_DIR: u32 = 0o700;
const MODE_FILE: u32 = 0o600;

/// A directory tree on durable storage, closed to other users.
pub trait Disk: Send + Sync + fmt::Debug {
    fn create_dir_all<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<()>>;
    /// Names (not paths) in `dir`, sorted.
    fn list<'a>(&'a self, dir: &'a Path) -> BoxFuture<'a, io::Result<Vec<String>>>;
    fn read<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<Bytes>>;
    /// Up to `len` bytes from `offset` on; fewer only at the end of the file. For files too large to hold at once.
    fn read_range<'a>(&'a self, path: &'a Path, offset: u64, len: usize) -> BoxFuture<'a, io::Result<Bytes>>;
    /// Takes the exclusive lock that `path` stands for, creating the file; held until the guard is dropped or the
    /// process ends. [`io::ErrorKind::WouldBlock`] when another one holds it.
    fn lock<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<Box<dyn DiskLock>>>;
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
    /// [`DiskFile::append`], then [`DiskFile::sync_data`], in one trip to the disk where that is cheaper.
    fn append_sync(&mut self, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            self.append(data).await?;
            self.sync_data().await
        })
    }
    fn truncate(&mut self, len: u64) -> BoxFuture<'_, io::Result<()>>;
    fn len(&self) -> u64;
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Held while it lives: see [`Disk::lock`].
pub trait DiskLock: Send + Sync + fmt::Debug {}

/// The host's file system. Blocking calls run on tokio's blocking pool.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

/// Takes from others what an older or laxer hand has given them.
fn close_to_others(path: &Path, metadata: &std::fs::Metadata) -> io::Result<()> {
    let mode = metadata.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode & 0o700))
}

#[allow(clippy::disallowed_methods, reason = "the one place that blocks on files")]
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

impl Disk for RealDisk {
    fn create_dir_all<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<()>> {
        let path = path.to_owned();
        Box::pin(blocking(move || {
            std::fs::DirBuilder::new().recursive(true).mode(MODE_DIR).create(&path)?;
            close_to_others(&path, &std::fs::metadata(&path)?)
        }))
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
    fn read_range<'a>(&'a self, path: &'a Path, offset: u64, len: usize) -> BoxFuture<'a, io::Result<Bytes>> {
        let path = path.to_owned();
        Box::pin(blocking(move || {
            let mut file = std::fs::File::open(path)?;
            file.seek(io::SeekFrom::Start(offset))?;
            let mut data = Vec::with_capacity(len);
            file.take(len as u64).read_to_end(&mut data)?;
            Ok(Bytes::from(data))
        }))
    }
    fn lock<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<Box<dyn DiskLock>>> {
        let path = path.to_owned();
        Box::pin(blocking(move || {
            let mut options = std::fs::OpenOptions::new();
            let file = options.write(true).create(true).truncate(false).mode(MODE_FILE).open(path)?;
            match file.try_lock() {
                Ok(()) => Ok(Box::new(RealLock { _file: file }) as Box<dyn DiskLock>),
                Err(std::fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
                Err(std::fs::TryLockError::Error(error)) => Err(error),
            }
        }))
    }
    fn open_append<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<Box<dyn DiskFile>>> {
        let path = path.to_owned();
        Box::pin(blocking(move || {
            let file = std::fs::OpenOptions::new().append(true).create(true).mode(MODE_FILE).open(&path)?;
            let metadata = file.metadata()?;
            close_to_others(&path, &metadata)?;
            let len = metadata.len();
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

/// The kernel drops the lock (flock) with the last descriptor, also when the process is killed.
#[derive(Debug)]
struct RealLock {
    _file: std::fs::File,
}

impl DiskLock for RealLock {}

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
    fn append_sync(&mut self, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        let file = Arc::clone(&self.file);
        Box::pin(async move {
            let n = data.len() as u64;
            blocking(move || {
                (&*file).write_all(&data)?;
                file.sync_data()
            })
            .await?;
            self.len += n;
            Ok(())
        })
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
