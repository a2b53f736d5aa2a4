//! What may not change of a pod, by each of the ways to change one.

use expect_test::expect;

use super::Pod;
use crate::strategy::testing::{check_invalid, check_invalid_sub, check_invalid_update};

#[test]
fn annotations_mean_something() {
    check_invalid(
        &Pod,
        "metadata: {name: p, annotations: {'kubernetes.io/config.mirror': 'x'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[""]],
    );
    check_invalid(
        &Pod,
        "metadata: {name: p, annotations: {'controller.kubernetes.io/pod-deletion-cost': '+1'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[""]],
    );
    check_invalid(
        &Pod,
        "metadata: {name: p, annotations: {'scheduler.alpha.kubernetes.io/tolerations': '[{\"operator\":\"Zap\",\"key\":\"a\"}]'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[""]],
    );
    check_invalid(
        &Pod,
        "metadata: {name: p, annotations: {'seccomp.security.alpha.kubernetes.io/pod': 'zap'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[""]],
    );
    check_invalid(
        &Pod,
        "metadata: {name: p, annotations: {'container.seccomp.security.alpha.kubernetes.io/c': 'localhost/../x'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[""]],
    );
    check_invalid(
        &Pod,
        "metadata: {name: p, annotations: {'container.apparmor.security.beta.kubernetes.io/z': 'zap'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[""]],
    );
}

#[test]
fn annotations_agree_with_fields() {
    check_invalid(
        &Pod,
        "metadata: {name: p, annotations: {'seccomp.security.alpha.kubernetes.io/pod': 'unconfined'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], securityContext: {seccompProfile: {type: RuntimeDefault}}}\nstatus: {}",
        expect![[""]],
    );
    check_invalid(
        &Pod,
        "metadata: {name: p, annotations: {'container.seccomp.security.alpha.kubernetes.io/c': 'localhost/b'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File, securityContext: {seccompProfile: {type: Localhost, localhostProfile: a}}}]}\nstatus: {}",
        expect![[""]],
    );
    check_invalid(
        &Pod,
        "metadata: {name: p, annotations: {'container.apparmor.security.beta.kubernetes.io/c': 'runtime/default'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File, securityContext: {appArmorProfile: {type: Unconfined}}}]}\nstatus: {}",
        expect![[""]],
    );
    check_invalid(
        &Pod,
        "metadata: {name: p, annotations: {'container.apparmor.security.beta.kubernetes.io/c': 'localhost/b'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], securityContext: {appArmorProfile: {type: Localhost, localhostProfile: a}}}\nstatus: {}",
        expect![[""]],
    );
}

#[test]
fn annotations_stay() {
    check_invalid_update(
        &Pod,
        "metadata: {name: p, annotations: {'container.apparmor.security.beta.kubernetes.io/c': 'unconfined'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[""]],
    );
    check_invalid_update(
        &Pod,
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        "metadata: {name: p, annotations: {'container.apparmor.security.beta.kubernetes.io/c': 'unconfined'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[""]],
    );
    check_invalid_update(
        &Pod,
        "metadata: {name: p, annotations: {'kubernetes.io/config.mirror': 'x'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], nodeName: n}\nstatus: {}",
        "metadata: {name: p, annotations: {'kubernetes.io/config.mirror': 'y'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], nodeName: n}\nstatus: {}",
        expect![[""]],
    );
    check_invalid_update(
        &Pod,
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], nodeName: n}\nstatus: {}",
        "metadata: {name: p, annotations: {'kubernetes.io/config.mirror': 'y'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], nodeName: n}\nstatus: {}",
        expect![[""]],
    );
}

#[test]
fn containers_and_deadlines() {
    check_invalid_update(
        &Pod,
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], initContainers: [{name: i, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[""]],
    );
    check_invalid_update(
        &Pod,
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], activeDeadlineSeconds: 5}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], activeDeadlineSeconds: 6}\nstatus: {}",
        expect![[""]],
    );
    check_invalid_update(
        &Pod,
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: ' i', imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[""]],
    );
    check_invalid_update(
        &Pod,
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], tolerations: [{key: a, operator: Zap}]}\nstatus: {}",
        expect![[""]],
    );
}

