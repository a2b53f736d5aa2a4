//! One operation of a path, and a path of operations, in the form of either version.
//!
//! v3 has bodies and answers by media type; v2 has the media types of a whole operation, its body among the parameters and
//! one schema for each answer. Parameters that all operations of a path have stand beside them.

use apimachinery::{Object, Value};
use kinds::Gvk;

use super::parameters::{self, Action, Parameter, Shared};
use super::schema::{Flavor, META, Schemas, gvk_value};
use crate::value;
use crate::values::strings;

/// What objects are answered in.
pub(super) const OBJECTS: &[&str] =
    &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
/// What lists and watches are answered in.
const STREAMS: &[&str] = &[
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf;stream=watch",
];
const LOGS: &[&str] =
    &["text/plain", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
/// Custom objects have no protobuf.
const CUSTOM: &[&str] = &["application/json", "application/yaml"];
const ANYTHING: &[&str] = &["*/*"];
const PATCHES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];
/// Strategic merge needs the tags of Go types.
const CUSTOM_PATCHES: &[&str] =
    &["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];

const OK: (&str, &str) = ("200", "OK");
const CREATED: (&str, &str) = ("201", "Created");
const ACCEPTED: (&str, &str) = ("202", "Accepted");

/// What a verb is to OpenAPI: its method, the first word of operation ids, the name of its action, what it answers with.
#[derive(Debug)]
pub(super) struct Verb {
    pub(super) method: &'static str,
    pub(super) word: &'static str,
    action: &'static str,
    answers: &'static [(&'static str, &'static str)],
}

pub(super) const GET: Verb = Verb { method: "get", word: "read", action: "get", answers: &[OK] };
pub(super) const LIST: Verb = Verb { method: "get", word: "list", action: "list", answers: &[OK] };
pub(super) const WATCH: Verb = Verb { method: "get", word: "watch", action: "watch", answers: &[OK] };
pub(super) const WATCH_LIST: Verb =
    Verb { method: "get", word: "watch", action: "watchlist", answers: &[OK] };
pub(super) const CREATE: Verb =
    Verb { method: "post", word: "create", action: "post", answers: &[OK, CREATED, ACCEPTED] };
pub(super) const UPDATE: Verb =
    Verb { method: "put", word: "replace", action: "put", answers: &[OK, CREATED] };
pub(super) const PATCH: Verb =
    Verb { method: "patch", word: "patch", action: "patch", answers: &[OK, CREATED] };
pub(super) const DELETE: Verb =
    Verb { method: "delete", word: "delete", action: "delete", answers: &[OK, ACCEPTED] };
pub(super) const DELETE_COLLECTION: Verb =
    Verb { method: "delete", word: "delete", action: "deletecollection", answers: &[OK] };

/// The verb of that name, but for list and watch, which depend on the path.
pub(super) fn verb(name: &str) -> Option<&'static Verb> {
    match name {
        "get" => Some(&GET),
        "create" => Some(&CREATE),
        "update" => Some(&UPDATE),
        "patch" => Some(&PATCH),
        "delete" => Some(&DELETE),
        _ => None,
    }
}

/// What an operation takes in its body.
#[derive(Clone, Debug, PartialEq)]
enum BodyKind {
    None,
    /// An object of this schema.
    Object(Value),
    /// Options, which may be left out.
    Options,
    Patch,
}

/// An operation in the making.
#[derive(Debug)]
pub(super) struct Operation {
    method: &'static str,
    action: &'static str,
    pub(super) id: String,
    pub(super) about: String,
    gvk: Gvk,
    parameters: Vec<Parameter>,
    body: BodyKind,
    consumes: &'static [&'static str],
    produces: &'static [&'static str],
    answers: &'static [(&'static str, &'static str)],
    answer: Option<Value>,
}

impl Operation {
    /// A verb on objects of `body`'s schema, of a custom kind or not, that is answered with `answer`'s.
    pub(super) fn new(
        verb: &'static Verb,
        gvk: Gvk,
        custom: bool,
        (body, answer): (Option<Value>, Option<Value>),
        schemas: &Schemas<'_>,
    ) -> Self {
        let (action, body) = match verb.action {
            "get" => (Action::Read, BodyKind::None),
            "post" | "put" => (Action::Write, body.map_or(BodyKind::None, BodyKind::Object)),
            "patch" => (Action::Patch, BodyKind::Patch),
            "delete" => (Action::Delete, BodyKind::Options),
            "deletecollection" => (Action::DeleteCollection, BodyKind::Options),
            _ => (Action::List, BodyKind::None),
        };
        let produces = match action {
            _ if custom => CUSTOM,
            Action::List => STREAMS,
            _ => OBJECTS,
        };
        let consumes = match action {
            Action::Patch if custom => CUSTOM_PATCHES,
            Action::Patch => PATCHES,
            _ if custom => CUSTOM,
            _ => ANYTHING,
        };
        Self {
            method: verb.method,
            action: verb.action,
            id: String::new(),
            about: String::new(),
            gvk,
            parameters: parameters::of_action(action, schemas),
            body,
            consumes,
            produces,
            answers: verb.answers,
            answer,
        }
    }

    /// A connection, which takes the options of its kind and answers with anything.
    pub(super) fn connect(method: &'static str, gvk: Gvk, schemas: &Schemas<'_>) -> Self {
        Self {
            method,
            action: "connect",
            id: String::new(),
            about: String::new(),
            parameters: parameters::of_action(Action::Connect(&gvk.kind), schemas),
            gvk,
            body: BodyKind::None,
            consumes: ANYTHING,
            produces: ANYTHING,
            answers: &[OK],
            answer: Some(value!({ "type": "string" })),
        }
    }

