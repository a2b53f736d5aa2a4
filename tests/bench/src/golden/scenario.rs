//! The recordings that are scenarios: steps that refer to earlier answers, and watches that overlap other steps.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::Verdict;
use super::compare::Comparison;
use super::files::status;
use super::server::{Answer, Request, Server};

/// A watch that says nothing for so long has said all.
const QUIET: Duration = Duration::from_millis(300);

/// How often the server of `compaction/*` compacted, as the recorder's.
pub const COMPACTION_INTERVAL: Duration = Duration::from_secs(2);

/// Replays one scenario and removes what it made. `timed` scenarios compare revisions across the whole scenario.
pub async fn replay(server: &Server, scenario: &Value) -> Result<Verdict> {
    let name = scenario["scenario"].as_str().unwrap_or_default().to_owned();
    let steps = scenario["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut comparison = Comparison::default();
    let mut order = Order::default();
    let mut answers: Vec<Value> = vec![Value::Null; steps.len()];
    let mut made = BTreeSet::new();
    let mut done = BTreeSet::new();
    let mut compacts = name.starts_with("compaction/");
    for (i, step) in steps.iter().enumerate() {
        if !done.insert(i) {
            continue;
        }
        // The recorder waited for the compaction before it looked for what was gone.
        if compacts && step["status"] == 410 {
            compacts = false;
            tokio::time::sleep(COMPACTION_INTERVAL * 3).await;
        }
        if step["watch"] == Value::Bool(true) {
            let opened = server.open(&request(server, step, &answers).await?).await?;
            if opened.status().as_u16() != 200 || step["status"].as_u64() != Some(200) {
                let answer = read(opened).await?;
                check(&mut comparison, i, step, &answer);
                continue;
            }
            let expected = step["events"].as_array().cloned().unwrap_or_default();
            let during: Vec<usize> = (i + 1..steps.len())
                .filter(|&j| steps[j]["duringWatch"].as_u64() == u64::try_from(i).ok())
                .collect();
            let limit = step["query"]["timeoutSeconds"].as_str().and_then(|s| s.parse::<u64>().ok());
            let quiet = limit.map_or(QUIET, |s| Duration::from_secs(s) + QUIET);
            let collect = Server::frames(opened, quiet);
            let act = async {
                let mut results = Vec::new();
                for &j in &during {
                    let answer = match request(server, &steps[j], &answers).await {
                        Ok(request) => server.send(&request).await,
                        Err(error) => Err(error),
                    };
                    results.push((j, answer));
                }
                results
            };
            let ((events, _), results) = futures::future::join(collect, act).await;
            for (j, result) in results {
                let answer = result?;
                remember(&steps[j], &answer, &mut made);
                check(&mut comparison, j, &steps[j], &answer);
                answers[j] = answer.json();
                done.insert(j);
            }
            let (expected, events) = without_timed_bookmarks(expected, events);
            comparison.value(&format!("step {i} events"), &Value::Array(expected), &Value::Array(events));
            continue;
        }
        order.wait(step).await;
        let answer = server.send(&request(server, step, &answers).await?).await?;
        remember(step, &answer, &mut made);
        check(&mut comparison, i, step, &answer);
        order.check(&mut comparison, i, step, &answer.json());
        answers[i] = answer.json();
    }
    clean(server, made).await?;
    Ok(Verdict { name, differences: comparison.differences })
}

/// The order of revisions and of managers' times within a scenario, where the recording tells it.
#[derive(Debug, Default)]
struct Order {
    revisions: BTreeMap<u64, u64>,
    times: BTreeMap<u64, u64>,
}

impl Order {
    /// The recorder waited until a later second where a time is later than all before: so do we.
    async fn wait(&self, step: &Value) {
        let latest = labels(&step["managedFieldsTimes"]).max();
        if latest > self.times.last_key_value().map(|(label, _)| *label) {
            #[allow(clippy::disallowed_methods, reason = "a replay runs in real time")]
            let past = jiff::Timestamp::now().subsec_nanosecond().unsigned_abs();
            let second = Duration::from_secs(1);
            tokio::time::sleep(second.saturating_sub(Duration::from_nanos(past.into()))).await;
        }
    }

    fn check(&mut self, comparison: &mut Comparison, i: usize, step: &Value, answer: &Value) {
        let revision = answer["metadata"]["resourceVersion"].as_str().and_then(|r| r.parse().ok());
        if let (Some(label), Some(revision)) = (label(&step["rvOrder"]), revision) {
            let path = format!("step {i} .metadata.resourceVersion");
            comparison.ordered(&path, &mut self.revisions, label, revision);
        }
        let entries = answer["metadata"]["managedFields"].as_array().into_iter().flatten();
        let times = entries.filter_map(|e| e["time"].as_str()?.parse::<jiff::Timestamp>().ok());
        for (at, (label, time)) in labels(&step["managedFieldsTimes"]).zip(times).enumerate() {
            let path = format!("step {i} .metadata.managedFields[{at}].time");
            let second = time.as_second().unsigned_abs();
            comparison.ordered(&path, &mut self.times, label, second);
        }
    }
}

/// The number of a label such as `r3` or `t1`.
fn label(value: &Value) -> Option<u64> {
    value.as_str()?.get(1..)?.parse().ok()
}

fn labels(value: &Value) -> impl Iterator<Item = u64> {
    value.as_array().into_iter().flatten().filter_map(label)
}

async fn read(response: apiserver::response::Response) -> Result<Answer> {
    use http_body_util::BodyExt as _;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|e| anyhow::anyhow!("{e}"))?;
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body: body.to_bytes().to_vec() })
}

