//! Which fields a field selector may name, per kind, and what each answers for an object without it.
//!
//! Every kind has `metadata.name` and (when namespaced) `metadata.namespace`; the rest is upstream's conversion
//! functions and selectable-field sets, as data. Kinds without an entry refuse other fields in words of their own.

use apimachinery::{Status, go};
use kinds::ResourceInfo;

use crate::response::bad_request;

/// How an absent field compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    Empty,
    /// Booleans and numbers are compared in their written form.
    As(&'static str),
}

/// A selectable field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selectable {
    pub(crate) label: &'static str,
    /// Alternatives, tried in order: the first path that is there counts.
    pub(crate) paths: &'static [&'static [&'static str]],
    pub(crate) absent: Absent,
}

const fn text(label: &'static str, paths: &'static [&'static [&'static str]]) -> Selectable {
    Selectable { label, paths, absent: Absent::Empty }
}

const PODS: &[Selectable] = &[
    text("spec.nodeName", &[&["spec", "nodeName"]]),
    // What the first clients of v1 called it.
    text("spec.host", &[&["spec", "nodeName"]]),
    text("status.phase", &[&["status", "phase"]]),
    text("spec.restartPolicy", &[&["spec", "restartPolicy"]]),
    text("spec.schedulerName", &[&["spec", "schedulerName"]]),
    text("spec.serviceAccountName", &[&["spec", "serviceAccountName"]]),
    Selectable { label: "spec.hostNetwork", paths: &[&["spec", "hostNetwork"]], absent: Absent::As("false") },
    text("status.podIP", &[&["status", "podIP"]]),
    // Accepted, but upstream's set of a pod's fields does not have it: no address ever matches.
    text("status.podIPs", &[]),
    text("status.nominatedNodeName", &[&["status", "nominatedNodeName"]]),
];

const EVENTS: &[Selectable] = &[
    text("involvedObject.kind", &[&["involvedObject", "kind"]]),
    text("involvedObject.namespace", &[&["involvedObject", "namespace"]]),
    text("involvedObject.name", &[&["involvedObject", "name"]]),
    text("involvedObject.uid", &[&["involvedObject", "uid"]]),
    text("involvedObject.apiVersion", &[&["involvedObject", "apiVersion"]]),
    text("involvedObject.resourceVersion", &[&["involvedObject", "resourceVersion"]]),
    text("involvedObject.fieldPath", &[&["involvedObject", "fieldPath"]]),
    text("reason", &[&["reason"]]),
    text("reportingComponent", &[&["reportingComponent"]]),
    text("source", &[&["source", "component"], &["reportingComponent"]]),
    text("type", &[&["type"]]),
];

/// events.k8s.io names the same fields of the same stored objects differently.
const NEW_EVENTS: &[Selectable] = &[
    text("regarding.kind", &[&["involvedObject", "kind"]]),
    text("regarding.namespace", &[&["involvedObject", "namespace"]]),
    text("regarding.name", &[&["involvedObject", "name"]]),
    text("regarding.uid", &[&["involvedObject", "uid"]]),
    text("regarding.apiVersion", &[&["involvedObject", "apiVersion"]]),
    text("regarding.resourceVersion", &[&["involvedObject", "resourceVersion"]]),
    text("regarding.fieldPath", &[&["involvedObject", "fieldPath"]]),
    text("reason", &[&["reason"]]),
    text("reportingController", &[&["reportingComponent"]]),
    text("type", &[&["type"]]),
];

const fn zero(label: &'static str, paths: &'static [&'static [&'static str]]) -> Selectable {
    Selectable { label, paths, absent: Absent::As("0") }
}

/// Fields beyond metadata, by group and resource.
pub(crate) fn of(group: &str, resource: &str) -> &'static [Selectable] {
    match (group, resource) {
        ("", "pods") => PODS,
        ("", "events") => EVENTS,
        ("events.k8s.io", "events") => NEW_EVENTS,
        ("", "nodes") => {
            const {
                &[Selectable {
                    label: "spec.unschedulable",
                    paths: &[&["spec", "unschedulable"]],
                    absent: Absent::As("false"),
                }]
            }
        }
        ("", "secrets") => const { &[text("type", &[&["type"]])] },
        ("", "namespaces") => const { &[text("status.phase", &[&["status", "phase"]])] },
        ("", "services") => {
            const { &[text("spec.clusterIP", &[&["spec", "clusterIP"]]), text("spec.type", &[&["spec", "type"]])] }
        }
        ("", "replicationcontrollers") => const { &[zero("status.replicas", &[&["status", "replicas"]])] },
        ("batch", "jobs") => const { &[zero("status.successful", &[&["status", "succeeded"]])] },
        ("certificates.k8s.io", "certificatesigningrequests") => {
            const { &[text("spec.signerName", &[&["spec", "signerName"]])] }
        }
        ("certificates.k8s.io", "clustertrustbundles") => {
            const { &[text("spec.signerName", &[&["spec", "signerName"]])] }
        }
        ("certificates.k8s.io", "podcertificaterequests") => {
            const {
                &[
                    text("spec.signerName", &[&["spec", "signerName"]]),
                    text("spec.podName", &[&["spec", "podName"]]),
                    text("spec.nodeName", &[&["spec", "nodeName"]]),
                ]
            }
        }
        ("resource.k8s.io", "resourceslices") => {
            const {
                &[
                    text("spec.nodeName", &[&["spec", "nodeName"]]),
                    text("spec.driver", &[&["spec", "driver"]]),
                ]
            }
        }
        _ => &[],
    }
}

/// Whether a kind answers for `metadata.namespace`: those without fields of their own do, as every conversion by default;
/// the others name what they have.
pub(crate) fn has_namespace(resource: &ResourceInfo) -> bool {
    let (group, plural) = (resource.group.as_str(), resource.plural.as_str());
    let forgets = (group, plural) == ("certificates.k8s.io", "podcertificaterequests");
    (resource.namespaced && !forgets) || of(group, plural).is_empty()
}

/// The refusal of a field that is not selectable. Kinds with a conversion function of their own have words of their own.
pub(crate) fn unsupported(resource: &ResourceInfo, label: &str) -> Status {
    bad_request(match (resource.group.as_str(), resource.plural.as_str()) {
        ("batch", "jobs") => format!("field label {} not supported for Job", go::quote(label)),
        ("resource.k8s.io", "resourceslices") => {
            let (version, kind) = (resource.api_version(), &resource.kind);
            format!("field label not supported for {version}, Kind={kind}: {label}")
        }
        (group, plural) if !of(group, plural).is_empty() => format!("field label not supported: {label}"),
        _ => format!(
            "{} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
            go::quote(label)
        ),
    })
}

/// All paths that a head of this resource finds, without repetition.
pub(crate) fn paths(group: &str, resource: &str) -> Vec<&'static [&'static str]> {
    let mut all: Vec<&'static [&'static str]> = Vec::new();
    for path in of(group, resource).iter().flat_map(|s| s.paths.iter()) {
        if !all.contains(path) {
            all.push(path);
        }
    }
    all
}
