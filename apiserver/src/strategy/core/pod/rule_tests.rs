//! A refused pod for each rule that the other tests leave out.

use expect_test::expect;

use super::tests::{check_container, check_spec};

#[test]
fn spec_volumes() {
    check_spec("volumes: [{name: v, ephemeral: {}}]", expect![[""]]);
    check_spec(
        "volumes: [{name: v, ephemeral: {volumeClaimTemplate: {metadata: {name: x, uid: u, labels: {'a b': c}}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}}}]",
        expect![[""]],
    );
    check_spec(
        "volumes: [{name: v, ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}}}, {name: w, persistentVolumeClaim: {claimName: p-v}}]",
        expect![[""]],
    );
    check_spec(
        "volumes: [{name: v, emptyDir: {sizeLimit: '-1'}}, {name: w, gcePersistentDisk: {pdName: d, partition: 300}, cephfs: {monitors: [m]}}]",
        expect![[""]],
    );
    check_spec("volumes: [{name: v, csi: {driver: d, nodePublishSecretRef: {name: A_}}}]", expect![[""]]);
    check_spec(
        "volumes: [{name: v, downwardAPI: {defaultMode: 1000, items: [{path: ..x, mode: -1}]}}]",
        expect![[""]],
    );
    check_spec("volumes: [{name: v, emptyDir: {}}, {name: v, emptyDir: {}}]", expect![[""]]);
    check_spec(
        "volumes: [{name: v, iscsi: {targetPortal: pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp, iqn: eui.0123456789abcdef, initiatorName: eui.0123456789abcdef}}]",
        expect![[""]],
    );
}

#[test]
fn spec_projected() {
    check_spec(
        "volumes: [{name: v, projected: {defaultMode: 1000, sources: [{secret: {name: '', items: [{key: k, path: p}]}, configMap: {name: c, items: [{key: k, path: p}]}}]}}]",
        expect![[""]],
    );
    check_spec(
        "serviceAccountName: sa, volumes: [{name: v, projected: {sources: [{serviceAccountToken: {expirationSeconds: 5000000000, path: /x}}, {serviceAccountToken: {expirationSeconds: 5}}]}}]",
        expect![[""]],
    );
    check_spec(
        "volumes: [{name: v, projected: {sources: [{serviceAccountToken: {expirationSeconds: 600, path: t}}]}}]",
        expect![[""]],
    );
    check_spec(
        "volumes: [{name: v, projected: {sources: [{clusterTrustBundle: {path: p}}, {clusterTrustBundle: {name: a, signerName: b/c, path: p}}, {clusterTrustBundle: {name: A_, labelSelector: {}}}, {clusterTrustBundle: {signerName: '', path: q}}]}}]",
        expect![[""]],
    );
    check_spec(
        "volumes: [{name: v, projected: {sources: [{podCertificate: {keyType: Zap, signerName: example.com/x}}]}}]",
        expect![[""]],
    );
}

#[test]
fn spec_resource_claims() {
    check_spec(
        "resourceClaims: [{resourceClaimName: A_}, {name: a, resourceClaimName: b}, {name: a, resourceClaimTemplateName: b}, {name: B_, resourceClaimName: b}]",
        expect![[""]],
    );
}

#[test]
fn spec_pod_resources() {
    check_spec(
        "resources: {claims: [{name: x}], limits: {cpu: 1, nvidia.com/gpu: 1}, requests: {zap: 1}}",
        expect![[""]],
    );
}

#[test]
fn spec_dns() {
    check_spec("dnsPolicy: None, dnsConfig: {}", expect![[""]]);
    check_spec(
        "dnsConfig: {nameservers: [a, 10.0.0.1, 10.0.0.2, 10.0.0.3], options: [{value: x}]}",
        expect![[""]],
    );
    check_spec(
        "dnsConfig: {searches: [s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15, s16, s17, s18, s19, s20, s21, s22, s23, s24, s25, s26, s27, s28, s29, s30, s31, s32]}",
        expect![[""]],
    );
    check_spec(
        "dnsConfig: {searches: [aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd, aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd, aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd, aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd, aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd, aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd, aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd, aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd, aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd]}",
        expect![[""]],
    );
    check_spec("dnsConfig: {searches: [a_b.c., ., -x]}", expect![[""]]);
}

