//! CertificateSigningRequest: what is asked for never changes, and who asked is said by the server. Approval and the
//! certificate come by subresources; a decision, once there, stays.

use apimachinery::time::format_time;
use apimachinery::{FieldError, Path, Value, names};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, problems, same};
use crate::values::{strings, text};

#[derive(Debug)]
pub struct CertificateSigningRequest;

const EXPIRATION_SECS_MIN: i64 = 600;
const REQUEST_TYPE: &str = "CERTIFICATE REQUEST";
const LEGACY_SIGNER: &str = "kubernetes.io/legacy-unknown";
const SIGNER_MAX: usize = 571;
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

impl Strategy for CertificateSigningRequest {
    fn resource(&self) -> (&'static str, &'static str) {
        ("certificates.k8s.io", "certificatesigningrequests")
    }

    fn prepare_create(&self, ctx: &StrategyContext<'_>, object: &mut Value) {
        for key in ["username", "uid", "groups", "extra"] {
            object.remove_at(&["spec", key]);
        }
        object.set_at(&["spec", "username"], ctx.user.name.as_str());
        if !ctx.user.uid.is_empty() {
            object.set_at(&["spec", "uid"], ctx.user.uid.as_str());
        }
        if !ctx.user.groups.is_empty() {
            object.set_at(&["spec", "groups"], strings(&ctx.user.groups));
        }
        if !ctx.user.extra.is_empty() {
            let extra: Value = ctx.user.extra.iter().map(|(key, list)| (key, strings(list))).collect();
            object.set_at(&["spec", "extra"], extra);
        }
    }

    fn prepare_update(&self, ctx: &StrategyContext<'_>, object: &mut Value, old: &Value) {
        keep(object, old, "spec");
        match ctx.subresource {
            "" => keep(object, old, "status"),
            "status" => {
                keep_decisions(object, old);
                stamp_conditions(ctx, object, old);
            }
            "approval" => stamp_conditions(ctx, object, old),
            _ => {}
        }
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        validate(object)
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        validate_conditions(&mut errors, object);
        let certificate = ["status", "certificate"];
        match ctx.subresource {
            "status" => {
                if old.at(&certificate).is_some() && !same(object.at(&certificate), old.at(&certificate)) {
                    let path = Path::new("status").child("certificate");
                    errors.push(FieldError::forbidden(&path, "updates may not set certificate content"));
                }
            }
            "approval" => {}
            _ => {
                if !same(object.at(&certificate), old.at(&certificate)) {
                    let path = Path::new("status").child("certificate");
                    errors.push(FieldError::forbidden(&path, "updates may not set certificate content"));
                }
            }
        }
        errors
    }
}

fn keep(object: &mut Value, old: &Value, key: &str) {
    match old.get(key) {
        Some(value) => object.set_at(&[key], value.clone()),
        None => {
            object.remove_at(&[key]);
        }
    }
}

fn is_decision(condition: &Value) -> bool {
    matches!(text(condition, &["type"]), "Approved" | "Denied")
}

/// A status update neither makes decisions nor takes them back.
fn keep_decisions(object: &mut Value, old: &Value) {
    let path = ["status", "conditions"];
    let decided = old.array_at(&path).iter().filter(|c| is_decision(c)).cloned();
    let others = object.array_at(&path).iter().filter(|c| !is_decision(c)).cloned();
    let conditions: Vec<Value> = decided.chain(others).collect();
    if conditions.is_empty() {
        object.remove_at(&path);
    } else {
        object.set_at(&path, conditions);
    }
}

fn stamp_conditions(ctx: &StrategyContext<'_>, object: &mut Value, old: &Value) {
    let path = ["status", "conditions"];
    let before = old.array_at(&path);
    let now = format_time(ctx.now);
    for condition in object.at_mut(&path).and_then(Value::as_array_mut).into_iter().flatten() {
        let same_type = before.iter().find(|c| c.get("type") == condition.get("type"));
        let unset = |c: &Value, key: &str| c.get(key).is_none_or(Value::is_null);
        if unset(condition, "lastUpdateTime") {
            condition.set_at(&["lastUpdateTime"], now.as_str());
        }
        if unset(condition, "lastTransitionTime") {
            let kept = same_type
                .filter(|c| c.get("status") == condition.get("status"))
                .and_then(|c| c.get("lastTransitionTime").cloned());
            condition.set_at(&["lastTransitionTime"], kept.unwrap_or_else(|| now.as_str().into()));
        }
    }
}

