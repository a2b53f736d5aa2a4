//! The parameters of operations: which query parameters an action takes, how each is written, and what v2 calls it.
//!
//! v2 writes a parameter that many operations have once, under a name that ends in a hash of upstream's text, and refers to
//! it. Clients generate code from those names, so they are facts of the API. Three are written out each time: the name of an
//! object, and `dryRun` and `fieldValidation`, which kubectl looks for in the operations themselves.

use std::collections::BTreeMap;

use apimachinery::schema::{Scalar, TypeKind};
use apimachinery::{Object, Value};

use super::schema::{Flavor, META, Schemas};
use crate::value;

/// Where a parameter stands. Upstream sorts parameters by name, then by this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Path,
    Query,
}

/// A parameter of an operation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Parameter {
    name: String,
    place: Place,
    kind: &'static str,
    about: String,
    /// What follows the name where v2 refers to it; empty where v2 writes it out.
    suffix: &'static str,
}

/// A parameter as the tables have it: name, type, suffix.
type Row = (&'static str, &'static str, &'static str);

const PRETTY: Row = ("pretty", "string", "tJGM1-ng");
/// What lists and watches take.
const LIST: [Row; 11] = [
    ("allowWatchBookmarks", "boolean", "HC2hJt-J"),
    ("continue", "string", "QfD61s0i"),
    ("fieldSelector", "string", "xIcQKXFG"),
    ("labelSelector", "string", "5Zw57w4C"),
    ("limit", "integer", "1NfNmdNH"),
    ("resourceVersion", "string", "5WAnf1kx"),
    ("resourceVersionMatch", "string", "t8XhRHeC"),
    ("sendInitialEvents", "boolean", "rLXlEK_k"),
    ("shardSelector", "string", "Kgyki_3_"),
    ("timeoutSeconds", "integer", "yvYezaOC"),
    ("watch", "boolean", "XNNPZGbK"),
];
/// What deleting a collection leaves out of these.
const WATCH_ONLY: [&str; 2] = ["allowWatchBookmarks", "watch"];
const WRITE: [Row; 3] =
    [("dryRun", "string", ""), ("fieldManager", "string", "Qy4HdaTW"), ("fieldValidation", "string", "")];
const PATCH: [Row; 4] = [
    ("dryRun", "string", ""),
    ("fieldManager", "string", "7c6nTn1T"),
    ("fieldValidation", "string", ""),
    ("force", "boolean", "tOGGb0Yi"),
];
const DELETE: [Row; 5] = [
    ("dryRun", "string", ""),
    ("gracePeriodSeconds", "integer", "-K5HaBOS"),
    ("ignoreStoreReadErrorWithClusterBreakingPotential", "boolean", "QbNkfIqj"),
    ("orphanDependents", "boolean", "uRB25kX5"),
    ("propagationPolicy", "string", "6jk3prlO"),
];

/// The suffixes of what connections take: kind of the options, field, suffix.
const CONNECT_SUFFIXES: [(&str, &str, &str); 24] = [
    ("NodeProxyOptions", "path", "rFDtV0x9"),
    ("PodAttachOptions", "container", "_Q-EJ3nR"),
    ("PodAttachOptions", "stderr", "26jJhFUR"),
    ("PodAttachOptions", "stdin", "sEFnN3IS"),
    ("PodAttachOptions", "stdout", "005YMKE6"),
    ("PodAttachOptions", "tty", "g7MlET_l"),
    ("PodExecOptions", "command", "Py3eQybp"),
    ("PodExecOptions", "container", "i5dOmRiM"),
    ("PodExecOptions", "stderr", "W_1TNlWc"),
    ("PodExecOptions", "stdin", "PSzNhyUC"),
    ("PodExecOptions", "stdout", "-EZLRwV1"),
    ("PodExecOptions", "tty", "s0flW37O"),
    ("PodLogOptions", "container", "1GeXxFDC"),
    ("PodLogOptions", "follow", "9OIXh_2R"),
    ("PodLogOptions", "insecureSkipTLSVerifyBackend", "gM00jVbe"),
    ("PodLogOptions", "limitBytes", "zwd1RXuc"),
    ("PodLogOptions", "previous", "1jxDPu3y"),
    ("PodLogOptions", "sinceSeconds", "vE2NLdnP"),
    ("PodLogOptions", "stream", "l-48cgXv"),
    ("PodLogOptions", "tailLines", "9xQLWHMV"),
    ("PodLogOptions", "timestamps", "c17fW1w_"),
    ("PodPortForwardOptions", "ports", "91KROJmm"),
    ("PodProxyOptions", "path", "oPbzgLUj"),
    ("ServiceProxyOptions", "path", "QCf0eosM"),
];

/// What parameters are for, where the texts of types do not say.
const ABOUT: [(&str, &str); 17] = [
    ("allowWatchBookmarks", "Also send bookmarks, which only tell how far the watch has come. Watches only."),
    ("continue", "The token of the page before, to go on with the list that it belongs to."),
    ("fieldManager", "Whose changes these are, for managedFields: at most 128 printable characters."),
    ("fieldSelector", "Only objects whose fields match."),
    ("fieldValidation", "What to do about unknown and duplicate fields: Ignore, Warn (default) or Strict."),
    ("force", "Apply only: take over fields that others own."),
    ("labelSelector", "Only objects whose labels match."),
    ("limit", "At most so many objects; the answer has a token to continue with when there are more."),
    ("pretty", "Whether to indent the answer. Browsers, curl and wget get it so unless this is false."),
    ("resourceVersion", "How old the answer may be, or where a watch begins."),
    ("resourceVersionMatch", "How resourceVersion is meant: Exact or NotOlderThan."),
    ("sendInitialEvents", "Begin the watch with all objects and a bookmark after them."),
    ("shardSelector", "Only objects of a shard (alpha, gate ShardedListAndWatch)."),
    ("timeoutSeconds", "How long a list or watch may take."),
    ("watch", "Watch for changes instead of listing."),
    ("namespace", "object name and auth scope, such as for teams and projects"),
    ("path", "The path to request of what is behind the proxy."),
];

/// What takes parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action<'a> {
    Read,
    List,
    Write,
    Patch,
    Delete,
    DeleteCollection,
    /// With the options of this kind and nothing else.
    Connect(&'a str),
    Log,
}

/// The query parameters of an action.
pub(super) fn of_action(action: Action<'_>, schemas: &Schemas<'_>) -> Vec<Parameter> {
    let rows = |rows: &[Row]| -> Vec<Parameter> { rows.iter().map(|row| query(*row, schemas)).collect() };
    let mut all = match action {
        Action::Read => Vec::new(),
        Action::List => rows(&LIST),
        Action::Write => rows(&WRITE),
        Action::Patch => rows(&PATCH),
        Action::Delete => rows(&DELETE),
        Action::DeleteCollection => {
            let mut all = rows(&LIST);
            all.retain(|p| !WATCH_ONLY.contains(&p.name.as_str()));
            all.extend(rows(&DELETE));
            all
        }
        Action::Connect(kind) => return options(kind, schemas),
        Action::Log => return options("PodLogOptions", schemas),
    };
    all.push(query(PRETTY, schemas));
    all
}

/// The fields of options that connections take from the query; times are not among them upstream.
fn options(kind: &str, schemas: &Schemas<'_>) -> Vec<Parameter> {
    let Some(ty) = schemas.type_named(&format!("io.k8s.api.core.v1.{kind}")) else { return Vec::new() };
    let TypeKind::Struct(body) = &ty.kind else { return Vec::new() };
    let fields = body.fields.iter().filter(|f| !matches!(f.name.as_str(), "kind" | "apiVersion"));
    let parameters = fields.filter_map(|field| {
        let (_, name, suffix) =
            CONNECT_SUFFIXES.iter().find(|(owner, name, _)| *owner == kind && *name == field.name)?;
        let kind = match &field.ty.get().kind {
            TypeKind::Scalar(scalar) => plain(*scalar)?,
            TypeKind::List(list) => match &list.element.get().kind {
                TypeKind::Scalar(scalar) => plain(*scalar)?,
                _ => return None,
            },
            _ => return None,
        };
        Some(query((name, kind, suffix), schemas))
    });
    parameters.collect()
}

fn plain(scalar: Scalar) -> Option<&'static str> {
    match scalar {
        Scalar::String => Some("string"),
        Scalar::Bool => Some("boolean"),
        Scalar::Int32 | Scalar::Int64 => Some("integer"),
        _ => None,
    }
}

