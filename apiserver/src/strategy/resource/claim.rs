//! What is asked of devices: requests, constraints and configuration of a claim, selectors of claims and classes.

use std::collections::BTreeSet;

use apimachinery::{FieldError, Path, Value, names};

use crate::strategy::check::{Errors, problems, required, required_name};
use crate::values::text;

/// Requests, constraints, configurations and selectors, each.
const LIST_MAX: usize = 32;
const ALTERNATIVES_MAX: usize = 8;
const TOLERATIONS_MAX: usize = 16;
const DRIVER_NAME_MAX: usize = 63;
const POOL_NAME_MAX: usize = 253;
const EXPRESSION_MAX: usize = 10 * 1024;

/// Checks every item of a list of limited length; the text at `key` (the item itself when empty) is there once.
pub(super) fn each(
    errors: &mut Errors,
    items: &[Value],
    max: usize,
    key: &str,
    path: &Path,
    mut check: impl FnMut(&mut Errors, &Value, &Path),
) {
    if items.len() > max {
        errors.push(FieldError::too_many(path, items.len(), max));
    }
    let mut seen = BTreeSet::new();
    for (at, item) in items.iter().enumerate() {
        let path = path.index(at);
        check(errors, item, &path);
        let (place, own) = match key {
            "" => (path, item.as_str().unwrap_or_default()),
            key => (path.child(key), text(item, &[key])),
        };
        if !seen.insert(own) {
            errors.push(FieldError::duplicate(&place, own));
        }
    }
}

/// As [`each`], for items that may be equal.
fn every(
    errors: &mut Errors,
    items: &[Value],
    path: &Path,
    mut check: impl FnMut(&mut Errors, &Value, &Path),
) {
    if items.len() > LIST_MAX {
        errors.push(FieldError::too_many(path, items.len(), LIST_MAX));
    }
    for (at, item) in items.iter().enumerate() {
        check(errors, item, &path.index(at));
    }
}

pub(super) fn driver_name(errors: &mut Errors, value: &Value, path: &Path) {
    let name = required(errors, value, path, "driver");
    if name.is_empty() {
        return;
    }
    let path = path.child("driver");
    if name.len() > DRIVER_NAME_MAX {
        errors.push(FieldError::too_long(&path, DRIVER_NAME_MAX));
    }
    problems(errors, &path, name, names::dns1123_subdomain(name));
}

/// Names of pools have slashes between parts that are domain names.
pub(super) fn pool_name(errors: &mut Errors, pool: &Value, path: &Path) {
    let name = required(errors, pool, path, "name");
    if name.is_empty() {
        return;
    }
    let path = path.child("name");
    if name.len() > POOL_NAME_MAX {
        errors.push(FieldError::too_long(&path, POOL_NAME_MAX));
    }
    for part in name.split('/') {
        problems(errors, &path, part, names::dns1123_subdomain(part));
    }
}

/// The spec of a claim, also in a template.
pub(super) fn spec(errors: &mut Errors, spec: &Value, path: &Path) {
    let Some(devices) = spec.get("devices") else { return };
    let path = path.child("devices");
    let requests = devices.array_at(&["requests"]);
    each(errors, requests, LIST_MAX, "name", &path.child("requests"), request);
    let known = request_names(requests);
    every(errors, devices.array_at(&["constraints"]), &path.child("constraints"), |errors, item, path| {
        named_requests(errors, item, &known, path);
        match item.str_at(&["matchAttribute"]) {
            None => errors.push(FieldError::required(&path.child("matchAttribute"), "")),
            Some(name) => fully_qualified(errors, name, &path.child("matchAttribute")),
        }
    });
    every(errors, devices.array_at(&["config"]), &path.child("config"), |errors, item, path| {
        named_requests(errors, item, &known, path);
        configuration(errors, item, path);
    });
}

/// `request` and `request/alternative`, as other parts of the claim refer to them.
fn request_names(requests: &[Value]) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for request in requests {
        let name = text(request, &["name"]);
        known.insert(name.to_owned());
        for alternative in request.array_at(&["firstAvailable"]) {
            known.insert(format!("{name}/{}", text(alternative, &["name"])));
        }
    }
    known
}

fn named_requests(errors: &mut Errors, item: &Value, known: &BTreeSet<String>, path: &Path) {
    let path = path.child("requests");
    each(errors, item.array_at(&["requests"]), LIST_MAX, "", &path, |errors, name, path| {
        let name = name.as_str().unwrap_or_default();
        for part in name.splitn(2, '/') {
            problems(errors, path, part, names::dns1123_label(part));
        }
        if !known.contains(name) {
            let why = "must be the name of a request in the claim or the name of a request and a subrequest \
                       separated by '/'";
            errors.push(FieldError::invalid(path, name, why));
        }
    });
}

