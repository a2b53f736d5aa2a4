//! OpenAPI: v3 by group version with hashes, v2 as one document, both made from the tables of kinds.
//!
//! Documents are built when they are asked for and not kept: a client keeps them by their hash, and the tree of the
//! largest is many times the server's idle memory. The types are materialised in a registry of their own for the same
//! reason. What is published: types, requirements, lists and their keys, patch strategies, enums, descriptions, paths with
//! their operations and query parameters. All documents are also answered in protobuf. Not published: examples.

mod custom;
mod descriptions;
mod gnostic;
mod meta;
mod operation;
mod parameters;
mod paths;
mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use apimachinery::{Object, Value};
use http::{HeaderValue, StatusCode, header};

use crate::config::GIT_VERSION;
use crate::negotiate;
use crate::registry::{Registry, Resource};
use crate::response::{self, Response};
use crate::server::{ApiServer, Call};
use crate::value;
use descriptions::Descriptions;
use schema::{Flavor, Schemas};

/// Where the documents come from.
#[derive(Debug)]
pub struct OpenApi {
    registry: Arc<Registry>,
    /// Whether the host's logs are served.
    logs: bool,
}

/// The media type of v2 in protobuf. The answer has this one however it was asked for.
const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// The same as older clients write it, kubectl among them; `@` may not stand in a media type.
const V2_PROTOBUF_OLD: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
/// What v2 is offered in, best first.
const V2_OFFERED: [&str; 3] = [negotiate::JSON, V2_PROTOBUF_OLD, V2_PROTOBUF];

const V3_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf";
const V3_PROTOBUF_OLD: &str = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";
/// What v3 is offered in, best first.
const V3_OFFERED: [&str; 3] = [negotiate::JSON, V3_PROTOBUF_OLD, V3_PROTOBUF];
/// How long a document of v3 may be kept, as upstream.
const YEAR: jiff::SignedDuration = jiff::SignedDuration::from_hours(365 * 24);
const HTTP_DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";

impl OpenApi {
    pub(crate) fn new(registry: Arc<Registry>, logs: bool) -> Self {
        Self { registry, logs }
    }

    /// Group versions with their served resources, by path: `api/v1`, `apis/apps/v1`.
    fn group_versions(&self) -> BTreeMap<String, Vec<Arc<Resource>>> {
        let mut all: BTreeMap<String, Vec<Arc<Resource>>> = BTreeMap::new();
        for resource in &self.registry.served() {
            all.entry(root_of(resource)).or_default().push(Arc::clone(resource));
        }
        all
    }

    /// The hash of a group version's document: of everything that it is made from.
    fn hash(path: &str, resources: &[Arc<Resource>]) -> String {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        for part in [GIT_VERSION, env!("CARGO_PKG_VERSION"), path] {
            context.update(part.as_bytes());
        }
        context.update(descriptions::digest());
        for resource in resources {
            context.update(resource.plural().as_bytes());
            context.update(resource.info.verbs.join(",").as_bytes());
            context.update(resource.form.as_bytes());
        }
        hex(context.finish().as_ref())
    }

    fn root(&self) -> Value {
        let mut paths = Object::new();
        for (path, resources) in self.group_versions() {
            let hash = Self::hash(&path, &resources);
            paths.insert(&path, value!({ "serverRelativeURL": (format!("/openapi/v3/{path}?hash={hash}")) }));
        }
        let endpoints = meta::endpoints(&self.registry.served(), self.logs);
        let documents: BTreeSet<&String> = endpoints.iter().map(|e| &e.document).collect();
        for path in documents {
            let hash = Self::hash(path, &[]);
            paths.insert(path, value!({ "serverRelativeURL": (format!("/openapi/v3/{path}?hash={hash}")) }));
        }
        value!({ "paths": (paths) })
    }

    fn v3(&self, path: &str) -> Option<(Value, String)> {
        let mut besides = meta::endpoints(&self.registry.served(), self.logs);
        besides.retain(|endpoint| endpoint.document == path);
        let resources = match besides.is_empty() {
            false => Vec::new(),
            true => self.group_versions().remove(path)?,
        };
        let hash = Self::hash(path, &resources);
        let kinds = kinds::Registry::builtin();
        let descriptions = Descriptions::load();
        let mut schemas = Schemas::new(&kinds, &descriptions, Flavor::V3, &resources);
        let (paths, _) = paths::render(&resources, &besides, &mut schemas);
        let mut components = value!({
            "securitySchemes": {
                "BearerToken": {
                    "type": "apiKey",
                    "description": "Bearer Token authentication",
                    "name": "authorization",
                    "in": "header",
                },
            },
        });
        let schemas = schemas.finish();
        if schemas.as_object().is_some_and(|s| !s.is_empty()) {
            components.set_at(&["schemas"], schemas);
        }
        let document = value!({
            "openapi": "3.0.0",
            "info": { "title": "Kubernetes", "version": (GIT_VERSION) },
            "paths": (paths),
            "components": (components),
        });
        Some((document, hash))
    }

