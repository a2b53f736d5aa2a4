//! `gantry up`: starts the cluster's process in the background, shows its progress, and says what to do next.
//!
//! Progress comes through a pipe: the background process writes a line per step and closes its end once the cluster is
//! ready. An end without [`READY`] is a failure, and the log's last lines say why.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use component::LogArgs;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::UpArgs;
use crate::down::ClusterFile;
use crate::state::{ProcessId, State};

/// The last line of a start that succeeded.
pub(crate) const READY: &str = "ready";

/// How many lines of the log a failure shows.
const LOG_LINES_SHOWN: usize = 15;

/// Starts the cluster, or says that it runs.
pub(crate) async fn up(state: &State, args: &UpArgs, log: &LogArgs) -> Result<()> {
    crate::server::check_root()?;
    // Before anything is made or started.
    crate::server::check_args(args)?;
    if ProcessId::read(&state.server_pid()).is_some() {
        if let Some(running) = ClusterFile::read(state)
            && !running.args.same_cluster(args)
        {
            bail!(
                "a cluster runs already, started with other flags ({}); `gantry down` ends it",
                running.args.differing_from(args).join(", ")
            );
        }
        println!("The cluster is already running; nothing to do.");
        print_next_steps(state);
        return Ok(());
    }
    state.create()?;
    let (started, progress) = spawn(state, args, log)?;
    let limit = args.limit();
    // The pipe is read on this thread: there is nothing else to do meanwhile.
    match follow(progress, limit) {
        Ok(true) => {
            print_next_steps(state);
            Ok(())
        }
        Ok(false) => bail!("the cluster did not start: {}", why_not(state)),
        Err(error) => {
            if let Some(id) = started {
                id.signal(nix::sys::signal::Signal::SIGTERM).ok();
            }
            Err(error).with_context(|| format!("the log is {}", state.server_log().display()))
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the cluster's process outlives this one")]
fn spawn(
    state: &State,
    args: &UpArgs,
    log: &LogArgs,
) -> Result<(Option<ProcessId>, std::process::ChildStdout)> {
    use std::os::unix::process::CommandExt as _;
    let log_file = fs::OpenOptions::new().create(true).append(true).open(state.server_log())?;
    let mut command = std::process::Command::new(std::env::current_exe().context("find our own program")?);
    command
        .arg("--data-dir")
        .arg(&state.data)
        .arg("--run-dir")
        .arg(&state.run)
        .arg(format!("--v={}", log.v))
        .args(["up", "--foreground"])
        .arg(format!("--port={}", args.port))
        .arg(format!("--cluster-cidr={}", args.cluster_cidr))
        .arg(format!("--service-cidr={}", args.service_cidr))
        .arg(format!("--timeout={}", args.timeout))
        .env("GANTRY_BACKGROUND", "1")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log_file)
        .process_group(0);
    if let Some(ip) = args.node_ip {
        command.arg(format!("--node-ip={ip}"));
    }
    if let Some(name) = &args.node_name {
        command.arg(format!("--node-name={name}"));
    }
    let mut child = command.spawn().context("start the cluster's process")?;
    let stdout = child.stdout.take().expect("stdout was piped above");
    Ok((i32::try_from(child.id()).ok().and_then(ProcessId::of), stdout))
}

/// Shows each step until the pipe ends; true when the last one was [`READY`].
fn follow(pipe: std::process::ChildStdout, limit: Duration) -> Result<bool> {
    let bar = ProgressBar::new_spinner();
    bar.set_style(
        ProgressStyle::with_template("{spinner} [{elapsed}] {msg}").expect("the template is valid"),
    );
    bar.enable_steady_tick(Duration::from_millis(120));
    let visible = !bar.is_hidden();
    let mut ready = false;
    for line in BufReader::new(pipe).lines() {
        let line = match line {
            Ok(line) => line,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("read the progress"),
        };
        if line == READY {
            ready = true;
            break;
        }
        if line == "timeout" {
            bail!("not ready within {} s", limit.as_secs());
        }
        if visible {
            bar.set_message(line);
        } else {
            println!("{line}");
        }
    }
    bar.finish_and_clear();
    Ok(ready)
}

/// What the background process said last, the log's last lines, and what to do next.
fn why_not(state: &State) -> String {
    let text = fs::read_to_string(state.server_log()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let tail = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
    let said = tail.iter().rev().find_map(|line| line.strip_prefix("gantry: "));
    format!(
        "{}\n\nThe last lines of {}:\n{}\n\n`gantry down` removes what was made so far.",
        said.unwrap_or("its process ended"),
        state.server_log().display(),
        tail.join("\n")
    )
}

fn print_next_steps(state: &State) {
    println!(
        "\nYour cluster is ready. To use it:\n\n  export KUBECONFIG={}\n\nThree commands to try:\n\n  \
         kubectl get nodes -o wide\n  kubectl get pods -A\n  kubectl api-resources\n",
        state.kubeconfig().display()
    );
}
