//! What the tables do not say: the least that makes an object of a kind valid, its name where not any will do, and a
//! status that its controller might write. Kinds without a line need nothing.

/// A pod's template with the labels that selectors here look for.
macro_rules! template {
    ($restart:literal) => {
        concat!(
            r#"{"metadata":{"labels":{"a":"b"}},"spec":{"restartPolicy":""#,
            $restart,
            r#"","automountServiceAccountToken":false,"containers":[{"name":"c","image":"i"}]}}"#
        )
    };
}

const ADMISSION_RULE: &str = concat!(
    r#"{"resourceRules":[{"operations":["CREATE"],"apiGroups":["apps"],"apiVersions":["v1"],"#,
    r#""resources":["deployments"]}]}"#
);

/// Group (of the version, where versions differ), resource, name and members. `@RULE`, `@CSR` and `@PEM` stand for texts
/// that are long.
#[rustfmt::skip]
const OBJECTS: &[(&str, &str, &str, &str)] = &[
    ("", "events", "n", r#"{"involvedObject":{"kind":"Pod","namespace":"kinds","name":"p"},"reason":"R","type":"Normal"}"#),
    ("", "persistentvolumeclaims", "n", r#"{"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1024Mi"}}}}"#),
    ("", "persistentvolumes", "n", r#"{"spec":{"accessModes":["ReadWriteOnce"],"capacity":{"storage":"1Gi"},"hostPath":{"path":"/d"}}}"#),
    ("", "pods", "n", r#"{"spec":{"automountServiceAccountToken":false,"containers":[{"name":"c","image":"i","resources":{"requests":{"cpu":"0.5"}}}]}}"#),
    ("", "podtemplates", "n", concat!(r#"{"template":"#, template!("Always"), "}")),
    ("", "replicationcontrollers", "n", concat!(r#"{"spec":{"replicas":0,"selector":{"a":"b"},"template":"#, template!("Always"), "}}")),
    ("", "resourcequotas", "n", r#"{"spec":{"hard":{"pods":"5"}}}"#),
    ("", "limitranges", "n", r#"{"spec":{"limits":[{"type":"Container","max":{"cpu":"2000m"}}]}}"#),
    ("", "secrets", "n", r#"{"data":{"k":"AAEC","e":""},"type":"Opaque"}"#),
    ("", "configmaps", "n", r#"{"data":{"b":"2","a":"é"},"binaryData":{"k":"/w=="}}"#),
    ("", "services", "n", r#"{"spec":{"clusterIP":"None","selector":{"a":"b"},"ports":[{"port":80,"targetPort":"web"}]}}"#),
    ("", "endpoints", "n", r#"{"subsets":[{"addresses":[{"ip":"192.0.2.1"}],"ports":[{"port":80}]}]}"#),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies", "n", r#"{"spec":{"matchConstraints":@RULE,"failurePolicy":"Fail","reinvocationPolicy":"Never","mutations":[{"patchType":"JSONPatch","jsonPatch":{"expression":"[]"}}]}}"#),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings", "n", r#"{"spec":{"policyName":"p"}}"#),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "n", r#"{"webhooks":[{"name":"w.example.com","sideEffects":"None","admissionReviewVersions":["v1"],"clientConfig":{"url":"https://e.example"}}]}"#),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies", "n", r#"{"spec":{"matchConstraints":@RULE,"validations":[{"expression":"true"}]}}"#),
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings", "n", r#"{"spec":{"policyName":"p","validationActions":["Deny"]}}"#),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations", "n", r#"{"webhooks":[{"name":"w.example.com","sideEffects":"None","admissionReviewVersions":["v1"],"clientConfig":{"service":{"namespace":"a","name":"b"}}}]}"#),
    ("apiextensions.k8s.io", "customresourcedefinitions", "things.kinds.example.com", r#"{"spec":{"group":"kinds.example.com","scope":"Namespaced","names":{"plural":"things","kind":"Thing"},"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object","additionalProperties":{"type":"string"}}}}}}]}}"#),
    ("apiregistration.k8s.io", "apiservices", "v1.remote.example.com", r#"{"spec":{"group":"remote.example.com","version":"v1","groupPriorityMinimum":100,"versionPriority":10,"service":{"namespace":"a","name":"b"},"insecureSkipTLSVerify":true}}"#),
    ("apps", "controllerrevisions", "n", r#"{"data":{"spec":{"z":1,"a":[true]}},"revision":2}"#),
    ("apps", "daemonsets", "n", concat!(r#"{"spec":{"selector":{"matchLabels":{"a":"b"}},"template":"#, template!("Always"), "}}")),
    ("apps", "deployments", "n", concat!(r#"{"spec":{"replicas":0,"selector":{"matchLabels":{"a":"b"}},"strategy":{"rollingUpdate":{"maxSurge":1}},"template":"#, template!("Always"), "}}")),
    ("apps", "replicasets", "n", concat!(r#"{"spec":{"selector":{"matchLabels":{"a":"b"}},"template":"#, template!("Always"), "}}")),
    ("apps", "statefulsets", "n", concat!(r#"{"spec":{"serviceName":"s","selector":{"matchLabels":{"a":"b"}},"template":"#, template!("Always"), "}}")),
    ("autoscaling", "horizontalpodautoscalers", "n", r#"{"spec":{"maxReplicas":3,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"d"}}}"#),
    ("batch", "cronjobs", "n", concat!(r#"{"spec":{"schedule":"* * * * *","jobTemplate":{"spec":{"template":"#, template!("Never"), "}}}}")),
    ("batch", "jobs", "n", concat!(r#"{"spec":{"manualSelector":true,"selector":{"matchLabels":{"a":"b"}},"template":"#, template!("Never"), "}}")),
    ("certificates.k8s.io", "certificatesigningrequests", "n", r#"{"spec":{"request":"@CSR","signerName":"example.com/s","usages":["client auth"]}}"#),
    ("certificates.k8s.io", "clustertrustbundles", "n", r#"{"spec":{"trustBundle":"@PEM"}}"#),
    ("certificates.k8s.io", "podcertificaterequests", "n", r#"{"spec":{"signerName":"example.com/s","podName":"p","podUID":"5ef0a8b2-0f9c-4c55-8a4e-7dcb1b7a2f01","serviceAccountName":"a","serviceAccountUID":"5ef0a8b2-0f9c-4c55-8a4e-7dcb1b7a2f02","nodeName":"m","nodeUID":"5ef0a8b2-0f9c-4c55-8a4e-7dcb1b7a2f03","stubPKCS10Request":"AQID"}}"#),
    ("coordination.k8s.io", "leases", "n", r#"{"spec":{"holderIdentity":"h","leaseDurationSeconds":10,"renewTime":"2026-01-01T00:00:00.000001Z"}}"#),
    ("coordination.k8s.io", "leasecandidates", "n", r#"{"spec":{"leaseName":"l","binaryVersion":"1.36.0","emulationVersion":"1.36.0","strategy":"OldestEmulationVersion"}}"#),
    ("discovery.k8s.io", "endpointslices", "n", r#"{"addressType":"IPv4","endpoints":[{"addresses":["192.0.2.1"]}],"ports":[{"port":80}]}"#),
    ("events.k8s.io", "events", "n", r#"{"eventTime":"2026-01-01T00:00:00.000002Z","reportingController":"e.com/c","reportingInstance":"i","action":"A","reason":"R","type":"Normal","regarding":{"kind":"Pod","namespace":"kinds","name":"p"}}"#),
    ("flowcontrol.apiserver.k8s.io", "flowschemas", "n", r#"{"spec":{"priorityLevelConfiguration":{"name":"workload-low"},"matchingPrecedence":500}}"#),
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", "n", r#"{"spec":{"type":"Limited","limited":{"nominalConcurrencyShares":5,"limitResponse":{"type":"Reject"}}}}"#),
    ("internal.apiserver.k8s.io", "storageversions", "apps.deployments", "{}"),
    ("networking.k8s.io", "ingressclasses", "n", r#"{"spec":{"controller":"e.com/c"}}"#),
    ("networking.k8s.io", "ingresses", "n", r#"{"spec":{"rules":[{"http":{"paths":[{"path":"/","pathType":"Prefix","backend":{"service":{"name":"s","port":{"number":80}}}}]}}]}}"#),
    ("networking.k8s.io", "ipaddresses", "192.0.2.9", r#"{"spec":{"parentRef":{"resource":"services","namespace":"kinds","name":"s"}}}"#),
    ("networking.k8s.io", "networkpolicies", "n", r#"{"spec":{"podSelector":{},"ingress":[{"ports":[{"port":"web"}]}]}}"#),
    ("networking.k8s.io", "servicecidrs", "n", r#"{"spec":{"cidrs":["10.97.0.0/24"]}}"#),
    ("node.k8s.io", "runtimeclasses", "n", r#"{"handler":"h"}"#),
    ("policy", "poddisruptionbudgets", "n", r#"{"spec":{"minAvailable":"50%","selector":{"matchLabels":{"a":"b"}}}}"#),
    ("rbac.authorization.k8s.io", "clusterrolebindings", "n", r#"{"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"view"}}"#),
    ("rbac.authorization.k8s.io", "clusterroles", "n", r#"{"rules":[{"verbs":["get"],"nonResourceURLs":["/x"]}]}"#),
    ("rbac.authorization.k8s.io", "rolebindings", "n", r#"{"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"r"},"subjects":[{"kind":"User","name":"u","apiGroup":"rbac.authorization.k8s.io"}]}"#),
    ("rbac.authorization.k8s.io", "roles", "n", r#"{"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]}"#),
    ("resource.k8s.io", "deviceclasses", "n", r#"{"spec":{"selectors":[{"cel":{"expression":"true"}}]}}"#),
    ("resource.k8s.io/v1beta1", "resourceclaims", "n", r#"{"spec":{"devices":{"requests":[{"name":"r","deviceClassName":"c"}]}}}"#),
    ("resource.k8s.io/v1beta1", "resourceclaimtemplates", "n", r#"{"spec":{"spec":{"devices":{"requests":[{"name":"r","deviceClassName":"c"}]}}}}"#),
    ("resource.k8s.io/v1beta1", "resourceslices", "n", r#"{"spec":{"driver":"d.example.com","nodeName":"m","pool":{"name":"p","generation":1,"resourceSliceCount":1},"devices":[{"name":"a","basic":{"attributes":{"x":{"int":1}}}}]}}"#),
    ("resource.k8s.io", "resourceclaims", "n", r#"{"spec":{"devices":{"requests":[{"name":"r","exactly":{"deviceClassName":"c"}}]}}}"#),
    ("resource.k8s.io", "resourceclaimtemplates", "n", r#"{"spec":{"spec":{"devices":{"requests":[{"name":"r","exactly":{"deviceClassName":"c"}}]}}}}"#),
    ("resource.k8s.io", "resourceslices", "n", r#"{"spec":{"driver":"d.example.com","nodeName":"m","pool":{"name":"p","generation":1,"resourceSliceCount":1},"devices":[{"name":"a","attributes":{"x":{"int":1}}}]}}"#),
    ("resource.k8s.io", "devicetaintrules", "n", r#"{"spec":{"deviceSelector":{"driver":"d.example.com"},"taint":{"key":"k","effect":"NoSchedule"}}}"#),
    ("resource.k8s.io", "resourcepoolstatusrequests", "n", r#"{"spec":{"driver":"d.example.com"}}"#),
    ("scheduling.k8s.io", "priorityclasses", "n", r#"{"value":7}"#),
    ("scheduling.k8s.io", "podgroups", "n", r#"{"spec":{"schedulingPolicy":{"gang":{"minCount":2}}}}"#),
    ("scheduling.k8s.io", "workloads", "n", r#"{"spec":{"podGroupTemplates":[{"name":"t","schedulingPolicy":{"basic":{}}}]}}"#),
    ("storage.k8s.io", "csidrivers", "n", r#"{"spec":{"attachRequired":false}}"#),
    ("storage.k8s.io", "csinodes", "n", r#"{"spec":{"drivers":[{"name":"d","nodeID":"i","topologyKeys":["t"]}]}}"#),
    ("storage.k8s.io", "csistoragecapacities", "n", r#"{"storageClassName":"s","capacity":"1.5Gi","nodeTopology":{}}"#),
    ("storage.k8s.io", "storageclasses", "n", r#"{"provisioner":"p","parameters":{"b":"2","a":"1"}}"#),
    ("storage.k8s.io", "volumeattachments", "n", r#"{"spec":{"attacher":"a","nodeName":"m","source":{"persistentVolumeName":"v"}}}"#),
    ("storage.k8s.io", "volumeattributesclasses", "n", r#"{"driverName":"d.example.com","parameters":{"a":"1"}}"#),
    ("storagemigration.k8s.io", "storageversionmigrations", "n", r#"{"spec":{"resource":{"group":"apps","resource":"deployments"}}}"#),
];

/// A condition as most kinds have it.
const CONDITIONS: &str = r#"{"conditions":[{"type":"T","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z","reason":"R","message":"m"}]}"#;

/// Group, resource and status. Others write [`CONDITIONS`].
#[rustfmt::skip]
const STATUSES: &[(&str, &str, &str)] = &[
    ("", "namespaces", r#"{"phase":"Active","conditions":[{"type":"T","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z"}]}"#),
    ("", "nodes", r#"{"capacity":{"cpu":"4"},"conditions":[{"type":"Ready","status":"True"}]}"#),
    ("", "persistentvolumeclaims", r#"{"phase":"Bound","capacity":{"storage":"2Gi"}}"#),
    ("", "persistentvolumes", r#"{"phase":"Available","reason":"R"}"#),
    ("", "pods", r#"{"phase":"Running","podIP":"192.0.2.2","startTime":"2026-01-01T00:00:00Z"}"#),
    ("", "replicationcontrollers", r#"{"replicas":2,"readyReplicas":1}"#),
    ("", "resourcequotas", r#"{"hard":{"pods":"5"},"used":{"pods":"1"}}"#),
    ("admissionregistration.k8s.io", "validatingadmissionpolicies", r#"{"observedGeneration":1}"#),
    ("apiextensions.k8s.io", "customresourcedefinitions", r#"{"storedVersions":["v1"],"observedGeneration":1}"#),
    ("apps", "daemonsets", r#"{"observedGeneration":1,"currentNumberScheduled":0,"numberMisscheduled":0,"desiredNumberScheduled":2,"numberReady":0}"#),
    ("apps", "deployments", r#"{"observedGeneration":1,"replicas":1}"#),
    ("apps", "replicasets", r#"{"observedGeneration":1,"replicas":1}"#),
    ("apps", "statefulsets", r#"{"observedGeneration":1,"replicas":1}"#),
    ("autoscaling", "horizontalpodautoscalers", r#"{"currentReplicas":2,"desiredReplicas":1,"lastScaleTime":"2026-01-01T00:00:00Z"}"#),
    ("batch", "cronjobs", r#"{"lastScheduleTime":"2026-01-01T00:00:00Z"}"#),
    ("batch", "jobs", r#"{"active":1,"startTime":"2026-01-01T00:00:00Z"}"#),
    ("certificates.k8s.io", "certificatesigningrequests", r#"{"conditions":[{"type":"Failed","status":"True","reason":"R"}]}"#),
    ("certificates.k8s.io", "podcertificaterequests", r#"{"conditions":[{"type":"Failed","status":"True","reason":"R","message":"m","lastTransitionTime":"2026-01-01T00:00:00Z"}]}"#),
    ("flowcontrol.apiserver.k8s.io", "flowschemas", r#"{"conditions":[{"type":"Dangling","status":"False","reason":"Found"}]}"#),
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", r#"{"conditions":[{"type":"T","status":"True","reason":"R"}]}"#),
    ("internal.apiserver.k8s.io", "storageversions", r#"{"commonEncodingVersion":"v1","storageVersions":[{"apiServerID":"a","encodingVersion":"v1","decodableVersions":["v1"],"servedVersions":["v1"]}]}"#),
    ("networking.k8s.io", "ingresses", r#"{"loadBalancer":{"ingress":[{"ip":"192.0.2.3"}]}}"#),
    ("policy", "poddisruptionbudgets", r#"{"currentHealthy":2,"desiredHealthy":1,"disruptionsAllowed":1,"expectedPods":2}"#),
    ("resource.k8s.io", "resourceclaims", r#"{"allocation":{"devices":{"results":[{"request":"r","driver":"d.example.com","pool":"p","device":"a"}]}}}"#),
    ("resource.k8s.io", "resourcepoolstatusrequests", r#"{"poolCount":0}"#),
    ("storage.k8s.io", "volumeattachments", r#"{"attached":true,"attachmentMetadata":{"k":"v"}}"#),
];

/// A request for a certificate and a certificate, both of a key that is used for nothing.
const CSR: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlHTE1EOENBUUF3RERFS01BZ0dBMVVFQXd3QllUQXFNQVVHQXl0bGNBTWhBTC9TTHNocVMyQ0ZjbjFxYTU3SApFZyswckNJYlRnbFU5NnRhWEx0b3FWZXhvQUF3QlFZREsyVndBMEVBSFR1azlrTUlXYUxQM1pjOVFldEFNUmxqCmhBSFlwclM1TlRKYmwvMHVNQXlsTHRZbVpXc1NnRnphbzl0bEhMNHRPb3ZHeitDbURDcSsycXVjTHNJTENnPT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg==";
const PEM: &str = concat!(
    r"-----BEGIN CERTIFICATE-----\n",
    r"MIIBLjCB4aADAgECAhQ2EnZgZv2deViGlLJgiV3C3qNc5jAFBgMrZXAwDDEKMAgG\n",
    r"A1UEAwwBYTAgFw0yNjExMjIxNjU5NTFaGA8yMTI2MTAyOTE2NTk1MVowDDEKMAgG\n",
    r"A1UEAwwBYTAqMAUGAytlcAMhAL/SLshqS2CFcn1qa57HEg+0rCIbTglU96taXLto\n",
    r"qVexo1MwUTAdBgNVHQ4EFgQU2qnsomwRlJLMPM2SQfQtRGAYUvEwHwYDVR0jBBgw\n",
    r"FoAU2qnsomwRlJLMPM2SQfQtRGAYUvEwDwYDVR0TAQH/BAUwAwEB/zAFBgMrZXAD\n",
    r"QQDXWcvrXH4K4HBPKSrJOpbgg7MXmjQsnlKOWfxWjk8bVymUtMuTkPDvOso9msJH\n",
    r"w1tEO3LQVoWsjrtc7cIu7iME\n",
    r"-----END CERTIFICATE-----\n",
);

/// Name and members of an object of a kind.
pub(crate) fn object(group: &str, version: &str, plural: &str) -> (&'static str, String) {
    let versioned = format!("{group}/{version}");
    let line = |group: &str| OBJECTS.iter().find(|line| line.0 == group && line.1 == plural);
    let (_, _, name, members) = line(&versioned).or_else(|| line(group)).unwrap_or(&("", "", "n", "{}"));
    let members = members.replace("@RULE", ADMISSION_RULE).replace("@CSR", CSR).replace("@PEM", PEM);
    (name, members)
}

pub(crate) fn status(group: &str, plural: &str) -> &'static str {
    STATUSES.iter().find(|line| line.0 == group && line.1 == plural).map_or(CONDITIONS, |line| line.2)
}

/// Every line's group and resource.
pub(crate) fn named() -> impl Iterator<Item = (&'static str, &'static str)> {
    let objects = OBJECTS.iter().map(|line| (line.0.split('/').next().unwrap_or_default(), line.1));
    objects.chain(STATUSES.iter().map(|line| (line.0, line.1)))
}
