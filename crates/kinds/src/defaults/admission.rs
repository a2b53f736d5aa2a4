//! Defaults of webhook configurations and admission policies.

use apimachinery::Value;

use super::{at, each, has, set};

pub(super) fn defaults(kind: &str, value: &mut Value) {
    match kind {
        "ValidatingWebhookConfiguration" => each(value, "webhooks").for_each(webhook),
        "MutatingWebhookConfiguration" => {
            for hook in each(value, "webhooks") {
                webhook(hook);
                set(hook, "reinvocationPolicy", "Never");
            }
        }
        "ValidatingAdmissionPolicy" | "MutatingAdmissionPolicy" => {
            let spec = at(value, "spec");
            set(spec, "failurePolicy", "Fail");
            if has(spec, "matchConstraints") {
                match_resources(at(spec, "matchConstraints"));
            }
        }
        "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding" => {
            let spec = at(value, "spec");
            if has(spec, "matchResources") {
                match_resources(at(spec, "matchResources"));
            }
        }
        _ => {}
    }
}

fn webhook(hook: &mut Value) {
    set(hook, "failurePolicy", "Fail");
    set(hook, "matchPolicy", "Equivalent");
    set(hook, "namespaceSelector", Value::object());
    set(hook, "objectSelector", Value::object());
    set(hook, "timeoutSeconds", 10);
    if let Some(service) = hook.at_mut(&["clientConfig", "service"]).filter(|v| v.is_object()) {
        set(service, "port", 443);
    }
    each(hook, "rules").for_each(rule);
}

fn match_resources(resources: &mut Value) {
    set(resources, "matchPolicy", "Equivalent");
    set(resources, "namespaceSelector", Value::object());
    set(resources, "objectSelector", Value::object());
    for key in ["resourceRules", "excludeResourceRules"] {
        each(resources, key).for_each(rule);
    }
}

fn rule(rule: &mut Value) {
    set(rule, "scope", "*");
}
