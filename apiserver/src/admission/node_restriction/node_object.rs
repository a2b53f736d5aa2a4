//! What a node may write of its own Node object: not the taints once it exists, and no labels that others rely on.

use apimachinery::{Object, Value};

use crate::seams::{AdmissionRequest, Operation};
use crate::values::meta;

/// Labels of Kubernetes' own that a kubelet may set.
const OWN_LABELS: [&str; 12] = [
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "node.kubernetes.io/windows-build",
];

pub(super) fn check(node: &str, request: &AdmissionRequest<'_>) -> Result<(), String> {
    let mut name = request.name;
    if request.operation == Operation::Create {
        let labels = forbidden_labels(None, Some(request.object));
        if !labels.is_empty() {
            return Err(format!("is not allowed to set the following labels: {}", labels.join(", ")));
        }
        name = meta(request.object, "name");
    }
    if name != node {
        return Err(format!("node {node:?} is not allowed to modify node {name:?}"));
    }
    if let (Operation::Update, Some(old)) = (request.operation, request.old) {
        let differs = |path: &[&str]| old.at(path) != request.object.at(path);
        if differs(&["spec", "configSource"]) && request.object.at(&["spec", "configSource"]).is_some() {
            return Err(format!(
                "node {node:?} is not allowed to update configSource to a new non-nil configSource"
            ));
        }
        if differs(&["spec", "taints"]) {
            return Err(format!("node {node:?} is not allowed to modify taints"));
        }
        let labels = forbidden_labels(Some(old), Some(request.object));
        if !labels.is_empty() {
            return Err(format!("is not allowed to modify labels: {}", labels.join(", ")));
        }
        if differs(&["metadata", "ownerReferences"]) {
            return Err(format!("node {node:?} is not allowed to modify ownerReferences"));
        }
    }
    Ok(())
}

/// Labels that differ and that a node may not touch, sorted.
fn forbidden_labels(old: Option<&Value>, new: Option<&Value>) -> Vec<String> {
    let labels = |object: Option<&Value>| -> Object {
        object
            .and_then(|o| o.at(&["metadata", "labels"]))
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    };
    let (old, new) = (labels(old), labels(new));
    let keys = old.keys().chain(new.keys());
    let mut found: Vec<String> =
        keys.filter(|key| old.get(key) != new.get(key) && is_forbidden(key)).map(String::from).collect();
    found.sort();
    found.dedup();
    found
}

fn is_forbidden(key: &str) -> bool {
    let Some((domain, _)) = key.split_once('/') else { return false };
    let within =
        |parent: &str| domain.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if within("node-restriction.kubernetes.io") {
        return true;
    }
    let of_kubernetes = within("kubernetes.io") || within("k8s.io");
    let of_kubelet =
        within("kubelet.kubernetes.io") || within("node.kubernetes.io") || OWN_LABELS.contains(&key);
    of_kubernetes && !of_kubelet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_others_are_forbidden() {
        for key in [
            "node-restriction.kubernetes.io/x",
            "a.node-restriction.kubernetes.io/x",
            "kubernetes.io/role",
            "x.k8s.io/y",
        ] {
            assert!(is_forbidden(key), "{key}");
        }
        for key in [
            "zone",
            "example.com/x",
            "kubernetes.io/hostname",
            "node.kubernetes.io/foo",
            "notkubernetes.io/x",
        ] {
            assert!(!is_forbidden(key), "{key}");
        }
    }
}
