//! Service.
//!
//! Addresses and node ports are allocated after validation (see `alloc`): here what the client said is brought into one
//! form, what it left out of an update is kept, what another type does not have is dropped.

mod fields;

use apimachinery::{FieldError, Path, Value, names};

use crate::alloc::{HEADLESS, may_have_node_ports, needs_cluster_ip, needs_health_check_port};
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, one_of, optional_name, port, port_or_name, problems};
use crate::values::{string_list, strings, text};

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
        validate(&mut errors, service);
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
        if ctx.subresource.is_empty() {
            unchangeable(&mut errors, service, old);
            validate(&mut errors, service);
        }
        errors
    }
}

fn unchangeable(errors: &mut Errors, service: &Value, old: &Value) {
    let spec = Path::new("spec");
    let ips = |service: &Value| string_list(service.at(&["spec", "clusterIPs"]));
    if needs_cluster_ip(service) && needs_cluster_ip(old) {
        let (now, before) = (ips(service), ips(old));
        for at in 0..before.len().min(now.len()) {
            if now[at] != before[at] {
                let field = spec.child("clusterIPs").index(at);
                errors.push(FieldError::invalid(&field, strings(&now), "may not change once set"));
            }
        }
    }
    let is_balancer = |service: &Value| text(service, &["spec", "type"]) == "LoadBalancer";
    let class = |service: &Value| service.at(&["spec", "loadBalancerClass"]).cloned();
    if is_balancer(service) && is_balancer(old) && class(service) != class(old) {
        let shown = class(service).unwrap_or_default();
        errors.push(FieldError::invalid(&spec.child("loadBalancerClass"), shown, "may not change once set"));
    }
    let check_port = |service: &Value| service.i64_at(&["spec", "healthCheckNodePort"]).unwrap_or(0);
    if needs_health_check_port(service)
        && needs_health_check_port(old)
        && check_port(old) != 0
        && check_port(service) != check_port(old)
    {
        errors.push(FieldError::forbidden(&spec.child("healthCheckNodePort"), "field is immutable"));
    }
}

fn is_headless(service: &Value) -> bool {
    text(service, &["spec", "clusterIP"]) == HEADLESS
        || string_list(service.at(&["spec", "clusterIPs"])).first().is_some_and(|ip| ip == HEADLESS)
}

