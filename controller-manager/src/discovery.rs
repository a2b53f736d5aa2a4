//! Which resources the server has now: aggregated discovery, or group by group where that is not served.

use client::{ApiResource, Client, Error};
use serde::Deserialize;
use serde_json::Value;

const AGGREGATED: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

/// A resource in the version that its group prefers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) resource: ApiResource,
    pub(crate) verbs: Vec<String>,
}

impl Served {
    pub(crate) fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|v| v == verb)
    }
}

/// What was found, and the group versions that could not be asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) resources: Vec<Served>,
    /// `group/version: why`.
    pub(crate) failed: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Group {
    metadata: client::Meta,
    versions: Vec<Version>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Version {
    version: String,
    resources: Vec<AggregatedResource>,
    freshness: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AggregatedResource {
    resource: String,
    response_kind: Kind,
    scope: String,
    verbs: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Kind {
    kind: String,
}

pub(crate) async fn discover(client: &Client) -> Result<Found, Error> {
    let mut found = Found::default();
    for root in ["/api", "/apis"] {
        let answer: Value = client.get_accept(root, AGGREGATED).await?;
        if answer["kind"] == "APIGroupDiscoveryList" {
            let groups: Vec<Group> = Deserialize::deserialize(&answer["items"])
                .map_err(|e: serde_json::Error| Error::Decode(e.to_string()))?;
            groups.into_iter().for_each(|group| take_group(group, &mut found));
        } else {
            plain(client, root, &answer, &mut found).await;
        }
    }
    Ok(found)
}

fn take_group(group: Group, found: &mut Found) {
    let name = group.metadata.name;
    for version in group.versions {
        if version.freshness == "Stale" {
            found.failed.push(format!(
                "{}: stale GroupVersion discovery",
                client::url::api_version(&name, &version.version)
            ));
        }
        for resource in version.resources {
            let namespaced = resource.scope == "Namespaced";
            let kind = resource.response_kind.kind;
            add(found, &name, &version.version, resource.resource, kind, namespaced, resource.verbs);
        }
    }
}

fn add(
    found: &mut Found,
    group: &str,
    version: &str,
    plural: String,
    kind: String,
    namespaced: bool,
    verbs: Vec<String>,
) {
    // Versions come in the order of preference: the first that has a resource is the one to use.
    if found.resources.iter().any(|s| s.resource.group == group && s.resource.plural == plural) {
        return;
    }
    let resource = ApiResource { group: group.into(), version: version.into(), plural, kind, namespaced };
    found.resources.push(Served { resource, verbs });
}

/// The old way: one request per group version.
async fn plain(client: &Client, root: &str, answer: &Value, found: &mut Found) {
    let mut group_versions: Vec<(String, String)> = Vec::new();
    let strings = |v: &Value| v.as_array().cloned().unwrap_or_default();
    for version in strings(&answer["versions"]) {
        group_versions.push((String::new(), version.as_str().unwrap_or_default().to_owned()));
    }
    for group in strings(&answer["groups"]) {
        let name = group["name"].as_str().unwrap_or_default();
        let preferred = group["preferredVersion"]["version"].as_str().unwrap_or_default();
        let mut versions: Vec<String> = strings(&group["versions"])
            .iter()
            .filter_map(|v| v["version"].as_str().map(str::to_owned))
            .collect();
        versions.sort_by_key(|v| v != preferred);
        group_versions.extend(versions.into_iter().map(|v| (name.to_owned(), v)));
    }
    for (group, version) in group_versions {
        let path =
            if group.is_empty() { format!("{root}/{version}") } else { format!("{root}/{group}/{version}") };
        match client.get_accept::<Value>(&path, "application/json").await {
            Ok(list) => {
                for resource in strings(&list["resources"]) {
                    let name = resource["name"].as_str().unwrap_or_default();
                    if name.contains('/') {
                        continue;
                    }
                    let verbs = strings(&resource["verbs"])
                        .iter()
                        .filter_map(|v| v.as_str().map(str::to_owned))
                        .collect();
                    let kind = resource["kind"].as_str().unwrap_or_default().to_owned();
                    let namespaced = resource["namespaced"].as_bool().unwrap_or(false);
                    add(found, &group, &version, name.to_owned(), kind, namespaced, verbs);
                }
            }
            Err(e) => found.failed.push(format!("{}: {e}", client::url::api_version(&group, &version))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_preferred_version_wins() {
        let version =
            |v: &str, resources: Value| json!({"version": v, "resources": resources, "freshness": "Current"});
        let resource = |r: &str| json!({"resource": r, "responseKind": {"kind": "K"}, "scope": "Namespaced", "verbs": ["list", "delete"]});
        let group: Group = serde_json::from_value(json!({
            "metadata": {"name": "g"},
            "versions": [version("v2", json!([resource("a")])), version("v1", json!([resource("a"), resource("b")]))],
        }))
        .unwrap();
        let mut found = Found::default();
        take_group(group, &mut found);
        let got: Vec<(String, String)> =
            found.resources.iter().map(|s| (s.resource.plural.clone(), s.resource.version.clone())).collect();
        assert_eq!(got, [("a".into(), "v2".into()), ("b".into(), "v1".into())]);
        assert!(
            found.resources[0].can("list")
                && !found.resources[0].can("watch")
                && found.resources[0].resource.namespaced
        );
    }
}
