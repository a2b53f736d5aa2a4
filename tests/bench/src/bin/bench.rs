//! `cargo xtask bench`: prints what the README quotes.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program for people")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bench::{cluster, process, server};
use clap::Parser;

/// Measures the API server as a process of its own, and a whole cluster on this host
#[derive(Parser, Debug)]
#[command(name = "cargo xtask bench", max_term_width = 100)]
struct Args {
    /// Pods in the API server's part
    #[arg(long, default_value_t = 10_000)]
    pods: usize,
    /// How often single pods are created (30 at once: a quarter of it)
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// The program to measure: `gantry`, or `kube-apiserver` for the server's part; by default `gantry` beside this one
    #[arg(long)]
    program: Option<PathBuf>,
    /// Only this part: `server` or `cluster`
    #[arg(long)]
    part: Option<String>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let gantry = match &args.program {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.parent().context("a program lies in a folder")?.join("gantry"),
    };
    println!("{}", process::machine());
    let wanted = |part: &str| args.part.as_deref().is_none_or(|p| p == part);
    if wanted("server") {
        eprintln!("measuring the API server with {} pods ...", args.pods);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let f = runtime.block_on(server::measure(&gantry, args.pods))?;
        println!("API server, start to ready          {}", ms(f.ready));
        println!("CPU per create                      {}", ms(f.create_cpu));
        println!("CPU per get                         {}", ms(f.get_cpu));
        println!("CPU to LIST {} pods ({:.1} MB)   {}/MB", f.pods, f.list_mb, ms(f.list_cpu_per_mb));
    }
    if wanted("cluster") {
        eprintln!("measuring a cluster ...");
        let mut f = cluster::measure(&gantry, args.rounds)?;
        println!("up to application answers by DNS    {}", ms(f.up_to_answer));
        println!(
            "create to Ready, one pod            p50 {} p99 {}",
            ms(process::percentile(&mut f.one_pod, 0.5)),
            ms(process::percentile(&mut f.one_pod, 0.99))
        );
        println!(
            "create to Ready, 30 pods            p50 {} p99 {}",
            ms(process::percentile(&mut f.thirty_pods, 0.5)),
            ms(process::percentile(&mut f.thirty_pods, 0.99))
        );
        println!("resident, idle                      {:.1} MB", f.idle_mb);
        println!("resident, after 30 pods             {:.1} MB", f.thirty_mb);
        println!(
            "CPU in 60 s of idling               {} ({:.2} % of a core)",
            ms(f.idle_cpu),
            f.idle_cpu.as_secs_f64() / 0.6
        );
    }
    Ok(())
}

fn ms(duration: Duration) -> String {
    format!("{:.3} ms", duration.as_secs_f64() * 1000.0)
}
