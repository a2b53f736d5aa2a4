//! `cargo xtask seeds`: every manifest of a folder is accepted by a running cluster and reads back as it was written, with
//! the defaults that a real server was recorded to set: first from a dry run by the server, then as stored.
//!
//! Manifests and recordings are not part of the repository; their folders are named. A kind that needs a definition first
//! is said and not counted; one of Kubernetes' own that is not served is a failure. What was applied is removed again.

mod defaults;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use defaults::Defaults;

/// Applies each manifest of `dir` with the cluster of `KUBECONFIG`; `recordings` is what is known of defaults.
pub(crate) fn run(dir: &Path, recordings: &Path) -> Result<()> {
    crate::tools::kubectl()?;
    let defaults = Defaults::read(recordings)?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .with_context(|| format!("read {}: name the folder of the manifests with --dir", dir.display()))?
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "yaml" || e == "yml"))
        .collect();
    files.sort();
    if files.is_empty() {
        bail!("{} holds no manifest", dir.display());
    }
    let made = namespaces(&files)?;
    let mut failures = Vec::new();
    let mut counts = (0, 0);
    for file in &files {
        let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        match check(file, &defaults) {
            Ok(true) => {
                counts.0 += 1;
                println!("{name}: accepted, reads back as written and with the recorded defaults");
            }
            Ok(false) => {
                counts.1 += 1;
                println!("{name}: of a kind that needs a CustomResourceDefinition first");
            }
            Err(error) => failures.push(format!("{name}: {error:#}")),
        }
    }
    for file in &files {
        // Best effort: a manifest that was refused made nothing.
        let _ = kubectl(&["delete", "--ignore-not-found", "--wait=false", "-f", &file.display().to_string()]);
    }
    for namespace in made {
        kubectl(&["delete", "namespace", "--ignore-not-found", "--wait=false", &namespace])?;
    }
    println!("seeds: {} accepted, {} need a definition, {} failed", counts.0, counts.1, failures.len());
    if !failures.is_empty() {
        bail!("{}", failures.join("\n"));
    }
    Ok(())
}

/// Makes the namespaces that the manifests take for granted; gives those that were not there.
fn namespaces(files: &[PathBuf]) -> Result<BTreeSet<String>> {
    let mut made = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(file)?;
        for line in text.lines() {
            let Some(name) = line.trim().strip_prefix("namespace:") else { continue };
            let name = name.trim().trim_matches('"').to_owned();
            if !name.is_empty() && kubectl(&["get", "namespace", &name]).is_err() {
                kubectl(&["create", "namespace", &name])?;
                made.insert(name);
            }
        }
    }
    // Pods need their namespace's account, which a controller makes.
    for name in &made {
        kubectl(&["wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=30s"])?;
    }
    Ok(made)
}

/// False: no such kind here.
fn check(file: &Path, defaults: &Defaults) -> Result<bool> {
    let path = file.display().to_string();
    let wanted = match kubectl(&["create", "--dry-run=client", "-o", "json", "-f", &path]) {
        Err(error) if error.to_string().contains("no matches for kind") => {
            return no_such_kind(file).map(|()| false);
        }
        parsed => objects(&parsed.context("parse")?)?,
    };
    let dry = kubectl(&["apply", "--dry-run=server", "-o", "json", "-f", &path]).context("dry run")?;
    kubectl(&["apply", "-f", &path]).context("apply")?;
    let live = kubectl(&["get", "-o", "json", "-f", &path]).context("read back")?;
    let mut differences = Vec::new();
    for (how, found) in [("dry run", objects(&dry)?), ("stored", objects(&live)?)] {
        if found.len() != wanted.len() {
            bail!("{how}: {} objects were written, {} came back", wanted.len(), found.len());
        }
        let before = differences.len();
        for (wanted, found) in wanted.iter().zip(&found) {
            compare("", wanted, found, &mut differences);
            defaults.compare(wanted, found, &mut differences);
        }
        differences[before..].iter_mut().for_each(|difference| difference.insert_str(0, &format!("{how}: ")));
    }
    if differences.is_empty() { Ok(true) } else { bail!("{}", differences.join("; ")) }
}

