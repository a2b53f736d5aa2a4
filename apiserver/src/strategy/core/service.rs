//! Service.
//!
//! Addresses and node ports are allocated after validation (see `alloc`): here what the client said is brought into one
//! form, what it left out of an update is kept, what another type does not have is dropped.

mod fields;
mod update;

use apimachinery::{FieldError, Path, Value, names};

use crate::alloc::{HEADLESS, may_have_node_ports, needs_health_check_port};
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{self, Errors, one_of, optional_name, port, port_or_name, problems};
use crate::values::{annotation, string_list, strings, text};

#[derive(Debug)]
pub struct Service;

impl Strategy for Service {
    fn resource(&self) -> (&'static str, &'static str) {
        ("", "services")
    }

    fn prepare_create(&self, _ctx: &StrategyContext<'_>, service: &mut Value) {
        service.set_at(&["status"], crate::value!({ "loadBalancer": {} }));
        fields::join_cluster_ips(service, None);
        fields::drop_unused(service);
    }

    fn prepare_update(&self, ctx: &StrategyContext<'_>, service: &mut Value, old: &Value) {
        if !ctx.subresource.is_empty() {
            return;
        }
        fields::join_cluster_ips(service, Some(old));
        fields::keep_allocated(service, old);
        fields::drop_of_other_type(service, old);
        fields::drop_unused(service);
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, service: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        validate(&mut errors, service, None);
        errors
    }

    fn warnings(&self, ctx: &StrategyContext<'_>, service: &Value, _old: Option<&Value>) -> Vec<String> {
        let mut found = Vec::new();
        if !ctx.subresource.is_empty() {
            return found;
        }
        if !service.array_at(&["spec", "externalIPs"]).is_empty() {
            found.push(
                "spec.externalIPs is deprecated and may no longer be implemented in some clusters".into(),
            );
        }
        if text(service, &["spec", "trafficDistribution"]) == "PreferClose" {
            let why = "spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"";
            found.push(why.into());
        }
        found
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, service: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        match ctx.subresource {
            "" => {
                update::validate(&mut errors, service, old);
                validate(&mut errors, service, Some(old));
            }
            "status" => balancer_status(&mut errors, service, old),
            _ => {}
        }
        errors
    }
}

fn is_headless(service: &Value) -> bool {
    text(service, &["spec", "clusterIP"]) == HEADLESS
        || string_list(service.at(&["spec", "clusterIPs"])).first().is_some_and(|ip| ip == HEADLESS)
}

fn validate(errors: &mut Errors, service: &Value, old: Option<&Value>) {
    topology_annotations(errors, service);
    let path = Path::new("spec");
    let empty = Value::object();
    let spec = service.get("spec").unwrap_or(&empty);
    let kind = text(spec, &["type"]);
    let ports = spec.array_at(&["ports"]);
    let headless = is_headless(service);
    if ports.is_empty() && !headless && kind != "ExternalName" {
        errors.push(FieldError::required(&path.child("ports"), ""));
    }
    match kind {
        "LoadBalancer" | "NodePort" => not_headless(errors, headless, &path, kind),
        "ExternalName" => external_name(errors, spec, &path),
        _ => {}
    }
    let mut seen: Vec<&str> = Vec::new();
    for (at, port) in ports.iter().enumerate() {
        service_port(errors, port, &path.child("ports").index(at), ports.len() > 1, &mut seen);
    }
    if let Some(selector) = spec.get("selector") {
        errors.extend(apimachinery::meta::validate_labels(selector, &path.child("selector")));
    }
    affinity(errors, spec, &path);
    let before = |key: &str| string_list(old.and_then(|old| old.at(&["spec", key])));
    cluster_ips(errors, spec, &path, headless, &before("clusterIPs"));
    external_ips(errors, spec, &path, &before("externalIPs"));
    if kind.is_empty() {
        errors.push(FieldError::required(&path.child("type"), ""));
    } else {
        one_of(errors, spec, &path, "type", &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]);
    }
    if kind == "ClusterIP" {
        for (at, port) in ports.iter().enumerate() {
            if port.i64_at(&["nodePort"]).unwrap_or(0) != 0 {
                let field = path.child("ports").index(at).child("nodePort");
                errors.push(FieldError::forbidden(&field, "may not be used when `type` is 'ClusterIP'"));
            }
        }
    }
    duplicates(errors, ports, &path.child("ports"));
    source_ranges(errors, service, kind, old);
    load_balancer(errors, spec, &path, kind);
    traffic(errors, service, spec, &path);
}

