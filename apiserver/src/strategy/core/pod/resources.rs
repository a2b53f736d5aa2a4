//! Requests and limits of containers and pods.

use std::collections::BTreeMap;

use apimachinery::{FieldError, Path, Quantity, Value, names};

use crate::strategy::check::{Errors, NOT_NEGATIVE, members, problems, quantity};
use crate::values::text;

/// What a container asks for. `claims` are the names of the pod's resource claims.
pub(super) fn validate(errors: &mut Errors, resources: Option<&Value>, path: &Path, claims: &[&str]) {
    validate_named(errors, resources, path, claims, container_resource_name);
}

/// The extra resources that running a pod takes: limits without requests.
pub(in crate::strategy) fn validate_overhead(errors: &mut Errors, overhead: Option<&Value>, path: &Path) {
    // Upstream looks at them as at the limits of a container.
    let limits = crate::value!({ "limits": (overhead.cloned().unwrap_or_default()) });
    validate_named(errors, Some(&limits), path, &[], container_resource_name);
}

fn validate_named(
    errors: &mut Errors,
    resources: Option<&Value>,
    path: &Path,
    claims: &[&str],
    name_rule: fn(&mut Errors, &str, &Path),
) {
    let Some(resources) = resources else { return };
    let (limits, requests) = (resources.get("limits"), resources.get("requests"));
    let (mut has_compute, mut has_huge) = (false, false);
    for (name, value) in members(limits) {
        let path = path.child("limits").key(name);
        name_rule(errors, name, &path);
        amount(errors, name, value, &path);
        huge_amount(errors, name, value, &path);
        has_huge |= is_huge(name);
        has_compute |= matches!(name, "cpu" | "memory");
    }
    for (name, value) in members(requests) {
        let key = path.child("requests").key(name);
        name_rule(errors, name, &key);
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
        huge_amount(errors, name, value, &key);
    }
    if has_huge && !has_compute {
        errors.push(FieldError::forbidden(path, "HugePages require cpu or memory"));
    }
    claim_references(errors, resources, path, claims);
}

/// A claim is referred to once: as a whole, or each of its requests.
fn claim_references(errors: &mut Errors, resources: &Value, path: &Path, claims: &[&str]) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (at, claim) in resources.array_at(&["claims"]).iter().enumerate() {
        let (name, request) = (text(claim, &["name"]), text(claim, &["request"]));
        let path = path.child("claims").index(at);
        if name.is_empty() {
            errors.push(FieldError::required(&path, ""));
            continue;
        }
        if seen.contains(&(name, "")) {
            errors.push(FieldError::duplicate(&path, name));
        } else {
            if !request.is_empty() {
                problems(errors, &path.child("request"), request, names::dns1123_label(request));
            }
            if seen.contains(&(name, request)) {
                errors.push(FieldError::duplicate(&path, format!("{name}/{request}")));
            } else if request.is_empty() {
                for _ in seen.iter().filter(|(of, _)| *of == name) {
                    errors.push(FieldError::duplicate(&path, name));
                }
            }
            seen.push((name, request));
        }
        if !claims.contains(&name) {
            let mut sorted = claims.to_vec();
            sorted.sort_unstable();
            let why = if claims.is_empty() {
                "must be one of the names in pod.spec.resourceClaims which is empty".to_owned()
            } else {
                format!("must be one of the names in pod.spec.resourceClaims: {}", sorted.join(", "))
            };
            errors.push(FieldError::not_found(&path, name).with_detail(&why));
        }
    }
}

/// Resources without a domain that Kubernetes knows somewhere.
const STANDARD: [&str; 17] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
];
/// More of them, which only quotas count.
const STANDARD_COUNTS: [&str; 3] = ["requests.storage", "services.nodeports", "services.loadbalancers"];

/// The name of a resource of any use. Says whether it is one.
pub(in crate::strategy) fn resource_name(errors: &mut Errors, name: &str, path: &Path) -> bool {
    let found = names::qualified_name(name);
    if !found.is_empty() {
        problems(errors, path, name, found);
        return false;
    }
    let known = STANDARD.contains(&name) || STANDARD_COUNTS.contains(&name) || is_huge(name);
    if !name.contains('/') && !known && !name.starts_with("requests.hugepages-") {
        let why = "must be a standard resource type or fully qualified";
        errors.push(FieldError::invalid(path, name, why));
        return false;
    }
    true
}

/// The name of a resource that a container may ask for.
pub(in crate::strategy) fn container_resource_name(errors: &mut Errors, name: &str, path: &Path) {
    resource_name(errors, name, path);
    if !name.contains('/') {
        if !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !is_huge(name) {
            errors.push(FieldError::invalid(path, name, "must be a standard resource for containers"));
        }
    } else if !is_kubernetes(name) && !is_extended(name) {
        errors.push(FieldError::invalid(path, name, "doesn't follow extended resource name standard"));
    }
}

