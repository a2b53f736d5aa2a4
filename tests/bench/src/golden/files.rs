//! The recordings that are one request a line, and the two that are lists of GETs.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use serde_json::Value;

use super::Verdict;
use super::compare::Comparison;
use super::server::{Answer, Request, Server};

/// Reads a file of one JSON object per line.
pub fn lines(path: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(path).with_context(|| {
        format!(
            "read {}: the recordings are not part of the repository; name their folder with --dir",
            path.display()
        )
    })?;
    text.lines().map(|line| serde_json::from_str(line).context("a line is no JSON")).collect()
}

/// `defaults.jsonl` and `errors.jsonl`: replays a line.
pub async fn request_line(server: &Server, line: &Value) -> Result<Verdict> {
    let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let mut headers: BTreeMap<String, String> = line["requestHeaders"]
        .as_object()
        .map(|h| h.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect())
        .unwrap_or_default();
    let body = if let Some(text) = line["bodyText"].as_str() {
        text.as_bytes().to_vec()
    } else if let Some(data) = line["bodyBase64"].as_str() {
        base64::engine::general_purpose::STANDARD.decode(data)?
    } else if line["body"].is_object() || line["body"].is_array() {
        if !headers.keys().any(|k| k.eq_ignore_ascii_case("content-type")) {
            let kind = line["contentType"].as_str().filter(|_| text("method") == "PATCH");
            headers.insert("Content-Type".into(), kind.unwrap_or("application/json").into());
        }
        serde_json::to_vec(&line["body"])?
    } else {
        Vec::new()
    };
    let request = Request { user: text("user"), method: text("method"), target: text("path"), headers, body };
    let answer = server.send(&request).await?;
    let mut comparison = Comparison::default();
    status(&mut comparison, &line["status"], &answer);
    comparison.value("", &without_suffix(line), &answer.json());
    if let Some(expected) = line.get("warnings") {
        comparison.value("warnings", expected, &serde_json::to_value(answer.warnings())?);
    }
    Ok(Verdict { name: text("name"), differences: comparison.differences })
}

/// The recorded response of a request; the random part of a generated name stands in it as it was drawn.
fn without_suffix(line: &Value) -> Value {
    let meta = &line["body"]["metadata"];
    let (base, name) = (&meta["generateName"], line["response"]["metadata"]["name"].as_str());
    match (base.as_str().filter(|_| meta["name"].is_null()), name) {
        (Some(base), Some(name)) => replace_text(&line["response"], name, &format!("{base}RANDOM")),
        _ => line["response"].clone(),
    }
}

fn replace_text(value: &Value, from: &str, to: &str) -> Value {
    match value {
        Value::String(text) if text == from => Value::String(to.to_owned()),
        Value::Array(items) => items.iter().map(|item| replace_text(item, from, to)).collect(),
        Value::Object(members) => {
            members.iter().map(|(key, item)| (key.clone(), replace_text(item, from, to))).collect()
        }
        other => other.clone(),
    }
}

/// `discovery-default.json` (`requests`) and `boot-objects.json` (`lists`): replays a GET.
pub async fn get_line(server: &Server, line: &Value) -> Result<Verdict> {
    let target = line["path"].as_str().unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    if let Some(accept) = line["accept"].as_str() {
        headers.insert("Accept".to_owned(), accept.to_owned());
    }
    let name = format!("{target} {}", line["accept"].as_str().unwrap_or_default());
    let request = Request { method: "GET".into(), target, headers, ..Request::default() };
    let answer = server.send(&request).await?;
    let mut comparison = Comparison::default();
    if line.get("status").is_some() {
        status(&mut comparison, &line["status"], &answer);
    }
    comparison.value("", &line["response"], &answer.json());
    Ok(Verdict { name, differences: comparison.differences })
}

/// `tables.jsonl`: the column definitions of each resource (rows depend on objects that are not in the recording).
pub async fn table_line(server: &Server, line: &Value) -> Result<Option<Verdict>> {
    if !line["columnDefinitions"].is_array() {
        return Ok(None);
    }
    let target = line["path"].as_str().unwrap_or_default().to_owned();
    let headers = [("Accept".to_owned(), line["accept"].as_str().unwrap_or_default().to_owned())].into();
    let name = target.clone();
    let answer =
        server.send(&Request { method: "GET".into(), target, headers, ..Request::default() }).await?;
    let mut comparison = Comparison::default();
    status(&mut comparison, &line["status"], &answer);
    comparison.value("columnDefinitions", &line["columnDefinitions"], &answer.json()["columnDefinitions"]);
    Ok(Some(Verdict { name, differences: comparison.differences }))
}

pub(super) fn status(comparison: &mut Comparison, expected: &Value, answer: &Answer) {
    if expected.as_u64() != Some(u64::from(answer.status)) {
        comparison.differ("status", &expected.to_string(), &answer.status.to_string());
    }
}
