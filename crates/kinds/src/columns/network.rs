//! Rows of services, endpoints and what routes to them.

use apimachinery::Value;

use super::{Row, age, cells, joined, labels, name, number, selector, shortened, size, text, text_or};

/// How many ports, endpoints or hosts a cell names before it counts.
const SHOWN: usize = 3;

pub(super) fn service(object: &Value, now: i64) -> Row {
    let first_ip = object.array_at(&["spec", "clusterIPs"]).first().and_then(Value::as_str);
    let cluster_ip = first_ip.filter(|ip| !ip.is_empty()).unwrap_or("<none>");
    let ports: Vec<_> = object.array_at(&["spec", "ports"]).iter().map(port).collect();
    let ports = if ports.is_empty() { "<none>".into() } else { ports.join(",") };
    cells([
        name(object),
        text(object, &["spec", "type"]).into(),
        cluster_ip.into(),
        external_ip(object).into(),
        ports.into(),
        age(object, now),
        labels(object, &["spec", "selector"]).into(),
    ])
}

fn port(port: &Value) -> String {
    let (number, node_port) = (number(port, &["port"]), number(port, &["nodePort"]));
    let protocol = text(port, &["protocol"]);
    if node_port > 0 { format!("{number}:{node_port}/{protocol}") } else { format!("{number}/{protocol}") }
}

fn external_ip(object: &Value) -> String {
    let external = joined(object.array_at(&["spec", "externalIPs"]), ",", Value::as_str);
    match text(object, &["spec", "type"]) {
        "LoadBalancer" => match (load_balancer(object).as_str(), external.as_str()) {
            ("", "") => "<pending>".into(),
            (balanced, "") => balanced.into(),
            ("", external) => external.into(),
            (balanced, external) => format!("{balanced},{external}"),
        },
        "ExternalName" => text(object, &["spec", "externalName"]).into(),
        "ClusterIP" | "NodePort" if external.is_empty() => "<none>".into(),
        "ClusterIP" | "NodePort" => external,
        _ => "<unknown>".into(),
    }
}

/// Addresses and host names of the load balancer, sorted.
fn load_balancer(object: &Value) -> String {
    let ingress = object.array_at(&["status", "loadBalancer", "ingress"]);
    let mut points: Vec<_> = ingress
        .iter()
        .map(|point| text_or(point, &["ip"], text(point, &["hostname"])))
        .filter(|point| !point.is_empty())
        .collect();
    points.sort_unstable();
    points.dedup();
    points.join(",")
}

pub(super) fn endpoints(object: &Value, now: i64) -> Row {
    let mut list = Vec::new();
    for subset in object.array_at(&["subsets"]) {
        let addresses = subset.array_at(&["addresses"]);
        let ports = subset.array_at(&["ports"]);
        if ports.is_empty() {
            list.extend(addresses.iter().map(|a| text(a, &["ip"]).to_owned()));
        }
        for port in ports {
            for address in addresses {
                let ip = text(address, &["ip"]);
                let ip = if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
                list.push(format!("{ip}:{}", number(port, &["port"])));
            }
        }
    }
    let shown = if list.is_empty() { "<none>".into() } else { shortened(&list, SHOWN, ",") };
    cells([name(object), shown.into(), age(object, now)])
}

pub(super) fn endpoint_slice(object: &Value, now: i64) -> Row {
    let ports: Vec<_> = object
        .array_at(&["ports"])
        .iter()
        .map(|port| match port.i64_at(&["port"]) {
            Some(number) => number.to_string(),
            None => text_or(port, &["name"], "*").to_owned(),
        })
        .collect();
    let addresses: Vec<_> = object
        .array_at(&["endpoints"])
        .iter()
        .flat_map(|endpoint| endpoint.array_at(&["addresses"]))
        .filter_map(|address| address.as_str().map(str::to_owned))
        .collect();
    let shown =
        |list: &[String]| if list.is_empty() { "<unset>".into() } else { shortened(list, SHOWN, ",") };
    cells([
        name(object),
        text(object, &["addressType"]).into(),
        shown(&ports).into(),
        shown(&addresses).into(),
        age(object, now),
    ])
}

pub(super) fn ingress(object: &Value, now: i64) -> Row {
    let rules = object.array_at(&["spec", "rules"]);
    let hosts: Vec<_> =
        rules.iter().map(|r| text(r, &["host"]).to_owned()).filter(|host| !host.is_empty()).collect();
    let hosts = if hosts.is_empty() { "*".into() } else { shortened(&hosts, SHOWN, ",") };
    let ports = if size(object, &["spec", "tls"]) > 0 { "80, 443" } else { "80" };
    cells([
        name(object),
        text_or(object, &["spec", "ingressClassName"], "<none>").into(),
        hosts.into(),
        load_balancer(object).into(),
        ports.into(),
        age(object, now),
    ])
}

pub(super) fn ingress_class(object: &Value, now: i64) -> Row {
    let parameters = match object.at(&["spec", "parameters"]).filter(|p| p.is_object()) {
        None => "<none>".into(),
        Some(parameters) => {
            let group = text(parameters, &["apiGroup"]);
            let dot = if group.is_empty() { "" } else { "." };
            format!("{}{dot}{group}/{}", text(parameters, &["kind"]), text(parameters, &["name"]))
        }
    };
    cells([name(object), text(object, &["spec", "controller"]).into(), parameters.into(), age(object, now)])
}

pub(super) fn network_policy(object: &Value, now: i64) -> Row {
    cells([name(object), selector(object, &["spec", "podSelector"], "<none>").into(), age(object, now)])
}

pub(super) fn service_cidr(object: &Value, now: i64) -> Row {
    cells([
        name(object),
        joined(object.array_at(&["spec", "cidrs"]), ",", Value::as_str).into(),
        age(object, now),
    ])
}

/// Upstream sends the age although it defines no column for it.
pub(super) fn ip_address(object: &Value, now: i64) -> Row {
    let parent = object.at(&["spec", "parentRef"]).unwrap_or(&Value::NULL);
    let mut words = Vec::new();
    let group = text(parent, &["group"]);
    let dot = if group.is_empty() { "" } else { "." };
    words.push(format!("{}{dot}{group}", text(parent, &["resource"])));
    for key in ["namespace", "name"] {
        let word = text(parent, &[key]);
        if !word.is_empty() {
            words.push(word.to_owned());
        }
    }
    cells([name(object), words.join("/").into(), age(object, now)])
}
