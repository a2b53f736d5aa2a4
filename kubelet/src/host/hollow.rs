//! A machine that is not there: files in memory, mounts and control groups as names, probes that succeed unless told
//! otherwise. Sizes are given by whoever makes the node.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::{CgroupLimits, Facts, GroupOwnership, Host, HttpRequest, HttpResponse, PathKind, Space, Usage};

/// A hollow machine. Clones are the same machine; it outlives the kubelets on it.
#[derive(Clone, Debug)]
pub struct HollowHost(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    facts: Facts,
    usage: Usage,
    space: Space,
    files: BTreeMap<PathBuf, Entry>,
    mounts: BTreeSet<PathBuf>,
    cgroups: BTreeMap<String, CgroupLimits>,
    /// Answers by `host:port`; 200 where nothing is set.
    http: BTreeMap<String, io::Result<HttpResponse>>,
    closed_ports: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Entry {
    Directory,
    File { content: Vec<u8>, mode: u32 },
    Link(PathBuf),
}

impl HollowHost {
    pub fn new(hostname: &str, address: std::net::IpAddr, cpus: u64, memory_bytes: u64) -> Self {
        let facts = Facts {
            hostname: hostname.to_owned(),
            machine_id: format!("{hostname}-machine"),
            system_uuid: format!("{hostname}-system"),
            boot_id: format!("{hostname}-boot"),
            kernel_version: "6.1.0".to_owned(),
            os_image: "Hollow".to_owned(),
            architecture: "amd64".to_owned(),
            cpus,
            memory_bytes,
            addresses: vec![address],
            ..Facts::default()
        };
        Self(Arc::new(Mutex::new(State {
            facts,
            usage: Usage { memory_available: memory_bytes, processes: 100, processes_max: 32_768 },
            space: Space { bytes: 100 << 30, bytes_free: 90 << 30, inodes: 1 << 20, inodes_free: 1 << 20 },
            files: BTreeMap::new(),
            mounts: BTreeSet::new(),
            cgroups: BTreeMap::new(),
            http: BTreeMap::new(),
            closed_ports: BTreeSet::new(),
        })))
    }

    pub fn set_usage(&self, usage: Usage) {
        self.0.lock().usage = usage;
    }
    pub fn set_space(&self, space: Space) {
        self.0.lock().space = space;
    }
    /// What HTTP requests to this address get from now on; `None` refuses the connection.
    pub fn set_http(&self, host: &str, port: u16, status: Option<u16>) {
        let answer = match status {
            Some(status) => Ok(HttpResponse { status, body: String::new() }),
            None => Err(refused(host, port)),
        };
        self.0.lock().http.insert(format!("{host}:{port}"), answer);
    }
    pub fn close_port(&self, host: &str, port: u16) {
        self.0.lock().closed_ports.insert(format!("{host}:{port}"));
    }
    /// A file's content, following links.
    pub fn file(&self, path: &Path) -> Option<String> {
        self.read_file(path).ok().map(|c| String::from_utf8_lossy(&c).into_owned())
    }
    pub fn mode(&self, path: &Path) -> Option<u32> {
        let state = self.0.lock();
        match state.files.get(&state.resolve(path)) {
            Some(Entry::File { mode, .. }) => Some(*mode),
            _ => None,
        }
    }
    pub fn mounts(&self) -> Vec<PathBuf> {
        self.0.lock().mounts.iter().cloned().collect()
    }
    pub fn cgroups(&self) -> BTreeMap<String, CgroupLimits> {
        self.0.lock().cgroups.clone()
    }
    /// Forgets mounts and control groups, as a reboot does.
    pub fn reboot(&self) {
        let mut state = self.0.lock();
        state.mounts.clear();
        state.cgroups.clear();
        state.facts.boot_id.push('+');
    }
}

fn refused(host: &str, port: u16) -> io::Error {
    let text = format!("dial tcp {host}:{port}: connect: connection refused");
    io::Error::new(io::ErrorKind::ConnectionRefused, text)
}

fn missing(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{}: no such file or directory", path.display()))
}

/// Links that a path may go through, as in Linux.
const LINKS_MAX: usize = 40;

impl State {
    /// The path with every link on the way resolved.
    fn resolve(&self, path: &Path) -> PathBuf {
        let mut pending: Vec<std::ffi::OsString> = parts(path).rev().collect();
        let mut out = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = pending.pop() {
            if part == ".." {
                out.pop();
                continue;
            }
            let next = out.join(&part);
            match self.files.get(&next) {
                Some(Entry::Link(target)) if links < LINKS_MAX => {
                    links += 1;
                    if target.is_absolute() {
                        out = PathBuf::from("/");
                    }
                    pending.extend(parts(target).rev());
                }
                _ => out = next,
            }
        }
        out
    }

    fn make_dirs(&mut self, path: &Path) {
        for dir in path.ancestors() {
            self.files.entry(dir.to_owned()).or_insert(Entry::Directory);
        }
    }
}

fn parts(path: &Path) -> impl DoubleEndedIterator<Item = std::ffi::OsString> {
    path.components()
        .filter(|c| matches!(c, Component::Normal(_) | Component::ParentDir))
        .map(|c| c.as_os_str().to_owned())
}

fn done<'a, T: Send + 'a>(result: io::Result<T>) -> BoxFuture<'a, io::Result<T>> {
    Box::pin(std::future::ready(result))
}

