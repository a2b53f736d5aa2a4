//! CustomResourceDefinition: names, scope, versions with their columns and subresources. Of the schemas the rules are in
//! `kinds::custom::structural`.

use apimachinery::{FieldError, Path, Value, meta, names};
use kinds::custom::structural;

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, immutable, one_of};
use crate::strategy::rules::validate_client_config;
use crate::values::text;

mod version;

#[derive(Debug)]
pub struct CustomResourceDefinition;

const SCOPES: [&str; 2] = ["Cluster", "Namespaced"];

impl Strategy for CustomResourceDefinition {
    fn resource(&self) -> (&'static str, &'static str) {
        ("apiextensions.k8s.io", "customresourcedefinitions")
    }

    fn prepare_create(&self, _ctx: &StrategyContext<'_>, object: &mut Value) {
        remember_storage(object);
    }

    fn prepare_update(&self, ctx: &StrategyContext<'_>, object: &mut Value, _old: &Value) {
        if ctx.subresource.is_empty() {
            remember_storage(object);
        }
    }

    fn prepare_delete(&self, now: jiff::Timestamp, object: &mut Value) {
        crate::custom::begin_deletion(object, now);
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = validate(object);
        version::validate_approval(&mut errors, object);
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        if ctx.subresource == "status" {
            stored_versions(&mut errors, object);
            return errors;
        }
        let path = Path::new("spec");
        let established = old
            .array_at(&["status", "conditions"])
            .iter()
            .any(|c| text(c, &["type"]) == "Established" && text(c, &["status"]) == "True");
        let mut fixed = vec![("group", vec!["spec", "group"])];
        if established {
            fixed.insert(0, ("scope", vec!["spec", "scope"]));
        }
        for (key, at) in fixed {
            immutable(&mut errors, object, old, &at, &path.child(key));
        }
        let before = errors.len();
        if established {
            immutable(
                &mut errors,
                object,
                old,
                &["spec", "names", "kind"],
                &path.child("names").child("kind"),
            );
        }
        // The name says group and plural: one mistake is told once.
        if before == 0 {
            errors.extend(validate(object));
        }
        errors
    }
}

/// The version that objects are stored in from now on has been stored from now on.
fn remember_storage(object: &mut Value) {
    let versions = object.array_at(&["spec", "versions"]);
    let Some(storage) = versions.iter().find(|v| v.bool_at(&["storage"]) == Some(true)) else { return };
    let name = storage.get("name").cloned().unwrap_or_default();
    let at = ["status", "storedVersions"];
    let mut stored = object.array_at(&at).to_vec();
    if !stored.contains(&name) {
        stored.push(name);
        object.set_at(&at, stored);
    }
}

fn validate(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("spec");
    let spec = object.get("spec").unwrap_or(&Value::NULL);
    let group = text(spec, &["group"]);
    let name = meta::name(object);
    if name != format!("{}.{group}", text(spec, &["names", "plural"])) {
        let why = "must be spec.names.plural+\".\"+spec.group";
        errors.push(FieldError::invalid(&Path::new("metadata").child("name"), name, why));
    }
    let at = path.child("group");
    if group.is_empty() {
        errors.push(FieldError::required(&at, ""));
    } else if let found @ [_, ..] = &names::dns1123_subdomain(group)[..] {
        errors.push(FieldError::invalid(&at, group, &found.join(",")));
    } else if !group.contains('.') {
        errors.push(FieldError::invalid(&at, group, "should be a domain with at least one dot"));
    }
    if text(spec, &["scope"]).is_empty() {
        errors.push(FieldError::required(&path.child("scope"), ""));
    } else {
        one_of(&mut errors, spec, &path, "scope", &SCOPES);
    }
    if spec.bool_at(&["preserveUnknownFields"]) == Some(true) {
        let why = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in \
                   spec.versions[*].schema instead";
        errors.push(FieldError::invalid(&path.child("preserveUnknownFields"), true, why));
    }
    validate_versions(&mut errors, spec, &path);
    validate_names(&mut errors, spec.get("names").unwrap_or(&Value::NULL), &path.child("names"));
    validate_conversion(&mut errors, spec, &path.child("conversion"));
    stored_versions(&mut errors, object);
    errors
}

fn validate_versions(errors: &mut Errors, spec: &Value, path: &Path) {
    let versions = spec.array_at(&["versions"]);
    let path = path.child("versions");
    for (at, version) in versions.iter().enumerate() {
        let path = path.index(at);
        let name = text(version, &["name"]);
        let found = names::dns1035_label(name);
        if !found.is_empty() {
            errors.push(FieldError::invalid(&path.child("name"), name, &found.join(",")));
        }
        let at = path.child("schema").child("openAPIV3Schema");
        match version.at(&["schema", "openAPIV3Schema"]) {
            None => errors.push(FieldError::required(&at, "")),
            Some(schema) => errors.extend(structural::check(schema, &at)),
        }
        version::validate(errors, version, &path);
        if version.get("deprecationWarning").is_some() && version.bool_at(&["deprecated"]) != Some(true) {
            let shown = text(version, &["deprecationWarning"]);
            let why = "can only be set for deprecated versions";
            errors.push(FieldError::invalid(&path.child("deprecationWarning"), shown, why));
        }
    }
    let shown = || spec.get("versions").cloned().unwrap_or_default();
    let unique = (1..versions.len())
        .all(|at| !versions[..at].iter().any(|v| v.get("name") == versions[at].get("name")));
    if !unique {
        errors.push(FieldError::invalid(&path, shown(), "must contain unique version names"));
    }
    if versions.iter().filter(|v| v.bool_at(&["storage"]) == Some(true)).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid(&path, shown(), why));
    }
}