fn query((name, kind, suffix): Row, schemas: &Schemas<'_>) -> Parameter {
    let own = ABOUT.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
    let text = own.or_else(|| schemas.text_of(&format!("{META}.DeleteOptions"), name));
    let about = text.unwrap_or_default().to_owned();
    Parameter { name: name.to_owned(), place: Place::Query, kind, about, suffix }
}

/// The parameters that stand in a path, for an object of that kind.
pub(super) fn of_path(path: &str, kind: &str) -> Vec<Parameter> {
    let about = |name: &str| match name {
        "name" => format!("name of the {kind}"),
        "path" => "path to the resource".to_owned(),
        "logpath" => "path to the log".to_owned(),
        name => ABOUT.iter().find(|(n, _)| *n == name).map(|(_, text)| *text).unwrap_or_default().to_owned(),
    };
    let suffixes = [("name", ""), ("namespace", "vgWSWtn3"), ("path", "z6Ciiujn"), ("logpath", "Noq7euwC")];
    let named = suffixes.iter().filter(|(name, _)| path.contains(&format!("{{{name}}}")));
    named
        .map(|(name, suffix)| Parameter {
            name: (*name).to_owned(),
            place: Place::Path,
            kind: "string",
            about: about(name),
            suffix,
        })
        .collect()
}

