//! `cargo xtask openapi`: compares every definition of the served OpenAPI documents, v2 and v3, with upstream's and prints
//! `DOCUMENT: N matched, M differ`. Descriptions are counted apart.
//!
//! The server runs with every API on, as the one did that the documents were taken from.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program for people")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use bench::golden::server::{Request, Server};
use clap::Parser;
use serde_json::Value;

/// Compares the served OpenAPI documents with upstream's, definition by definition
#[derive(Parser, Debug)]
#[command(name = "cargo xtask openapi", max_term_width = 100)]
struct Args {
    /// The folder of upstream's documents: swagger.json and openapi-v3/
    #[arg(long, default_value = "../shared/kubernetes-1.36")]
    dir: PathBuf,
    /// Show the differences
    #[arg(long)]
    show: bool,
    /// Only definitions whose name contains this
    #[arg(long, default_value = "")]
    name: String,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    match runtime.block_on(run(&args)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(n) => {
            println!("{n} definitions differ");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("openapi: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What differs between two documents.
#[derive(Debug, Default)]
struct Found {
    matched: usize,
    /// `DEFINITION path: expected …, got …`.
    differences: Vec<String>,
    differing: usize,
    /// Descriptions with other words.
    descriptions: Vec<String>,
}

async fn run(args: &Args) -> Result<usize> {
    let server = Server::with_every_api().await?;
    let mut n_differ = 0;
    let swagger = read(&args.dir.join("swagger.json"))?;
    let ours = get(&server, "/openapi/v2").await?;
    n_differ += report(args, "v2", &compare(args, &swagger["definitions"], &ours["definitions"]));
    let mut files: Vec<PathBuf> = std::fs::read_dir(args.dir.join("openapi-v3"))
        .context("read openapi-v3")?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.sort();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = name.trim_end_matches("_openapi.json").replace("__", "/");
        let theirs = read(&file)?;
        let schemas = &theirs["components"]["schemas"];
        if schemas.as_object().is_none_or(serde_json::Map::is_empty) {
            continue;
        }
        let ours = get(&server, &format!("/openapi/v3/{path}")).await?;
        n_differ += report(args, &path, &compare(args, schemas, &ours["components"]["schemas"]));
    }
    server.stop().await;
    Ok(n_differ)
}

fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| {
        format!(
            "read {}: upstream's documents are not part of the repository; name their folder with --dir",
            path.display()
        )
    })?;
    serde_json::from_str(&text).context("it is no JSON")
}

async fn get(server: &Server, target: &str) -> Result<Value> {
    let request = Request { method: "GET".into(), target: target.to_owned(), ..Request::default() };
    Ok(server.send(&request).await?.json())
}

fn compare(args: &Args, theirs: &Value, ours: &Value) -> Found {
    let mut found = Found::default();
    let empty = serde_json::Map::new();
    let (theirs, ours) = (theirs.as_object().unwrap_or(&empty), ours.as_object().unwrap_or(&empty));
    let names: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    for name in names.into_iter().filter(|n| n.contains(&args.name)) {
        let before = found.differences.len();
        match (theirs.get(name), ours.get(name)) {
            (Some(theirs), Some(ours)) => value(&mut found, name, theirs, ours),
            (Some(_), None) => found.differences.push(format!("{name}: missing")),
            (None, _) => found.differences.push(format!("{name}: not upstream's")),
        }
        if found.differences.len() == before {
            found.matched += 1;
        } else {
            found.differing += 1;
        }
    }
    found
}

fn value(found: &mut Found, path: &str, theirs: &Value, ours: &Value) {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            let keys: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
            for key in keys {
                let here = format!("{path}.{key}");
                let (theirs, ours) =
                    (theirs.get(key).unwrap_or(&Value::Null), ours.get(key).unwrap_or(&Value::Null));
                if key == "description" && !theirs.is_object() && !ours.is_object() {
                    if theirs != ours {
                        found.descriptions.push(format!("{here}: expected {theirs}, got {ours}"));
                    }
                } else {
                    value(found, &here, theirs, ours);
                }
            }
        }
        // Kinds and alternatives stand in the order of a map.
        (Value::Array(theirs), Value::Array(ours)) if theirs.len() == ours.len() => {
            let mut left: Vec<&Value> = ours.iter().collect();
            for item in theirs {
                match left.iter().position(|o| *o == item) {
                    Some(at) => drop(left.remove(at)),
                    None => {
                        found.differences.push(format!("{path}: expected an element {item}, got {left:?}"));
                    }
                }
            }
        }
        _ if theirs == ours => {}
        _ => found.differences.push(format!("{path}: expected {theirs}, got {ours}")),
    }
}

fn report(args: &Args, document: &str, found: &Found) -> usize {
    if args.show {
        for difference in found.differences.iter().chain(&found.descriptions) {
            println!("{document} {difference}");
        }
    }
    println!(
        "{document}: {} matched, {} differ; {} descriptions differ",
        found.matched,
        found.differing,
        found.descriptions.len()
    );
    found.differing
}
