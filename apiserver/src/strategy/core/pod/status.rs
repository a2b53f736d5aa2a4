//! What a pod's status may say, and what it may not take back.

use std::net::IpAddr;

use apimachinery::{FieldError, Path, Value, names};

use super::{annotations, container, security, windows};
use crate::strategy::check::{Errors, immutable, one_of, problems};
use crate::value;
use crate::values::text;

const SYSTEM_CONDITIONS: [&str; 3] = ["PodScheduled", "Ready", "Initialized"];
/// The statuses of containers, and the list of the spec that they are of.
const LISTS: [(&str, &str); 3] = [
    ("containerStatuses", "containers"),
    ("initContainerStatuses", "initContainers"),
    ("ephemeralContainerStatuses", "ephemeralContainers"),
];

/// pods/status.
pub(super) fn validate(errors: &mut Errors, new: &Value, old: &Value) {
    annotations::validate_update(errors, new, old, &Path::new("metadata").child("annotations"));
    let path = Path::new("status");
    for (at, condition) in new.array_at(&["status", "conditions"]).iter().enumerate() {
        let kind = text(condition, &["type"]);
        if !SYSTEM_CONDITIONS.contains(&kind) {
            // Upstream writes this path with a capital.
            let field = path.child("conditions").index(at).child("Type");
            problems(errors, &field, kind, names::qualified_name(kind));
        }
    }
    let nominated = text(new, &["status", "nominatedNodeName"]);
    if !nominated.is_empty() && nominated != text(old, &["status", "nominatedNodeName"]) {
        let field = path.child("nominatedNodeName");
        problems(errors, &field, nominated, names::dns1123_subdomain(nominated));
    }
    immutable(errors, new, old, &["status", "qosClass"], &path.child("qosClass"));
    for (list, of) in LISTS {
        restarted(errors, new, old, &path.child(list), list, of);
    }
    claim_statuses(errors, new, &path.child("resourceClaimStatuses"));
    addresses(errors, new, "podIPs");
    addresses(errors, new, "hostIPs");
    for (list, _) in LISTS {
        running_users(errors, new, &path.child(list), list);
    }
    for (list, of) in LISTS {
        allocated(errors, new, &path.child(list), list, of);
    }
}

/// A container that has ended and is not started again does not run any more.
fn restarted(errors: &mut Errors, new: &Value, old: &Value, path: &Path, list: &str, of: &str) {
    // Ephemeral containers are never started again.
    let policy = if of == "ephemeralContainers" { "Never" } else { text(old, &["spec", "restartPolicy"]) };
    let statuses = new.array_at(&["status", list]);
    for (at, before) in old.array_at(&["status", list]).iter().enumerate() {
        let Some(ended) = before.at(&["state", "terminated"]) else { continue };
        let name = text(before, &["name"]);
        let containers = old.array_at(&["spec", of]);
        let container = containers.iter().find(|c| text(c, &["name"]) == name);
        if container::restarts(container, policy, ended.i64_at(&["exitCode"]).unwrap_or(0)) {
            continue;
        }
        let again = |c: &&Value| text(c, &["name"]) == name && c.at(&["state", "terminated"]).is_none();
        for _ in statuses.iter().filter(again) {
            let field = path.index(at).child("state");
            errors.push(FieldError::forbidden(&field, "may not be transitioned to non-terminated state"));
        }
    }
}

fn claim_statuses(errors: &mut Errors, new: &Value, path: &Path) {
    let claims = new.array_at(&["spec", "resourceClaims"]);
    let mut seen: Vec<&str> = Vec::new();
    for (at, status) in new.array_at(&["status", "resourceClaimStatuses"]).iter().enumerate() {
        let name = text(status, &["name"]);
        let field = path.index(at).child("name");
        if !claims.iter().any(|c| text(c, &["name"]) == name) {
            let why = "must match the name of an entry in `spec.resourceClaims`";
            errors.push(FieldError::invalid(&field, name, why));
        }
        if seen.contains(&name) {
            errors.push(FieldError::duplicate(&field, name));
        } else {
            seen.push(name);
        }
        if let Some(claim) = status.get("resourceClaimName").and_then(Value::as_str) {
            problems(errors, &field, claim, names::dns1123_subdomain(claim));
        }
    }
}

