//! A refused Node, Namespace, ResourceQuota, LimitRange or Endpoints for each rule that the other tests leave out.

use expect_test::expect;

use super::endpoints::Endpoints;
use super::limitrange::LimitRange;
use super::namespace::Namespace;
use super::node::Node;
use super::replicationcontroller::ReplicationController;
use super::resourcequota::ResourceQuota;
use crate::strategy::testing::{check_invalid, check_invalid_sub, check_invalid_update};

#[test]
fn nodes() {
    check_invalid(
        &Node,
        "spec: {taints: [{key: 'a b', value: 'c d'}, {key: a, effect: Zap}, {key: b, effect: NoExecute}, {key: b, effect: NoExecute}]}",
        expect![[r#"
            metadata.taints[0].key: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            metadata.taints[0].value: Invalid value: "c d": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')
            metadata.taints[0].effect: Required value
            metadata.taints[1].effect: Unsupported value: "Zap": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"
            metadata.taints[3]: Duplicate value: {"Key":"b","Value":"","Effect":"NoExecute","TimeAdded":null}: taints must be unique by key and effect pair
        "#]],
    );
    check_invalid(
        &Node,
        "spec: {podCIDRs: [10.0.0.0/24, 10.0.0.0/24, x]}\nstatus: {capacity: {cpu: -1}, allocatable: {pods: 1500m}}",
        expect![[r#"
            status.capacity.cpu: Invalid value: "-1": must be greater than or equal to 0
            status.allocatable.pods: Invalid value: "1500m": must be an integer
            spec.podCIDRs[2]: Invalid value: "x": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)
            spec.podCIDRs: Invalid value: ["10.0.0.0/24","10.0.0.0/24","x"]: may specify no more than one CIDR for each IP family
            spec.podCIDRs[1]: Duplicate value: "10.0.0.0/24"
        "#]],
    );
    check_invalid_update(
        &Node,
        "spec: {podCIDRs: [10.0.0.0/24], providerID: a}",
        "spec: {podCIDRs: [10.0.1.0/24], providerID: b, externalID: e, configSource: {}}\nstatus: {addresses: [{type: InternalIP, address: a}, {type: InternalIP, address: a}], config: {active: {configMap: {}}}}",
        expect![[r#"
            status.addresses[1]: Duplicate value: {"Type":"InternalIP","Address":"a"}
            spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid
            spec.providerID: Forbidden: node updates may not change providerID except from "" to valid
            spec.configSource: Invalid value: {"ConfigMap":null}: exactly one reference subfield must be non-nil
            status.config.active.configMap.uid: Required value: uid must be set in status
            status.config.active.configMap.resourceVersion: Required value: resourceVersion must be set in status
            status.config.active.configMap.namespace: Required value: namespace must be set
            status.config.active.configMap.name: Required value: name must be set
            status.config.active.configMap.kubeletConfigKey: Required value: kubeletConfigKey must be set
            spec.externalID: Forbidden: may not be updated
        "#]],
    );
    check_invalid_update(
        &Node,
        "spec: {podCIDRs: [10.0.0.0/24]}",
        "spec: {configSource: {configMap: {uid: u, resourceVersion: r, namespace: A_, name: A_, kubeletConfigKey: 'a b'}}}",
        expect![[r#"
            spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid
            spec.configSource.configMap.uid: Forbidden: uid must not be set in spec
            spec.configSource.configMap.resourceVersion: Forbidden: resourceVersion must not be set in spec
            spec.configSource.configMap.namespace: Invalid value: "A_": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
            spec.configSource.configMap.name: Invalid value: "A_": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            spec.configSource.configMap.kubeletConfigKey: Invalid value: "a b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')
        "#]],
    );
}

#[test]
fn namespaces() {
    check_invalid(
        &Namespace,
        "spec: {finalizers: [zap, 'a b']}",
        expect![[r#"
        spec.finalizers: Invalid value: "zap": name is neither a standard finalizer name nor is it fully qualified
        spec.finalizers: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
        spec.finalizers: Invalid value: "a b": name is neither a standard finalizer name nor is it fully qualified
    "#]],
    );
    check_invalid_sub(
        &Namespace,
        "finalize",
        "{}",
        "spec: {finalizers: [zap]}",
        expect![[r#"
        spec.finalizers[0]: Invalid value: "zap": name is neither a standard finalizer name nor is it fully qualified
    "#]],
    );
    check_invalid_sub(
        &Namespace,
        "status",
        "{}",
        "status: {phase: Terminating}",
        expect![[r#"
        status.Phase: Invalid value: "Terminating": may only be 'Active' if `deletionTimestamp` is empty
    "#]],
    );
    check_invalid_sub(
        &Namespace,
        "status",
        "{}",
        "metadata: {deletionTimestamp: '2024-01-01T00:00:00Z'}\nstatus: {phase: Active}",
        expect![[r#"
            status.Phase: Invalid value: "Active": may only be 'Terminating' if `deletionTimestamp` is not empty
        "#]],
    );
}

#[test]
fn quotas() {
    check_invalid(
        &ResourceQuota,
        "spec: {hard: {zap: 1, cpu: -1, pods: 1500m, storage: 1, count/pods: 1500m, 'a b': 1}}",
        expect![[r#"
            spec.hard[a b]: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            spec.hard[a b]: Invalid value: "a b": must be a standard resource for quota
            spec.hard[count/pods]: Invalid value: "1500m": must be an integer
            spec.hard[cpu]: Invalid value: "-1": must be greater than or equal to 0
            spec.hard[pods]: Invalid value: "1500m": must be an integer
            spec.hard[storage]: Invalid value: "storage": must be a standard resource for quota
            spec.hard[zap]: Invalid value: "zap": must be a standard resource type or fully qualified
            spec.hard[zap]: Invalid value: "zap": must be a standard resource for quota
        "#]],
    );
    check_invalid(
        &ResourceQuota,
        "spec: {hard: {services: 1}, scopes: [BestEffort, NotBestEffort, Zap]}",
        expect![[r#"
            spec.scopes: Invalid value: ["BestEffort","NotBestEffort","Zap"]: unsupported scope applied to resource
            spec.scopes: Invalid value: ["BestEffort","NotBestEffort","Zap"]: unsupported scope applied to resource
            spec.scopes: Invalid value: ["BestEffort","NotBestEffort","Zap"]: unsupported scope
            spec.scopes: Invalid value: ["BestEffort","NotBestEffort","Zap"]: conflicting scopes
        "#]],
    );
    check_invalid(
        &ResourceQuota,
        "spec: {hard: {cpu: 1}, scopeSelector: {matchExpressions: [{scopeName: Zap, operator: In}, {scopeName: BestEffort, operator: In, values: [a]}, {scopeName: PriorityClass, operator: Exists, values: [a]}, {scopeName: PriorityClass, operator: Zap}, {scopeName: Terminating, operator: Exists}, {scopeName: NotTerminating, operator: Exists}]}}",
        expect![[r#"
            spec.scopeSelector.matchExpressions.scopeName: Invalid value: "Zap": unsupported scope
            spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector
            spec.scopeSelector.matchExpressions: Invalid value: {"MatchExpressions":[{"ScopeName":"Zap","Operator":"In","Values":null},{"ScopeName":"BestEffort","Operator":"In","Values":["a"]},{"ScopeName":"PriorityClass","Operator":"Exists","Values":["a"]},{"ScopeName":"PriorityClass","Operator":"Zap","Values":null},{"ScopeName":"Terminating","Operator":"Exists","Values":null},{"ScopeName":"NotTerminating","Operator":"Exists","Values":null}]}: unsupported scope applied to resource
            spec.scopeSelector.matchExpressions.operator: Invalid value: "In": must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity
            spec.scopeSelector.matchExpressions.values: Invalid value: ["a"]: must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector
            spec.scopeSelector.matchExpressions.operator: Invalid value: "Zap": not a valid selector operator
            spec.scopeSelector.matchExpressions: Invalid value: null: conflicting scopes
        "#]],
    );
    check_invalid_sub(
        &ResourceQuota,
        "status",
        "{}",
        "status: {hard: {zap: 1}, used: {pods: -1}}",
        expect![[r#"
            status.hard[zap]: Invalid value: "zap": must be a standard resource type or fully qualified
            status.hard[zap]: Invalid value: "zap": must be a standard resource for quota
            status.used[pods]: Invalid value: "-1": must be greater than or equal to 0
        "#]],
    );
}

#[test]
fn limits() {
    check_invalid(
        &LimitRange,
        "spec: {limits: [{type: Zap}, {type: 'a b'}, {type: Pod, default: {cpu: 1}, defaultRequest: {cpu: 1}, max: {zap: 1}}]}",
        expect![[r#"
            spec.limits[0].type: Invalid value: "Zap": must be a standard limit type or fully qualified
            spec.limits[1].type: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
            spec.limits[2].max[zap]: Invalid value: "zap": must be a standard resource type or fully qualified
            spec.limits[2].max[zap]: Invalid value: "zap": must be a standard resource for containers
            spec.limits[2].default: Forbidden: may not be specified when `type` is 'Pod'
            spec.limits[2].defaultRequest: Forbidden: may not be specified when `type` is 'Pod'
        "#]],
    );
    check_invalid(
        &LimitRange,
        "spec: {limits: [{type: PersistentVolumeClaim, max: {cpu: 1}}]}",
        expect![[r#"
            spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither was provided
        "#]],
    );
    check_invalid(
        &LimitRange,
        "spec: {limits: [{type: Container, max: {cpu: 1}, min: {cpu: 500m}, default: {cpu: 2}, defaultRequest: {cpu: 3}, maxLimitRequestRatio: {cpu: 3}}]}",
        expect![[r#"
            spec.limits[0].defaultRequest[cpu]: Invalid value: "3": default request value 3 is greater than max value 1
            spec.limits[0].defaultRequest[cpu]: Invalid value: "3": default request value 3 is greater than default limit value 2
            spec.limits[0].default[cpu]: Invalid value: "1": default value 2 is greater than max value 1
            spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "3": ratio 3 is greater than max/min = 2.000000
        "#]],
    );
    check_invalid(
        &LimitRange,
        "spec: {limits: [{type: Container, default: {a.b/c: 2}, defaultRequest: {a.b/c: 1}, maxLimitRequestRatio: {cpu: 500m}}]}",
        expect![[r#"
            spec.limits[0].defaultRequest[a.b/c]: Invalid value: "1": default value 2 must equal to defaultRequest value 1 in a.b/c
            spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "500m": ratio 500m is less than 1
        "#]],
    );
}

#[test]
fn endpoints() {
    check_invalid(
        &Endpoints,
        "subsets: [{addresses: [{ip: 010.0.0.1, hostname: A_, nodeName: A_}, {ip: 127.0.0.1}], ports: [{port: 0}, {name: A_, port: 1, protocol: Zap, appProtocol: 'a b'}]}]",
        expect![[r#"
            subsets[0].addresses[0].ip: Invalid value: "010.0.0.1": must not have leading 0s
            subsets[0].addresses[0].hostname: Invalid value: "A_": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
            subsets[0].addresses[0].nodeName: Invalid value: "A_": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
            subsets[0].addresses[1].ip: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)
            subsets[0].ports[0].name: Required value
            subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive
            subsets[0].ports[0].protocol: Required value
            subsets[0].ports[1].name: Invalid value: "A_": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
            subsets[0].ports[1].protocol: Unsupported value: "Zap": supported values: "SCTP", "TCP", "UDP"
            subsets[0].ports[1].appProtocol: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
        "#]],
    );
    check_invalid_update(
        &Endpoints,
        "subsets: [{addresses: [{ip: 010.0.0.1}]}]",
        "subsets: [{addresses: [{ip: 010.0.0.1}]}]",
        expect![[""]],
    );
}

#[test]
fn controllers() {
    check_invalid(
        &ReplicationController,
        "spec: {replicas: -1, minReadySeconds: -1}",
        expect![[r#"
        spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0
        spec.selector: Required value
        spec.replicas: Invalid value: -1: must be greater than or equal to 0
        spec.template: Required value
    "#]],
    );
    check_invalid_sub(
        &ReplicationController,
        "status",
        "{}",
        "status: {replicas: 1, fullyLabeledReplicas: 2, readyReplicas: -1, availableReplicas: 1}",
        expect![[r#"
            status.readyReplicas: Invalid value: -1: must be greater than or equal to 0
            status.fullyLabeledReplicas: Invalid value: 2: cannot be greater than status.replicas
            status.availableReplicas: Invalid value: 1: cannot be greater than readyReplicas
        "#]],
    );
}
