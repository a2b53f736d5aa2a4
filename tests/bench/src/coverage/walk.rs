//! The walk: asks for every operation in every way that is described and notes what is not served.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::parameters::{Expect, probes, probes_computed};
use super::spec::{Action, Operation, PathItem, fill};
use crate::golden::server::{Answer, Request, Server};

/// Methods that a path refuses when they are not described.
const REFUSED: [&str; 5] = ["GET", "PUT", "POST", "PATCH", "DELETE"];
/// The name of objects that do not exist, and of those that connections go to.
const NOBODY: &str = "nobody";
const SOMEBODY: &str = "somebody";
/// How long a watch may take to say what it begins with.
const FIRST_FRAMES: Duration = Duration::from_secs(5);

/// The kind that is refused without words when it has no target.
const BINDING: &str = "Binding";
/// The one kind that is listed and not stored.
const COMPUTED: &str = "ComponentStatus";

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const ANYTHING: &str = "*/*";

/// What the walk found.
#[derive(Debug, Default)]
pub struct Report {
    pub served: usize,
    /// `METHOD path: what`.
    pub missing: Vec<String>,
    /// Operations of which something was missing.
    pub not_served: usize,
    /// `METHOD path: media type or parameter`, with the reason.
    pub excused: Vec<String>,
    pub parameters: usize,
    pub media_types: usize,
    /// Methods that are not described and were refused.
    pub refused: usize,
}

/// The walk on its way.
#[derive(Debug)]
pub struct Walk<'a> {
    server: &'a Server,
    names: BTreeMap<&'static str, String>,
    pub report: Report,
}

