//! `gantry down`: stops the cluster and removes everything that it made.
//!
//! Nothing is remembered for this: what is ours is found by where it lies, so that it works after any crash. Each step
//! goes on after a failure of the one before; what could not be removed is said at the end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::Signal;

use crate::cli::UpArgs;
use crate::state::{ProcessId, State};
use crate::{containerd, runtime};

/// The front door stops its parts within this.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// What `up` notes for `status`, a second `up`, and `down`.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct ClusterFile {
    pub(crate) args: UpArgs,
    /// Gateway addresses of the node's pod range: they mark the pods' interfaces.
    pub(crate) gateways: Vec<std::net::IpAddr>,
}

impl ClusterFile {
    pub(crate) fn read(state: &State) -> Option<Self> {
        serde_json::from_slice(&fs::read(state.cluster_file()).ok()?).ok()
    }
    pub(crate) fn write(&self, state: &State) -> io::Result<()> {
        fs::write(state.cluster_file(), serde_json::to_vec_pretty(self)?)
    }
}

/// Stops the cluster; the store stays with `keep_data`.
pub(crate) async fn down(state: &State, keep_data: bool) -> Result<()> {
    crate::server::check_root()?;
    if !state.run.exists() && (keep_data || !state.data.exists()) {
        println!("No cluster runs here; nothing to do.");
        return Ok(());
    }
    // Before anything is ended, unmounted or removed.
    state.check_ours()?;
    let mut failures = Vec::new();
    println!("Stopping the control plane and the node ...");
    failures.extend(stop_server(state).await.err().map(|e| format!("stop the cluster's process: {e}")));
    println!("Removing containers ...");
    failures.extend(remove_containers(state).await);
    failures.extend(containerd::stop(state).await.err().map(|e| format!("stop containerd: {e}")));
    failures.extend(end_leftover_shims(state).await);
    println!("Removing network, mounts and cgroups ...");
    failures.extend(remove_network(state).await);
    for root in [&state.run, &state.data] {
        failures.extend(unmount_below(root));
    }
    failures.extend(remove_cgroups(&state.cgroup_root()));
    if failures.is_empty() {
        failures.extend(remove_directories(state, keep_data));
    }
    if !failures.is_empty() {
        bail!("not everything could be removed; run `gantry down` again:\n  {}", failures.join("\n  "));
    }
    println!("{}", if keep_data { "The cluster is down; its data is kept." } else { "The cluster is gone." });
    Ok(())
}

async fn stop_server(state: &State) -> io::Result<()> {
    if let Some(id) = ProcessId::read(&state.server_pid()) {
        id.signal(Signal::SIGTERM)?;
        if !id.ended(STOP_LIMIT).await {
            id.signal(Signal::SIGKILL)?;
            id.ended(STOP_LIMIT).await;
        }
    }
    absent_is_fine(fs::remove_file(state.server_pid()))
}

async fn remove_containers(state: &State) -> Vec<String> {
    // A containerd that is gone is started again: only it knows how to take its containers apart.
    let had_any = state.containerd_root().exists();
    if !had_any {
        return Vec::new();
    }
    // The run directory is gone after a reboot and after `down --keep-data`; containerd needs one.
    let started = match state.create() {
        Ok(()) => containerd::ensure(state).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = started {
        return vec![format!("start containerd to remove its containers: {error}")];
    }
    match runtime::remove_all(&state.containerd_socket()).await {
        Ok(failures) => failures,
        Err(error) => vec![format!("list containers: {error}")],
    }
}

/// Shims outlive a containerd that could not remove their containers. Ours name our socket in their arguments.
async fn end_leftover_shims(state: &State) -> Vec<String> {
    let socket = state.containerd_socket().display().to_string();
    let mut failures = Vec::new();
    for id in processes_with_argument(&socket) {
        let result = id.signal(Signal::SIGKILL);
        failures.extend(result.err().map(|e| format!("end the shim {}: {e}", id.pid)));
        id.ended(Duration::from_secs(5)).await;
    }
    failures
}

fn processes_with_argument(argument: &str) -> Vec<ProcessId> {
    let me = std::process::id().to_string();
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_string_lossy().into_owned();
            if pid == me {
                return None;
            }
            let command = fs::read(entry.path().join("cmdline")).ok()?;
            let has = command.split(|&b| b == 0).any(|part| part == argument.as_bytes());
            if has { ProcessId::of(pid.parse().ok()?) } else { None }
        })
        .collect()
}

async fn remove_network(state: &State) -> Vec<String> {
    let gateways = ClusterFile::read(state).map(|file| file.gateways).unwrap_or_default();
    let tools = net::Tools::new(env::Env::real().process);
    let (netlink, connection) = match net::Netlink::open() {
        Ok(opened) => opened,
        Err(error) => return vec![format!("ask the kernel for interfaces: {error}")],
    };
    let tasks = component::Tasks::new("down");
    tasks.spawn_until_stop("netlink", connection);
    let what = net::State {
        tables: vec![("ip".into(), "kube-proxy".into()), ("ip6".into(), "kube-proxy".into())],
        gateways,
        cni_dir: Some(state.cni_conf()),
        ipam_dir: Some(state.cni_data()),
        ..net::State::default()
    };
    let failures =
        net::cleanup(&what, &tools, Some(&netlink)).await.iter().map(ToString::to_string).collect();
    tasks.kill();
    failures
}

/// Unmounts everything below `root`, the innermost first.
fn unmount_below(root: &Path) -> Vec<String> {
    let mut failures = Vec::new();
    for mount in mounts_below(root).into_iter().rev() {
        // Lazily: a process that is on its way out may still hold it.
        if let Err(error) = umount2(&mount, MntFlags::MNT_DETACH) {
            failures.push(format!("unmount {}: {error}", mount.display()));
        }
    }
    failures
}

fn mounts_below(root: &Path) -> Vec<PathBuf> {
    fs::read_to_string("/proc/self/mountinfo")
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.split_whitespace().nth(4))
        .map(|path| PathBuf::from(path.replace("\\040", " ")))
        .filter(|path| path.starts_with(root) && path != root)
        .collect()
}

/// Removes our cgroup in each hierarchy, the innermost first.
fn remove_cgroups(root: &str) -> Vec<String> {
    let mut failures = Vec::new();
    let name = root.trim_start_matches('/');
    let base = Path::new("/sys/fs/cgroup");
    let mut candidates = vec![base.join(name)];
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        candidates.push(entry.path().join(name));
    }
    for top in candidates.into_iter().filter(|dir| dir.is_dir()) {
        failures
            .extend(remove_cgroup(&top).err().map(|e| format!("remove the cgroup {}: {e}", top.display())));
    }
    failures
}

fn remove_cgroup(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_cgroup(&entry.path())?;
        }
    }
    fs::remove_dir(dir)
}

fn remove_directories(state: &State, keep_data: bool) -> Vec<String> {
    let mut failures = Vec::new();
    let mut remove = |path: &Path| {
        if let Err(error) = absent_is_fine(fs::remove_dir_all(path)) {
            failures.push(format!("remove {}: {error}", path.display()));
        }
    };
    remove(&state.run);
    if keep_data {
        // Pods' directories belong to containers that are gone; store, certificates and images stay.
        remove(&state.kubelet());
    } else {
        remove(&state.data);
    }
    failures
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
