//! ServiceCIDR: one network of services, or one per family.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use apimachinery::{FieldError, Path, Value, names};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, IMMUTABLE, problems};

#[derive(Debug)]
pub struct ServiceCidr;

const AT: [&str; 2] = ["spec", "cidrs"];

impl Strategy for ServiceCidr {
    fn resource(&self) -> (&'static str, &'static str) {
        ("networking.k8s.io", "servicecidrs")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        validate(object)
    }

    /// A network may be added for the other family; what is there stays.
    fn validate_update(&self, _ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let path = Path::new("spec").child("cidrs");
        let (new, before) = (object.array_at(&AT), old.array_at(&AT));
        if new.len() < before.len() {
            return vec![FieldError::invalid(&path, Value::from(new.to_vec()), IMMUTABLE)];
        }
        let mut errors = Errors::new();
        for (at, (cidr, was)) in new.iter().zip(before).enumerate() {
            if cidr != was {
                errors.push(FieldError::invalid(&path.index(at), cidr.clone(), IMMUTABLE));
            }
        }
        if new.len() > before.len() {
            errors.extend(validate(object));
        }
        errors
    }
}

fn validate(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("spec").child("cidrs");
    let cidrs = object.array_at(&AT);
    if cidrs.is_empty() {
        errors.push(FieldError::required(&path, "at least one CIDR required"));
        return errors;
    }
    let shown = Value::from(cidrs.to_vec());
    if cidrs.len() > 2 {
        errors.push(FieldError::invalid(&path, shown, "may only hold up to 2 values"));
        return errors;
    }
    for (at, cidr) in cidrs.iter().enumerate() {
        let cidr = cidr.as_str().unwrap_or_default();
        problems(&mut errors, &path.index(at), cidr, strict_cidr(cidr));
    }
    let family = |v: &Value| v.as_str().and_then(names::parse_cidr).map(|(address, _)| address.is_ipv4());
    if let [a, b] = cidrs
        && (family(a).is_none() || family(b).is_none() || family(a) == family(b))
    {
        let why = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        errors.push(FieldError::invalid(&path, shown, why));
    }
    errors
}

/// A network written in its one form, without bits beyond its prefix.
fn strict_cidr(text: &str) -> names::Problems {
    let mut found = names::cidr(text);
    let Some((address, length)) = names::parse_cidr(text) else { return found };
    let masked = match address {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & mask))
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask))
        }
    };
    if text.contains(':') && address.is_ipv4() {
        found.push("must not have an IPv4-mapped IPv6 address".into());
    } else if masked != address {
        found.push("must not have bits set beyond the prefix length".into());
    } else if format!("{address}/{length}") != text {
        found.push(format!("must be in canonical form (\"{address}/{length}\")"));
    }
    found
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::strategy::testing::{check_invalid, check_invalid_update};

    #[test]
    fn networks() {
        check_invalid(
            &ServiceCidr,
            "spec: {cidrs: [10.0.0.1/24, 10.1.0.0/24]}",
            expect![[r#"
                spec.cidrs[0]: Invalid value: "10.0.0.1/24": must not have bits set beyond the prefix length
                spec.cidrs: Invalid value: ["10.0.0.1/24","10.1.0.0/24"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64
            "#]],
        );
        let one = "spec: {cidrs: [10.0.0.0/24]}";
        check_invalid_update(&ServiceCidr, one, "spec: {cidrs: [10.0.0.0/24, 'fd00::/64']}", expect![""]);
        check_invalid_update(
            &ServiceCidr,
            one,
            "spec: {cidrs: [10.9.0.0/24]}",
            expect![[r#"
                spec.cidrs[0]: Invalid value: "10.9.0.0/24": field is immutable
            "#]],
        );
    }
}
