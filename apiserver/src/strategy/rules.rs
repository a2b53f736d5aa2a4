//! Rules of values that kinds of several groups share.

use apimachinery::{FieldError, Path, Value, names};

use super::check::{Errors, problems};
use crate::values::text;

/// A path whose first element is a domain, such as `acme.io/foo`.
pub(crate) fn domain_prefixed_path(errors: &mut Errors, path: &Path, value: &str) {
    if value.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let (host, rest) = value.split_once('/').unwrap_or_default();
    if host.is_empty() || rest.is_empty() {
        let why = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        errors.push(FieldError::invalid(path, value, why));
        return;
    }
    problems(errors, path, host, names::dns1123_subdomain(host));
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&b);
    if !rest.bytes().all(fits) {
        let why = "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
        errors.push(FieldError::invalid(path, rest, why));
    }
}

/// Where a webhook is: an https URL, or a service.
pub(crate) fn validate_client_config(errors: &mut Errors, config: Option<&Value>, path: &Path) {
    let config = config.unwrap_or(&Value::NULL);
    match (config.str_at(&["url"]), config.get("service")) {
        (Some(url), None) => validate_url(errors, url, &path.child("url")),
        (None, Some(service)) => validate_service(errors, service, &path.child("service")),
        _ => errors.push(FieldError::required(path, "exactly one of url or service is required")),
    }
}

fn validate_url(errors: &mut Errors, url: &str, path: &Path) {
    const FORM: &str = "; desired format: https://host[/path]";
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (before, fragment) = rest.split_once('#').map_or((rest, ""), |(a, b)| (a, b));
    let (before, query) = before.split_once('?').map_or((before, ""), |(a, b)| (a, b));
    let authority = before.split('/').next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let mut refuse =
        |shown: &str, why: &str| errors.push(FieldError::invalid(path, shown, &format!("{why}{FORM}")));
    if scheme != "https" {
        refuse(scheme, "'https' is the only allowed URL scheme");
    }
    if scheme.is_empty() || host.is_empty() {
        refuse("", "host must be specified");
    }
    if !user.is_empty() {
        refuse(user, "user information is not permitted in the URL");
    }
    if !fragment.is_empty() {
        refuse(fragment, "fragments are not permitted in the URL");
    }
    if !query.is_empty() {
        refuse(query, "query parameters are not permitted in the URL");
    }
}

fn validate_service(errors: &mut Errors, service: &Value, path: &Path) {
    if text(service, &["name"]).is_empty() {
        errors.push(FieldError::required(&path.child("name"), "service name is required"));
    }
    if text(service, &["namespace"]).is_empty() {
        errors.push(FieldError::required(&path.child("namespace"), "service namespace is required"));
    }
    if let Some(number) = service.i64_at(&["port"])
        && !names::port_number(number).is_empty()
    {
        let why = format!("port is not valid: {}", names::inclusive_range(1, 65535));
        errors.push(FieldError::invalid(&path.child("port"), number, &why));
    }
    let Some(found) = service.str_at(&["path"]) else { return };
    let path = path.child("path");
    if found.is_empty() || found == "/" {
        return;
    }
    if !found.starts_with('/') {
        errors.push(FieldError::invalid(&path, found, "must start with a '/'"));
    }
    let parts = found.strip_prefix('/').unwrap_or(found);
    let parts = parts.strip_suffix('/').unwrap_or(parts);
    for (at, part) in parts.split('/').enumerate() {
        if part.is_empty() {
            let why = format!("segment[{at}] may not be empty");
            errors.push(FieldError::invalid(&path, found, &why));
            continue;
        }
        for why in names::dns1123_subdomain(part) {
            errors.push(FieldError::invalid(&path, found, &format!("segment[{at}]: {why}")));
        }
    }
}
