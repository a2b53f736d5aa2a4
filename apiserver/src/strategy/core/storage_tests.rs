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
        expect![[r#"
            spec.local.path: Invalid value: "/a/../b": must not contain '..'
            spec.nodeAffinity: Required value: Local volume requires node affinity
            spec.volumeAttributesClassName: Required value: an empty string is disallowed
            spec.csi: Required value: has to be specified when using volumeAttributesClassName
        "#]],
    );
    check_invalid(
        &PersistentVolume,
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, nfs: {server: s, path: /p}, volumeAttributesClassName: A_}",
        expect![[r#"
            spec.volumeAttributesClassName: Invalid value: "A_": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            spec.csi: Required value: has to be specified when using volumeAttributesClassName
        "#]],
    );
    check_invalid(
        &PersistentVolume,
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, csi: {driver: d, volumeHandle: h, nodePublishSecretRef: {name: A_}, controllerPublishSecretRef: {}}}",
        expect![[r#"
            spec.csi.controllerPublishSecretRef.name: Required value
            spec.csi.controllerPublishSecretRef.namespace: Required value
            spec.csi.nodePublishSecretRef.name: Invalid value: "A_": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            spec.csi.nodePublishSecretRef.namespace: Required value
        "#]],
    );
    check_invalid(
        &PersistentVolume,
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, local: {}, nodeAffinity: {}}",
        expect![[r#"
            spec.nodeAffinity.required: Required value: must specify required node constraints
            spec.local.path: Required value
        "#]],
    );
    check_invalid(
        &PersistentVolume,
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, hostPath: {path: /.}, persistentVolumeReclaimPolicy: Recycle, flexVolume: {driver: d}, gcePersistentDisk: {}}",
        expect![[r#"
            spec.gcePersistentDisk: Forbidden: may not specify more than 1 volume type
            spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'
        "#]],
    );
    check_invalid(
        &PersistentVolume,
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi, cpu: -1}, hostPath: {path: /d}}",
        expect![[r#"
            spec.capacity: Unsupported value: {"storage":"1Gi","cpu":-1}: supported values: "storage"
            spec.capacity[cpu]: Invalid value: -1: must be a valid resource quantity
            spec.capacity[cpu]: Invalid value: "-1": must be greater than zero
        "#]],
    );
    check_invalid(
        &PersistentVolume,
        "metadata: {name: pv}\nspec: {accessModes: [Zap, ReadWriteOncePod], capacity: {storage: 1Gi}, hostPath: {path: /d}}",
        expect![[r#"
            spec.accessModes: Unsupported value: "Zap": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"
        "#]],
    );
}

#[test]
fn volume_changes() {
    check_invalid_update(
        &PersistentVolume,
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, csi: {driver: d, volumeHandle: h}}",
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, csi: {driver: d, volumeHandle: h, controllerExpandSecretRef: {name: sec, namespace: s}}}",
        expect![""],
    );
    check_invalid_update(
        &PersistentVolume,
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, csi: {driver: d, volumeHandle: h, controllerExpandSecretRef: {name: sec, namespace: s}}}",
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, csi: {driver: d, volumeHandle: h}}",
        expect![[r#"
            spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation
            @@ -29,10 +29,7 @@
               "ControllerPublishSecretRef": null,
               "NodeStageSecretRef": null,
               "NodePublishSecretRef": null,
            -  "ControllerExpandSecretRef": {
            -   "Name": "sec",
            -   "Namespace": "s"
            -  },
            +  "ControllerExpandSecretRef": null,
               "NodeExpandSecretRef": null
              }
             }

        "#]],
    );
    check_invalid_update(
        &PersistentVolume,
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, csi: {driver: d, volumeHandle: h}, volumeAttributesClassName: c}",
        "metadata: {name: pv}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, csi: {driver: d, volumeHandle: h}}",
        expect![[r#"
            spec.volumeAttributesClassName: Forbidden: update from non-nil value to nil is forbidden
        "#]],
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
        "spec: {attacher: a, nodeName: n1, source: {inlineVolumeSpec: {claimRef: {name: c}, capacity: {storage: 1Gi}, persistentVolumeReclaimPolicy: Delete, nodeAffinity: {}, storageClassName: s, volumeMode: Block}}}",
        expect![[r#"
            spec.source.inlineVolumeSpec.claimRef: Forbidden: may not be specified in the context of inline volumes
            spec.source.inlineVolumeSpec.capacity: Forbidden: may not be specified in the context of inline volumes
            spec.source.inlineVolumeSpec.csi: Required value: has to be specified in the context of inline volumes
            spec.source.inlineVolumeSpec.accessModes: Required value
            spec.source.inlineVolumeSpec.persistentVolumeReclaimPolicy: Forbidden: may only be Retain in the context of inline volumes
            spec.source.inlineVolumeSpec.nodeAffinity: Forbidden: may not be specified in the context of inline volumes
            spec.source.inlineVolumeSpec: Required value: must specify a volume type
            spec.source.inlineVolumeSpec.storageClassName: Forbidden: may not be specified in the context of inline volumes
            spec.source.inlineVolumeSpec.volumeMode: Forbidden: may not specify volumeMode other than Filesystem in the context of inline volumes
        "#]],
    );
}

#[test]
fn claims() {
    check_invalid(
        &PersistentVolumeClaim,
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}, volumeMode: Zap, storageClassName: A_, volumeAttributesClassName: A_, selector: {matchLabels: {'a b': c}}}\nstatus: {}",
        expect![[r#"
            spec.selector.matchLabels: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            spec.storageClassName: Invalid value: "A_": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            spec.volumeMode: Unsupported value: "Zap": supported values: "Block", "Filesystem"
            spec.volumeAttributesClassName: Invalid value: "A_": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
        "#]],
    );
    check_invalid(
        &PersistentVolumeClaim,
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}, dataSource: {}, dataSourceRef: {apiGroup: A_, kind: k, name: n, namespace: B_}}\nstatus: {}",
        expect![[r#"
            spec.dataSource.name: Required value
            spec.dataSource.kind: Required value
            spec.dataSource: Invalid value: "": must be 'PersistentVolumeClaim' when referencing the default apiGroup
            spec.dataSourceRef.name: Required value
            spec.dataSourceRef.apiGroup: Invalid value: "A_": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            spec.dataSourceRef.namespace: Invalid value: "B_": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
            spec: Invalid value: {}: may not be specified when dataSourceRef.namespace is specified
        "#]],
    );
}

#[test]
fn claim_changes() {
    check_invalid_update(
        &PersistentVolumeClaim,
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}, storageClassName: a}\nstatus: {}",
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}, storageClassName: b}\nstatus: {}",
        expect![[r#"
            spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims
            @@ -10,7 +10,7 @@
               }
              },
              "VolumeName": "",
            - "StorageClassName": "a",
            + "StorageClassName": "b",
              "VolumeMode": null,
              "DataSource": null,
              "DataSourceRef": null,

        "#]],
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
        expect![[r#"
            metadata.annotations.volume.beta.kubernetes.io/storage-class: Invalid value: "b": field is immutable
        "#]],
    );
    check_invalid_update(
        &PersistentVolumeClaim,
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}, volumeAttributesClassName: a}\nstatus: {phase: Bound}",
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}, volumeAttributesClassName: ''}\nstatus: {phase: Bound}",
        expect![[r#"
            spec.volumeAttributesClassName: Forbidden: update from non-nil value to an empty string is forbidden
        "#]],
    );
    check_invalid_update(
        &PersistentVolumeClaim,
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}, volumeAttributesClassName: a}\nstatus: {phase: Bound}",
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}\nstatus: {phase: Bound}",
        expect![[r#"
            spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims
            @@ -14,5 +14,5 @@
              "VolumeMode": null,
              "DataSource": null,
              "DataSourceRef": null,
            - "VolumeAttributesClassName": "a"
            + "VolumeAttributesClassName": null
             }

            spec.volumeAttributesClassName: Forbidden: update from non-nil value to nil is forbidden
        "#]],
    );
    check_invalid_update(
        &PersistentVolumeClaim,
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}\nstatus: {}",
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 3Gi}}}\nstatus: {}",
        expect![[r#"
            spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims
            @@ -6,7 +6,7 @@
              "Resources": {
               "Limits": null,
               "Requests": {
            -   "storage": "2Gi"
            +   "storage": "3Gi"
               }
              },
              "VolumeName": "",

        "#]],
    );
}

#[test]
fn claim_status() {
    check_invalid_sub(
        &PersistentVolumeClaim,
        "status",
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}\nstatus: {}",
        "metadata: {}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}\nstatus: {capacity: {storage: '-1'}, allocatedResources: {cpu: 1, storage: '-1', 'a b': 1}, allocatedResourceStatuses: {storage: Zap, cpu: NodeResizePending}}",
        expect![[r#"
            status.capacity[storage]: Invalid value: -1: must be a valid resource quantity
            status.allocatedResourceStatus: Unsupported value: "cpu": supported values: "storage"
            status.allocatedResourceStatus: Unsupported value: "storage": supported values: "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress", "NodeResizeInfeasible", "NodeResizePending"
            status.allocatedResources: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            status.allocatedResources: Unsupported value: "cpu": supported values: "storage"
            status.allocatedResources[storage]: Invalid value: -1: must be a valid resource quantity
        "#]],
    );
}
