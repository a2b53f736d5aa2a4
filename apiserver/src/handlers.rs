//! From an authorized request to its answer. This file decides which handler answers; the verbs are in the files below.

pub(crate) mod access;
pub mod body;
pub(crate) mod component_status;
pub(crate) mod connect;
pub(crate) mod delete;
pub(crate) mod listing;
pub(crate) mod logs;
pub(crate) mod proxy;
pub(crate) mod read;
pub(crate) mod render;
pub(crate) mod write;

use std::sync::Arc;

use apimachinery::Status;
use http::{Method, StatusCode};

use crate::health::Endpoint;
use crate::negotiate;
use crate::registry::Resource;
use crate::response::{self, Body, Response, method_not_allowed, no_such_resource};
use crate::server::{ApiServer, Call};

/// What a proxy passes on. Discovery has no verb for some of these.
const PROXIED: [Method; 7] =
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD, Method::OPTIONS];

/// The router's text for paths that no API group owns.
const PAGE_NOT_FOUND: &str = "404 page not found\n";

/// Answers a request for a resource.
pub(crate) async fn resource(server: &Arc<ApiServer>, mut call: Call, body: Body) -> Response {
    let registry = server.registry();
    let found = registry.find(&call.info.group, &call.info.version, &call.info.resource);
    if found.is_none() && !registry.has_builtin_group(&call.info.group) {
        // Nobody has the group, or only definitions have it, for which upstream has no router.
        return response::text(StatusCode::NOT_FOUND, PAGE_NOT_FOUND);
    }
    let outcome = match found {
        None => Err(no_such_resource()),
        Some(resource) => match check_route(&resource, &mut call) {
            Err(status) => Err(status),
            Ok(()) => {
                if let Some(definition) = resource.definition() {
                    call.custom = true;
                    call.warnings.extend(definition.deprecation.clone());
                }
                if call.info.group.is_empty() {
                    call.warnings.extend(deprecation(&call.info.resource).map(str::to_owned));
                }
                dispatch(server, &resource, &mut call, body).await
            }
        },
    };
    let mut response = match outcome {
        Ok(response) => response,
        Err(status) => render::refusal(server, &call, &status),
    };
    response::add_warnings(&mut response, &call.warnings);
    response
}

/// The warning that every request for a deprecated API of the core group gets.
fn deprecation(resource: &str) -> Option<&'static str> {
    match resource {
        "endpoints" => Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
        "componentstatuses" => Some("v1 ComponentStatus is deprecated in v1.19+"),
        _ => None,
    }
}

/// Refuses paths and methods that the resource does not have.
fn check_route(resource: &Resource, call: &mut Call) -> Result<(), Status> {
    let info = &mut call.info;
    // A namespace is not in itself; its name is in the same place of the path as that of what is in it.
    if (resource.group(), resource.plural()) == ("", "namespaces") {
        info.namespace.clear();
    }
    if info.overlong || (!resource.info.namespaced && !info.namespace.is_empty()) {
        return Err(no_such_resource());
    }
    let verbs = if info.subresource.is_empty() {
        &resource.info.verbs
    } else {
        let found = resource.info.subresource(&info.subresource).ok_or_else(no_such_resource)?;
        &found.verbs
    };
    let item = !info.name.is_empty() && !info.name_from_selector;
    let needs_item = matches!(info.verb.as_str(), "get" | "update" | "patch" | "delete");
    let needs_collection = matches!(info.verb.as_str(), "create" | "deletecollection" | "list");
    let proxied = info.subresource == "proxy" && PROXIED.contains(&call.parts.method);
    let misplaced = (needs_item && !item)
        || (needs_collection && item && info.subresource.is_empty())
        || (call.parts.method == Method::HEAD && !proxied);
    let across_namespaces = resource.info.namespaced && info.namespace.is_empty();
    let across = across_namespaces && !matches!(info.verb.as_str(), "list" | "watch");
    if across && item {
        return Err(no_such_resource());
    }
    if info.verb == "create" && resource.definition().is_some_and(|d| d.terminating) {
        let message = "create not allowed while custom resource definition is terminating";
        return Err(Status { message: message.into(), ..method_not_allowed() });
    }
    // The deprecated paths that watch say so whatever the method; only GET does it.
    let written_watch = info.verb == "watch" && call.parts.method != Method::GET;
    if misplaced || across || written_watch || !(proxied || verbs.contains(&info.verb)) {
        return Err(method_not_allowed());
    }
    let problems = apimachinery::names::path_segment_name(&info.name);
    if item && !problems.is_empty() {
        let why: Vec<&str> = problems.iter().map(AsRef::as_ref).collect();
        let name = apimachinery::go::quote(&info.name);
        return Err(response::bad_request(format!("Name parameter invalid: {name}: {}", why.join(";"))));
    }
    Ok(())
}

