//! The objects through which pods find the DNS server of the node: a Service without selector and its EndpointSlice.

use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};

/// The name that pods, tools and conformance tests look for.
pub const NAME: &str = "kube-dns";
/// Where it lives.
pub const NAMESPACE: &str = "kube-system";

/// Service `kube-system/kube-dns` with `cluster_ip`, and the EndpointSlice that leads it to `server`.
///
/// Apply both on each start: the node's address may have changed.
pub fn manifests(cluster_ip: IpAddr, server: SocketAddr) -> Vec<Value> {
    let labels = json!({
        "k8s-app": "kube-dns",
        "kubernetes.io/cluster-service": "true",
        "kubernetes.io/name": "CoreDNS",
    });
    let port = |name: &str, protocol: &str| json!({"name": name, "port": 53, "protocol": protocol, "targetPort": server.port()});
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": cluster_ip,
            "clusterIPs": [cluster_ip],
            "ports": [port("dns", "UDP"), port("dns-tcp", "TCP")],
        },
    });
    let slice_port =
        |name: &str, protocol: &str| json!({"name": name, "port": server.port(), "protocol": protocol});
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kube-dns-node",
            "namespace": NAMESPACE,
            "labels": {
                "kubernetes.io/service-name": NAME,
                "endpointslice.kubernetes.io/managed-by": "gantry.dns",
            },
        },
        "addressType": if server.is_ipv4() { "IPv4" } else { "IPv6" },
        "endpoints": [{
            "addresses": [server.ip()],
            "conditions": {"ready": true, "serving": true, "terminating": false},
        }],
        "ports": [slice_port("dns", "UDP"), slice_port("dns-tcp", "TCP")],
    });
    vec![service, slice]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_and_slice_agree_on_ports() {
        let objects = manifests("10.96.0.10".parse().unwrap(), "192.168.0.2:10053".parse().unwrap());
        let names = |v: &Value| -> Vec<String> {
            v.as_array().unwrap().iter().map(|p| format!("{}/{}", p["name"], p["protocol"])).collect()
        };
        assert_eq!(names(&objects[0]["spec"]["ports"]), names(&objects[1]["ports"]));
        assert_eq!(objects[0]["spec"]["clusterIP"], "10.96.0.10");
        assert_eq!(objects[1]["endpoints"][0]["addresses"][0], "192.168.0.2");
        assert_eq!(objects[1]["ports"][0]["port"], 10053);
    }
}
