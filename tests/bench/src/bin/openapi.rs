//! `cargo xtask openapi`: compares every definition, operation and shared parameter of the served OpenAPI documents, v2 and
//! v3, with upstream's and prints `DOCUMENT: N matched, M differ`. Descriptions are counted apart.
//!
//! The server runs with every API on, as the one did that the documents were taken from. That one had alpha features on as
//! well: the media types of one of them are left out ([`NOT_OFFERED`]).

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program for people")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use bench::golden::server::{Request, Server};
use clap::Parser;
use serde_json::Value;

/// Media types that upstream offers with the alpha gate CBORServingAndStorage alone, which is off by default.
const NOT_OFFERED: [&str; 3] = ["application/cbor", "application/cbor-seq", "application/apply-patch+cbor"];

/// Compares the served OpenAPI documents with upstream's, definition by definition and operation by operation
#[derive(Parser, Debug)]
#[command(name = "cargo xtask openapi", max_term_width = 100)]
struct Args {
    /// The folder of upstream's documents: swagger.json and openapi-v3/
    #[arg(long, default_value = "../shared/kubernetes-1.36")]
    dir: PathBuf,
    /// Show the differences
    #[arg(long)]
    show: bool,
    /// Only definitions and paths whose name contains this
    #[arg(long, default_value = "")]
    name: String,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    match runtime.block_on(run(&args)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(n) => {
            println!("{n} definitions and operations differ");
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
    n_differ += report(args, "v2", &compare(args, &parts(&swagger, false), &parts(&ours, false)));
    let root = get(&server, "/openapi/v3").await?;
    let mut offered: BTreeSet<String> =
        root["paths"].as_object().into_iter().flatten().map(|(path, _)| path.clone()).collect();
    let mut files: Vec<PathBuf> = std::fs::read_dir(args.dir.join("openapi-v3"))
        .context("read openapi-v3")?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.sort();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = name.trim_end_matches("_openapi.json").replace("__", "/");
        let theirs = read(&file)?;
        let ours = get(&server, &format!("/openapi/v3/{path}")).await?;
        n_differ += report(args, &path, &compare(args, &parts(&theirs, true), &parts(&ours, true)));
        if !offered.remove(&path) {
            println!("{path}: not in the list of documents");
            n_differ += 1;
        }
    }
    for path in offered {
        println!("{path}: not upstream's document");
        n_differ += 1;
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

/// A document taken apart: what is compared by itself, by name.
fn parts(document: &Value, v3: bool) -> Value {
    let mut parts = serde_json::Map::new();
    let mut put = |name: String, value: &Value| {
        let mut value = value.clone();
        leave_out(&mut value);
        parts.insert(name, value);
    };
    let members = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let schemas = if v3 { &document["components"]["schemas"] } else { &document["definitions"] };
    for (name, schema) in members(schemas) {
        put(name, &schema);
    }
    for (path, item) in members(&document["paths"]) {
        for (key, value) in members(&item) {
            put(format!("{key} {path}"), &value);
        }
    }
    for (name, parameter) in members(&document["parameters"]) {
        put(format!("parameter {name}"), &parameter);
    }
    let security =
        if v3 { &document["components"]["securitySchemes"] } else { &document["securityDefinitions"] };
    put("security schemes".into(), security);
    for key in ["openapi", "swagger", "security", "consumes", "produces", "schemes", "tags"] {
        put(format!("document {key}"), &document[key]);
    }
    put("document title".into(), &document["info"]["title"]);
    Value::Object(parts)
}

/// Takes out what is not offered.
fn leave_out(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|key, _| !NOT_OFFERED.contains(&key.as_str()));
            members.values_mut().for_each(leave_out);
        }
        Value::Array(items) => {
            items.retain(|item| item.as_str().is_none_or(|text| !NOT_OFFERED.contains(&text)));
            items.iter_mut().for_each(leave_out);
        }
        _ => {}
    }
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
        // Parameters are sorted by name, and the texts of those that are written out are ours.
        (Value::Array(theirs), Value::Array(ours))
            if theirs.len() == ours.len()
                && theirs.iter().all(|p| p.get("in").is_some() || is_parameter(p)) =>
        {
            for (at, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
                value(found, &format!("{path}[{at}]"), theirs, ours);
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

/// Whether this refers to a parameter.
fn is_parameter(value: &Value) -> bool {
    value["$ref"].as_str().is_some_and(|place| place.starts_with("#/parameters/"))
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