/// What is sent besides the line of a request.
#[derive(Clone, Debug, Default)]
struct Sent {
    accept: Option<String>,
    body: Option<(&'static str, Vec<u8>)>,
}

impl<'a> Walk<'a> {
    /// Makes what connections go to.
    pub async fn begin(server: &'a Server) -> Result<Self> {
        let meta = |name: &str| json!({ "name": name, "namespace": "default" });
        let objects = [
            ("/api/v1/namespaces/default/serviceaccounts", json!({ "metadata": meta("default") })),
            ("/api/v1/nodes", json!({ "metadata": { "name": SOMEBODY } })),
            (
                "/api/v1/namespaces/default/pods",
                json!({ "metadata": meta(SOMEBODY), "spec": { "containers": [{ "name": "c", "image": "i" }] } }),
            ),
            (
                "/api/v1/namespaces/default/services",
                json!({ "metadata": meta(SOMEBODY), "spec": { "ports": [{ "port": 80 }] } }),
            ),
            (
                "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
                json!({
                    "metadata": {
                        "name": SOMEBODY,
                        "namespace": "default",
                        "labels": { "kubernetes.io/service-name": SOMEBODY },
                    },
                    "addressType": "IPv4",
                    "endpoints": [],
                    "ports": [{ "port": 80 }],
                }),
            ),
        ];
        for (path, object) in objects {
            let answer = server.send(&request("POST", path, &Sent::json(&object))).await?;
            // The namespace's account may be there already.
            anyhow::ensure!([201, 409].contains(&answer.status), "POST {path}: {}", answer.json());
        }
        let listing = server.send(&request("GET", "/logs/", &Sent::default())).await?;
        let listing = String::from_utf8_lossy(&listing.body).into_owned();
        let mut links = listing.split("<a href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let log = links.find(|name| !name.ends_with('/')).unwrap_or("none").to_owned();
        let names = [
            ("namespace", "default".to_owned()),
            ("name", NOBODY.into()),
            ("path", "some/where".into()),
            ("logpath", log),
        ];
        Ok(Self { server, names: names.into(), report: Report::default() })
    }

    /// Walks one path.
    pub async fn path(&mut self, item: &PathItem) -> Result<()> {
        for operation in &item.operations {
            let before = self.report.missing.len();
            self.operation(operation).await.with_context(|| operation.name())?;
            if self.report.missing.len() == before {
                self.report.served += 1;
            } else {
                self.report.not_served += 1;
            }
        }
        let described = |method: &str| item.operations.iter().any(|o| o.method == method);
        for method in REFUSED.into_iter().filter(|method| !described(method)) {
            let target = fill(&item.path, &self.names());
            let sent = if method == "GET" { Sent::default() } else { Sent::json(&json!({})) };
            let response = self.server.open(&request(method, &target, &sent)).await?;
            if response.status() == 405 {
                self.report.refused += 1;
            } else {
                let line =
                    format!("{method} {}: not described, but answered with {}", item.path, response.status());
                self.report.missing.push(line);
            }
        }
        Ok(())
    }

    fn names(&self) -> BTreeMap<&str, &str> {
        self.names.iter().map(|(key, name)| (*key, name.as_str())).collect()
    }

    fn miss(&mut self, operation: &Operation, what: &str) {
        self.report.missing.push(format!("{}: {what}", operation.name()));
    }

    /// The address of an operation, with a query.
    fn target(&self, operation: &Operation, query: &str) -> String {
        let mut names = self.names();
        if operation.connects() {
            names.insert("name", SOMEBODY);
        }
        let mut target = operation.target(&names);
        let dry_run = operation.parameters.iter().any(|p| p == "dryRun") && !query.contains("dryRun");
        let manager = operation.action == Action::Patch && !query.contains("fieldManager");
        for part in
            [query, if dry_run { "dryRun=All" } else { "" }, if manager { "fieldManager=walk" } else { "" }]
        {
            if !part.is_empty() {
                target.push(if target.contains('?') { '&' } else { '?' });
                target.push_str(part);
            }
        }
        target
    }

    async fn operation(&mut self, operation: &Operation) -> Result<()> {
        let plain = operation.sent();
        let answer = self.ask(operation, "", &plain).await?;
        if let Some(problem) = operation.problem(&answer) {
            // Nothing more is to be learned of what is not there.
            self.miss(operation, &problem);
            return Ok(());
        }
        for media_type in &operation.produces {
            self.answers_in(operation, media_type, &plain).await?;
        }
        for media_type in &operation.consumes {
            self.takes(operation, media_type).await?;
        }
        for parameter in &operation.parameters {
            self.looks_at(operation, parameter, &plain, &answer).await?;
        }
        Ok(())
    }

    /// Sends a request; of a watch only the head of the answer comes back.
    async fn ask(&self, operation: &Operation, query: &str, sent: &Sent) -> Result<Answer> {
        let request = request(&operation.method, &self.target(operation, query), sent);
        if !operation.watches() && !query.contains("watch=true") {
            return self.server.send(&request).await;
        }
        let response = self.server.open(&request).await?;
        let (parts, body) = response.into_parts();
        // What is refused is refused as a whole.
        let body = if parts.status.is_success() {
            Vec::new()
        } else {
            body.collect().await.map_err(|e| anyhow::anyhow!("{e}"))?.to_bytes().to_vec()
        };
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    async fn answers_in(&mut self, operation: &Operation, media_type: &str, plain: &Sent) -> Result<()> {
        if let Some(why) = super::excused_type(media_type) {
            self.report.excused.push(format!("{}: {media_type} ({why})", operation.name()));
            return Ok(());
        }
        let streams = media_type.contains("stream=watch");
        // Upstream describes YAML for watches too, which have no form of it: they refuse it.
        let refused = operation.watches() && media_type == YAML;
        let query = if streams && !operation.watches() { "watch=true" } else { "" };
        let sent = Sent { accept: Some(media_type.to_owned()), ..plain.clone() };
        let answer = self.ask(operation, query, &sent).await?;
        let given = answer.content_type();
        let base = media_type.split(';').next().unwrap_or_default();
        // A connection and a log are answered with what they are.
        let free = media_type == ANYTHING || operation.is_log() || answer.status == 204;
        if refused != (answer.status == 406) {
            self.miss(operation, &format!("{media_type} is answered with {}", answer.status));
        } else if !free && !refused && !given.starts_with(base) {
            self.miss(operation, &format!("{media_type} is answered in {given:?}"));
        } else {
            self.report.media_types += 1;
        }
        Ok(())
    }

    async fn takes(&mut self, operation: &Operation, media_type: &str) -> Result<()> {
        if let Some(why) = super::excused_type(media_type) {
            self.report.excused.push(format!("{}: {media_type} ({why})", operation.name()));
            return Ok(());
        }
        for (content_type, body) in operation.bodies(media_type) {
            let sent = Sent { accept: None, body: Some((content_type, body)) };
            let answer = self.ask(operation, "", &sent).await?;
            match operation.problem(&answer) {
                Some(problem) => self.miss(operation, &format!("a body in {content_type}: {problem}")),
                None => self.report.media_types += 1,
            }
        }
        Ok(())
    }

    async fn looks_at(
        &mut self,
        operation: &Operation,
        parameter: &str,
        plain: &Sent,
        answer: &Answer,
    ) -> Result<()> {
        if let Some(why) = super::excused_parameter(parameter) {
            self.report.excused.push(format!("{}: {parameter} ({why})", operation.name()));
            return Ok(());
        }
        let probes = match operation.kind.as_str() {
            COMPUTED => probes_computed(operation.action, parameter),
            _ => probes(operation.action, parameter),
        };
        if probes.is_empty() {
            self.miss(operation, &format!("no probe for {parameter}"));
        }
        for (query, expect) in probes {
            let problem = match expect {
                Expect::Bookmark => self.bookmark(operation, query, plain).await?,
                Expect::Stream => {
                    let answer = self.ask(operation, query, plain).await?;
                    (answer.status != 200).then(|| format!("answered with {}", answer.status))
                }
                _ => {
                    let other = self.ask(operation, query, plain).await?;
                    // A log is as it is.
                    let expect = match expect {
                        Expect::Indented if operation.is_log() => Expect::Accepted,
                        other => other,
                    };
                    compare(expect, answer, &other)
                }
            };
            match problem {
                Some(problem) => self.miss(operation, &format!("{query}: {problem}")),
                None => self.report.parameters += 1,
            }
        }
        Ok(())
    }

    /// Reads a watch until the bookmark that ends the initial events.
    async fn bookmark(&self, operation: &Operation, query: &str, plain: &Sent) -> Result<Option<String>> {
        let target = self.target(operation, &format!("{query}&watch=true"));
        let response = self.server.open(&request("GET", &target, plain)).await?;
        if response.status() != 200 {
            return Ok(Some(format!("answered with {}", response.status())));
        }
        let mut body = response.into_body();
        let mut seen = Vec::new();
        let found = tokio::time::timeout(FIRST_FRAMES, async {
            while let Some(Ok(frame)) = body.frame().await {
                seen.extend_from_slice(&frame.into_data().unwrap_or_default());
                if String::from_utf8_lossy(&seen).contains("k8s.io/initial-events-end") {
                    return true;
                }
            }
            false
        });
        Ok((found.await != Ok(true)).then(|| "no bookmark after the initial events".to_owned()))
    }
}

/// What is wrong with an answer to a request with a parameter, compared with that to a request without.
fn compare(expect: Expect, without: &Answer, with: &Answer) -> Option<String> {
    let indented = |answer: &Answer| answer.body.starts_with(b"{\n  \"");
    let wrong = match expect {
        Expect::Refused => ![400, 422].contains(&with.status),
        Expect::Unread => {
            let words = with.json()["message"].as_str().unwrap_or_default().to_owned();
            with.status != 500 || !words.starts_with("resourceVersion: Invalid value")
        }
        Expect::NotAllowed => with.status != 405,
        Expect::Indented => !indented(with) || indented(without),
        _ => with.status != without.status,
    };
    wrong.then(|| format!("expected {expect:?}, answered with {} after {}", with.status, without.status))
}

fn request(method: &str, target: &str, sent: &Sent) -> Request {
    let mut headers = BTreeMap::new();
    if let Some(accept) = &sent.accept {
        headers.insert("Accept".to_owned(), accept.clone());
    }
    let mut body = Vec::new();
    if let Some((content_type, bytes)) = &sent.body {
        headers.insert("Content-Type".to_owned(), (*content_type).to_owned());
        body.clone_from(bytes);
    }
    Request { method: method.to_owned(), target: target.to_owned(), headers, body, ..Request::default() }
}

impl Sent {
    fn json(value: &Value) -> Self {
        Self { accept: None, body: Some((JSON, value.to_string().into_bytes())) }
    }
}

impl Answer {
    fn content_type(&self) -> String {
        let value = self.headers.get(http::header::CONTENT_TYPE);
        value.map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned()).unwrap_or_default()
    }
}

impl Operation {
    fn watches(&self) -> bool {
        matches!(self.action, Action::Watch | Action::WatchList)
    }

