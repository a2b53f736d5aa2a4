//! What may not change of a pod, by each of the ways to change one.

use expect_test::expect;

use super::Pod;
use crate::strategy::testing::{check_invalid, check_invalid_sub, check_invalid_update};

#[test]
fn annotations_mean_something() {
    check_invalid(
        &Pod,
        "metadata: {name: p, annotations: {'kubernetes.io/config.mirror': 'x'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[r#"
            metadata.annotations[kubernetes.io/config.mirror]: Invalid value: "x": must set spec.nodeName if mirror pod annotation is set
        "#]],
    );
    check_invalid(
        &Pod,
        "metadata: {name: p, annotations: {'controller.kubernetes.io/pod-deletion-cost': '+1'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[r#"
            metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: "+1": must be a 32bit integer
        "#]],
    );
    check_invalid(
        &Pod,
        "metadata: {name: p, annotations: {'scheduler.alpha.kubernetes.io/tolerations': '[{\"operator\":\"Zap\",\"key\":\"a\"}]'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[r#"
            metadata.annotations.scheduler.alpha.kubernetes.io/tolerations[0].operator: Unsupported value: "Zap": supported values: "Equal", "Exists"
        "#]],
    );
    check_invalid(
        &Pod,
        "metadata: {name: p, annotations: {'seccomp.security.alpha.kubernetes.io/pod': 'zap'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[r#"
            metadata.annotations.seccomp.security.alpha.kubernetes.io/pod: Invalid value: "zap": must be a valid seccomp profile
        "#]],
    );
    check_invalid(
        &Pod,
        "metadata: {name: p, annotations: {'container.seccomp.security.alpha.kubernetes.io/c': 'localhost/../x'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[r#"
            metadata.annotations.container.seccomp.security.alpha.kubernetes.io/c: Invalid value: "../x": must not contain '..'
        "#]],
    );
    check_invalid(
        &Pod,
        "metadata: {name: p, annotations: {'container.apparmor.security.beta.kubernetes.io/z': 'zap'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[r#"
            metadata.annotations[container.apparmor.security.beta.kubernetes.io/z]: Invalid value: "z": container not found
            metadata.annotations[container.apparmor.security.beta.kubernetes.io/z]: Invalid value: "zap": invalid AppArmor profile name: "zap"
        "#]],
    );
}