fn check(comparison: &mut Comparison, i: usize, step: &Value, answer: &Answer) {
    // A known defect of the original: its handler panicked.
    if step["status"].as_u64() == Some(0) {
        return;
    }
    let before = comparison.differences.len();
    status(comparison, &step["status"], answer);
    if !step["response"].is_null() {
        let mut expected = step["response"].clone();
        mask_chosen(step, &mut expected);
        let mut have = answer.json();
        for (list, path) in UNORDERED {
            if step["path"].as_str().is_some_and(|p| p.ends_with(path)) {
                sort(&mut expected, list);
                sort(&mut have, list);
            }
        }
        comparison.value("", &expected, &have);
    }
    if let Some(expected) = step["warnings"].as_array() {
        let have: Vec<String> = answer.warnings().iter().map(|w| warning_text(w)).collect();
        let want: Vec<String> = expected.iter().map(|w| w.as_str().unwrap_or_default().to_owned()).collect();
        if want != have {
            comparison.differ("warnings", &format!("{want:?}"), &format!("{have:?}"));
        }
    }
    for difference in &mut comparison.differences[before..] {
        *difference = format!("step {i} {difference}");
    }
}

/// Lists of a status that upstream's server makes in the order of a map, by the path that answers with them.
const UNORDERED: [(&str, &str); 2] =
    [("resourceRules", "/selfsubjectrulesreviews"), ("nonResourceRules", "/selfsubjectrulesreviews")];

/// A right that the recorder's vendor grants to everybody, by an object that its own list of first objects leaves out.
const OF_THE_VENDOR: &str = "/.well-known/*";

fn sort(object: &mut Value, list: &str) {
    if let Some(list) = object.pointer_mut(&format!("/status/{list}")).and_then(Value::as_array_mut) {
        list.retain(|rule| !rule.to_string().contains(OF_THE_VENDOR));
        list.sort_by_key(Value::to_string);
    }
}

/// Bookmarks that come when it is time are left out, of what was recorded and of what came.
fn without_timed_bookmarks(mut expected: Vec<Value>, mut events: Vec<Value>) -> (Vec<Value>, Vec<Value>) {
    let timed =
        |event: &Value| event["type"] == "BOOKMARK" && event["object"]["metadata"]["annotations"].is_null();
    expected.retain(|e| !timed(e));
    events.retain(|e| !timed(e));
    (expected, events)
}

