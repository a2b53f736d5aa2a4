//! A refused Service for each rule that the other tests leave out.

use expect_test::expect;

use super::Service;
use crate::strategy::testing::{check_invalid, check_invalid_sub, check_invalid_update};

#[test]
fn annotations_agree() {
    check_invalid(
        &Service,
        "metadata: {annotations: {service.kubernetes.io/topology-aware-hints: Auto, service.kubernetes.io/topology-mode: Disabled}}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}]}",
        expect![[r#"
            metadata.annotations[service.kubernetes.io/topology-mode]: Invalid value: "Disabled": must match annotations[service.kubernetes.io/topology-aware-hints] when both are specified
        "#]],
    );
    check_invalid(
        &Service,
        "metadata: {annotations: {service.beta.kubernetes.io/load-balancer-source-ranges: '10.0.0.0/8, x'}}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}]}",
        expect![[r#"
            metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]: Forbidden: may only be used when `type` is 'LoadBalancer'
            metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]: Invalid value: "x": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)
        "#]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: LoadBalancer, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], allocateLoadBalancerNodePorts: true, externalTrafficPolicy: Cluster, loadBalancerSourceRanges: [' 10.0.0.1/8 ', 10.00.0.0/8]}",
        expect![[r#"
            spec.LoadBalancerSourceRanges[0]: Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length
            spec.LoadBalancerSourceRanges[1]: Invalid value: "10.00.0.0/8": must not have leading 0s in IP or prefix length
        "#]],
    );
}

#[test]
fn ports() {
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, targetPort: 80}]}",
        expect![[r#"
            spec.ports[0].protocol: Required value
        "#]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 81, protocol: TCP, targetPort: 80}, {name: A_, appProtocol: 'a b', port: 80, protocol: TCP, targetPort: 80}]}",
        expect![[r#"
            spec.ports[0].name: Required value
            spec.ports[1].name: Invalid value: "A_": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
            spec.ports[1].appProtocol: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
        "#]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: LoadBalancer, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{name: a, port: 81, protocol: TCP, targetPort: 80, nodePort: 30000}, {name: b, nodePort: 30000, port: 80, protocol: TCP, targetPort: 80}], allocateLoadBalancerNodePorts: true, externalTrafficPolicy: Cluster}",
        expect![[r#"
            spec.ports[1].nodePort: Duplicate value: 30000
        "#]],
    );
}

#[test]
fn affinity() {
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: ClientIP, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}]}",
        expect![[r#"
            spec.sessionAffinityConfig: Required value: when session affinity type is ClientIP
        "#]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: ClientIP, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], sessionAffinityConfig: {}}",
        expect![[r#"
            spec.sessionAffinityConfig.clientIP: Required value: when session affinity type is ClientIP
        "#]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: ClientIP, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], sessionAffinityConfig: {clientIP: {}}}",
        expect![[r#"
            spec.sessionAffinityConfig.clientIP.timeoutSeconds: Required value: when session affinity type is ClientIP
        "#]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: ClientIP, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], sessionAffinityConfig: {clientIP: {timeoutSeconds: 86401}}}",
        expect![[r#"
            spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and less than 86400
        "#]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], sessionAffinityConfig: {}}",
        expect![[r#"
            spec.sessionAffinityConfig: Forbidden: must not be set when session affinity is None
        "#]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: Zap, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}]}",
        expect![[r#"
            spec.sessionAffinity: Unsupported value: "Zap": supported values: "ClientIP", "None"
        "#]],
    );
}

#[test]
fn addresses() {
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIPs: [10.0.0.1]}",
        expect![[r#"
            spec.clusterIPs: Invalid value: ["10.0.0.1"]: must be empty when `clusterIP` is not specified
        "#]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 10.0.0.1}",
        expect![[r#"
            spec.clusterIPs: Required value
        "#]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: None, clusterIPs: [None, 10.0.0.1]}",
        expect![[r#"
            spec.clusterIPs: Invalid value: ["None","10.0.0.1"]: 'None' must be the first and only value
        "#]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, 10.0.0.2, 10.0.0.3], ipFamilies: [IPv6, Zap]}",
        expect![[r#"
            spec.ipFamilies[1]: Unsupported value: "Zap": supported values: "IPv4", "IPv6"
            spec.clusterIPs: Invalid value: ["10.0.0.1","10.0.0.2","10.0.0.3"]: may only hold up to 2 values
            spec.clusterIPs: Invalid value: ["10.0.0.1","10.0.0.2","10.0.0.3"]: may specify no more than one IP for each IP family
            spec.clusterIPs[0]: Invalid value: "10.0.0.1": expected an IPv6 value as indicated by `ipFamilies[0]`
            spec.clusterIPs[1]: Invalid value: "10.0.0.2": expected an Zap value as indicated by `ipFamilies[1]`
        "#]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 10.00.0.1, clusterIPs: [10.00.0.1]}",
        expect![[r#"
            spec.clusterIPs[0]: Invalid value: "10.00.0.1": must not have leading 0s
        "#]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], externalTrafficPolicy: Cluster, externalIPs: ['::ffff:1.2.3.4', 0.0.0.0, 169.254.1.1, 224.0.0.1]}",
        expect![[r#"
            spec.externalIPs[0]: Invalid value: "::ffff:1.2.3.4": must not be an IPv4-mapped IPv6 address
            spec.externalIPs[1]: Invalid value: "0.0.0.0": may not be unspecified (0.0.0.0)
            spec.externalIPs[2]: Invalid value: "169.254.1.1": may not be in the link-local range (169.254.0.0/16, fe80::/10)
            spec.externalIPs[3]: Invalid value: "224.0.0.1": may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)
        "#]],
    );
}

#[test]
fn types() {
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ExternalName, sessionAffinity: None, externalName: a, ipFamilies: [IPv4], ipFamilyPolicy: SingleStack}",
        expect![[r#"
            spec.ipFamilies: Forbidden: may not be set for ExternalName services
            spec.ipFamilyPolicy: Forbidden: may not be set for ExternalName services
        "#]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}]}",
        expect![[r#"
            spec.type: Required value
        "#]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], loadBalancerClass: a.b/c, allocateLoadBalancerNodePorts: true}",
        expect![[r#"
            spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'
            spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'
        "#]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: LoadBalancer, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], allocateLoadBalancerNodePorts: true, externalTrafficPolicy: Cluster, loadBalancerClass: 'a b'}",
        expect![[r#"
            spec.loadBalancerClass: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
        "#]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: LoadBalancer, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], allocateLoadBalancerNodePorts: true}",
        expect![[r#"
            spec.externalTrafficPolicy: Required value
        "#]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: LoadBalancer, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], allocateLoadBalancerNodePorts: true, externalTrafficPolicy: Local, healthCheckNodePort: 70000}",
        expect![[r#"
            spec.healthCheckNodePort: Invalid value: 70000: must be between 1 and 65535, inclusive
        "#]],
    );
    check_invalid(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Zap, ports: [{port: 80, protocol: TCP, targetPort: 80}]}",
        expect![[r#"
            spec.internalTrafficPolicy: Unsupported value: "Zap": supported values: "Cluster", "Local"
        "#]],
    );
}

#[test]
fn changes() {
    check_invalid_update(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1]}",
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 10.0.0.2, clusterIPs: [10.0.0.2]}",
        expect![[r#"
            spec.clusterIPs[0]: Invalid value: ["10.0.0.2"]: may not change once set
        "#]],
    );
    check_invalid_update(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1]}",
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}]}",
        expect![[r#"
            spec.clusterIPs[0]: Invalid value: []: primary clusterIP can not be unset
        "#]],
    );
    check_invalid_update(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, 'fd00::1'], ipFamilies: [IPv4, IPv6]}",
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], ipFamilies: [IPv4], ipFamilyPolicy: PreferDualStack}",
        expect![[r#"
            spec.ipFamilyPolicy: Invalid value: "PreferDualStack": must be set to 'SingleStack' when releasing the secondary clusterIP
            spec.ipFamilyPolicy: Invalid value: "PreferDualStack": must be set to 'SingleStack' when releasing the secondary ipFamily
        "#]],
    );
    check_invalid_update(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], ipFamilies: [IPv4]}",
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 'fd00::1', clusterIPs: ['fd00::1', 10.0.0.1], ipFamilies: [IPv6, IPv4]}",
        expect![[r#"
            spec.clusterIPs[0]: Invalid value: ["fd00::1","10.0.0.1"]: may not change once set
            spec.ipFamilies[0]: Invalid value: ["fd00::1","10.0.0.1"]: may not change once set
        "#]],
    );
    check_invalid_update(
        &Service,
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], ipFamilies: [IPv4]}",
        "metadata: {}\nspec: {type: ClusterIP, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1], ipFamilies: [IPv6]}",
        expect![[r#"
            spec.clusterIPs[0]: Invalid value: "10.0.0.1": expected an IPv6 value as indicated by `ipFamilies[0]`
        "#]],
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
        expect![[r#"
            status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'
        "#]],
    );
    check_invalid_sub(
        &Service,
        "status",
        "metadata: {}\nspec: {type: LoadBalancer, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], allocateLoadBalancerNodePorts: true, externalTrafficPolicy: Cluster}",
        "metadata: {}\nspec: {type: LoadBalancer, sessionAffinity: None, internalTrafficPolicy: Cluster, ports: [{port: 80, protocol: TCP, targetPort: 80}], allocateLoadBalancerNodePorts: true, externalTrafficPolicy: Cluster}\nstatus: {loadBalancer: {ingress: [{ip: x, ipMode: VIP}, {ip: 10.0.0.1}, {ipMode: VIP, hostname: 10.0.0.1}, {ip: 10.0.0.1, ipMode: Zap, hostname: A_}]}}",
        expect![[r#"
            status.loadBalancer.ingress[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)
            status.loadBalancer.ingress[1].ipMode: Required value: must be specified when `ip` is set
            status.loadBalancer.ingress[2].ipMode: Forbidden: may not be specified when `ip` is not set
            status.loadBalancer.ingress[2].hostname: Invalid value: "10.0.0.1": must be a DNS name, not an IP address
            status.loadBalancer.ingress[3].ipMode: Unsupported value: "Zap": supported values: "Proxy", "VIP"
            status.loadBalancer.ingress[3].hostname: Invalid value: "A_": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
        "#]],
    );
}
