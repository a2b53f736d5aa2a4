//! What is served besides resources: discovery, the version, the keys of service accounts. Each has a small document of
//! its own in v3, and its path in v2.

use std::collections::BTreeSet;
use std::sync::Arc;

use apimachinery::Value;

use super::schema::{META, Schemas, VERSION_INFO};
use crate::registry::Resource;
use crate::value;
use crate::values::strings;

/// A path without resources.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    /// Of its document: `apis/apps`.
    pub(super) document: String,
    operation: String,
    description: &'static str,
    /// The type of the answer; text without one.
    answer: Option<String>,
}

/// All of them, given the resources that are served.
pub(super) fn endpoints(served: &[Arc<Resource>]) -> Vec<Endpoint> {
    let groups: BTreeSet<&str> = served.iter().map(|r| r.group()).filter(|g| !g.is_empty()).collect();
    let endpoint = |document: String, operation: &str, description, answer: &str| Endpoint {
        document,
        operation: operation.to_owned(),
        description,
        answer: (!answer.is_empty()).then(|| answer.to_owned()),
    };
    let mut all = vec![
        endpoint(
            ".well-known/openid-configuration".into(),
            "getServiceAccountIssuerOpenIDConfiguration",
            "get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'",
            "",
        ),
        endpoint(
            "openid/v1/jwks".into(),
            "getServiceAccountIssuerOpenIDKeyset",
            "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)",
            "",
        ),
        endpoint(
            "version".into(),
            "getCodeVersion",
            "get the version information for this server",
            VERSION_INFO,
        ),
        endpoint(
            "api".into(),
            "getCoreAPIVersions",
            "get available API versions",
            &format!("{META}.APIVersions"),
        ),
        endpoint(
            "apis".into(),
            "getAPIVersions",
            "get available API versions",
            &format!("{META}.APIGroupList"),
        ),
    ];
    all.extend(groups.into_iter().map(|group| {
        let operation = format!("get{}APIGroup", super::paths::group_part(group));
        endpoint(
            format!("apis/{group}"),
            &operation,
            "get information of a group",
            &format!("{META}.APIGroup"),
        )
    }));
    all
}

/// The path that lists the resources of a group version, whose document it is part of.
pub(super) fn resources_of(resource: &Resource) -> Endpoint {
    Endpoint {
        document: super::root_of(resource),
        operation: format!("get{}APIResources", super::paths::id_part(resource)),
        description: "get available resources",
        answer: Some(format!("{META}.APIResourceList")),
    }
}

impl Endpoint {
    /// The path and what it offers, in v3's form.
    pub(super) fn render(&self, schemas: &mut Schemas<'_>) -> (String, Value) {
        let (types, schema): (&[&str], Value) = match &self.answer {
            Some(name) => (&super::paths::ANSWERS, schemas.reference(name)),
            None => (&["application/json"], value!({ "type": "string" })),
        };
        let content: Value = types.iter().map(|t| (*t, value!({ "schema": (schema.clone()) }))).collect();
        let tag = self.document.trim_start_matches("apis/").replace(['/', '.'], "_");
        let item = value!({
            "get": {
                "description": (self.description),
                "operationId": (self.operation.as_str()),
                "tags": (strings([tag])),
                "responses": {
                    "200": { "description": "OK", "content": (content) },
                    "401": { "description": "Unauthorized" },
                },
            },
        });
        (format!("/{}/", self.document), item)
    }
}
