//! Discovery: `/api`, `/apis` and below, plain and aggregated, and `/version`.
//!
//! The documents are made from the served resources on first use, and anew when custom ones change. Aggregated API servers
//! are not in them yet.

use std::sync::{Arc, OnceLock};

use apimachinery::{Object, Value};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use kinds::{Gvk, ResourceInfo, Subresource};

use crate::config::{Config, GIT_VERSION};
use crate::negotiate::{self, Scope};
use crate::registry::Registry;
use crate::registry::custom::CustomKinds;
use crate::response::{self, Response, no_such_resource};
use crate::server::{ApiServer, Call};
use crate::value;
use crate::values::strings;

/// The media type of aggregated discovery, as `Accept` asks for it and `Content-Type` repeats it.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// The documents of one server.
#[derive(Debug)]
pub struct Discovery {
    advertise_address: String,
    /// Groups in upstream's order with the versions that are served, each with its resources.
    groups: Vec<Group>,
    aggregated: [OnceLock<Aggregated>; 2],
    /// The number of the custom kinds' snapshot.
    number: u64,
}

#[derive(Debug)]
struct Group {
    name: String,
    versions: Vec<Version>,
}

#[derive(Debug)]
struct Version {
    version: String,
    resources: Vec<Arc<ResourceInfo>>,
}

#[derive(Clone, Debug)]
struct Aggregated {
    body: Bytes,
    etag: HeaderValue,
}

impl Discovery {
    pub(crate) fn new(config: &Config, registry: &Registry, custom: &CustomKinds) -> Self {
        let served = registry.served();
        let mut names: Vec<(&str, Vec<&str>)> = registry
            .kinds()
            .groups()
            .iter()
            .map(|g| (g.name.as_str(), g.versions.iter().map(|v| v.version.as_str()).collect()))
            .collect();
        // Custom groups come last: upstream gives them the lowest priority.
        for (group, versions) in custom.groups() {
            match names.iter_mut().find(|(name, _)| *name == group) {
                Some((_, own)) => versions.into_iter().for_each(|v| {
                    if !own.contains(&v) {
                        own.push(v);
                    }
                }),
                None => names.push((group, versions)),
            }
        }
        let groups = names.into_iter().filter_map(|(name, versions)| {
            let versions: Vec<Version> = versions
                .into_iter()
                .filter_map(|version| {
                    let mut resources: Vec<_> = served
                        .iter()
                        .filter(|r| r.info.group == name && r.info.version == version)
                        .map(|r| Arc::clone(&r.info))
                        .collect();
                    resources.sort_by(|a, b| a.plural.cmp(&b.plural));
                    (!resources.is_empty()).then(|| Version { version: version.to_owned(), resources })
                })
                .collect();
            (!versions.is_empty()).then(|| Group { name: name.to_owned(), versions })
        });
        Self {
            advertise_address: config.advertise_address.clone(),
            groups: groups.collect(),
            aggregated: [OnceLock::new(), OnceLock::new()],
            number: custom.number,
        }
    }