    /// The document of all these resources, and its hash.
    fn v2(served: &[Arc<Resource>], logs: bool) -> (Value, String) {
        let hash = Self::hash("v2", served);
        let kinds = kinds::Registry::builtin();
        let descriptions = Descriptions::load();
        let mut schemas = Schemas::new(&kinds, &descriptions, Flavor::V2, served);
        let (paths, parameters) = paths::render(served, &meta::endpoints(served, logs), &mut schemas);
        let document = value!({
            "swagger": "2.0",
            "info": { "title": "Kubernetes", "version": (GIT_VERSION) },
            "paths": (paths),
            "definitions": (schemas.finish()),
            "parameters": (parameters),
            "securityDefinitions": {
                "BearerToken": {
                    "description": "Bearer Token authentication",
                    "type": "apiKey",
                    "name": "authorization",
                    "in": "header",
                },
            },
            "security": [{ "BearerToken": [] }],
        });
        (document, hash)
    }
}

/// `api/v1`, `apis/apps/v1`.
fn root_of(resource: &Resource) -> String {
    match resource.group() {
        "" => format!("api/{}", resource.info.version),
        group => format!("apis/{group}/{}", resource.info.version),
    }
}

/// `core_v1`, `rbacAuthorization_v1`: what operations of a group version are filed under. A group alone has no version.
fn tag_of(group: &str, version: &str) -> String {
    let mut tag = paths::group_part(group);
    if let Some(first) = tag.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    if version.is_empty() { tag } else { format!("{tag}_{version}") }
}

/// Answers a path below `/openapi/`.
pub(crate) fn answer(server: &Arc<ApiServer>, call: &Call, path: &str) -> Response {
    let openapi = server.openapi();
    match path {
        "/openapi/v3" => root(openapi, call),
        "/openapi/v2" => v2(openapi, call),
        _ => match path.strip_prefix("/openapi/v3/") {
            Some(rest) => match openapi.v3(rest) {
                // An address with another hash is that of an older document.
                Some((_, hash)) if !["", &hash].contains(&call.query.text("hash")) => moved(rest, &hash),
                Some((value, hash)) => v3(server, call, &value, &hash),
                None => not_found(),
            },
            None => not_found(),
        },
    }
}

/// The list of documents; its hash changes with any of theirs.
fn root(openapi: &OpenApi, call: &Call) -> Response {
    let body = openapi.root().to_json();
    let hash = hex(ring::digest::digest(&ring::digest::SHA256, &body).as_ref());
    document(call, negotiate::JSON, body, &hash)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02X}")).collect()
}

/// A document of v3. What has the hash in its address never changes, and may be kept for a year.
fn v3(server: &ApiServer, call: &Call, value: &Value, hash: &str) -> Response {
    let Some(media_type) = negotiate::choose(call.accept(), &V3_OFFERED) else {
        return response::failure(&apimachinery::Status::not_acceptable_types(&V3_OFFERED));
    };
    let mut response = if media_type == negotiate::JSON {
        document(call, negotiate::JSON, value.to_json(), hash)
    } else {
        document(call, V3_PROTOBUF, gnostic::encode_v3(value), hash)
    };
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept"));
    if call.query.text("hash") == hash {
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
        let expires = server.env().clock.now().checked_add(YEAR).map(|at| at.strftime(HTTP_DATE).to_string());
        if let Some(expires) = expires.ok().and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(header::EXPIRES, expires);
        }
    }
    response
}

fn not_found() -> Response {
    response::text(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// The document of v2 in what the client likes best.
fn v2(openapi: &OpenApi, call: &Call) -> Response {
    let Some(media_type) = negotiate::choose(call.accept(), &V2_OFFERED) else {
        return response::failure(&apimachinery::Status::not_acceptable_types(&V2_OFFERED));
    };
    let (value, hash) = OpenApi::v2(&openapi.registry.served(), openapi.logs);
    let mut response = if media_type == negotiate::JSON {
        document(call, negotiate::JSON, value.to_json(), &hash)
    } else {
        document(call, V2_PROTOBUF, gnostic::encode(&value), &hash)
    };
    // One address and one hash for both forms: caches must tell them apart.
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept"));
    response
}

/// Whether the client has the document of that hash.
fn is_known(call: &Call, hash: &str) -> bool {
    let wanted = |tag: &str| {
        let tag = tag.trim();
        tag == "*" || tag.trim_start_matches("W/").trim_matches('"') == hash
    };
    call.header(header::IF_NONE_MATCH).is_some_and(|tags| tags.split(',').any(wanted))
}

/// Sends on to the address with the newest hash.
fn moved(path: &str, hash: &str) -> Response {
    let mut response = response::text(StatusCode::MOVED_PERMANENTLY, "");
    if let Ok(place) = HeaderValue::from_str(&format!("/openapi/v3/{path}?hash={hash}")) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}

fn document(call: &Call, media_type: &'static str, body: Vec<u8>, hash: &str) -> Response {
    let mut response = if is_known(call, hash) {
        response::with_body(StatusCode::NOT_MODIFIED, media_type, "")
    } else {
        crate::handlers::render::finish(call, StatusCode::OK, negotiate::Encoding::Json, body)
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{hash}\"")) {
        headers.insert(header::ETAG, etag);
    }
    response
}