#[test]
fn gated_pods_are_only_narrowed() {
    check_invalid_update(
        &Pod,
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], schedulingGates: [{name: g}], affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}]}}}}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], schedulingGates: [{name: g}], affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}, {key: b, operator: Exists}]}]}}}}\nstatus: {}",
        expect![[""]],
    );
    check_invalid_update(
        &Pod,
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], schedulingGates: [{name: g}], affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}]}}}}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], schedulingGates: [{name: g}], affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: b, operator: Exists}]}]}}}}\nstatus: {}",
        expect![[""]],
    );
    check_invalid_update(
        &Pod,
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], schedulingGates: [{name: g}], affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}]}}}}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], schedulingGates: [{name: g}], affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}, {matchExpressions: [{key: b, operator: Exists}]}]}}}}\nstatus: {}",
        expect![[""]],
    );
    check_invalid_update(
        &Pod,
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], schedulingGates: [{name: g}], affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{}]}}}}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], schedulingGates: [{name: g}], affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: b, operator: Exists}]}]}}}}\nstatus: {}",
        expect![[""]],
    );
}

#[test]
fn status_is_checked() {
    check_invalid_sub(
        &Pod,
        "status",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], resourceClaims: [{name: a, resourceClaimName: b}]}\nstatus: {qosClass: BestEffort}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], resourceClaims: [{name: a, resourceClaimName: b}]}\nstatus: {qosClass: Burstable, nominatedNodeName: A_, conditions: [{type: Ready}, {type: 'a b'}]}",
        expect![[""]],
    );
    check_invalid_sub(
        &Pod,
        "status",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], resourceClaims: [{name: a, resourceClaimName: b}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], resourceClaims: [{name: a, resourceClaimName: b}]}\nstatus: {resourceClaimStatuses: [{name: a, resourceClaimName: A_}, {name: a}, {name: z}]}",
        expect![[""]],
    );
    check_invalid_sub(
        &Pod,
        "status",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], resourceClaims: [{name: a, resourceClaimName: b}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], resourceClaims: [{name: a, resourceClaimName: b}]}\nstatus: {podIPs: [{ip: 10.0.0.1}, {ip: 10.0.0.1}, {ip: x}]}",
        expect![[""]],
    );
    check_invalid_sub(
        &Pod,
        "status",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], resourceClaims: [{name: a, resourceClaimName: b}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], resourceClaims: [{name: a, resourceClaimName: b}]}\nstatus: {hostIP: 10.0.0.2, hostIPs: [{ip: 10.0.0.1}, {ip: 10.0.0.1}]}",
        expect![[""]],
    );
    check_invalid_sub(
        &Pod,
        "status",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], resourceClaims: [{name: a, resourceClaimName: b}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], resourceClaims: [{name: a, resourceClaimName: b}]}\nstatus: {containerStatuses: [{name: c, user: {linux: {uid: -1, gid: -1, supplementalGroups: [-1]}}}]}",
        expect![[""]],
    );
    check_invalid_sub(
        &Pod,
        "status",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], os: {name: windows}}\nstatus: {containerStatuses: [{name: c, user: {linux: {uid: 1}}}]}",
        expect![[""]],
    );
    check_invalid_sub(
        &Pod,
        "status",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], resourceClaims: [{name: a, resourceClaimName: b}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], resourceClaims: [{name: a, resourceClaimName: b}]}\nstatus: {containerStatuses: [{name: c, allocatedResourcesStatus: [{name: cpu, resources: [{resourceID: a, health: Zap}, {resourceID: a, health: Healthy}]}, {name: 'claim:x'}]}], ephemeralContainerStatuses: [{name: e, allocatedResourcesStatus: [{name: cpu}]}]}",
        expect![[""]],
    );
}

