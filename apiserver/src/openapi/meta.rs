//! What is served besides resources: discovery, the version, the keys of service accounts, the host's logs. Each has a
//! small document of its own in v3, and its paths in v2.

use std::collections::BTreeSet;
use std::sync::Arc;

use apimachinery::{Object, Value};

use super::operation::{OBJECTS, answers};
use super::parameters::{self, Shared};
use super::schema::{Flavor, META, Schemas, VERSION_INFO};
use crate::registry::Resource;
use crate::value;
use crate::values::strings;

const JSON: &[&str] = &["application/json"];
const KEYS: &[&str] = &["application/jwk-set+json"];

/// A path without resources.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    /// Of its document: `apis/apps`.
    pub(super) document: String,
    /// What follows the document's path.
    tail: &'static str,
    operation: String,
    tag: String,
    about: &'static str,
    answer: Answer,
}

/// What a path is answered with.
#[derive(Clone, Debug)]
enum Answer {
    /// An object of this type.
    Type(String, &'static [&'static str]),
    /// Text of these media types; OpenAPI says nothing of what the request may be.
    Text(&'static [&'static str]),
    /// Whatever a file holds.
    File,
}

/// All of them, given the resources that are served and whether the host's logs are.
pub(super) fn endpoints(served: &[Arc<Resource>], with_logs: bool) -> Vec<Endpoint> {
    let groups: BTreeSet<&str> = served.iter().map(|r| r.group()).filter(|g| !g.is_empty()).collect();
    let endpoint = |document: &str, tag: &str, operation: &str, about, answer| Endpoint {
        document: document.to_owned(),
        tail: "",
        tag: tag.to_owned(),
        operation: operation.to_owned(),
        about,
        answer,
    };
    let of_meta = |name: &str| Answer::Type(format!("{META}.{name}"), OBJECTS);
    let versions = "get available API versions";
    let logs = endpoint("logs", "logs", "logFileListHandler", "", Answer::File);
    let log = Endpoint { tail: "{logpath}", operation: "logFileHandler".into(), ..logs.clone() };
    let mut all = vec![
        endpoint(
            ".well-known/openid-configuration",
            "WellKnown",
            "getServiceAccountIssuerOpenIDConfiguration",
            "get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'",
            Answer::Text(JSON),
        ),
        endpoint(
            "openid/v1/jwks",
            "openid",
            "getServiceAccountIssuerOpenIDKeyset",
            "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)",
            Answer::Text(KEYS),
        ),
        endpoint(
            "version",
            "version",
            "getCodeVersion",
            "get the version information for this server",
            Answer::Type(VERSION_INFO.into(), JSON),
        ),
        endpoint("api", "core", "getCoreAPIVersions", versions, of_meta("APIVersions")),
        endpoint("apis", "apis", "getAPIVersions", versions, of_meta("APIGroupList")),
    ];
    if with_logs {
        all.extend([logs, log]);
    }
    all.extend(groups.into_iter().map(|group| {
        endpoint(
            &format!("apis/{group}"),
            &super::tag_of(group, ""),
            &format!("get{}APIGroup", super::paths::group_part(group)),
            "get information of a group",
            of_meta("APIGroup"),
        )
    }));
    all
}

/// The path that lists the resources of a group version, whose document it is part of.
pub(super) fn resources_of(resource: &Resource) -> Endpoint {
    Endpoint {
        document: super::root_of(resource),
        tail: "",
        tag: super::tag_of(resource.group(), &resource.info.version),
        operation: format!("get{}APIResources", super::paths::id_part(resource)),
        about: "get available resources",
        answer: Answer::Type(format!("{META}.APIResourceList"), OBJECTS),
    }
}

impl Endpoint {
    /// The path and what it offers.
    pub(super) fn render(&self, schemas: &mut Schemas<'_>, shared: &mut Shared) -> (String, Value) {
        let mut get = Object::new();
        if !self.about.is_empty() {
            get.insert("description", self.about);
        }
        get.insert("operationId", self.operation.as_str());
        get.insert("tags", strings([&self.tag]));
        let (consumes, produces, schema): (&[&str], &[&str], _) = match &self.answer {
            Answer::Type(name, types) => (types, types, Some(schemas.reference(name))),
            Answer::Text(types) => (&[], types, Some(value!({ "type": "string" }))),
            Answer::File => (&[], &[], None),
        };
        if schemas.flavor == Flavor::V2 {
            for (key, types) in [("consumes", consumes), ("produces", produces)] {
                if !types.is_empty() {
                    get.insert(key, strings(types));
                }
            }
            get.insert("schemes", strings(["https"]));
        }
        let codes: &[_] = if schema.is_some() { &[("200", "OK")] } else { &[] };
        get.insert("responses", answers(schemas.flavor, codes, schema.as_ref(), produces));
        let path = format!("/{}/{}", self.document, self.tail);
        let parameters: Vec<Value> = parameters::of_path(&path, "")
            .iter()
            .map(|p| parameters::render(p, schemas.flavor, shared))
            .collect();
        let mut item = Object::new();
        item.insert("get", get);
        if !parameters.is_empty() {
            item.insert("parameters", parameters);
        }
        (path, item.into())
    }
}