#[test]
fn annotations_agree_with_fields() {
    check_invalid(
        &Pod,
        "metadata: {name: p, annotations: {'seccomp.security.alpha.kubernetes.io/pod': 'unconfined'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], securityContext: {seccompProfile: {type: RuntimeDefault}}}\nstatus: {}",
        expect![[r#"
            spec.securityContext.seccompProfile.type: Forbidden: seccomp type in annotation and field must match
        "#]],
    );
    check_invalid(
        &Pod,
        "metadata: {name: p, annotations: {'container.seccomp.security.alpha.kubernetes.io/c': 'localhost/b'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File, securityContext: {seccompProfile: {type: Localhost, localhostProfile: a}}}]}\nstatus: {}",
        expect![[r#"
            spec.containers[0].securityContext.seccompProfile.localhostProfile: Forbidden: seccomp profile in annotation and field must match
        "#]],
    );
    check_invalid(
        &Pod,
        "metadata: {name: p, annotations: {'container.apparmor.security.beta.kubernetes.io/c': 'runtime/default'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File, securityContext: {appArmorProfile: {type: Unconfined}}}]}\nstatus: {}",
        expect![[r#"
            spec.containers[0].securityContext.appArmorProfile.type: Forbidden: apparmor type in annotation and field must match
        "#]],
    );
    check_invalid(
        &Pod,
        "metadata: {name: p, annotations: {'container.apparmor.security.beta.kubernetes.io/c': 'localhost/b'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], securityContext: {appArmorProfile: {type: Localhost, localhostProfile: a}}}\nstatus: {}",
        expect![[r#"
            spec.containers[0].securityContext.appArmorProfile.localhostProfile: Forbidden: apparmor profile in annotation and field must match
        "#]],
    );
}

#[test]
fn annotations_stay() {
    check_invalid_update(
        &Pod,
        "metadata: {name: p, annotations: {'container.apparmor.security.beta.kubernetes.io/c': 'unconfined'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[r#"
            metadata.annotations[container.apparmor.security.beta.kubernetes.io/c]: Forbidden: may not remove or update AppArmor annotations
        "#]],
    );
    check_invalid_update(
        &Pod,
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        "metadata: {name: p, annotations: {'container.apparmor.security.beta.kubernetes.io/c': 'unconfined'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[r#"
            metadata.annotations[container.apparmor.security.beta.kubernetes.io/c]: Forbidden: may not add AppArmor annotations
        "#]],
    );
    check_invalid_update(
        &Pod,
        "metadata: {name: p, annotations: {'kubernetes.io/config.mirror': 'x'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], nodeName: n1}\nstatus: {}",
        "metadata: {name: p, annotations: {'kubernetes.io/config.mirror': 'y'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], nodeName: n1}\nstatus: {}",
        expect![[r#"
            metadata.annotations[kubernetes.io/config.mirror]: Forbidden: may not remove or update mirror pod annotation
        "#]],
    );
    check_invalid_update(
        &Pod,
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], nodeName: n1}\nstatus: {}",
        "metadata: {name: p, annotations: {'kubernetes.io/config.mirror': 'y'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], nodeName: n1}\nstatus: {}",
        expect![[r#"
            metadata.annotations[kubernetes.io/config.mirror]: Forbidden: may not add mirror pod annotation
        "#]],
    );
}

#[test]
fn containers_and_deadlines() {
    check_invalid_update(
        &Pod,
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], initContainers: [{name: i, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[r#"
            spec.initContainers: Forbidden: pod updates may not add or remove containers
        "#]],
    );
    check_invalid_update(
        &Pod,
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], activeDeadlineSeconds: 5}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], activeDeadlineSeconds: 6}\nstatus: {}",
        expect![[r#"
            spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value
        "#]],
    );
    check_invalid_update(
        &Pod,
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: ' i', imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[r#"
            spec.containers[0].image: Invalid value: " i": must not have leading or trailing whitespace
            spec.containers[0].image: Invalid value: " i": must not have leading or trailing whitespace
        "#]],
    );
    check_invalid_update(
        &Pod,
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], tolerations: [{key: a, operator: Zap}]}\nstatus: {}",
        expect![[r#"
            spec.tolerations[0].operator: Unsupported value: "Zap": supported values: "Equal", "Exists"
            spec.tolerations[0].operator: Unsupported value: "Zap": supported values: "Equal", "Exists"
        "#]],
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
        expect![[r#"
            spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]: Invalid value: {"MatchExpressions":[{"Key":"b","Operator":"Exists","Values":null}],"MatchFields":null}: only additions are allowed (no mutations or deletions)
        "#]],
    );
    check_invalid_update(
        &Pod,
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], schedulingGates: [{name: g}], affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}]}}}}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], schedulingGates: [{name: g}], affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Exists}]}, {matchExpressions: [{key: b, operator: Exists}]}]}}}}\nstatus: {}",
        expect![[r#"
            spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Invalid value: [{"MatchExpressions":[{"Key":"a","Operator":"Exists","Values":null}],"MatchFields":null},{"MatchExpressions":[{"Key":"b","Operator":"Exists","Values":null}],"MatchFields":null}]: no additions/deletions to non-empty NodeSelectorTerms list are allowed
        "#]],
    );
    check_invalid_update(
        &Pod,
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], schedulingGates: [{name: g}], affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{}]}}}}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], schedulingGates: [{name: g}], affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: b, operator: Exists}]}]}}}}\nstatus: {}",
        expect![[r#"
            spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]: Invalid value: {"MatchExpressions":[{"Key":"b","Operator":"Exists","Values":null}],"MatchFields":null}: only additions are allowed (no mutations or deletions)
        "#]],
    );
}