/// The annotation had another name: where both are, they agree.
fn topology_annotations(errors: &mut Errors, service: &Value) {
    const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
    const MODE: &str = "service.kubernetes.io/topology-mode";
    if let (Some(hints), Some(mode)) = (annotation(service, HINTS), annotation(service, MODE))
        && hints != mode
    {
        let path = Path::new("metadata").child("annotations").key(MODE);
        let why = format!("must match annotations[{HINTS}] when both are specified");
        errors.push(FieldError::invalid(&path, mode, &why));
    }
}

fn not_headless(errors: &mut Errors, headless: bool, path: &Path, kind: &str) {
    if headless {
        let why = format!("may not be set to 'None' for {kind} services");
        errors.push(FieldError::invalid(&path.child("clusterIPs").index(0), HEADLESS, &why));
    }
}

fn external_name(errors: &mut Errors, spec: &Value, path: &Path) {
    for key in ["clusterIPs", "ipFamilies"] {
        if !spec.array_at(&[key]).is_empty() {
            errors.push(FieldError::forbidden(&path.child(key), "may not be set for ExternalName services"));
        }
    }
    if spec.get("ipFamilyPolicy").is_some() {
        let why = "may not be set for ExternalName services";
        errors.push(FieldError::forbidden(&path.child("ipFamilyPolicy"), why));
    }
    let name = text(spec, &["externalName"]);
    let bare = name.strip_suffix('.').unwrap_or(name);
    if bare.is_empty() {
        errors.push(FieldError::required(&path.child("externalName"), ""));
    } else {
        problems(errors, &path.child("externalName"), bare, names::dns1123_subdomain(bare));
    }
}

fn service_port<'a>(
    errors: &mut Errors,
    value: &'a Value,
    path: &Path,
    needs_name: bool,
    seen: &mut Vec<&'a str>,
) {
    let name = text(value, &["name"]);
    if needs_name && name.is_empty() {
        errors.push(FieldError::required(&path.child("name"), ""));
    } else if !name.is_empty() {
        problems(errors, &path.child("name"), name, names::dns1123_label(name));
        if seen.contains(&name) {
            errors.push(FieldError::duplicate(&path.child("name"), name));
        }
        seen.push(name);
    }
    port(errors, &path.child("port"), value.i64_at(&["port"]).unwrap_or(0));
    if text(value, &["protocol"]).is_empty() {
        errors.push(FieldError::required(&path.child("protocol"), ""));
    } else {
        one_of(errors, value, path, "protocol", &["SCTP", "TCP", "UDP"]);
    }
    port_or_name(errors, &path.child("targetPort"), value.get("targetPort"));
    optional_name(errors, value, path, "appProtocol", names::qualified_name);
}

/// A day.
const AFFINITY_SECS_MAX: i64 = 86_400;

