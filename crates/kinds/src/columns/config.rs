//! Rows of configuration, quotas and role bindings.

use apimachinery::Value;

use super::{Row, age, cells, name, size, text};

pub(super) fn config_map(object: &Value, now: i64) -> Row {
    cells([name(object), (size(object, &["data"]) + size(object, &["binaryData"])).into(), age(object, now)])
}

pub(super) fn secret(object: &Value, now: i64) -> Row {
    cells([name(object), text(object, &["type"]).into(), size(object, &["data"]).into(), age(object, now)])
}

pub(super) fn resource_quota(object: &Value, now: i64) -> Row {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    if let Some(hard) = object.at(&["status", "hard"]).and_then(Value::as_object) {
        for (resource, hard) in hard.sorted() {
            let used = object.str_at(&["status", "used", resource]).unwrap_or("0");
            let text = format!("{resource}: {used}/{}", hard.as_str().unwrap_or_default());
            if resource.starts_with("limits") { limits.push(text) } else { requests.push(text) }
        }
    }
    cells([name(object), requests.join(", ").into(), limits.join(", ").into(), age(object, now)])
}

pub(super) fn role_binding(object: &Value, now: i64) -> Row {
    let role = object.at(&["roleRef"]).unwrap_or(&Value::NULL);
    let subjects = |kind: &str| -> Value {
        let of_kind = object.array_at(&["subjects"]).iter().filter(|s| text(s, &["kind"]) == kind);
        let names = of_kind.map(|subject| match text(subject, &["namespace"]) {
            namespace if kind == "ServiceAccount" && !namespace.is_empty() => {
                format!("{namespace}/{}", text(subject, &["name"]))
            }
            _ => text(subject, &["name"]).to_owned(),
        });
        names.collect::<Vec<_>>().join(", ").into()
    };
    cells([
        name(object),
        format!("{}/{}", text(role, &["kind"]), text(role, &["name"])).into(),
        age(object, now),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ])
}
