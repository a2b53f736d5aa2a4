//! The cluster's own containerd: its configuration, its start as a process that outlives us, its end.
//!
//! Never the host's: root, state, socket, CNI configuration and runc's state are all under our directories. It is not
//! our child in the sense that matters: when the front door dies it goes on, and the next start adopts it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cri::settings::{ContainerdSettings, may_lower_oom_score};
use nix::sys::signal::Signal;

use crate::image::PAUSE_IMAGE;
use crate::state::{ProcessId, State};

/// containerd answers within a second on an idle host; a loaded one gets longer.
const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// How long a dead containerd may go unnoticed: pods that run do not miss it.
const WATCH_PERIOD: Duration = Duration::from_secs(1);
/// Between attempts to start one that does not start.
const RESTART_DELAY: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum ContainerdError {
    #[error("{program} is not installed; run `cargo xtask deps`, or install Debian's package {package}")]
    Missing { program: &'static str, package: &'static str },
    #[error("CNI plugins are missing ({}); run `cargo xtask deps`, or install Debian's package containernetworking-plugins", .0.join(", "))]
    NoCni(Vec<String>),
    #[error("containerd did not start: {reason}; its log is {}", log.display())]
    Start { reason: String, log: PathBuf },
    #[error("{}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Starts containerd, or adopts the one that an earlier start left, and waits until it takes connections.
pub async fn ensure(state: &State) -> Result<ProcessId, ContainerdError> {
    if let Some(id) = ProcessId::read(&state.containerd_pid())
        && connects(&state.containerd_socket()).await
    {
        return Ok(id);
    }
    let program = find("containerd")
        .ok_or(ContainerdError::Missing { program: "containerd", package: "containerd" })?;
    find("runc").ok_or(ContainerdError::Missing { program: "runc", package: "runc" })?;
    let cni = net::cni::find_plugins(&net::cni::PLUGIN_DIRS).map_err(ContainerdError::NoCni)?;
    let config = state.containerd_config();
    write(&config, settings(state, &cni).render().as_bytes())?;
    let log = open_log(&state.containerd_log())?;
    let error_log = log.try_clone().map_err(|source| file_error(&state.containerd_log(), source))?;
    let id = spawn_detached(&program, &config, log, error_log)
        .map_err(|e| ContainerdError::Start { reason: e.to_string(), log: state.containerd_log() })?;
    id.write(&state.containerd_pid()).map_err(|source| file_error(&state.containerd_pid(), source))?;
    wait_for_socket(state, id).await?;
    Ok(id)
}

fn tell(error: &ContainerdError) {
    let error: &dyn std::error::Error = error;
    tracing::error!(component = "gantry", error, "containerd not started");
}

/// Starts it again whenever it has ended; its containers live on in their shims, and it finds them again. Never returns.
pub async fn keep(state: &State) {
    // There is no event for the end of a process that may be an earlier start's child; a look costs two system calls.
    let mut ticks = tokio::time::interval(WATCH_PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if ProcessId::read(&state.containerd_pid()).is_some() {
            continue;
        }
        tracing::warn!(component = "gantry", "containerd has ended; starting it again");
        if let Err(error) = ensure(state).await {
            tell(&error);
            tokio::time::sleep(RESTART_DELAY).await;
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a process that outlives us is not one that runs to its end")]
fn spawn_detached(program: &Path, config: &Path, out: fs::File, err: fs::File) -> io::Result<ProcessId> {
    use std::os::unix::process::CommandExt as _;
    let mut command = std::process::Command::new(program);
    command
        .arg("--config")
        .arg(config)
        .stdin(std::process::Stdio::null())
        .stdout(out)
        .stderr(err)
        .process_group(0);
    let mut child = component::memory::as_the_host_has_it(|| command.spawn())?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    match ProcessId::of(pid) {
        Some(id) => {
            // Reaps it should it end while we live; afterwards init does.
            std::thread::Builder::new().name("reap containerd".into()).spawn(move || child.wait())?;
            Ok(id)
        }
        None => Err(io::Error::other(format!("it ended at once: {}", child.wait()?))),
    }
}

async fn wait_for_socket(state: &State, id: ProcessId) -> Result<(), ContainerdError> {
    let deadline = tokio::time::Instant::now() + START_LIMIT;
    // A connection is the only sign that containerd gives of being ready.
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    loop {
        ticks.tick().await;
        if connects(&state.containerd_socket()).await {
            return Ok(());
        }
        let reason = if !id.is_alive() {
            last_line(&state.containerd_log()).unwrap_or_else(|| "it ended without a word".into())
        } else if tokio::time::Instant::now() >= deadline {
            format!("no connection within {START_LIMIT:?}")
        } else {
            continue;
        };
        return Err(ContainerdError::Start { reason, log: state.containerd_log() });
    }
}

/// Ends our containerd, if it runs. Containers must have been removed before: their shims would live on.
pub async fn stop(state: &State) -> io::Result<()> {
    if let Some(id) = ProcessId::read(&state.containerd_pid()) {
        id.signal(Signal::SIGTERM)?;
        if !id.ended(STOP_LIMIT).await {
            id.signal(Signal::SIGKILL)?;
            id.ended(STOP_LIMIT).await;
        }
    }
    match fs::remove_file(state.containerd_pid()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn connects(socket: &Path) -> bool {
    tokio::net::UnixStream::connect(socket).await.is_ok()
}

/// Finds a program in the usual places: PATH first, then where daemons are installed.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|candidate| candidate.is_file())
}

/// What its configuration file says.
fn settings(state: &State, cni_bin: &Path) -> ContainerdSettings {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    ContainerdSettings {
        root: state.containerd_root(),
        state: state.containerd_state(),
        socket: state.containerd_socket(),
        sandbox_image: PAUSE_IMAGE.to_owned(),
        cni_bin_dirs: vec![cni_bin.to_owned()],
        cni_conf_dir: state.cni_conf(),
        snapshotter: "overlayfs".to_owned(),
        restrict_oom_score_adj: !may_lower_oom_score(&status),
        systemd_cgroup: false,
    }
}

fn open_log(path: &Path) -> Result<fs::File, ContainerdError> {
    fs::OpenOptions::new().create(true).append(true).open(path).map_err(|source| file_error(path, source))
}

fn write(path: &Path, content: &[u8]) -> Result<(), ContainerdError> {
    fs::write(path, content).map_err(|source| file_error(path, source))
}

fn file_error(path: &Path, source: io::Error) -> ContainerdError {
    ContainerdError::File { path: path.to_owned(), source }
}

fn last_line(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()?.lines().last().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_stays_under_our_directories() {
        let state = State::new("/data", "/run/x");
        let config = settings(&state, Path::new("/usr/lib/cni")).render();
        let paths: Vec<&str> = config.split('"').filter(|part| part.starts_with('/')).collect();
        assert!(paths.len() >= 6, "{config}");
        for path in paths {
            let ours = ["/data/", "/run/x/", "/usr/lib/cni"].iter().any(|prefix| path.starts_with(prefix));
            assert!(ours, "{path} leaves our directories");
        }
    }
}
