//! Which endpoints take traffic, as tables.

use serde_json::json;

use super::*;

fn node() -> NodeView {
    NodeView { name: "n1".into(), zone: Some("a".into()), ..NodeView::default() }
}

/// `states` is one word per endpoint: `r` ready, `s` serving, `t` terminating, `l` on this node, `za`/`zb` hint.
fn slice(states: &[&str]) -> EndpointSlice {
    let endpoints: Vec<_> = states
        .iter()
        .enumerate()
        .map(|(i, state)| {
            let hints = state.split_once('z').map(|(_, zone)| json!({"forZones": [{"name": zone}]}));
            json!({
                "addresses": [format!("10.0.0.{}", i + 1)],
                "conditions": {
                    "ready": state.contains('r'),
                    "serving": state.contains('r') || state.contains('s'),
                    "terminating": state.contains('t'),
                },
                "nodeName": if state.contains('l') { "n1" } else { "n2" },
                "hints": hints,
            })
        })
        .collect();
    serde_json::from_value(json!({
        "metadata": {"name": "web-1", "namespace": "ns", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }))
    .unwrap()
}

fn service(extra: serde_json::Value) -> Service {
    let mut spec = json!({
        "type": "NodePort", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"],
        "ports": [{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}],
    });
    for (key, value) in extra.as_object().unwrap() {
        spec[key] = value.clone();
    }
    serde_json::from_value(json!({"metadata": {"name": "web", "namespace": "ns"}, "spec": spec})).unwrap()
}

/// Compares the last numbers of the endpoints' addresses.
#[track_caller]
fn check(extra: serde_json::Value, states: &[&str], cluster: &[u8], local: &[u8], has: bool) {
    let view = service_view(&service(extra), &[&slice(states)], &node()).unwrap();
    let port = &view.ports[0];
    let last = |targets: &[Target]| -> Vec<u8> {
        targets
            .iter()
            .map(|t| match t.address {
                IpAddr::V4(a) => a.octets()[3],
                IpAddr::V6(_) => 0,
            })
            .collect()
    };
    assert_eq!(
        (last(&port.cluster), last(&port.local), port.has_endpoints),
        (cluster.into(), local.into(), has)
    );
}

#[test]
fn ready_endpoints_take_traffic() {
    check(json!({}), &["r", "", "rl"], &[1, 3], &[], true);
    check(json!({}), &[], &[], &[], false);
    check(json!({}), &["", "s"], &[], &[], false);
}

#[test]
fn serving_terminating_endpoints_take_it_when_none_is_ready() {
    check(json!({}), &["st", "t", "s"], &[1], &[], true);
    check(json!({}), &["st", "r"], &[2], &[], true);
}

#[test]
fn local_policy_has_its_own_fallback() {
    let local = json!({"externalTrafficPolicy": "Local"});
    check(local.clone(), &["r", "stl"], &[1], &[2], true);
    check(local.clone(), &["rl", "stl"], &[1], &[1], true);
    check(local, &["r"], &[1], &[], true);
    check(
        json!({"internalTrafficPolicy": "Local", "type": "ClusterIP", "ports": [{"name": "http", "port": 80}]}),
        &["r", "rl"],
        &[],
        &[2],
        true,
    );
}

#[test]
fn zone_hints_count_only_when_complete() {
    check(json!({}), &["rza", "rzb"], &[1], &[], true);
    check(json!({}), &["rza", "r"], &[1, 2], &[], true);
    check(json!({}), &["rzb", "rzb"], &[1, 2], &[], true);
    check(json!({}), &["rza", "zb"], &[1], &[], true);
}

#[test]
fn an_endpoint_in_two_slices_counts_once_in_its_best_state() {
    let (old, new) = (slice(&["t"]), slice(&["r"]));
    let view = service_view(&service(json!({})), &[&new, &old], &node()).unwrap();
    assert_eq!(view.ports[0].cluster.len(), 1);
}

#[test]
fn headless_external_name_and_foreign_services_are_left_alone() {
    for extra in [json!({"clusterIP": "None"}), json!({"type": "ExternalName"}), json!({"clusterIP": ""})] {
        assert!(service_view(&service(extra), &[], &node()).is_none());
    }
    let mut foreign = service(json!({}));
    foreign.metadata.labels.insert("service.kubernetes.io/service-proxy-name".into(), "x".into());
    assert!(service_view(&foreign, &[], &node()).is_none());
}

#[test]
fn null_lists_of_a_slice_are_empty() {
    let slice: EndpointSlice = serde_json::from_value(
        json!({"metadata": {}, "addressType": "IPv4", "endpoints": null, "ports": null}),
    )
    .unwrap();
    assert!(service_view(&service(json!({})), &[&slice], &node()).unwrap().ports[0].cluster.is_empty());
}

#[test]
fn addresses_that_a_proxying_balancer_owns_are_not_ours() {
    let mut service = service(json!({"type": "LoadBalancer"}));
    service.status = serde_json::from_value(
        json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"ip": "192.0.2.2", "ipMode": "Proxy"}]}}),
    )
    .unwrap();
    let view = service_view(&service, &[], &node()).unwrap();
    assert_eq!(view.ports[0].load_balancer_ips, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
}