    /// Reading a log.
    pub(super) fn log(gvk: Gvk, schemas: &Schemas<'_>) -> Self {
        let answer = (None, Some(value!({ "type": "string" })));
        let mut operation = Self::new(&GET, gvk, false, answer, schemas);
        operation.parameters.extend(parameters::of_action(Action::Log, schemas));
        operation.produces = LOGS;
        operation
    }

    fn render(self, tag: &str, schemas: &mut Schemas<'_>, shared: &mut Shared) -> Value {
        let mut members = Object::new();
        members.insert("description", self.about);
        members.insert("operationId", self.id);
        members.insert("tags", strings([tag]));
        let flavor = schemas.flavor;
        let mut parameters: Vec<Value> =
            self.parameters.iter().map(|p| parameters::render(p, flavor, shared)).collect();
        if let Some((schema, required)) = body_schema(self.body.clone(), schemas) {
            match flavor {
                Flavor::V2 => parameters.insert(0, v2_body(&self.body, schema, required, shared)),
                Flavor::V3 => {
                    let mut body = Object::new();
                    body.insert("content", content(self.consumes, &schema));
                    if required {
                        body.insert("required", true);
                    }
                    members.insert("requestBody", body);
                }
            }
        }
        if !parameters.is_empty() {
            members.insert("parameters", parameters);
        }
        if flavor == Flavor::V2 {
            members.insert("consumes", strings(self.consumes));
            members.insert("produces", strings(self.produces));
            members.insert("schemes", strings(["https"]));
        }
        members.insert("responses", answers(flavor, self.answers, self.answer.as_ref(), self.produces));
        members.insert("x-kubernetes-action", self.action);
        members.insert("x-kubernetes-group-version-kind", gvk_value(&self.gvk));
        members.into()
    }
}

/// The schema of a body and whether there must be one.
fn body_schema(body: BodyKind, schemas: &mut Schemas<'_>) -> Option<(Value, bool)> {
    match body {
        BodyKind::None => None,
        BodyKind::Object(schema) => Some((schema, true)),
        BodyKind::Options => Some((schemas.reference(&format!("{META}.DeleteOptions")), false)),
        BodyKind::Patch => Some((schemas.reference(&format!("{META}.Patch")), true)),
    }
}

fn v2_body(body: &BodyKind, schema: Value, required: bool, shared: &mut Shared) -> Value {
    let mut members = Object::new();
    members.insert("in", "body");
    members.insert("name", "body");
    if required {
        members.insert("required", true);
    }
    members.insert("schema", schema);
    match body {
        BodyKind::Options => shared.refer("body", "2Y1dVQaQ", members.into()),
        BodyKind::Patch => shared.refer("body", "78PwaGsr", members.into()),
        _ => members.into(),
    }
}

fn content(types: &[&str], schema: &Value) -> Value {
    types.iter().map(|t| (*t, value!({ "schema": (schema.clone()) }))).collect()
}

/// The answers of an operation, and that it may be refused.
pub(super) fn answers(
    flavor: Flavor,
    codes: &[(&str, &str)],
    schema: Option<&Value>,
    produces: &[&str],
) -> Object {
    let mut all = Object::new();
    for (code, text) in codes {
        let mut answer = Object::new();
        answer.insert("description", *text);
        match (schema, flavor) {
            (Some(schema), Flavor::V2) => drop(answer.insert("schema", schema.clone())),
            (Some(schema), Flavor::V3) => drop(answer.insert("content", content(produces, schema))),
            (None, _) => {}
        }
        all.insert(code, answer);
    }
    all.insert("401", value!({ "description": "Unauthorized" }));
    all
}

/// A path with its operations; `kind` is what a name in the path names.
pub(super) fn path_item(
    path: &str,
    kind: &str,
    tag: &str,
    mut operations: Vec<Operation>,
    schemas: &mut Schemas<'_>,
    shared: &mut Shared,
) -> Value {
    let mut lists: Vec<Vec<Parameter>> = operations
        .iter_mut()
        .map(|o| {
            let mut all = std::mem::take(&mut o.parameters);
            all.extend(parameters::of_path(path, kind));
            all
        })
        .collect();
    let common = parameters::take_common(&mut lists);
    let mut members = Object::new();
    for (mut operation, own) in operations.into_iter().zip(lists) {
        operation.parameters = own;
        members.insert(operation.method, operation.render(tag, schemas, shared));
    }
    if !common.is_empty() {
        let common: Vec<Value> =
            common.iter().map(|p| parameters::render(p, schemas.flavor, shared)).collect();
        members.insert("parameters", common);
    }
    members.sort_keys();
    members.into()
}

/// `a Pod`, `an Event`, `Endpoints`.
pub(super) fn with_article(kind: &str) -> String {
    let plural = kind.ends_with('s') && !kind.ends_with("ss");
    match kind.chars().next() {
        _ if plural => kind.to_owned(),
        Some('A' | 'E' | 'I' | 'O' | 'U') => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn articles() {
        let all = ["Pod", "Event", "Endpoints", "IPAddress", "IngressClass"].map(with_article);
        assert_eq!(all, ["a Pod", "an Event", "Endpoints", "an IPAddress", "an IngressClass"]);
    }

    #[test]
    fn answers_by_flavor() {
        let schema = value!({ "type": "string" });
        let v2 = Value::from(answers(Flavor::V2, &[OK, CREATED], Some(&schema), OBJECTS));
        assert_eq!(v2.str_at(&["201", "schema", "type"]), Some("string"));
        let v3 = Value::from(answers(Flavor::V3, &[OK], Some(&schema), &["text/plain"]));
        assert_eq!(v3.str_at(&["200", "content", "text/plain", "schema", "type"]), Some("string"));
        assert_eq!(v3.str_at(&["401", "description"]), Some("Unauthorized"));
    }
}
