//! `cargo xtask tidy`: what neither compiler nor clippy checks.
//!
//! The direction of our crates, licences and banned crates of what we depend on, the paths that our documents name, and
//! that every explicit list names every file beside it. Ends with the minutes of the last test run, by step.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::root;
use crate::up::target_dir;

/// Lower layers first. A crate may depend on crates of lower layers only (not of its own).
const LAYERS: &[&[&str]] = &[
    &["env", "apimachinery", "spdy"],
    &["kinds", "component", "pki", "net"],
    &["store", "client", "cri"],
    &["controller-kit", "dns"],
    &["apiserver", "scheduler", "controller-manager", "kubelet", "kube-proxy"],
    &["testing", "gantry"],
    &["sim"],
    &["integration-tests", "e2e-tests", "bench"],
    &["client-tests"],
];

/// Who may name a crate that has one place.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("raft", &["store"]),
    ("etcd-client", &["store"]),
    ("kube", &["client"]),
    // Informers are ours; a controller of people's, in a test, has theirs.
    ("kube-runtime", &[]),
    ("containerd-client", &["cri"]),
    ("rtnetlink", &["net"]),
    ("hickory-server", &["dns"]),
    ("store", &["apiserver", "testing", "sim", "gantry", "bench", "integration-tests"]),
];

const BANNED: &[(&str, &str)] = &[
    ("aws-lc-rs", "rustls uses ring: aws-lc-rs needs cmake and adds 25 s of build"),
    ("aws-lc-sys", "rustls uses ring"),
    ("openssl-sys", "TLS is rustls with ring"),
    ("serde_yaml", "archived; use serde-saphyr"),
    ("axum-server", "the accept loop is ours"),
];

const LICENCES: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "MIT-0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "BSL-1.0",
];

/// (file with the list, folder whose files it must name)
const LISTS: &[(&str, &str)] = &[
    ("apiserver/src/admission.rs", "apiserver/src/admission"),
    ("scheduler/src/plugins.rs", "scheduler/src/plugins"),
    ("kubelet/src/volume.rs", "kubelet/src/volume"),
    ("kubelet/src/probe.rs", "kubelet/src/probe"),
    ("kube-proxy/src/backend.rs", "kube-proxy/src/backend"),
];

/// Files beside listed ones that are no entries themselves: tests, and what several entries share.
const NOT_LISTED: &[&str] = &["tests", "atomic", "payload"];

/// Where `cargo xtask test` leaves its times.
pub(crate) const TIMES_FILE: &str = "gantry-test-minutes.txt";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

pub(crate) fn run() -> Result<()> {
    let metadata = metadata()?;
    let mut problems = Vec::new();
    check_direction(&metadata, &mut problems);
    check_dependencies(&metadata, &mut problems);
    check_document_paths(&mut problems)?;
    check_lists(&mut problems)?;
    if let Ok(times) = fs::read_to_string(target_dir().join(TIMES_FILE)) {
        eprintln!("minutes of the last full test run:\n{times}");
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!("tidy found {} problems:\n  {}", problems.len(), problems.join("\n  "));
}

#[allow(clippy::disallowed_methods, reason = "xtask is no component: its business is to run programs")]
fn metadata() -> Result<Metadata> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .context("start cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("read cargo metadata")
}

fn check_direction(metadata: &Metadata, problems: &mut Vec<String>) {
    let layer: BTreeMap<&str, usize> =
        LAYERS.iter().enumerate().flat_map(|(i, names)| names.iter().map(move |n| (*n, i))).collect();
    for package in metadata.packages.iter().filter(|p| p.source.is_none() && p.name != "xtask") {
        let Some(&mine) = layer.get(package.name.as_str()) else {
            problems.push(format!("crate {} has no layer in xtask/src/tidy.rs", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            let dev = dependency.kind.as_deref() == Some("dev");
            if let Some(&theirs) = layer.get(dependency.name.as_str())
                && theirs >= mine
                && !dev
            {
                problems.push(format!("{} must not depend on {}", package.name, dependency.name));
            }
            for (name, places) in ONLY_IN {
                if dependency.name == *name && !dev && !places.contains(&package.name.as_str()) {
                    problems.push(format!("{} must not name {name}: that is for {places:?}", package.name));
                }
            }
        }
    }
}

fn check_dependencies(metadata: &Metadata, problems: &mut Vec<String>) {
    for package in metadata.packages.iter().filter(|p| p.source.is_some()) {
        let id = format!("{} {}", package.name, package.version);
        if let Some((_, why)) = BANNED.iter().find(|(name, _)| *name == package.name) {
            problems.push(format!("{id} is banned: {why}"));
        }
        let Some(license) = &package.license else {
            problems.push(format!("{id} states no licence"));
            continue;
        };
        // Good enough for SPDX as crates write it: some alternative whose every part we accept.
        let accepted = license
            .replace('/', " OR ")
            .replace(['(', ')'], "")
            .split(" OR ")
            .any(|choice| choice.split(" AND ").all(|part| LICENCES.contains(&part.trim())));
        if !accepted {
            problems.push(format!("{id} has the licence {license}"));
        }
    }
}

/// Every `path/with/a/slash` in backticks in our documents must exist.
fn check_document_paths(problems: &mut Vec<String>) -> Result<()> {
    for document in ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root().join(document)).with_context(|| format!("read {document}"))?;
        for name in text.split('`').skip(1).step_by(2) {
            let is_path = name.contains('/')
                && !name.starts_with('/')
                && !name.contains([' ', '<', '*', ':', '{', '$', '=', '@'])
                && [
                    "crates/",
                    "apiserver",
                    "scheduler",
                    "controller-manager",
                    "kubelet",
                    "kube-proxy",
                    "tests/",
                    "xtask/",
                    "deploy/",
                    ".ci/",
                ]
                .iter()
                .any(|top| name.starts_with(top));
            if is_path && !root().join(name.trim_end_matches('/')).exists() {
                problems.push(format!("{document} names {name}, which does not exist"));
            }
        }
    }
    Ok(())
}

fn check_lists(problems: &mut Vec<String>) -> Result<()> {
    for (list, folder) in LISTS {
        let list_path = root().join(list);
        if !list_path.exists() {
            problems.push(format!("{list} does not exist"));
            continue;
        }
        let text = fs::read_to_string(&list_path)?;
        let named: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| {
                let line = line.trim().trim_start_matches("pub(crate) ").trim_start_matches("pub ");
                line.strip_prefix("mod ")?.strip_suffix(';')
            })
            .collect();
        for entry in fs::read_dir(root().join(folder)).with_context(|| format!("read {folder}"))? {
            let path = entry?.path();
            let name = stem(&path);
            if path.extension().is_some_and(|e| e == "rs") && !NOT_LISTED.contains(&name.as_str()) {
                let used = text.contains(&format!("{name}::"));
                if !named.contains(name.as_str()) || !used {
                    problems.push(format!("{list} does not name {folder}/{name}.rs"));
                }
            }
        }
    }
    Ok(())
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}