#[test]
fn status_is_checked() {
    check_invalid_sub(
        &Pod,
        "status",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], resourceClaims: [{name: a, resourceClaimName: b}]}\nstatus: {qosClass: BestEffort}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], resourceClaims: [{name: a, resourceClaimName: b}]}\nstatus: {qosClass: Burstable, nominatedNodeName: A_, conditions: [{type: Ready}, {type: 'a b'}]}",
        expect![[r#"
            status.conditions[1].Type: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            status.nominatedNodeName: Invalid value: "A_": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            status.qosClass: Invalid value: "Burstable": field is immutable
        "#]],
    );
    check_invalid_sub(
        &Pod,
        "status",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], resourceClaims: [{name: a, resourceClaimName: b}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], resourceClaims: [{name: a, resourceClaimName: b}]}\nstatus: {resourceClaimStatuses: [{name: a, resourceClaimName: A_}, {name: a}, {name: z}]}",
        expect![[r#"
            status.resourceClaimStatuses[0].name: Invalid value: "A_": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            status.resourceClaimStatuses[1].name: Duplicate value: "a"
            status.resourceClaimStatuses[2].name: Invalid value: "z": must match the name of an entry in `spec.resourceClaims`
        "#]],
    );
    check_invalid_sub(
        &Pod,
        "status",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], resourceClaims: [{name: a, resourceClaimName: b}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], resourceClaims: [{name: a, resourceClaimName: b}]}\nstatus: {podIPs: [{ip: 10.0.0.1}, {ip: 10.0.0.1}, {ip: x}]}",
        expect![[r#"
            status.podIPs[2]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)
            status.podIPs: Invalid value: [{"IP":"10.0.0.1"},{"IP":"10.0.0.1"},{"IP":"x"}]: may specify no more than one IP for each IP family
            status.podIPs[1]: Duplicate value: {"IP":"10.0.0.1"}
        "#]],
    );
    check_invalid_sub(
        &Pod,
        "status",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], resourceClaims: [{name: a, resourceClaimName: b}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], resourceClaims: [{name: a, resourceClaimName: b}]}\nstatus: {hostIP: 10.0.0.2, hostIPs: [{ip: 10.0.0.1}, {ip: 10.0.0.1}]}",
        expect![[r#"
            status.hostIPs[0].ip: Invalid value: "10.0.0.1": must be equal to `hostIP`
            status.hostIPs[1]: Duplicate value: {"IP":"10.0.0.1"}
            status.hostIPs: Invalid value: [{"IP":"10.0.0.1"},{"IP":"10.0.0.1"}]: may specify no more than one IP for each IP family
        "#]],
    );
    check_invalid_sub(
        &Pod,
        "status",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], resourceClaims: [{name: a, resourceClaimName: b}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], resourceClaims: [{name: a, resourceClaimName: b}]}\nstatus: {containerStatuses: [{name: c, user: {linux: {uid: -1, gid: -1, supplementalGroups: [-1]}}}]}",
        expect![[r#"
            status.containerStatuses[0].linux.uid: Invalid value: -1: must be between 0 and 2147483647, inclusive
            status.containerStatuses[0].linux.gid: Invalid value: -1: must be between 0 and 2147483647, inclusive
            status.containerStatuses[0].linux.supplementalGroups[0]: Invalid value: -1: must be between 0 and 2147483647, inclusive
        "#]],
    );
    check_invalid_sub(
        &Pod,
        "status",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], os: {name: windows}}\nstatus: {containerStatuses: [{name: c, user: {linux: {uid: 1}}}]}",
        expect![[r#"
            status.containerStatuses[0].linux: Forbidden: cannot be set for a windows pod
        "#]],
    );
    check_invalid_sub(
        &Pod,
        "status",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], resourceClaims: [{name: a, resourceClaimName: b}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], resourceClaims: [{name: a, resourceClaimName: b}]}\nstatus: {containerStatuses: [{name: c, allocatedResourcesStatus: [{name: cpu, resources: [{resourceID: a, health: Zap}, {resourceID: a, health: Healthy}]}, {name: 'claim:x'}]}], ephemeralContainerStatuses: [{name: e, allocatedResourcesStatus: [{name: cpu}]}]}",
        expect![[r#"
            status.containerStatuses[0].allocatedResourcesStatus[0].name: Invalid value: "cpu": must match one of the container's resource requests
            status.containerStatuses[0].allocatedResourcesStatus[0].resources[0].health: Unsupported value: "Zap": supported values: "Healthy", "Unhealthy", "Unknown"
            status.containerStatuses[0].allocatedResourcesStatus[0].resources[1].resourceID: Duplicate value: "a"
            status.containerStatuses[0].allocatedResourcesStatus[1].name: Invalid value: "claim:x": must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty
            status.ephemeralContainerStatuses[0].allocatedResourcesStatus: Forbidden: must not be specified in container status
        "#]],
    );
}

