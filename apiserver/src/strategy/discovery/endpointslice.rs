//! EndpointSlice: addresses of one type behind a Service's ports.

use std::net::IpAddr;

use apimachinery::{FieldError, Path, Value, meta, names};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{self, Errors, immutable, optional_name, port, problems, same};
use crate::values::{string_list, text};

#[derive(Debug)]
pub struct EndpointSlice;

const ENDPOINTS_MAX: usize = 1000;
const ADDRESSES_MAX: usize = 100;
const PORTS_MAX: usize = 20_000;
const HINTS_MAX: usize = 8;
/// The slice that names the API server itself.
const SERVERS_OWN: (&str, &str) = ("default", "kubernetes");
const LOOPBACK: &str = "may not be in the loopback range (127.0.0.0/8, ::1/128)";
const TYPES: [&str; 3] = ["FQDN", "IPv4", "IPv6"];
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

impl Strategy for EndpointSlice {
    fn resource(&self) -> (&'static str, &'static str) {
        ("discovery.k8s.io", "endpointslices")
    }

    /// The topology of the beta version is kept only where it was stored.
    fn prepare_create(&self, _ctx: &StrategyContext<'_>, object: &mut Value) {
        for endpoint in object.get_mut("endpoints").and_then(Value::as_array_mut).into_iter().flatten() {
            endpoint.remove_at(&["deprecatedTopology"]);
        }
    }

    fn prepare_update(&self, ctx: &StrategyContext<'_>, object: &mut Value, old: &Value) {
        let had = old.array_at(&["endpoints"]).iter().any(|e| e.get("deprecatedTopology").is_some());
        if !had || !same(object.get("endpoints"), old.get("endpoints")) {
            self.prepare_create(ctx, object);
        }
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        validate(object, &[])
    }

    fn validate_update(&self, _ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = validate(object, old.array_at(&["endpoints"]));
        immutable(&mut errors, object, old, &["addressType"], &Path::new("addressType"));
        errors
    }

    fn warnings(&self, _ctx: &StrategyContext<'_>, object: &Value, _old: Option<&Value>) -> Vec<String> {
        if text(object, &["addressType"]) == "FQDN" {
            return vec!["spec.addressType: FQDN endpoints are deprecated".into()];
        }
        Vec::new()
    }
}

/// Endpoints that were there before are not checked again.
fn validate(object: &Value, before: &[Value]) -> Errors {
    let mut errors = Errors::new();
    let kind = text(object, &["addressType"]);
    let path = Path::new("addressType");
    if kind.is_empty() {
        errors.push(FieldError::required(&path, ""));
    } else if !TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(&path, kind, &TYPES));
    }
    let endpoints = object.array_at(&["endpoints"]);
    let path = Path::new("endpoints");
    if endpoints.len() > ENDPOINTS_MAX {
        errors.push(FieldError::too_many(&path, endpoints.len(), ENDPOINTS_MAX));
    } else {
        let known: Vec<String> = before.iter().flat_map(|e| string_list(e.get("addresses"))).collect();
        let unchanged = |at: usize, endpoint: &Value| before.get(at) == Some(endpoint);
        for (at, endpoint) in endpoints.iter().enumerate().filter(|(at, e)| !unchanged(*at, e)) {
            validate_endpoint(&mut errors, endpoint, kind, &path.index(at), &known);
        }
    }
    if (meta::namespace(object), meta::name(object)) == SERVERS_OWN {
        // Upstream's server refuses to advertise a loopback address; ours may, on a host of its own.
        errors.retain(|e| !e.message.ends_with(LOOPBACK));
    }
    validate_ports(&mut errors, object.array_at(&["ports"]), &Path::new("ports"));
    errors
}

fn validate_endpoint(errors: &mut Errors, endpoint: &Value, kind: &str, path: &Path, known: &[String]) {
    let addresses = endpoint.array_at(&["addresses"]);
    let at = path.child("addresses");
    if addresses.is_empty() {
        errors.push(FieldError::required(&at, "must contain at least 1 address"));
    } else if addresses.len() > ADDRESSES_MAX {
        errors.push(FieldError::too_many(&at, addresses.len(), ADDRESSES_MAX));
    }
    for (index, address) in addresses.iter().enumerate() {
        validate_address(errors, address.as_str().unwrap_or_default(), kind, &at.index(index), known);
    }
    optional_name(errors, endpoint, path, "nodeName", names::dns1123_subdomain);
    if endpoint.get("hostname").is_some() {
        let host = text(endpoint, &["hostname"]);
        problems(errors, &path.child("hostname"), host, names::dns1123_label(host));
    }
    for (list, rule) in [
        ("forZones", names::label_value as fn(&str) -> names::Problems),
        ("forNodes", names::dns1123_subdomain),
    ] {
        let hints = endpoint.array_at(&["hints", list]);
        let path = path.child("hints").child(list);
        if hints.len() > HINTS_MAX {
            errors.push(FieldError::too_many(&path, hints.len(), HINTS_MAX));
            continue;
        }
        for (at, hint) in hints.iter().enumerate() {
            let name = text(hint, &["name"]);
            if hints[..at].iter().any(|h| text(h, &["name"]) == name) {
                errors.push(FieldError::duplicate(&path.index(at).child("name"), name));
            }
            problems(errors, &path.index(at).child("name"), name, rule(name));
        }
    }
}

