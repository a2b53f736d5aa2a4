//! Rows of what extends the API (webhooks, policies, API services) and of devices.

use apimachinery::Value;

use super::{Row, RowFn, age, cells, cluster, condition, deleted, name, plain, selector, size, text};

pub(super) fn admission(plural: &str) -> RowFn {
    match plural {
        "validatingwebhookconfigurations" | "mutatingwebhookconfigurations" => webhooks,
        "validatingadmissionpolicies" => |object, now| policy(object, now, "validations"),
        "mutatingadmissionpolicies" => |object, now| policy(object, now, "mutations"),
        "validatingadmissionpolicybindings" | "mutatingadmissionpolicybindings" => binding,
        _ => plain,
    }
}

fn webhooks(object: &Value, now: i64) -> Row {
    cells([name(object), cluster::count(object, &["webhooks"]), age(object, now)])
}

fn policy(object: &Value, now: i64, rules: &str) -> Row {
    let kind = match object.at(&["spec", "paramKind"]).filter(|k| k.is_object()) {
        Some(kind) => format!("{}/{}", text(kind, &["apiVersion"]), text(kind, &["kind"])),
        None => "<unset>".into(),
    };
    cells([name(object), cluster::count(object, &["spec", rules]), kind.into(), age(object, now)])
}

fn binding(object: &Value, now: i64) -> Row {
    let parameter = match object.at(&["spec", "paramRef"]).filter(|p| p.is_object()) {
        None => "<unset>".into(),
        Some(parameter) => {
            let named = text(parameter, &["name"]);
            let which =
                if named.is_empty() { selector(parameter, &["selector"], "*") } else { named.to_owned() };
            match text(parameter, &["namespace"]) {
                "" => which,
                namespace => format!("{namespace}/{which}"),
            }
        }
    };
    cells([name(object), text(object, &["spec", "policyName"]).into(), parameter.into(), age(object, now)])
}

pub(super) fn api_service(object: &Value, now: i64) -> Row {
    let service = match object.at(&["spec", "service"]).filter(|s| s.is_object()) {
        Some(service) => format!("{}/{}", text(service, &["namespace"]), text(service, &["name"])),
        None => "Local".into(),
    };
    let available = match condition(object, &["status", "conditions"], "Available") {
        None => "Unknown".to_owned(),
        Some(condition) => match (text(condition, &["status"]), text(condition, &["reason"])) {
            ("True", _) => "True".into(),
            (status, reason) => format!("{status} ({reason})"),
        },
    };
    cells([name(object), service.into(), available.into(), age(object, now)])
}

pub(super) fn resource_claim(object: &Value, now: i64) -> Row {
    let mut states = Vec::new();
    if deleted(object) {
        states.push("deleted");
    }
    if object.at(&["status", "allocation"]).is_some_and(Value::is_object) {
        states.push("allocated");
        if size(object, &["status", "reservedFor"]) > 0 {
            states.push("reserved");
        }
    } else if !deleted(object) {
        states.push("pending");
    }
    cells([name(object), states.join(",").into(), age(object, now)])
}

pub(super) fn resource_slice(object: &Value, now: i64) -> Row {
    cells([
        name(object),
        text(object, &["spec", "nodeName"]).into(),
        text(object, &["spec", "driver"]).into(),
        text(object, &["spec", "pool", "name"]).into(),
        age(object, now),
    ])
}