    fn is_log(&self) -> bool {
        self.path.ends_with("/log")
    }

    /// Whether it needs an object to go to.
    fn connects(&self) -> bool {
        self.action == Action::Connect || self.is_log()
    }

    /// The object that is sent where one is needed.
    fn object(&self) -> Value {
        let mut object =
            json!({ "apiVersion": self.api_version, "kind": self.kind, "metadata": { "name": NOBODY } });
        if self.kind == BINDING {
            object["target"] = json!({ "name": SOMEBODY });
        }
        object
    }

    /// The plain request's body.
    fn sent(&self) -> Sent {
        let body = match self.action {
            Action::Post | Action::Put => Some((JSON, self.object().to_string().into_bytes())),
            Action::Patch => Some(("application/merge-patch+json", b"{}".to_vec())),
            _ => None,
        };
        Sent { accept: None, body }
    }

    /// Bodies in a media type that is described.
    fn bodies(&self, media_type: &str) -> Vec<(&'static str, Vec<u8>)> {
        let object = match self.action {
            Action::Post | Action::Put => self.object(),
            // What is in the body stands in place of the query.
            Action::Delete | Action::DeleteCollection => {
                json!({ "apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"] })
            }
            Action::Patch => return patch(media_type, &self.object()).into_iter().collect(),
            _ => return Vec::new(),
        };
        let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
        let mut raw = Vec::new();
        if let Some(name) = object["metadata"]["name"].as_str() {
            raw.extend(field(1, &field(1, name.as_bytes())));
        }
        if self.kind == BINDING {
            // The third field of a reference is its name.
            raw.extend(field(2, &field(3, SOMEBODY.as_bytes())));
        }
        if object.get("dryRun").is_some() {
            raw.extend(field(5, b"All"));
        }
        vec![
            (JSON, object.to_string().into_bytes()),
            // JSON is YAML; a reader of JSON would stumble over the comment.
            (YAML, format!("# an object\n{object}\n").into_bytes()),
            (PROTOBUF, protobuf(&text("apiVersion"), &text("kind"), &raw)),
        ]
    }