    /// Of which snapshot of the custom kinds this tells.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    fn named(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(|g| !g.name.is_empty())
    }

    fn versions(&self) -> Value {
        value!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [
                { "clientCIDR": "0.0.0.0/0", "serverAddress": (self.advertise_address.as_str()) },
            ],
        })
    }

    fn group_list(&self) -> Value {
        let groups: Vec<Value> = self.named().map(|g| group(g, Object::new())).collect();
        value!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": (groups) })
    }

    fn group(&self, name: &str) -> Option<Value> {
        let found = self.named().find(|g| g.name == name)?;
        let mut members = Object::new();
        members.insert("kind", "APIGroup");
        members.insert("apiVersion", "v1");
        Some(group(found, members))
    }

    fn resource_list(&self, name: &str, version: &str) -> Option<Value> {
        let group = self.groups.iter().find(|g| g.name == name)?;
        let found = group.versions.iter().find(|v| v.version == version)?;
        let mut list = Object::new();
        list.insert("kind", "APIResourceList");
        // The legacy group's list has no apiVersion, for clients older than it.
        if !name.is_empty() {
            list.insert("apiVersion", "v1");
        }
        list.insert("groupVersion", kinds::registry::api_version(name, version));
        let resources: Vec<Value> = found
            .resources
            .iter()
            .flat_map(|r| {
                std::iter::once(resource(r)).chain(r.subresources.iter().map(|s| subresource(r, s)))
            })
            .collect();
        list.insert("resources", resources);
        Some(list.into())
    }

    fn aggregated(&self, legacy: bool) -> &Aggregated {
        self.aggregated[usize::from(legacy)].get_or_init(|| {
            let groups = self.groups.iter().filter(|g| g.name.is_empty() == legacy);
            let items: Vec<Value> = groups.map(aggregated_group).collect();
            let list = value!({
                "kind": "APIGroupDiscoveryList",
                "apiVersion": "apidiscovery.k8s.io/v2",
                "metadata": {},
                "items": (items),
            });
            let mut body = list.to_json();
            let digest = ring::digest::digest(&ring::digest::SHA512, &body);
            let hex: String = digest.as_ref().iter().map(|b| format!("{b:02X}")).collect();
            body.push(b'\n');
            let etag = HeaderValue::from_str(&format!("\"{hex}\"")).expect("hexadecimal is a header value");
            Aggregated { body: body.into(), etag }
        })
    }
}

fn group_version(group: &str, version: &str) -> Value {
    value!({ "groupVersion": (kinds::registry::api_version(group, version)), "version": (version) })
}

fn group(found: &Group, mut members: Object) -> Value {
    members.insert("name", found.name.as_str());
    let versions: Vec<Value> =
        found.versions.iter().map(|v| group_version(&found.name, &v.version)).collect();
    let preferred = versions.first().cloned().unwrap_or_default();
    members.insert("versions", versions);
    members.insert("preferredVersion", preferred);
    members.into()
}

fn resource(info: &ResourceInfo) -> Value {
    let mut members = Object::new();
    members.insert("name", info.plural.as_str());
    members.insert("singularName", info.singular.as_str());
    members.insert("namespaced", info.namespaced);
    members.insert("kind", info.kind.as_str());
    members.insert("verbs", strings(&info.verbs));
    if !info.short_names.is_empty() {
        members.insert("shortNames", strings(&info.short_names));
    }
    if !info.categories.is_empty() {
        members.insert("categories", strings(&info.categories));
    }
    if !info.storage_version_hash.is_empty() {
        members.insert("storageVersionHash", info.storage_version_hash.as_str());
    }
    members.into()
}

fn subresource(info: &ResourceInfo, sub: &Subresource) -> Value {
    let mut members = Object::new();
    members.insert("name", format!("{}/{}", info.plural, sub.name));
    members.insert("singularName", "");
    members.insert("namespaced", info.namespaced);
    if sub.foreign {
        members.insert("group", sub.kind.group.as_str());
        members.insert("version", sub.kind.version.as_str());
    }
    members.insert("kind", sub.kind.kind.as_str());
    members.insert("verbs", strings(&sub.verbs));
    members.into()
}

/// Aggregated discovery names group and version only of kinds that are not the resource's own.
fn response_kind(kind: &Gvk, foreign: bool) -> Value {
    let (group, version) = if foreign { (kind.group.as_str(), kind.version.as_str()) } else { ("", "") };
    value!({ "group": (group), "version": (version), "kind": (kind.kind.as_str()) })
}

fn aggregated_group(group: &Group) -> Value {
    let versions: Vec<Value> = group
        .versions
        .iter()
        .map(|v| {
            let resources: Vec<Value> = v.resources.iter().map(|r| aggregated_resource(r)).collect();
            value!({ "version": (v.version.as_str()), "resources": (resources), "freshness": "Current" })
        })
        .collect();
    let mut meta = Object::new();
    if !group.name.is_empty() {
        meta.insert("name", group.name.as_str());
    }
    value!({ "metadata": (meta), "versions": (versions) })
}

