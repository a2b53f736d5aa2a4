//! The paths of a document: per resource its collection, its items and its subresources, with the operations that
//! discovery lists.
//!
//! Operations carry what clients look for: the kind, the action, the query parameters, and the schemas of bodies and
//! answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::{Object, Value};
use kinds::Gvk;

use super::meta::Endpoint;
use super::schema::{Flavor, Schemas, capital, gvk_value};
use crate::registry::Resource;
use crate::value;
use crate::values::strings;

/// A query parameter: its name and type.
type Parameter = (&'static str, &'static str);

const LIST: [Parameter; 10] = [
    ("allowWatchBookmarks", "boolean"),
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
    ("watch", "boolean"),
];
const WRITE: [Parameter; 3] =
    [("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string")];
const PATCH: [Parameter; 4] =
    [("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string"), ("force", "boolean")];
const DELETE: [Parameter; 4] = [
    ("dryRun", "string"),
    ("gracePeriodSeconds", "integer"),
    ("orphanDependents", "boolean"),
    ("propagationPolicy", "string"),
];

pub(super) const ANSWERS: [&str; 3] =
    ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
const PATCHES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// An operation in the making.
struct Operation<'a> {
    verb: &'a str,
    action: &'a str,
    id: String,
    gvk: &'a Gvk,
    parameters: &'a [Parameter],
    body: Option<Value>,
    answer: Option<Value>,
}

/// All paths of the resources, and what else is asked for.
pub(super) fn render(resources: &[Arc<Resource>], besides: &[Endpoint], schemas: &mut Schemas<'_>) -> Value {
    let mut paths: BTreeMap<String, Value> = BTreeMap::new();
    paths.extend(besides.iter().map(|endpoint| endpoint.render(schemas)));
    for resource in resources {
        let (path, discovery) = super::meta::resources_of(resource).render(schemas);
        paths.entry(path).or_insert(discovery);
        let info = &resource.info;
        let root = super::root_of(resource);
        let collection = if info.namespaced {
            format!("/{root}/namespaces/{{namespace}}/{}", info.plural)
        } else {
            format!("/{root}/{}", info.plural)
        };
        let item = format!("{collection}/{{name}}");
        let scope = if info.namespaced { "Namespaced" } else { "" };
        let mut add = |path: String, operations: Object, named: bool| {
            if operations.is_empty() {
                return;
            }
            let mut members = operations;
            members.insert("parameters", path_parameters(has_namespace(resource, &path), &path, named));
            paths.insert(path, members.into());
        };
        let own = operations(resource, schemas, scope, false);
        add(collection.clone(), own, false);
        let items = operations(resource, schemas, scope, true);
        add(item.clone(), items, true);
        if info.namespaced && info.has_verb("list") {
            let everywhere = list_everywhere(resource, schemas);
            add(format!("/{root}/{}", info.plural), everywhere, false);
        }
        if info.has_verb("watch") {
            for (path, operations, named) in watches(resource, schemas, scope) {
                add(path, operations, named);
            }
        }
        for subresource in &info.subresources {
            let under = sub_operations(resource, subresource, schemas, scope);
            add(format!("{item}/{}", subresource.name), under, true);
        }
    }
    if schemas.flavor == Flavor::V2 {
        for path in paths.values_mut() {
            to_v2(path);
        }
    }
    paths.into_iter().collect()
}

/// Whether the path has a namespace in it.
fn has_namespace(resource: &Resource, path: &str) -> bool {
    resource.info.namespaced && path.contains("{namespace}")
}

fn path_parameters(namespaced: bool, path: &str, named: bool) -> Value {
    let in_path = |name: &str| {
        value!({
            "name": (name),
            "in": "path",
            "required": true,
            "schema": { "type": "string", "uniqueItems": true },
        })
    };
    let mut all = Vec::new();
    if named && path.contains("{name}") {
        all.push(in_path("name"));
    }
    if namespaced {
        all.push(in_path("namespace"));
    }
    all.push(
        value!({ "name": "pretty", "in": "query", "schema": { "type": "string", "uniqueItems": true } }),
    );
    all.into()
}

fn list_kind(resource: &Resource) -> Gvk {
    Gvk { kind: resource.info.list_kind.clone(), ..resource.info.gvk() }
}

/// `AppsV1`, as operation ids have it.
pub(super) fn id_part(resource: &Resource) -> String {
    format!("{}{}", group_part(resource.group()), capital(&resource.info.version))
}