#[test]
fn spec_affinity() {
    check_spec(
        "affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: {matchExpressions: [{key: a, operator: In, values: ['b c']}]}}]}}",
        expect![[""]],
    );
    check_spec(
        "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Gt, values: ['b c']}], matchFields: [{key: spec.x, operator: Exists, values: [a]}, {key: metadata.name, operator: In, values: [A_]}]}]}}}",
        expect![[""]],
    );
    check_spec(
        "affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: t, matchLabelKeys: [a], mismatchLabelKeys: ['b c']}]}}",
        expect![[""]],
    );
    check_spec(
        "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: t, labelSelector: {matchLabels: {a: b}, matchExpressions: [{key: a, operator: Exists}]}, matchLabelKeys: [a], mismatchLabelKeys: [a]}]}}",
        expect![[""]],
    );
}

#[test]
fn spec_tolerations() {
    check_spec(
        "tolerations: [{key: a, operator: Exists, value: v}, {key: a, effect: Zap}, {key: 'a b', operator: Exists}]",
        expect![[""]],
    );
}

#[test]
fn spec_spread() {
    check_spec(
        "topologySpreadConstraints: [{maxSkew: 1, whenUnsatisfiable: DoNotSchedule, labelSelector: {}}, {maxSkew: 1, topologyKey: a, whenUnsatisfiable: DoNotSchedule, minDomains: 0, labelSelector: {}}, {maxSkew: 1, topologyKey: a, whenUnsatisfiable: DoNotSchedule, nodeTaintsPolicy: Zap, labelSelector: {}}]",
        expect![[""]],
    );
}

#[test]
fn spec_gates() {
    check_spec("schedulingGates: [{name: ''}, {name: a.b/c}, {name: a.b/c}]", expect![[""]]);
}

#[test]
fn spec_windows() {
    check_spec("os: {}", expect![[""]]);
    check_spec("os: {name: linux}, securityContext: {windowsOptions: {runAsUserName: u}}", expect![[""]]);
    check_spec(
        "os: {name: windows}, hostUsers: true, hostIPC: true, securityContext: {seLinuxOptions: {}, fsGroup: 1, sysctls: [{name: a}], runAsUser: 1, supplementalGroups: [1], appArmorProfile: {type: Unconfined}}",
        expect![[""]],
    );
    check_spec(
        "securityContext: {windowsOptions: {gmsaCredentialSpecName: '', gmsaCredentialSpec: '', hostProcess: true}}",
        expect![[""]],
    );
    check_spec(
        "securityContext: {windowsOptions: {hostProcess: false}}, hostNetwork: true, initContainers: [{name: i, image: i, imagePullPolicy: Always, terminationMessagePolicy: File, securityContext: {windowsOptions: {hostProcess: true}}}]",
        expect![[""]],
    );
}

#[test]
fn spec_security() {
    check_spec(
        "securityContext: {supplementalGroups: [-1], runAsUser: -1, runAsGroup: -1, supplementalGroupsPolicy: Zap}",
        expect![[""]],
    );
    check_spec(
        "hostNetwork: true, hostIPC: true, securityContext: {sysctls: [{name: net/ipv4/x}, {name: kernel.shmmax}, {name: kernel.zap}, {name: net.a}, {name: net.a}, {name: ''}]}",
        expect![[""]],
    );
    check_spec(
        "securityContext: {seccompProfile: {localhostProfile: x}, appArmorProfile: {type: Unconfined, localhostProfile: x}}",
        expect![[""]],
    );
    check_spec(
        "securityContext: {seccompProfile: {type: Localhost, localhostProfile: /x}, appArmorProfile: {type: Localhost, localhostProfile: ' x'}}",
        expect![[""]],
    );
    check_spec("securityContext: {appArmorProfile: {type: Zap}}", expect![[""]]);
    check_spec("securityContext: {appArmorProfile: {localhostProfile: x}}", expect![[""]]);
    check_spec(
        "securityContext: {appArmorProfile: {type: Localhost, localhostProfile: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx}}",
        expect![[""]],
    );
}

#[test]
fn spec_names() {
    check_spec(
        "priorityClassName: A_, runtimeClassName: '', serviceAccountName: A_, preemptionPolicy: Zap",
        expect![[""]],
    );
    check_spec("preemptionPolicy: '', overhead: {cpu: -1, zap: 1}", expect![[""]]);
    check_spec(
        "nodeSelector: {'a b': c}, hostnameOverride: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        expect![[""]],
    );
}

