//! Work on whole trees: removal, ownership, compression. Runs on tokio's file pool, never across mount points.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::super::GroupOwnership;
use super::at;

/// Removes a tree, refusing to descend into another file system: a mount that is still there holds somebody's data.
pub(super) async fn remove(path: &Path) -> io::Result<()> {
    let root = match tokio::fs::symlink_metadata(path).await {
        Ok(root) => root,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return at(path, Err(e)),
    };
    if !root.is_dir() {
        return at(path, tokio::fs::remove_file(path).await);
    }
    // Depth first without recursion: a pod can nest deeper than a stack is high.
    let mut stack = vec![(path.to_owned(), false)];
    while let Some((dir, listed)) = stack.pop() {
        if listed {
            at(&dir, tokio::fs::remove_dir(&dir).await)?;
            continue;
        }
        stack.push((dir.clone(), true));
        let mut entries = at(&dir, tokio::fs::read_dir(&dir).await)?;
        while let Some(entry) = entries.next_entry().await? {
            let meta = entry.metadata().await?;
            if !meta.is_dir() {
                at(&entry.path(), tokio::fs::remove_file(entry.path()).await)?;
            } else if meta.dev() == root.dev() {
                stack.push((entry.path(), false));
            } else {
                return Err(io::Error::other(format!("{} is a mount point", entry.path().display())));
            }
        }
    }
    Ok(())
}

/// Gives a tree to a group: owner and group may read (and write), directories pass the group on. Links are changed
/// themselves, never what they point to.
pub(super) async fn own(path: &Path, ownership: GroupOwnership) -> io::Result<()> {
    let wanted = |mode: u32, is_dir: bool| {
        let mask = if ownership.read_only { 0o440 } else { 0o660 };
        mode | mask | if is_dir { 0o2110 } else { 0 }
    };
    if ownership.only_on_mismatch {
        let root = at(path, tokio::fs::metadata(path).await)?;
        let mode = root.mode() & 0o7777;
        if root.gid() == ownership.gid && wanted(mode, true) == mode {
            return Ok(());
        }
    }
    let mut stack: Vec<PathBuf> = vec![path.to_owned()];
    while let Some(next) = stack.pop() {
        let meta = at(&next, tokio::fs::symlink_metadata(&next).await)?;
        at(&next, std::os::unix::fs::lchown(&next, None, Some(ownership.gid)))?;
        if meta.is_symlink() {
            continue;
        }
        let mode = std::fs::Permissions::from_mode(wanted(meta.mode() & 0o7777, meta.is_dir()));
        at(&next, tokio::fs::set_permissions(&next, mode).await)?;
        if meta.is_dir() {
            let mut entries = at(&next, tokio::fs::read_dir(&next).await)?;
            while let Some(entry) = entries.next_entry().await? {
                stack.push(entry.path());
            }
        }
    }
    Ok(())
}

/// Bytes compressed between two awaits, so that nobody waits long for the thread.
const CHUNK: usize = 64 << 10;

pub(super) async fn compress(from: &Path, to: &Path) -> io::Result<()> {
    use std::io::Write as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut source = at(from, tokio::fs::File::open(from).await)?;
    let mut target = at(to, tokio::fs::File::create(to).await)?;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let mut chunk = vec![0; CHUNK];
    loop {
        let n = source.read(&mut chunk).await?;
        if n == 0 {
            break;
        }
        encoder.write_all(&chunk[..n])?;
        target.write_all(&std::mem::take(encoder.get_mut())).await?;
        tokio::task::yield_now().await;
    }
    target.write_all(&encoder.finish()?).await?;
    target.flush().await?;
    at(from, tokio::fs::remove_file(from).await)
}