/// `Apps`, `RbacAuthorization`.
pub(super) fn group_part(group: &str) -> String {
    match group {
        "" => "Core".into(),
        group => group.trim_end_matches(".k8s.io").split('.').map(capital).collect(),
    }
}

/// The deprecated paths that watch without a parameter: collections and single objects.
fn watches(resource: &Resource, schemas: &mut Schemas<'_>, scope: &str) -> Vec<(String, Object, bool)> {
    let info = &resource.info;
    let (part, gvk, root) = (id_part(resource), info.gvk(), super::root_of(resource));
    let event = schemas.reference("io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent");
    let of = |path: String, verb: &str, id: String, named: bool| {
        let answer = Some(event.clone());
        let operation =
            Operation { verb, action: verb, id, gvk: &gvk, parameters: &LIST, body: None, answer };
        let mut all = Object::new();
        all.insert("get", operation_value(operation, &part));
        (path, all, named)
    };
    let (plural, kind) = (&info.plural, &info.kind);
    let mut all = Vec::new();
    let collection = if info.namespaced {
        let id = format!("watch{part}{kind}ListForAllNamespaces");
        all.push(of(format!("/{root}/watch/{plural}"), "watchlist", id, false));
        format!("/{root}/watch/namespaces/{{namespace}}/{plural}")
    } else {
        format!("/{root}/watch/{plural}")
    };
    all.push(of(format!("{collection}/{{name}}"), "watch", format!("watch{part}{scope}{kind}"), true));
    all.push(of(collection, "watchlist", format!("watch{part}{scope}{kind}List"), false));
    all
}

fn operations(resource: &Resource, schemas: &mut Schemas<'_>, scope: &str, item: bool) -> Object {
    let info = &resource.info;
    let gvk = info.gvk();
    let part = id_part(resource);
    let mut all = Object::new();
    let own = schemas.of_kind(&gvk);
    let kind = &info.kind;
    let wanted: &[(&str, &str, &str)] = if item {
        &[
            ("get", "get", "read"),
            ("update", "put", "replace"),
            ("patch", "patch", "patch"),
            ("delete", "delete", "delete"),
        ]
    } else {
        &[("list", "get", "list"), ("create", "post", "create"), ("deletecollection", "delete", "delete")]
    };
    for (verb, method, word) in wanted.iter().filter(|(verb, ..)| info.has_verb(verb)) {
        let collection = if *verb == "deletecollection" { "Collection" } else { "" };
        let (parameters, body, answer): (&[Parameter], _, _) = match *verb {
            "list" => (&LIST, None, schemas.of_kind(&list_kind(resource))),
            "create" | "update" => (&WRITE, own.clone(), own.clone()),
            "patch" => (&PATCH, patch_body(schemas), own.clone()),
            "delete" | "deletecollection" => {
                let options = schemas.of_kind(&Gvk::new("", "v1", "DeleteOptions"));
                (&DELETE, options, schemas.of_kind(&Gvk::new("", "v1", "Status")))
            }
            _ => (&[], None, own.clone()),
        };
        let id = format!("{word}{part}{collection}{scope}{kind}");
        let operation = Operation { verb, action: action(verb), id, gvk: &gvk, parameters, body, answer };
        all.insert(method, operation_value(operation, &part));
    }
    all
}

/// What upstream calls a verb in OpenAPI.
fn action(verb: &str) -> &str {
    match verb {
        "create" => "post",
        "update" => "put",
        other => other,
    }
}

fn list_everywhere(resource: &Resource, schemas: &mut Schemas<'_>) -> Object {
    let part = id_part(resource);
    let gvk = resource.info.gvk();
    let operation = Operation {
        verb: "list",
        action: "list",
        id: format!("list{part}{}ForAllNamespaces", resource.info.kind),
        gvk: &gvk,
        parameters: &LIST,
        body: None,
        answer: schemas.of_kind(&list_kind(resource)),
    };
    let mut all = Object::new();
    all.insert("get", operation_value(operation, &part));
    all
}

