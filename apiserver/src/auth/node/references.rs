//! What the pods of each node refer to.

use std::collections::{BTreeMap, BTreeSet};

use apimachinery::Value;

use crate::auth::mirror::{Mirror, ObjectKey};
use crate::seams::Objects;
use crate::values::{annotation, text};

/// What a pod can refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Pod,
    Secret,
    ConfigMap,
    Claim,
    Volume,
    ServiceAccount,
    ResourceClaim,
}

/// What one pod refers to, all in its own namespace.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct References {
    node: String,
    names: BTreeSet<(Kind, String)>,
}

/// Pods by node.
#[derive(Debug)]
pub struct NodePods {
    pods: Mirror<References>,
    by_node: BTreeMap<String, BTreeSet<ObjectKey>>,
}

impl Default for NodePods {
    fn default() -> Self {
        Self { pods: Mirror::new("", "pods"), by_node: BTreeMap::new() }
    }
}

impl NodePods {
    /// Takes up what changed.
    pub fn refresh(&mut self, objects: &dyn Objects) {
        let by_node = &mut self.by_node;
        self.pods.refresh(objects, References::of, |key, old, new| {
            if let Some(old) = old
                && let Some(keys) = by_node.get_mut(&old.node)
            {
                keys.remove(key);
                if keys.is_empty() {
                    by_node.remove(&old.node);
                }
            }
            if let Some(new) = new
                && !new.node.is_empty()
            {
                by_node.entry(new.node.clone()).or_default().insert(key.clone());
            }
        });
    }

    /// Whether a pod of `node` refers to the object, directly or through a claim and its volume.
    pub fn reaches(
        &self,
        objects: &dyn Objects,
        node: &str,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> bool {
        let pods = || {
            let keys = self.by_node.get(node).into_iter().flatten();
            keys.filter_map(|key| self.pods.get(&key.0, &key.1).map(|references| (key, references)))
        };
        let in_namespace = |wanted: Kind, namespace: &str, name: &str| {
            let wanted = (wanted, name.to_owned());
            pods().any(|(key, references)| key.0 == namespace && references.names.contains(&wanted))
        };
        match kind {
            Kind::Pod => pods().any(|(key, _)| key.0 == namespace && key.1 == name),
            Kind::Volume => volume_claim(objects, name)
                .is_some_and(|(namespace, claim)| in_namespace(Kind::Claim, &namespace, &claim)),
            Kind::Secret if !in_namespace(kind, namespace, name) => {
                // Through claim and volume: secrets that a volume names.
                pods().any(|(key, references)| {
                    references.names.iter().filter(|(kind, _)| *kind == Kind::Claim).any(|(_, claim)| {
                        let claim = objects.get("", "persistentvolumeclaims", &key.0, claim);
                        let volume =
                            claim.map(|c| text(&c, &["spec", "volumeName"]).to_owned()).unwrap_or_default();
                        !volume.is_empty()
                            && objects.get("", "persistentvolumes", "", &volume).is_some_and(|v| {
                                volume_secrets(&v, &key.0).contains(&(namespace.into(), name.into()))
                            })
                    })
                })
            }
            _ => in_namespace(kind, namespace, name),
        }
    }
}

/// The claim that a volume is bound to.
fn volume_claim(objects: &dyn Objects, volume: &str) -> Option<ObjectKey> {
    let volume = objects.get("", "persistentvolumes", "", volume)?;
    let reference = volume.at(&["spec", "claimRef"])?;
    Some((text(reference, &["namespace"]).into(), text(reference, &["name"]).into()))
}

/// The secrets that a persistent volume's source names; without a namespace of its own the claim's counts.
fn volume_secrets(volume: &Value, claim_namespace: &str) -> Vec<ObjectKey> {
    let references = [
        ["spec", "csi", "controllerPublishSecretRef"],
        ["spec", "csi", "nodeStageSecretRef"],
        ["spec", "csi", "nodePublishSecretRef"],
        ["spec", "csi", "controllerExpandSecretRef"],
        ["spec", "csi", "nodeExpandSecretRef"],
        ["spec", "cephfs", "secretRef"],
        ["spec", "cinder", "secretRef"],
        ["spec", "flexVolume", "secretRef"],
        ["spec", "rbd", "secretRef"],
        ["spec", "scaleIO", "secretRef"],
        ["spec", "iscsi", "secretRef"],
        ["spec", "storageos", "secretRef"],
    ];
    let mut found: Vec<ObjectKey> = references
        .iter()
        .filter_map(|path| volume.at(path))
        .map(|r| {
            let namespace = text(r, &["namespace"]);
            let namespace = if namespace.is_empty() { claim_namespace } else { namespace };
            (namespace.to_owned(), text(r, &["name"]).to_owned())
        })
        .collect();
    if let Some(file) = volume.at(&["spec", "azureFile"]) {
        let namespace = text(file, &["secretNamespace"]);
        let namespace = if namespace.is_empty() { claim_namespace } else { namespace };
        found.push((namespace.into(), text(file, &["secretName"]).into()));
    }
    found
}

impl References {
    /// What a pod refers to. A mirror pod's references do not count: its node wrote them.
    pub fn of(pod: &Value) -> Self {
        let mut references =
            Self { node: text(pod, &["spec", "nodeName"]).to_owned(), names: BTreeSet::new() };
        if annotation(pod, "kubernetes.io/config.mirror").is_some() {
            return references;
        }
        let Some(spec) = pod.get("spec") else { return references };
        references.add(Kind::ServiceAccount, text(spec, &["serviceAccountName"]));
        for secret in spec.array_at(&["imagePullSecrets"]) {
            references.add(Kind::Secret, text(secret, &["name"]));
        }
        for list in ["initContainers", "containers", "ephemeralContainers"] {
            for container in spec.array_at(&[list]) {
                references.add_environment(container);
            }
        }
        for volume in spec.array_at(&["volumes"]) {
            references.add_volume(volume, text(pod, &["metadata", "name"]));
        }
        for status in pod.array_at(&["status", "resourceClaimStatuses"]) {
            references.add(Kind::ResourceClaim, text(status, &["resourceClaimName"]));
        }
        for claim in spec.array_at(&["resourceClaims"]) {
            references.add(Kind::ResourceClaim, text(claim, &["resourceClaimName"]));
        }
        references
    }