/// Parameters of v2 that operations refer to.
#[derive(Debug, Default)]
pub(super) struct Shared(BTreeMap<String, Value>);

impl Shared {
    pub(super) fn into_value(self) -> Value {
        self.0.into_iter().collect()
    }

    /// The reference to a parameter that is written out elsewhere.
    pub(super) fn refer(&mut self, name: &str, suffix: &str, whole: Value) -> Value {
        let name = format!("{name}-{suffix}");
        let reference = value!({ "$ref": (format!("#/parameters/{name}")) });
        self.0.entry(name).or_insert(whole);
        reference
    }
}

/// A parameter in the form of a document.
pub(super) fn render(parameter: &Parameter, flavor: Flavor, shared: &mut Shared) -> Value {
    let Parameter { name, place, kind, about, suffix } = parameter;
    let mut members = Object::new();
    if !about.is_empty() {
        members.insert("description", about.as_str());
    }
    members.insert("in", if *place == Place::Path { "path" } else { "query" });
    members.insert("name", name.as_str());
    if *place == Place::Path {
        members.insert("required", true);
    }
    if flavor == Flavor::V3 {
        members.insert("schema", value!({ "type": (*kind), "uniqueItems": true }));
        return members.into();
    }
    members.insert("type", *kind);
    members.insert("uniqueItems", true);
    if suffix.is_empty() { members.into() } else { shared.refer(name, suffix, members.into()) }
}

/// What all these operations have, taken out of each of them.
pub(super) fn take_common(operations: &mut [Vec<Parameter>]) -> Vec<Parameter> {
    let Some((first, others)) = operations.split_first() else { return Vec::new() };
    let mut common: Vec<Parameter> = first.clone();
    common.retain(|p| others.iter().all(|other| other.contains(p)));
    for operation in operations.iter_mut() {
        operation.retain(|p| !common.contains(p));
        operation.sort();
    }
    common.sort();
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(name: &str, place: Place, about: &str) -> Parameter {
        Parameter { name: name.into(), place, kind: "string", about: about.into(), suffix: "" }
    }

    #[test]
    fn what_all_operations_have_belongs_to_the_path() {
        let name = parameter("name", Place::Path, "");
        let force = parameter("force", Place::Query, "");
        let dry_run = parameter("dryRun", Place::Query, "");
        let mut operations =
            [vec![name.clone(), force.clone(), dry_run.clone()], vec![dry_run.clone(), name.clone()]];
        assert_eq!(take_common(&mut operations), [dry_run, name]);
        assert_eq!(operations, [vec![force], vec![]]);
        assert!(take_common(&mut []).is_empty());
        let mut others = [vec![parameter("a", Place::Path, "x")], vec![parameter("a", Place::Path, "y")]];
        assert!(take_common(&mut others).is_empty(), "the same name with another meaning");
    }

    #[test]
    fn a_path_tells_its_parameters() {
        let names = |path: &str| -> Vec<String> {
            of_path(path, "PodProxyOptions").into_iter().map(|p| format!("{} {}", p.name, p.about)).collect()
        };
        assert!(names("/api/v1/pods").is_empty());
        let all = names("/api/v1/namespaces/{namespace}/pods/{name}/proxy/{path}");
        assert_eq!(all[0], "name name of the PodProxyOptions");
        assert_eq!(all[2], "path path to the resource");
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn shared_parameters_are_written_once() {
        let mut shared = Shared::default();
        let limit = Parameter { suffix: "1NfNmdNH", ..parameter("limit", Place::Query, "") };
        let reference = render(&limit, Flavor::V2, &mut shared);
        assert_eq!(reference.str_at(&["$ref"]), Some("#/parameters/limit-1NfNmdNH"));
        render(&limit, Flavor::V2, &mut shared);
        let own = render(&parameter("dryRun", Place::Query, ""), Flavor::V2, &mut shared);
        assert_eq!(own.str_at(&["name"]), Some("dryRun"));
        let all = shared.into_value();
        assert_eq!(all.str_at(&["limit-1NfNmdNH", "type"]), Some("string"));
        assert_eq!(all.as_object().map(Object::len), Some(1));
    }
}
