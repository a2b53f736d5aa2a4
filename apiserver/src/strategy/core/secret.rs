//! Secret: `stringData` is write-only, each type demands its keys.

use apimachinery::{FieldError, Path, Value, names};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::configmap::{decoded_len, frozen};
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, IMMUTABLE, members, problems};
use crate::values::{annotation, text};

const BYTES_MAX: usize = 1024 * 1024;

#[derive(Debug)]
pub struct Secret;

impl Strategy for Secret {
    fn resource(&self) -> (&'static str, &'static str) {
        ("", "secrets")
    }

    fn prepare_create(&self, _ctx: &StrategyContext<'_>, object: &mut Value) {
        take_strings(object);
    }

    fn prepare_update(&self, _ctx: &StrategyContext<'_>, object: &mut Value, old: &Value) {
        take_strings(object);
        // Some clients leave the type out of updates: it stays.
        if text(object, &["type"]).is_empty() {
            object.set_at(&["type"], text(old, &["type"]));
        }
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let data = Path::new("data");
        let mut bytes = 0;
        for (key, value) in members(object.get("data")) {
            problems(&mut errors, &data.key(key), key, names::config_map_key(key));
            bytes += decoded_len(value.as_str().unwrap_or_default());
        }
        if bytes > BYTES_MAX {
            errors.push(FieldError::too_long(&data, BYTES_MAX));
        }
        of_type(&mut errors, object, &data);
        errors
    }

    fn warnings(&self, _ctx: &StrategyContext<'_>, object: &Value, _old: Option<&Value>) -> Vec<String> {
        tls_warning(object).into_iter().collect()
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let kind = text(object, &["type"]);
        if kind != text(old, &["type"]) {
            errors.push(FieldError::invalid(&Path::new("type"), kind, IMMUTABLE));
        }
        errors.extend(frozen(object, old, &["data"]));
        errors.extend(self.validate_create(ctx, object));
        errors
    }
}

/// Go's warning about a pair that is none.
fn tls_warning(object: &Value) -> Option<String> {
    let pem = |key: &str| {
        let encoded = object.at(&["data", key]).and_then(Value::as_str).unwrap_or_default();
        STANDARD.decode(encoded).ok().and_then(|b| String::from_utf8(b).ok()).unwrap_or_default()
    };
    if text(object, &["type"]) != "kubernetes.io/tls" {
        return None;
    }
    if !pem("tls.crt").contains("-----BEGIN CERTIFICATE-----") {
        return Some("tls: failed to find any PEM data in certificate input".into());
    }
    if !pem("tls.key").contains("-----BEGIN ") {
        return Some("tls: failed to find any PEM data in key input".into());
    }
    None
}

/// `stringData` goes into `data`, base64 encoded.
fn take_strings(object: &mut Value) {
    let Some(strings) = object.as_object_mut().and_then(|o| o.remove("stringData")) else { return };
    for (key, value) in strings.as_object().into_iter().flat_map(apimachinery::Object::iter) {
        if let Some(value) = value.as_str() {
            object.set_at(&["data", key], STANDARD.encode(value));
        }
    }
}

fn of_type(errors: &mut Errors, object: &Value, path: &Path) {
    let has = |key: &str| object.at(&["data", key]).is_some();
    let mut need = |keys: &[&str]| {
        for key in keys {
            if !has(key) {
                errors.push(FieldError::required(&path.key(key), ""));
            }
        }
    };
    match text(object, &["type"]) {
        "kubernetes.io/service-account-token" => {
            let name = "kubernetes.io/service-account.name";
            if annotation(object, name).unwrap_or_default().is_empty() {
                let path = Path::new("metadata").child("annotations").key(name);
                errors.push(FieldError::required(&path, ""));
            }
        }
        "kubernetes.io/dockercfg" => docker(errors, object, path, ".dockercfg"),
        "kubernetes.io/dockerconfigjson" => docker(errors, object, path, ".dockerconfigjson"),
        // One of them is enough.
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            need(&["username", "password"]);
        }
        "kubernetes.io/ssh-auth" if text(object, &["data", "ssh-privatekey"]).is_empty() => {
            errors.push(FieldError::required(&path.key("ssh-privatekey"), ""));
        }
        "kubernetes.io/tls" => need(&["tls.crt", "tls.key"]),
        _ => {}
    }
}

fn docker(errors: &mut Errors, object: &Value, path: &Path, key: &str) {
    let Some(encoded) = object.at(&["data", key]).and_then(Value::as_str) else {
        errors.push(FieldError::required(&path.key(key), ""));
        return;
    };
    let bytes = STANDARD.decode(encoded).unwrap_or_default();
    if Value::from_json(&bytes).is_err_or_not_object() {
        let why = json_error(&bytes);
        errors.push(FieldError::invalid(&path.key(key), "<secret contents redacted>", &why));
    }
}

/// Whether a parsed text is no JSON object.
trait NotAnObject {
    fn is_err_or_not_object(&self) -> bool;
}

impl<E> NotAnObject for Result<Value, E> {
    fn is_err_or_not_object(&self) -> bool {
        !self.as_ref().is_ok_and(Value::is_object)
    }
}

/// Go's text for the commonest ways in which this is no JSON.
pub(in crate::strategy) fn json_error(bytes: &[u8]) -> String {
    match bytes.iter().find(|b| !b.is_ascii_whitespace()) {
        None => "unexpected end of JSON input".into(),
        Some(b'{') => "unexpected end of JSON input".into(),
        Some(other) => {
            format!("invalid character {} looking for beginning of value", quoted_char(*other))
        }
    }
}

fn quoted_char(byte: u8) -> String {
    format!("'{}'", char::from(byte).escape_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::testing::{check_invalid, check_invalid_update, check_prepared};
    use expect_test::expect;

    #[test]
    fn each_type_demands_its_keys() {
        check_invalid(
            &Secret,
            "type: kubernetes.io/tls",
            expect![[r#"
            data[tls.crt]: Required value
            data[tls.key]: Required value
        "#]],
        );
        check_invalid(&Secret, "type: kubernetes.io/basic-auth\ndata: {username: YQ==}", expect![[""]]);
        check_invalid(
            &Secret,
            "type: kubernetes.io/dockerconfigjson\ndata: {.dockerconfigjson: eA==}",
            expect![[r#"
            data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": invalid character 'x' looking for beginning of value
        "#]],
        );
        check_invalid(
            &Secret,
            "type: kubernetes.io/service-account-token",
            expect![[r#"
            metadata.annotations[kubernetes.io/service-account.name]: Required value
        "#]],
        );
    }

    #[test]
    fn strings_become_data_and_the_type_stays() {
        check_prepared(
            &Secret,
            "stringData: {a: hello}\ndata: {a: AA==, b: AA==}",
            expect![[r#"
            data:
              a: aGVsbG8=
              b: AA==
        "#]],
        );
        check_invalid_update(
            &Secret,
            "type: Opaque",
            "type: x/y",
            expect![[r#"
            type: Invalid value: "x/y": field is immutable
        "#]],
        );
    }
}
