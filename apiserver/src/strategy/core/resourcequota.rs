//! ResourceQuota: its scopes stay, and what it counts goes with them.

use std::collections::BTreeSet;

use apimachinery::{FieldError, Path, Value};

use super::pod::resources::{amount, resource_name};
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, IMMUTABLE, members};
use crate::strategy::internal_form;
use crate::values::{string_list, strings, text};

/// Resources of what runs, which all scopes of pods count.
const COMPUTE: [&str; 7] =
    ["pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];
const CLAIMS: [&str; 2] = ["persistentvolumeclaims", "requests.storage"];
/// Scopes, and which of the standard resources each can count.
const SCOPES: [(&str, &[&str]); 7] = [
    ("Terminating", &COMPUTE),
    ("NotTerminating", &COMPUTE),
    ("BestEffort", &["pods"]),
    ("NotBestEffort", &COMPUTE),
    ("PriorityClass", &COMPUTE),
    ("CrossNamespacePodAffinity", &COMPUTE),
    ("VolumeAttributesClass", &CLAIMS),
];
const CONFLICTS: [[&str; 2]; 2] = [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]];
/// Scopes that a pod is in or is not: there is nothing to compare.
const WITHOUT_VALUES: [&str; 5] =
    ["BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity"];
/// Resources without a domain that quotas know.
const STANDARD: [&str; 19] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
];

#[derive(Debug)]
pub struct ResourceQuota;

impl Strategy for ResourceQuota {
    fn resource(&self) -> (&'static str, &'static str) {
        ("", "resourcequotas")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = Path::new("spec");
        amounts(&mut errors, object.at(&["spec", "hard"]), &path.child("hard"));
        scopes(&mut errors, object, &path.child("scopes"));
        selector(&mut errors, object, &path);
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if ctx.subresource == "status" {
            let mut errors = Errors::new();
            for list in ["hard", "used"] {
                amounts(&mut errors, object.at(&["status", list]), &Path::new("status").child(list));
            }
            return errors;
        }
        let mut errors = self.validate_create(ctx, object);
        let scopes = |object: &Value| -> BTreeSet<String> {
            string_list(object.at(&["spec", "scopes"])).into_iter().collect()
        };
        if scopes(object) != scopes(old) {
            let shown = object.at(&["spec", "scopes"]).cloned().unwrap_or_default();
            errors.push(FieldError::invalid(&Path::new("spec").child("scopes"), shown, IMMUTABLE));
        }
        errors
    }
}

fn is_huge(name: &str) -> bool {
    name.starts_with("hugepages-") || name.starts_with("requests.hugepages-")
}

fn is_standard(name: &str) -> bool {
    STANDARD.contains(&name) || is_huge(name)
}

fn amounts(errors: &mut Errors, list: Option<&Value>, path: &Path) {
    for (name, value) in members(list) {
        let path = path.key(name);
        resource_name(errors, name, &path);
        if !name.contains('/') && !is_standard(name) {
            errors.push(FieldError::invalid(&path, name, "must be a standard resource for quota"));
        }
        amount(errors, name, value, &path);
    }
}

/// The standard resources of the quota that a scope cannot count.
fn uncounted(object: &Value, scope: &str) -> usize {
    let Some((_, counts)) = SCOPES.iter().find(|(name, _)| *name == scope) else { return 0 };
    let hard = members(object.at(&["spec", "hard"]));
    hard.iter().filter(|(name, _)| is_standard(name) && !counts.contains(name)).count()
}

fn conflicting(errors: &mut Errors, found: &[&str], shown: &Value, path: &Path) {
    for pair in CONFLICTS {
        if pair.iter().all(|scope| found.contains(scope)) {
            errors.push(FieldError::invalid(path, shown.clone(), "conflicting scopes"));
        }
    }
}

fn scopes(errors: &mut Errors, object: &Value, path: &Path) {
    let all = string_list(object.at(&["spec", "scopes"]));
    for scope in &all {
        if !SCOPES.iter().any(|(name, _)| name == scope) {
            errors.push(FieldError::invalid(path, strings(&all), "unsupported scope"));
        }
        for _ in 0..uncounted(object, scope) {
            let why = "unsupported scope applied to resource";
            errors.push(FieldError::invalid(path, strings(&all), why));
        }
    }
    let found: Vec<&str> = all.iter().map(String::as_str).collect();
    conflicting(errors, &found, &strings(&all), path);
}

fn selector(errors: &mut Errors, object: &Value, path: &Path) {
    let Some(selector) = object.at(&["spec", "scopeSelector"]) else { return };
    let path = path.child("scopeSelector").child("matchExpressions");
    let mut found = Vec::new();
    for expression in selector.array_at(&["matchExpressions"]) {
        let field = |key| text(expression, &[key]);
        let (scope, operator) = (field("scopeName"), field("operator"));
        if !SCOPES.iter().any(|(name, _)| *name == scope) {
            errors.push(FieldError::invalid(&path.child("scopeName"), scope, "unsupported scope"));
        }
        for _ in 0..uncounted(object, scope) {
            let shown = internal_form::text_of("ScopeSelector", Some(selector));
            let why = "unsupported scope applied to resource";
            errors.push(FieldError::invalid_text(&path, &shown, why));
        }
        if WITHOUT_VALUES.contains(&scope) && operator != "Exists" {
            let why = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, \
                       ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, \
                       ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            errors.push(FieldError::invalid(&path.child("operator"), operator, why));
        }
        let values = string_list(expression.get("values"));
        match operator {
            "In" | "NotIn" if values.is_empty() => {
                let why = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                errors.push(FieldError::required(&path.child("values"), why));
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let why = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                errors.push(FieldError::invalid(&path.child("values"), strings(&values), why));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                let why = "not a valid selector operator";
                errors.push(FieldError::invalid(&path.child("operator"), other, why));
            }
        }
        found.push(scope);
    }
    let shown = object.at(&["spec", "scopes"]).cloned().unwrap_or_default();
    conflicting(errors, &found, &shown, &path);
}
