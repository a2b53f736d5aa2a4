//! The APIService of each group version that is served here. What upstream calls local is always available; the order of
//! groups and versions in discovery follows from the priorities.

use std::collections::BTreeSet;
use std::sync::Arc;

use apimachinery::{Status, Value};
use futures::future::join_all;

use crate::registry::Resource;
use crate::seams::Objects;
use crate::value;

const GROUP: &str = "apiregistration.k8s.io";

/// The priority of each group; groups that are not here have none of their own.
const GROUP_PRIORITIES: [(&str, i64); 22] = [
    ("", 18_000),
    ("admissionregistration.k8s.io", 16_700),
    ("apiextensions.k8s.io", 16_700),
    ("apps", 17_800),
    ("authentication.k8s.io", 17_700),
    ("authorization.k8s.io", 17_600),
    ("autoscaling", 17_500),
    ("batch", 17_400),
    ("certificates.k8s.io", 17_300),
    ("coordination.k8s.io", 16_500),
    ("discovery.k8s.io", 16_200),
    ("events.k8s.io", 17_750),
    ("flowcontrol.apiserver.k8s.io", 16_100),
    ("internal.apiserver.k8s.io", 16_000),
    ("networking.k8s.io", 17_200),
    ("node.k8s.io", 16_300),
    ("policy", 17_100),
    ("rbac.authorization.k8s.io", 17_000),
    ("resource.k8s.io", 16_200),
    ("scheduling.k8s.io", 16_600),
    ("storage.k8s.io", 16_800),
    ("storagemigration.k8s.io", 16_800),
];

/// The priority of a version within its group: stable before beta before alpha, with a few exceptions.
fn version_priority(group: &str, version: &str) -> i64 {
    match (group, version) {
        ("", _) => 1,
        ("autoscaling", "v2") => 30,
        ("flowcontrol.apiserver.k8s.io" | "resource.k8s.io", "v1") => 21,
        (_, version) if version.contains("alpha") => 9,
        (_, version) if version.contains("beta") => 12,
        _ => 15,
    }
}

/// Makes what is missing.
pub async fn ensure_all(objects: &dyn Objects, served: &[Arc<Resource>]) -> Result<(), Status> {
    let versions: BTreeSet<(&str, &str)> = served
        .iter()
        .filter(|r| !r.info.custom && r.group() != GROUP)
        .map(|r| (r.group(), r.info.version.as_str()))
        .collect();
    let work = versions.into_iter().filter_map(|(group, version)| {
        let (_, priority) = GROUP_PRIORITIES.iter().find(|(name, _)| *name == group)?;
        let service = api_service(group, version, *priority);
        Some(super::ensure(objects, GROUP, "apiservices", "", service))
    });
    super::first_error(join_all(work).await)
}

fn api_service(group: &str, version: &str, priority: i64) -> Value {
    let mut service = value!({
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {
            "name": (format!("{version}.{group}")),
            "labels": { "kube-aggregator.kubernetes.io/automanaged": "onstart" },
        },
        "spec": {
            "version": (version),
            "groupPriorityMinimum": (priority),
            "versionPriority": (version_priority(group, version)),
        },
    });
    if !group.is_empty() {
        service.set_at(&["spec", "group"], group);
    }
    service
}
