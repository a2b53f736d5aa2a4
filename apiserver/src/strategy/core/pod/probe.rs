//! Probes and lifecycle hooks.

use apimachinery::{FieldError, Path, Value, names};

use crate::strategy::check::{Errors, not_negative, one_of, port, port_or_name, problems};
use crate::values::text;

const HANDLERS: [&str; 5] = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"];

/// The probes of a container.
pub(super) fn validate(errors: &mut Errors, container: &Value, path: &Path) {
    for key in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.get(key) else { continue };
        let path = path.child(key);
        validate_probe(errors, probe, &path);
        if key == "readinessProbe" {
            if probe.i64_at(&["terminationGracePeriodSeconds"]).is_some() {
                let field = path.child("terminationGracePeriodSeconds");
                let seconds = probe.i64_at(&["terminationGracePeriodSeconds"]).unwrap_or(0);
                errors.push(FieldError::invalid(&field, seconds, "must not be set for readinessProbes"));
            }
        } else {
            let threshold = probe.i64_at(&["successThreshold"]).unwrap_or(0);
            if threshold != 1 {
                errors.push(FieldError::invalid(&path.child("successThreshold"), threshold, "must be 1"));
            }
        }
    }
}

fn validate_probe(errors: &mut Errors, probe: &Value, path: &Path) {
    handler(errors, probe, path, None);
    for key in
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
    {
        not_negative(errors, probe, path, key);
    }
    if let Some(seconds) = probe.i64_at(&["terminationGracePeriodSeconds"])
        && seconds <= 0
    {
        let field = path.child("terminationGracePeriodSeconds");
        errors.push(FieldError::invalid(&field, seconds, "must be greater than 0"));
    }
}

/// postStart and preStop.
pub(super) fn lifecycle(errors: &mut Errors, container: &Value, path: &Path, grace: i64) {
    let Some(lifecycle) = container.get("lifecycle") else { return };
    let path = path.child("lifecycle");
    for key in ["postStart", "preStop"] {
        if let Some(hook) = lifecycle.get(key) {
            handler(errors, hook, &path.child(key), Some(grace));
        }
    }
}

/// `grace` is the time within which a hook may sleep; a probe does not.
fn handler(errors: &mut Errors, value: &Value, path: &Path, grace: Option<i64>) {
    let mut seen = 0;
    for key in HANDLERS {
        let Some(handler) = value.get(key) else { continue };
        let path = path.child(key);
        seen += 1;
        if seen > 1 {
            errors.push(FieldError::forbidden(&path, "may not specify more than 1 handler type"));
            continue;
        }
        match key {
            "exec" if handler.array_at(&["command"]).is_empty() => {
                errors.push(FieldError::required(&path.child("command"), ""));
            }
            "httpGet" => http_get(errors, handler, &path),
            "tcpSocket" => port_or_name(errors, &path.child("port"), handler.get("port")),
            "grpc" => port(errors, &path.child("port"), handler.i64_at(&["port"]).unwrap_or(0)),
            "sleep" => {
                let seconds = handler.i64_at(&["seconds"]).unwrap_or(0);
                if let Some(grace) = grace.filter(|grace| !(0..=*grace).contains(&seconds)) {
                    let why =
                        format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
                    errors.push(FieldError::invalid(&path, seconds, &why));
                }
            }
            _ => {}
        }
    }
    if seen == 0 {
        errors.push(FieldError::required(path, "must specify a handler type"));
    }
}

fn http_get(errors: &mut Errors, get: &Value, path: &Path) {
    if text(get, &["path"]).is_empty() {
        errors.push(FieldError::required(&path.child("path"), ""));
    }
    port_or_name(errors, &path.child("port"), get.get("port"));
    one_of(errors, get, path, "scheme", &["HTTP", "HTTPS"]);
    for header in get.array_at(&["httpHeaders"]) {
        let name = text(header, &["name"]);
        problems(errors, &path.child("httpHeaders"), name, names::http_header_name(name));
    }
}
