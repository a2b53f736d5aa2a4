//! `cargo xtask test`: the same commands for people and for CI, in two sizes.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::deps::{self, Need};
use crate::tidy;
use crate::up::{run, target_dir};

#[derive(Args, Debug, Default)]
pub(crate) struct TestArgs {
    /// Leave out the end-to-end tests
    #[arg(long, conflicts_with = "long")]
    fast: bool,
    /// Run the long forms: the same tests with 4,000 simulation seeds, 30 kills and three minutes of rollouts under load,
    /// and with the bounds on times that hold on a quiet host
    #[arg(long)]
    long: bool,
}

/// Tests that start a containerd or a whole cluster: they need root and the host's ports.
const WITH_CONTAINERS: &str =
    "package(e2e-tests) | package(client-tests) | binary(containerd) | binary(streams)";
const WITHOUT_CONTAINERS: &str =
    "not (package(e2e-tests) | package(client-tests) | binary(containerd) | binary(streams))";

fn run_steps(args: &TestArgs) -> Result<Vec<(&'static str, Duration)>> {
    let mut times = Vec::new();
    let mut step = |name: &'static str, work: &mut dyn FnMut() -> Result<()>| -> Result<()> {
        eprintln!("== {name}");
        #[allow(clippy::disallowed_methods, reason = "times a step for people to read")]
        let start = Instant::now();
        work()?;
        times.push((name, start.elapsed()));
        Ok(())
    };
    step("dependencies", &mut || {
        if args.fast {
            deps::ensure(Need::Build)?;
            deps::cargo_tools()
        } else {
            deps::for_tests()
        }
    })?;
    step("format", &mut || run("cargo", &["fmt", "--all", "--check"], &[]))?;
    step("tidy", &mut tidy::run)?;
    step("lints", &mut || {
        run(
            "cargo",
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--profile",
                "ci",
                "--locked",
                "--",
                "-D",
                "warnings",
            ],
            &[],
        )
    })?;
    let long: &[(&str, &str)] = if args.long { &[("GANTRY_TEST_LONG", "1")] } else { &[] };
    // All failures of a run at once: each run costs minutes.
    let nextest = ["nextest", "run", "--workspace", "--cargo-profile", "ci", "--locked", "--no-fail-fast"];
    step("unit, integration and simulation tests", &mut || {
        let mut all = nextest.to_vec();
        all.extend(["-E", WITHOUT_CONTAINERS]);
        run("cargo", &all, long)
    })?;
    if !args.fast {
        step("end-to-end tests", &mut || {
            let mut all = nextest.to_vec();
            // One cluster at a time: each owns the host's ports.
            all.extend(["-E", WITH_CONTAINERS, "--test-threads", "1"]);
            run("cargo", &all, long)
        })?;
    }
    Ok(times)
}

pub(crate) fn run_all(args: &TestArgs) -> Result<()> {
    let times = run_steps(args)?;
    let table: String =
        times.iter().map(|(name, time)| format!("{:7.1}  {name}\n", time.as_secs_f64() / 60.0)).collect();
    eprintln!("== minutes by step\n{table}");
    std::fs::write(target_dir().join(tidy::TIMES_FILE), table).context("keep the times for tidy")
}