fn affinity(errors: &mut Errors, spec: &Value, path: &Path) {
    if text(spec, &["sessionAffinity"]).is_empty() {
        errors.push(FieldError::required(&path.child("sessionAffinity"), ""));
    } else {
        one_of(errors, spec, path, "sessionAffinity", &["ClientIP", "None"]);
    }
    if text(spec, &["sessionAffinity"]) == "ClientIP" {
        let path = path.child("sessionAffinityConfig");
        let config = spec.get("sessionAffinityConfig");
        let client = config.and_then(|c| c.get("clientIP"));
        let seconds = client.and_then(|c| c.i64_at(&["timeoutSeconds"]));
        let missing = match (config, client) {
            (None, _) => path,
            (_, None) => path.child("clientIP"),
            _ => path.child("clientIP").child("timeoutSeconds"),
        };
        match seconds {
            None => errors.push(FieldError::required(&missing, "when session affinity type is ClientIP")),
            Some(seconds) if !(1..=AFFINITY_SECS_MAX).contains(&seconds) => {
                let why = format!("must be greater than 0 and less than {AFFINITY_SECS_MAX}");
                errors.push(FieldError::invalid(&missing, seconds, &why));
            }
            Some(_) => {}
        }
    } else if text(spec, &["sessionAffinity"]) == "None" && spec.get("sessionAffinityConfig").is_some() {
        let why = "must not be set when session affinity is None";
        errors.push(FieldError::forbidden(&path.child("sessionAffinityConfig"), why));
    }
}

fn cluster_ips(errors: &mut Errors, spec: &Value, path: &Path, headless: bool, before: &[String]) {
    if text(spec, &["type"]) == "ExternalName" {
        return;
    }
    let ips = string_list(spec.get("clusterIPs"));
    let families = string_list(spec.get("ipFamilies"));
    let list = path.child("clusterIPs");
    let first = text(spec, &["clusterIP"]);
    match ips.first() {
        None if !first.is_empty() => errors.push(FieldError::required(&list, "")),
        Some(_) if first.is_empty() => {
            let why = "must be empty when `clusterIP` is not specified";
            errors.push(FieldError::invalid(&list, strings(&ips), why));
        }
        Some(ip) if ip != first => {
            errors.push(FieldError::invalid(&list, strings(&ips), "first value must match `clusterIP`"));
        }
        _ => {}
    }
    for (at, family) in families.iter().enumerate() {
        let path = path.child("ipFamilies").index(at);
        if !matches!(family.as_str(), "IPv4" | "IPv6") {
            errors.push(FieldError::not_supported(&path, family.as_str(), &["IPv4", "IPv6"]));
        }
        if families[..at].contains(family) {
            errors.push(FieldError::duplicate(&path, family.as_str()));
        }
    }
    if spec.get("ipFamilyPolicy").is_some() {
        let supported = ["PreferDualStack", "RequireDualStack", "SingleStack"];
        one_of(errors, spec, path, "ipFamilyPolicy", &supported);
    }
    let mut bad = false;
    for (at, ip) in ips.iter().enumerate() {
        if at == 0 && ip == HEADLESS {
            if ips.len() > 1 {
                bad = true;
                errors.push(FieldError::invalid(
                    &list,
                    strings(&ips),
                    "'None' must be the first and only value",
                ));
            }
            continue;
        }
        let n_errors = errors.len();
        check::ip(errors, &list.index(at), ip, before);
        bad |= errors.len() > n_errors;
    }
    if ips.len() > 2 {
        errors.push(FieldError::invalid(&list, strings(&ips), "may only hold up to 2 values"));
    }
    if bad {
        return;
    }
    let of = |ip: &str| names::parse_ip(ip).map(|ip| if ip.is_ipv4() { "IPv4" } else { "IPv6" });
    if ips.len() > 1 && ips.iter().all(|ip| of(ip) == of(&ips[0])) {
        let why = "may specify no more than one IP for each IP family";
        errors.push(FieldError::invalid(&list, strings(&ips), why));
    }
    if !headless {
        for (at, (ip, family)) in ips.iter().zip(&families).enumerate() {
            if of(ip).is_some_and(|of| of != family) {
                let why = format!("expected an {family} value as indicated by `ipFamilies[{at}]`");
                errors.push(FieldError::invalid(&list.index(at), ip.as_str(), &why));
            }
        }
    }
}

fn external_ips(errors: &mut Errors, spec: &Value, path: &Path, before: &[String]) {
    for (at, ip) in string_list(spec.get("externalIPs")).iter().enumerate() {
        let path = path.child("externalIPs").index(at);
        let n_errors = errors.len();
        check::ip(errors, &path, ip, before);
        if errors.len() == n_errors {
            special_ip(errors, ip, &path);
        }
    }
}