/// The name of a resource that a pod as a whole may ask for.
fn pod_resource_name(errors: &mut Errors, name: &str, path: &Path) {
    if resource_name(errors, name, path) && !is_pod_level(name) {
        errors.push(FieldError::not_supported(path, name, &["cpu", "hugepages-", "memory"]));
    }
}

fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || is_huge(name)
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
pub(in crate::strategy) fn may_overcommit(name: &str) -> bool {
    !is_huge(name) && (!name.contains('/') || is_kubernetes(name))
}

/// Resources of which there are no parts: those that are counted, and those of devices.
fn is_integer(name: &str) -> bool {
    const COUNTED: [&str; 9] = [
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    ];
    COUNTED.contains(&name) || is_extended(name)
}

/// The amount of a resource, not below nothing, and whole where there are no parts.
pub(in crate::strategy) fn amount(
    errors: &mut Errors,
    name: &str,
    value: &Value,
    path: &Path,
) -> Option<Quantity> {
    let found = Quantity::from_value(value).ok()?;
    let shown = found.to_string();
    if found.sign() < 0 {
        errors.push(FieldError::invalid(path, shown.as_str(), NOT_NEGATIVE));
    }
    if is_integer(name) && found.milli_value() % 1000 != 0 {
        errors.push(FieldError::invalid(path, shown.as_str(), "must be an integer"));
    }
    Some(found)
}

/// Huge pages come whole.
fn huge_amount(errors: &mut Errors, name: &str, value: &Value, path: &Path) {
    let size = name.strip_prefix("hugepages-").and_then(|size| Quantity::parse(size).ok());
    let (Some(size), Ok(found)) = (size, Quantity::from_value(value)) else { return };
    if size.value() > 0 && found.value() % size.value() != 0 {
        let why = format!("{found} is not positive integer multiple of {name}");
        errors.push(FieldError::invalid(path, found.to_string(), &why));
    }
}

/// Resources of the whole pod: cpu, memory and huge pages, no less than what its containers ask for together, and no
/// less than the limit of any one of them.
pub(super) fn validate_pod_level(errors: &mut Errors, spec: &Value, path: &Path) {
    let Some(resources) = spec.get("resources") else { return };
    let path = path.child("resources");
    if resources.get("claims").is_some() {
        let why = "claims cannot be set for Resources at pod-level";
        errors.push(FieldError::forbidden(&path.child("claims"), why));
    }
    let claims: Vec<&str> = spec.array_at(&["resourceClaims"]).iter().map(|c| text(c, &["name"])).collect();
    validate_named(errors, Some(resources), &path, &claims, pod_resource_name);
    for (name, sum) in aggregate_requests(spec) {
        let asked = quantity(resources.at(&["requests", &name])).unwrap_or_else(Quantity::zero);
        if is_pod_level(&name) && sum > asked {
            let why = format!("must be greater than or equal to aggregate container requests of {sum}");
            let field = path.child("requests").key(&name);
            errors.push(FieldError::invalid(&field, asked.to_string(), &why));
        }
    }
    for (at, container) in spec.array_at(&["containers"]).iter().enumerate() {
        for (name, value) in members(container.at(&["resources", "limits"])) {
            let (limit, most) = (quantity(Some(value)), quantity(resources.at(&["limits", name])));
            if let (Some(limit), Some(most)) = (limit, most)
                && limit > most
            {
                let why = format!("must be less than or equal to pod limits of {most}");
                let field = path.child("containers").index(at).key(name).child("limits");
                errors.push(FieldError::invalid(&field, limit.to_string(), &why));
            }
        }
    }
}

/// What the containers of a pod ask for together: those that run at the same time, or an init container that asks for
/// more beside the ones that were started before it and stay.
fn aggregate_requests(spec: &Value) -> BTreeMap<String, Quantity> {
    let requests = |container: &Value| -> Vec<(String, Quantity)> {
        let list = members(container.at(&["resources", "requests"]));
        list.into_iter().filter_map(|(name, v)| Some((name.to_owned(), quantity(Some(v))?))).collect()
    };
    let mut sum: BTreeMap<String, Quantity> = BTreeMap::new();
    let add = |to: &mut BTreeMap<String, Quantity>, list: Vec<(String, Quantity)>| {
        for (name, amount) in list {
            let entry = to.entry(name).or_insert_with(Quantity::zero);
            *entry = if entry.is_zero() { amount } else { *entry + amount };
        }
    };
    for container in spec.array_at(&["containers"]) {
        add(&mut sum, requests(container));
    }
    let (mut staying, mut most) = (BTreeMap::new(), BTreeMap::<String, Quantity>::new());
    for container in spec.array_at(&["initContainers"]) {
        let mut now = staying.clone();
        add(&mut now, requests(container));
        if text(container, &["restartPolicy"]) == "Always" {
            add(&mut sum, requests(container));
            staying.clone_from(&now);
        }
        for (name, amount) in now {
            let entry = most.entry(name).or_insert(amount);
            *entry = (*entry).max(amount);
        }
    }
    for (name, amount) in most {
        let entry = sum.entry(name).or_insert(amount);
        *entry = (*entry).max(amount);
    }
    sum
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
