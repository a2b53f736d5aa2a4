//! Names and what they lead to, as tables.

use expect_test::{Expect, expect};
use serde_json::json;

use super::*;

/// A cluster that never changes.
#[derive(Debug)]
pub(crate) struct Fixed {
    services: Vec<Arc<Service>>,
    slices: Vec<Arc<EndpointSlice>>,
}

impl Cluster for Fixed {
    fn is_synced(&self) -> bool {
        true
    }
    fn synced(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
    fn service(&self, namespace: &str, name: &str) -> Option<Arc<Service>> {
        let found = |s: &&Arc<Service>| s.metadata.namespace == namespace && s.metadata.name == name;
        self.services.iter().find(found).cloned()
    }
    fn has_namespace(&self, namespace: &str) -> bool {
        self.services.iter().any(|s| s.metadata.namespace == namespace)
    }
    fn slices(&self, namespace: &str, service: &str) -> Vec<Arc<EndpointSlice>> {
        let of =
            |s: &&Arc<EndpointSlice>| s.metadata.namespace == namespace && s.service_name() == Some(service);
        self.slices.iter().filter(of).cloned().collect()
    }
    fn services_by_address(&self, address: IpAddr) -> Vec<Arc<Service>> {
        self.services.iter().filter(|s| s.cluster_ips().any(|ip| ip == address)).cloned().collect()
    }
    fn slices_by_address(&self, address: IpAddr) -> Vec<Arc<EndpointSlice>> {
        let has =
            |s: &&Arc<EndpointSlice>| s.endpoints.iter().flatten().any(|e| e.ips().any(|ip| ip == address));
        self.slices.iter().filter(has).cloned().collect()
    }
}

pub(crate) fn cluster() -> Fixed {
    let services = json!([
        {"metadata": {"name": "web", "namespace": "default"},
         "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7", "fd00:96::7"],
                  "ports": [{"name": "http", "protocol": "TCP", "port": 80}, {"name": "dns", "protocol": "UDP", "port": 53}]}},
        {"metadata": {"name": "db", "namespace": "default"},
         "spec": {"type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"],
                  "ports": [{"name": "sql", "protocol": "TCP", "port": 5432}]}},
        {"metadata": {"name": "empty", "namespace": "default"},
         "spec": {"type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"]}},
        {"metadata": {"name": "out", "namespace": "default"},
         "spec": {"type": "ExternalName", "externalName": "www.example.com"}},
    ]);
    let slices = json!([
        {"metadata": {"name": "db-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "db"}},
         "addressType": "IPv4",
         "endpoints": [
            {"addresses": ["10.244.0.5"], "conditions": {"ready": true}, "hostname": "db-0"},
            {"addresses": ["10.244.0.6"], "conditions": {}},
            {"addresses": ["10.244.0.7"], "conditions": {"ready": false}, "hostname": "db-2"}],
         "ports": [{"name": "sql", "protocol": "TCP", "port": 5432}]},
        {"metadata": {"name": "empty-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "empty"}},
         "addressType": "IPv4", "endpoints": null, "ports": null},
    ]);
    Fixed {
        services: serde_json::from_value(services).unwrap(),
        slices: serde_json::from_value(slices).unwrap(),
    }
}

pub(crate) fn zone() -> Zone {
    Zone::new("cluster.local", vec!["10.96.0.10".parse().unwrap()]).unwrap()
}

#[track_caller]
fn check(name: &str, ty: RecordType, expected: &Expect) {
    let asked = Name::from_ascii(format!("{name}.")).unwrap();
    let mut out = String::new();
    let mut lines = |title: &str, records: &[Record]| {
        for r in records {
            out.push_str(&format!("{title} {} {} {} {}\n", r.name, r.ttl, r.record_type(), r.data));
        }
    };
    match zone().answer(&cluster(), &asked, ty) {
        Answer::Found(found) if found.answers.is_empty() => out.push_str("no data\n"),
        Answer::Found(found) => {
            lines("answer", &found.answers);
            lines("additional", &found.additionals);
        }
        Answer::NoSuchName => out.push_str("no such name\n"),
        Answer::Alias { record, target } => {
            lines("alias", &[*record]);
            out.push_str(&format!("then {target}\n"));
        }
        Answer::Elsewhere => out.push_str("elsewhere\n"),
    }
    expected.assert_eq(&out);
}

#[test]
fn services_have_their_cluster_ips() {
    check(
        "web.default.svc.cluster.local",
        RecordType::A,
        &expect![[r#"
        answer web.default.svc.cluster.local. 5 A 10.96.0.7
    "#]],
    );
    check(
        "web.default.svc.cluster.local",
        RecordType::AAAA,
        &expect![[r#"
        answer web.default.svc.cluster.local. 5 AAAA fd00:96::7
    "#]],
    );
    check(
        "WEB.Default.svc.Cluster.Local",
        RecordType::A,
        &expect![[r#"
        answer WEB.Default.svc.Cluster.Local. 5 A 10.96.0.7
    "#]],
    );
    check(
        "web.default.svc.cluster.local",
        RecordType::TXT,
        &expect![[r#"
        no data
    "#]],
    );
    check(
        "nope.default.svc.cluster.local",
        RecordType::A,
        &expect![[r#"
        no such name
    "#]],
    );
    check(
        "10-96-0-7.web.default.svc.cluster.local",
        RecordType::A,
        &expect![[r#"
        no such name
    "#]],
    );
}

#[test]
fn headless_services_have_their_ready_endpoints() {
    check(
        "db.default.svc.cluster.local",
        RecordType::A,
        &expect![[r#"
        answer db.default.svc.cluster.local. 5 A 10.244.0.5
        answer db.default.svc.cluster.local. 5 A 10.244.0.6
    "#]],
    );
    check(
        "db-0.db.default.svc.cluster.local",
        RecordType::A,
        &expect![[r#"
        answer db-0.db.default.svc.cluster.local. 5 A 10.244.0.5
    "#]],
    );
    check(
        "10-244-0-6.db.default.svc.cluster.local",
        RecordType::A,
        &expect![[r#"
        answer 10-244-0-6.db.default.svc.cluster.local. 5 A 10.244.0.6
    "#]],
    );
    check(
        "10-244-0-5.db.default.svc.cluster.local",
        RecordType::A,
        &expect![[r#"
        no such name
    "#]],
    );
    check(
        "db-2.db.default.svc.cluster.local",
        RecordType::A,
        &expect![[r#"
        no such name
    "#]],
    );
    check(
        "db.default.svc.cluster.local",
        RecordType::AAAA,
        &expect![[r#"
        no data
    "#]],
    );
    check(
        "empty.default.svc.cluster.local",
        RecordType::A,
        &expect![[r#"
        no such name
    "#]],
    );
}

#[test]
fn ports_are_srv_records() {
    check(
        "_http._tcp.web.default.svc.cluster.local",
        RecordType::SRV,
        &expect![[r#"
        answer _http._tcp.web.default.svc.cluster.local. 5 SRV 0 100 80 web.default.svc.cluster.local.
        additional web.default.svc.cluster.local. 5 A 10.96.0.7
        additional web.default.svc.cluster.local. 5 AAAA fd00:96::7
    "#]],
    );
    check(
        "_sql._tcp.db.default.svc.cluster.local",
        RecordType::SRV,
        &expect![[r#"
        answer _sql._tcp.db.default.svc.cluster.local. 5 SRV 0 50 5432 10-244-0-6.db.default.svc.cluster.local.
        answer _sql._tcp.db.default.svc.cluster.local. 5 SRV 0 50 5432 db-0.db.default.svc.cluster.local.
        additional 10-244-0-6.db.default.svc.cluster.local. 5 A 10.244.0.6
        additional db-0.db.default.svc.cluster.local. 5 A 10.244.0.5
    "#]],
    );
    check(
        "_sql._udp.db.default.svc.cluster.local",
        RecordType::SRV,
        &expect![[r#"
        no such name
    "#]],
    );
    check(
        "_http._tcp.web.default.svc.cluster.local",
        RecordType::A,
        &expect![[r#"
        no data
    "#]],
    );
    check(
        "_tcp.web.default.svc.cluster.local",
        RecordType::SRV,
        &expect![[r#"
        no data
    "#]],
    );
    check(
        "web.default.svc.cluster.local",
        RecordType::SRV,
        &expect![[r#"
        answer web.default.svc.cluster.local. 5 SRV 0 50 53 web.default.svc.cluster.local.
        answer web.default.svc.cluster.local. 5 SRV 0 50 80 web.default.svc.cluster.local.
        additional web.default.svc.cluster.local. 5 A 10.96.0.7
        additional web.default.svc.cluster.local. 5 AAAA fd00:96::7
    "#]],
    );
}

#[test]
fn aliases_lead_outside() {
    check(
        "out.default.svc.cluster.local",
        RecordType::A,
        &expect![[r#"
        alias out.default.svc.cluster.local. 5 CNAME www.example.com.
        then www.example.com.
    "#]],
    );
    check(
        "out.default.svc.cluster.local",
        RecordType::CNAME,
        &expect![[r#"
        answer out.default.svc.cluster.local. 5 CNAME www.example.com.
    "#]],
    );
}

#[test]
fn addresses_lead_back_to_names() {
    check(
        "7.0.96.10.in-addr.arpa",
        RecordType::PTR,
        &expect![[r#"
        answer 7.0.96.10.in-addr.arpa. 5 PTR web.default.svc.cluster.local.
    "#]],
    );
    check(
        "5.0.244.10.in-addr.arpa",
        RecordType::PTR,
        &expect![[r#"
        answer 5.0.244.10.in-addr.arpa. 5 PTR db-0.db.default.svc.cluster.local.
    "#]],
    );
    check(
        "6.0.244.10.in-addr.arpa",
        RecordType::PTR,
        &expect![[r#"
        answer 6.0.244.10.in-addr.arpa. 5 PTR 10-244-0-6.db.default.svc.cluster.local.
    "#]],
    );
    check(
        "7.0.244.10.in-addr.arpa",
        RecordType::PTR,
        &expect![[r#"
        elsewhere
    "#]],
    );
    check(
        "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.0.d.f.ip6.arpa",
        RecordType::PTR,
        &expect![[r#"
            answer 7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.0.d.f.ip6.arpa. 5 PTR web.default.svc.cluster.local.
        "#]],
    );
    check(
        "1.2.0.192.in-addr.arpa",
        RecordType::PTR,
        &expect![[r#"
        elsewhere
    "#]],
    );
}

#[test]
fn the_zones_own_names() {
    check(
        "cluster.local",
        RecordType::NS,
        &expect![[r#"
        answer cluster.local. 5 NS ns.dns.cluster.local.
        additional ns.dns.cluster.local. 5 A 10.96.0.10
    "#]],
    );
    check(
        "cluster.local",
        RecordType::SOA,
        &expect![[r#"
        answer cluster.local. 5 SOA ns.dns.cluster.local. hostmaster.cluster.local. 0 7200 1800 86400 5
    "#]],
    );
    check(
        "cluster.local",
        RecordType::A,
        &expect![[r#"
        no data
    "#]],
    );
    check(
        "ns.dns.cluster.local",
        RecordType::A,
        &expect![[r#"
        answer ns.dns.cluster.local. 5 A 10.96.0.10
    "#]],
    );
    check(
        "dns-version.cluster.local",
        RecordType::TXT,
        &expect![[r#"
        answer dns-version.cluster.local. 5 TXT 1.1.0
    "#]],
    );
    check(
        "svc.cluster.local",
        RecordType::A,
        &expect![[r#"
        no data
    "#]],
    );
    check(
        "default.svc.cluster.local",
        RecordType::A,
        &expect![[r#"
        no data
    "#]],
    );
    check(
        "nowhere.svc.cluster.local",
        RecordType::A,
        &expect![[r#"
        no such name
    "#]],
    );
    check(
        "*.default.svc.cluster.local",
        RecordType::A,
        &expect![[r#"
        no such name
    "#]],
    );
    check(
        "www.example.com.default.svc.cluster.local",
        RecordType::A,
        &expect![[r#"
        no such name
    "#]],
    );
}

#[test]
fn pods_are_named_by_their_address() {
    check(
        "10-244-0-9.default.pod.cluster.local",
        RecordType::A,
        &expect![[r#"
        answer 10-244-0-9.default.pod.cluster.local. 5 A 10.244.0.9
    "#]],
    );
    check(
        "fd00--9.default.pod.cluster.local",
        RecordType::AAAA,
        &expect![[r#"
        answer fd00--9.default.pod.cluster.local. 5 AAAA fd00::9
    "#]],
    );
    check(
        "not-an-address.default.pod.cluster.local",
        RecordType::A,
        &expect![[r#"
        no such name
    "#]],
    );
}

#[test]
fn other_domains_are_for_others() {
    check(
        "www.example.com",
        RecordType::A,
        &expect![[r#"
        elsewhere
    "#]],
    );
    check(
        "xcluster.local",
        RecordType::A,
        &expect![[r#"
        elsewhere
    "#]],
    );
    check(
        "local",
        RecordType::A,
        &expect![[r#"
        elsewhere
    "#]],
    );
}