/// Addresses that no traffic from outside can have.
pub(in crate::strategy) fn special_ip(errors: &mut Errors, text: &str, path: &Path) {
    let Some(ip) = names::parse_ip(text) else {
        errors.push(FieldError::invalid(path, text, "must be a valid IP address"));
        return;
    };
    let link_local = match ip {
        std::net::IpAddr::V4(ip) => ip.is_link_local(),
        std::net::IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let multicast_local = match ip {
        std::net::IpAddr::V4(ip) => ip.octets()[..3] == [224, 0, 0],
        std::net::IpAddr::V6(ip) => ip.segments()[0] & 0xff0f == 0xff02,
    };
    let mut say = |why: &str| errors.push(FieldError::invalid(path, text, why));
    if ip.is_unspecified() {
        say(&format!("may not be unspecified ({text})"));
    }
    if ip.is_loopback() {
        say("may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    if link_local {
        say("may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
    if multicast_local {
        say("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
    }
}

fn duplicates(errors: &mut Errors, ports: &[Value], list: &Path) {
    let number = |port: &Value, key: &str| port.i64_at(&[key]).unwrap_or(0);
    for key in ["nodePort", "port"] {
        let mut seen: Vec<(&str, i64)> = Vec::new();
        for (at, value) in ports.iter().enumerate() {
            let number = number(value, key);
            if key == "nodePort" && number == 0 {
                continue;
            }
            let protocol = text(value, &["protocol"]);
            if seen.contains(&(protocol, number)) && key == "nodePort" {
                errors.push(FieldError::duplicate(&list.index(at).child(key), number));
            } else if seen.contains(&(protocol, number)) {
                let shown = crate::value!({
                    "Name": "",
                    "Protocol": (protocol),
                    "AppProtocol": null,
                    "Port": (number),
                    "TargetPort": 0,
                    "NodePort": 0,
                });
                errors.push(FieldError::duplicate(&list.index(at), shown));
            }
            seen.push((protocol, number));
        }
    }
}

const ONLY_BALANCERS: &str = "may only be used when `type` is 'LoadBalancer'";

/// From where traffic is let in, by the field or the annotation that was there before it.
fn source_ranges(errors: &mut Errors, service: &Value, kind: &str, old: Option<&Value>) {
    const ANNOTATION: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
    let of_field = |service: &Value| -> Vec<String> {
        let ranges = string_list(service.at(&["spec", "loadBalancerSourceRanges"]));
        ranges.iter().map(|range| range.trim().to_owned()).collect()
    };
    let of_annotation = |service: &Value| -> Vec<String> {
        let value = annotation(service, ANNOTATION).unwrap_or_default().trim();
        value.split(',').map(|range| range.trim().to_owned()).filter(|_| !value.is_empty()).collect()
    };
    let (by_field, path) = if of_field(service).is_empty() {
        (false, Path::new("metadata").child("annotations").key(ANNOTATION))
    } else {
        // Upstream writes this path with a capital.
        (true, Path::new("spec").child("LoadBalancerSourceRanges"))
    };
    if !by_field && annotation(service, ANNOTATION).is_none() {
        return;
    }
    if kind != "LoadBalancer" {
        errors.push(FieldError::forbidden(&path, ONLY_BALANCERS));
    }
    let ranges = |service: &Value| if by_field { of_field(service) } else { of_annotation(service) };
    let before = old.map(ranges).unwrap_or_default();
    for (at, range) in ranges(service).iter().enumerate() {
        let path = if by_field { path.index(at) } else { path.clone() };
        check::cidr(errors, &path, range, &before);
    }
}

fn load_balancer(errors: &mut Errors, spec: &Value, path: &Path, kind: &str) {
    if spec.get("allocateLoadBalancerNodePorts").is_some() != (kind == "LoadBalancer") {
        if kind == "LoadBalancer" {
            // Upstream leaves the spec out of this path.
            errors.push(FieldError::required(&Path::new("allocateLoadBalancerNodePorts"), ""));
        } else {
            let field = path.child("allocateLoadBalancerNodePorts");
            errors.push(FieldError::forbidden(&field, ONLY_BALANCERS));
        }
    }
    balancer_class(errors, spec, path, kind);
}

fn balancer_class(errors: &mut Errors, spec: &Value, path: &Path, kind: &str) {
    if let Some(class) = spec.get("loadBalancerClass").and_then(Value::as_str) {
        let field = path.child("loadBalancerClass");
        if kind == "LoadBalancer" {
            problems(errors, &field, class, names::qualified_name(class));
        } else {
            errors.push(FieldError::forbidden(&field, ONLY_BALANCERS));
        }
    }
}

fn traffic(errors: &mut Errors, service: &Value, spec: &Value, path: &Path) {
    let external = may_have_node_ports(service)
        || (text(spec, &["type"]) == "ClusterIP" && !spec.array_at(&["externalIPs"]).is_empty());
    let policy = text(spec, &["externalTrafficPolicy"]);
    let field = path.child("externalTrafficPolicy");
    if external {
        if policy.is_empty() {
            errors.push(FieldError::required(&field, ""));
        } else {
            one_of(errors, spec, path, "externalTrafficPolicy", &["Cluster", "Local"]);
        }
    } else if !policy.is_empty() {
        let why = "may only be set for externally-accessible services";
        errors.push(FieldError::invalid(&field, policy, why));
    }
    let number = spec.i64_at(&["healthCheckNodePort"]).unwrap_or(0);
    let field = path.child("healthCheckNodePort");
    if !needs_health_check_port(service) {
        if number != 0 {
            let why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.push(FieldError::invalid(&field, number, why));
        }
    } else if number != 0 {
        // None yet: the server takes one after this.
        port(errors, &field, number);
    }
    if spec.get("internalTrafficPolicy").is_some() {
        one_of(errors, spec, path, "internalTrafficPolicy", &["Cluster", "Local"]);
    }
    if spec.get("trafficDistribution").is_some() {
        let supported = ["PreferClose", "PreferSameZone", "PreferSameNode"];
        one_of(errors, spec, path, "trafficDistribution", &supported);
    }
}

/// Where a load balancer is reached.
fn balancer_status(errors: &mut Errors, service: &Value, old: &Value) {
    let path = Path::new("status").child("loadBalancer").child("ingress");
    let all = service.array_at(&["status", "loadBalancer", "ingress"]);
    let before = old.array_at(&["status", "loadBalancer", "ingress"]);
    let before: Vec<String> = before.iter().map(|i| text(i, &["ip"]).to_owned()).collect();
    if text(service, &["spec", "type"]) != "LoadBalancer" {
        if !all.is_empty() {
            let why = "may only be used when `spec.type` is 'LoadBalancer'";
            errors.push(FieldError::forbidden(&path, why));
        }
        return;
    }
    for (at, ingress) in all.iter().enumerate() {
        let path = path.index(at);
        let (ip, host) = (text(ingress, &["ip"]), text(ingress, &["hostname"]));
        if !ip.is_empty() {
            check::ip(errors, &path.child("ip"), ip, &before);
        }
        let field = path.child("ipMode");
        match (ingress.get("ipMode").is_some(), ip.is_empty()) {
            (false, false) => {
                errors.push(FieldError::required(&field, "must be specified when `ip` is set"));
            }
            (true, true) => {
                errors.push(FieldError::forbidden(&field, "may not be specified when `ip` is not set"));
            }
            (true, false) => one_of(errors, ingress, &path, "ipMode", &["Proxy", "VIP"]),
            (false, true) => {}
        }
        if !host.is_empty() {
            let field = path.child("hostname");
            problems(errors, &field, host, names::dns1123_subdomain(host));
            if names::parse_ip(host).is_some() {
                errors.push(FieldError::invalid(&field, host, "must be a DNS name, not an IP address"));
            }
        }
    }
}

#[cfg(test)]
mod rule_tests;
#[cfg(test)]
mod tests;