    fn add(&mut self, kind: Kind, name: &str) {
        if !name.is_empty() {
            self.names.insert((kind, name.to_owned()));
        }
    }

    fn add_environment(&mut self, container: &Value) {
        for source in container.array_at(&["envFrom"]) {
            self.add(Kind::Secret, text(source, &["secretRef", "name"]));
            self.add(Kind::ConfigMap, text(source, &["configMapRef", "name"]));
        }
        for variable in container.array_at(&["env"]) {
            self.add(Kind::Secret, text(variable, &["valueFrom", "secretKeyRef", "name"]));
            self.add(Kind::ConfigMap, text(variable, &["valueFrom", "configMapKeyRef", "name"]));
        }
    }

    fn add_volume(&mut self, volume: &Value, pod: &str) {
        self.add(Kind::Secret, text(volume, &["secret", "secretName"]));
        self.add(Kind::ConfigMap, text(volume, &["configMap", "name"]));
        self.add(Kind::Claim, text(volume, &["persistentVolumeClaim", "claimName"]));
        if volume.get("ephemeral").is_some() {
            self.add(Kind::Claim, &format!("{pod}-{}", text(volume, &["name"])));
        }
        for source in volume.array_at(&["projected", "sources"]) {
            self.add(Kind::Secret, text(source, &["secret", "name"]));
            self.add(Kind::ConfigMap, text(source, &["configMap", "name"]));
        }
        self.add(Kind::Secret, text(volume, &["azureFile", "secretName"]));
        self.add(Kind::Secret, text(volume, &["csi", "nodePublishSecretRef", "name"]));
        for source in ["cephfs", "cinder", "flexVolume", "rbd", "scaleIO", "iscsi", "storageos"] {
            self.add(Kind::Secret, text(volume, &[source, "secretRef", "name"]));
        }
    }
}
