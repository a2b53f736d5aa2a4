use super::*;
use crate::fake_objects::{FakeObjects, from_yaml};

fn services(objects: &Arc<FakeObjects>, cidrs: &[&str]) -> Services {
    let cidrs: Vec<String> = cidrs.iter().map(|c| (*c).to_owned()).collect();
    Services::new(
        Arc::clone(objects) as Arc<dyn Objects>,
        Ranges::parse(&cidrs, NODE_PORTS).unwrap(),
        Arc::new(env::rng::SeededRng::new(3)),
        env::Env::real().clock,
    )
}

/// Allocates for a new Service (or the change of one) and writes what goes with it.
fn allocate(
    objects: &Arc<FakeObjects>,
    cidrs: &[&str],
    spec: &str,
    old: Option<&Value>,
) -> Result<Value, String> {
    let mut service = from_yaml(&format!("metadata: {{name: s, namespace: ns}}\nspec: {spec}"));
    let services = services(objects, cidrs);
    let (guards, ops) = services.allocate(&mut service, old, false).map_err(|s| s.message)?;
    assert!(objects.apply(guards, ops));
    Ok(service)
}

const V4: &[&str] = &["10.96.0.0/16"];

#[track_caller]
fn check(spec: &str, cidrs: &[&str], expected: &[(&str, &str)]) {
    let service = allocate(&Arc::default(), cidrs, spec, None).unwrap();
    for (field, value) in expected {
        assert_eq!(
            service.at(&["spec", field]).map(Value::to_json_string).as_deref(),
            Some(*value),
            "{field}"
        );
    }
}

#[track_caller]
fn check_refused(spec: &str, expected: &str) {
    let objects = FakeObjects::with(
        "apiVersion: networking.k8s.io/v1\nkind: IPAddress\nmetadata: {name: 10.96.0.1}\nspec: {}",
    );
    objects.put("networking.k8s.io", "ipaddresses", from_yaml("metadata: {name: 10.96.0.1}"));
    assert_eq!(allocate(&objects, V4, spec, None).unwrap_err(), expected);
}

