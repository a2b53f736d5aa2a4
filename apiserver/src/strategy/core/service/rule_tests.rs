//! A refused Service for each rule that the other tests leave out.

use expect_test::expect;

use super::Service;
use crate::strategy::testing::{check_invalid, check_invalid_sub, check_invalid_update};

#[test]
fn annotations_agree() {
    check_invalid(
        &Service,
        "metadata: {annotations: {service.kubernetes.io/topology-aware-hints: Auto, service.kubernetes.io/topology-mode: Disabled}}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}]}",
        expect![[""]],
    );
    check_invalid(
        &Service,
        "metadata: {annotations: {service.beta.kubernetes.io/load-balancer-source-ranges: '10.0.0.0/8, x'}}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}]}",
        expect![[""]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: LoadBalancer, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], allocateLoadBalancerNodePorts: true, externalTrafficPolicy: Cluster, loadBalancerSourceRanges: [' 10.0.0.1/8 ', 10.00.0.0/8]}",
        expect![[""]],
    );
}

#[test]
fn ports() {
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, targetPort: 80}]}",
        expect![[""]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 81, protocol: TCP, targetPort: 80}, {name: A_, appProtocol: 'a b', port: 80, protocol: TCP, targetPort: 80}]}",
        expect![[""]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: LoadBalancer, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{name: a, port: 81, protocol: TCP, targetPort: 80, nodePort: 30000}, {name: b, nodePort: 30000, port: 80, protocol: TCP, targetPort: 80}], allocateLoadBalancerNodePorts: true, externalTrafficPolicy: Cluster}",
        expect![[""]],
    );
}

#[test]
fn affinity() {
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: ClientIP, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}]}",
        expect![[""]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: ClientIP, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], sessionAffinityConfig: {}}",
        expect![[""]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: ClientIP, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], sessionAffinityConfig: {clientIP: {}}}",
        expect![[""]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: ClientIP, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], sessionAffinityConfig: {clientIP: {timeoutSeconds: 86401}}}",
        expect![[""]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], sessionAffinityConfig: {}}",
        expect![[""]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: Zap, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}]}",
        expect![[""]],
    );
}

#[test]
fn addresses() {
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIPs: [10.0.0.1]}",
        expect![[""]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 10.0.0.1}",
        expect![[""]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: None, clusterIPs: [None, 10.0.0.1]}",
        expect![[""]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, 10.0.0.2, 10.0.0.3], ipFamilies: [IPv6, Zap]}",
        expect![[""]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 10.00.0.1, clusterIPs: [10.00.0.1]}",
        expect![[""]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], externalTrafficPolicy: Cluster, externalIPs: ['::ffff:1.2.3.4', 0.0.0.0, 169.254.1.1, 224.0.0.1]}",
        expect![[""]],
    );
}

#[test]
fn types() {
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ExternalName, sessionAffinity: None, externalName: a, ipFamilies: [IPv4], ipFamilyPolicy: SingleStack}",
        expect![[""]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}]}",
        expect![[""]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], loadBalancerClass: a.b/c, allocateLoadBalancerNodePorts: true}",
        expect![[""]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: LoadBalancer, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], allocateLoadBalancerNodePorts: true, externalTrafficPolicy: Cluster, loadBalancerClass: 'a b'}",
        expect![[""]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: LoadBalancer, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], allocateLoadBalancerNodePorts: true}",
        expect![[""]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: LoadBalancer, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], allocateLoadBalancerNodePorts: true, externalTrafficPolicy: Local, healthCheckNodePort: 70000}",
        expect![[""]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Zap, ports: [{port: 80, protocol: TCP, targetPort: 80}]}",
        expect![[""]],
    );
}

#[test]
fn changes() {
    check_invalid_update(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1]}",
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 10.0.0.2, clusterIPs: [10.0.0.2]}",
        expect![[""]],
    );
    check_invalid_update(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1]}",
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}]}",
        expect![[""]],
    );
    check_invalid_update(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, 'fd00::1'], ipFamilies: [IPv4, IPv6]}",
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], ipFamilies: [IPv4], ipFamilyPolicy: PreferDualStack}",
        expect![[""]],
    );
    check_invalid_update(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], ipFamilies: [IPv4]}",
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 'fd00::1', clusterIPs: ['fd00::1', 10.0.0.1], ipFamilies: [IPv6, IPv4]}",
        expect![[""]],
    );
    check_invalid_update(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], ipFamilies: [IPv4]}",
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], ipFamilies: [IPv6]}",
        expect![[""]],
    );
    check_invalid_update(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 10.00.0.1, clusterIPs: [10.00.0.1]}",
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 10.00.0.1, clusterIPs: [10.00.0.1]}",
        expect![[""]],
    );
}

#[test]
fn balancers() {
    check_invalid_sub(
        &Service,
        "status",
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}]}",
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}]}\nstatus: {loadBalancer: {ingress: [{ip: 10.0.0.1}]}}",
        expect![[""]],
    );
    check_invalid_sub(
        &Service,
        "status",
        "metadata: {}\nspec: {type: LoadBalancer, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], allocateLoadBalancerNodePorts: true, externalTrafficPolicy: Cluster}",
        "metadata: {}\nspec: {type: LoadBalancer, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], allocateLoadBalancerNodePorts: true, externalTrafficPolicy: Cluster}\nstatus: {loadBalancer: {ingress: [{ip: x, ipMode: VIP}, {ip: 10.0.0.1}, {ipMode: VIP, hostname: 10.0.0.1}, {ip: 10.0.0.1, ipMode: Zap, hostname: A_}]}}",
        expect![[""]],
    );
}
