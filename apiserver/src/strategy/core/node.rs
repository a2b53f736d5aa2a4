//! Node: addresses of its pods and the machine that it is stay.

use apimachinery::{FieldError, Path, Value, names};

use super::pod::resources::amount;
use super::pod::scheduling::{TAINT_EFFECTS, joined};
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, cidr, members, one_of, problems};
use crate::values::{string_list, strings, text};

#[derive(Debug)]
pub struct Node;

impl Strategy for Node {
    fn resource(&self) -> (&'static str, &'static str) {
        ("", "nodes")
    }

    fn prepare_create(&self, _ctx: &StrategyContext<'_>, object: &mut Value) {
        join_cidrs(object);
    }

    fn prepare_update(&self, _ctx: &StrategyContext<'_>, object: &mut Value, _old: &Value) {
        join_cidrs(object);
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        taints(&mut errors, object);
        resources(&mut errors, object);
        cidrs(&mut errors, object);
        errors
    }

    fn validate_update(&self, _ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        resources(&mut errors, object);
        addresses(&mut errors, object);
        let spec = Path::new("spec");
        let before = string_list(old.at(&["spec", "podCIDRs"]));
        let now = string_list(object.at(&["spec", "podCIDRs"]));
        let n_changed = before.iter().zip(&now).filter(|(before, now)| before != now).count();
        let n_problems = match before.len() {
            0 => 0,
            n if n == now.len() => n_changed,
            _ => 1,
        };
        for _ in 0..n_problems {
            let why = "node updates may not change podCIDR except from \"\" to valid";
            errors.push(FieldError::forbidden(&spec.child("podCIDRs"), why));
        }
        let provider = text(old, &["spec", "providerID"]);
        if !provider.is_empty() && text(object, &["spec", "providerID"]) != provider {
            let why = "node updates may not change providerID except from \"\" to valid";
            errors.push(FieldError::forbidden(&spec.child("providerID"), why));
        }
        if let Some(source) = object.at(&["spec", "configSource"]) {
            config_source(&mut errors, source, &spec.child("configSource"), false);
        }
        for key in ["assigned", "active", "lastKnownGood"] {
            if let Some(source) = object.at(&["status", "config", key]) {
                let path = Path::new("status").child("config").child(key);
                config_source(&mut errors, source, &path, true);
            }
        }
        taints(&mut errors, object);
        if text(object, &["spec", "externalID"]) != text(old, &["spec", "externalID"]) {
            errors.push(FieldError::forbidden(&spec.child("externalID"), "may not be updated"));
        }
        errors
    }
}

/// `podCIDR` is the first of `podCIDRs`.
fn join_cidrs(object: &mut Value) {
    let first = text(object, &["spec", "podCIDR"]).to_owned();
    let all = string_list(object.at(&["spec", "podCIDRs"]));
    match all.first() {
        None if !first.is_empty() => object.set_at(&["spec", "podCIDRs"], strings([&first])),
        Some(from) if first.is_empty() => object.set_at(&["spec", "podCIDR"], from.as_str()),
        _ => {}
    }
}

fn taints(errors: &mut Errors, object: &Value) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    // Upstream names the list by its place in metadata.
    let list = Path::new("metadata").child("taints");
    for (at, taint) in object.array_at(&["spec", "taints"]).iter().enumerate() {
        let path = list.index(at);
        let (key, effect) = (text(taint, &["key"]), text(taint, &["effect"]));
        problems(errors, &path.child("key"), key, names::qualified_name(key));
        let value = text(taint, &["value"]);
        joined(errors, &path.child("value"), value, &names::label_value(value));
        match effect {
            "" => errors.push(FieldError::required(&path.child("effect"), "")),
            _ => one_of(errors, taint, &path, "effect", &TAINT_EFFECTS),
        }
        if seen.contains(&(key, effect)) {
            let shown = crate::strategy::internal_form::of("Taint", Some(taint));
            errors.push(
                FieldError::duplicate(&path, shown)
                    .with_detail("taints must be unique by key and effect pair"),
            );
            continue;
        }
        seen.push((key, effect));
    }
}

fn resources(errors: &mut Errors, object: &Value) {
    for list in ["capacity", "allocatable"] {
        for (name, value) in members(object.at(&["status", list])) {
            amount(errors, name, value, &Path::new("status").child(list).child(name));
        }
    }
}

fn addresses(errors: &mut Errors, object: &Value) {
    let all = object.array_at(&["status", "addresses"]);
    let of = |address: &Value| (text(address, &["type"]).to_owned(), text(address, &["address"]).to_owned());
    for (at, address) in all.iter().enumerate() {
        if all[..at].iter().any(|a| of(a) == of(address)) {
            let shown = crate::strategy::internal_form::of("NodeAddress", Some(address));
            errors.push(FieldError::duplicate(&Path::new("status").child("addresses").index(at), shown));
        }
    }
}

/// A config map that a kubelet once took its configuration from.
fn config_source(errors: &mut Errors, source: &Value, path: &Path, of_status: bool) {
    let Some(map) = source.get("configMap") else {
        let shown = crate::strategy::internal_form::text_of("NodeConfigSource", Some(source));
        let why = "exactly one reference subfield must be non-nil";
        errors.push(FieldError::invalid_text(path, &shown, why));
        return;
    };
    let path = path.child("configMap");
    for key in ["uid", "resourceVersion"] {
        let given = !text(map, &[key]).is_empty();
        if of_status && !given {
            errors.push(FieldError::required(&path.child(key), &format!("{key} must be set in status")));
        } else if !of_status && given {
            errors.push(FieldError::forbidden(&path.child(key), &format!("{key} must not be set in spec")));
        }
    }
    for (key, rule) in [
        ("namespace", names::dns1123_label as fn(&str) -> names::Problems),
        ("name", names::dns1123_subdomain),
        ("kubeletConfigKey", names::config_map_key),
    ] {
        let value = text(map, &[key]);
        if value.is_empty() {
            errors.push(FieldError::required(&path.child(key), &format!("{key} must be set")));
        } else {
            problems(errors, &path.child(key), value, rule(value));
        }
    }
}

fn cidrs(errors: &mut Errors, object: &Value) {
    let path = Path::new("spec").child("podCIDRs");
    let all = string_list(object.at(&["spec", "podCIDRs"]));
    for (at, range) in all.iter().enumerate() {
        cidr(errors, &path.index(at), range, &[]);
    }
    if all.len() < 2 {
        return;
    }
    let family = |range: &String| names::parse_cidr(range).map(|(ip, _)| ip.is_ipv4());
    if all.len() > 2 || all.iter().all(|range| family(range) == family(&all[0])) {
        let why = "may specify no more than one CIDR for each IP family";
        errors.push(FieldError::invalid(&path, strings(&all), why));
    }
    for (at, range) in all.iter().enumerate() {
        if all[..at].contains(range) {
            errors.push(FieldError::duplicate(&path.index(at), range.as_str()));
        }
    }
}
