//! The spec of a pod, also in templates.

use apimachinery::{FieldError, Path, Value, names};

use super::container::{self, PodContext};
use super::{resources, scheduling, security, volume};
use crate::strategy::check::{Errors, one_of, optional_name, optional_one_of, problems};
use crate::strategy::internal_form;
use crate::values::{string_list, text};

/// Every problem of a pod spec; `pod_name` is empty for templates.
pub(in crate::strategy) fn validate(errors: &mut Errors, spec: Option<&Value>, path: &Path, pod_name: &str) {
    let empty = Value::object();
    let spec = spec.filter(|s| s.is_object()).unwrap_or(&empty);
    let volumes = spec.array_at(&["volumes"]);
    volume::validate_all(errors, volumes, &path.child("volumes"), pod_name);
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
    if spec.is_object() && !spec.as_object().is_some_and(apimachinery::Object::is_empty) {
        policies(errors, spec, path);
    }
    node_selector(errors, spec, path);
    security::validate_pod(errors, spec, path);
    scheduling::affinity(errors, spec, path);
    dns_config(errors, spec, path);
    scheduling::gates(errors, spec, path);
    scheduling::spread(errors, spec, path);
    security::validate_host_process(errors, spec, path);
    names_and_times(errors, spec, path);
    scheduling::tolerations(errors, spec, path);
    host_aliases(errors, spec, path);
    optional_name(errors, spec, path, "priorityClassName", names::dns1123_subdomain);
    optional_name(errors, spec, path, "runtimeClassName", names::dns1123_subdomain);
    optional_one_of(errors, spec, path, "preemptionPolicy", &["Never", "PreemptLowerPriority"]);
    security::validate_os(errors, spec, path);
    hostname_override(errors, spec, path);
}

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
        if seen.contains(&name) {
            errors.push(FieldError::duplicate(&path.child("name"), name));
        }
        seen.push(name);
        if name.is_empty() {
            errors.push(FieldError::required(&path.child("name"), ""));
        } else {
            problems(errors, &path.child("name"), name, names::dns1123_label(name));
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
            optional_name(errors, claim, &path, key, names::dns1123_subdomain);
        }
    }
}

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
    if servers.len() > 3 {
        let why = "must not have more than 3 nameservers";
        errors.push(FieldError::invalid(&path.child("nameservers"), crate::values::strings(&servers), why));
    }
    for (at, server) in servers.iter().enumerate() {
        problems(errors, &path.child("nameservers").index(at), server, names::ip(server));
    }
    let searches = string_list(config.get("searches"));
    if searches.len() > 32 {
        let why = "must not have more than 32 search paths";
        errors.push(FieldError::invalid(&path.child("searches"), crate::values::strings(&searches), why));
    }
    for (at, search) in searches.iter().enumerate() {
        let bare = search.trim_end_matches('.').replace('_', "-");
        if search != "." {
            problems(errors, &path.child("searches").index(at), search, names::dns1123_subdomain(&bare));
        }
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
    validate(errors, spec, &path.child("spec"), "");
    let ephemeral = spec.map(|s| s.array_at(&["ephemeralContainers"])).unwrap_or_default();
    if !ephemeral.is_empty() {
        let path = path.child("spec").child("ephemeralContainers");
        errors.push(FieldError::forbidden(&path, "ephemeral containers not allowed in pod template"));
    }
}
