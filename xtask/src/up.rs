//! Building and calling our own programs, and running others.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::deps::{self, Need};
use crate::{root, tools};

/// `cargo xtask up`: from a bare host to a cluster.
pub(crate) fn up(args: &[String]) -> Result<()> {
    if !deps::is_root() {
        bail!(
            "a cluster needs root (network namespaces, mounts, cgroups): run as root, for example with sudo -E"
        );
    }
    deps::ensure(Need::Run)?;
    let gantry = build("gantry", "gantry")?;
    let mut all = vec!["up".to_owned()];
    all.extend_from_slice(args);
    run(&gantry.display().to_string(), &all, &[])
}

/// `cargo xtask down`.
pub(crate) fn down(args: &[String]) -> Result<()> {
    if !deps::is_root() {
        bail!("stopping a cluster needs root");
    }
    deps::ensure(Need::Build)?;
    let gantry = build("gantry", "gantry")?;
    let mut all = vec!["down".to_owned()];
    all.extend_from_slice(args);
    run(&gantry.display().to_string(), &all, &[])
}

/// Builds a program of ours in release mode and runs it.
pub(crate) fn tool(package: &str, bin: &str, args: &[String]) -> Result<()> {
    deps::ensure(Need::Test)?;
    tools::kubectl()?;
    let program = build(package, bin)?;
    if package == "bench" {
        // The programs that measure start the front door themselves.
        build("gantry", "gantry")?;
    }
    run(&program.display().to_string(), args, &[])
}

/// Builds `bin` in release mode; cargo shows its own progress.
fn build(package: &str, bin: &str) -> Result<PathBuf> {
    let _ = package;
    // The whole workspace's features, whatever is built: `-p` would resolve them anew and rebuild dependencies.
    run("cargo", &["build", "--release", "--locked", "--workspace", "--bin", bin], &[])?;
    Ok(target_dir().join("release").join(bin))
}

pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Runs a command with our terminal.
pub(crate) fn run<S: AsRef<OsStr>>(program: &str, args: &[S], env: &[(&str, &str)]) -> Result<()> {
    let status = command(program, args, env).status().with_context(|| format!("start {program}"))?;
    if !status.success() {
        let args: Vec<_> = args.iter().map(|a| a.as_ref().to_string_lossy().into_owned()).collect();
        bail!("{program} {} ended with {status}", args.join(" "));
    }
    Ok(())
}

/// Runs a command and shows what it printed only when it fails.
pub(crate) fn run_quietly<S: AsRef<OsStr>>(program: &str, args: &[S], env: &[(&str, &str)]) -> Result<()> {
    output_with(program, args, env).map(drop)
}

/// What a command that succeeds prints.
pub(crate) fn output_of<S: AsRef<OsStr>>(program: &str, args: &[S]) -> Result<String> {
    output_with(program, args, &[])
}

fn output_with<S: AsRef<OsStr>>(program: &str, args: &[S], env: &[(&str, &str)]) -> Result<String> {
    let output = command(program, args, env)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start {program}"))?;
    if !output.status.success() {
        bail!(
            "{program} ended with {}:\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[allow(clippy::disallowed_methods, reason = "xtask is no component: its business is to run programs")]
fn command<S: AsRef<OsStr>>(program: &str, args: &[S], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command.args(args).env("PATH", tools::path()).envs(env.iter().copied()).current_dir(root());
    command
}
