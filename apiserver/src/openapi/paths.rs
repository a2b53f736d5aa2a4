//! The paths of a document: per resource its collection, its items, its subresources and the deprecated paths that watch,
//! with the operations that discovery lists.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::Value;
use kinds::{Gvk, Subresource};

use super::meta::Endpoint;
use super::operation::{self, Operation, Verb, path_item, with_article};
use super::parameters::Shared;
use super::schema::{META, Schemas, capital};
use crate::registry::Resource;

/// The methods of a connection that streams, and of one that passes on whatever comes.
const STREAM_METHODS: [&str; 2] = ["get", "post"];
const PROXY_METHODS: [&str; 7] = ["delete", "get", "head", "options", "patch", "post", "put"];

/// How upstream tells what to use instead of a deprecated path.
const WATCH_LIST_ABOUT: &str = "deprecated: use the 'watch' parameter with a list operation instead";
const WATCH_ABOUT: &str = ", filtered to a single item with the 'fieldSelector' parameter";

/// All paths of the resources, and what else is asked for; and what v2's operations refer to.
pub(super) fn render(
    resources: &[Arc<Resource>],
    besides: &[Endpoint],
    schemas: &mut Schemas<'_>,
) -> (Value, Value) {
    let mut shared = Shared::default();
    let mut paths: BTreeMap<String, Value> = BTreeMap::new();
    paths.extend(besides.iter().map(|endpoint| endpoint.render(schemas, &mut shared)));
    for resource in resources {
        let (path, discovery) = super::meta::resources_of(resource).render(schemas, &mut shared);
        paths.entry(path).or_insert(discovery);
        let tag = super::tag_of(resource.group(), &resource.info.version);
        for (path, kind, operations) in all_of(resource, schemas) {
            let item = path_item(&path, &kind, &tag, operations, schemas, &mut shared);
            paths.insert(path, item);
        }
    }
    (paths.into_iter().collect(), shared.into_value())
}

/// A path, the kind that its name names, and its operations.
type PathOf = (String, String, Vec<Operation>);

fn all_of(resource: &Resource, schemas: &mut Schemas<'_>) -> Vec<PathOf> {
    let info = &resource.info;
    let root = super::root_of(resource);
    let own = |path: String, operations| (path, info.kind.clone(), operations);
    let everywhere = format!("/{root}/{}", info.plural);
    let collection = match info.namespaced {
        true => format!("/{root}/namespaces/{{namespace}}/{}", info.plural),
        false => everywhere.clone(),
    };
    let item = format!("{collection}/{{name}}");
    let mut all = vec![
        own(collection, collection_operations(resource, schemas)),
        own(item.clone(), item_operations(resource, schemas)),
    ];
    if info.namespaced && info.has_verb("list") {
        all.push(own(everywhere, vec![list(resource, "ForAllNamespaces", schemas)]));
    }
    // Custom kinds came after these paths were deprecated.
    if info.has_verb("watch") && !info.custom {
        all.extend(
            watches(resource, schemas).into_iter().map(|(path, operation)| own(path, vec![operation])),
        );
    }
    for subresource in &info.subresources {
        let path = format!("{item}/{}", subresource.name);
        all.extend(sub_paths(resource, subresource, path, schemas));
    }
    all.retain(|(_, _, operations)| !operations.is_empty());
    all
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

fn scope(resource: &Resource) -> &'static str {
    if resource.info.namespaced { "Namespaced" } else { "" }
}

/// An operation with its id and description.
fn named(mut operation: Operation, id: String, about: String) -> Operation {
    operation.id = id;
    operation.about = about;
    operation
}

fn list(resource: &Resource, suffix: &str, schemas: &mut Schemas<'_>) -> Operation {
    let info = &resource.info;
    let of_list = Gvk { kind: info.list_kind.clone(), ..info.gvk() };
    let answer = schemas.of_kind(&of_list);
    let scope = if suffix.is_empty() { scope(resource) } else { "" };
    let or_watch = if info.has_verb("watch") { " or watch" } else { "" };
    named(
        Operation::new(&operation::LIST, info.gvk(), info.custom, (None, answer), schemas),
        format!("list{}{scope}{}{suffix}", id_part(resource), info.kind),
        format!("list{or_watch} objects of kind {}", info.kind),
    )
}

fn collection_operations(resource: &Resource, schemas: &mut Schemas<'_>) -> Vec<Operation> {
    let (info, part, scope) = (&resource.info, id_part(resource), scope(resource));
    let mut all = Vec::new();
    if info.has_verb("list") {
        all.push(list(resource, "", schemas));
    }
    if info.has_verb("create") {
        let own = schemas.of_kind(&info.gvk());
        all.push(named(
            Operation::new(&operation::CREATE, info.gvk(), info.custom, (own.clone(), own), schemas),
            format!("create{part}{scope}{}", info.kind),
            format!("create {}", with_article(&info.kind)),
        ));
    }
    if info.has_verb("deletecollection") {
        let status = schemas.reference(&format!("{META}.Status"));
        all.push(named(
            Operation::new(
                &operation::DELETE_COLLECTION,
                info.gvk(),
                info.custom,
                (None, Some(status)),
                schemas,
            ),
            format!("delete{part}Collection{scope}{}", info.kind),
            format!("delete collection of {}", info.kind),
        ));
    }
    all
}

