//! NetworkPolicy: who may talk to the pods of a selector, and to whom they may talk.

use std::net::IpAddr;

use apimachinery::selector::validate_label_selector;
use apimachinery::{FieldError, Path, Value, names};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{self, Errors, optional_one_of, port, problems};
use crate::values::{string_list, text};

#[derive(Debug)]
pub struct NetworkPolicy;

const POLICY_TYPES: [&str; 2] = ["Egress", "Ingress"];

impl Strategy for NetworkPolicy {
    fn resource(&self) -> (&'static str, &'static str) {
        ("networking.k8s.io", "networkpolicies")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        validate(object, &[])
    }

    fn validate_update(&self, _ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        validate(object, &networks(old))
    }
}

/// Every network of a policy.
fn networks(object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        let rules = object.array_at(&["spec", direction]).iter();
        for block in rules.flat_map(|rule| rule.array_at(&[peers])).filter_map(|peer| peer.get("ipBlock")) {
            found.push(text(block, &["cidr"]).to_owned());
            found.extend(string_list(block.get("except")));
        }
    }
    found
}

/// `before` are the networks that the policy had.
fn validate(object: &Value, before: &[String]) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("spec");
    let spec = object.get("spec").unwrap_or(&Value::NULL);
    if let Some(selector) = spec.get("podSelector") {
        errors.extend(validate_label_selector(selector, &path.child("podSelector")));
    }
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (at, rule) in spec.array_at(&[direction]).iter().enumerate() {
            let path = path.child(direction).index(at);
            for (at, port) in rule.array_at(&["ports"]).iter().enumerate() {
                validate_port(&mut errors, port, &path.child("ports").index(at));
            }
            for (at, peer) in rule.array_at(&[peers]).iter().enumerate() {
                validate_peer(&mut errors, peer, &path.child(peers).index(at), before);
            }
        }
    }
    let types = spec.array_at(&["policyTypes"]);
    let path = path.child("policyTypes");
    if types.len() > POLICY_TYPES.len() {
        let shown = Value::from(types.to_vec());
        errors.push(FieldError::invalid(&path, shown, "may not specify more than two policyTypes"));
        return errors;
    }
    for (at, found) in types.iter().enumerate() {
        if !POLICY_TYPES.contains(&found.as_str().unwrap_or_default()) {
            errors.push(FieldError::not_supported(&path.index(at), found.clone(), &POLICY_TYPES));
        }
    }
    errors
}

fn validate_port(errors: &mut Errors, value: &Value, path: &Path) {
    optional_one_of(errors, value, path, "protocol", &["TCP", "UDP", "SCTP"]);
    let end = value.i64_at(&["endPort"]);
    let at = path.child("endPort");
    let Some(found) = value.get("port") else {
        if let Some(end) = end {
            errors.push(FieldError::invalid(&at, end, "may not be specified when `port` is not specified"));
        }
        return;
    };
    if let Some(name) = found.as_str() {
        if let Some(end) = end {
            errors.push(FieldError::invalid(&at, end, "may not be specified when `port` is non-numeric"));
        }
        problems(errors, &path.child("port"), name, names::port_name(name));
        return;
    }
    let number = found.as_i64().unwrap_or(0);
    port(errors, &path.child("port"), number);
    if let Some(end) = end {
        if end < number {
            errors.push(FieldError::invalid(&at, number, "must be greater than or equal to `port`"));
        }
        port(errors, &at, end);
    }
}

fn validate_peer(errors: &mut Errors, peer: &Value, path: &Path, before: &[String]) {
    let mut peers = 0;
    for key in ["podSelector", "namespaceSelector"] {
        if let Some(selector) = peer.get(key) {
            peers += 1;
            errors.extend(validate_label_selector(selector, &path.child(key)));
        }
    }
    let block = peer.get("ipBlock");
    if let Some(block) = block {
        peers += 1;
        validate_block(errors, block, &path.child("ipBlock"), before);
    }
    if peers == 0 {
        errors.push(FieldError::required(path, "must specify a peer"));
    } else if peers > 1 && block.is_some() {
        errors.push(FieldError::forbidden(path, "may not specify both ipBlock and another peer"));
    }
}

fn validate_block(errors: &mut Errors, block: &Value, path: &Path, before: &[String]) {
    let cidr = text(block, &["cidr"]);
    let at = path.child("cidr");
    if cidr.is_empty() {
        errors.push(FieldError::required(&at, ""));
        return;
    }
    check::cidr(errors, &at, cidr, before);
    let Some(network) = names::parse_cidr(cidr) else { return };
    for (index, except) in block.array_at(&["except"]).iter().enumerate() {
        let path = path.child("except").index(index);
        let except = except.as_str().unwrap_or_default();
        check::cidr(errors, &path, except, before);
        let Some((address, length)) = names::parse_cidr(except) else { continue };
        if !contains(network, address) || network.1 >= length {
            errors.push(FieldError::invalid(&path, except, "must be a strict subset of `cidr`"));
        }
    }
}

/// Whether an address lies in a network; families never mix.
fn contains((network, length): (IpAddr, u8), address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let shift = 32 - u32::from(length);
            network.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let shift = 128 - u32::from(length);
            network.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::strategy::testing::check_invalid;

    #[test]
    fn peers_and_ports() {
        check_invalid(
            &NetworkPolicy,
            "spec: {podSelector: {}, ingress: [{from: [{podSelector: {}, ipBlock: {cidr: 10.0.0.0/8, except: \
             [10.1.0.0/16, 11.0.0.0/16]}}], ports: [{port: 80, endPort: 79, protocol: ICMP}]}], policyTypes: [Both]}",
            expect![[r#"
                spec.ingress[0].ports[0].protocol: Unsupported value: "ICMP": supported values: "TCP", "UDP", "SCTP"
                spec.ingress[0].ports[0].endPort: Invalid value: 80: must be greater than or equal to `port`
                spec.ingress[0].from[0].ipBlock.except[1]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`
                spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer
                spec.policyTypes[0]: Unsupported value: "Both": supported values: "Egress", "Ingress"
            "#]],
        );
    }
}