#[test]
fn families_are_filled_in() {
    check(
        "{type: ClusterIP, clusterIPs: [10.96.77.77]}",
        V4,
        &[
            ("ipFamilies", r#"["IPv4"]"#),
            ("ipFamilyPolicy", r#""SingleStack""#),
            ("clusterIP", r#""10.96.77.77""#),
        ],
    );
    check(
        "{type: ClusterIP, clusterIPs: [None]}",
        V4,
        &[
            ("ipFamilies", r#"["IPv4","IPv6"]"#),
            ("ipFamilyPolicy", r#""RequireDualStack""#),
            ("clusterIPs", r#"["None"]"#),
        ],
    );
    check("{type: ClusterIP, clusterIPs: [None], selector: {a: b}}", V4, &[("ipFamilies", r#"["IPv4"]"#)]);
    check("{type: ClusterIP, ipFamilyPolicy: PreferDualStack}", V4, &[("ipFamilies", r#"["IPv4"]"#)]);
    check(
        "{type: ClusterIP, ipFamilyPolicy: PreferDualStack}",
        &["10.96.0.0/16", "fd00::/112"],
        &[("ipFamilies", r#"["IPv4","IPv6"]"#)],
    );
    check("{type: ExternalName}", V4, &[]);
}

#[test]
fn addresses_come_from_the_dynamic_band_and_go_with_their_service() {
    let objects = Arc::default();
    let service = allocate(&objects, V4, "{type: ClusterIP}", None).unwrap();
    let ip = text(&service, &["spec", "clusterIP"]).to_owned();
    let number = u32::from(ip.parse::<std::net::Ipv4Addr>().unwrap())
        - u32::from(std::net::Ipv4Addr::new(10, 96, 0, 0));
    assert!(number > 256, "{ip} is not of the static band");
    assert!(objects.get(ips::GROUP, ips::RESOURCE, "", &ip).is_some());

    let (guards, ops) = services(&objects, V4).release(&service);
    assert!(objects.apply(guards, ops));
    assert!(objects.get(ips::GROUP, ips::RESOURCE, "", &ip).is_none());
}

#[test]
fn a_small_range_fills_up() {
    let objects = Arc::default();
    for _ in 0..6 {
        allocate(&objects, &["10.0.0.0/29"], "{type: ClusterIP}", None).unwrap();
    }
    assert_eq!(
        allocate(&objects, &["10.0.0.0/29"], "{type: ClusterIP}", None).unwrap_err(),
        "Internal error occurred: failed to allocate a serviceIP: range is full"
    );
}

#[test]
fn refusals_are_upstreams() {
    check_refused(
        "{type: ClusterIP, clusterIPs: [10.97.0.1]}",
        "Service \"s\" is invalid: spec.clusterIPs: Invalid value: [\"10.97.0.1\"]: failed to allocate IP 10.97.0.1: the \
         provided network does not match the current range",
    );
    check_refused(
        "{type: ClusterIP, clusterIPs: [10.96.0.1]}",
        "Service \"s\" is invalid: spec.clusterIPs: Invalid value: [\"10.96.0.1\"]: failed to allocate IP 10.96.0.1: \
         provided IP is already allocated",
    );
    check_refused(
        "{type: ClusterIP, ipFamilyPolicy: RequireDualStack}",
        "Service \"s\" is invalid: spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not \
         configured for dual-stack services",
    );
    check_refused(
        "{type: ClusterIP, ipFamilies: [IPv6]}",
        "Service \"s\" is invalid: spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster",
    );
    check_refused(
        "{type: NodePort, ports: [{port: 80, nodePort: 80}]}",
        "Service \"s\" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The \
         range of valid ports is 30000-32767",
    );
}

#[test]
fn node_ports_are_shared_by_protocols_and_given_back() {
    let objects = Arc::default();
    let ports = "{type: NodePort, ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}, {port: 80, nodePort: 30080}]}";
    let service = allocate(&objects, V4, ports, None).unwrap();
    let node_port =
        |service: &Value, at: usize| service.array_at(&["spec", "ports"])[at].i64_at(&["nodePort"]).unwrap();
    assert_eq!(node_port(&service, 0), node_port(&service, 1));
    assert!(node_port(&service, 0) >= 30_086, "from the dynamic band");
    assert_eq!(ports::used_by(&service).len(), 2);
    assert_eq!(
        allocate(&objects, V4, "{type: NodePort, ports: [{port: 1, nodePort: 30080}]}", None).unwrap_err(),
        "Service \"s\" is invalid: spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated"
    );
    let ip = text(&service, &["spec", "clusterIP"]);
    let changed =
        format!("{{type: ClusterIP, clusterIPs: [{ip}], ipFamilies: [IPv4], ports: [{{port: 80}}]}}");
    allocate(&objects, V4, &changed, Some(&service)).unwrap();
    allocate(&objects, V4, "{type: NodePort, ports: [{port: 1, nodePort: 30080}]}", None).unwrap();
}

#[test]
fn a_service_that_becomes_external_gives_its_address_back() {
    let objects = Arc::default();
    let service = allocate(&objects, V4, "{type: ClusterIP}", None).unwrap();
    let ip = text(&service, &["spec", "clusterIP"]).to_owned();
    allocate(&objects, V4, "{type: ExternalName, externalName: a.b}", Some(&service)).unwrap();
    assert!(objects.get(ips::GROUP, ips::RESOURCE, "", &ip).is_none());
}

#[test]
fn the_repair_makes_what_services_say_true() {
    let objects = FakeObjects::with(
        "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: ns}\n\
         spec: {type: NodePort, clusterIPs: [10.96.3.3], ports: [{port: 1, nodePort: 30100}]}",
    );
    let services = services(&objects, V4);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(repair(&services)).unwrap();
    assert!(objects.get(ips::GROUP, ips::RESOURCE, "", "10.96.3.3").is_some());
    assert_eq!(
        allocate(&objects, V4, "{type: NodePort, ports: [{port: 1, nodePort: 30100}]}", None).unwrap_err(),
        "Service \"s\" is invalid: spec.ports[0].nodePort: Invalid value: 30100: provided port is already allocated"
    );
}
