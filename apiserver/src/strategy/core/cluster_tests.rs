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
        expect![[""]],
    );
    check_invalid(
        &Node,
        "spec: {podCIDRs: [10.0.0.0/24, 10.0.0.0/24, x]}\nstatus: {capacity: {cpu: -1}, allocatable: {pods: 1500m}}",
        expect![[""]],
    );
    check_invalid_update(
        &Node,
        "spec: {podCIDRs: [10.0.0.0/24], providerID: a}",
        "spec: {podCIDRs: [10.0.1.0/24], providerID: b, externalID: e, configSource: {}}\nstatus: {addresses: [{type: InternalIP, address: a}, {type: InternalIP, address: a}], config: {active: {configMap: {}}}}",
        expect![[""]],
    );
    check_invalid_update(
        &Node,
        "spec: {podCIDRs: [10.0.0.0/24]}",
        "spec: {configSource: {configMap: {uid: u, resourceVersion: r, namespace: A_, name: A_, kubeletConfigKey: 'a b'}}}",
        expect![[""]],
    );
}

#[test]
fn namespaces() {
    check_invalid(&Namespace, "spec: {finalizers: [zap, 'a b']}", expect![[""]]);
    check_invalid_sub(&Namespace, "finalize", "{}", "spec: {finalizers: [zap]}", expect![[""]]);
    check_invalid_sub(&Namespace, "status", "{}", "status: {phase: Terminating}", expect![[""]]);
    check_invalid_sub(
        &Namespace,
        "status",
        "{}",
        "metadata: {deletionTimestamp: '2024-01-01T00:00:00Z'}\nstatus: {phase: Active}",
        expect![[""]],
    );
}

#[test]
fn quotas() {
    check_invalid(
        &ResourceQuota,
        "spec: {hard: {zap: 1, cpu: -1, pods: 1500m, storage: 1, count/pods: 1500m, 'a b': 1}}",
        expect![[""]],
    );
    check_invalid(
        &ResourceQuota,
        "spec: {hard: {services: 1}, scopes: [BestEffort, NotBestEffort, Zap]}",
        expect![[""]],
    );
    check_invalid(
        &ResourceQuota,
        "spec: {hard: {cpu: 1}, scopeSelector: {matchExpressions: [{scopeName: Zap, operator: In}, {scopeName: BestEffort, operator: In, values: [a]}, {scopeName: PriorityClass, operator: Exists, values: [a]}, {scopeName: PriorityClass, operator: Zap}, {scopeName: Terminating, operator: Exists}, {scopeName: NotTerminating, operator: Exists}]}}",
        expect![[""]],
    );
    check_invalid_sub(
        &ResourceQuota,
        "status",
        "{}",
        "status: {hard: {zap: 1}, used: {pods: -1}}",
        expect![[""]],
    );
}

#[test]
fn limits() {
    check_invalid(
        &LimitRange,
        "spec: {limits: [{type: Zap}, {type: 'a b'}, {type: Pod, default: {cpu: 1}, defaultRequest: {cpu: 1}, max: {zap: 1}}]}",
        expect![[""]],
    );
    check_invalid(
        &LimitRange,
        "spec: {limits: [{type: PersistentVolumeClaim, max: {cpu: 1}}]}",
        expect![[""]],
    );
    check_invalid(
        &LimitRange,
        "spec: {limits: [{type: Container, max: {cpu: 1}, min: {cpu: 500m}, default: {cpu: 2}, defaultRequest: {cpu: 3}, maxLimitRequestRatio: {cpu: 3}}]}",
        expect![[""]],
    );
    check_invalid(
        &LimitRange,
        "spec: {limits: [{type: Container, default: {a.b/c: 2}, defaultRequest: {a.b/c: 1}, maxLimitRequestRatio: {cpu: 500m}}]}",
        expect![[""]],
    );
}

#[test]
fn endpoints() {
    check_invalid(
        &Endpoints,
        "subsets: [{addresses: [{ip: 010.0.0.1, hostname: A_, nodeName: A_}, {ip: 127.0.0.1}], ports: [{port: 0}, {name: A_, port: 1, protocol: Zap, appProtocol: 'a b'}]}]",
        expect![[""]],
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
    check_invalid(&ReplicationController, "spec: {replicas: -1, minReadySeconds: -1}", expect![[""]]);
    check_invalid_sub(
        &ReplicationController,
        "status",
        "{}",
        "status: {replicas: 1, fullyLabeledReplicas: 2, readyReplicas: -1, availableReplicas: 1}",
        expect![[""]],
    );
}