fn request(errors: &mut Errors, request: &Value, path: &Path) {
    request_name(errors, request, path);
    let alternatives = request.array_at(&["firstAvailable"]);
    if !alternatives.is_empty() {
        let path = path.child("firstAvailable");
        each(errors, alternatives, ALTERNATIVES_MAX, "name", &path, |errors, item, path| {
            request_name(errors, item, path);
            devices(errors, item, path);
        });
    }
    let exactly = request.get("exactly").filter(|e| !e.is_null());
    if let Some(exactly) = exactly {
        devices(errors, exactly, &path.child("exactly"));
    }
    const ONE: &str = "exactly one of `exactly` or `firstAvailable` is required";
    match (exactly.is_some(), !alternatives.is_empty()) {
        (false, false) => errors.push(FieldError::required(path, ONE)),
        (true, true) => {
            let why = format!("{ONE}, but multiple fields are set");
            errors.push(FieldError::invalid(path, Value::NULL, &why));
        }
        _ => {}
    }
}

fn request_name(errors: &mut Errors, request: &Value, path: &Path) {
    let name = text(request, &["name"]);
    problems(errors, &path.child("name"), name, names::dns1123_label(name));
}

/// Which devices, and how many.
fn devices(errors: &mut Errors, request: &Value, path: &Path) {
    required_name(errors, request, path, "deviceClassName", names::dns1123_subdomain);
    selectors(errors, request, path);
    let count = request.i64_at(&["count"]).unwrap_or(0);
    let count_path = path.child("count");
    match text(request, &["allocationMode"]) {
        "All" if count != 0 => {
            let why = "must not be specified when allocationMode is 'All'";
            errors.push(FieldError::invalid(&count_path, count, why));
        }
        "ExactCount" if count <= 0 => {
            errors.push(FieldError::invalid(&count_path, count, "must be greater than zero"));
        }
        "All" | "ExactCount" => {}
        other => {
            let path = path.child("allocationMode");
            errors.push(FieldError::not_supported(&path, other, &["All", "ExactCount"]));
        }
    }
    let tolerations = request.array_at(&["tolerations"]);
    let list = path.child("tolerations");
    if tolerations.len() > TOLERATIONS_MAX {
        errors.push(FieldError::too_many(&list, tolerations.len(), TOLERATIONS_MAX));
    }
    for (at, item) in tolerations.iter().enumerate() {
        toleration(errors, item, &list.index(at));
    }
}

fn toleration(errors: &mut Errors, toleration: &Value, path: &Path) {
    let (key, value) = (text(toleration, &["key"]), text(toleration, &["value"]));
    if !key.is_empty() {
        problems(errors, &path.child("key"), key, names::qualified_name(key));
    }
    match text(toleration, &["operator"]) {
        "Exists" if !value.is_empty() => {
            let why = "must be empty for operator `Exists`";
            errors.push(FieldError::invalid(&path.child("value"), value, why));
        }
        "Exists" => {}
        "Equal" => problems(errors, &path.child("value"), value, names::label_value(value)),
        "" => errors.push(FieldError::required(&path.child("operator"), "")),
        other => {
            errors.push(FieldError::not_supported(&path.child("operator"), other, &["Equal", "Exists"]));
        }
    }
    let effects = ["NoExecute", "NoSchedule"];
    match text(toleration, &["effect"]) {
        "" | "NoExecute" | "NoSchedule" => {}
        other => errors.push(FieldError::not_supported(&path.child("effect"), other, &effects)),
    }
}

/// The selectors of a request or class.
pub(super) fn selectors(errors: &mut Errors, value: &Value, path: &Path) {
    every(errors, value.array_at(&["selectors"]), &path.child("selectors"), |errors, item, path| {
        let path = path.child("cel");
        match item.get("cel").filter(|c| !c.is_null()) {
            None => errors.push(FieldError::required(&path, "")),
            Some(cel) if text(cel, &["expression"]).len() > EXPRESSION_MAX => {
                errors.push(FieldError::too_long(&path.child("expression"), EXPRESSION_MAX));
            }
            Some(_) => {}
        }
    });
}

/// The configurations of a class.
pub(super) fn configurations(errors: &mut Errors, value: &Value, path: &Path) {
    every(errors, value.array_at(&["config"]), &path.child("config"), configuration);
}

fn configuration(errors: &mut Errors, item: &Value, path: &Path) {
    let path = path.child("opaque");
    let Some(opaque) = item.get("opaque").filter(|o| !o.is_null()) else {
        errors.push(FieldError::required(&path, ""));
        return;
    };
    driver_name(errors, opaque, &path);
    match opaque.get("parameters") {
        None => errors.push(FieldError::required(&path.child("parameters"), "")),
        Some(parameters) if !parameters.is_object() => {
            let path = path.child("parameters");
            let why = "must be a valid JSON object";
            errors.push(FieldError::invalid(&path, "<value omitted>", why));
        }
        Some(_) => {}
    }
}

/// `domain/identifier`.
pub(super) fn fully_qualified(errors: &mut Errors, name: &str, path: &Path) {
    let Some((domain, id)) = name.split_once('/') else {
        errors.push(FieldError::invalid(path, name, "must include a domain"));
        return;
    };
    if domain.is_empty() {
        errors.push(FieldError::required(path, "the domain must not be empty"));
    } else {
        problems(errors, path, domain, names::dns1123_subdomain(domain));
    }
    if id.is_empty() {
        errors.push(FieldError::required(path, "the name must not be empty"));
    }
}
