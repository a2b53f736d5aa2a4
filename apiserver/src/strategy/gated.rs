//! Fields that belong to a feature gate: while it is off they are dropped from what is created, and from what is updated
//! unless the stored object has them already. Mirrors upstream's `dropDisabledFields` functions.
//!
//! Gates that only change validation are not here, nor are fields that whole strategies depend on (a Lease's strategy).

use apimachinery::Value;

use crate::seams::Features;

/// Where an object has what a path starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Root {
    /// The spec of a pod, wherever a kind has one.
    PodSpec,
    /// An object of this group and resource.
    Object(&'static str, &'static str),
}

/// A field and its gate.
#[derive(Debug)]
struct Gated {
    gate: &'static str,
    root: Root,
    /// `a.b[].c`: each `c` of the elements of `b`.
    path: &'static str,
    /// The struct around the field goes too when nothing else is in it.
    with_parent: bool,
}

const fn pod(gate: &'static str, path: &'static str) -> Gated {
    Gated { gate, root: Root::PodSpec, path, with_parent: false }
}

const fn of(gate: &'static str, group: &'static str, plural: &'static str, path: &'static str) -> Gated {
    Gated { gate, root: Root::Object(group, plural), path, with_parent: false }
}

const STOP_SIGNALS: &str = "ContainerStopSignals";

const FIELDS: &[Gated] = &[
    pod("ClusterTrustBundleProjection", "volumes[].projected.sources[].clusterTrustBundle"),
    pod("PodCertificateRequest", "volumes[].projected.sources[].podCertificate"),
    Gated { with_parent: true, ..pod(STOP_SIGNALS, "containers[].lifecycle.stopSignal") },
    Gated { with_parent: true, ..pod(STOP_SIGNALS, "initContainers[].lifecycle.stopSignal") },
    pod("ContainerRestartRules", "containers[].restartPolicyRules"),
    pod("ContainerRestartRules", "initContainers[].restartPolicyRules"),
    pod("EnvFiles", "containers[].env[].valueFrom.fileKeyRef"),
    pod("EnvFiles", "initContainers[].env[].valueFrom.fileKeyRef"),
    pod("GenericWorkload", "schedulingGroup"),
    pod("HostnameOverride", "hostnameOverride"),
    pod("ImageVolume", "volumes[].image"),
    pod("PodLevelResources", "resources"),
    pod("ProcMountType", "containers[].securityContext.procMount"),
    pod("ProcMountType", "initContainers[].securityContext.procMount"),
    pod("UserNamespacesSupport", "hostUsers"),
    of(
        "MaxUnavailableStatefulSet",
        "apps",
        "statefulsets",
        "spec.updateStrategy.rollingUpdate.maxUnavailable",
    ),
    of(
        "HPAConfigurableTolerance",
        "autoscaling",
        "horizontalpodautoscalers",
        "spec.behavior.scaleUp.tolerance",
    ),
    of(
        "HPAConfigurableTolerance",
        "autoscaling",
        "horizontalpodautoscalers",
        "spec.behavior.scaleDown.tolerance",
    ),
    of("VolumeLimitScaling", "storage.k8s.io", "csidrivers", "spec.preventPodSchedulingIfMissing"),
];

/// Takes the fields of gates that are off from `object`. `old` is the stored object of an update.
pub(crate) fn drop_disabled(
    features: &Features,
    group: &str,
    plural: &str,
    object: &mut Value,
    old: Option<&Value>,
) {
    let pod_spec = pod_spec(group, plural);
    for field in FIELDS {
        let root: &[&str] = match field.root {
            Root::PodSpec => match pod_spec {
                Some(path) => path,
                None => continue,
            },
            Root::Object(g, p) if (g, p) == (group, plural) => &[],
            Root::Object(..) => continue,
        };
        if features.enabled(field.gate) {
            continue;
        }
        let in_use = old.and_then(|old| old.at(root)).is_some_and(|old| has(old, field.path));
        if let Some(root) = object.at_mut(root).filter(|_| !in_use) {
            remove(root, field.path, field.with_parent);
        }
    }
}

