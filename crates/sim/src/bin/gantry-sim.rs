//! `gantry-sim`: runs seeds for as long as one likes, and shows the trace of one that fails.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use sim::{Options, run};

/// Simulates the whole cluster from seeds, with faults
#[derive(Parser, Debug)]
struct Args {
    /// How many seeds to run
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first one
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run each seed twice and compare what happened
    #[arg(long)]
    twice: bool,
    /// Let nothing go wrong
    #[arg(long)]
    calm: bool,
    /// Print every line of the trace, and the log of the components at debug
    #[arg(long)]
    echo: bool,
    /// Go on after a seed that failed
    #[arg(long)]
    keep_going: bool,
    /// Note the next seed in this file after each one, and begin with the one noted there
    #[arg(long)]
    resume: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if args.echo {
        let filter = tracing_subscriber::EnvFilter::new("debug,tower=info");
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().init();
    }
    let options = Options { faults: !args.calm, echo: args.echo };
    let noted = args.resume.as_deref().and_then(|path| std::fs::read_to_string(path).ok());
    let first = noted.and_then(|text| text.trim().parse().ok()).unwrap_or(args.from);
    #[allow(clippy::disallowed_methods, reason = "tells a person how fast it goes")]
    let started = std::time::Instant::now();
    let mut failed = Vec::new();
    for (n, seed) in (first..args.from + args.seeds).enumerate() {
        let outcome = run(seed, &options);
        let again = args.twice.then(|| run(seed, &options));
        match &outcome {
            Err(failure) => {
                eprintln!("{failure}");
                failed.push(seed);
                if !args.keep_going {
                    return Ok(ExitCode::FAILURE);
                }
            }
            Ok(report) => {
                let rate = (n + 1) as f64 / started.elapsed().as_secs_f64();
                eprintln!(
                    "seed {seed}: {:016x}, {} lines, {} faults, {} s simulated; {rate:.1} seeds/s",
                    report.hash,
                    report.lines,
                    report.faults,
                    report.duration.as_secs(),
                );
                if let Some(again) = again
                    && again.as_ref().ok() != Some(report)
                {
                    eprintln!("seed {seed} went otherwise the second time: {again:?}");
                    return Ok(ExitCode::FAILURE);
                }
            }
        }
        if let Some(path) = &args.resume {
            std::fs::write(path, format!("{}\n", seed + 1)).context("note the next seed")?;
        }
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("failed: {failed:?}");
    Ok(ExitCode::FAILURE)
}