impl Host for HollowHost {
    fn facts(&self) -> Facts {
        self.0.lock().facts.clone()
    }
    fn usage(&self) -> io::Result<Usage> {
        Ok(self.0.lock().usage)
    }
    fn space(&self, _path: &Path) -> io::Result<Space> {
        Ok(self.0.lock().space)
    }

    fn make_dir(&self, path: &Path, _mode: Option<u32>) -> io::Result<()> {
        self.0.lock().make_dirs(path);
        Ok(())
    }

    fn write_file(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
        let mut state = self.0.lock();
        let parent = state.resolve(path.parent().unwrap_or(Path::new("/")));
        if !matches!(state.files.get(&parent), Some(Entry::Directory)) {
            return Err(missing(path));
        }
        let real = parent.join(path.file_name().unwrap_or_default());
        state.files.insert(real, Entry::File { content: content.to_vec(), mode });
        Ok(())
    }

    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.0.lock();
        match state.files.get(&state.resolve(path)) {
            Some(Entry::File { content, .. }) => Ok(content.clone()),
            _ => Err(missing(path)),
        }
    }

    fn read_tail(&self, path: &Path, max: u64) -> io::Result<Vec<u8>> {
        let content = self.read_file(path)?;
        let skip = content.len().saturating_sub(usize::try_from(max).unwrap_or(usize::MAX));
        Ok(content[skip..].to_vec())
    }

    fn list_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = self.0.lock();
        let real = state.resolve(path);
        if !matches!(state.files.get(&real), Some(Entry::Directory)) {
            return Err(missing(path));
        }
        let children = state.files.keys().filter(|p| p.parent() == Some(real.as_path()));
        Ok(children.filter_map(|p| p.file_name()).map(|n| n.to_string_lossy().into_owned()).collect())
    }

    fn kind(&self, path: &Path) -> Option<PathKind> {
        let state = self.0.lock();
        match state.files.get(&state.resolve(path))? {
            Entry::Directory => Some(PathKind::Directory),
            Entry::File { .. } => Some(PathKind::File),
            Entry::Link(_) => None,
        }
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        Ok(self.read_file(path)?.len() as u64)
    }

    fn symlink(&self, target: &Path, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.files.contains_key(path) {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        state.files.insert(path.to_owned(), Entry::Link(target.to_owned()));
        Ok(())
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        match self.0.lock().files.get(path) {
            Some(Entry::Link(target)) => Ok(target.clone()),
            _ => Err(missing(path)),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let moved: Vec<PathBuf> = state.files.keys().filter(|p| p.starts_with(from)).cloned().collect();
        if moved.is_empty() {
            return Err(missing(from));
        }
        for path in moved {
            let entry = state.files.remove(&path).expect("listed above");
            let rest = path.strip_prefix(from).expect("filtered above").to_owned();
            let target = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
            state.files.insert(target, entry);
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.lock().files.remove(path);
        Ok(())
    }

    fn chown(&self, _path: &Path, _uid: Option<u32>, _gid: Option<u32>) -> io::Result<()> {
        Ok(())
    }

    fn remove_tree<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, io::Result<()>> {
        let mut state = self.0.lock();
        if let Some(mount) = state.mounts.iter().find(|m| m.starts_with(path)) {
            return done(Err(io::Error::other(format!("{} is a mount point", mount.display()))));
        }
        state.files.retain(|p, _| !p.starts_with(path));
        done(Ok(()))
    }

    fn own_tree<'a>(&'a self, _path: &'a Path, _ownership: GroupOwnership) -> BoxFuture<'a, io::Result<()>> {
        done(Ok(()))
    }

    fn compress<'a>(&'a self, from: &'a Path, to: &'a Path) -> BoxFuture<'a, io::Result<()>> {
        done(self.rename(from, to))
    }

    fn mount_tmpfs(&self, path: &Path, _size: Option<u64>) -> io::Result<()> {
        self.0.lock().mounts.insert(path.to_owned());
        Ok(())
    }

    fn bind_subpath(&self, _root: &Path, sub: &Path, target: &Path) -> io::Result<()> {
        if sub.components().any(|c| matches!(c, Component::ParentDir | Component::RootDir)) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the subpath is not within the volume",
            ));
        }
        let mut state = self.0.lock();
        state.make_dirs(target);
        state.mounts.insert(target.to_owned());
        Ok(())
    }

    fn mounts_below(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.0.lock().mounts.iter().rev().filter(|m| m.starts_with(path)).cloned().collect())
    }

    fn unmount(&self, path: &Path) -> io::Result<()> {
        self.0.lock().mounts.remove(path);
        Ok(())
    }

    fn apply_cgroup(&self, path: &str, limits: &CgroupLimits) -> io::Result<()> {
        self.0.lock().cgroups.insert(path.to_owned(), limits.clone());
        Ok(())
    }

    fn remove_cgroup(&self, path: &str) -> io::Result<()> {
        let below = format!("{}/", path.trim_end_matches('/'));
        self.0.lock().cgroups.retain(|p, _| p != path && !p.starts_with(&below));
        Ok(())
    }

    fn list_cgroups(&self, path: &str) -> Vec<String> {
        let below = format!("{}/", path.trim_end_matches('/'));
        let state = self.0.lock();
        let names = state.cgroups.keys().filter_map(|p| p.strip_prefix(&below)?.split('/').next());
        names.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn http_get<'a>(
        &'a self,
        request: &'a HttpRequest,
        _limit: Duration,
    ) -> BoxFuture<'a, io::Result<HttpResponse>> {
        let state = self.0.lock();
        let answer = match state.http.get(&format!("{}:{}", request.host, request.port)) {
            Some(Ok(response)) => Ok(response.clone()),
            Some(Err(e)) => Err(io::Error::new(e.kind(), e.to_string())),
            None => Ok(HttpResponse { status: 200, body: String::new() }),
        };
        done(answer)
    }

    fn tcp_connect<'a>(
        &'a self,
        host: &'a str,
        port: u16,
        _limit: Duration,
    ) -> BoxFuture<'a, io::Result<()>> {
        let closed = self.0.lock().closed_ports.contains(&format!("{host}:{port}"));
        done(if closed { Err(refused(host, port)) } else { Ok(()) })
    }

    fn grpc_health<'a>(
        &'a self,
        host: &'a str,
        port: u16,
        _service: &'a str,
        _limit: Duration,
    ) -> BoxFuture<'a, io::Result<u64>> {
        let closed = self.0.lock().closed_ports.contains(&format!("{host}:{port}"));
        done(if closed { Err(refused(host, port)) } else { Ok(1) })
    }

    fn write_network(&self, _network: &net::cni::Network, _dir: &Path) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed() {
        let host = HollowHost::new("h", [10, 0, 0, 1].into(), 1, 1);
        host.make_dir(Path::new("/v/..1"), None).unwrap();
        host.write_file(Path::new("/v/..1/k"), b"one", 0o644).unwrap();
        host.symlink(Path::new("..1"), Path::new("/v/..data")).unwrap();
        host.symlink(Path::new("..data/k"), Path::new("/v/k")).unwrap();
        assert_eq!(host.file(Path::new("/v/k")).as_deref(), Some("one"));
        assert_eq!(host.list_dir(Path::new("/v/..data")).unwrap(), ["k"]);
        assert!(host.write_file(Path::new("/none/f"), b"", 0o600).is_err());
    }
}