async fn dispatch(
    server: &Arc<ApiServer>,
    resource: &Arc<Resource>,
    call: &mut Call,
    body: Body,
) -> Result<Response, Status> {
    let id = (resource.group(), resource.plural(), call.info.subresource.as_str());
    if let ("", "pods" | "services" | "nodes", "exec" | "attach" | "portforward" | "proxy" | "log") = id {
        return connect::connect(server, call, body).await;
    }
    if call.info.verb == "create"
        && let Some(special) = server.registry().special(id.0, id.1, id.2)
    {
        return write::special(server, resource, call, body, special).await;
    }
    if id == ("", "componentstatuses", "") {
        return component_status::answer(server, resource, call).await;
    }
    if resource.info.stored.is_none() {
        return Err(method_not_allowed());
    }
    match (call.info.verb.as_str(), id.2) {
        ("get", "scale") => write::get_scale(server, resource, call).await,
        ("get", _) => read::get(server, resource, call).await,
        ("list", _) => read::list(server, resource, call).await,
        ("watch", _) => crate::watch::watch(server, resource, call).await,
        ("create", "") => write::create(server, resource, call, body).await,
        ("update", _) => write::update(server, resource, call, body).await,
        ("patch", _) => write::patch(server, resource, call, body).await,
        ("delete", "") => delete::delete(server, resource, call, body).await,
        ("deletecollection", "") => delete::delete_collection(server, resource, call, body).await,
        _ => Err(method_not_allowed()),
    }
}

/// Answers everything that is no resource: health, version, discovery, OpenAPI, metrics, the host's logs.
pub(crate) async fn non_resource(server: &Arc<ApiServer>, call: &Call) -> Response {
    let path = call.info.path.trim_end_matches('/');
    for (prefix, endpoint) in
        [("/livez", Endpoint::Livez), ("/readyz", Endpoint::Readyz), ("/healthz", Endpoint::Healthz)]
    {
        if let Some(rest) = path.strip_prefix(prefix)
            && (rest.is_empty() || rest.starts_with('/'))
        {
            return server.health().answer(endpoint, rest, &call.query);
        }
    }
    let document = server.plugins().documents.get(path);
    let logs = path.strip_prefix("/logs").filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let logs = logs.zip(server.config().log_dir.as_deref());
    let known = ["", "/version", "/metrics", "/api", "/apis"].contains(&path)
        || document.is_some()
        || logs.is_some()
        || path.starts_with("/api/")
        || path.starts_with("/apis/")
        || path.starts_with("/openapi/");
    if !known {
        return response::text(StatusCode::NOT_FOUND, PAGE_NOT_FOUND);
    }
    if call.method() != Method::GET {
        return response::failure(&method_not_allowed());
    }
    if let Some(document) = document {
        return response::with_body(StatusCode::OK, document.content_type, (document.body)());
    }
    if let Some((rest, folder)) = logs {
        return logs::answer(&server.env().disk, folder, rest).await;
    }
    match path {
        "" => response::json(StatusCode::OK, root_paths(server)),
        "/version" => response::json(StatusCode::OK, crate::discovery::version_json()),
        "/metrics" => response::with_body(
            StatusCode::OK,
            component::metrics::CONTENT_TYPE,
            server.metrics().registry.render(),
        ),
        _ if path.starts_with("/openapi/") => crate::openapi::answer(server, call, path),
        _ => crate::discovery::answer(server, call, path),
    }
}

fn root_paths(server: &Arc<ApiServer>) -> Vec<u8> {
    let mut paths = vec!["/api".to_owned(), "/api/v1".into(), "/apis".into()];
    for resource in server.registry().served().iter().filter(|r| !r.info.group.is_empty()) {
        paths.push(format!("/apis/{}", resource.info.group));
        paths.push(format!("/apis/{}", resource.info.api_version()));
    }
    paths.extend(server.config().log_dir.iter().map(|_| "/logs".to_owned()));
    paths.extend(
        ["/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]
            .map(str::to_owned),
    );
    paths.sort();
    paths.dedup();
    serde_json::to_vec_pretty(&serde_json::json!({ "paths": paths })).expect("a list of strings")
}

/// The form of answer that the request asks for.
pub(crate) fn output(call: &Call, scope: negotiate::Scope) -> Result<negotiate::Output, Status> {
    let accept = call.accept();
    let json_only = accept.filter(|_| call.custom).map(negotiate::without_protobuf).transpose()?;
    let mut output = negotiate::output(json_only.as_deref().or(accept), scope)?;
    output.pretty |= negotiate::wants_pretty(&call.query, call.user_agent());
    Ok(output)
}
