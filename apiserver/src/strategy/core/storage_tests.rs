//! A refused volume or claim for each rule that the other tests leave out.

use expect_test::expect;

use super::persistentvolume::PersistentVolume;
use super::persistentvolumeclaim::PersistentVolumeClaim;
use crate::strategy::storage::volumeattachment::VolumeAttachment;
use crate::strategy::testing::{check_invalid, check_invalid_sub, check_invalid_update};

#[test]
fn volumes() {
    check_invalid(
        &PersistentVolume,
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, local: {path: /a/../b}, volumeAttributesClassName: ''}",
        expect![[""]],
    );
    check_invalid(
        &PersistentVolume,
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, nfs: {server: s, path: /p}, volumeAttributesClassName: A_}",
        expect![[""]],
    );
    check_invalid(
        &PersistentVolume,
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, csi: {driver: d, volumeHandle: h, nodePublishSecretRef: {name: A_}, controllerPublishSecretRef: {}}}",
        expect![[""]],
    );
    check_invalid(
        &PersistentVolume,
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, local: {}, nodeAffinity: {}}",
        expect![[""]],
    );
    check_invalid(
        &PersistentVolume,
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, hostPath: {path: /.}, persistentVolumeReclaimPolicy: Recycle, flexVolume: {driver: d}, gcePersistentDisk: {}}",
        expect![[""]],
    );
    check_invalid(
        &PersistentVolume,
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi, cpu: -1}, hostPath: {path: /d}}",
        expect![[""]],
    );
    check_invalid(
        &PersistentVolume,
        "metadata: {name: pv}\nspec: {accessModes: [Zap, ReadWriteOncePod], capacity: {storage: 1Gi}, hostPath: {path: /d}}",
        expect![[""]],
    );
}

#[test]
fn volume_changes() {
    check_invalid_update(
        &PersistentVolume,
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, csi: {driver: d, volumeHandle: h}}",
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, csi: {driver: d, volumeHandle: h, controllerExpandSecretRef: {name: n, namespace: s}}}",
        expect![[""]],
    );
    check_invalid_update(
        &PersistentVolume,
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, csi: {driver: d, volumeHandle: h, controllerExpandSecretRef: {name: n, namespace: s}}}",
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, csi: {driver: d, volumeHandle: h}}",
        expect![[""]],
    );
    check_invalid_update(
        &PersistentVolume,
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, csi: {driver: d, volumeHandle: h}, volumeAttributesClassName: c}",
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, csi: {driver: d, volumeHandle: h}}",
        expect![[""]],
    );
    check_invalid_update(
        &PersistentVolume,
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, csi: {driver: d, volumeHandle: h}, nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: beta.kubernetes.io/os, operator: Exists}]}]}}}",
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, csi: {driver: d, volumeHandle: h}, nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/os, operator: Exists}]}]}}}",
        expect![[""]],
    );
}

#[test]
fn attached_inline() {
    check_invalid(
        &VolumeAttachment,
        "spec: {attacher: a, nodeName: n, source: {inlineVolumeSpec: {claimRef: {name: c}, capacity: {storage: 1Gi}, persistentVolumeReclaimPolicy: Delete, nodeAffinity: {}, storageClassName: s, volumeMode: Block}}}",
        expect![[""]],
    );
}

#[test]
fn claims() {
    check_invalid(
        &PersistentVolumeClaim,
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}, volumeMode: Zap, storageClassName: A_, volumeAttributesClassName: A_, selector: {matchLabels: {'a b': c}}}\nstatus: {}",
        expect![[""]],
    );
    check_invalid(
        &PersistentVolumeClaim,
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}, dataSource: {}, dataSourceRef: {apiGroup: A_, kind: k, name: n, namespace: B_}}\nstatus: {}",
        expect![[""]],
    );
}

#[test]
fn claim_changes() {
    check_invalid_update(
        &PersistentVolumeClaim,
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}, storageClassName: a}\nstatus: {}",
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}, storageClassName: b}\nstatus: {}",
        expect![[""]],
    );
    check_invalid_update(
        &PersistentVolumeClaim,
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}\nstatus: {}",
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}, storageClassName: b, volumeName: v}\nstatus: {}",
        expect![[""]],
    );
    check_invalid_update(
        &PersistentVolumeClaim,
        "metadata: {annotations: {volume.beta.kubernetes.io/storage-class: a}}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}\nstatus: {}",
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}, storageClassName: a}\nstatus: {}",
        expect![[""]],
    );
    check_invalid_update(
        &PersistentVolumeClaim,
        "metadata: {annotations: {volume.beta.kubernetes.io/storage-class: a}}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}\nstatus: {}",
        "metadata: {annotations: {volume.beta.kubernetes.io/storage-class: b}}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}\nstatus: {}",
        expect![[""]],
    );
    check_invalid_update(
        &PersistentVolumeClaim,
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}, volumeAttributesClassName: a}\nstatus: {phase: Bound}",
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}, volumeAttributesClassName: ''}\nstatus: {phase: Bound}",
        expect![[""]],
    );
    check_invalid_update(
        &PersistentVolumeClaim,
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}, volumeAttributesClassName: a}\nstatus: {phase: Bound}",
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}\nstatus: {phase: Bound}",
        expect![[""]],
    );
    check_invalid_update(
        &PersistentVolumeClaim,
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}\nstatus: {}",
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 3Gi}}}\nstatus: {}",
        expect![[""]],
    );
}

#[test]
fn claim_status() {
    check_invalid_sub(
        &PersistentVolumeClaim,
        "status",
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}\nstatus: {}",
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}\nstatus: {capacity: {storage: '-1'}, allocatedResources: {cpu: 1, storage: '-1', 'a b': 1}, allocatedResourceStatuses: {storage: Zap, cpu: NodeResizePending}}",
        expect![[""]],
    );
}
