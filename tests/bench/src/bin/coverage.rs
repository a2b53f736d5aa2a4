//! `cargo xtask coverage api`: walks every path, method, media type and parameter of upstream's OpenAPI v2 and prints
//! `N operations served, M not, K excused`. Fails when anything is missing, or when the description is.
//!
//! The server runs with every API on, as the one did that the description was taken from.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program for people")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use bench::coverage::walk::Walk;
use bench::coverage::{EXCUSED, discovery, spec};
use bench::golden::server::Server;
use clap::Parser;

/// Finds every operation of upstream's description served
#[derive(Parser, Debug)]
#[command(name = "cargo xtask coverage", max_term_width = 100)]
struct Args {
    /// What is covered
    #[arg(default_value = "api", value_parser = ["api"])]
    what: String,
    /// The folder of upstream's description: swagger.json and discovery/
    #[arg(long, default_value = "../shared/kubernetes-1.36")]
    dir: PathBuf,
    /// Only paths that contain this
    #[arg(long, default_value = "")]
    path: String,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    match runtime.block_on(run(&args)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("coverage: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<bool> {
    let items = spec::read(&args.dir.join("swagger.json"))?;
    let server = Server::with_every_api().await?;
    let found = discovery::compare(&server, &args.dir.join("discovery")).await?;
    let mut walk = Walk::begin(&server).await?;
    for item in items.iter().filter(|item| item.path.contains(&args.path)) {
        walk.path(item).await?;
    }
    let report = walk.report;
    for line in found.differences.iter().chain(&report.missing) {
        println!("{line}");
    }
    for (what, why) in EXCUSED {
        println!("excused: {what:?}, {why}");
    }
    println!("discovery: {} documents matched, {} differ", found.matched, found.differing);
    println!(
        "{} media types and {} parameters found; {} methods that are not described refused",
        report.media_types, report.parameters, report.refused
    );
    println!(
        "{}: {} operations served, {} not, {} excused",
        args.what,
        report.served,
        report.not_served,
        // None is left out as a whole: what is excused are media types and parameters.
        0
    );
    println!("{} media types and parameters of operations excused", report.excused.len());
    server.stop().await;
    Ok(report.missing.is_empty() && report.not_served == 0 && found.differing == 0)
}