fn sub_operations(
    resource: &Resource,
    subresource: &kinds::Subresource,
    schemas: &mut Schemas<'_>,
    scope: &str,
) -> Object {
    let part = id_part(resource);
    let gvk = &subresource.kind;
    // What connects takes its options from the query and answers with anything.
    let connects = gvk.kind.ends_with("Options");
    let own = if connects { Some(value!({ "type": "string" })) } else { schemas.of_kind(gvk) };
    let mut all = Object::new();
    for verb in &subresource.verbs {
        let (method, word, parameters, body): (&str, &str, &[Parameter], _) = match verb.as_str() {
            "get" => ("get", "read", &[], None),
            "create" => ("post", "create", &WRITE, own.clone()),
            "update" => ("put", "replace", &WRITE, own.clone()),
            "patch" => ("patch", "patch", &PATCH, patch_body(schemas)),
            "delete" => ("delete", "delete", &[], None),
            _ => continue,
        };
        let name = capital(&subresource.name);
        let (word, action, parameters, body) = match connects {
            true => (format!("connect{}", capital(method)), "connect", &[] as &[Parameter], None),
            false => (word.to_owned(), action(verb), parameters, body),
        };
        let id = format!("{word}{part}{scope}{}{name}", resource.info.kind);
        let operation = Operation { verb, action, id, gvk, parameters, body, answer: own.clone() };
        all.insert(method, operation_value(operation, &part));
    }
    all
}

fn patch_body(schemas: &mut Schemas<'_>) -> Option<Value> {
    Some(schemas.reference("io.k8s.apimachinery.pkg.apis.meta.v1.Patch"))
}

fn content(types: &[&str], schema: &Value) -> Value {
    types.iter().map(|t| (*t, value!({ "schema": (schema.clone()) }))).collect()
}

fn operation_value(operation: Operation<'_>, tag: &str) -> Value {
    let Operation { verb, action, id, gvk, parameters, body, answer } = operation;
    let mut tag = tag.to_owned();
    if let Some(first) = tag.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    let mut members = Object::new();
    members.insert("operationId", id);
    members.insert("tags", strings([tag]));
    let parameters: Vec<Value> = parameters
        .iter()
        .map(|(name, kind)| {
            value!({ "name": (*name), "in": "query", "schema": { "type": (*kind), "uniqueItems": true } })
        })
        .collect();
    if !parameters.is_empty() {
        members.insert("parameters", parameters);
    }
    if let Some(body) = body {
        let types: &[&str] = if verb == "patch" { &PATCHES } else { &["*/*"] };
        members.insert("requestBody", value!({ "content": (content(types, &body)) }));
    }
    let mut answers = Object::new();
    let mut ok = Object::new();
    ok.insert("description", "OK");
    if let Some(answer) = answer {
        ok.insert("content", content(&ANSWERS, &answer));
    }
    answers.insert("200", ok);
    answers.insert("401", value!({ "description": "Unauthorized" }));
    members.insert("responses", answers);
    members.insert("x-kubernetes-action", action);
    members.insert("x-kubernetes-group-version-kind", gvk_value(gvk));
    members.into()
}

/// Brings a path's operations into the form of v2: types beside names, bodies as parameters, one schema per answer.
fn to_v2(path: &mut Value) {
    let Some(members) = path.as_object_mut() else { return };
    for (key, value) in members.iter_mut() {
        if key == "parameters" {
            flatten_parameters(value);
            continue;
        }
        let Some(operation) = value.as_object_mut() else { continue };
        let mut parameters = operation.remove("parameters").unwrap_or_else(|| Vec::new().into());
        flatten_parameters(&mut parameters);
        let mut consumes = vec!["*/*".to_owned()];
        if let Some(body) = operation.remove("requestBody")
            && let Some(content) = body.get("content").and_then(Value::as_object)
        {
            consumes = content.keys().map(str::to_owned).collect();
            let schema = content.values().next().and_then(|c| c.get("schema")).cloned().unwrap_or_default();
            let parameter = value!({ "name": "body", "in": "body", "required": true, "schema": (schema) });
            if let Some(list) = parameters.as_array_mut() {
                list.push(parameter);
            }
        }
        operation.insert("consumes", strings(consumes));
        operation.insert("produces", strings(ANSWERS));
        operation.insert("parameters", parameters);
        if let Some(answers) = operation.get_mut("responses").and_then(Value::as_object_mut) {
            for (_, answer) in answers.iter_mut() {
                let content = answer.as_object_mut().and_then(|a| a.remove("content"));
                let schema = content
                    .as_ref()
                    .and_then(Value::as_object)
                    .and_then(|c| c.values().next())
                    .and_then(|c| c.get("schema"))
                    .cloned();
                if let Some(schema) = schema {
                    answer.set_at(&["schema"], schema);
                }
            }
        }
    }
}

fn flatten_parameters(parameters: &mut Value) {
    for parameter in parameters.as_array_mut().into_iter().flatten() {
        let schema = parameter.as_object_mut().and_then(|p| p.remove("schema"));
        for (key, value) in schema.as_ref().and_then(Value::as_object).into_iter().flatten() {
            parameter.set_at(&[key], value.clone());
        }
    }
}