/// The addresses of the pod or its host: at most one of each family.
fn addresses(errors: &mut Errors, new: &Value, list: &str) {
    let path = Path::new("status").child(list);
    let all = new.array_at(&["status", list]);
    let of_host = list == "hostIPs";
    if let (true, Some(first)) = (of_host, all.first()) {
        let first = text(first, &["ip"]);
        if first != text(new, &["status", "hostIP"]) {
            let field = path.index(0).child("ip");
            errors.push(FieldError::invalid(&field, first, "must be equal to `hostIP`"));
        }
    }
    for (at, address) in all.iter().enumerate() {
        let ip = text(address, &["ip"]);
        problems(errors, &path.index(at), ip, names::ip(ip));
    }
    if all.len() < 2 {
        return;
    }
    let shown = |address: &Value| value!({ "IP": (text(address, &["ip"])) });
    let mut twice = Errors::new();
    for (at, address) in all.iter().enumerate() {
        if all[..at].iter().any(|a| text(a, &["ip"]) == text(address, &["ip"])) {
            twice.push(FieldError::duplicate(&path.index(at), shown(address)));
        }
    }
    let families: Vec<Option<bool>> =
        all.iter().map(|a| names::parse_ip(text(a, &["ip"])).map(|ip| matches!(ip, IpAddr::V4(_)))).collect();
    let dual = families.contains(&Some(true)) && families.contains(&Some(false));
    let mut families = Errors::new();
    if !dual || all.len() > 2 {
        let why = "may specify no more than one IP for each IP family";
        families.push(FieldError::invalid(&path, all.iter().map(shown).collect::<Vec<_>>(), why));
    }
    // Upstream looks at the two in another order for each of the lists.
    if of_host {
        errors.append(&mut twice);
        errors.append(&mut families);
    } else {
        errors.append(&mut families);
        errors.append(&mut twice);
    }
}

fn running_users(errors: &mut Errors, new: &Value, path: &Path, list: &str) {
    let windows = text(new, &["spec", "os", "name"]) == "windows";
    for (at, status) in new.array_at(&["status", list]).iter().enumerate() {
        if windows {
            windows::refuse_running_user(errors, status, &path.index(at));
        } else if let Some(user) = status.at(&["user", "linux"]) {
            security::validate_running_user(errors, user, &path.index(at).child("linux"));
        }
    }
}

/// The health of devices: of resources that the container asks for, each device once.
fn allocated(errors: &mut Errors, new: &Value, path: &Path, list: &str, of: &str) {
    let containers = new.array_at(&["spec", of]);
    for (at, status) in new.array_at(&["status", list]).iter().enumerate() {
        let path = path.index(at).child("allocatedResourcesStatus");
        let all = status.array_at(&["allocatedResourcesStatus"]);
        if of == "ephemeralContainers" {
            if !all.is_empty() {
                errors.push(FieldError::forbidden(&path, "must not be specified in container status"));
            }
            continue;
        }
        let container = containers.iter().find(|c| c.get("name") == status.get("name"));
        for (at, resource) in all.iter().enumerate() {
            let path = path.index(at);
            if let Some(container) = container {
                asked_for(errors, text(resource, &["name"]), container, &path);
            }
            let mut seen: Vec<&str> = Vec::new();
            for (at, device) in resource.array_at(&["resources"]).iter().enumerate() {
                let path = path.child("resources").index(at);
                one_of(errors, device, &path, "health", &["Healthy", "Unhealthy", "Unknown"]);
                let id = text(device, &["resourceID"]);
                if seen.contains(&id) {
                    errors.push(FieldError::duplicate(&path.child("resourceID"), id));
                } else {
                    seen.push(id);
                }
            }
        }
    }
}

fn asked_for(errors: &mut Errors, name: &str, container: &Value, path: &Path) {
    let (found, why) = match name.strip_prefix("claim:") {
        Some(claim) => {
            let (of, request) = claim.split_once('/').unwrap_or((claim, ""));
            let fits = |c: &Value| (text(c, &["name"]), text(c, &["request"])) == (of, request);
            let why = "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or \
                       'claim:<claimName>' if request is empty";
            (container.array_at(&["resources", "claims"]).iter().any(fits), why)
        }
        None => {
            let found = container.at(&["resources", "requests", name]).is_some();
            (found, "must match one of the container's resource requests")
        }
    };
    if !found {
        errors.push(FieldError::invalid(&path.child("name"), name, why));
    }
}
