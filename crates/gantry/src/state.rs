//! Where the all-in-one keeps what: one tree for what must last, one for what ends with the host's uptime.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Marks a directory as ours.
const MARK: &str = ".gantry";
const MARK_TEXT: &str =
    "This directory belongs to a Gantry cluster: `gantry down` removes it with all that it holds.\n";

/// The directories of one cluster on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Lasting: store, certificates, containers' files. `/var/lib/gantry` by default.
    pub data: PathBuf,
    /// Gone at reboot: sockets, process ids. `/run/gantry` by default.
    pub run: PathBuf,
}

impl State {
    pub fn new(data: impl Into<PathBuf>, run: impl Into<PathBuf>) -> Self {
        Self { data: data.into(), run: run.into() }
    }

    pub fn pki(&self) -> PathBuf {
        self.data.join("pki")
    }
    pub fn store(&self) -> PathBuf {
        self.data.join("store")
    }
    pub fn kubelet(&self) -> PathBuf {
        self.data.join("kubelet")
    }
    pub fn pod_logs(&self) -> PathBuf {
        self.data.join("log/pods")
    }
    pub fn container_logs(&self) -> PathBuf {
        self.data.join("log/containers")
    }
    /// The log of the background process.
    pub fn server_log(&self) -> PathBuf {
        self.data.join("log/gantry.log")
    }
    pub fn containerd_log(&self) -> PathBuf {
        self.data.join("log/containerd.log")
    }
    pub fn containerd_root(&self) -> PathBuf {
        self.data.join("containerd")
    }
    pub fn containerd_state(&self) -> PathBuf {
        self.run.join("containerd")
    }
    pub fn containerd_socket(&self) -> PathBuf {
        self.run.join("containerd.sock")
    }
    pub fn containerd_config(&self) -> PathBuf {
        self.run.join("containerd.toml")
    }
    pub fn containerd_pid(&self) -> PathBuf {
        self.run.join("containerd.pid")
    }
    pub fn cni_conf(&self) -> PathBuf {
        self.run.join("cni/net.d")
    }
    /// Address leases of `host-local`.
    pub fn cni_data(&self) -> PathBuf {
        self.kubelet().join("cni-ipam")
    }
    pub fn server_pid(&self) -> PathBuf {
        self.run.join("gantry.pid")
    }
    /// The cgroup below which every container of this cluster lives, in each hierarchy: named as our run directory, so
    /// that two clusters on one host do not meet.
    pub fn cgroup_root(&self) -> String {
        let name = self.run.file_name().map_or_else(|| "gantry".into(), |n| n.to_string_lossy().into_owned());
        format!("/{name}")
    }
    /// How the running cluster was started: what `status` and a second `up` read.
    pub fn cluster_file(&self) -> PathBuf {
        self.run.join("cluster.json")
    }
    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.data.join("admin.kubeconfig")
    }

    /// Makes both trees, closed to everyone but root. Refuses directories that hold what is not ours: `down` removes
    /// them with everything in them.
    pub fn create(&self) -> io::Result<()> {
        self.check_ours()?;
        for (flag, dir) in self.directories() {
            let made = fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .and_then(|()| fs::set_permissions(dir, fs::Permissions::from_mode(0o700)))
                .and_then(|()| fs::write(dir.join(MARK), MARK_TEXT));
            made.map_err(|error| {
                let file = dir.ancestors().find(|path| path.exists() && !path.is_dir());
                let why = file.map_or(error.to_string(), |file| {
                    format!("{} is a file, not a directory", file.display())
                });
                io::Error::new(error.kind(), format!("{flag} {}: {why}", dir.display()))
            })?;
        }
        // Logs are the one part whose parents others may need to pass; their content stays root's.
        for dir in [self.data.join("log"), self.containerd_state(), self.cni_conf(), self.cni_data()] {
            fs::create_dir_all(dir)?;
        }
        Ok(())
    }
}

impl State {
    fn directories(&self) -> [(&'static str, &PathBuf); 2] {
        [("--data-dir", &self.data), ("--run-dir", &self.run)]
    }

    /// That each directory is not there, or empty, or marked as ours.
    pub fn check_ours(&self) -> io::Result<()> {
        for (flag, dir) in self.directories() {
            if dir.join(MARK).exists() {
                continue;
            }
            // What a file system has from its birth is nobody's.
            let holds = |entry: &fs::DirEntry| entry.file_name() != "lost+found";
            if let Some(other) = fs::read_dir(dir).into_iter().flatten().flatten().find(holds) {
                return Err(io::Error::other(format!(
                    "{flag} {} is not a directory of Gantry's: it holds {}; name an empty one, or one that is not there",
                    dir.display(),
                    other.file_name().display()
                )));
            }
        }
        Ok(())
    }
}

/// A process that we started, told apart from a later one with the same number by its start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessId {
    pub pid: i32,
    /// Clock ticks since boot, field 22 of `/proc/PID/stat`.
    pub started: u64,
}

impl ProcessId {
    /// The running process with this number.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything, spaces and parentheses too: count from its end.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        if fields.first() == Some(&"Z") {
            return None;
        }
        Some(Self { pid, started: fields.get(19)?.parse().ok()? })
    }

    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    pub fn write(self, path: &Path) -> io::Result<()> {
        fs::write(path, format!("{} {}\n", self.pid, self.started))
    }

    /// The process that `path` names, when it still runs.
    pub fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let (pid, started) = text.trim().split_once(' ')?;
        let id = Self { pid: pid.parse().ok()?, started: started.parse().ok()? };
        id.is_alive().then_some(id)
    }

    /// Sends a signal. A process that is gone already is no error.
    pub fn signal(self, signal: nix::sys::signal::Signal) -> io::Result<()> {
        if !self.is_alive() {
            return Ok(());
        }
        match nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid), signal) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Waits for its end; false when `limit` passes first. The process need not be our child.
    pub async fn ended(self, limit: std::time::Duration) -> bool {
        let deadline = tokio::time::Instant::now() + limit;
        // There is no event for the end of a process that is not a child and that we hold no pidfd of; `down` is the
        // only caller and waits seconds at most.
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(20));
        while self.is_alive() {
            if tokio::time::Instant::now() >= deadline {
                return false;
            }
            ticks.tick().await;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_number_and_start() {
        let me = i32::try_from(std::process::id()).unwrap();
        let id = ProcessId::of(me).unwrap();
        assert!(id.is_alive());
        assert!(!ProcessId { started: id.started + 1, ..id }.is_alive());
        assert_eq!(ProcessId::of(0), None);
    }

    #[test]
    fn a_directory_of_others_is_left_alone() {
        let root = std::env::temp_dir().join(format!("gantry-state-{}", std::process::id()));
        let check =
            |data: &str| State::new(root.join(data), root.join("run")).create().map_err(|e| e.to_string());
        fs::create_dir_all(root.join("disk/lost+found")).unwrap();
        fs::create_dir_all(root.join("home/letters")).unwrap();
        fs::write(root.join("file"), "x").unwrap();
        assert_eq!(check("new/below"), Ok(()));
        assert_eq!(check("new/below"), Ok(()), "again");
        assert_eq!(check("disk"), Ok(()), "a new file system");
        let refused = check("home").unwrap_err();
        assert!(refused.starts_with("--data-dir ") && refused.contains("it holds letters"), "{refused}");
        assert!(State::new(root.join("new/below"), root.join("home")).check_ours().is_err());
        for path in ["file", "file/below"] {
            let refused = check(path).unwrap_err();
            assert!(refused.ends_with("/file is a file, not a directory"), "{refused}");
        }
        fs::remove_dir_all(root).unwrap();
    }
}
