//! The spec of a pod, also in templates.

use apimachinery::{FieldError, Path, Value, names};

use super::container::{self, PodContext};
use super::{annotations, resources, scheduling, security, volume, windows};
use crate::strategy::check::{Errors, one_of, optional_name, problems};
use crate::strategy::internal_form;
use crate::values::{string_list, strings, text};

/// Every problem of a pod spec; `pod_name` is empty for templates.
pub(in crate::strategy) fn validate(errors: &mut Errors, spec: Option<&Value>, path: &Path, pod_name: &str) {
    let empty = Value::object();
    let spec = spec.filter(|s| s.is_object()).unwrap_or(&empty);
    let volumes = volume::validate_all(errors, spec.array_at(&["volumes"]), &path.child("volumes"), pod_name);
    let claims: Vec<&str> = spec.array_at(&["resourceClaims"]).iter().map(|c| text(c, &["name"])).collect();
    resource_claims(errors, spec, path);
    let pod = PodContext {
        volumes,
        claims,
        grace: spec.i64_at(&["terminationGracePeriodSeconds"]).unwrap_or(30),
        host_users: spec.bool_at(&["hostUsers"]).unwrap_or(true),
        restart_policy: text(spec, &["restartPolicy"]),
    };
    container::validate_all(errors, spec, path, &pod);
    resources::validate_pod_level(errors, spec, path);
    security::host_network_ports(errors, spec, path);
    if spec.is_object() && !spec.as_object().is_some_and(apimachinery::Object::is_empty) {
        policies(errors, spec, path);
    }
    node_selector(errors, spec, path);
    security::validate_pod(errors, spec, path);
    scheduling::affinity(errors, spec, path);
    dns_config(errors, spec, path);
    scheduling::gates(errors, spec, path);
    scheduling::spread(errors, spec, path);
    windows::host_process(errors, spec, path);
    security::host_users(errors, spec, path);
    names_and_times(errors, spec, path);
    scheduling::tolerations(errors, spec.array_at(&["tolerations"]), &path.child("tolerations"));
    host_aliases(errors, spec, path);
    optional_name(errors, spec, path, "priorityClassName", names::dns1123_subdomain);
    if let Some(class) = spec.get("runtimeClassName").and_then(Value::as_str) {
        problems(errors, &path.child("runtimeClassName"), class, names::dns1123_subdomain(class));
    }
    match spec.get("preemptionPolicy").and_then(Value::as_str) {
        None => {}
        Some("") => errors.push(FieldError::required(&path.child("preemptionPolicy"), "")),
        Some(_) => one_of(errors, spec, path, "preemptionPolicy", &PREEMPTION_POLICIES),
    }
    resources::validate_overhead(errors, spec.get("overhead"), &path.child("overhead"));
    windows::operating_system(errors, spec, path);
    hostname_override(errors, spec, path);
}

/// Whether pods of higher priority make room for themselves.
pub(in crate::strategy) const PREEMPTION_POLICIES: [&str; 2] = ["PreemptLowerPriority", "Never"];

fn policies(errors: &mut Errors, spec: &Value, path: &Path) {
    match text(spec, &["restartPolicy"]) {
        "" => errors.push(FieldError::required(&path.child("restartPolicy"), "")),
        _ => one_of(errors, spec, path, "restartPolicy", &["Always", "OnFailure", "Never"]),
    }
    let supported = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    match text(spec, &["dnsPolicy"]) {
        "" => errors.push(FieldError::required(&path.child("dnsPolicy"), "")),
        _ => one_of(errors, spec, path, "dnsPolicy", &supported),
    }
}

fn node_selector(errors: &mut Errors, spec: &Value, path: &Path) {
    if let Some(selector) = spec.get("nodeSelector") {
        errors.extend(apimachinery::meta::validate_labels(selector, &path.child("nodeSelector")));
    }
}

fn resource_claims(errors: &mut Errors, spec: &Value, path: &Path) {
    let list = path.child("resourceClaims");
    let mut seen: Vec<&str> = Vec::new();
    for (at, claim) in spec.array_at(&["resourceClaims"]).iter().enumerate() {
        let path = list.index(at);
        let name = text(claim, &["name"]);
        if name.is_empty() {
            errors.push(FieldError::required(&path.child("name"), ""));
        } else if seen.contains(&name) {
            errors.push(FieldError::duplicate(&path.child("name"), name));
        } else {
            problems(errors, &path.child("name"), name, names::dns1123_label(name));
            seen.push(name);
        }
        let given = ["resourceClaimName", "resourceClaimTemplateName"].map(|k| claim.get(k).is_some());
        let shown = || internal_form::text_of("PodResourceClaim", Some(claim));
        match given {
            [true, true] => {
                let why =
                    "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
                errors.push(FieldError::invalid_text(&path, &shown(), why));
            }
            [false, false] => {
                let why = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
                errors.push(FieldError::invalid_text(&path, &shown(), why));
            }
            _ => {}
        }
        for key in ["resourceClaimName", "resourceClaimTemplateName"] {
            if let Some(name) = claim.get(key).and_then(Value::as_str) {
                problems(errors, &path.child(key), name, names::dns1123_subdomain(name));
            }
        }
    }
}

/// As much as resolvers take.
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_LIST_MAX: usize = 2048;

