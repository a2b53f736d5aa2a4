//! Which fields a field selector may name, per kind, and what each answers for an object without it.
//!
//! Every kind has `metadata.name` and (when namespaced) `metadata.namespace`; the rest is upstream's conversion
//! functions and selectable-field sets, as data. Kinds without an entry refuse other fields in words of their own.

use apimachinery::Status;

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
    text("status.phase", &[&["status", "phase"]]),
    text("spec.restartPolicy", &[&["spec", "restartPolicy"]]),
    text("spec.schedulerName", &[&["spec", "schedulerName"]]),
    text("spec.serviceAccountName", &[&["spec", "serviceAccountName"]]),
    Selectable { label: "spec.hostNetwork", paths: &[&["spec", "hostNetwork"]], absent: Absent::As("false") },
    text("status.podIP", &[&["status", "podIP"]]),
    text("status.podIPs", &[&["status", "podIP"]]),
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
        ("", "namespaces") => {
            const { &[text("status.phase", &[&["status", "phase"]]), text("name", &[&["metadata", "name"]])] }
        }
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

/// The refusal of a field that is not selectable. Kinds with a conversion function of their own have shorter words.
pub(crate) fn unsupported(group: &str, resource: &str, kind: &str, label: &str) -> Status {
    if (group, resource) == ("batch", "jobs") {
        return bad_request(format!("field label {label:?} not supported for {kind}"));
    }
    if !of(group, resource).is_empty() {
        return bad_request(format!("field label not supported: {label}"));
    }
    bad_request(format!(
        "{label:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
    ))
}

/// All paths that a head of this resource finds, without repetition.
pub(crate) fn paths(group: &str, resource: &str) -> Vec<&'static [&'static str]> {
    let mut all: Vec<&'static [&'static str]> = Vec::new();
    for path in of(group, resource).iter().flat_map(|s| s.paths.iter()) {
        if path[0] != "metadata" && !all.contains(path) {
            all.push(path);
        }
    }
    all
}