fn validate_names(errors: &mut Errors, found: &Value, path: &Path) {
    let mixed = |text: &str| -> names::Problems {
        let wrong = names::dns1035_label(&text.to_lowercase());
        if wrong.is_empty() {
            return wrong;
        }
        vec![format!("may have mixed case, but should otherwise match: {}", wrong.join(","))]
    };
    let exact = |text: &str| -> names::Problems {
        let wrong = names::dns1035_label(text);
        if wrong.is_empty() { wrong } else { vec![wrong.join(",")] }
    };
    for key in ["plural", "singular", "kind", "listKind"] {
        let name = text(found, &[key]);
        let at = path.child(key);
        if name.is_empty() {
            errors.push(FieldError::required(&at, ""));
            continue;
        }
        let wrong = if key.ends_with("ind") { mixed(name) } else { exact(name) };
        errors.extend(wrong.iter().map(|why| FieldError::invalid(&at, name, why)));
    }
    for list in ["shortNames", "categories"] {
        for (at, name) in found.array_at(&[list]).iter().enumerate() {
            let name = name.as_str().unwrap_or_default();
            let wrong = exact(name);
            errors
                .extend(wrong.iter().map(|why| FieldError::invalid(&path.child(list).index(at), name, why)));
        }
    }
    let (kind, list_kind) = (text(found, &["kind"]), text(found, &["listKind"]));
    if !kind.is_empty() && kind == list_kind {
        let why = "kind and listKind may not be the same";
        errors.push(FieldError::invalid(&path.child("listKind"), list_kind, why));
    }
}

fn validate_conversion(errors: &mut Errors, spec: &Value, path: &Path) {
    let Some(conversion) = spec.get("conversion") else { return };
    let (strategy, webhook) = (text(conversion, &["strategy"]), conversion.get("webhook"));
    match (strategy, webhook) {
        ("", _) => errors.push(FieldError::required(&path.child("strategy"), "")),
        ("Webhook", None) => {
            let why = "required when strategy is set to Webhook";
            errors.push(FieldError::required(&path.child("webhookClientConfig"), why));
        }
        // One version is never converted, so that its webhook is never asked.
        ("Webhook", Some(_)) if spec.array_at(&["versions"]).len() > 1 => {
            let why = "conversion by webhook is not supported by this server yet";
            errors.push(FieldError::forbidden(&path.child("strategy"), why));
        }
        ("Webhook", Some(webhook)) => {
            let path = path.child("webhook");
            validate_client_config(errors, webhook.get("clientConfig"), &path.child("clientConfig"));
            if webhook.array_at(&["conversionReviewVersions"]).is_empty() {
                errors.push(FieldError::required(&path.child("conversionReviewVersions"), ""));
            }
        }
        ("None", Some(_)) => {
            let why = "should not be set when strategy is not set to Webhook";
            errors.push(FieldError::forbidden(&path.child("webhook"), why));
        }
        ("None", None) => {}
        _ => errors.push(FieldError::not_supported(&path.child("strategy"), strategy, &["None", "Webhook"])),
    }
}

fn stored_versions(errors: &mut Errors, object: &Value) {
    let path = Path::new("status").child("storedVersions");
    let stored = object.array_at(&["status", "storedVersions"]);
    let versions = object.array_at(&["spec", "versions"]);
    if stored.is_empty() {
        let shown = object.at(&["status", "storedVersions"]).cloned().unwrap_or_default();
        errors.push(FieldError::invalid(&path, shown, "must have at least one stored version"));
    }
    for (at, version) in stored.iter().enumerate() {
        let text = version.as_str().unwrap_or_default();
        if !versions.iter().any(|v| v.get("name") == Some(version)) {
            let why = "missing from spec.versions; v1 was previously a storage version, and must remain in \
                       spec.versions until a storage migration ensures no data remains persisted in v1 and removes v1 \
                       from status.storedVersions"
                .replace("v1", text);
            errors.push(FieldError::invalid(&path.index(at), text, &why));
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::strategy::testing::{check_invalid, check_prepared};

    #[test]
    fn definitions() {
        check_invalid(
            &CustomResourceDefinition,
            "{metadata: {name: x}, spec: {}}",
            expect![[r#"
                metadata.name: Invalid value: "x": must be spec.names.plural+"."+spec.group
                spec.group: Required value
                spec.scope: Required value
                spec.versions: Invalid value: null: must have exactly one version marked as storage version
                spec.names.plural: Required value
                spec.names.singular: Required value
                spec.names.kind: Required value
                spec.names.listKind: Required value
                status.storedVersions: Invalid value: null: must have at least one stored version
            "#]],
        );
        check_invalid(
            &CustomResourceDefinition,
            "{metadata: {name: as.b}, spec: {group: b, scope: Zap, names: {plural: as, singular: a, kind: A, listKind: A}, \
             versions: [{name: v1, storage: true}]}, status: {storedVersions: [v1]}}",
            expect![[r#"
                spec.group: Invalid value: "b": should be a domain with at least one dot
                spec.scope: Unsupported value: "Zap": supported values: "Cluster", "Namespaced"
                spec.versions[0].schema.openAPIV3Schema: Required value
                spec.names.listKind: Invalid value: "A": kind and listKind may not be the same
            "#]],
        );
    }

    #[test]
    fn the_storage_version_is_remembered() {
        check_prepared(
            &CustomResourceDefinition,
            "spec: {versions: [{name: v1}, {name: v2, storage: true}]}",
            expect![[r#"
                spec:
                  versions:
                  - name: v1
                  - name: v2
                    storage: true
                status:
                  storedVersions:
                  - v2
            "#]],
        );
    }
}