#[test]
fn what_has_ended_stays_ended() {
    check_invalid_sub(
        &Pod,
        "status",
        "metadata: {name: p}\nspec: {restartPolicy: OnFailure, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {containerStatuses: [{name: c, state: {terminated: {exitCode: 0}}}]}",
        "metadata: {name: p}\nspec: {restartPolicy: OnFailure, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {containerStatuses: [{name: c, state: {running: {}}}]}",
        expect![[r#"
            status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state
        "#]],
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
        expect![[r#"
            status.ephemeralContainerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state
        "#]],
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
        expect![[r#"
            spec: Forbidden: only cpu and memory resources are mutable
        "#]],
    );
    check_invalid_sub(
        &Pod,
        "resize",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File, resources: {limits: {cpu: 1, memory: 1Gi, a.b/c: 1}, requests: {cpu: 1, memory: 1Gi, a.b/c: 1}}}]}\nstatus: {containerStatuses: [{name: c, state: {running: {}}}]}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File, resources: {limits: {cpu: 2, memory: 1Gi, a.b/c: 1}, requests: {cpu: 2, memory: 1Gi, a.b/c: 1}}}]}\nstatus: {}",
        expect![[r#"
            spec: Forbidden: Pod running on node without support for resize
        "#]],
    );
    check_invalid_sub(
        &Pod,
        "resize",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File, resources: {requests: {cpu: 1}}}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[r#"
            spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing
            spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed
        "#]],
    );
    check_invalid_sub(
        &Pod,
        "resize",
        "metadata: {name: p, annotations: {'kubernetes.io/config.mirror': 'x'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[r#"
            : Forbidden: static pods cannot be resized
        "#]],
    );
    check_invalid_sub(
        &Pod,
        "resize",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], os: {name: windows}}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[r#"
            : Forbidden: windows pods cannot be resized
        "#]],
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
        expect![[r#"
            spec.ephemeralContainers: Forbidden: existing ephemeral containers "e" may not be removed

        "#]],
    );
    check_invalid_sub(
        &Pod,
        "ephemeralcontainers",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], ephemeralContainers: [{name: e, image: ' i', imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[r#"
            spec.ephemeralContainers[0].image: Invalid value: " i": must not have leading or trailing whitespace
        "#]],
    );
    check_invalid_sub(
        &Pod,
        "ephemeralcontainers",
        "metadata: {name: p, annotations: {'kubernetes.io/config.mirror': 'x'}}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[r#"
            : Forbidden: static pods do not support ephemeral containers
        "#]],
    );
    check_invalid_sub(
        &Pod,
        "ephemeralcontainers",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        "metadata: {name: p}\nspec: {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}], ephemeralContainers: [{name: c, restartPolicy: Always, lifecycle: {preStop: {exec: {command: [a]}}}, resources: {limits: {cpu: 1}}, targetContainerName: z, image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}\nstatus: {}",
        expect![[r#"
            spec.ephemeralContainers[0].name: Duplicate value: "c"
            spec.ephemeralContainers[0].targetContainerName: Not found: "z"
            spec.ephemeralContainers[0].resources: Forbidden: cannot be set for an Ephemeral Container
            spec.ephemeralContainers[0].restartPolicy: Forbidden: cannot be set for an Ephemeral Container
            spec.ephemeralContainers[0].lifecycle: Forbidden: cannot be set for an Ephemeral Container
        "#]],
    );
}
