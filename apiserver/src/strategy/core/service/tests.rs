use expect_test::{Expect, expect};

use super::*;
use crate::strategy::testing::{check_invalid, check_invalid_update, in_context, yaml};

const SPEC: &str = "sessionAffinity: None, internalTrafficPolicy: Cluster";

fn service(spec: &str) -> String {
    format!("metadata: {{name: s}}\nspec: {{{SPEC}, {spec}}}")
}

#[track_caller]
fn check(spec: &str, expected: Expect) {
    check_invalid(&Service, &service(spec), expected);
}

const PORT: &str = "ports: [{port: 80, protocol: TCP, targetPort: 80}]";

#[test]
fn ports_are_checked() {
    check(&format!("type: ClusterIP, {PORT}"), expect![[""]]);
    check(
        "type: ClusterIP",
        expect![[r#"
        spec.ports: Required value
    "#]],
    );
    check(
        "type: ClusterIP, ports: [{port: 0, protocol: ZAP, targetPort: A_B}]",
        expect![[r#"
        spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive
        spec.ports[0].protocol: Unsupported value: "ZAP": supported values: "SCTP", "TCP", "UDP"
        spec.ports[0].targetPort: Invalid value: "A_B": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)
        spec.ports[0].targetPort: Invalid value: "A_B": must contain at least one letter (a-z)
    "#]],
    );
    check(
        "type: ClusterIP, ports: [{name: a, port: 80, protocol: TCP, targetPort: 1}, {name: a, port: 80, protocol: TCP, \
         targetPort: 1, nodePort: 30000}]",
        expect![[r#"
            spec.ports[1].name: Duplicate value: "a"
            spec.ports[1].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'
            spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}
        "#]],
    );
}

#[test]
fn addresses_are_checked() {
    check(
        &format!("type: ClusterIP, clusterIP: x, clusterIPs: [x], {PORT}"),
        expect![[r#"
        spec.clusterIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)
    "#]],
    );
    check(
        &format!("type: ClusterIP, clusterIP: 10.96.0.3, clusterIPs: [10.96.0.4], {PORT}"),
        expect![[r#"
        spec.clusterIPs: Invalid value: ["10.96.0.4"]: first value must match `clusterIP`
    "#]],
    );
    check(
        &format!(
            "type: ClusterIP, clusterIP: 10.96.0.3, clusterIPs: [10.96.0.3], ipFamilies: [IPv6], {PORT}"
        ),
        expect![[r#"
        spec.clusterIPs[0]: Invalid value: "10.96.0.3": expected an IPv6 value as indicated by `ipFamilies[0]`
    "#]],
    );
    check(
        "type: ExternalName, clusterIP: 10.96.0.3, clusterIPs: [10.96.0.3], externalName: A_B",
        expect![[r#"
        spec.clusterIPs: Forbidden: may not be set for ExternalName services
        spec.externalName: Invalid value: "A_B": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
    "#]],
    );
    check(
        &format!("type: ClusterIP, externalIPs: [x, 127.0.0.1], {PORT}"),
        expect![[r#"
        spec.externalIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)
        spec.externalIPs[1]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)
        spec.externalTrafficPolicy: Required value
    "#]],
    );
}

#[test]
fn fields_belong_to_types() {
    check(
        &format!(
            "type: ClusterIP, externalTrafficPolicy: Local, loadBalancerClass: x, loadBalancerSourceRanges: [x], {PORT}"
        ),
        expect![[r#"
            spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'
            spec.LoadBalancerSourceRanges[0]: Invalid value: "x": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)
            spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'
            spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services
        "#]],
    );
    check(
        &format!("type: LoadBalancer, clusterIP: None, clusterIPs: [None], {PORT}"),
        expect![[r#"
            spec.clusterIPs[0]: Invalid value: "None": may not be set to 'None' for LoadBalancer services
            allocateLoadBalancerNodePorts: Required value
            spec.externalTrafficPolicy: Required value
        "#]],
    );
}

#[test]
fn allocated_addresses_stay() {
    let with = |ip: &str| service(&format!("type: ClusterIP, clusterIP: {ip}, clusterIPs: [{ip}], {PORT}"));
    check_invalid_update(
        &Service,
        &with("10.96.0.3"),
        &with("10.96.0.4"),
        expect![[r#"
        spec.clusterIPs[0]: Invalid value: ["10.96.0.4"]: may not change once set
    "#]],
    );
}

#[track_caller]
fn check_kept(old: &str, new: &str, expected: Expect) {
    let (old, mut new) = (yaml(&service(old)), yaml(&service(new)));
    in_context("", |ctx| Service.prepare_update(ctx, &mut new, &old));
    expected.assert_eq(&new.to_yaml());
}

#[test]
fn what_an_update_leaves_out_is_kept() {
    check_kept(
        "type: NodePort, clusterIP: 10.96.0.3, clusterIPs: [10.96.0.3], ports: [{name: a, port: 1, nodePort: 30001}]",
        "type: NodePort, ports: [{name: a, port: 2}]",
        expect![[r#"
            metadata:
              name: s
            spec:
              clusterIP: "10.96.0.3"
              clusterIPs:
              - "10.96.0.3"
              internalTrafficPolicy: Cluster
              ports:
              - name: a
                nodePort: 30001
                port: 2
              sessionAffinity: None
              type: NodePort
        "#]],
    );
}

#[test]
fn what_another_type_has_not_is_dropped() {
    check_kept(
        "type: NodePort, clusterIP: 10.96.0.3, clusterIPs: [10.96.0.3], ipFamilies: [IPv4], externalTrafficPolicy: Cluster, \
         ports: [{port: 1, nodePort: 30001}]",
        "type: ExternalName, externalName: a.b, clusterIP: 10.96.0.3, clusterIPs: [10.96.0.3], ipFamilies: [IPv4], \
         externalTrafficPolicy: Cluster, ports: [{port: 1, nodePort: 30001}]",
        expect![[r#"
            metadata:
              name: s
            spec:
              externalName: a.b
              ports:
              - port: 1
              sessionAffinity: None
              type: ExternalName
        "#]],
    );
}
