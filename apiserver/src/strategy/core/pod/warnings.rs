//! What upstream warns of in pods and pod templates without refusing it.

use apimachinery::{Object, Path, Value};

use crate::strategy::check::{members, quantity};
use crate::values::text;

/// Volume sources that are on their way out, with the rest of the warning.
const VOLUMES: [(&str, &str, &str); 8] = [
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
];
const RBD: (&str, &str, &str) = ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+");

/// Node labels that have newer names.
const LABELS: [(&str, &str); 5] = [
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
    ),
    (
        "beta.kubernetes.io/instance-type",
        "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
    ),
];

/// The warnings for a pod spec at `path`, with the annotations that stand beside it at `metadata`.
pub(in crate::strategy) fn of(
    spec: Option<&Value>,
    metadata: Option<&Value>,
    path: &Path,
    meta_path: &Path,
) -> Vec<String> {
    let mut found = Vec::new();
    let Some(spec) = spec else { return found };
    for (key, _) in members(spec.get("nodeSelector")) {
        if let Some((_, why)) = LABELS.iter().find(|(label, _)| *label == key) {
            found.push(format!("{}: {why}", path.child("nodeSelector").key(key)));
        }
    }
    for (at, constraint) in spec.array_at(&["topologySpreadConstraints"]).iter().enumerate() {
        if constraint.get("labelSelector").is_none() {
            let path = path.child("topologySpreadConstraints").index(at).child("labelSelector");
            found.push(format!("{path}: a null labelSelector results in matching no pod"));
        }
    }
    volumes(&mut found, spec, path);
    for (key, _) in members(metadata.and_then(|m| m.get("annotations"))) {
        if key.starts_with("container.apparmor.security.beta.kubernetes.io/") {
            let path = meta_path.child("annotations").key(key);
            found.push(format!("{path}: deprecated since v1.30; use the \"appArmorProfile\" field instead"));
        }
    }
    for list in ["initContainers", "containers"] {
        for (at, container) in spec.array_at(&[list]).iter().enumerate() {
            of_container(&mut found, container, &path.child(list).index(at));
        }
    }
    if spec.i64_at(&["terminationGracePeriodSeconds"]).is_some_and(|s| s < 0) {
        let path = path.child("terminationGracePeriodSeconds");
        found.push(format!("{path}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    found
}

fn volumes(found: &mut Vec<String>, spec: &Value, path: &Path) {
    for (at, volume) in spec.array_at(&["volumes"]).iter().enumerate() {
        let path = path.child("volumes").index(at);
        for (key, shown, why) in VOLUMES.iter().chain([&RBD]) {
            if volume.get(key).is_some() {
                found.push(format!("{}: {why}", path.child(shown)));
            }
        }
        if let Some(projected) = volume.get("projected") {
            let sources = projected.array_at(&["sources"]);
            let empty = sources.iter().filter(|s| s.as_object().is_some_and(Object::is_empty)).count();
            for _ in 0..empty.max(usize::from(sources.is_empty())) {
                found.push(format!(
                    "volume {:?} (Projected) has no sources provided",
                    text(volume, &["name"])
                ));
            }
        }
    }
}

fn of_container(found: &mut Vec<String>, container: &Value, path: &Path) {
    for kind in ["limits", "requests"] {
        for name in ["memory", "ephemeral-storage"] {
            if let Some(amount) = quantity(container.at(&["resources", kind, name]))
                && amount.milli_value() % 1000 != 0
            {
                let path = path.child("resources").child(kind).key(name);
                found.push(format!(
                    "{path}: fractional byte value {:?} is invalid, must be an integer",
                    amount.to_string()
                ));
            }
        }
    }
    let mut seen: Vec<&str> = Vec::new();
    for (at, variable) in container.array_at(&["env"]).iter().enumerate() {
        let name = text(variable, &["name"]);
        if seen.contains(&name) {
            let path = path.child("env").index(at);
            found.push(format!(
                "{path}: hides previous definition of {name:?}, which may be dropped when using apply"
            ));
        }
        seen.push(name);
    }
    let ports = container.array_at(&["ports"]);
    for (at, port) in ports.iter().enumerate() {
        let own = path.child("ports").index(at);
        let number = |key: &str| port.i64_at(&[key]).unwrap_or(0);
        if !text(port, &["hostIP"]).is_empty() && number("hostPort") == 0 {
            found.push(format!(
                "{own}: hostIP set without hostPort: {{Name:{} HostPort:0 ContainerPort:{} Protocol:{} HostIP:{}}}",
                text(port, &["name"]),
                number("containerPort"),
                text(port, &["protocol"]),
                text(port, &["hostIP"])
            ));
        }
        let same = |other: &&Value| {
            ["containerPort", "hostPort"].iter().all(|k| other.i64_at(&[k]) == port.i64_at(&[k]))
                && ["protocol", "hostIP"].iter().all(|k| text(other, &[k]) == text(port, &[k]))
        };
        if let Some(first) = ports[..at].iter().position(|other| same(&other)) {
            let path = path.child("ports").index(first);
            found.push(format!("{own}: duplicate port definition with {path}"));
        }
    }
}