    /// What is wrong with an answer to a request that is as described.
    fn problem(&self, answer: &Answer) -> Option<String> {
        let status = answer.status;
        let body = answer.json();
        let found = |want: bool| (!want).then(|| format!("answered with {status}: {}", short(&body)));
        let of_object = || !body["details"]["name"].as_str().unwrap_or_default().is_empty();
        match self.action {
            Action::Connect => found(![404, 405].contains(&status)),
            Action::Get if self.is_log() => found([200, 204].contains(&status)),
            Action::Watch | Action::WatchList | Action::None => found(status == 200),
            Action::List => found(status == 200 && self.is_list(&body)),
            Action::DeleteCollection => found(status == 200 && self.is_list(&body)),
            // What does not exist is refused by name, which a path that is not served is not.
            _ if status == 404 => found(of_object()),
            _ => found(matches!(status, 200..=202 | 400 | 403 | 409 | 422)),
        }
    }

    fn is_list(&self, body: &Value) -> bool {
        body["apiVersion"] == self.api_version.as_str() && body["kind"] == format!("{}List", self.kind)
    }
}

fn short(body: &Value) -> String {
    body["message"].as_str().map_or_else(|| body.to_string(), str::to_owned).chars().take(200).collect()
}

/// A patch that changes nothing; none for a media type that is not known here, which is then not taken.
fn patch(media_type: &str, object: &Value) -> Option<(&'static str, Vec<u8>)> {
    match media_type {
        "application/json-patch+json" => Some(("application/json-patch+json", b"[]".to_vec())),
        "application/merge-patch+json" => Some(("application/merge-patch+json", b"{}".to_vec())),
        "application/strategic-merge-patch+json" => {
            Some(("application/strategic-merge-patch+json", b"{}".to_vec()))
        }
        "application/apply-patch+yaml" => {
            Some(("application/apply-patch+yaml", format!("# an object\n{object}\n").into_bytes()))
        }
        _ => None,
    }
}

/// A field of bytes. Numbers and lengths here fit in seven bits.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).ok().filter(|l| *l < 0x80).expect("short");
    [&[number << 3 | 2, length], bytes].concat()
}