/// Where a kind has the spec of its pods.
fn pod_spec(group: &str, plural: &str) -> Option<&'static [&'static str]> {
    Some(match (group, plural) {
        ("", "pods") => &["spec"],
        ("", "podtemplates") => &["template", "spec"],
        ("", "replicationcontrollers")
        | ("apps", "daemonsets" | "deployments" | "replicasets" | "statefulsets")
        | ("batch", "jobs") => &["spec", "template", "spec"],
        ("batch", "cronjobs") => &["spec", "jobTemplate", "spec", "template", "spec"],
        _ => return None,
    })
}

/// The first name of a path, whether its elements are meant, and the rest.
fn split(path: &str) -> (&str, bool, Option<&str>) {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    match first.strip_suffix("[]") {
        Some(list) => (list, true, rest),
        None => (first, false, rest),
    }
}

fn has(value: &Value, path: &str) -> bool {
    let (name, each, rest) = split(path);
    let Some(inner) = value.get(name).filter(|v| !v.is_null()) else { return false };
    match rest {
        None => true,
        Some(rest) if each => inner.as_array().into_iter().flatten().any(|item| has(item, rest)),
        Some(rest) => has(inner, rest),
    }
}

/// Removes every field of that path.
fn remove(value: &mut Value, path: &str, with_parent: bool) {
    let (name, each, rest) = split(path);
    let Some(rest) = rest else {
        value.as_object_mut().map(|members| members.remove(name));
        return;
    };
    let Some(inner) = value.get_mut(name).filter(|v| !v.is_null()) else { return };
    if each {
        inner.as_array_mut().into_iter().flatten().for_each(|item| remove(item, rest, with_parent));
    } else if has(inner, rest) {
        remove(inner, rest, with_parent);
        let emptied = with_parent && inner.as_object().is_some_and(apimachinery::Object::is_empty);
        if emptied {
            value.as_object_mut().map(|members| members.remove(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(plural: &str, on: &[&str], sent: &str, old: Option<&str>, expected: &str) {
        let features = Features(on.iter().map(|gate| ((*gate).to_owned(), true)).collect());
        let parse = |yaml: &str| {
            Value::parse_yaml(yaml.as_bytes(), &apimachinery::ParseOptions::default()).unwrap().value
        };
        let mut object = parse(sent);
        let group = if plural == "pods" { "" } else { "apps" };
        drop_disabled(&features, group, plural, &mut object, old.map(parse).as_ref());
        assert_eq!(object, parse(expected));
    }

    #[test]
    fn gates_are_known() {
        let known = kinds::Features::of(kinds::features::MINOR);
        for field in FIELDS {
            assert!(known.gate(field.gate).is_some(), "{}", field.gate);
        }
    }

    #[test]
    fn fields_of_gates_that_are_off_go() {
        let set = "spec: {updateStrategy: {rollingUpdate: {maxUnavailable: 1, partition: 0}}}";
        let without = "spec: {updateStrategy: {rollingUpdate: {partition: 0}}}";
        check("statefulsets", &[], set, None, without);
        check("statefulsets", &["MaxUnavailableStatefulSet"], set, None, set);
        check("statefulsets", &[], set, Some(without), without);
        check("statefulsets", &[], set, Some(set), set);
    }

    #[test]
    fn elements_of_lists_are_walked() {
        check(
            "pods",
            &[],
            "spec: {volumes: [{projected: {sources: [{clusterTrustBundle: {name: x}}, {secret: {name: s}}]}}]}",
            None,
            "spec: {volumes: [{projected: {sources: [{}, {secret: {name: s}}]}}]}",
        );
        check(
            "deployments",
            &[],
            "spec: {template: {spec: {containers: [{lifecycle: {stopSignal: SIGTERM}}, {lifecycle: {}}]}}}",
            None,
            "spec: {template: {spec: {containers: [{}, {lifecycle: {}}]}}}",
        );
    }
}
