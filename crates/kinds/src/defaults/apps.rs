//! Defaults of workloads.

use apimachinery::Value;

use super::{at, core, each, pod, set, set_text, text};

/// Counts the templates of a DaemonSet.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

pub(super) fn defaults(kind: &str, value: &mut Value) {
    let spec = match kind {
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => at(value, "spec"),
        _ => return,
    };
    match kind {
        "Deployment" => deployment(spec),
        "ReplicaSet" => set(spec, "replicas", 1),
        "StatefulSet" => stateful_set(spec),
        _ => daemon_set(spec),
    }
    pod::template(at(spec, "template"));
    if kind == "DaemonSet" {
        template_generation(at(value, "metadata"));
    }
}

fn deployment(spec: &mut Value) {
    set(spec, "replicas", 1);
    let strategy = at(spec, "strategy");
    set_text(strategy, "type", "RollingUpdate");
    if text(strategy, "type") == "RollingUpdate" {
        let rolling = at(strategy, "rollingUpdate");
        set(rolling, "maxUnavailable", "25%");
        set(rolling, "maxSurge", "25%");
    }
    set(spec, "revisionHistoryLimit", 10);
    set(spec, "progressDeadlineSeconds", 600);
}

fn stateful_set(spec: &mut Value) {
    set_text(spec, "podManagementPolicy", "OrderedReady");
    let strategy = at(spec, "updateStrategy");
    set_text(strategy, "type", "RollingUpdate");
    if text(strategy, "type") == "RollingUpdate" {
        set(at(strategy, "rollingUpdate"), "partition", 0);
    }
    let retention = at(spec, "persistentVolumeClaimRetentionPolicy");
    set_text(retention, "whenDeleted", "Retain");
    set_text(retention, "whenScaled", "Retain");
    set(spec, "replicas", 1);
    set(spec, "revisionHistoryLimit", 10);
    for claim in each(spec, "volumeClaimTemplates") {
        core::claim(claim);
        // A template is shown as the whole object that it makes.
        set_text(claim, "apiVersion", "v1");
        set_text(claim, "kind", "PersistentVolumeClaim");
    }
}

fn daemon_set(spec: &mut Value) {
    let strategy = at(spec, "updateStrategy");
    set_text(strategy, "type", "RollingUpdate");
    if text(strategy, "type") == "RollingUpdate" {
        let rolling = at(strategy, "rollingUpdate");
        set(rolling, "maxUnavailable", 1);
        set(rolling, "maxSurge", 0);
    }
    set(spec, "revisionHistoryLimit", 10);
}

/// The published form of what is a number inside: who sends none sends 0, and the strategy raises it.
fn template_generation(meta: &mut Value) {
    let annotations = at(meta, "annotations");
    if annotations.get(TEMPLATE_GENERATION).is_none() {
        set(annotations, TEMPLATE_GENERATION, "0");
    }
}