fn aggregated_resource(info: &ResourceInfo) -> Value {
    let mut members = Object::new();
    members.insert("resource", info.plural.as_str());
    members.insert("responseKind", response_kind(&info.gvk(), false));
    members.insert("scope", if info.namespaced { "Namespaced" } else { "Cluster" });
    members.insert("singularResource", info.singular.as_str());
    members.insert("verbs", strings(&info.verbs));
    if !info.short_names.is_empty() {
        members.insert("shortNames", strings(&info.short_names));
    }
    if !info.categories.is_empty() {
        members.insert("categories", strings(&info.categories));
    }
    if !info.subresources.is_empty() {
        let subs: Vec<Value> = info
            .subresources
            .iter()
            .map(|s| {
                value!({
                    "subresource": (s.name.as_str()),
                    "responseKind": (response_kind(&s.kind, s.foreign)),
                    "verbs": (strings(&s.verbs)),
                })
            })
            .collect();
        members.insert("subresources", subs);
    }
    members.into()
}

/// `/version`. Clients read major, minor and gitVersion; the rest is shown by `kubectl version -o yaml`.
pub(crate) fn version_json() -> Vec<u8> {
    let version = value!({
        "major": "1",
        "minor": "36",
        "emulationMajor": "1",
        "emulationMinor": "36",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": (GIT_VERSION),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": (format!("{}/{}", std::env::consts::OS, go_architecture())),
    });
    version.to_json_pretty()
}

/// The architecture by Go's name, which clients expect.
fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Whether `Accept` prefers aggregated discovery.
fn wants_aggregated(accept: Option<&str>) -> bool {
    let first = accept.unwrap_or_default().split(',').next().unwrap_or_default();
    let fields: Vec<&str> = first.split(';').map(str::trim).collect();
    let has = |field: &str| fields.contains(&field);
    fields.first() == Some(&negotiate::JSON)
        && has("as=APIGroupDiscoveryList")
        && has("g=apidiscovery.k8s.io")
        && has("v=v2")
}

/// Answers a path of discovery.
pub(crate) fn answer(server: &Arc<ApiServer>, call: &Call, path: &str) -> Response {
    let discovery = server.discovery();
    if matches!(path, "/api" | "/apis") && wants_aggregated(call.accept()) {
        return aggregated_answer(discovery.aggregated(path == "/api"), call);
    }
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let document = match parts.as_slice() {
        ["api"] => Some((discovery.versions(), "APIVersions")),
        ["apis"] => Some((discovery.group_list(), "APIGroupList")),
        ["api", version] => discovery.resource_list("", version).map(|d| (d, "APIResourceList")),
        ["apis", group] => discovery.group(group).map(|d| (d, "APIGroup")),
        ["apis", group, version] => discovery.resource_list(group, version).map(|d| (d, "APIResourceList")),
        _ => None,
    };
    let Some((document, kind)) = document else {
        return match parts.as_slice() {
            ["apis", group, ..] if !server.registry().serves_group(group) => {
                response::text(StatusCode::NOT_FOUND, "404 page not found\n")
            }
            _ => response::failure(&no_such_resource()),
        };
    };
    let outcome = crate::handlers::output(call, Scope::Plain).and_then(|output| {
        let body = crate::handlers::render::encode(server, &document, output, &Gvk::new("", "v1", kind))?;
        Ok(crate::handlers::render::finish(call, StatusCode::OK, output.encoding, body))
    });
    outcome.unwrap_or_else(|status| response::failure(&status))
}

fn aggregated_answer(document: &Aggregated, call: &Call) -> Response {
    let known = call
        .header(header::IF_NONE_MATCH)
        .is_some_and(|tags| tags.split(',').any(|tag| tag.trim().as_bytes() == document.etag.as_bytes()));
    let mut response = if known {
        let mut response = response::with_body(StatusCode::NOT_MODIFIED, AGGREGATED, "");
        response.headers_mut().remove(header::CONTENT_TYPE);
        response
    } else {
        response::with_body(StatusCode::OK, AGGREGATED, document.body.clone())
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, document.etag.clone());
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aggregated_is_asked_for_first() {
        assert!(wants_aggregated(Some(
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
        )));
        assert!(!wants_aggregated(Some(
            "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
        )));
        assert!(!wants_aggregated(Some("application/json")));
        assert!(!wants_aggregated(None));
    }
}