/// What the recorder's server chose and the recording shows as it was: generated names and addresses of services.
fn mask_chosen(step: &Value, expected: &mut Value) {
    let sent = step["body"].to_string();
    let base = step["body"]["metadata"]["generateName"].as_str().filter(|b| !b.is_empty());
    let base = base.map(|b| &b[..b.len().min(GENERATED_BASE_MAX)]);
    let mut mask = |text: &mut String| {
        if let Some(base) = base
            && let Some(at) = text.find(base).map(|at| at + base.len())
            && text.get(at..at + SUFFIX_LEN).is_some_and(|s| s.bytes().all(|b| b.is_ascii_alphanumeric()))
            && !text[at + SUFFIX_LEN..].starts_with(|c: char| c.is_ascii_alphanumeric())
        {
            let whole = text[at - base.len()..at + SUFFIX_LEN].to_owned();
            *text = text.replace(&whole, &format!("{base}XXXXX"));
        }
        let asked_for = step["method"] == "POST" && sent.contains(text.as_str());
        if text.starts_with(SERVICE_RANGE) && !asked_for && !text.contains('/') {
            *text = "CLUSTERIP".to_owned();
        }
    };
    each_text(expected, &mut mask);
}

/// Where the recorder's server took the addresses of services from.
const SERVICE_RANGE: &str = "10.96.";
/// Upstream's generated names: how much of the base they keep, and what follows it.
const GENERATED_BASE_MAX: usize = 58;
const SUFFIX_LEN: usize = 5;

fn each_text(value: &mut Value, then: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => then(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, then)),
        Value::Object(members) => members.values_mut().for_each(|item| each_text(item, then)),
        _ => {}
    }
}

/// The text of `299 - "…"`.
fn warning_text(header: &str) -> String {
    header
        .strip_prefix("299 - \"")
        .and_then(|rest| rest.strip_suffix('"'))
        .map_or_else(|| header.to_owned(), |text| text.replace("\\\"", "\"").replace("\\\\", "\\"))
}

/// A step's request with what it refers to filled in.
async fn request(server: &Server, step: &Value, answers: &[Value]) -> Result<Request> {
    let text = |key: &str| step[key].as_str().unwrap_or_default().to_owned();
    let mut target = fill(&text("path"), answers);
    if let Some(query) = step["query"].as_object().filter(|q| !q.is_empty()) {
        for (i, (name, value)) in query.iter().enumerate() {
            let values = match value {
                Value::Array(all) => all.clone(),
                one => vec![one.clone()],
            };
            for value in values {
                let value = fill(value.as_str().unwrap_or_default(), answers);
                target.push(if i == 0 && !target.contains('?') { '?' } else { '&' });
                let _ = write!(target, "{}={}", encode(name), encode(&value));
            }
        }
    }
    let mut headers: BTreeMap<String, String> = [("User-Agent".to_owned(), "gold/1.0".to_owned())].into();
    for (name, value) in step["headers"].as_object().into_iter().flatten() {
        let value = fill(value.as_str().unwrap_or_default(), answers);
        headers.retain(|k, _| !k.eq_ignore_ascii_case(name));
        // Without a credential, which is not the same as with that of the step's user.
        if !value.is_empty() || name.eq_ignore_ascii_case("authorization") {
            headers.insert(name.clone(), value);
        }
    }
    let body = match (&step["rawBody"], &step["body"]) {
        (Value::String(raw), _) => fill(raw, answers).into_bytes(),
        (_, Value::Null) => Vec::new(),
        (_, body) => {
            let live = match text("method").as_str() {
                "PUT" => server.send(&get(&target)).await?.json(),
                _ => Value::Null,
            };
            fill(&without_placeholders(body.clone(), &live).to_string(), answers).into_bytes()
        }
    };
    Ok(Request { user: text("user"), method: text("method"), target, headers, body })
}

fn get(target: &str) -> Request {
    let target = target.split('?').next().unwrap_or_default().to_owned();
    Request { method: "GET".into(), target, ..Request::default() }
}

/// Bodies made from an earlier answer carry placeholders, which no server would take: they are what the live object has
/// there. managedFields with them are left out.
fn without_placeholders(mut body: Value, live: &Value) -> Value {
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        let timed = metadata
            .get("managedFields")
            .and_then(Value::as_array)
            .is_some_and(|entries| entries.iter().any(|e| e["time"] == "TIME"));
        if timed {
            metadata.remove("managedFields");
        }
    }
    if live.is_object() {
        put_live(&mut body, live);
    }
    body
}

