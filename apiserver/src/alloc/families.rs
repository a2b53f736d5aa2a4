//! The IP families of a Service and their policy: what the client left open is filled in from what it said and from the
//! cluster's ranges. Mirrors upstream's `initIPFamilyFields`.

use apimachinery::{FieldError, Path, Status, Value, names};

use super::{HEADLESS, Ranges, needs_cluster_ip};

use crate::values::{string_list, strings, text};

pub(super) fn family(v4: bool) -> &'static str {
    if v4 { "IPv4" } else { "IPv6" }
}

/// Fills in `ipFamilies` and `ipFamilyPolicy`, or says what the cluster cannot do.
pub(super) fn init(service: &mut Value, old: Option<&Value>, ranges: &Ranges) -> Result<(), Status> {
    if !needs_cluster_ip(service) {
        return Ok(());
    }
    let mut families = string_list(service.at(&["spec", "ipFamilies"]));
    let ips = string_list(service.at(&["spec", "clusterIPs"]));
    let mut policy = text(service, &["spec", "ipFamilyPolicy"]).to_owned();
    // An update that goes to one family without saying which keeps the first.
    if old.is_some() && policy == "SingleStack" {
        keep_first(service, old, &mut families);
    }
    let mut errors = Vec::new();
    for (at, ip) in string_list(service.at(&["spec", "clusterIPs"])).iter().enumerate() {
        let Some(ip) = names::parse_ip(ip) else { continue };
        let of_ip = family(ip.is_ipv4());
        match families.get(at) {
            None => families.push(of_ip.into()),
            Some(said) if said != of_ip => {
                let detail = format!("expected an {said} value as indicated by `ipFamilies[{at}]`");
                let field = Path::new("spec").child("clusterIPs").index(at);
                errors.push(FieldError::invalid(&field, ip.to_string(), &detail));
            }
            Some(_) => {}
        }
    }
    let configured: Vec<&str> = ranges.cidrs.iter().map(|c| family(c.is_v4())).collect();
    let headless = ips.first().is_some_and(|ip| ip == HEADLESS);
    let has_selector =
        service.at(&["spec", "selector"]).and_then(Value::as_object).is_some_and(|s| !s.is_empty());
    // A headless Service without a selector is about endpoints of anybody's: both families, whatever the cluster has.
    let anything_goes = headless && !has_selector;
    if policy.is_empty() {
        if families.len() > 1 {
            let detail =
                "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified";
            errors.push(FieldError::required(&Path::new("spec").child("ipFamilyPolicy"), detail));
        }
        let both = anything_goes && families.is_empty();
        policy = if both { "RequireDualStack" } else { "SingleStack" }.into();
    }
    if policy == "RequireDualStack" && configured.len() < 2 && !anything_goes {
        let detail = "this cluster is not configured for dual-stack services";
        errors.push(FieldError::invalid(&Path::new("spec").child("ipFamilyPolicy"), policy.as_str(), detail));
    }
    if !anything_goes {
        for (at, said) in families.iter().enumerate() {
            if !configured.contains(&said.as_str()) {
                let field = Path::new("spec").child("ipFamilies").index(at);
                errors.push(FieldError::invalid(&field, said.as_str(), "not configured on this cluster"));
            }
        }
    }
    if !errors.is_empty() {
        return Err(Status::invalid("", "Service", crate::values::meta(service, "name"), &errors));
    }
    if families.is_empty() {
        families.push(configured[0].into());
    }
    let dual = policy == "RequireDualStack" || (policy == "PreferDualStack" && configured.len() == 2);
    if dual && families.len() == 1 {
        families.push(if families[0] == "IPv4" { "IPv6" } else { "IPv4" }.into());
    }
    service.set_at(&["spec", "ipFamilies"], strings(&families));
    service.set_at(&["spec", "ipFamilyPolicy"], policy);
    Ok(())
}

/// Takes the second address and family away when both are still as they were.
fn keep_first(service: &mut Value, old: Option<&Value>, families: &mut Vec<String>) {
    for field in ["clusterIPs", "ipFamilies"] {
        let now = string_list(service.at(&["spec", field]));
        let before = string_list(old.and_then(|o| o.at(&["spec", field])));
        if now.len() == 2 && now == before {
            service.set_at(&["spec", field], strings(&now[..1]));
            if field == "ipFamilies" {
                families.truncate(1);
            }
        }
    }
}