#[test]
fn spec_init() {
    check_spec(
        "initContainers: [{name: i, image: i, imagePullPolicy: Always, terminationMessagePolicy: File, startupProbe: {exec: {command: [a]}}}, {name: s, image: i, imagePullPolicy: Always, terminationMessagePolicy: File, restartPolicy: Always, livenessProbe: {exec: {command: [a]}, successThreshold: 2}, ports: [{containerPort: 1, hostPort: 1, protocol: TCP}, {containerPort: 2, hostPort: 1, protocol: TCP}]}]",
        expect![[""]],
    );
}

#[test]
fn container_restart() {
    check_container(
        "restartPolicy: Never, restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 139, 140, 141, 142, 143, 144, 145, 146, 147, 148, 149, 150, 151, 152, 153, 154, 155, 156, 157, 158, 159, 160, 161, 162, 163, 164, 165, 166, 167, 168, 169, 170, 171, 172, 173, 174, 175, 176, 177, 178, 179, 180, 181, 182, 183, 184, 185, 186, 187, 188, 189, 190, 191, 192, 193, 194, 195, 196, 197, 198, 199, 200, 201, 202, 203, 204, 205, 206, 207, 208, 209, 210, 211, 212, 213, 214, 215, 216, 217, 218, 219, 220, 221, 222, 223, 224, 225, 226, 227, 228, 229, 230, 231, 232, 233, 234, 235, 236, 237, 238, 239, 240, 241, 242, 243, 244, 245, 246, 247, 248, 249, 250, 251, 252, 253, 254, 255]}}]",
        expect![[""]],
    );
    check_container(
        "restartPolicy: Never, restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}]",
        expect![[""]],
    );
}

#[test]
fn container_resize() {
    check_container(
        "resizePolicy: [{resourceName: cpu, restartPolicy: NotRequired}, {resourceName: cpu}, {restartPolicy: NotRequired}]",
        expect![[""]],
    );
}

#[test]
fn container_hooks() {
    check_container(
        "lifecycle: {preStop: {sleep: {seconds: 31}}, postStart: {sleep: {seconds: -1}}}",
        expect![[""]],
    );
    check_container(
        "livenessProbe: {httpGet: {port: 80, scheme: Zap, httpHeaders: [{name: 'a b'}]}, terminationGracePeriodSeconds: 0, successThreshold: 1}",
        expect![[""]],
    );
    check_container(
        "readinessProbe: {exec: {command: [a]}, terminationGracePeriodSeconds: 5}",
        expect![[""]],
    );
    check_container("startupProbe: {grpc: {port: 70000}, successThreshold: 0}", expect![[""]]);
}

#[test]
fn container_env() {
    check_container("env: [{name: A, valueFrom: {fileKeyRef: {volumeName: A_, path: /x}}}]", expect![[""]]);
    check_container(
        "env: [{name: A, value: v, valueFrom: {secretKeyRef: {name: s, key: k}}}]",
        expect![[""]],
    );
    check_container(
        "env: [{name: A, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: \"metadata.name['x']\"}}}, {name: B, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]",
        expect![[""]],
    );
    check_container(
        "env: [{name: A, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: \"metadata.annotations['A b']\"}}}]",
        expect![[""]],
    );
    check_container(
        "env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.hugepages-2Mi, divisor: 3}}}, {name: B, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 3}}}, {name: C, valueFrom: {resourceFieldRef: {resource: requests.ephemeral-storage, divisor: 3}}}, {name: D, valueFrom: {resourceFieldRef: {}}}]",
        expect![[""]],
    );
    check_container(
        "envFrom: [{prefix: 'a=', secretRef: {name: A_}, configMapRef: {name: c}}]",
        expect![[""]],
    );
}

#[test]
fn container_resources() {
    check_container(
        "resources: {claims: [{name: ''}, {name: a, request: B_}, {name: a, request: B_}, {name: a}]}",
        expect![[""]],
    );
    check_container("resources: {requests: {a.b/c: 1}}", expect![[""]]);
    check_container("resources: {limits: {pods: 1, 'a b': 1, kubernetes.io/x: 1}}", expect![[""]]);
}

#[test]
fn container_mounts() {
    check_container(
        "volumeMounts: [{name: x, mountPath: /m, subPath: a, subPathExpr: /b, recursiveReadOnly: Enabled, readOnly: true, mountPropagation: HostToContainer}], volumeDevices: [{name: x, devicePath: /a/../b}, {name: x, devicePath: ''}]",
        expect![[""]],
    );
}

#[test]
fn container_security() {
    check_container("securityContext: {runAsUser: -1, runAsGroup: -1, procMount: Zap}", expect![[""]]);
}
