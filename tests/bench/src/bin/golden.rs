//! `cargo xtask golden`: replays recordings of a real Kubernetes server and prints `FILE: N matched, M differ`.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program for people")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use bench::golden::server::Server;
use bench::golden::{Verdict, files, scenario};
use clap::Parser;
use serde_json::Value;

/// Replays recordings of a real Kubernetes server and counts which answers differ
#[derive(Parser, Debug)]
#[command(name = "cargo xtask golden", max_term_width = 100)]
struct Args {
    /// The folder of the recordings
    #[arg(long, default_value = "../shared/golden")]
    dir: PathBuf,
    /// Show the differences
    #[arg(long)]
    show: bool,
    /// Only this file, such as `defaults`
    #[arg(long)]
    file: Option<String>,
    /// Only answers whose name contains this
    #[arg(long, default_value = "")]
    name: String,
}

/// In the order in which they build on each other.
const REQUEST_FILES: &[&str] = &["defaults", "errors"];
const SCENARIO_FILES: &[&str] = &["apply", "patch", "lists-watches", "lifecycle"];

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    match runtime.block_on(run(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("golden: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<()> {
    let wanted = |name: &str| args.file.as_deref().is_none_or(|f| f == name);
    for (file, key) in [("discovery-default", "requests"), ("boot-objects", "lists")] {
        if wanted(file) {
            let server = Server::start().await?;
            let mut verdicts = Vec::new();
            for line in whole(&args.dir.join(format!("{file}.json")))?[key].as_array().into_iter().flatten() {
                verdicts.push(files::get_line(&server, line).await?);
            }
            report(args, file, &verdicts);
            server.stop().await;
        }
    }
    if REQUEST_FILES.iter().any(|f| wanted(f)) || wanted("tables") {
        let server = Server::start().await?;
        prepare(&server).await?;
        // Errors refer to objects that the defaults made.
        for file in REQUEST_FILES {
            let mut verdicts = Vec::new();
            for (line, raw) in files::raw_lines(&args.dir.join(format!("{file}.jsonl")))? {
                verdicts.push(files::request_line(&server, &line, &raw).await?);
                if line["method"] == "POST" && line["path"] == "/api/v1/namespaces" && line["status"] == 201 {
                    let name = line["body"]["metadata"]["name"].as_str();
                    account(&server, name.unwrap_or("none")).await?;
                }
            }
            if wanted(file) {
                report(args, file, &verdicts);
            }
        }
        if wanted("tables") {
            let mut verdicts = Vec::new();
            for line in files::lines(&args.dir.join("tables.jsonl"))? {
                verdicts.extend(files::table_line(&server, &line).await?);
            }
            report(args, "tables", &verdicts);
        }
        server.stop().await;
    }
    for file in SCENARIO_FILES.iter().filter(|f| wanted(f)) {
        let server = Server::start().await?;
        for setup in files::lines(&args.dir.join("setup.jsonl"))? {
            let mut kept = setup.clone();
            // What the setup makes stays: its steps are replayed one by one without the end of a scenario.
            for step in kept["steps"].as_array_mut().into_iter().flatten() {
                let line = serde_json::json!({
                    "name": "setup", "method": step["method"], "path": step["path"], "body": step["body"],
                    "status": step["status"], "response": step["response"],
                    "requestHeaders": {"User-Agent": "gold/1.0"},
                });
                files::request_line(&server, &line, &line.to_string()).await?;
            }
        }
        // The recorder's server had been running for longer than history is kept.
        let mut server = server.restart(None).await?;
        let mut compacting = false;
        let mut verdicts = Vec::new();
        for line in files::lines(&args.dir.join(format!("{file}.jsonl")))? {
            let name = line["scenario"].as_str().unwrap_or_default();
            if name.contains(&args.name) {
                if name.starts_with("compaction/") != compacting {
                    compacting = !compacting;
                    server = server.restart(compacting.then_some(scenario::COMPACTION_INTERVAL)).await?;
                }
                verdicts.push(scenario::replay(&server, &line).await?);
            }
        }
        report(args, file, &verdicts);
        server.stop().await;
    }
    Ok(())
}

/// What the one-line recordings take for granted: their namespaces with a ServiceAccount each.
async fn prepare(server: &Server) -> Result<()> {
    post(server, "/api/v1/namespaces", "gold").await?;
    account(server, "gold").await
}

/// The account that pods of a namespace get: the recorder stood in for the controller that makes it.
async fn account(server: &Server, namespace: &str) -> Result<()> {
    post(server, &format!("/api/v1/namespaces/{namespace}/serviceaccounts"), "default").await
}

async fn post(server: &Server, path: &str, name: &str) -> Result<()> {
    let line = serde_json::json!({
        "name": "prepare", "method": "POST", "path": path, "body": {"metadata": {"name": name}}, "status": 201,
        "response": {},
    });
    files::request_line(server, &line, &line.to_string()).await?;
    Ok(())
}

fn whole(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| {
        format!(
            "read {}: the recordings are not part of the repository; name their folder with --dir",
            path.display()
        )
    })?;
    serde_json::from_str(&text).context("it is no JSON")
}

fn report(args: &Args, file: &str, verdicts: &[Verdict]) {
    let verdicts: Vec<&Verdict> = verdicts.iter().filter(|v| v.name.contains(&args.name)).collect();
    let matched = verdicts.iter().filter(|v| v.matched()).count();
    if args.show {
        for verdict in verdicts.iter().filter(|v| !v.matched()) {
            println!("{file} {}:", verdict.name);
            for difference in &verdict.differences {
                println!("    {difference}");
            }
        }
    }
    println!("{file}: {matched} matched, {} differ", verdicts.len() - matched);
}
