//! MutatingWebhookConfiguration and ValidatingWebhookConfiguration: webhooks, each with a place to call, rules and
//! deadlines. Match conditions are not compiled here.

use apimachinery::selector::validate_label_selector;
use apimachinery::{FieldError, Path, Value, names};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, one_of, problems, required};
use crate::strategy::rules::validate_client_config;
use crate::values::text;

#[derive(Debug)]
pub struct WebhookConfiguration {
    resource: &'static str,
    mutating: bool,
}

impl WebhookConfiguration {
    pub const MUTATING: Self = Self { resource: "mutatingwebhookconfigurations", mutating: true };
    pub const VALIDATING: Self = Self { resource: "validatingwebhookconfigurations", mutating: false };
}

const SECS_MAX: i64 = 30;
const REVIEWS: [&str; 2] = ["v1", "v1beta1"];
const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];

impl Strategy for WebhookConfiguration {
    fn resource(&self) -> (&'static str, &'static str) {
        ("admissionregistration.k8s.io", self.resource)
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let hooks = object.array_at(&["webhooks"]);
        for (at, hook) in hooks.iter().enumerate() {
            let path = Path::new("webhooks").index(at);
            validate_hook(&mut errors, hook, &path, self.mutating);
            let versions = hook.array_at(&["admissionReviewVersions"]);
            validate_reviews(&mut errors, versions, &path.child("admissionReviewVersions"));
            let name = text(hook, &["name"]);
            if !name.is_empty() && hooks[..at].iter().any(|h| text(h, &["name"]) == name) {
                errors.push(FieldError::duplicate(&path.child("name"), name));
            }
        }
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        self.validate_create(ctx, object)
    }
}

fn validate_hook(errors: &mut Errors, hook: &Value, path: &Path, mutating: bool) {
    let name = required(errors, hook, path, "name");
    if !name.is_empty() {
        problems(errors, &path.child("name"), name, names::fully_qualified_name(name));
    }
    for (at, rule) in hook.array_at(&["rules"]).iter().enumerate() {
        validate_rule(errors, rule, &path.child("rules").index(at));
    }
    if hook.get("failurePolicy").is_some() {
        one_of(errors, hook, path, "failurePolicy", &["Fail", "Ignore"]);
    }
    if hook.get("matchPolicy").is_some() {
        one_of(errors, hook, path, "matchPolicy", &["Equivalent", "Exact"]);
    }
    if !text(hook, &["sideEffects"]).is_empty() {
        one_of(errors, hook, path, "sideEffects", &["None", "NoneOnDryRun"]);
    } else {
        errors
            .push(FieldError::required(&path.child("sideEffects"), "must specify one of None, NoneOnDryRun"));
    }
    if let Some(seconds) = hook.i64_at(&["timeoutSeconds"])
        && !(1..=SECS_MAX).contains(&seconds)
    {
        let why = format!("the timeout value must be between 1 and {SECS_MAX} seconds");
        errors.push(FieldError::invalid(&path.child("timeoutSeconds"), seconds, &why));
    }
    for key in ["namespaceSelector", "objectSelector"] {
        if let Some(selector) = hook.get(key) {
            errors.extend(validate_label_selector(selector, &path.child(key)));
        }
    }
    if mutating && hook.get("reinvocationPolicy").is_some() {
        one_of(errors, hook, path, "reinvocationPolicy", &["IfNeeded", "Never"]);
    }
    validate_client_config(errors, hook.get("clientConfig"), &path.child("clientConfig"));
}

fn validate_reviews(errors: &mut Errors, versions: &[Value], path: &Path) {
    if versions.is_empty() {
        errors.push(FieldError::required(path, "must specify one of v1, v1beta1"));
        return;
    }
    let mut known = false;
    let mut good = true;
    for (at, version) in versions.iter().enumerate() {
        let name = version.as_str().unwrap_or_default();
        if versions[..at].contains(version) {
            good = false;
            errors.push(FieldError::invalid(&path.index(at), name, "duplicate version"));
            continue;
        }
        let found = names::dns1035_label(name);
        if let Some(why) = found.first() {
            good = false;
            errors.push(FieldError::invalid(&path.index(at), name, why));
        }
        known |= REVIEWS.contains(&name);
    }
    if good && !known {
        let why = "must include at least one of v1, v1beta1";
        errors.push(FieldError::invalid(path, Value::from(versions.to_vec()), why));
    }
}

