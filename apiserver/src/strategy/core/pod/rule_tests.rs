//! A refused pod for each rule that the other tests leave out.

use expect_test::expect;

use super::tests::{check_container, check_spec};

#[test]
fn spec_volumes() {
    check_spec(
        "volumes: [{name: v, ephemeral: {}}]",
        expect![[r#"
        spec.volumes[0].ephemeral.volumeClaimTemplate: Required value
    "#]],
    );
    check_spec(
        "volumes: [{name: v, ephemeral: {volumeClaimTemplate: {metadata: {name: x, uid: u, labels: {'a b': c}}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}}}]",
        expect![[r#"
            spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.labels: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.name: Forbidden: cannot be set
            spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.uID: Forbidden: cannot be set
        "#]],
    );
    check_spec(
        "volumes: [{name: v, ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}}}, {name: w, persistentVolumeClaim: {claimName: p-v}}]",
        expect![[r#"
            spec.volumes[1].persistentVolumeClaim.claimName: Invalid value: "p-v": must not reference a PVC that gets created for an ephemeral volume
        "#]],
    );
    check_spec(
        "volumes: [{name: v, emptyDir: {sizeLimit: '-1'}}, {name: w, gcePersistentDisk: {pdName: d, partition: 300}, cephfs: {monitors: [m]}}]",
        expect![[r#"
            spec.volumes[0].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity
            spec.volumes[1].persistentDisk.partition: Invalid value: 300: must be between 1 and 255, inclusive
            spec.volumes[1].cephFS: Forbidden: may not specify more than 1 volume type
        "#]],
    );
    check_spec(
        "volumes: [{name: v, csi: {driver: d, nodePublishSecretRef: {name: A_}}}]",
        expect![[r#"
        spec.volumes[0].csi.name: Invalid value: "A_": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
    "#]],
    );
    check_spec(
        "volumes: [{name: v, downwardAPI: {defaultMode: 1000, items: [{path: ..x, mode: -1}]}}]",
        expect![[r#"
            spec.volumes[0].downwardAPI.defaultMode: Invalid value: 1000: must be a number between 0 and 0777 (octal), both inclusive
            spec.volumes[0].downwardAPI.path: Invalid value: "..x": must not start with '..'
            spec.volumes[0].downwardAPI: Required value: one of fieldRef and resourceFieldRef is required
            spec.volumes[0].downwardAPI.mode: Invalid value: -1: must be a number between 0 and 0777 (octal), both inclusive
        "#]],
    );
    check_spec(
        "volumes: [{name: v, emptyDir: {}}, {name: v, emptyDir: {}}]",
        expect![[r#"
        spec.volumes[1].name: Duplicate value: "v"
    "#]],
    );
    check_spec(
        "volumes: [{name: v, iscsi: {targetPortal: pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp, iqn: eui.0123456789abcdef, initiatorName: eui.0123456789abcdef}}]",
        expect![[r#"
            spec.volumes[0].name: Invalid value: "v": Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.
        "#]],
    );
}

#[test]
fn spec_projected() {
    check_spec(
        "volumes: [{name: v, projected: {defaultMode: 1000, sources: [{secret: {name: '', items: [{key: k, path: p}]}, configMap: {name: c, items: [{key: k, path: p}]}}]}}]",
        expect![[r#"
            spec.volumes[0].projected.defaultMode: Invalid value: 1000: must be a number between 0 and 0777 (octal), both inclusive
            spec.volumes[0].projected.sources[0].secret.name: Required value
            spec.volumes[0].projected: Invalid value: "c": conflicting duplicate paths
            spec.volumes[0].projected.sources[0]: Forbidden: may not specify more than 1 volume type per source
        "#]],
    );
    check_spec(
        "serviceAccountName: sa, volumes: [{name: v, projected: {sources: [{serviceAccountToken: {expirationSeconds: 5000000000, path: /x}}, {serviceAccountToken: {expirationSeconds: 5}}]}}]",
        expect![[r#"
            spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 5000000000: may not specify a duration larger than 2^32 seconds
            spec.volumes[0].projected.path: Invalid value: "/x": must be a relative path
            spec.volumes[0].projected.sources[1].serviceAccountToken.expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes
            spec.volumes[0].projected.path: Required value
        "#]],
    );
    check_spec(
        "volumes: [{name: v, projected: {sources: [{serviceAccountToken: {expirationSeconds: 600, path: t}}]}}]",
        expect![[r#"
            spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set
        "#]],
    );
    check_spec(
        "volumes: [{name: v, projected: {sources: [{clusterTrustBundle: {path: p}}, {clusterTrustBundle: {name: a, signerName: b/c, path: p}}, {clusterTrustBundle: {name: A_, labelSelector: {}}}, {clusterTrustBundle: {signerName: '', path: q}}]}}]",
        expect![[r#"
            spec.volumes[0].projected.sources[0].clusterTrustBundle: Required value: either name or signerName must be specified
            spec.volumes[0].projected.sources[1].clusterTrustBundle: Invalid value: {"Name":"a","SignerName":"b/c","LabelSelector":null,"Optional":null,"Path":"p"}: only one of name and signerName may be used
            spec.volumes[0].projected: Invalid value: "p": conflicting duplicate paths
            spec.volumes[0].projected.sources[2].clusterTrustBundle.name: Invalid value: "A_": not a valid clustertrustbundlename: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            spec.volumes[0].projected.sources[2].clusterTrustBundle.labelSelector: Invalid value: {}: labelSelector must be unset if name is specified
            spec.volumes[0].projected.sources[2].clusterTrustBundle.path: Required value
            spec.volumes[0].projected.sources[3].clusterTrustBundle.signerName: Required value: must be a valid signer name
            spec.volumes[0].projected.sources[3].clusterTrustBundle.signerName: Required value
        "#]],
    );
    check_spec(
        "volumes: [{name: v, projected: {sources: [{podCertificate: {keyType: Zap, signerName: example.com/x}}]}}]",
        expect![[r#"
            spec.volumes[0].projected.sources[0].podCertificate.keyType: Unsupported value: "Zap": supported values: "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519", "RSA3072", "RSA4096"
            spec.volumes[0].projected.sources[0].podCertificate: Required value: specify at least one of credentialBundlePath, keyPath, and certificateChainPath
        "#]],
    );
}

#[test]
fn spec_resource_claims() {
    check_spec(
        "resourceClaims: [{resourceClaimName: A_}, {name: a, resourceClaimName: b}, {name: a, resourceClaimTemplateName: b}, {name: B_, resourceClaimName: b}]",
        expect![[r#"
            spec.resourceClaims[0].name: Required value
            spec.resourceClaims[0].resourceClaimName: Invalid value: "A_": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            spec.resourceClaims[2].name: Duplicate value: "a"
            spec.resourceClaims[3].name: Invalid value: "B_": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
        "#]],
    );
}

#[test]
fn spec_pod_resources() {
    check_spec(
        "resources: {claims: [{name: x}], limits: {cpu: 1, nvidia.com/gpu: 1}, requests: {zap: 1}}",
        expect![[r#"
            spec.resources.claims: Forbidden: claims cannot be set for Resources at pod-level
            spec.resources.limits[nvidia.com/gpu]: Unsupported value: "nvidia.com/gpu": supported values: "cpu", "hugepages-", "memory"
            spec.resources.requests[zap]: Invalid value: "zap": must be a standard resource type or fully qualified
            spec.resources.claims[0]: Not found: "x": must be one of the names in pod.spec.resourceClaims which is empty
        "#]],
    );
}

#[test]
fn spec_dns() {
    check_spec(
        "dnsPolicy: None, dnsConfig: {}",
        expect![[r#"
        spec.dnsConfig.nameservers: Required value: must provide at least one DNS nameserver when `dnsPolicy` is None
    "#]],
    );
    check_spec(
        "dnsConfig: {nameservers: [a, 10.0.0.1, 10.0.0.2, 10.0.0.3], options: [{value: x}]}",
        expect![[r#"
            spec.dnsConfig.nameservers: Invalid value: ["a","10.0.0.1","10.0.0.2","10.0.0.3"]: must not have more than 3 nameservers
            spec.dnsConfig.nameservers[0]: Invalid value: "a": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)
            spec.dnsConfig.options[0]: Required value: must not be empty
        "#]],
    );
    check_spec(
        "dnsConfig: {searches: [s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15, s16, s17, s18, s19, s20, s21, s22, s23, s24, s25, s26, s27, s28, s29, s30, s31, s32]}",
        expect![[r#"
            spec.dnsConfig.searches: Invalid value: ["s0","s1","s2","s3","s4","s5","s6","s7","s8","s9","s10","s11","s12","s13","s14","s15","s16","s17","s18","s19","s20","s21","s22","s23","s24","s25","s26","s27","s28","s29","s30","s31","s32"]: must not have more than 32 search paths
        "#]],
    );
    check_spec(
        "dnsConfig: {searches: [aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd, aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd, aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd, aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd, aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd, aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd, aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd, aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd, aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd]}",
        expect![[r#"
            spec.dnsConfig.searches: Invalid value: ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd","aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd","aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd","aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd","aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd","aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd","aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd","aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd","aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc.dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"]: must not have more than 2048 characters (including spaces) in the search list
        "#]],
    );
    check_spec(
        "dnsConfig: {searches: [a_b.c., ., -x]}",
        expect![[r#"
        spec.dnsConfig.searches[2]: Invalid value: "-x": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')
    "#]],
    );
}

#[test]
fn spec_affinity() {
    check_spec(
        "affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: {matchExpressions: [{key: a, operator: In, values: ['b c']}]}}]}}",
        expect![[""]],
    );
    check_spec(
        "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Gt, values: ['b c']}], matchFields: [{key: spec.x, operator: Exists, values: [a]}, {key: metadata.name, operator: In, values: [A_]}]}]}}}",
        expect![[r#"
            spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].values[0]: Invalid value: "b c": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')
            spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].operator: Invalid value: "Exists": not a valid selector operator
            spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].key: Invalid value: "spec.x": not a valid field selector key
            spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[1].values[0]: Invalid value: "A_": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
        "#]],
    );
    check_spec(
        "affinity: {podAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: t, matchLabelKeys: [a], mismatchLabelKeys: ['b c']}]}}",
        expect![[r#"
            spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set
            spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].mismatchLabelKeys: Forbidden: must not be specified when labelSelector is not set
        "#]],
    );
    check_spec(
        "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: t, labelSelector: {matchLabels: {a: b}, matchExpressions: [{key: a, operator: Exists}]}, matchLabelKeys: [a], mismatchLabelKeys: [a]}]}}",
        expect![[r#"
            spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0][0]: Invalid value: "a": exists in both matchLabelKeys and labelSelector
            spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].matchLabelKeys[0]: Invalid value: "a": exists in both matchLabelKeys and mismatchLabelKeys
        "#]],
    );
}

#[test]
fn spec_tolerations() {
    check_spec(
        "tolerations: [{key: a, operator: Exists, value: v}, {key: a, effect: Zap}, {key: 'a b', operator: Exists}]",
        expect![[r#"
            spec.tolerations[0].operator: Invalid value: "v": value must be empty when `operator` is 'Exists'
            spec.tolerations[1].effect: Unsupported value: "Zap": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"
            spec.tolerations[2].key: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
        "#]],
    );
}

#[test]
fn spec_spread() {
    check_spec(
        "topologySpreadConstraints: [{maxSkew: 1, whenUnsatisfiable: DoNotSchedule, labelSelector: {}}, {maxSkew: 1, topologyKey: a, whenUnsatisfiable: DoNotSchedule, minDomains: 0, labelSelector: {}}, {maxSkew: 1, topologyKey: a, whenUnsatisfiable: DoNotSchedule, nodeTaintsPolicy: Zap, labelSelector: {}}]",
        expect![[r#"
            spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty
            spec.topologySpreadConstraints[1].{topologyKey, whenUnsatisfiable}: Duplicate value: "{a, DoNotSchedule}"
            spec.topologySpreadConstraints[1].minDomains: Invalid value: 0: must be greater than zero
            spec.topologySpreadConstraints[2].nodeTaintsPolicy: Unsupported value: "Zap": supported values: "Honor", "Ignore"
        "#]],
    );
}

#[test]
fn spec_gates() {
    check_spec(
        "schedulingGates: [{name: ''}, {name: a.b/c}, {name: a.b/c}]",
        expect![[r#"
        spec.schedulingGates[0]: Invalid value: "": name part must be non-empty
        spec.schedulingGates[0]: Invalid value: "": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
        spec.schedulingGates[2]: Duplicate value: "a.b/c"
    "#]],
    );
}

#[test]
fn spec_windows() {
    check_spec(
        "os: {}",
        expect![[r#"
        spec.os.name: Required value: cannot be empty
    "#]],
    );
    check_spec(
        "os: {name: linux}, securityContext: {windowsOptions: {runAsUserName: u}}",
        expect![[r#"
        spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod
    "#]],
    );
    check_spec(
        "os: {name: windows}, hostUsers: true, hostIPC: true, securityContext: {seLinuxOptions: {}, fsGroup: 1, sysctls: [{name: a}], runAsUser: 1, supplementalGroups: [1], appArmorProfile: {type: Unconfined}}",
        expect![[r#"
            spec.securityContext.appArmorProfile: Forbidden: cannot be set for a windows pod
            spec.securityContext.seLinuxOptions: Forbidden: cannot be set for a windows pod
            spec.hostUsers: Forbidden: cannot be set for a windows pod
            spec.hostIPC: Forbidden: cannot be set for a windows pod
            spec.securityContext.fsGroup: Forbidden: cannot be set for a windows pod
            spec.securityContext.sysctls: Forbidden: cannot be set for a windows pod
            spec.securityContext.runAsUser: Forbidden: cannot be set for a windows pod
            spec.securityContext.supplementalGroups: Forbidden: cannot be set for a windows pod
        "#]],
    );
    check_spec(
        "securityContext: {windowsOptions: {gmsaCredentialSpecName: '', gmsaCredentialSpec: '', hostProcess: true}}",
        expect![[r#"
            spec.securityContext.windowsOptions.gmsaCredentialSpecName: Invalid value: "": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            spec.securityContext.windowsOptions.gmsaCredentialSpec: Invalid value: "": gmsaCredentialSpec cannot be an empty string
            spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers
        "#]],
    );
    check_spec(
        "securityContext: {windowsOptions: {hostProcess: false}}, hostNetwork: true, initContainers: [{name: i, image: i, imagePullPolicy: Always, terminationMessagePolicy: File, securityContext: {windowsOptions: {hostProcess: true}}}]",
        expect![[r#"
            spec.initContainers[0].securityContext.windowsOptions.hostProcess: Invalid value: true: pod hostProcess value must be identical if both are specified, was false
            spec: Invalid value: "": If pod contains any hostProcess containers then all containers must be HostProcess containers
        "#]],
    );
}

#[test]
fn spec_security() {
    check_spec(
        "securityContext: {supplementalGroups: [-1], runAsUser: -1, runAsGroup: -1, supplementalGroupsPolicy: Zap}",
        expect![[r#"
            spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive
            spec.securityContext.runAsGroup: Invalid value: -1: must be between 0 and 2147483647, inclusive
            spec.securityContext.supplementalGroups[0]: Invalid value: -1: must be between 0 and 2147483647, inclusive
            spec.securityContext.supplementalGroupsPolicy: Unsupported value: "Zap": supported values: "Merge", "Strict"
        "#]],
    );
    check_spec(
        "hostNetwork: true, hostIPC: true, securityContext: {sysctls: [{name: net/ipv4/x}, {name: kernel.shmmax}, {name: kernel.zap}, {name: net.a}, {name: net.a}, {name: ''}]}",
        expect![[r#"
            spec.securityContext.sysctls[0].name: Invalid value: "net/ipv4/x": may not be specified when 'hostNetwork' is true
            spec.securityContext.sysctls[1].name: Invalid value: "kernel.shmmax": may not be specified when 'hostIPC' is true
            spec.securityContext.sysctls[3].name: Invalid value: "net.a": may not be specified when 'hostNetwork' is true
            spec.securityContext.sysctls[4].name: Duplicate value: "net.a"
            spec.securityContext.sysctls[4].name: Invalid value: "net.a": may not be specified when 'hostNetwork' is true
            spec.securityContext.sysctls[5].name: Required value
        "#]],
    );
    check_spec(
        "securityContext: {seccompProfile: {localhostProfile: x}, appArmorProfile: {type: Unconfined, localhostProfile: x}}",
        expect![[r#"
            spec.securityContext.seccompProfile.type: Required value: type is required when seccompProfile is set
            spec.securityContext.seccompProfile.localhostProfile: Invalid value: {"Type":"","LocalhostProfile":"x"}: can only be set when seccomp type is Localhost
            spec.securityContext.appArmorProfile.localhostProfile: Invalid value: "x": can only be set when AppArmor type is Localhost
        "#]],
    );
    check_spec(
        "securityContext: {seccompProfile: {type: Localhost, localhostProfile: /x}, appArmorProfile: {type: Localhost, localhostProfile: ' x'}}",
        expect![[r#"
            spec.securityContext.seccompProfile.localhostProfile: Invalid value: "/x": must be a relative path
            spec.securityContext.appArmorProfile.localhostProfile: Invalid value: " x": must not be padded with whitespace
        "#]],
    );
    check_spec(
        "securityContext: {appArmorProfile: {type: Zap}}",
        expect![[r#"
        spec.securityContext.appArmorProfile.type: Unsupported value: "Zap": supported values: "Localhost", "RuntimeDefault", "Unconfined"
    "#]],
    );
    check_spec(
        "securityContext: {appArmorProfile: {localhostProfile: x}}",
        expect![[r#"
        spec.securityContext.appArmorProfile.type: Required value: type is required when appArmorProfile is set
    "#]],
    );
    check_spec(
        "securityContext: {appArmorProfile: {type: Localhost, localhostProfile: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx}}",
        expect![[r#"
            spec.securityContext.appArmorProfile.localhostProfile: Too long: may not be more than 4095 bytes
        "#]],
    );
}

#[test]
fn spec_names() {
    check_spec(
        "priorityClassName: A_, runtimeClassName: '', serviceAccountName: A_, preemptionPolicy: Zap",
        expect![[r#"
            spec.serviceAccountName: Invalid value: "A_": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            spec.priorityClassName: Invalid value: "A_": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            spec.runtimeClassName: Invalid value: "": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            spec.preemptionPolicy: Unsupported value: "Zap": supported values: "PreemptLowerPriority", "Never"
        "#]],
    );
    check_spec(
        "preemptionPolicy: '', overhead: {cpu: -1, zap: 1}",
        expect![[r#"
        spec.preemptionPolicy: Required value
        spec.overhead.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0
        spec.overhead.limits[zap]: Invalid value: "zap": must be a standard resource type or fully qualified
        spec.overhead.limits[zap]: Invalid value: "zap": must be a standard resource for containers
    "#]],
    );
    check_spec(
        "nodeSelector: {'a b': c}, hostnameOverride: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        expect![[r#"
            spec.nodeSelector: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            spec.hostnameOverride: Too long: may not be more than 64 bytes
        "#]],
    );
}

#[test]
fn spec_init() {
    check_spec(
        "initContainers: [{name: i, image: i, imagePullPolicy: Always, terminationMessagePolicy: File, startupProbe: {exec: {command: [a]}}}, {name: s, image: i, imagePullPolicy: Always, terminationMessagePolicy: File, restartPolicy: Always, livenessProbe: {exec: {command: [a]}, successThreshold: 2}, ports: [{containerPort: 1, hostPort: 1, protocol: TCP}, {containerPort: 2, hostPort: 1, protocol: TCP}]}]",
        expect![[r#"
            spec.initContainers[0].startupProbe: Forbidden: may not be set for init containers without restartPolicy=Always
            spec.initContainers[0].ports[1].hostPort: Duplicate value: "TCP//1"
            spec.initContainers[1].livenessProbe.successThreshold: Invalid value: 2: must be 1
        "#]],
    );
}

#[test]
fn container_restart() {
    check_container(
        "restartPolicy: Never, restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 139, 140, 141, 142, 143, 144, 145, 146, 147, 148, 149, 150, 151, 152, 153, 154, 155, 156, 157, 158, 159, 160, 161, 162, 163, 164, 165, 166, 167, 168, 169, 170, 171, 172, 173, 174, 175, 176, 177, 178, 179, 180, 181, 182, 183, 184, 185, 186, 187, 188, 189, 190, 191, 192, 193, 194, 195, 196, 197, 198, 199, 200, 201, 202, 203, 204, 205, 206, 207, 208, 209, 210, 211, 212, 213, 214, 215, 216, 217, 218, 219, 220, 221, 222, 223, 224, 225, 226, 227, 228, 229, 230, 231, 232, 233, 234, 235, 236, 237, 238, 239, 240, 241, 242, 243, 244, 245, 246, 247, 248, 249, 250, 251, 252, 253, 254, 255]}}]",
        expect![[r#"
            spec.containers[0].restartPolicyRules[0].exitCodes.values: Too many: 256: must have at most 255 items
        "#]],
    );
    check_container(
        "restartPolicy: Never, restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}, {action: Restart, exitCodes: {operator: In, values: [1]}}]",
        expect![[r#"
            spec.containers[0].restartPolicyRules: Too many: 21: must have at most 20 items
        "#]],
    );
}

#[test]
fn container_resize() {
    check_container(
        "resizePolicy: [{resourceName: cpu, restartPolicy: NotRequired}, {resourceName: cpu}, {restartPolicy: NotRequired}]",
        expect![[r#"
            spec.containers[0].resizePolicy[1]: Duplicate value: "cpu"
            spec.containers[0].resizePolicy: Required value
            spec.containers[0].resizePolicy: Required value
        "#]],
    );
}

#[test]
fn container_hooks() {
    check_container(
        "lifecycle: {preStop: {sleep: {seconds: 31}}, postStart: {sleep: {seconds: -1}}}",
        expect![[r#"
            spec.containers[0].lifecycle.postStart.sleep: Invalid value: -1: must be non-negative and less than terminationGracePeriodSeconds (30)
            spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)
        "#]],
    );
    check_container(
        "livenessProbe: {httpGet: {port: 80, scheme: Zap, httpHeaders: [{name: 'a b'}]}, terminationGracePeriodSeconds: 0, successThreshold: 1}",
        expect![[r#"
            spec.containers[0].livenessProbe.httpGet.path: Required value
            spec.containers[0].livenessProbe.httpGet.scheme: Unsupported value: "Zap": supported values: "HTTP", "HTTPS"
            spec.containers[0].livenessProbe.httpGet.httpHeaders: Invalid value: "a b": a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')
            spec.containers[0].livenessProbe.terminationGracePeriodSeconds: Invalid value: 0: must be greater than 0
        "#]],
    );
    check_container(
        "readinessProbe: {exec: {command: [a]}, terminationGracePeriodSeconds: 5}",
        expect![[r#"
            spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for readinessProbes
        "#]],
    );
    check_container(
        "startupProbe: {grpc: {port: 70000}, successThreshold: 0}",
        expect![[r#"
        spec.containers[0].startupProbe.grpc.port: Invalid value: 70000: must be between 1 and 65535, inclusive
        spec.containers[0].startupProbe.successThreshold: Invalid value: 0: must be 1
    "#]],
    );
}

#[test]
fn container_env() {
    check_container(
        "env: [{name: A, valueFrom: {fileKeyRef: {volumeName: A_, path: /x}}}]",
        expect![[r#"
        spec.containers[0].env[0].valueFrom.fileKeyRef.key: Required value
        spec.containers[0].env[0].valueFrom.fileKeyRef.volumeName: Invalid value: "A_": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
        spec.containers[0].env[0].valueFrom.fileKeyRef.path: Invalid value: "/x": must be a relative path
    "#]],
    );
    check_container(
        "env: [{name: A, value: v, valueFrom: {secretKeyRef: {name: s, key: k}}}]",
        expect![[r#"
            spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty
        "#]],
    );
    check_container(
        "env: [{name: A, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: \"metadata.name['x']\"}}}, {name: B, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]",
        expect![[r#"
            spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "metadata.name['x']": error converting fieldPath: field label does not support subscript: metadata.name['x']
            spec.containers[0].env[1].valueFrom.fieldRef.apiVersion: Required value
        "#]],
    );
    check_container(
        "env: [{name: A, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: \"metadata.annotations['A b']\"}}}]",
        expect![[r#"
            spec.containers[0].env[0].valueFrom.fieldRef: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
        "#]],
    );
    check_container(
        "env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.hugepages-2Mi, divisor: 3}}}, {name: B, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 3}}}, {name: C, valueFrom: {resourceFieldRef: {resource: requests.ephemeral-storage, divisor: 3}}}, {name: D, valueFrom: {resourceFieldRef: {}}}]",
        expect![[r#"
            spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.hugepages-2Mi": only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the hugepages resource
            spec.containers[0].env[1].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.memory": only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the memory resource
            spec.containers[0].env[2].valueFrom.resourceFieldRef.divisor: Invalid value: "requests.ephemeral-storage": only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the local ephemeral storage resource
            spec.containers[0].env[3].valueFrom.resourceFieldRef.resource: Required value
        "#]],
    );
    check_container(
        "envFrom: [{prefix: 'a=', secretRef: {name: A_}, configMapRef: {name: c}}]",
        expect![[r#"
            spec.containers[0].envFrom[0].prefix: Invalid value: "a=": a valid environment variable name must consist only of printable ASCII characters other than '='
            spec.containers[0].envFrom[0].secretRef.name: Invalid value: "A_": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            spec.containers[0].envFrom: Invalid value: "": may not have more than one field specified at a time
        "#]],
    );
}

#[test]
fn container_resources() {
    check_container(
        "resources: {claims: [{name: ''}, {name: a, request: B_}, {name: a, request: B_}, {name: a}]}",
        expect![[r#"
            spec.containers[0].resources.claims[0]: Required value
            spec.containers[0].resources.claims[1].request: Invalid value: "B_": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
            spec.containers[0].resources.claims[1]: Not found: "a": must be one of the names in pod.spec.resourceClaims which is empty
            spec.containers[0].resources.claims[2].request: Invalid value: "B_": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
            spec.containers[0].resources.claims[2]: Duplicate value: "a/B_"
            spec.containers[0].resources.claims[2]: Not found: "a": must be one of the names in pod.spec.resourceClaims which is empty
            spec.containers[0].resources.claims[3]: Duplicate value: "a"
            spec.containers[0].resources.claims[3]: Duplicate value: "a"
            spec.containers[0].resources.claims[3]: Not found: "a": must be one of the names in pod.spec.resourceClaims which is empty
        "#]],
    );
    check_container(
        "resources: {requests: {a.b/c: 1}}",
        expect![[r#"
        spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources
    "#]],
    );
    check_container(
        "resources: {limits: {pods: 1, 'a b': 1, kubernetes.io/x: 1}}",
        expect![[r#"
        spec.containers[0].resources.limits[a b]: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
        spec.containers[0].resources.limits[a b]: Invalid value: "a b": must be a standard resource for containers
        spec.containers[0].resources.limits[pods]: Invalid value: "pods": must be a standard resource for containers
    "#]],
    );
}

#[test]
fn container_mounts() {
    check_container(
        "volumeMounts: [{name: x, mountPath: /m, subPath: a, subPathExpr: /b, recursiveReadOnly: Enabled, readOnly: true, mountPropagation: HostToContainer}], volumeDevices: [{name: x, devicePath: /a/../b}, {name: x, devicePath: ''}]",
        expect![[r#"
            spec.containers[0].volumeMounts[0].name: Not found: "x"
            spec.containers[0].volumeMounts[0].name: Invalid value: "x": must not already exist in volumeDevices
            spec.containers[0].volumeMounts[0].subPathExpr: Invalid value: "/b": subPathExpr and subPath are mutually exclusive
            spec.containers[0].volumeMounts.subPathExpr: Invalid value: "/b": must be a relative path
            spec.containers[0].volumeMounts.recursiveReadOnly: Forbidden: may only be specified when mountPropagation is None or not specified
            spec.containers[0].volumeDevices[0].name: Not found: "x"
            spec.containers[0].volumeDevices[0].devicePath: Invalid value: "/a/../b": can not contain backsteps ('..')
            spec.containers[0].volumeDevices[0].name: Invalid value: "x": must not already exist in volumeMounts
            spec.containers[0].volumeDevices[1].name: Invalid value: "x": must be unique
            spec.containers[0].volumeDevices[1].name: Not found: "x"
            spec.containers[0].volumeDevices[1].devicePath: Required value
            spec.containers[0].volumeDevices[1].name: Invalid value: "x": must not already exist in volumeMounts
        "#]],
    );
}

#[test]
fn container_security() {
    check_container(
        "securityContext: {runAsUser: -1, runAsGroup: -1, procMount: Zap}",
        expect![[r#"
        spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive
        spec.containers[0].securityContext.runAsGroup: Invalid value: -1: must be between 0 and 2147483647, inclusive
        spec.containers[0].securityContext.procMount: Unsupported value: "Zap": supported values: "Default", "Unmasked"
    "#]],
    );
}
