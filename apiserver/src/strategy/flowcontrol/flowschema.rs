//! FlowSchema: which requests belong to a priority level, and in which order schemas are asked.

use apimachinery::{FieldError, Path, Value, meta, names};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, problems};
use crate::values::text;

#[derive(Debug)]
pub struct FlowSchema;

const PRECEDENCE_MAX: i64 = 10_000;
const VERBS: [&str; 10] =
    ["*", "create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

impl Strategy for FlowSchema {
    fn resource(&self) -> (&'static str, &'static str) {
        ("flowcontrol.apiserver.k8s.io", "flowschemas")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = Path::new("spec");
        let spec = object.get("spec").unwrap_or(&Value::NULL);
        let precedence = spec.i64_at(&["matchingPrecedence"]).unwrap_or(0);
        let at = path.child("matchingPrecedence");
        if precedence <= 0 {
            errors.push(FieldError::invalid(&at, precedence, "must be a positive value"));
        }
        if precedence > PRECEDENCE_MAX {
            let why = format!("must not be greater than {PRECEDENCE_MAX}");
            errors.push(FieldError::invalid(&at, precedence, &why));
        }
        if precedence == 1 && meta::name(object) != "exempt" {
            let why = "only the schema named 'exempt' may have matchingPrecedence 1";
            errors.push(FieldError::invalid(&at, precedence, why));
        }
        if let Some(method) = spec.get("distinguisherMethod")
            && !["ByNamespace", "ByUser"].contains(&text(method, &["type"]))
        {
            let shown = text(method, &["type"]);
            let path = path.child("distinguisherMethod").child("type");
            errors.push(FieldError::not_supported(&path, shown, &["ByNamespace", "ByUser"]));
        }
        let level = text(spec, &["priorityLevelConfiguration", "name"]);
        let at = path.child("priorityLevelConfiguration").child("name");
        if level.is_empty() {
            errors.push(FieldError::required(&at, "must reference a priority level"));
        } else {
            problems(&mut errors, &at, level, names::dns1123_subdomain(level));
        }
        for (at, rule) in spec.array_at(&["rules"]).iter().enumerate() {
            validate_rule(&mut errors, rule, &path.child("rules").index(at));
        }
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        if ctx.subresource == "status" { Vec::new() } else { self.validate_create(ctx, object) }
    }
}

fn validate_rule(errors: &mut Errors, rule: &Value, path: &Path) {
    let list = |key: &str| rule.array_at(&[key]);
    if list("subjects").is_empty() {
        errors
            .push(FieldError::required(&path.child("subjects"), "subjects must contain at least one value"));
    }
    for (at, subject) in list("subjects").iter().enumerate() {
        validate_subject(errors, subject, &path.child("subjects").index(at));
    }
    if list("resourceRules").is_empty() && list("nonResourceRules").is_empty() {
        let why = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.push(FieldError::required(path, why));
    }
    for (at, rule) in list("resourceRules").iter().enumerate() {
        resource_rule(errors, rule, &path.child("resourceRules").index(at));
    }
    for (at, rule) in list("nonResourceRules").iter().enumerate() {
        let path = path.child("nonResourceRules").index(at);
        verbs(errors, rule, &path);
        let why = "nonResourceURLs must contain at least one value";
        values(errors, rule, &path, "nonResourceURLs", why, "non-resource URLs");
    }
}

/// A list that must say something, and `*` alone or not at all.
fn values(errors: &mut Errors, rule: &Value, path: &Path, key: &str, missing: &str, what: &str) {
    let list = rule.array_at(&[key]);
    let path = path.child(key);
    if list.is_empty() {
        errors.push(FieldError::required(&path, missing));
    } else if list.len() > 1 && list.iter().any(|v| v.as_str() == Some("*")) {
        let why = format!("if '*' is present, must not specify other {what}");
        errors.push(FieldError::invalid(&path, Value::from(list.to_vec()), &why));
    }
}

fn verbs(errors: &mut Errors, rule: &Value, path: &Path) {
    values(errors, rule, path, "verbs", "verbs must contain at least one value", "verbs");
    let list = rule.array_at(&["verbs"]);
    if path.to_string().contains("resourceRules")
        && list.iter().any(|v| !VERBS.contains(&v.as_str().unwrap_or_default()))
    {
        errors.push(FieldError::not_supported(&path.child("verbs"), Value::from(list.to_vec()), &VERBS));
    }
}

fn resource_rule(errors: &mut Errors, rule: &Value, path: &Path) {
    verbs(errors, rule, path);
    let missing = "resource rules must supply at least one api group";
    values(errors, rule, path, "apiGroups", missing, "api groups");
    let missing = "resource rules must supply at least one resource";
    values(errors, rule, path, "resources", missing, "resources");
    let namespaces = rule.array_at(&["namespaces"]);
    let at = path.child("namespaces");
    if namespaces.is_empty() {
        if rule.bool_at(&["clusterScope"]) != Some(true) {
            let why = "resource rules that are not cluster scoped must supply at least one namespace";
            errors.push(FieldError::required(&at, why));
        }
    } else if namespaces.iter().any(|n| n.as_str() == Some("*")) {
        values(errors, rule, path, "namespaces", "", "namespaces");
    } else {
        for (index, namespace) in namespaces.iter().enumerate() {
            let namespace = namespace.as_str().unwrap_or_default();
            problems(errors, &at.index(index), namespace, names::dns1123_label(namespace));
        }
    }
}

fn validate_subject(errors: &mut Errors, subject: &Value, path: &Path) {
    let kind = text(subject, &["kind"]);
    let kinds = [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")];
    if !kinds.iter().any(|(name, _)| *name == kind) {
        let supported = ["Group", "ServiceAccount", "User"];
        errors.push(FieldError::not_supported(&path.child("kind"), kind, &supported));
        return;
    }
    for (name, field) in kinds {
        let at = path.child(field);
        match (name == kind, subject.get(field)) {
            (true, None) => {
                let why = format!("{field} is required when subject kind is '{kind}'");
                errors.push(FieldError::required(&at, &why));
            }
            (true, Some(found)) => {
                for key in ["namespace", "name"] {
                    let needed = key == "name" || name == "ServiceAccount";
                    if needed && text(found, &[key]).is_empty() {
                        errors.push(FieldError::required(&at.child(key), ""));
                    }
                }
            }
            (false, Some(_)) => {
                let why = format!("{field} is forbidden when subject kind is not '{name}'");
                errors.push(FieldError::forbidden(&at, &why));
            }
            (false, None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::strategy::testing::check_invalid;

    #[test]
    fn schemas() {
        check_invalid(
            &FlowSchema,
            "{metadata: {name: a}, spec: {matchingPrecedence: 1, rules: [{}, {subjects: [{kind: User}], resourceRules: \
             [{verbs: [get, '*'], apiGroups: [''], resources: [pods]}]}]}}",
            expect![[r#"
                spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1
                spec.priorityLevelConfiguration.name: Required value: must reference a priority level
                spec.rules[0].subjects: Required value: subjects must contain at least one value
                spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty
                spec.rules[1].subjects[0].user: Required value: user is required when subject kind is 'User'
                spec.rules[1].resourceRules[0].verbs: Invalid value: ["get","*"]: if '*' is present, must not specify other verbs
                spec.rules[1].resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace
            "#]],
        );
    }
}
