use expect_test::{Expect, expect};

use super::*;
use crate::strategy::testing::{check_invalid, check_invalid_update, check_prepared, in_context, yaml};

const CONTAINER: &str = "name: c, image: i, imagePullPolicy: Always, terminationMessagePolicy: File";

/// A good pod with more in its container and in its spec.
pub(super) fn pod(container: &str, spec: &str) -> String {
    format!(
        "metadata: {{name: p}}\nspec: {{restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{{{CONTAINER}{container}}}]{spec}}}"
    )
}

#[track_caller]
pub(super) fn check_container(more: &str, expected: Expect) {
    check_invalid(&Pod, &pod(&format!(", {more}"), ""), expected);
}

#[track_caller]
pub(super) fn check_spec(more: &str, expected: Expect) {
    check_invalid(&Pod, &pod("", &format!(", {more}")), expected);
}

#[test]
fn a_good_pod_passes() {
    check_invalid(&Pod, &pod("", ""), expect![[""]]);
    check_invalid(
        &Pod,
        "spec: {}",
        expect![[r#"
        spec.containers: Required value
    "#]],
    );
}

#[test]
fn ports_are_checked() {
    check_container(
        "ports: [{containerPort: 0}, {containerPort: 70000, protocol: ZAP, name: A_b}]",
        expect![[r#"
        spec.containers[0].ports[0].containerPort: Required value
        spec.containers[0].ports[0].protocol: Required value
        spec.containers[0].ports[1].name: Invalid value: "A_b": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)
        spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive
        spec.containers[0].ports[1].protocol: Unsupported value: "ZAP": supported values: "SCTP", "TCP", "UDP"
    "#]],
    );
    check_container(
        "ports: [{containerPort: 80, protocol: TCP, hostPort: 1}, {containerPort: 81, protocol: TCP, hostPort: 1}]",
        expect![[r#"
            spec.containers[0].ports[1].hostPort: Duplicate value: "TCP//1"
        "#]],
    );
}

#[test]
fn environment_is_checked() {
    check_container(
        "env: [{name: ''}, {name: a=b}, {name: A, valueFrom: {}}]",
        expect![[r#"
        spec.containers[0].env[0].name: Required value
        spec.containers[0].env[1].name: Invalid value: "a=b": a valid environment variable name must consist only of printable ASCII characters other than '='
        spec.containers[0].env[2].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`
    "#]],
    );
    check_container(
        "env: [{name: A, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: spec.zap}}}]",
        expect![[r#"
        spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.zap": error converting fieldPath: field label not supported: spec.zap
    "#]],
    );
    check_container(
        "env: [{name: A, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: \"metadata.labels['a b']\"}}}]",
        expect![[r#"
            spec.containers[0].env[0].valueFrom.fieldRef: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
        "#]],
    );
    check_container(
        "envFrom: [{}, {configMapRef: {name: ''}}]",
        expect![[r#"
        spec.containers[0].envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`
        spec.containers[0].envFrom[1].configMapRef.name: Required value
    "#]],
    );
}

#[test]
fn probes_are_checked() {
    check_container(
        "livenessProbe: {httpGet: {scheme: HTTP, path: /, port: A_B}, successThreshold: 2}",
        expect![[r#"
        spec.containers[0].livenessProbe.httpGet.port: Invalid value: "A_B": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)
        spec.containers[0].livenessProbe.httpGet.port: Invalid value: "A_B": must contain at least one letter (a-z)
        spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1
    "#]],
    );
    check_container(
        "readinessProbe: {exec: {}, tcpSocket: {port: 1}, periodSeconds: -1}",
        expect![[r#"
        spec.containers[0].readinessProbe.exec.command: Required value
        spec.containers[0].readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type
        spec.containers[0].readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0
    "#]],
    );
    check_container(
        "lifecycle: {preStop: {}}",
        expect![[r#"
        spec.containers[0].lifecycle.preStop: Required value: must specify a handler type
    "#]],
    );
}

#[test]
fn resources_are_checked() {
    check_container(
        "resources: {requests: {cpu: 2}, limits: {cpu: 1}}",
        expect![[r#"
        spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1
    "#]],
    );
    check_container(
        "resources: {limits: {hugepages-2Mi: 3Mi}}",
        expect![[r#"
        spec.containers[0].resources.limits[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi
        spec.containers[0].resources: Forbidden: HugePages require cpu or memory
    "#]],
    );
    check_container(
        "resources: {limits: {a.b/c: '1.5', zap: 1}, requests: {a.b/c: 1}}",
        expect![[r#"
            spec.containers[0].resources.limits[a.b/c]: Invalid value: "1500m": must be an integer
            spec.containers[0].resources.limits[zap]: Invalid value: "zap": must be a standard resource type or fully qualified
            spec.containers[0].resources.limits[zap]: Invalid value: "zap": must be a standard resource for containers
            spec.containers[0].resources.requests: Invalid value: "1": must be equal to a.b/c limit of 1500m
        "#]],
    );
}

#[test]
fn volumes_and_mounts_are_checked() {
    check_spec(
        "volumes: [{name: A_}, {name: v, emptyDir: {}, hostPath: {path: /x}}, {name: w, secret: {}}]",
        expect![[r#"
        spec.volumes[0]: Required value: must specify a volume type
        spec.volumes[0].name: Invalid value: "A_": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
        spec.volumes[1].hostPath: Forbidden: may not specify more than 1 volume type
        spec.volumes[2].secret.secretName: Required value
    "#]],
    );
    check_invalid(
        &Pod,
        &pod(
            ", volumeMounts: [{name: w, mountPath: /m, subPath: ../x}, {name: x, mountPath: /m}]",
            ", volumes: [{name: w, emptyDir: {}}]",
        ),
        expect![[r#"
            spec.containers[0].volumeMounts.subPath: Invalid value: "../x": must not contain '..'
            spec.containers[0].volumeMounts[1].name: Not found: "x"
            spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/m": must be unique
        "#]],
    );
}

#[test]
fn scheduling_is_checked() {
    check_spec(
        "tolerations: [{operator: Equal}, {key: a, operator: Zap}, {key: a, tolerationSeconds: 5}]",
        expect![[r#"
        spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which means "match all values and all keys"
        spec.tolerations[1].operator: Unsupported value: "Zap": supported values: "Equal", "Exists"
        spec.tolerations[2].effect: Invalid value: "": effect must be 'NoExecute' when `tolerationSeconds` is set
    "#]],
    );
    check_spec(
        "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: \
         [{key: k, operator: In}]}]}}}",
        expect![[r#"
            spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'
        "#]],
    );
    check_spec(
        "topologySpreadConstraints: [{maxSkew: 0, topologyKey: a, whenUnsatisfiable: Zap}]",
        expect![[r#"
        spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero
        spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: "Zap": supported values: "DoNotSchedule", "ScheduleAnyway"
    "#]],
    );
    check_spec(
        "schedulingGates: [{name: g}], nodeName: n1",
        expect![[r#"
        spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared
    "#]],
    );
}

#[test]
fn security_is_checked() {
    check_container(
        "securityContext: {privileged: true, allowPrivilegeEscalation: false}",
        expect![[r#"
        spec.containers[0].securityContext: Invalid value: {"Capabilities":null,"Privileged":true,"SELinuxOptions":null,"WindowsOptions":null,"RunAsUser":null,"RunAsGroup":null,"RunAsNonRoot":null,"ReadOnlyRootFilesystem":null,"AllowPrivilegeEscalation":false,"ProcMount":null,"SeccompProfile":null,"AppArmorProfile":null}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true
    "#]],
    );
    check_container(
        "securityContext: {seccompProfile: {type: RuntimeDefault, localhostProfile: x}}",
        expect![[r#"
        spec.containers[0].securityContext.seccompProfile.localhostProfile: Invalid value: {"Type":"RuntimeDefault","LocalhostProfile":"x"}: can only be set when seccomp type is Localhost
    "#]],
    );
    check_spec(
        "os: {name: windows}, hostPID: true, shareProcessNamespace: true",
        expect![[r#"
        spec.securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled
        spec.hostPID: Forbidden: cannot be set for a windows pod
        spec.shareProcessNamespace: Forbidden: cannot be set for a windows pod
    "#]],
    );
    check_spec(
        "securityContext: {fsGroup: -1, sysctls: [{name: a b}]}",
        expect![[r#"
        spec.securityContext.fsGroup: Invalid value: -1: must be between 0 and 2147483647, inclusive
        spec.securityContext.sysctls[0].name: Invalid value: "a b": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$
    "#]],
    );
}

#[test]
fn new_pods_have_a_phase_and_a_class() {
    check_prepared(
        &Pod,
        "metadata: {labels: {app: a}}\nspec: {serviceAccountName: s, schedulingGates: [{name: g}], containers: [{name: c, \
         resources: {requests: {cpu: 1}}}], topologySpreadConstraints: [{matchLabelKeys: [app], labelSelector: {}}]}",
        expect![[r#"
            metadata:
              labels:
                app: a
            spec:
              containers:
              - name: c
                resources:
                  requests:
                    cpu: 1
              schedulingGates:
              - name: g
              serviceAccount: s
              serviceAccountName: s
              topologySpreadConstraints:
              - labelSelector:
                  matchExpressions:
                  - key: app
                    operator: In
                    values:
                    - a
                matchLabelKeys:
                - app
            status:
              conditions:
              - lastProbeTime: null
                lastTransitionTime: "2024-01-01T00:00:00Z"
                message: Scheduling is blocked due to non-empty scheduling gates
                reason: SchedulingGated
                status: "False"
                type: PodScheduled
              phase: Pending
              qosClass: Burstable
        "#]],
    );
}

#[test]
fn images_deadline_and_new_tolerations_may_change() {
    let old = pod("", "");
    check_invalid_update(&Pod, &old, &old.replace("image: i,", "image: j,"), expect![[""]]);
    check_invalid_update(
        &Pod,
        &old,
        &pod("", ", activeDeadlineSeconds: 5, tolerations: [{operator: Exists}]"),
        expect![[""]],
    );
    check_invalid_update(
        &Pod,
        &pod("", ", tolerations: [{operator: Exists}]"),
        &old,
        expect![[r#"
        spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds
    "#]],
    );
    check_invalid_update(
        &Pod,
        &pod("", ", activeDeadlineSeconds: 5"),
        &old,
        expect![[r#"
        spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value
    "#]],
    );
}

#[test]
fn everything_else_stays_and_the_difference_is_shown() {
    let old = pod("", "");
    check_invalid_update(
        &Pod,
        &old,
        &pod("", ", hostname: z, hostPID: true"),
        expect![[r#"
        spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)
        @@ -45,7 +45,7 @@
          "NodeName": "",
          "SecurityContext": {
           "HostNetwork": false,
        -  "HostPID": false,
        +  "HostPID": true,
           "HostIPC": false,
           "ShareProcessNamespace": null,
           "HostUsers": null,
        @@ -64,7 +64,7 @@
           "SELinuxChangePolicy": null
          },
          "ImagePullSecrets": null,
        - "Hostname": "",
        + "Hostname": "z",
          "Subdomain": "",
          "SetHostnameAsFQDN": null,
          "Affinity": null,

    "#]],
    );
    check_invalid_update(
        &Pod,
        &old,
        &pod("", ", schedulingGates: [{name: z}]"),
        expect![[r#"
        spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'z'
    "#]],
    );
}

#[test]
fn gated_pods_may_be_narrowed() {
    let gated = |more: &str| pod("", &format!(", schedulingGates: [{{name: g}}], {more}"));
    check_invalid_update(
        &Pod,
        &gated("nodeSelector: {a: b}"),
        &gated("nodeSelector: {a: b, c: d}"),
        expect![[""]],
    );
    check_invalid_update(
        &Pod,
        &gated("nodeSelector: {a: b}"),
        &gated("nodeSelector: {a: x}"),
        expect![[r#"
            spec.nodeSelector: Invalid value: {"a":"x"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)
        "#]],
    );
}

#[test]
fn grace_depends_on_node_and_phase() {
    let seconds = |text: &str, requested| Pod.graceful_deletion(&yaml(text), requested);
    assert_eq!(seconds("spec: {nodeName: n1}", None), Some(30));
    assert_eq!(seconds("spec: {nodeName: n1, terminationGracePeriodSeconds: 5}", None), Some(5));
    assert_eq!(seconds("spec: {nodeName: n1}", Some(0)), Some(0));
    assert_eq!(seconds("spec: {nodeName: n1}", Some(-1)), Some(1));
    assert_eq!(seconds("spec: {}", Some(7)), Some(0));
    assert_eq!(seconds("spec: {nodeName: n1}\nstatus: {phase: Failed}", None), Some(0));
}

#[test]
fn warnings_are_upstreams() {
    let pod = yaml(&pod(
        ", env: [{name: A}, {name: A}], ports: [{containerPort: 1, hostIP: 1.2.3.4}]",
        ", volumes: [{name: v, gitRepo: {}}], nodeSelector: {beta.kubernetes.io/os: linux}",
    ));
    let warnings = in_context("", |ctx| Pod.warnings(ctx, &pod, None));
    expect![[r#"
        spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead
        spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+
        spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply
        spec.containers[0].ports[0]: hostIP set without hostPort: {Name: HostPort:0 ContainerPort:1 Protocol: HostIP:1.2.3.4}"#]].assert_eq(&warnings.join("\n"));
}

#[test]
fn own_users_share_nothing_with_the_host() {
    check_spec(
        "hostUsers: false, hostPID: true, hostNetwork: true",
        expect![[r#"
            spec.hostNetwork: Forbidden: when `hostUsers` is false
            spec.HostPID: Forbidden: when `hostUsers` is false
        "#]],
    );
    check_spec("hostUsers: true, hostPID: true", expect![[""]]);
}