/// An error when the manifest is of a group that Kubernetes itself has: one without a dot, or below `k8s.io`.
fn no_such_kind(file: &Path) -> Result<()> {
    let text = std::fs::read_to_string(file)?;
    let versions = text.lines().filter_map(|line| line.strip_prefix("apiVersion:")).map(str::trim);
    for version in versions {
        let group = version.split_once('/').map_or("", |(group, _)| group);
        if !group.contains('.') || group.ends_with(".k8s.io") {
            bail!("{version} is Kubernetes' own, and a kind of it is not served");
        }
    }
    Ok(())
}

/// kubectl prints one object, a List, or several objects one after the other.
fn objects(text: &str) -> Result<Vec<Value>> {
    let mut out = Vec::new();
    for document in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let document = document?;
        match document["items"].as_array() {
            Some(items) if document["kind"] == "List" => out.extend(items.iter().cloned()),
            _ => out.push(document),
        }
    }
    Ok(out)
}

/// Everything that was written must be there. The server may add, and may move secret text into data.
fn compare(path: &str, wanted: &Value, live: &Value, differences: &mut Vec<String>) {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => {
            for (key, value) in wanted {
                let here = format!("{path}.{key}");
                if value.is_null() || here == ".status" || here == ".stringData" {
                    continue;
                }
                match live.get(key) {
                    Some(live) => compare(&here, value, live, differences),
                    None if is_zero(value) => {}
                    None => differences.push(format!("{here} = {value} is lost")),
                }
            }
        }
        (Value::Array(wanted), Value::Array(live)) if wanted.len() <= live.len() => {
            for (i, value) in wanted.iter().enumerate() {
                compare(&format!("{path}[{i}]"), value, &live[i], differences);
            }
        }
        (wanted, live) if wanted == live || same_scalar(wanted, live) => {}
        (wanted, live) => differences.push(format!("{path}: wrote {wanted}, read {live}")),
    }
}

fn is_zero(value: &Value) -> bool {
    matches!(value, Value::Bool(false))
        || value == &Value::from(0)
        || value == &Value::from("")
        || value.as_object().is_some_and(serde_json::Map::is_empty)
        || value.as_array().is_some_and(Vec::is_empty)
}

/// A quantity written as a number reads back as text, and in its canonical form: `1000m` as `1`.
fn same_scalar(wanted: &Value, live: &Value) -> bool {
    if wanted.is_object() || wanted.is_array() {
        return false;
    }
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    let (wanted, live) = (text(wanted), text(live));
    wanted == live || quantity(&wanted).is_some_and(|q| Some(q) == quantity(&live))
}

/// A quantity in thousandths, as far as manifests use them.
fn quantity(text: &str) -> Option<i128> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let thousandths: i128 = match &text[digits.len()..] {
        "m" => 1,
        "" => 1000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "Ki" => 1024 * 1000,
        "Mi" => 1024 * 1024 * 1000,
        "Gi" => 1024 * 1024 * 1024 * 1000,
        _ => return None,
    };
    digits.parse::<i128>().ok()?.checked_mul(thousandths)
}

#[allow(clippy::disallowed_methods, reason = "xtask is no component: its business is to run programs")]
fn kubectl(args: &[&str]) -> Result<String> {
    let output = Command::new("kubectl")
        .env("PATH", crate::tools::path())
        .args(args)
        .stdin(Stdio::null())
        .output()
        .context("start kubectl")?;
    if !output.status.success() {
        bail!("kubectl {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_written_must_be_there() {
        let differences = |wanted, live| {
            let mut out = Vec::new();
            compare("", &wanted, &live, &mut out);
            out
        };
        assert!(differences(json!({"a": 1, "b": false}), json!({"a": 1, "c": 2})).is_empty());
        assert!(differences(json!({"cpu": 1}), json!({"cpu": "1"})).is_empty());
        assert!(differences(json!({"cpu": "1000m", "n": "1000"}), json!({"cpu": "1", "n": "1k"})).is_empty());
        assert_eq!(differences(json!({"cpu": "1001m"}), json!({"cpu": "1"})).len(), 1);
        assert_eq!(differences(json!({"a": 1}), json!({})), [".a = 1 is lost"]);
        assert_eq!(differences(json!({"a": [1]}), json!({"a": []})).len(), 1);
    }
}