fn validate(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("spec");
    let spec = object.get("spec").unwrap_or(&Value::NULL);
    if let Err(why) = readable(text(spec, &["request"])) {
        let shown = spec.get("request").cloned().unwrap_or_default();
        errors.push(FieldError::invalid(&path.child("request"), shown, why));
    }
    let usages = spec.array_at(&["usages"]);
    let at = path.child("usages");
    if usages.is_empty() {
        errors.push(FieldError::required(&at, ""));
    }
    for (index, usage) in usages.iter().enumerate() {
        if !USAGES.contains(&usage.as_str().unwrap_or_default()) {
            errors.push(FieldError::not_supported(&at.index(index), usage.clone(), &USAGES));
        }
        if usages[..index].contains(usage) {
            errors.push(FieldError::duplicate(&at.index(index), usage.clone()));
        }
    }
    let signer = text(spec, &["signerName"]);
    if signer == LEGACY_SIGNER {
        let why = "the legacy signerName is not allowed via this API version";
        errors.push(FieldError::invalid(&path.child("signerName"), signer, why));
    } else {
        signer_name(&mut errors, signer, &path.child("signerName"));
    }
    if let Some(seconds) = spec.i64_at(&["expirationSeconds"])
        && seconds < EXPIRATION_SECS_MIN
    {
        let why = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.push(FieldError::invalid(&path.child("expirationSeconds"), seconds, why));
    }
    validate_conditions(&mut errors, object);
    errors
}

/// PEM with one certificate request.
fn readable(request: &str) -> Result<(), &'static str> {
    const WRONG_TYPE: &str = "PEM block type must be CERTIFICATE REQUEST";
    let pem = STANDARD.decode(request).map_err(|_| WRONG_TYPE)?;
    let (_, block) = x509_parser::pem::parse_x509_pem(&pem).map_err(|_| WRONG_TYPE)?;
    if block.label != REQUEST_TYPE {
        return Err(WRONG_TYPE);
    }
    use x509_parser::prelude::FromDer;
    x509_parser::certification_request::X509CertificationRequest::from_der(&block.contents)
        .map(|_| ())
        .map_err(|_| "asn1: syntax error: data truncated")
}

pub(in crate::strategy) fn signer_name(errors: &mut Errors, signer: &str, path: &Path) {
    if signer.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let [host, rest] = signer.split('/').collect::<Vec<_>>()[..] else {
        let why = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.push(FieldError::invalid(path, signer, why));
        return;
    };
    problems(errors, path, host, names::dns1123_subdomain(host));
    if host.split('.').count() < 2 {
        errors.push(FieldError::invalid(
            path,
            host,
            "should be a domain with at least two segments separated by dots",
        ));
    }
    for part in rest.split('.') {
        for why in names::dns1123_subdomain(part) {
            let why = format!("validating label \"{part}\": {why}");
            errors.push(FieldError::invalid(path, rest, &why));
        }
    }
    if signer.len() > SIGNER_MAX {
        errors.push(FieldError::too_long(path, SIGNER_MAX));
    }
}

fn validate_conditions(errors: &mut Errors, object: &Value) {
    let list = Path::new("status").child("conditions");
    let conditions = object.array_at(&["status", "conditions"]);
    let is = |kind: &str| conditions.iter().any(|c| text(c, &["type"]) == kind);
    for (at, condition) in conditions.iter().enumerate() {
        let path = list.index(at);
        let kind = text(condition, &["type"]);
        if kind.is_empty() {
            errors.push(FieldError::required(&path.child("type"), ""));
        }
        let status = text(condition, &["status"]);
        let at_status = path.child("status");
        match (kind, status) {
            (_, "") => errors.push(FieldError::required(&at_status, "")),
            ("Approved" | "Denied" | "Failed", "False" | "Unknown") => {
                errors.push(FieldError::not_supported(&at_status, status, &["True"]));
            }
            (_, "True" | "False" | "Unknown") => {}
            _ => errors.push(FieldError::not_supported(&at_status, status, &["True", "False", "Unknown"])),
        }
        let other = if kind == "Denied" { "Approved" } else { "Denied" };
        if is_decision(condition) && conditions[..at].iter().any(|c| text(c, &["type"]) == other) && is(other)
        {
            let why = "Approved and Denied conditions are mutually exclusive";
            errors.push(FieldError::invalid(&path.child("type"), kind, why));
        }
        if conditions[..at].iter().any(|c| text(c, &["type"]) == kind) {
            errors.push(FieldError::duplicate(&path.child("type"), kind));
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::strategy::testing::{check_invalid, check_prepared};

    #[test]
    fn requests() {
        check_invalid(
            &CertificateSigningRequest,
            "spec: {request: AQ==, signerName: x, usages: [zap, any, any], expirationSeconds: 599}",
            expect![[r#"
                spec.request: Invalid value: "AQ==": PEM block type must be CERTIFICATE REQUEST
                spec.usages[0]: Unsupported value: "zap": supported values: "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment", "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel", "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime", "server auth", "signing", "timestamping"
                spec.usages[2]: Duplicate value: "any"
                spec.signerName: Invalid value: "x": must be a fully qualified domain and path of the form 'example.com/signer-name'
                spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 seconds (10 minutes)
            "#]],
        );
    }

    #[test]
    fn the_server_says_who_asked() {
        check_prepared(
            &CertificateSigningRequest,
            "spec: {username: root, groups: [system:masters], extra: {a: [b]}}",
            expect![[r#"
                spec:
                  groups:
                  - devs
                  uid: "7"
                  username: jane
            "#]],
        );
    }
}
