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
            changes.insert(name.clone(), merged(name, value));
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        changes.insert(name.clone(), Value::Null);
    }
    (!changes.is_empty()).then(|| json!({"metadata": {"uid": uid}, "status": changes}))
}

/// Lists of addresses merge by their key on the server: ours is the whole list.
fn merged(name: &str, value: &Value) -> Value {
    match value {
        Value::Array(items) if matches!(name, "podIPs" | "hostIPs") => {
            let mut all = vec![json!({"$patch": "replace"})];
            all.extend(items.iter().cloned());
            Value::Array(all)
        }
        other => other.clone(),
    }
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
}
