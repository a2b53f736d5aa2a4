//! What a projected volume puts together: each part has one source, and no two parts write the same file.

use apimachinery::{FieldError, Path, Value, names};

use super::volume::{downward_file, key_files};
use crate::strategy::certificates::certificatesigningrequest::signer_name;
use crate::strategy::check::{Errors, file_mode, local_visible_path, one_of, required};
use crate::strategy::internal_form;
use crate::values::text;

/// Parts in the order in which upstream looks at them.
const PARTS: [&str; 6] =
    ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate"];
const KEY_TYPES: [&str; 6] = ["ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519", "RSA3072", "RSA4096"];
/// A token lives at least ten minutes, and no longer than its seconds can be counted in 32 bits.
const TOKEN_SECS_MIN: i64 = 600;
const TOKEN_SECS_MAX: i64 = 1 << 32;

pub(super) fn validate(errors: &mut Errors, source: &Value, path: &Path) {
    file_mode(errors, source, path, "defaultMode");
    let mut files: Vec<&str> = Vec::new();
    for (at, part) in source.array_at(&["sources"]).iter().enumerate() {
        let own = path.child("sources").index(at);
        let mut seen = 0;
        for kind in PARTS {
            let Some(inner) = part.get(kind) else { continue };
            seen += 1;
            validate_part(errors, kind, inner, path, &own.child(kind), &mut files);
        }
        if seen > 1 {
            let why = "may not specify more than 1 volume type per source";
            errors.push(FieldError::forbidden(&own, why));
        }
    }
}

/// `whole` is the path of the whole volume: upstream names some problems there.
fn validate_part<'a>(
    errors: &mut Errors,
    kind: &str,
    part: &'a Value,
    whole: &Path,
    path: &Path,
    files: &mut Vec<&'a str>,
) {
    match kind {
        "secret" | "configMap" => {
            let name = required(errors, part, path, "name");
            for (at, item) in part.array_at(&["items"]).iter().enumerate() {
                key_files(errors, item, &path.child("items").index(at));
                claim_file(errors, text(item, &["path"]), whole, name, files);
            }
        }
        "downwardAPI" => {
            for file in part.array_at(&["items"]) {
                downward_file(errors, file, path);
                let target = text(file, &["path"]);
                claim_file(errors, target, whole, target, files);
            }
        }
        "serviceAccountToken" => token(errors, part, whole, path),
        "clusterTrustBundle" => {
            trust_bundle(errors, part, path);
            let target = required(errors, part, path, "path");
            local_visible_path(errors, &path.child("path"), target);
            claim_file(errors, target, whole, target, files);
        }
        _ => pod_certificate(errors, part, whole, path, files),
    }
}

/// Each file is written once. `shown` is what upstream shows of the second one.
fn claim_file<'a>(errors: &mut Errors, file: &'a str, whole: &Path, shown: &str, files: &mut Vec<&'a str>) {
    if file.is_empty() {
        return;
    }
    if files.contains(&file) {
        errors.push(FieldError::invalid(whole, shown, "conflicting duplicate paths"));
    } else {
        files.push(file);
    }
}

fn token(errors: &mut Errors, part: &Value, whole: &Path, path: &Path) {
    let seconds = part.i64_at(&["expirationSeconds"]).unwrap_or(0);
    let field = path.child("expirationSeconds");
    if seconds < TOKEN_SECS_MIN {
        let why = "may not specify a duration less than 10 minutes";
        errors.push(FieldError::invalid(&field, seconds, why));
    }
    if seconds > TOKEN_SECS_MAX {
        let why = "may not specify a duration larger than 2^32 seconds";
        errors.push(FieldError::invalid(&field, seconds, why));
    }
    match text(part, &["path"]) {
        "" => errors.push(FieldError::required(&whole.child("path"), "")),
        target => local_visible_path(errors, &whole.child("path"), target),
    }
}

fn trust_bundle(errors: &mut Errors, part: &Value, path: &Path) {
    let (name, signer) =
        (part.get("name").and_then(Value::as_str), part.get("signerName").and_then(Value::as_str));
    match (name, signer) {
        (Some(_), Some(_)) => {
            let shown = internal_form::text_of("ClusterTrustBundleProjection", Some(part));
            errors.push(FieldError::invalid_text(
                path,
                &shown,
                "only one of name and signerName may be used",
            ));
        }
        (Some(name), None) => {
            let field = path.child("name");
            if name.is_empty() {
                errors.push(FieldError::required(&field, "must be a valid object name"));
            }
            for why in trust_bundle_name(name) {
                let why = format!("not a valid clustertrustbundlename: {why}");
                errors.push(FieldError::invalid(&field, name, &why));
            }
            if let Some(selector) = part.get("labelSelector") {
                let why = "labelSelector must be unset if name is specified";
                errors.push(FieldError::invalid(&path.child("labelSelector"), selector.clone(), why));
            }
        }
        (None, Some(signer)) => {
            let field = path.child("signerName");
            if signer.is_empty() {
                errors.push(FieldError::required(&field, "must be a valid signer name"));
            }
            signer_name(errors, signer, &field);
            super::label_selector(errors, part.get("labelSelector"), &path.child("labelSelector"));
        }
        (None, None) => {
            errors.push(FieldError::required(path, "either name or signerName must be specified"));
        }
    }
}

/// A bundle of a signer is named `example.com:signer:name`, any other one as most objects are. A name with a colon is
/// that of a signer's, so that only the part after the last one is left to judge.
fn trust_bundle_name(name: &str) -> names::Problems {
    names::dns1123_subdomain(name.rsplit_once(':').map_or(name, |(_, own)| own))
}

fn pod_certificate<'a>(
    errors: &mut Errors,
    part: &'a Value,
    whole: &Path,
    path: &Path,
    files: &mut Vec<&'a str>,
) {
    match text(part, &["signerName"]) {
        "" => errors.push(FieldError::required(&path.child("signerName"), "")),
        signer => signer_name(errors, signer, &path.child("signerName")),
    }
    one_of(errors, part, path, "keyType", &KEY_TYPES);
    let fields = ["credentialBundlePath", "keyPath", "certificateChainPath"];
    let given = || fields.iter().map(|key| (*key, text(part, &[key]))).filter(|(_, file)| !file.is_empty());
    if given().next().is_none() {
        let why = "specify at least one of credentialBundlePath, keyPath, and certificateChainPath";
        errors.push(FieldError::required(path, why));
    }
    for (key, file) in given() {
        local_visible_path(errors, &path.child(key), file);
        claim_file(errors, file, whole, file, files);
    }
}
