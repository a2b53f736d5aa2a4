//! The host itself: `/proc`, the file system, mounts, control groups and sockets.

mod cgroups;
mod dial;
mod facts;
mod mounts;
mod tree;

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::BoxFuture;

use super::{CgroupLimits, Facts, GroupOwnership, Host, HttpRequest, HttpResponse, PathKind, Space, Usage};

/// The machine that this process runs on.
#[derive(Debug, Default)]
pub struct RealHost;

/// Says which path a failed call was about.
pub(crate) fn at<T>(path: &Path, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))
}

impl Host for RealHost {
    fn facts(&self) -> Facts {
        facts::facts()
    }
    fn usage(&self) -> io::Result<Usage> {
        facts::usage()
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let stat = nix::sys::statvfs::statvfs(path).map_err(io::Error::from)?;
        let block = stat.fragment_size();
        Ok(Space {
            bytes: stat.blocks() * block,
            bytes_free: stat.blocks_available() * block,
            inodes: stat.files(),
            inodes_free: stat.files_free(),
        })
    }

    fn make_dir(&self, path: &Path, mode: Option<u32>) -> io::Result<()> {
        at(path, std::fs::DirBuilder::new().recursive(true).mode(0o750).create(path))?;
        match mode {
            // Set apart, because the process's mask would take bits away.
            Some(mode) => at(path, std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))),
            None => Ok(()),
        }
    }

    fn write_file(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
        use std::io::Write as _;
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(mode);
        options.custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits());
        let mut file = at(path, options.open(path))?;
        at(path, file.write_all(content))?;
        at(path, file.set_permissions(std::fs::Permissions::from_mode(mode)))
    }

    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        at(path, std::fs::read(path))
    }

    fn read_tail(&self, path: &Path, max: u64) -> io::Result<Vec<u8>> {
        use std::io::{Read as _, Seek as _};
        let mut file = at(path, std::fs::File::open(path))?;
        let len = file.metadata()?.len();
        file.seek(io::SeekFrom::Start(len.saturating_sub(max)))?;
        let mut tail = Vec::new();
        file.take(max).read_to_end(&mut tail)?;
        Ok(tail)
    }

    fn list_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in at(path, std::fs::read_dir(path))? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn kind(&self, path: &Path) -> Option<PathKind> {
        let kind = std::fs::metadata(path).ok()?.file_type();
        Some(if kind.is_file() {
            PathKind::File
        } else if kind.is_dir() {
            PathKind::Directory
        } else if kind.is_socket() {
            PathKind::Socket
        } else if kind.is_char_device() {
            PathKind::CharDevice
        } else if kind.is_block_device() {
            PathKind::BlockDevice
        } else {
            PathKind::Other
        })
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        Ok(at(path, std::fs::metadata(path))?.len())
    }

    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        at(path, std::os::unix::fs::symlink(target, path))
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        at(path, std::fs::read_link(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        at(to, std::fs::rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_file(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => at(path, other),
        }
    }

    fn chown(&self, path: &Path, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
        at(path, std::os::unix::fs::lchown(path, uid, gid))
    }

    fn remove_tree<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(tree::remove(path))
    }

    fn own_tree<'a>(&'a self, path: &'a Path, ownership: GroupOwnership) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(tree::own(path, ownership))
    }

    fn compress<'a>(&'a self, from: &'a Path, to: &'a Path) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(tree::compress(from, to))
    }

    fn mount_tmpfs(&self, path: &Path, size: Option<u64>) -> io::Result<()> {
        at(path, mounts::tmpfs(path, size))
    }
    fn bind_subpath(&self, root: &Path, sub: &Path, target: &Path) -> io::Result<()> {
        mounts::bind_subpath(root, sub, target)
    }
    fn mounts_below(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        mounts::below(path)
    }
    fn unmount(&self, path: &Path) -> io::Result<()> {
        at(path, mounts::unmount(path))
    }

    fn apply_cgroup(&self, path: &str, limits: &CgroupLimits) -> io::Result<()> {
        cgroups::apply(path, limits)
    }
    fn remove_cgroup(&self, path: &str) -> io::Result<()> {
        cgroups::remove(path)
    }
    fn list_cgroups(&self, path: &str) -> Vec<String> {
        cgroups::list(path)
    }

    fn http_get<'a>(
        &'a self,
        request: &'a HttpRequest,
        limit: Duration,
    ) -> BoxFuture<'a, io::Result<HttpResponse>> {
        Box::pin(async move {
            match tokio::time::timeout(limit, dial::http_get(request)).await {
                Ok(answer) => answer,
                Err(_) => Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
                )),
            }
        })
    }

    fn tcp_connect<'a>(&'a self, host: &'a str, port: u16, limit: Duration) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            match tokio::time::timeout(limit, dial::connect(host, port)).await {
                Ok(stream) => stream.map(drop),
                Err(_) => {
                    let text = format!("dial tcp {}: i/o timeout", dial::authority(host, port));
                    Err(io::Error::new(io::ErrorKind::TimedOut, text))
                }
            }
        })
    }

    fn grpc_health<'a>(
        &'a self,
        host: &'a str,
        port: u16,
        service: &'a str,
        limit: Duration,
    ) -> BoxFuture<'a, io::Result<u64>> {
        Box::pin(async move {
            let late = |_| {
                let text = format!(
                    "timeout: failed to connect service {:?} within {limit:?}",
                    dial::authority(host, port)
                );
                io::Error::new(io::ErrorKind::TimedOut, text)
            };
            tokio::time::timeout(limit, dial::grpc_health(host, port, service)).await.map_err(late)?
        })
    }

    fn write_network(&self, network: &net::cni::Network, dir: &Path) -> io::Result<()> {
        net::cni::write(network, dir).map(drop).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests;
