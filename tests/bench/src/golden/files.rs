//! The recordings that are one request a line, and the two that are lists of GETs.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use serde_json::Value;

use super::Verdict;
use super::between;
use super::compare::Comparison;
use super::server::{Answer, Request, Server};

/// Reads a file of one JSON object per line.
pub fn lines(path: &Path) -> Result<Vec<Value>> {
    Ok(raw_lines(path)?.into_iter().map(|(line, _)| line).collect())
}

/// As [`lines`], each with its text.
pub fn raw_lines(path: &Path) -> Result<Vec<(Value, String)>> {
    let text = std::fs::read_to_string(path).with_context(|| {
        format!(
            "read {}: the recordings are not part of the repository; name their folder with --dir",
            path.display()
        )
    })?;
    text.lines()
        .map(|line| Ok((serde_json::from_str(line).context("a line is no JSON")?, line.to_owned())))
        .collect()
}

/// `defaults.jsonl` and `errors.jsonl`: replays a line, given as value and as text.
pub async fn request_line(server: &Server, line: &Value, raw: &str) -> Result<Verdict> {
    let name = line["name"].as_str().unwrap_or_default().to_owned();
    between::before(server, &name).await?;
    let answer = send_line(server, line, raw).await?;
    let mut comparison = Comparison::default();
    status(&mut comparison, &line["status"], &answer);
    let actual = answer.json();
    comparison.value("", &same_suffix(line, &actual), &actual);
    if let Some(expected) = line.get("warnings") {
        comparison.value("warnings", expected, &serde_json::to_value(answer.warnings())?);
    }
    Ok(Verdict { name, differences: comparison.differences })
}

/// Sends the request of a line.
pub(super) async fn send_line(server: &Server, line: &Value, raw: &str) -> Result<Answer> {
    let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let mut headers: BTreeMap<String, String> = line["requestHeaders"]
        .as_object()
        .map(|h| h.iter().map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect())
        .unwrap_or_default();
    let size_note =
        text("body").strip_prefix('(').and_then(|n| n.strip_suffix(" bytes)")).and_then(|n| n.parse().ok());
    let body = if let Some(text) = line["bodyText"].as_str() {
        text.as_bytes().to_vec()
    } else if let Some(data) = line["bodyBase64"].as_str() {
        base64::engine::general_purpose::STANDARD.decode(data)?
    } else if line["body"].is_object() || line["body"].is_array() {
        if !headers.keys().any(|k| k.eq_ignore_ascii_case("content-type")) {
            let kind = line["contentType"].as_str().filter(|_| text("method") == "PATCH");
            headers.insert("Content-Type".into(), kind.unwrap_or("application/json").into());
        }
        as_sent(raw)?
    } else if let Some(size) = size_note {
        between::long_body(&text("name"), size)
    } else {
        Vec::new()
    };
    let request = Request { user: text("user"), method: text("method"), target: text("path"), headers, body };
    server.send(&request).await
}

/// The body of a line in the bytes of the recorder: members in their order, numbers as written, a blank after each comma
/// and colon. Messages quote the beginning of what they cannot read.
fn as_sent(raw: &str) -> Result<Vec<u8>> {
    let line: BTreeMap<&str, &serde_json::value::RawValue> =
        serde_json::from_str(raw).context("a line that is no object")?;
    let body = line.get("body").context("a line without body")?;
    let mut out = Vec::new();
    let (mut in_text, mut escaped) = (false, false);
    for &byte in body.get().as_bytes() {
        out.push(byte);
        if in_text {
            in_text = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if byte == b'"' {
            in_text = true;
        } else if byte == b',' || byte == b':' {
            out.push(b' ');
        }
    }
    Ok(out)
}

/// The recorded answer with our random suffix in place of its own, where the request asked for a generated name.
fn same_suffix(line: &Value, actual: &Value) -> Value {
    let expected = &line["response"];
    let name = |answer: &'_ Value| {
        let name = ["details", "metadata"].iter().find_map(|part| answer[*part]["name"].as_str());
        name.map(str::to_owned)
    };
    let prefix = line["body"]["metadata"]["generateName"].as_str();
    if let (Some(theirs), Some(ours), Some(prefix)) = (name(expected), name(actual), prefix)
        && theirs.len() == ours.len()
        && let Some(kept) = theirs.len().checked_sub(5)
        && prefix.starts_with(&theirs[..kept])
        && ours.starts_with(&theirs[..kept])
        && let Ok(value) = serde_json::from_str(&expected.to_string().replace(&theirs, &ours))
    {
        return value;
    }
    expected.clone()
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
