//! OpenAPI: v3 by group version with hashes, v2 as one document, both made from the tables of kinds.
//!
//! Documents are built when they are asked for and not kept: a client keeps them by their hash, and the tree of the
//! largest is many times the server's idle memory. The types are materialised in a registry of their own for the same
//! reason. What is published: types, requirements, lists and their keys, patch strategies, enums, descriptions, paths with
//! their operations and query parameters. v2 is also answered in protobuf. Not published: examples, and protobuf forms of v3.

mod custom;
mod descriptions;
mod gnostic;
mod meta;
mod paths;
mod schema;

use std::collections::BTreeMap;
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
}

/// The media type of v2 in protobuf. The answer has this one however it was asked for.
const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// The same as older clients write it, kubectl among them; `@` may not stand in a media type.
const V2_PROTOBUF_OLD: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
/// What v2 is offered in, best first.
const V2_OFFERED: [&str; 3] = [negotiate::JSON, V2_PROTOBUF_OLD, V2_PROTOBUF];

impl OpenApi {
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
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
        context.finish().as_ref().iter().map(|b| format!("{b:02X}")).collect()
    }

    fn root(&self) -> Value {
        let mut paths = Object::new();
        for (path, resources) in self.group_versions() {
            let hash = Self::hash(&path, &resources);
            paths.insert(&path, value!({ "serverRelativeURL": (format!("/openapi/v3/{path}?hash={hash}")) }));
        }
        for endpoint in meta::endpoints(&self.registry.served()) {
            let path = &endpoint.document;
            let hash = Self::hash(path, &[]);
            paths.insert(path, value!({ "serverRelativeURL": (format!("/openapi/v3/{path}?hash={hash}")) }));
        }
        value!({ "paths": (paths) })
    }

    fn v3(&self, path: &str) -> Option<(Value, String)> {
        let endpoint = meta::endpoints(&self.registry.served()).into_iter().find(|e| e.document == path);
        let resources = match &endpoint {
            Some(_) => Vec::new(),
            None => self.group_versions().remove(path)?,
        };
        let hash = Self::hash(path, &resources);
        let kinds = kinds::Registry::builtin();
        let descriptions = Descriptions::load();
        let mut schemas = Schemas::new(&kinds, &descriptions, Flavor::V3, &resources);
        let paths = match &endpoint {
            Some(endpoint) => [endpoint.render(&mut schemas)].into_iter().collect(),
            None => paths::render(&resources, &[], &mut schemas),
        };
        let components = value!({
            "schemas": (schemas.finish()),
            "securitySchemes": {
                "BearerToken": {
                    "type": "apiKey",
                    "description": "Bearer Token authentication",
                    "name": "authorization",
                    "in": "header",
                },
            },
        });
        let document = value!({
            "openapi": "3.0.0",
            "info": { "title": "Kubernetes", "version": (GIT_VERSION) },
            "paths": (paths),
            "components": (components),
        });
        Some((document, hash))
    }

    /// The document of all these resources, and its hash.
    fn v2(served: &[Arc<Resource>]) -> (Value, String) {
        let hash = Self::hash("v2", served);
        let kinds = kinds::Registry::builtin();
        let descriptions = Descriptions::load();
        let mut schemas = Schemas::new(&kinds, &descriptions, Flavor::V2, served);
        let paths = paths::render(served, &meta::endpoints(served), &mut schemas);
        let document = value!({
            "swagger": "2.0",
            "info": { "title": "Kubernetes", "version": (GIT_VERSION) },
            "paths": (paths),
            "definitions": (schemas.finish()),
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

/// Answers a path below `/openapi/`.
pub(crate) fn answer(server: &Arc<ApiServer>, call: &Call, path: &str) -> Response {
    let openapi = server.openapi();
    match path {
        "/openapi/v3" => response::json(StatusCode::OK, openapi.root().to_json()),
        "/openapi/v2" => v2(openapi, call),
        _ => match path.strip_prefix("/openapi/v3/") {
            Some(rest) => match openapi.v3(rest) {
                // An address with another hash is that of an older document.
                Some((_, hash)) if !["", &hash].contains(&call.query.text("hash")) => moved(rest, &hash),
                Some((value, hash)) => document(call, negotiate::JSON, value.to_json(), &hash),
                None => not_found(),
            },
            None => not_found(),
        },
    }
}

fn not_found() -> Response {
    response::text(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// The document of v2 in what the client likes best.
fn v2(openapi: &OpenApi, call: &Call) -> Response {
    let Some(media_type) = negotiate::choose(call.accept(), &V2_OFFERED) else {
        return response::failure(&apimachinery::Status::not_acceptable_types(&V2_OFFERED));
    };
    let (value, hash) = OpenApi::v2(&openapi.registry.served());
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
    if call.query.text("hash") == hash {
        // What has the hash in its address never changes.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
    }
    response
}