fn validate_rule(errors: &mut Errors, rule: &Value, path: &Path) {
    let list = |key: &str| rule.array_at(&[key]);
    let at = path.child("operations");
    if list("operations").is_empty() {
        errors.push(FieldError::required(&at, ""));
    }
    wildcard_alone(errors, list("operations"), &at, "if '*' is present, must not specify other operations");
    for (index, operation) in list("operations").iter().enumerate() {
        if !OPERATIONS.contains(&operation.as_str().unwrap_or_default()) {
            errors.push(FieldError::not_supported(&at.index(index), operation.clone(), &OPERATIONS));
        }
    }
    for (key, why) in [
        ("apiGroups", "if '*' is present, must not specify other API groups"),
        ("apiVersions", "if '*' is present, must not specify other API versions"),
    ] {
        let at = path.child(key);
        if list(key).is_empty() {
            errors.push(FieldError::required(&at, ""));
        }
        wildcard_alone(errors, list(key), &at, why);
        for (index, found) in list(key).iter().enumerate() {
            if key == "apiVersions" && found.as_str() == Some("") {
                errors.push(FieldError::required(&at.index(index), ""));
            }
        }
    }
    if list("resources").is_empty() {
        errors.push(FieldError::required(&path.child("resources"), ""));
    }
    validate_resources(errors, list("resources"), &path.child("resources"));
    if rule.get("scope").is_some() {
        one_of(errors, rule, path, "scope", &["*", "Cluster", "Namespaced"]);
    }
}

fn wildcard_alone(errors: &mut Errors, list: &[Value], path: &Path, why: &str) {
    if list.len() > 1 && list.iter().any(|v| v.as_str() == Some("*")) {
        errors.push(FieldError::invalid(path, Value::from(list.to_vec()), why));
    }
}

/// Resources and subresources that do not say the same twice.
fn validate_resources(errors: &mut Errors, resources: &[Value], path: &Path) {
    let (mut all_subresources, mut all_of) = (Vec::new(), Vec::new());
    let single = resources.len() == 1;
    for (at, value) in resources.iter().enumerate() {
        let found = value.as_str().unwrap_or_default();
        let path = path.index(at);
        if found.is_empty() {
            errors.push(FieldError::required(&path, ""));
            continue;
        }
        if found == "*/*" && !single {
            let shown = Value::from(resources.to_vec());
            let why = "if '*/*' is present, must not specify other resources";
            errors.push(FieldError::invalid(&path, shown, why));
            continue;
        }
        let Some((resource, subresource)) = found.split_once('/') else { continue };
        if all_subresources.contains(&resource) {
            let why = format!("if '{resource}/*' is present, must not specify {found}");
            errors.push(FieldError::invalid(&path, found, &why));
        }
        if all_of.contains(&subresource) {
            let why = format!("if '*/{subresource}' is present, must not specify {found}");
            errors.push(FieldError::invalid(&path, found, &why));
        }
        if subresource == "*" {
            all_subresources.push(resource);
        }
        if resource == "*" {
            all_of.push(subresource);
        }
    }
    if resources.len() > 1
        && resources.iter().any(|v| v.as_str() == Some("*"))
        && resources.iter().any(|v| v.as_str().is_some_and(|t| t != "*" && !t.contains('/')))
    {
        let why = "if '*' is present, must not specify other resources without subresources";
        errors.push(FieldError::invalid(path, Value::from(resources.to_vec()), why));
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::strategy::testing::check_invalid;

    #[test]
    fn hooks() {
        check_invalid(
            &WebhookConfiguration::VALIDATING,
            "webhooks: [{}, {name: a.b.c, sideEffects: None, timeoutSeconds: 31, clientConfig: {url: 'http://x'}, \
             admissionReviewVersions: [v9]}]",
            expect![[r#"
                webhooks[0].name: Required value
                webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun
                webhooks[0].clientConfig: Required value: exactly one of url or service is required
                webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1
                webhooks[1].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds
                webhooks[1].clientConfig.url: Invalid value: "http": 'https' is the only allowed URL scheme; desired format: https://host[/path]
                webhooks[1].admissionReviewVersions: Invalid value: ["v9"]: must include at least one of v1, v1beta1
            "#]],
        );
    }

    #[test]
    fn rules() {
        check_invalid(
            &WebhookConfiguration::MUTATING,
            "webhooks: [{name: a.b.c, sideEffects: None, clientConfig: {service: {name: s}}, \
             admissionReviewVersions: [v1], rules: [{operations: ['*', CREATE], apiGroups: [''], apiVersions: [v1], \
             resources: ['pods/*', pods/status]}]}]",
            expect![[r#"
                webhooks[0].rules[0].operations: Invalid value: ["*","CREATE"]: if '*' is present, must not specify other operations
                webhooks[0].rules[0].resources[1]: Invalid value: "pods/status": if 'pods/*' is present, must not specify pods/status
                webhooks[0].clientConfig.service.namespace: Required value: service namespace is required
            "#]],
        );
    }
}
