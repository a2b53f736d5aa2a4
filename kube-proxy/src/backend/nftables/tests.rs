//! The rendered rules as text, and what a change sends to the kernel.

use client::Key;
use expect_test::{Expect, expect};
use serde_json::json;

use super::*;
use crate::backend::NodePortAddresses;
use crate::model::{NodeView, ServiceView, service_view};

fn settings() -> Settings {
    Settings {
        families: vec![Family::V4],
        cluster_cidrs: vec!["10.244.0.0/16".parse().unwrap()],
        masquerade_all: false,
        masquerade_bit: 14,
        node_port_addresses: NodePortAddresses::Primary,
    }
}

fn node() -> NodeView {
    NodeView { name: "n1".into(), addresses: vec!["192.168.0.2".parse().unwrap()], ..NodeView::default() }
}

/// A Service `ns/NAME` on port 80 with these endpoints; those that end in `l` are on this node.
fn view(name: &str, spec: serde_json::Value, endpoints: &[&str]) -> ServiceView {
    let mut full = json!({"type": "ClusterIP", "clusterIPs": ["10.96.0.1"], "clusterIP": "10.96.0.1",
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]});
    for (key, value) in spec.as_object().unwrap() {
        full[key] = value.clone();
    }
    let service = json!({"metadata": {"name": name, "namespace": "ns"}, "spec": full,
        "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}}});
    let endpoints: Vec<_> = endpoints
        .iter()
        .map(|e| {
            let (address, node) = e.strip_suffix('l').map_or((*e, "n2"), |a| (a, "n1"));
            json!({"addresses": [address], "conditions": {"ready": true}, "nodeName": node})
        })
        .collect();
    let slice = serde_json::from_value(json!({
        "metadata": {"name": "s", "namespace": "ns"}, "addressType": "IPv4",
        "endpoints": endpoints, "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }))
    .unwrap();
    service_view(&serde_json::from_value(service).unwrap(), &[&slice], &node()).unwrap()
}

fn desired<'a>(
    node: &'a NodeView,
    services: &'a BTreeMap<Key, ServiceView>,
    changed: Option<&'a BTreeSet<Key>>,
) -> Desired<'a> {
    Desired { node, local_addresses: &[], service_cidrs: &[], services, changed }
}

fn backend() -> Nftables {
    Nftables::new(Tools::new(std::sync::Arc::new(env::process::NoProcess)), &settings())
}

#[track_caller]
fn check_service(view: &ServiceView, expected: &Expect) {
    let mut table = Table::default();
    let mut change = delta::Change::default();
    table.replace(Some(&view.key), render::service(Family::V4, &settings(), &node(), view), &mut change);
    expected.assert_eq(&change.script(Family::V4, &table).replace("ip kube-proxy ", ""));
}

#[test]
fn cluster_ip_with_two_endpoints() {
    check_service(
        &view("web", json!({}), &["10.244.0.5l", "10.244.1.5"]),
        &expect![[r#"
        add chain endpoint-56LWUB6P-ns/web/tcp/http__10.244.0.5/8080
        add chain endpoint-TWBEE4UL-ns/web/tcp/http__10.244.1.5/8080
        add chain service-Y6QD5CCT-ns/web/tcp/http
        add rule endpoint-56LWUB6P-ns/web/tcp/http__10.244.0.5/8080 ip saddr 10.244.0.5 jump mark-for-masquerade
        add rule endpoint-56LWUB6P-ns/web/tcp/http__10.244.0.5/8080 meta l4proto tcp dnat to 10.244.0.5:8080
        add rule endpoint-TWBEE4UL-ns/web/tcp/http__10.244.1.5/8080 ip saddr 10.244.1.5 jump mark-for-masquerade
        add rule endpoint-TWBEE4UL-ns/web/tcp/http__10.244.1.5/8080 meta l4proto tcp dnat to 10.244.1.5:8080
        add rule service-Y6QD5CCT-ns/web/tcp/http ip daddr 10.96.0.1 tcp dport 80 ip saddr != 10.244.0.0/16 jump mark-for-masquerade
        add rule service-Y6QD5CCT-ns/web/tcp/http numgen random mod 2 vmap { 0 : goto endpoint-56LWUB6P-ns/web/tcp/http__10.244.0.5/8080, 1 : goto endpoint-TWBEE4UL-ns/web/tcp/http__10.244.1.5/8080 }
        add element cluster-ips { 10.96.0.1 }
        add element service-ips { 10.96.0.1 . tcp . 80 : goto service-Y6QD5CCT-ns/web/tcp/http }
    "#]],
    );
}

#[test]
fn without_endpoints_traffic_is_rejected() {
    check_service(
        &view(
            "web",
            json!({"type": "NodePort", "ports": [{"name": "http", "port": 80, "nodePort": 30080}]}),
            &[],
        ),
        &expect![[r#"
            add element cluster-ips { 10.96.0.1 }
            add element no-endpoint-nodeports { tcp . 30080 : goto reject-chain }
            add element no-endpoint-services { 10.96.0.1 . tcp . 80 : goto reject-chain }
        "#]],
    );
}

#[test]
fn balancer_with_local_policy_ranges_and_affinity() {
    let spec = json!({
        "type": "LoadBalancer", "externalTrafficPolicy": "Local", "sessionAffinity": "ClientIP",
        "loadBalancerSourceRanges": ["198.51.100.0/24"],
        "ports": [{"name": "http", "port": 80, "nodePort": 30080}],
    });
    check_service(
        &view("web", spec, &["10.244.1.5"]),
        &expect![[r#"
        add chain endpoint-TWBEE4UL-ns/web/tcp/http__10.244.1.5/8080
        add chain external-Y6QD5CCT-ns/web/tcp/http
        add chain firewall-Y6QD5CCT-ns/web/tcp/http
        add chain service-Y6QD5CCT-ns/web/tcp/http
        add set affinity-TWBEE4UL-ns/web/tcp/http__10.244.1.5/8080 { type ipv4_addr ; flags dynamic,timeout ; timeout 10800s ; }
        add rule endpoint-TWBEE4UL-ns/web/tcp/http__10.244.1.5/8080 ip saddr 10.244.1.5 jump mark-for-masquerade
        add rule endpoint-TWBEE4UL-ns/web/tcp/http__10.244.1.5/8080 update @affinity-TWBEE4UL-ns/web/tcp/http__10.244.1.5/8080 { ip saddr }
        add rule endpoint-TWBEE4UL-ns/web/tcp/http__10.244.1.5/8080 meta l4proto tcp dnat to 10.244.1.5:8080
        add rule external-Y6QD5CCT-ns/web/tcp/http ip saddr 10.244.0.0/16 goto service-Y6QD5CCT-ns/web/tcp/http
        add rule external-Y6QD5CCT-ns/web/tcp/http fib saddr type local jump mark-for-masquerade
        add rule external-Y6QD5CCT-ns/web/tcp/http fib saddr type local goto service-Y6QD5CCT-ns/web/tcp/http
        add rule firewall-Y6QD5CCT-ns/web/tcp/http ip saddr { 198.51.100.0/24 } return
        add rule firewall-Y6QD5CCT-ns/web/tcp/http drop
        add rule service-Y6QD5CCT-ns/web/tcp/http ip daddr 10.96.0.1 tcp dport 80 ip saddr != 10.244.0.0/16 jump mark-for-masquerade
        add rule service-Y6QD5CCT-ns/web/tcp/http ip saddr @affinity-TWBEE4UL-ns/web/tcp/http__10.244.1.5/8080 goto endpoint-TWBEE4UL-ns/web/tcp/http__10.244.1.5/8080
        add rule service-Y6QD5CCT-ns/web/tcp/http numgen random mod 1 vmap { 0 : goto endpoint-TWBEE4UL-ns/web/tcp/http__10.244.1.5/8080 }
        add element cluster-ips { 10.96.0.1 }
        add element firewall-ips { 203.0.113.9 . tcp . 80 : goto firewall-Y6QD5CCT-ns/web/tcp/http }
        add element no-endpoint-nodeports { tcp . 30080 : drop }
        add element no-endpoint-services { 203.0.113.9 . tcp . 80 : drop }
        add element service-ips { 10.96.0.1 . tcp . 80 : goto service-Y6QD5CCT-ns/web/tcp/http }
        add element service-ips { 203.0.113.9 . tcp . 80 : goto external-Y6QD5CCT-ns/web/tcp/http }
        add element service-nodeports { tcp . 30080 : goto external-Y6QD5CCT-ns/web/tcp/http }
    "#]],
    );
}

#[test]
fn the_frame() {
    let services = BTreeMap::new();
    let node = node();
    let script = backend().plan(&desired(&node, &services, None)).script;
    expect![[r#"
        add table ip kube-proxy
        delete table ip kube-proxy
        add table ip kube-proxy { comment "rules for kube-proxy" ; }
        add chain ip kube-proxy cluster-ips-check
        add chain ip kube-proxy filter-forward { type filter hook forward priority -110 ; }
        add chain ip kube-proxy filter-input { type filter hook input priority -110 ; }
        add chain ip kube-proxy filter-output { type filter hook output priority -110 ; }
        add chain ip kube-proxy filter-output-post-dnat { type filter hook output priority -90 ; }
        add chain ip kube-proxy filter-prerouting { type filter hook prerouting priority -110 ; }
        add chain ip kube-proxy firewall-check
        add chain ip kube-proxy mark-for-masquerade
        add chain ip kube-proxy masquerading
        add chain ip kube-proxy nat-output { type nat hook output priority -100 ; }
        add chain ip kube-proxy nat-postrouting { type nat hook postrouting priority 100 ; }
        add chain ip kube-proxy nat-prerouting { type nat hook prerouting priority -100 ; }
        add chain ip kube-proxy nodeport-endpoints-check
        add chain ip kube-proxy reject-chain
        add chain ip kube-proxy service-endpoints-check
        add chain ip kube-proxy services
        add set ip kube-proxy cluster-ips { type ipv4_addr ; }
        add map ip kube-proxy firewall-ips { type ipv4_addr . inet_proto . inet_service : verdict ; }
        add map ip kube-proxy no-endpoint-nodeports { type inet_proto . inet_service : verdict ; }
        add map ip kube-proxy no-endpoint-services { type ipv4_addr . inet_proto . inet_service : verdict ; }
        add set ip kube-proxy nodeport-ips { type ipv4_addr ; }
        add map ip kube-proxy service-ips { type ipv4_addr . inet_proto . inet_service : verdict ; }
        add map ip kube-proxy service-nodeports { type inet_proto . inet_service : verdict ; }
        add rule ip kube-proxy cluster-ips-check ip daddr @cluster-ips reject
        add rule ip kube-proxy filter-forward ct state new jump service-endpoints-check
        add rule ip kube-proxy filter-forward ct state new jump cluster-ips-check
        add rule ip kube-proxy filter-input ct state new jump nodeport-endpoints-check
        add rule ip kube-proxy filter-input ct state new jump service-endpoints-check
        add rule ip kube-proxy filter-output ct state new jump service-endpoints-check
        add rule ip kube-proxy filter-output ct state new jump firewall-check
        add rule ip kube-proxy filter-output-post-dnat ct state new jump cluster-ips-check
        add rule ip kube-proxy filter-prerouting ct state new jump firewall-check
        add rule ip kube-proxy firewall-check ip daddr . meta l4proto . th dport vmap @firewall-ips
        add rule ip kube-proxy mark-for-masquerade mark set mark or 0x4000
        add rule ip kube-proxy masquerading mark and 0x4000 == 0 return
        add rule ip kube-proxy masquerading mark set mark xor 0x4000
        add rule ip kube-proxy masquerading masquerade fully-random
        add rule ip kube-proxy nat-output jump services
        add rule ip kube-proxy nat-postrouting jump masquerading
        add rule ip kube-proxy nat-prerouting jump services
        add rule ip kube-proxy nodeport-endpoints-check ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports
        add rule ip kube-proxy reject-chain reject
        add rule ip kube-proxy service-endpoints-check ip daddr . meta l4proto . th dport vmap @no-endpoint-services
        add rule ip kube-proxy services ip daddr . meta l4proto . th dport vmap @service-ips
        add rule ip kube-proxy services ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
        add element ip kube-proxy nodeport-ips { 192.168.0.2 }
    "#]].assert_eq(&script);
}

/// Applies `steps` one after the other and compares what the last one sends.
#[track_caller]
fn check_delta(steps: &[&[ServiceView]], expected: &Expect) {
    let mut backend = backend();
    let node = node();
    let mut last = String::new();
    let mut before: BTreeMap<Key, ServiceView> = BTreeMap::new();
    for (i, step) in steps.iter().enumerate() {
        let services: BTreeMap<Key, ServiceView> = step.iter().map(|s| (s.key.clone(), s.clone())).collect();
        let changed: BTreeSet<Key> = before.keys().chain(services.keys()).cloned().collect();
        let plan = backend.plan(&desired(&node, &services, if i == 0 { None } else { Some(&changed) }));
        backend.applied = Some(plan.tables);
        last = plan.script;
        before = services;
    }
    expected.assert_eq(&last.replace("ip kube-proxy ", ""));
}

#[test]
fn an_unchanged_service_sends_nothing() {
    let web = [view("web", json!({}), &["10.244.0.5"])];
    check_delta(&[&web, &web], &expect![[""]]);
}

#[test]
fn an_endpoint_more_touches_its_chain_and_the_choice() {
    check_delta(
        &[
            &[view("web", json!({}), &["10.244.0.5"])],
            &[view("web", json!({}), &["10.244.0.5", "10.244.0.6"])],
        ],
        &expect![[r#"
            add chain endpoint-WWKKVVC4-ns/web/tcp/http__10.244.0.6/8080
            flush chain service-Y6QD5CCT-ns/web/tcp/http
            add rule endpoint-WWKKVVC4-ns/web/tcp/http__10.244.0.6/8080 ip saddr 10.244.0.6 jump mark-for-masquerade
            add rule endpoint-WWKKVVC4-ns/web/tcp/http__10.244.0.6/8080 meta l4proto tcp dnat to 10.244.0.6:8080
            add rule service-Y6QD5CCT-ns/web/tcp/http ip daddr 10.96.0.1 tcp dport 80 ip saddr != 10.244.0.0/16 jump mark-for-masquerade
            add rule service-Y6QD5CCT-ns/web/tcp/http numgen random mod 2 vmap { 0 : goto endpoint-56LWUB6P-ns/web/tcp/http__10.244.0.5/8080, 1 : goto endpoint-WWKKVVC4-ns/web/tcp/http__10.244.0.6/8080 }
        "#]],
    );
}

#[test]
fn the_last_endpoint_gone_leads_to_reject() {
    check_delta(
        &[&[view("web", json!({}), &["10.244.0.5"])], &[view("web", json!({}), &[])]],
        &expect![[r#"
            flush chain endpoint-56LWUB6P-ns/web/tcp/http__10.244.0.5/8080
            flush chain service-Y6QD5CCT-ns/web/tcp/http
            delete element service-ips { 10.96.0.1 . tcp . 80 }
            delete chain endpoint-56LWUB6P-ns/web/tcp/http__10.244.0.5/8080
            delete chain service-Y6QD5CCT-ns/web/tcp/http
            add element no-endpoint-services { 10.96.0.1 . tcp . 80 : goto reject-chain }
        "#]],
    );
}

#[test]
fn a_deleted_service_leaves_nothing() {
    check_delta(
        &[&[view("web", json!({}), &["10.244.0.5"])], &[]],
        &expect![[r#"
        flush chain endpoint-56LWUB6P-ns/web/tcp/http__10.244.0.5/8080
        flush chain service-Y6QD5CCT-ns/web/tcp/http
        delete element cluster-ips { 10.96.0.1 }
        delete element service-ips { 10.96.0.1 . tcp . 80 }
        delete chain endpoint-56LWUB6P-ns/web/tcp/http__10.244.0.5/8080
        delete chain service-Y6QD5CCT-ns/web/tcp/http
    "#]],
    );
}

#[test]
fn an_address_that_two_services_claim_goes_to_the_other_when_the_first_goes() {
    let spec = json!({"externalIPs": ["203.0.113.1"]});
    let (a, b) = (view("a", spec.clone(), &["10.244.0.5"]), view("b", spec, &["10.244.0.6"]));
    check_delta(
        &[&[a.clone(), b.clone()], &[b]],
        &expect![[r#"
        flush chain endpoint-QXHRA7EN-ns/a/tcp/http__10.244.0.5/8080
        flush chain external-JV5AMCJF-ns/a/tcp/http
        flush chain service-JV5AMCJF-ns/a/tcp/http
        delete element service-ips { 10.96.0.1 . tcp . 80 }
        delete element service-ips { 203.0.113.1 . tcp . 80 }
        delete chain endpoint-QXHRA7EN-ns/a/tcp/http__10.244.0.5/8080
        delete chain external-JV5AMCJF-ns/a/tcp/http
        delete chain service-JV5AMCJF-ns/a/tcp/http
        add element service-ips { 10.96.0.1 . tcp . 80 : goto service-F2TLVHMA-ns/b/tcp/http }
        add element service-ips { 203.0.113.1 . tcp . 80 : goto external-F2TLVHMA-ns/b/tcp/http }
    "#]],
    );
}

#[test]
fn another_affinity_timeout_makes_the_set_anew() {
    let spec = |secs: u32| json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": secs}}});
    check_delta(
        &[&[view("web", spec(10), &["10.244.0.5"])], &[view("web", spec(20), &["10.244.0.5"])]],
        &expect![[r#"
            flush chain endpoint-56LWUB6P-ns/web/tcp/http__10.244.0.5/8080
            flush chain service-Y6QD5CCT-ns/web/tcp/http
            delete set affinity-56LWUB6P-ns/web/tcp/http__10.244.0.5/8080
            add set affinity-56LWUB6P-ns/web/tcp/http__10.244.0.5/8080 { type ipv4_addr ; flags dynamic,timeout ; timeout 20s ; }
            add rule endpoint-56LWUB6P-ns/web/tcp/http__10.244.0.5/8080 ip saddr 10.244.0.5 jump mark-for-masquerade
            add rule endpoint-56LWUB6P-ns/web/tcp/http__10.244.0.5/8080 update @affinity-56LWUB6P-ns/web/tcp/http__10.244.0.5/8080 { ip saddr }
            add rule endpoint-56LWUB6P-ns/web/tcp/http__10.244.0.5/8080 meta l4proto tcp dnat to 10.244.0.5:8080
            add rule service-Y6QD5CCT-ns/web/tcp/http ip daddr 10.96.0.1 tcp dport 80 ip saddr != 10.244.0.0/16 jump mark-for-masquerade
            add rule service-Y6QD5CCT-ns/web/tcp/http ip saddr @affinity-56LWUB6P-ns/web/tcp/http__10.244.0.5/8080 goto endpoint-56LWUB6P-ns/web/tcp/http__10.244.0.5/8080
            add rule service-Y6QD5CCT-ns/web/tcp/http numgen random mod 1 vmap { 0 : goto endpoint-56LWUB6P-ns/web/tcp/http__10.244.0.5/8080 }
        "#]],
    );
}
