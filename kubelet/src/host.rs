//! What the kubelet asks of the machine below it: facts, files, mounts, control groups and connections. Volumes and pods
//! are built on it, so that a hollow node runs the very same code.
//!
//! The small calls are plain functions: they touch a few pages of a local file system and end at once. Whatever may
//! take long (trees, connections) is a future.

pub mod cgroup;
pub mod hollow;
pub mod real;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::BoxFuture;

pub use cgroup::CgroupLimits;
pub use hollow::HollowHost;
pub use real::RealHost;

/// What does not change while the kubelet runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    pub hostname: String,
    pub machine_id: String,
    pub system_uuid: String,
    pub boot_id: String,
    pub kernel_version: String,
    pub os_image: String,
    /// Go's name: `amd64`, `arm64`.
    pub architecture: String,
    pub cpus: u64,
    pub memory_bytes: u64,
    pub swap_bytes: u64,
    /// Pages reserved per page size in KiB.
    pub hugepages: BTreeMap<u64, u64>,
    /// The address of the default route's interface.
    pub addresses: Vec<IpAddr>,
}

/// Space on a file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    pub bytes: u64,
    pub bytes_free: u64,
    pub inodes: u64,
    pub inodes_free: u64,
}

/// What changes all the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub memory_available: u64,
    pub processes: u64,
    pub processes_max: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathKind {
    File,
    Directory,
    Socket,
    CharDevice,
    BlockDevice,
    Other,
}

/// A request that a probe or hook sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpRequest {
    pub https: bool,
    pub host: String,
    pub port: u16,
    /// Path with query.
    pub path: String,
    /// In the order given; a `Host` among them replaces the one made from host and port.
    pub headers: Vec<(String, String)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpResponse {
    pub status: u16,
    /// The first 10 KiB.
    pub body: String,
}

/// A change of the owning group of a whole tree, for `fsGroup`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupOwnership {
    pub gid: u32,
    /// Group members may read only.
    pub read_only: bool,
    /// `OnRootMismatch`: nothing is done when the root has the group and mode already.
    pub only_on_mismatch: bool,
}

/// A machine.
pub trait Host: Send + Sync + fmt::Debug {
    fn facts(&self) -> Facts;
    fn usage(&self) -> io::Result<Usage>;
    fn space(&self, path: &Path) -> io::Result<Space>;

    /// Makes a directory and those above it; with a mode, the last one gets exactly that.
    fn make_dir(&self, path: &Path, mode: Option<u32>) -> io::Result<()>;
    /// Writes a whole file (not through links at its end) with exactly this mode.
    fn write_file(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()>;
    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The last `max` bytes of a file.
    fn read_tail(&self, path: &Path, max: u64) -> io::Result<Vec<u8>>;
    /// Names in a directory, sorted; an error when there is none.
    fn list_dir(&self, path: &Path) -> io::Result<Vec<String>>;
    /// What is at `path`, following links; `None` when nothing is.
    fn kind(&self, path: &Path) -> Option<PathKind>;
    fn file_len(&self, path: &Path) -> io::Result<u64>;
    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()>;
    fn read_link(&self, path: &Path) -> io::Result<PathBuf>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file or link; done when there is none.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    fn chown(&self, path: &Path, uid: Option<u32>, gid: Option<u32>) -> io::Result<()>;
    /// Removes a tree without crossing into other file systems; done when there is none.
    fn remove_tree<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<()>>;
    fn own_tree<'a>(&'a self, path: &'a Path, ownership: GroupOwnership) -> BoxFuture<'a, io::Result<()>>;
    /// Replaces a file by its gzip form under another name.
    fn compress<'a>(&'a self, from: &'a Path, to: &'a Path) -> BoxFuture<'a, io::Result<()>>;

    /// Mounts a tmpfs there, unless one is mounted already.
    fn mount_tmpfs(&self, path: &Path, size: Option<u64>) -> io::Result<()>;
    /// Binds `root/sub` (made where it is missing, never outside `root`) onto `target`.
    fn bind_subpath(&self, root: &Path, sub: &Path, target: &Path) -> io::Result<()>;
    /// Mount points at or below `path`, innermost first.
    fn mounts_below(&self, path: &Path) -> io::Result<Vec<PathBuf>>;
    fn unmount(&self, path: &Path) -> io::Result<()>;

    /// Makes a control group in every hierarchy, or brings its limits up to date.
    fn apply_cgroup(&self, path: &str, limits: &CgroupLimits) -> io::Result<()>;
    /// Removes it with those below; done when there is none.
    fn remove_cgroup(&self, path: &str) -> io::Result<()>;
    /// Names of the groups directly below, without what the kernel put there.
    fn list_cgroups(&self, path: &str) -> Vec<String>;

    fn http_get<'a>(
        &'a self,
        request: &'a HttpRequest,
        limit: Duration,
    ) -> BoxFuture<'a, io::Result<HttpResponse>>;
    fn tcp_connect<'a>(&'a self, host: &'a str, port: u16, limit: Duration) -> BoxFuture<'a, io::Result<()>>;
    /// The answer of gRPC's standard health service: its serving status.
    fn grpc_health<'a>(
        &'a self,
        host: &'a str,
        port: u16,
        service: &'a str,
        limit: Duration,
    ) -> BoxFuture<'a, io::Result<u64>>;

    /// Writes the pod network's configuration for the runtime to find.
    fn write_network(&self, network: &net::cni::Network, dir: &Path) -> io::Result<()>;
}
