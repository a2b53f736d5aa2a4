//! The scale subresource: `autoscaling/v1` Scale as a view of a workload's replicas.

use apimachinery::selector::Selector;
use apimachinery::status::FieldErrorReason;
use apimachinery::{Object, Status, Value, meta};
use kinds::Gvk;

use super::options::field_error;

/// The kind of every built-in scale subresource.
pub(crate) fn gvk() -> Gvk {
    Gvk::new("autoscaling", "v1", "Scale")
}

/// Where a custom resource keeps its replicas; `None` of built-in workloads, which agree on that.
pub(crate) type Places<'a> = Option<&'a kinds::custom::Scale>;

fn keys(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

/// The path of the wanted replicas.
pub(crate) fn replicas(places: Places<'_>) -> Vec<&str> {
    places.map_or_else(|| vec!["spec", "replicas"], |places| keys(&places.replicas))
}

/// A Scale can be shown of a custom resource only once it says how many it wants.
pub(crate) fn check_shown(object: &Value, places: Places<'_>) -> Result<(), Status> {
    match places {
        Some(places) if object.at(&keys(&places.replicas)).is_none() => Err(Status::internal(format!(
            "the spec replicas field \".{}\" does not exist",
            places.replicas.join(".")
        ))),
        _ => Ok(()),
    }
}

/// The Scale of a workload, with its revision.
pub(crate) fn of(object: &Value, places: Places<'_>) -> Value {
    let mut scale = Value::object();
    super::object::set_type(&mut scale, &gvk());
    let mut members = Object::new();
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object.at(&["metadata", key]) {
            members.insert(key, value.clone());
        }
    }
    scale.set_at(&["metadata"], members);
    let mut spec = Object::new();
    if let Some(replicas) = object.i64_at(&replicas(places)).filter(|r| *r != 0) {
        spec.insert("replicas", replicas);
    }
    scale.set_at(&["spec"], spec);
    let mut status = Object::new();
    let status_path = places.map_or_else(|| vec!["status", "replicas"], |p| keys(&p.status_replicas));
    status.insert("replicas", object.i64_at(&status_path).unwrap_or(0));
    let selector = match places {
        Some(places) => {
            let path = places.selector.as_deref().map(keys).unwrap_or_default();
            object.at(&path).and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        None => selector_text(object),
    };
    if !selector.is_empty() {
        status.insert("selector", selector);
    }
    scale.set_at(&["status"], status);
    scale
}

/// The selector in its string form; replication controllers have a plain map.
fn selector_text(object: &Value) -> String {
    let selector = object.at(&["spec", "selector"]);
    let structured =
        selector.is_some_and(|s| s.get("matchLabels").is_some() || s.get("matchExpressions").is_some());
    if structured {
        Selector::from_label_selector(selector).map(|s| s.to_string()).unwrap_or_default()
    } else {
        Selector::from_map(selector).to_string()
    }
}

/// Checks a Scale that was sent for `name`.
pub(crate) fn check(scale: &Value, name: &str) -> Result<(), Status> {
    let own = meta::name(scale);
    if own != name {
        return Err(Status::bad_request(if own.is_empty() {
            format!("the name of the object ({name} based on URL) was undeterminable: name must be provided")
        } else {
            format!("the name of the object ({own}) does not match the name on the URL ({name})")
        }));
    }
    let replicas = scale.i64_at(&["spec", "replicas"]).unwrap_or(0);
    if replicas < 0 {
        let message = format!("Invalid value: {replicas}: must be greater than or equal to 0");
        let error = field_error(FieldErrorReason::Invalid, "spec.replicas", message);
        return Err(Status::invalid("autoscaling", "Scale", name, &[error]));
    }
    Ok(())
}

/// Takes a Scale's wish, and what it demands of the stored object, into the workload.
pub(crate) fn take(object: &mut Value, scale: &Value, places: Places<'_>) {
    object.set_at(&replicas(places), scale.i64_at(&["spec", "replicas"]).unwrap_or(0));
    for key in ["uid", "resourceVersion"] {
        let path = ["metadata", key];
        match scale.str_at(&path).filter(|text| !text.is_empty()) {
            Some(text) => object.set_at(&path, text),
            None => {
                object.remove_at(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_view_of_replicas() {
        let object = Value::from_json(
            br#"{"metadata":{"name":"x","namespace":"n","resourceVersion":"5","labels":{}},"spec":{"replicas":3,"selector":{"matchLabels":{"app":"x"}}},"status":{"replicas":2}}"#,
        )
        .unwrap();
        expect![[r#"{"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"x","namespace":"n","resourceVersion":"5"},"spec":{"replicas":3},"status":{"replicas":2,"selector":"app=x"}}"#]]
            .assert_eq(&of(&object, None).to_json_string());
    }

    #[test]
    fn refusals() {
        let scale = Value::from_json(br#"{"metadata":{"name":"x"},"spec":{"replicas":-1}}"#).unwrap();
        assert_eq!(
            check(&scale, "x").unwrap_err().message,
            r#"Scale.autoscaling "x" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0"#
        );
        assert_eq!(check(&scale, "y").unwrap_err().code, 400);
    }
}