/// A message in the envelope of protobuf.
fn protobuf(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let type_meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    [b"k8s\0".to_vec(), field(1, &type_meta), field(2, raw)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &Value) -> Answer {
        Answer { status, headers: http::HeaderMap::new(), body: body.to_string().into_bytes() }
    }

    fn operation(action: Action) -> Operation {
        Operation {
            method: "GET".into(),
            path: "/api/v1/pods".into(),
            action,
            api_version: "v1".into(),
            kind: "Pod".into(),
            parameters: Vec::new(),
            consumes: Vec::new(),
            produces: Vec::new(),
        }
    }

    #[track_caller]
    fn check(action: Action, status: u16, body: &Value, served: bool) {
        let problem = operation(action).problem(&answer(status, body));
        assert_eq!(problem.is_none(), served, "{problem:?}");
    }

    #[test]
    fn what_is_served_and_what_is_not() {
        let list = json!({ "apiVersion": "v1", "kind": "PodList" });
        check(Action::List, 200, &list, true);
        check(Action::List, 200, &json!({ "apiVersion": "v1", "kind": "List" }), false);
        check(Action::Get, 404, &json!({ "details": { "name": "nobody" } }), true);
        check(Action::Get, 404, &json!({ "details": {} }), false);
        check(Action::Post, 405, &json!({}), false);
        check(Action::Post, 415, &json!({}), false);
        check(Action::Post, 422, &json!({}), true);
        check(Action::Patch, 500, &json!({}), false);
        check(Action::Connect, 503, &json!({}), true);
        check(Action::Connect, 404, &json!({ "details": { "name": "somebody" } }), false);
    }

    #[test]
    fn parameters_that_nobody_looks_at_show() {
        let plain = answer(200, &json!({ "a": 1 }));
        let indented = Answer { body: b"{\n  \"a\": 1\n}".to_vec(), ..plain.clone() };
        assert_eq!(compare(Expect::Indented, &plain, &indented), None);
        assert!(compare(Expect::Indented, &plain, &plain).is_some());
        assert!(compare(Expect::Refused, &plain, &plain).is_some());
        assert_eq!(compare(Expect::Refused, &plain, &answer(422, &json!({}))), None);
        assert!(compare(Expect::Accepted, &plain, &answer(400, &json!({}))).is_some());
    }

    #[test]
    fn the_envelope_of_protobuf() {
        assert_eq!(
            protobuf("v1", "Pod", &field(1, &field(1, b"a"))),
            b"k8s\0\x0a\x09\x0a\x02v1\x12\x03Pod\x12\x05\x0a\x03\x0a\x01a"
        );
    }
}
