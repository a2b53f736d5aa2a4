//! Resources, from the discovery documents: names, scope, verbs, subresources, and the version they are stored in.

use std::fmt::Write as _;

use anyhow::Context as _;
use serde_json::Value;

use super::sources::Sources;

/// One group version with its resources in upstream's order.
#[derive(Debug)]
pub(super) struct GroupVersion {
    pub(super) group: String,
    pub(super) version: String,
    /// Place of the group in `/apis`, and of the version in its group: discovery's order.
    group_order: usize,
    version_order: usize,
    resources: Vec<Resource>,
}

#[derive(Debug)]
struct Resource {
    plural: String,
    document: Value,
    served_by_default: bool,
    stored: Option<String>,
    subresources: Vec<Value>,
}

/// Kinds that are stored in another version than the one they are served in: group, kind, version. Each fact follows
/// from the storage version hash in discovery (the start of SHA-256 of `group/version/kind`).
const STORED_ELSEWHERE: [(&str, &str, &str); 15] = [
    ("events.k8s.io", "Event", "v1"),
    ("autoscaling", "HorizontalPodAutoscaler", "autoscaling/v2"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy", "admissionregistration.k8s.io/v1beta1"),
    (
        "admissionregistration.k8s.io",
        "MutatingAdmissionPolicyBinding",
        "admissionregistration.k8s.io/v1beta1",
    ),
    ("apiextensions.k8s.io", "CustomResourceDefinition", "apiextensions.k8s.io/v1beta1"),
    ("resource.k8s.io", "DeviceClass", "resource.k8s.io/v1"),
    ("resource.k8s.io", "DeviceTaintRule", "resource.k8s.io/v1alpha3"),
    ("resource.k8s.io", "ResourceClaim", "resource.k8s.io/v1"),
    ("resource.k8s.io", "ResourceClaimTemplate", "resource.k8s.io/v1"),
    ("resource.k8s.io", "ResourceSlice", "resource.k8s.io/v1"),
    ("coordination.k8s.io", "LeaseCandidate", "coordination.k8s.io/v1beta1"),
    ("certificates.k8s.io", "ClusterTrustBundle", "certificates.k8s.io/v1beta1"),
    ("networking.k8s.io", "IPAddress", "networking.k8s.io/v1"),
    ("networking.k8s.io", "ServiceCIDR", "networking.k8s.io/v1"),
    ("storage.k8s.io", "VolumeAttributesClass", "storage.k8s.io/v1"),
];

pub(super) fn group_versions(sources: &Sources) -> anyhow::Result<Vec<GroupVersion>> {
    let mut order = vec![("", "v1", 0, 0)];
    let groups = sources.groups["groups"].as_array().context("apis.json has no groups")?;
    for (group_order, group) in groups.iter().enumerate() {
        let name = group["name"].as_str().context("a group has no name")?;
        let versions = group["versions"].as_array().context("a group has no versions")?;
        for (version_order, version) in versions.iter().enumerate() {
            let version = version["version"].as_str().context("a version has no name")?;
            order.push((name, version, group_order + 1, version_order));
        }
    }
    order
        .into_iter()
        .map(|(group, version, group_order, version_order)| {
            let name = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
            let list =
                sources.resource_lists.get(&name).with_context(|| format!("no resources of {name}"))?;
            let default = sources.default_lists.get(&name);
            Ok(GroupVersion {
                group: group.to_owned(),
                version: version.to_owned(),
                group_order,
                version_order,
                resources: resources(&name, group, list, default)?,
            })
        })
        .collect()
}

fn resources(
    group_version: &str,
    group: &str,
    list: &Value,
    default: Option<&Value>,
) -> anyhow::Result<Vec<Resource>> {
    let entries = list["resources"].as_array().context("a resource list has no resources")?;
    let served = |plural: &str| {
        default
            .and_then(|list| list["resources"].as_array())
            .is_some_and(|entries| entries.iter().any(|e| e["name"] == plural))
    };
    let mut found: Vec<Resource> = Vec::new();
    for entry in entries {
        let name = entry["name"].as_str().context("a resource has no name")?;
        match name.split_once('/') {
            None => found.push(Resource {
                plural: name.to_owned(),
                served_by_default: served(name),
                stored: stored_version(group_version, group, entry),
                document: entry.clone(),
                subresources: Vec::new(),
            }),
            Some((parent, _)) => {
                // `serviceaccounts/token` and the like follow their parent; a parent that only has subresources has none.
                let parent = found.iter_mut().find(|r| r.plural == parent);
                parent.with_context(|| format!("{name} has no parent"))?.subresources.push(entry.clone());
            }
        }
    }
    Ok(found)
}

/// Only what has a storage version hash is stored at all.
fn stored_version(group_version: &str, group: &str, entry: &Value) -> Option<String> {
    entry["storageVersionHash"].as_str()?;
    let elsewhere = STORED_ELSEWHERE.iter().find(|(g, kind, _)| *g == group && entry["kind"] == *kind);
    Some(elsewhere.map_or(group_version, |(_, _, stored)| stored).to_owned())
}

pub(super) fn render(text: &mut String, group_version: &GroupVersion, package: &str) {
    let GroupVersion { group, version, group_order, version_order, resources } = group_version;
    let group = if group.is_empty() { "core" } else { group };
    let package = super::types::openapi_package(package);
    writeln!(text, "group {group} {version} package={package} order={group_order}.{version_order}")
        .expect("writing to a string");
    for resource in resources {
        render_resource(text, resource);
    }
}

fn render_resource(text: &mut String, resource: &Resource) {
    let document = &resource.document;
    let word = |key: &str| document[key].as_str().unwrap_or_default();
    let scope = if document["namespaced"] == true { "Namespaced" } else { "Cluster" };
    write!(
        text,
        "\nresource {} {} singular={} scope={scope}",
        resource.plural,
        word("kind"),
        word("singularName")
    )
    .expect("writing to a string");
    for (key, label) in [("shortNames", "short"), ("categories", "categories")] {
        let words = words(&document[key]);
        if !words.is_empty() {
            write!(text, " {label}={words}").expect("writing to a string");
        }
    }
    if let Some(stored) = &resource.stored {
        write!(text, " stored={stored} hash={}", word("storageVersionHash")).expect("writing to a string");
    }
    if !resource.served_by_default {
        text.push_str(" off-by-default");
    }
    render_kind(text, document);
    writeln!(text, "\n  verbs {}", words(&document["verbs"])).expect("writing to a string");
    for sub in &resource.subresources {
        let name = sub["name"].as_str().and_then(|n| n.split_once('/')).map(|(_, n)| n).unwrap_or_default();
        write!(text, "  sub {name} {}", sub["kind"].as_str().unwrap_or_default())
            .expect("writing to a string");
        render_kind(text, sub);
        writeln!(text, " verbs={}", words(&sub["verbs"])).expect("writing to a string");
    }
}

/// Discovery names a group and version only where the kind is of another one.
fn render_kind(text: &mut String, document: &Value) {
    if let Some(version) = document["version"].as_str() {
        let group = document["group"].as_str().unwrap_or_default();
        let slash = if group.is_empty() { "" } else { "/" };
        write!(text, " of={group}{slash}{version}").expect("writing to a string");
    }
}

fn words(list: &Value) -> String {
    let words: Vec<_> = list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    words.join(",")
}