fn item_operations(resource: &Resource, schemas: &mut Schemas<'_>) -> Vec<Operation> {
    let (info, part, scope) = (&resource.info, id_part(resource), scope(resource));
    let mut all = Vec::new();
    for name in ["get", "update", "patch", "delete"].into_iter().filter(|name| info.has_verb(name)) {
        let Some(verb) = operation::verb(name) else { continue };
        let own = schemas.of_kind(&info.gvk());
        let answer = match name {
            "delete" if !resource.traits.returns_deleted => {
                Some(schemas.reference(&format!("{META}.Status")))
            }
            _ => own.clone(),
        };
        all.push(named(
            Operation::new(verb, info.gvk(), info.custom, (own, answer), schemas),
            format!("{}{part}{scope}{}", verb.word, info.kind),
            about_item(verb, &info.kind, ""),
        ));
    }
    all
}

/// What a verb does to an object, or to a part of it.
fn about_item(verb: &Verb, kind: &str, part: &str) -> String {
    let part_of = if part.is_empty() { String::new() } else { format!("{part} of ") };
    match verb.method {
        "delete" | "post" => format!("{} {part_of}{}", verb.word, with_article(kind)),
        "patch" => format!("partially update {part_of}the specified {kind}"),
        _ => format!("{} {part_of}the specified {kind}", verb.word),
    }
}

/// The deprecated paths that watch without a parameter: collections and single objects.
fn watches(resource: &Resource, schemas: &mut Schemas<'_>) -> Vec<(String, Operation)> {
    let info = &resource.info;
    let (part, scope, root) = (id_part(resource), scope(resource), super::root_of(resource));
    let (plural, kind) = (&info.plural, &info.kind);
    let event = schemas.reference(&format!("{META}.WatchEvent"));
    let of = |verb: &'static Verb, id: String, about: String| {
        named(Operation::new(verb, info.gvk(), info.custom, (None, Some(event.clone())), schemas), id, about)
    };
    let about_list = format!("watch individual changes to a list of {kind}. {WATCH_LIST_ABOUT}.");
    let about = format!("watch changes to an object of kind {kind}. {WATCH_LIST_ABOUT}{WATCH_ABOUT}.");
    let everywhere = format!("/{root}/watch/{plural}");
    let mut all = Vec::new();
    let mut collection = everywhere.clone();
    if info.namespaced {
        let id = format!("watch{part}{kind}ListForAllNamespaces");
        all.push((everywhere, of(&operation::WATCH_LIST, id, about_list.clone())));
        collection = format!("/{root}/watch/namespaces/{{namespace}}/{plural}");
    }
    let one = of(&operation::WATCH, format!("watch{part}{scope}{kind}"), about);
    all.push((format!("{collection}/{{name}}"), one));
    let list = of(&operation::WATCH_LIST, format!("watch{part}{scope}{kind}List"), about_list);
    all.push((collection, list));
    all
}

fn sub_paths(
    resource: &Resource,
    subresource: &Subresource,
    path: String,
    schemas: &mut Schemas<'_>,
) -> Vec<PathOf> {
    let (part, scope, kind) = (id_part(resource), scope(resource), &resource.info.kind);
    let gvk = &subresource.kind;
    let name = capital(&subresource.name);
    let id = |word: &str| format!("{word}{part}{scope}{kind}{name}");
    if gvk.kind.ends_with("Options") {
        return connections(resource, subresource, &path, schemas);
    }
    if subresource.name == "log" {
        let about = about_item(&operation::GET, kind, &subresource.name);
        let read = named(Operation::log(gvk.clone(), schemas), id(operation::GET.word), about);
        return vec![(path, gvk.kind.clone(), vec![read])];
    }
    let own = schemas.of_kind(gvk);
    let verbs = subresource.verbs.iter().filter_map(|verb| operation::verb(verb));
    let operations = verbs.map(|verb| {
        let operation =
            Operation::new(verb, gvk.clone(), resource.info.custom, (own.clone(), own.clone()), schemas);
        named(operation, id(verb.word), about_item(verb, kind, &subresource.name))
    });
    let operations = operations.collect();
    vec![(path, gvk.kind.clone(), operations)]
}

/// The paths of a subresource that connects.
fn connections(
    resource: &Resource,
    subresource: &Subresource,
    path: &str,
    schemas: &Schemas<'_>,
) -> Vec<PathOf> {
    let (part, scope, kind) = (id_part(resource), scope(resource), &resource.info.kind);
    let gvk = &subresource.kind;
    let name = capital(&subresource.name);
    let (methods, suffixes): (&[&'static str], &[(&str, &str)]) = match subresource.name.as_str() {
        "proxy" => (&PROXY_METHODS, &[("", ""), ("/{path}", "WithPath")]),
        _ => (&STREAM_METHODS, &[("", "")]),
    };
    let of = |suffix: &str| {
        let operations = methods.iter().map(|method| {
            let about =
                format!("connect {} requests to {} of {kind}", method.to_ascii_uppercase(), subresource.name);
            let id = format!("connect{part}{}{scope}{kind}{name}{suffix}", capital(method));
            named(Operation::connect(method, gvk.clone(), schemas), id, about)
        });
        operations.collect()
    };
    suffixes.iter().map(|(tail, suffix)| (format!("{path}{tail}"), gvk.kind.clone(), of(suffix))).collect()
}