fn validate_address(errors: &mut Errors, address: &str, kind: &str, path: &Path, known: &[String]) {
    if kind == "FQDN" {
        domain(errors, address, path);
        return;
    }
    if !["IPv4", "IPv6"].contains(&kind) {
        return;
    }
    check::ip(errors, path, address, known);
    let Some(ip) = names::parse_ip(address) else { return };
    if ip.is_ipv4() != (kind == "IPv4") {
        errors.push(FieldError::invalid(path, address, &format!("must be an {kind} address")));
    }
    special(errors, address, ip, path);
}

/// Addresses that no endpoint has, because they mean something else to the host that would use them.
fn special(errors: &mut Errors, address: &str, ip: IpAddr, path: &Path) {
    let (local, local_multicast) = match ip {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), v6.segments()[0] & 0xff0f == 0xff02),
    };
    let mut refuse = |why: &str| errors.push(FieldError::invalid(path, address, why));
    if ip.is_unspecified() {
        refuse(&format!("may not be unspecified ({address})"));
    }
    if ip.is_loopback() {
        refuse(LOOPBACK);
    }
    if local {
        refuse("may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
    if local_multicast {
        refuse("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
    }
}

fn domain(errors: &mut Errors, name: &str, path: &Path) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let found = names::dns1123_subdomain(name);
    if !found.is_empty() {
        errors.push(FieldError::invalid(path, name, &found.join(",")));
        return;
    }
    if name.split('.').count() < 2 {
        errors.push(FieldError::invalid(
            path,
            name,
            "should be a domain with at least two segments separated by dots",
        ));
        return;
    }
    for label in name.split('.') {
        let found = names::dns1123_label(label);
        if !found.is_empty() {
            errors.push(FieldError::invalid(path, label, &found.join(",")));
        }
    }
}

fn validate_ports(errors: &mut Errors, ports: &[Value], path: &Path) {
    if ports.len() > PORTS_MAX {
        errors.push(FieldError::too_many(path, ports.len(), PORTS_MAX));
        return;
    }
    for (at, found) in ports.iter().enumerate() {
        let path = path.index(at);
        let name = text(found, &["name"]);
        optional_name(errors, found, &path, "name", names::dns1123_label);
        if ports[..at].iter().any(|p| text(p, &["name"]) == name) {
            errors.push(FieldError::duplicate(&path.child("name"), name));
        }
        if let Some(number) = found.i64_at(&["port"]) {
            port(errors, &path.child("port"), number);
        }
        let protocol = text(found, &["protocol"]);
        if protocol.is_empty() {
            errors.push(FieldError::required(&path.child("protocol"), ""));
        } else if !PROTOCOLS.contains(&protocol) {
            errors.push(FieldError::not_supported(&path.child("protocol"), protocol, &PROTOCOLS));
        }
        optional_name(errors, found, &path, "appProtocol", names::qualified_name);
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::strategy::testing::check_invalid;

    #[test]
    fn addresses_are_of_the_slices_type() {
        check_invalid(
            &EndpointSlice,
            "{addressType: IPv4, endpoints: [{addresses: ['fd00::1', 127.0.0.1, x]}, {}]}",
            expect![[r#"
                endpoints[0].addresses[0]: Invalid value: "fd00::1": must be an IPv4 address
                endpoints[0].addresses[1]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)
                endpoints[0].addresses[2]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)
                endpoints[1].addresses: Required value: must contain at least 1 address
            "#]],
        );
    }

    #[test]
    fn ports_have_names_of_their_own() {
        check_invalid(
            &EndpointSlice,
            "{addressType: FQDN, ports: [{name: a, protocol: TCP}, {name: a, port: 0, protocol: Zap}]}",
            expect![[r#"
                ports[1].name: Duplicate value: "a"
                ports[1].port: Invalid value: 0: must be between 1 and 65535, inclusive
                ports[1].protocol: Unsupported value: "Zap": supported values: "SCTP", "TCP", "UDP"
            "#]],
        );
    }
}
