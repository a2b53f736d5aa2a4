//! Requests and limits of containers and pods.

use apimachinery::{FieldError, Path, Quantity, Value, names};

use crate::strategy::check::{Errors, NOT_NEGATIVE, members, problems, quantity};
use crate::values::text;

/// What a container asks for. `claims` are the names of the pod's resource claims.
pub(super) fn validate(errors: &mut Errors, resources: Option<&Value>, path: &Path, claims: &[&str]) {
    let Some(resources) = resources else { return };
    let (limits, requests) = (resources.get("limits"), resources.get("requests"));
    let (mut has_compute, mut has_huge) = (false, false);
    for (name, value) in members(limits) {
        let path = path.child("limits").key(name);
        resource_name(errors, name, &path);
        amount(errors, name, value, &path);
        has_huge |= is_huge(name);
        has_compute |= matches!(name, "cpu" | "memory");
    }
    for (name, value) in members(requests) {
        let key = path.child("requests").key(name);
        resource_name(errors, name, &key);
        let Some(asked) = amount(errors, name, value, &key) else { continue };
        has_huge |= is_huge(name);
        has_compute |= matches!(name, "cpu" | "memory");
        let limit = quantity(limits.and_then(|l| l.get(name)));
        let shown = asked.to_string();
        match limit {
            Some(limit) if !may_overcommit(name) && asked != limit => {
                let why = format!("must be equal to {name} limit of {limit}");
                errors.push(FieldError::invalid(&path.child("requests"), shown, &why));
            }
            Some(limit) if asked > limit => {
                let why = format!("must be less than or equal to {name} limit of {limit}");
                errors.push(FieldError::invalid(&path.child("requests"), shown, &why));
            }
            None if !may_overcommit(name) => {
                errors.push(FieldError::required(
                    &path.child("limits"),
                    "Limit must be set for non overcommitable resources",
                ));
            }
            _ => {}
        }
    }
    if has_huge && !has_compute {
        errors.push(FieldError::forbidden(path, "HugePages require cpu or memory"));
    }
    claim_references(errors, resources, path, claims);
}

fn claim_references(errors: &mut Errors, resources: &Value, path: &Path, claims: &[&str]) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (at, claim) in resources.array_at(&["claims"]).iter().enumerate() {
        let (name, request) = (text(claim, &["name"]), text(claim, &["request"]));
        let path = path.child("claims").index(at);
        if name.is_empty() {
            errors.push(FieldError::required(&path, ""));
            continue;
        }
        if seen.contains(&(name, request)) {
            let shown = if request.is_empty() { name.to_owned() } else { format!("{name}/{request}") };
            errors.push(FieldError::duplicate(&path, shown));
        }
        seen.push((name, request));
        if !claims.contains(&name) {
            let why = if claims.is_empty() {
                "must be one of the names in pod.spec.resourceClaims which is empty".to_owned()
            } else {
                format!("must be one of the names in pod.spec.resourceClaims: {}", claims.join(", "))
            };
            errors.push(FieldError::not_found(&path, name).with_detail(&why));
        }
    }
}

/// The name of a resource that a container may ask for.
fn resource_name(errors: &mut Errors, name: &str, path: &Path) {
    let found = names::qualified_name(name);
    let bad = !found.is_empty();
    problems(errors, path, name, found);
    if !name.contains('/') {
        if bad || (!matches!(name, "cpu" | "memory" | "ephemeral-storage") && !is_huge(name)) {
            errors.push(FieldError::invalid(path, name, "must be a standard resource for containers"));
        }
    } else if !is_kubernetes(name) && !is_extended(name) {
        errors.push(FieldError::invalid(path, name, "doesn't follow extended resource name standard"));
    }
}

fn is_kubernetes(name: &str) -> bool {
    name.contains("kubernetes.io/")
}

pub(super) fn is_extended(name: &str) -> bool {
    name.contains('/')
        && !is_kubernetes(name)
        && !name.starts_with("requests.")
        && names::qualified_name(&format!("requests.{name}")).is_empty()
}

fn is_huge(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// Whether requests and limits may differ.
fn may_overcommit(name: &str) -> bool {
    !is_huge(name) && (!name.contains('/') || is_kubernetes(name))
}

fn is_integer(name: &str) -> bool {
    is_extended(name) || is_huge(name)
}

fn amount(errors: &mut Errors, name: &str, value: &Value, path: &Path) -> Option<Quantity> {
    let found = Quantity::from_value(value).ok()?;
    let shown = found.to_string();
    if found.sign() < 0 {
        errors.push(FieldError::invalid(path, shown.as_str(), NOT_NEGATIVE));
    }
    if is_integer(name) && !is_huge(name) && found.milli_value() % 1000 != 0 {
        errors.push(FieldError::invalid(path, shown.as_str(), "must be an integer"));
    }
    if let Some(size) = name.strip_prefix("hugepages-").and_then(|s| Quantity::parse(s).ok())
        && size.value() > 0
        && found.value() % size.value() != 0
    {
        let why = format!("{shown} is not positive integer multiple of {name}");
        errors.push(FieldError::invalid(path, shown.as_str(), &why));
    }
    Some(found)
}

/// Resources of the whole pod: cpu, memory and huge pages, no less than what its containers ask for together.
pub(super) fn validate_pod_level(errors: &mut Errors, spec: &Value, path: &Path) {
    let Some(resources) = spec.get("resources") else { return };
    let path = path.child("resources");
    for list in ["limits", "requests"] {
        for (name, _) in members(resources.get(list)) {
            if !matches!(name, "cpu" | "memory") && !is_huge(name) {
                let supported = ["cpu", "hugepages-", "memory"];
                errors.push(FieldError::not_supported(&path.child(list).key(name), name, &supported));
            }
        }
    }
    validate(errors, Some(resources), &path, &[]);
    for (name, value) in members(resources.get("requests")) {
        let Ok(asked) = Quantity::from_value(value) else { continue };
        let sum = spec
            .array_at(&["containers"])
            .iter()
            .filter_map(|c| quantity(c.at(&["resources", "requests", name])));
        let sum = sum.reduce(|a, b| a + b);
        if let Some(sum) = sum
            && sum > asked
        {
            let why = format!("must be greater than or equal to aggregate container requests of {sum}");
            errors.push(FieldError::invalid(&path.child("requests").key(name), asked.to_string(), &why));
        }
    }
}

/// A pod's quality of service, from what its containers (or the pod as a whole) ask for.
pub(crate) fn qos_class(spec: &Value) -> &'static str {
    let of = |resources: Option<&Value>, list: &str, name: &str| {
        quantity_of(resources.and_then(|r| r.get(list)).and_then(|l| l.get(name)))
    };
    let pod_level = spec
        .get("resources")
        .filter(|r| !members(r.get("limits")).is_empty() || !members(r.get("requests")).is_empty());
    let all: Vec<Option<&Value>> = match pod_level {
        Some(resources) => vec![Some(resources)],
        None => ["containers", "initContainers"]
            .iter()
            .flat_map(|list| spec.array_at(&[list]))
            .map(|c| c.get("resources"))
            .collect(),
    };
    let (mut any, mut guaranteed) = (false, !all.is_empty());
    for resources in all {
        for name in ["cpu", "memory"] {
            let (request, limit) = (of(resources, "requests", name), of(resources, "limits", name));
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && request.as_ref().is_none_or(|r| Some(r) == limit.as_ref());
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

fn quantity_of(value: Option<&Value>) -> Option<Quantity> {
    quantity(value).filter(|q| !q.is_zero())
}
