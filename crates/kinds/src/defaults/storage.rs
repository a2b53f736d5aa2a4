//! Defaults of volumes, wherever they are described, of storage classes and of CSI drivers.

use apimachinery::Value;

use super::{at, round_quantities, set, set_text};

pub(super) fn defaults(kind: &str, value: &mut Value) {
    match kind {
        "StorageClass" => {
            set(value, "reclaimPolicy", "Delete");
            set(value, "volumeBindingMode", "Immediate");
        }
        "CSIDriver" => csi_driver(at(value, "spec")),
        "VolumeAttachment" => {
            if let Some(spec) =
                value.at_mut(&["spec", "source", "inlineVolumeSpec"]).filter(|v| v.is_object())
            {
                volume_spec(spec);
            }
        }
        _ => {}
    }
}

fn csi_driver(spec: &mut Value) {
    set(spec, "attachRequired", true);
    set(spec, "podInfoOnMount", false);
    set(spec, "storageCapacity", false);
    set(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
    if spec.array_at(&["volumeLifecycleModes"]).is_empty() {
        spec.set_at(&["volumeLifecycleModes"], vec![Value::from("Persistent")]);
    }
    set(spec, "requiresRepublish", false);
    set(spec, "seLinuxMount", false);
}

/// The spec of a persistent volume.
pub(super) fn volume_spec(spec: &mut Value) {
    set_text(spec, "persistentVolumeReclaimPolicy", "Retain");
    set(spec, "volumeMode", "Filesystem");
    round_quantities(spec, "capacity");
    sources(spec);
}

/// The kinds of volume that pods and persistent volumes have in common.
pub(super) fn sources(holder: &mut Value) {
    let source = |holder: &mut Value, key: &str, texts: &[(&str, &str)]| {
        if let Some(source) = holder.get_mut(key).filter(|v| v.is_object()) {
            for (field, default) in texts {
                set_text(source, field, default);
            }
        }
    };
    source(holder, "iscsi", &[("iscsiInterface", "default")]);
    source(holder, "rbd", &[("pool", "rbd"), ("user", "admin"), ("keyring", "/etc/ceph/keyring")]);
    source(holder, "scaleIO", &[("storageMode", "ThinProvisioned"), ("fsType", "xfs")]);
    if let Some(path) = holder.get_mut("hostPath").filter(|v| v.is_object()) {
        set(path, "type", "");
    }
    if let Some(disk) = holder.get_mut("azureDisk").filter(|v| v.is_object()) {
        set(disk, "cachingMode", "ReadWrite");
        set(disk, "kind", "Shared");
        set(disk, "fsType", "ext4");
        set(disk, "readOnly", false);
    }
}