#[test]
fn what_has_ended_stays_ended() {
    check_invalid_sub(
        &Pod,
        "status",
        "metadata: {name: p}\nspec: {restartPolicy: OnFailure, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {containerStatuses: [{name: c, state: {terminated: {exitCode: 0}}}]}",
        "metadata: {name: p}\nspec: {restartPolicy: OnFailure, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {containerStatuses: [{name: c, state: {running: {}}}]}",
        expect![[""]],
    );
    check_invalid_sub(
        &Pod,
        "status",
        "metadata: {name: p}\nspec: {restartPolicy: OnFailure, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {containerStatuses: [{name: c, state: {terminated: {exitCode: 1}}}]}",
        "metadata: {name: p}\nspec: {restartPolicy: OnFailure, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {containerStatuses: [{name: c, state: {running: {}}}]}",
        expect![[""]],
    );
    check_invalid_sub(
        &Pod,
        "status",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {ephemeralContainerStatuses: [{name: e, state: {terminated: {exitCode: 1}}}]}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {ephemeralContainerStatuses: [{name: e, state: {running: {}}}]}",
        expect![[""]],
    );
}

#[test]
fn resizing() {
    check_invalid_sub(
        &Pod,
        "resize",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File, resources: {limits: {cpu: 1, memory: 1Gi, a.b/c: 1}, requests: {cpu: 1, memory: 1Gi, a.b/c: 1}}}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File, resources: {limits: {cpu: 2, memory: 1Gi, a.b/c: 1}, requests: {cpu: 2, memory: 1Gi, a.b/c: 1}}}]}\nstatus: {}",
        expect![[""]],
    );
    check_invalid_sub(
        &Pod,
        "resize",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File, resources: {limits: {cpu: 1, memory: 1Gi, a.b/c: 1}, requests: {cpu: 1, memory: 1Gi, a.b/c: 1}}}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File, resources: {limits: {cpu: 1, memory: 1Gi, a.b/c: 2}, requests: {cpu: 1, memory: 1Gi, a.b/c: 2}}}]}\nstatus: {}",
        expect![[""]],
    );
    check_invalid_sub(
        &Pod,
        "resize",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File, resources: {limits: {cpu: 1, memory: 1Gi, a.b/c: 1}, requests: {cpu: 1, memory: 1Gi, a.b/c: 1}}}]}\nstatus: {containerStatuses: [{name: c, state: {running: {}}}]}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File, resources: {limits: {cpu: 2, memory: 1Gi, a.b/c: 1}, requests: {cpu: 2, memory: 1Gi, a.b/c: 1}}}]}\nstatus: {}",
        expect![[""]],
    );
    check_invalid_sub(
        &Pod,
        "resize",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File, resources: {requests: {cpu: 1}}}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[""]],
    );
    check_invalid_sub(
        &Pod,
        "resize",
        "metadata: {name: p, annotations: {'kubernetes.io/config.mirror': 'x'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[""]],
    );
    check_invalid_sub(
        &Pod,
        "resize",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], os: {name: windows}}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[""]],
    );
}

#[test]
fn ephemeral_containers_are_only_added() {
    check_invalid_sub(
        &Pod,
        "ephemeralcontainers",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], ephemeralContainers: [{name: e, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[""]],
    );
    check_invalid_sub(
        &Pod,
        "ephemeralcontainers",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], ephemeralContainers: [{name: e, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[""]],
    );
    check_invalid_sub(
        &Pod,
        "ephemeralcontainers",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], ephemeralContainers: [{name: e, image: ' i', imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[""]],
    );
    check_invalid_sub(
        &Pod,
        "ephemeralcontainers",
        "metadata: {name: p, annotations: {'kubernetes.io/config.mirror': 'x'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[""]],
    );
    check_invalid_sub(
        &Pod,
        "ephemeralcontainers",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], ephemeralContainers: [{name: c, restartPolicy: Always, lifecycle: {preStop: {exec: {command: [a]}}}, resources: {limits: {cpu: 1}}, targetContainerName: z, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[""]],
    );
}
