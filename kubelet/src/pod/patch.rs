//! The body of a status patch: what changed between two statuses, as a strategic merge. Pure.

use serde_json::{Map, Value, json};

use crate::api::PodStatus;

/// What turns `old` into `new` on the server; `None` when they are the same. Only a pod of this uid is patched.
pub(crate) fn status_patch(uid: &str, old: &PodStatus, new: &PodStatus) -> Option<Value> {
    let fields = |status: &PodStatus| match serde_json::to_value(status) {
        Ok(Value::Object(map)) => map,
        // A status is always an object.
        _ => Map::new(),
    };
    let (old, new) = (fields(old), fields(new));
    let mut changes = Map::new();
    for (name, value) in &new {
        if old.get(name) != Some(value) {
            changes.insert(name.clone(), merged(name, old.get(name), value));
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        changes.insert(name.clone(), Value::Null);
    }
    (!changes.is_empty()).then(|| json!({"metadata": {"uid": uid}, "status": changes}))
}

/// Lists of addresses merge by their key on the server: ours is the whole list. Conditions merge too, but others write
/// some of them, so only what ours no longer say is taken away.
fn merged(name: &str, old: Option<&Value>, value: &Value) -> Value {
    match value {
        Value::Array(items) if name == "conditions" => {
            let olds = old.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            Value::Array(items.iter().map(|item| with_nulls(olds, item)).collect())
        }
        Value::Array(items) if matches!(name, "podIPs" | "hostIPs") => {
            let mut all = vec![json!({"$patch": "replace"})];
            all.extend(items.iter().cloned());
            Value::Array(all)
        }
        other => other.clone(),
    }
}

/// The condition, with a null for each field that its forerunner had and it has not.
fn with_nulls(olds: &[Value], condition: &Value) -> Value {
    let mut made = condition.clone();
    let old = olds.iter().find(|old| old.get("type") == condition.get("type"));
    if let (Some(Value::Object(old)), Value::Object(made)) = (old, &mut made) {
        for field in old.keys() {
            made.entry(field.clone()).or_insert(Value::Null);
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed() {
        let old: PodStatus = serde_json::from_value(
            json!({"phase": "Running", "reason": "x", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]}),
        )
        .unwrap();
        assert_eq!(status_patch("u", &old, &old), None);
        let mut new = old.clone();
        new.reason.clear();
        new.phase = "Failed".into();
        assert_eq!(
            status_patch("u", &old, &new).unwrap(),
            json!({"metadata": {"uid": "u"}, "status": {"phase": "Failed", "reason": null}})
        );
        new = old.clone();
        new.pod_ips[0].ip = "10.0.0.2".into();
        assert_eq!(
            status_patch("u", &old, &new).unwrap()["status"]["podIPs"],
            json!([{"$patch": "replace"}, {"ip": "10.0.0.2"}])
        );
    }

    #[test]
    fn a_condition_that_turns_true_loses_its_reason() {
        let old: PodStatus = serde_json::from_value(json!({"conditions": [
            {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "m"},
            {"type": "Gate", "status": "True"},
        ]}))
        .unwrap();
        let mut new = old.clone();
        new.conditions[0].status = "True".into();
        new.conditions[0].reason.clear();
        new.conditions[0].message.clear();
        let conditions = status_patch("u", &old, &new).unwrap()["status"]["conditions"].clone();
        assert_eq!((&conditions[0]["reason"], &conditions[0]["message"]), (&Value::Null, &Value::Null));
        assert!(
            conditions[0].as_object().unwrap().contains_key("reason"),
            "a null, not nothing: {conditions}"
        );
        assert!(!conditions[1].as_object().unwrap().contains_key("reason"), "{conditions}");
    }
}