fn validate(errors: &mut Errors, service: &Value) {
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
        "LoadBalancer" => {
            for (at, port) in ports.iter().enumerate() {
                if port.i64_at(&["port"]) == Some(10_250) {
                    let why = "may not expose port 10250 externally since it is used by kubelet";
                    errors.push(FieldError::invalid(&path.child("ports").index(at), 10_250, why));
                }
            }
            not_headless(errors, headless, &path, kind);
        }
        "NodePort" => not_headless(errors, headless, &path, kind),
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
    cluster_ips(errors, spec, &path, headless);
    external_ips(errors, spec, &path);
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
    load_balancer(errors, spec, &path, kind);
    traffic(errors, service, spec, &path);
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

fn affinity(errors: &mut Errors, spec: &Value, path: &Path) {
    if text(spec, &["sessionAffinity"]).is_empty() {
        errors.push(FieldError::required(&path.child("sessionAffinity"), ""));
    } else {
        one_of(errors, spec, path, "sessionAffinity", &["ClientIP", "None"]);
    }
    if text(spec, &["sessionAffinity"]) == "ClientIP" {
        let path = path.child("sessionAffinityConfig");
        match spec.at(&["sessionAffinityConfig", "clientIP", "timeoutSeconds"]).and_then(Value::as_i64) {
            None => {
                let why = "when session affinity type is ClientIP";
                errors.push(FieldError::required(&path, why));
            }
            Some(seconds) if !(1..=86_400).contains(&seconds) => {
                let field = path.child("clientIP").child("timeoutSeconds");
                errors.push(FieldError::invalid(
                    &field,
                    seconds,
                    "must be greater than 0 and less than 86400",
                ));
            }
            Some(_) => {}
        }
    }
}

fn cluster_ips(errors: &mut Errors, spec: &Value, path: &Path, headless: bool) {
    if text(spec, &["type"]) == "ExternalName" {
        return;
    }
    let ips = string_list(spec.get("clusterIPs"));
    let families = string_list(spec.get("ipFamilies"));
    let list = path.child("clusterIPs");
    let first = text(spec, &["clusterIP"]);
    match ips.first() {
        None if !first.is_empty() => errors.push(FieldError::required(&list, "")),
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
        let found = names::ip(ip);
        bad |= !found.is_empty();
        problems(errors, &list.index(at), ip, found);
    }
    if bad {
        return;
    }
    let of = |ip: &str| names::parse_ip(ip).map(|ip| if ip.is_ipv4() { "IPv4" } else { "IPv6" });
    if ips.len() > 2 {
        errors.push(FieldError::invalid(&list, strings(&ips), "may only hold up to 2 values"));
    } else if let [a, b] = ips.as_slice()
        && of(a) == of(b)
    {
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

fn external_ips(errors: &mut Errors, spec: &Value, path: &Path) {
    for (at, ip) in string_list(spec.get("externalIPs")).iter().enumerate() {
        let path = path.child("externalIPs").index(at);
        let found = names::ip(ip);
        if found.is_empty() {
            special_ip(errors, ip, &path);
        } else {
            problems(errors, &path, ip, found);
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
            if seen.contains(&(protocol, number)) {
                let (port, node) = if key == "port" { (number, 0) } else { (0, number) };
                let shown = crate::value!({
                    "Name": "",
                    "Protocol": (protocol),
                    "AppProtocol": null,
                    "Port": (port),
                    "TargetPort": 0,
                    "NodePort": (node),
                });
                let path = list.index(at);
                let path = if key == "nodePort" { path.child("nodePort") } else { path };
                errors.push(FieldError::duplicate(&path, shown));
            }
            seen.push((protocol, number));
        }
    }
}

fn load_balancer(errors: &mut Errors, spec: &Value, path: &Path, kind: &str) {
    let only = "may only be used when `type` is 'LoadBalancer'";
    let ranges = string_list(spec.get("loadBalancerSourceRanges"));
    if !ranges.is_empty() {
        // Upstream writes this path with a capital.
        let list = path.child("LoadBalancerSourceRanges");
        if kind != "LoadBalancer" {
            errors.push(FieldError::forbidden(&list, only));
        }
        for (at, range) in ranges.iter().enumerate() {
            problems(errors, &list.index(at), range, names::cidr(range.trim()));
        }
    }
    if spec.get("allocateLoadBalancerNodePorts").is_some() != (kind == "LoadBalancer") {
        let field = path.child("allocateLoadBalancerNodePorts");
        if kind == "LoadBalancer" {
            errors.push(FieldError::required(&field, ""));
        } else {
            errors.push(FieldError::forbidden(&field, only));
        }
    }
    if let Some(class) = spec.get("loadBalancerClass").and_then(Value::as_str) {
        let field = path.child("loadBalancerClass");
        if kind == "LoadBalancer" {
            problems(errors, &field, class, names::qualified_name(class));
        } else {
            errors.push(FieldError::forbidden(&field, only));
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
    let check = spec.i64_at(&["healthCheckNodePort"]).unwrap_or(0);
    if check != 0 && !needs_health_check_port(service) {
        let why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.push(FieldError::invalid(&path.child("healthCheckNodePort"), check, why));
    }
    if spec.get("internalTrafficPolicy").is_some() {
        one_of(errors, spec, path, "internalTrafficPolicy", &["Cluster", "Local"]);
    }
    if spec.get("trafficDistribution").is_some() {
        let supported = ["PreferClose", "PreferSameZone", "PreferSameNode"];
        one_of(errors, spec, path, "trafficDistribution", &supported);
    }
}

#[cfg(test)]
mod tests;
