//! Node.

use apimachinery::{FieldError, Path, Value, names};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, problems};
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
        validate(&mut errors, object);
        errors
    }

    fn validate_update(&self, _ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        validate(&mut errors, object);
        let spec = Path::new("spec");
        let before = string_list(old.at(&["spec", "podCIDRs"]));
        if !before.is_empty() && string_list(object.at(&["spec", "podCIDRs"])) != before {
            let why = "node updates may not change podCIDR except from \"\" to valid";
            errors.push(FieldError::forbidden(&spec.child("podCIDRs"), why));
        }
        let provider = text(old, &["spec", "providerID"]);
        if !provider.is_empty() && text(object, &["spec", "providerID"]) != provider {
            let why = "node updates may not change providerID except from \"\" to valid";
            errors.push(FieldError::forbidden(&spec.child("providerID"), why));
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

fn validate(errors: &mut Errors, object: &Value) {
    let spec = Path::new("spec");
    let mut seen: Vec<(&str, &str)> = Vec::new();
    // Upstream names the list by its place in metadata.
    let taints = Path::new("metadata").child("taints");
    for (at, taint) in object.array_at(&["spec", "taints"]).iter().enumerate() {
        let path = taints.index(at);
        let (key, effect) = (text(taint, &["key"]), text(taint, &["effect"]));
        problems(errors, &path.child("key"), key, names::qualified_name(key));
        let value = text(taint, &["value"]);
        problems(errors, &path.child("value"), value, names::label_value(value));
        match effect {
            "" => errors.push(FieldError::required(&path.child("effect"), "")),
            "NoSchedule" | "PreferNoSchedule" | "NoExecute" => {}
            other => {
                let supported = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
                errors.push(FieldError::not_supported(&path.child("effect"), other, &supported));
            }
        }
        if seen.contains(&(key, effect)) {
            let shown = crate::strategy::internal_form::of("Taint", Some(taint));
            errors.push(
                FieldError::duplicate(&path, shown)
                    .with_detail("taints must be unique by key and effect pair"),
            );
        }
        seen.push((key, effect));
    }
    let cidrs = string_list(object.at(&["spec", "podCIDRs"]));
    for (at, cidr) in cidrs.iter().enumerate() {
        problems(errors, &spec.child("podCIDRs").index(at), cidr, names::cidr(cidr));
    }
    if cidrs.len() > 1 {
        let family = |cidr: &String| names::parse_cidr(cidr).map(|(ip, _)| ip.is_ipv4());
        if cidrs.len() > 2 || family(&cidrs[0]) == family(&cidrs[1]) {
            let why = "may specify no more than one CIDR for each IP family";
            errors.push(FieldError::invalid(&spec.child("podCIDRs"), strings(&cidrs), why));
        }
    }
}