/// What a server makes up, as it stands in bodies of requests.
const MADE_UP: [&str; 4] = ["TIME", "UID", "CLUSTERIP", "NODEPORT"];

fn put_live(body: &mut Value, live: &Value) {
    match body {
        Value::Object(members) => {
            members.retain(|key, value| {
                // A uid that is sent under its own name is the wrong one on purpose; the right one is a reference.
                let made_up = key != "uid" && value.as_str().is_some_and(|text| MADE_UP.contains(&text));
                if made_up {
                    *value = live[key].clone();
                }
                !made_up || !value.is_null()
            });
            members.iter_mut().for_each(|(key, value)| put_live(value, &live[key]));
        }
        Value::Array(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                if item.as_str().is_some_and(|text| MADE_UP.contains(&text)) {
                    *item = live[i].clone();
                }
                put_live(item, &live[i]);
            }
        }
        _ => {}
    }
}

/// Fills in `{{uid:N}}`, `{{rv:N}}`, `{{rv:N+1}}`, `{{cont:N}}`, `{{token:N}}`.
fn fill(text: &str, answers: &[Value]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        out.push_str(&rest[..start]);
        let Some(end) = rest[start..].find("}}") else { break };
        let reference = &rest[start + 2..start + end];
        out.push_str(&lookup(reference, answers).unwrap_or_default());
        rest = &rest[start + end + 2..];
    }
    out.push_str(rest);
    out
}

fn lookup(reference: &str, answers: &[Value]) -> Option<String> {
    let (what, at) = reference.split_once(':')?;
    let (at, plus) = at.split_once('+').map_or((at, 0), |(n, p)| (n, p.parse::<i64>().unwrap_or(0)));
    let answer = answers.get(at.parse::<usize>().ok()?)?;
    let text = match what {
        "uid" => &answer["metadata"]["uid"],
        "rv" => &answer["metadata"]["resourceVersion"],
        "cont" => &answer["metadata"]["continue"],
        "token" => &answer["status"]["token"],
        _ => return None,
    }
    .as_str()?;
    if what == "rv" && plus != 0 {
        return Some((text.parse::<i64>().ok()? + plus).to_string());
    }
    Some(text.to_owned())
}

fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Keeps the path of what a step made, for the end of the scenario.
fn remember(step: &Value, answer: &Answer, made: &mut BTreeSet<String>) {
    if answer.status != 201 {
        return;
    }
    let path = step["path"].as_str().unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    if step["method"] == "POST" {
        if let Some(name) = answer.json()["metadata"]["name"].as_str() {
            made.insert(format!("{path}/{name}"));
        }
    } else {
        made.insert(path.to_owned());
    }
}

/// Removes what a scenario made: finalizers first, then the object, without a grace period.
async fn clean(server: &Server, made: BTreeSet<String>) -> Result<()> {
    let json = |kind: &str| BTreeMap::from([("Content-Type".to_owned(), kind.to_owned())]);
    for target in made {
        let delete = Request {
            method: "DELETE".into(),
            target: target.clone(),
            headers: json("application/json"),
            body: br#"{"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":0,"propagationPolicy":"Background"}"#.to_vec(),
            ..Request::default()
        };
        server.send(&delete).await?;
        let unhold = Request {
            method: "PATCH".into(),
            target: target.clone(),
            headers: json("application/merge-patch+json"),
            body: br#"{"metadata":{"finalizers":null}}"#.to_vec(),
            ..Request::default()
        };
        server.send(&unhold).await?;
        // Namespaces are emptied and ended by a controller, which does not run here.
        if target.starts_with("/api/v1/namespaces/") && target.matches('/').count() == 4 {
            let finalize = Request {
                method: "PUT".into(),
                body: serde_json::json!({
                    "apiVersion": "v1", "kind": "Namespace",
                    "metadata": {"name": target.rsplit('/').next()}, "spec": {"finalizers": []},
                })
                .to_string()
                .into_bytes(),
                target: format!("{target}/finalize"),
                headers: json("application/json"),
                ..Request::default()
            };
            server.send(&finalize).await?;
        }
    }
    Ok(())
}
