//! `cargo xtask seeds`: every manifest of a folder is accepted by a running cluster and reads back as it was written.
//!
//! The manifests are not part of the repository; their folder is named. Kinds that the cluster does not serve are said
//! and not counted. What was applied is removed again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Applies each manifest of `dir` with the cluster of `KUBECONFIG`.
pub(crate) fn run(dir: &Path) -> Result<()> {
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
        match check(file) {
            Ok(true) => {
                counts.0 += 1;
                println!("{name}: accepted, reads back as written");
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
fn check(file: &Path) -> Result<bool> {
    let path = file.display().to_string();
    match kubectl(&["apply", "--dry-run=server", "-f", &path]) {
        Err(error) if error.to_string().contains("no matches for kind") => return Ok(false),
        other => other.context("dry run")?,
    };
    kubectl(&["apply", "-f", &path]).context("apply")?;
    let live = objects(&kubectl(&["get", "-o", "json", "-f", &path]).context("read back")?)?;
    let wanted =
        objects(&kubectl(&["create", "--dry-run=client", "-o", "json", "-f", &path]).context("parse")?)?;
    if live.len() != wanted.len() {
        bail!("{} objects were applied, {} read back", wanted.len(), live.len());
    }
    let mut differences = Vec::new();
    for (wanted, live) in wanted.iter().zip(&live) {
        compare("", wanted, live, &mut differences);
    }
    if differences.is_empty() { Ok(true) } else { bail!("{}", differences.join("; ")) }
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
    let output = Command::new("kubectl").args(args).stdin(Stdio::null()).output().context("start kubectl")?;
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