fn dns_config(errors: &mut Errors, spec: &Value, path: &Path) {
    let config = spec.get("dnsConfig");
    let path = path.child("dnsConfig");
    if text(spec, &["dnsPolicy"]) == "None" {
        match config {
            None => {
                let why = "must provide `dnsConfig` when `dnsPolicy` is None";
                errors.push(FieldError::required(&path, why));
                return;
            }
            Some(config) if config.array_at(&["nameservers"]).is_empty() => {
                let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
                errors.push(FieldError::required(&path.child("nameservers"), why));
                return;
            }
            Some(_) => {}
        }
    }
    let Some(config) = config else { return };
    let servers = string_list(config.get("nameservers"));
    if servers.len() > NAMESERVERS_MAX {
        let why = format!("must not have more than {NAMESERVERS_MAX} nameservers");
        errors.push(FieldError::invalid(&path.child("nameservers"), strings(&servers), &why));
    }
    for (at, server) in servers.iter().enumerate() {
        problems(errors, &path.child("nameservers").index(at), server, names::ip(server));
    }
    let searches = string_list(config.get("searches"));
    let field = path.child("searches");
    if searches.len() > SEARCHES_MAX {
        let why = format!("must not have more than {SEARCHES_MAX} search paths");
        errors.push(FieldError::invalid(&field, strings(&searches), &why));
    }
    // With a blank between each two.
    if searches.iter().map(|search| search.len() + 1).sum::<usize>() > SEARCH_LIST_MAX + 1 {
        let why = format!(
            "must not have more than {SEARCH_LIST_MAX} characters (including spaces) in the search list"
        );
        errors.push(FieldError::invalid(&field, strings(&searches), &why));
    }
    for (at, search) in searches.iter().enumerate().filter(|(_, search)| *search != ".") {
        let bare = search.strip_suffix('.').unwrap_or(search);
        problems(errors, &field.index(at), bare, names::underscored_subdomain(bare));
    }
    for (at, option) in config.array_at(&["options"]).iter().enumerate() {
        if text(option, &["name"]).is_empty() {
            errors.push(FieldError::required(&path.child("options").index(at), "must not be empty"));
        }
    }
}

fn names_and_times(errors: &mut Errors, spec: &Value, path: &Path) {
    optional_name(errors, spec, path, "serviceAccountName", names::dns1123_subdomain);
    optional_name(errors, spec, path, "nodeName", names::dns1123_subdomain);
    if let Some(seconds) = spec.i64_at(&["activeDeadlineSeconds"])
        && !(1..=i64::from(i32::MAX)).contains(&seconds)
    {
        let why = names::inclusive_range(1, i32::MAX.into());
        errors.push(FieldError::invalid(&path.child("activeDeadlineSeconds"), seconds, &why));
    }
    optional_name(errors, spec, path, "hostname", names::dns1123_label);
    optional_name(errors, spec, path, "subdomain", names::dns1123_label);
}

fn host_aliases(errors: &mut Errors, spec: &Value, path: &Path) {
    for (at, alias) in spec.array_at(&["hostAliases"]).iter().enumerate() {
        let path = path.child("hostAliases").index(at);
        let ip = text(alias, &["ip"]);
        problems(errors, &path.child("ip"), ip, names::ip(ip));
        for (at, name) in string_list(alias.get("hostnames")).iter().enumerate() {
            problems(errors, &path.child("hostnames").index(at), name, names::dns1123_subdomain(name));
        }
    }
}

fn hostname_override(errors: &mut Errors, spec: &Value, path: &Path) {
    let Some(name) = spec.get("hostnameOverride").and_then(Value::as_str) else { return };
    let path = path.child("hostnameOverride");
    if spec.bool_at(&["hostNetwork"]) == Some(true) {
        errors.push(FieldError::forbidden(&path, "may not be specified when hostNetwork is true"));
    }
    if spec.bool_at(&["setHostnameAsFQDN"]) == Some(true) {
        errors.push(FieldError::forbidden(&path, "may not be specified when setHostnameAsFQDN is true"));
    }
    problems(errors, &path, name, names::dns1123_subdomain(name));
    if name.len() > 64 {
        errors.push(FieldError::too_long(&path, 64));
    }
}

/// A pod template: its metadata and spec.
pub(in crate::strategy) fn validate_template(errors: &mut Errors, template: Option<&Value>, path: &Path) {
    let metadata = template.and_then(|t| t.get("metadata"));
    for (field, check) in [
        ("labels", apimachinery::meta::validate_labels as fn(&Value, &Path) -> Errors),
        ("annotations", apimachinery::meta::validate_annotations),
    ] {
        if let Some(value) = metadata.and_then(|m| m.get(field)) {
            // Upstream names the metadata of templates without `metadata`.
            errors.extend(check(value, &path.child(field)));
        }
    }
    let spec = template.and_then(|t| t.get("spec"));
    annotations::validate(errors, metadata, spec, &path.child("annotations"));
    validate(errors, spec, &path.child("spec"), "");
    annotations::agree_with_fields(errors, metadata, spec, &path.child("spec"));
    let ephemeral = spec.map(|s| s.array_at(&["ephemeralContainers"])).unwrap_or_default();
    if !ephemeral.is_empty() {
        let path = path.child("spec").child("ephemeralContainers");
        errors.push(FieldError::forbidden(&path, "ephemeral containers not allowed in pod template"));
    }
}
