//! Horizontal pod autoscalers: version 1 knows one metric, the utilization of cpu; everything else that version 2 can say
//! travels in annotations, which exist on the wire of version 1 only.

use apimachinery::{Object, Value};

use crate::defaults::cpu_metric;

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// Builds an object of the members that are there.
fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    members.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

/// The member at a path, unless it is null.
fn at(value: &Value, path: &[&str]) -> Option<Value> {
    value.at(path).filter(|v| !v.is_null()).cloned()
}

/// Version 2 of a version 1 autoscaler.
#[must_use]
pub fn v1_to_v2(mut value: Value) -> Value {
    let mut annotation = |key: &str| {
        let text = value.remove_at(&["metadata", "annotations", key])?.into_string()?;
        Value::from_json(text.as_bytes()).ok()
    };
    let (specs, statuses) = (annotation(METRICS), annotation(CURRENT_METRICS));
    let (conditions, behavior) = (annotation(CONDITIONS), annotation(BEHAVIOR));
    drop_empty_annotations(&mut value);
    let mut metrics: Vec<Value> = list(specs).iter().map(spec_to_v2).collect();
    if let Some(utilization) =
        value.remove_at(&["spec", "targetCPUUtilizationPercentage"]).and_then(|v| v.as_i64())
    {
        metrics.push(cpu_metric(utilization));
    }
    if !metrics.is_empty() {
        value.set_at(&["spec", "metrics"], metrics);
    }
    if let Some(behavior) = behavior {
        value.set_at(&["spec", "behavior"], rename_rules(&behavior, &BEHAVIOR_NAMES, false));
    }
    // The percentage is part of the recorded metrics.
    value.remove_at(&["status", "currentCPUUtilizationPercentage"]);
    let current: Vec<Value> = list(statuses).iter().map(status_to_v2).collect();
    if !current.is_empty() {
        value.set_at(&["status", "currentMetrics"], current);
    }
    if let Some(conditions) = conditions {
        value.set_at(&["status", "conditions"], conditions);
    }
    value.set_at(&["apiVersion"], "autoscaling/v2");
    value
}

/// Version 1 of a version 2 autoscaler.
#[must_use]
pub fn v2_to_v1(mut value: Value) -> Value {
    let metrics = list(value.remove_at(&["spec", "metrics"]));
    let (cpu, others): (Vec<_>, Vec<_>) = metrics.into_iter().partition(|m| {
        m.str_at(&["type"]) == Some("Resource")
            && m.str_at(&["resource", "name"]) == Some("cpu")
            && m.i64_at(&["resource", "target", "averageUtilization"]).is_some()
    });
    if let Some(utilization) =
        cpu.last().and_then(|m| m.i64_at(&["resource", "target", "averageUtilization"]))
    {
        value.set_at(&["spec", "targetCPUUtilizationPercentage"], utilization);
    }
    let current = list(value.remove_at(&["status", "currentMetrics"]));
    let cpu_status = current.iter().rfind(|m| m.str_at(&["resource", "name"]) == Some("cpu"));
    if let Some(utilization) =
        cpu_status.and_then(|m| m.i64_at(&["resource", "current", "averageUtilization"]))
    {
        value.set_at(&["status", "currentCPUUtilizationPercentage"], utilization);
    }
    let conditions = list(value.remove_at(&["status", "conditions"]));
    let behavior = value.remove_at(&["spec", "behavior"]).filter(|b| !b.is_null());
    let mut annotate = |key: &str, list: Vec<Value>| {
        if !list.is_empty() {
            value.set_at(&["metadata", "annotations", key], Value::from(list).to_json_string());
        }
    };
    annotate(METRICS, others.iter().map(spec_to_v1).collect());
    annotate(CURRENT_METRICS, current.iter().map(status_to_v1).collect());
    annotate(CONDITIONS, conditions);
    if let Some(behavior) = behavior {
        let text = rename_rules(&behavior, &BEHAVIOR_NAMES, true).to_json_string();
        value.set_at(&["metadata", "annotations", BEHAVIOR], text);
    }
    value.set_at(&["apiVersion"], "autoscaling/v1");
    value
}

fn list(value: Option<Value>) -> Vec<Value> {
    value.and_then(Value::into_array).unwrap_or_default()
}

fn drop_empty_annotations(value: &mut Value) {
    let annotations = value.at(&["metadata", "annotations"]).and_then(Value::as_object);
    if annotations.is_some_and(Object::is_empty) {
        value.remove_at(&["metadata", "annotations"]);
    }
}

/// A metric's description in version 1, in the order in which Go writes it.
fn spec_to_v1(metric: &Value) -> Value {
    let kind = metric.str_at(&["type"]).unwrap_or_default();
    let key = key_of(kind);
    let get = |path: &[&str]| at(metric.get(key).unwrap_or(&Value::NULL), path);
    let zero = || Some(Value::from("0"));
    let body = match kind {
        "Resource" | "ContainerResource" => object([
            ("name", get(&["name"])),
            ("targetAverageUtilization", get(&["target", "averageUtilization"])),
            ("targetAverageValue", get(&["target", "averageValue"])),
            ("container", get(&["container"])),
        ]),
        "Pods" => object([
            ("metricName", get(&["metric", "name"])),
            ("targetAverageValue", get(&["target", "averageValue"]).or_else(zero)),
            ("selector", get(&["metric", "selector"])),
        ]),
        "Object" => object([
            ("target", get(&["describedObject"])),
            ("metricName", get(&["metric", "name"])),
            ("targetValue", get(&["target", "value"]).or_else(zero)),
            ("selector", get(&["metric", "selector"])),
            ("averageValue", get(&["target", "averageValue"])),
        ]),
        _ => object([
            ("metricName", get(&["metric", "name"])),
            ("metricSelector", get(&["metric", "selector"])),
            ("targetValue", get(&["target", "value"])),
            ("targetAverageValue", get(&["target", "averageValue"])),
        ]),
    };
    object([("type", Some(kind.into())), (key, Some(body))])
}

fn spec_to_v2(metric: &Value) -> Value {
    let kind = metric.str_at(&["type"]).unwrap_or_default();
    let key = key_of(kind);
    let get = |path: &[&str]| at(metric.get(key).unwrap_or(&Value::NULL), path);
    let named = |selector: &str| object([("name", get(&["metricName"])), ("selector", get(&[selector]))]);
    let target = |value: Option<Value>, average: Option<Value>, utilization: Option<Value>| {
        let kind = match (&utilization, &average) {
            (Some(_), _) => "Utilization",
            (None, Some(_)) => "AverageValue",
            (None, None) => "Value",
        };
        // A zero beside an average only stands for absence.
        let value = value.filter(|v| average.is_none() || v.as_str() != Some("0"));
        object([
            ("type", Some(kind.into())),
            ("value", value),
            ("averageValue", average),
            ("averageUtilization", utilization),
        ])
    };
    let body = match kind {
        "Resource" | "ContainerResource" => object([
            ("name", get(&["name"])),
            ("target", Some(target(None, get(&["targetAverageValue"]), get(&["targetAverageUtilization"])))),
            ("container", get(&["container"])),
        ]),
        "Pods" => object([
            ("metric", Some(named("selector"))),
            ("target", Some(target(None, get(&["targetAverageValue"]), None))),
        ]),
        "Object" => object([
            ("describedObject", get(&["target"])),
            ("target", Some(target(get(&["targetValue"]), get(&["averageValue"]), None))),
            ("metric", Some(named("selector"))),
        ]),
        _ => object([
            ("metric", Some(named("metricSelector"))),
            ("target", Some(target(get(&["targetValue"]), get(&["targetAverageValue"]), None))),
        ]),
    };
    object([("type", Some(kind.into())), (key, Some(body))])
}

fn status_to_v1(metric: &Value) -> Value {
    let kind = metric.str_at(&["type"]).unwrap_or_default();
    let key = key_of(kind);
    let get = |path: &[&str]| at(metric.get(key).unwrap_or(&Value::NULL), path);
    let or_zero = |path: &[&str]| get(path).or_else(|| Some("0".into()));
    let body = match kind {
        "Resource" | "ContainerResource" => object([
            ("name", get(&["name"])),
            ("currentAverageUtilization", get(&["current", "averageUtilization"])),
            ("currentAverageValue", or_zero(&["current", "averageValue"])),
            ("container", get(&["container"])),
        ]),
        "Pods" => object([
            ("metricName", get(&["metric", "name"])),
            ("currentAverageValue", or_zero(&["current", "averageValue"])),
            ("selector", get(&["metric", "selector"])),
        ]),
        "Object" => object([
            ("target", get(&["describedObject"])),
            ("metricName", get(&["metric", "name"])),
            ("currentValue", or_zero(&["current", "value"])),
            ("selector", get(&["metric", "selector"])),
            ("averageValue", get(&["current", "averageValue"])),
        ]),
        _ => object([
            ("metricName", get(&["metric", "name"])),
            ("metricSelector", get(&["metric", "selector"])),
            ("currentValue", or_zero(&["current", "value"])),
            ("currentAverageValue", get(&["current", "averageValue"])),
        ]),
    };
    object([("type", Some(kind.into())), (key, Some(body))])
}

fn status_to_v2(metric: &Value) -> Value {
    let kind = metric.str_at(&["type"]).unwrap_or_default();
    let key = key_of(kind);
    let get = |path: &[&str]| at(metric.get(key).unwrap_or(&Value::NULL), path);
    let named = |selector: &str| object([("name", get(&["metricName"])), ("selector", get(&[selector]))]);
    let body = match kind {
        "Resource" | "ContainerResource" => {
            let current = object([
                ("averageValue", get(&["currentAverageValue"])),
                ("averageUtilization", get(&["currentAverageUtilization"])),
            ]);
            object([("name", get(&["name"])), ("current", Some(current)), ("container", get(&["container"]))])
        }
        "Pods" => {
            let current = object([("averageValue", get(&["currentAverageValue"]))]);
            object([("metric", Some(named("selector"))), ("current", Some(current))])
        }
        "Object" => {
            let current =
                object([("value", get(&["currentValue"])), ("averageValue", get(&["averageValue"]))]);
            object([
                ("metric", Some(named("selector"))),
                ("current", Some(current)),
                ("describedObject", get(&["target"])),
            ])
        }
        _ => {
            let current =
                object([("value", get(&["currentValue"])), ("averageValue", get(&["currentAverageValue"]))]);
            object([("metric", Some(named("metricSelector"))), ("current", Some(current))])
        }
    };
    object([("type", Some(kind.into())), (key, Some(body))])
}

fn key_of(kind: &str) -> &'static str {
    match kind {
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "Pods" => "pods",
        "Object" => "object",
        _ => "external",
    }
}

/// The annotation has the names of Go's fields, and all of them.
const BEHAVIOR_NAMES: [(&str, &str); 9] = [
    ("scaleUp", "ScaleUp"),
    ("scaleDown", "ScaleDown"),
    ("stabilizationWindowSeconds", "StabilizationWindowSeconds"),
    ("selectPolicy", "SelectPolicy"),
    ("policies", "Policies"),
    ("tolerance", "Tolerance"),
    ("type", "Type"),
    ("value", "Value"),
    ("periodSeconds", "PeriodSeconds"),
];

/// Rules with the names of Go's fields, absent ones as null, or back.
fn rename_rules(value: &Value, names: &[(&str, &str)], to_go: bool) -> Value {
    if let Some(items) = value.as_array() {
        return items.iter().map(|item| rename_rules(item, names, to_go)).collect::<Vec<_>>().into();
    }
    let Some(object) = value.as_object() else { return value.clone() };
    // A level is known by any of its names.
    let level = [&names[..2], &names[2..6], &names[6..]]
        .into_iter()
        .find(|level| level.iter().any(|(json, go)| object.contains_key(json) || object.contains_key(go)));
    let mut renamed = Object::new();
    for (json, go) in level.unwrap_or(&[]) {
        let (from, to) = if to_go { (json, go) } else { (go, json) };
        match object.get(from).filter(|v| !v.is_null()) {
            Some(value) => {
                renamed.insert(to, rename_rules(value, names, to_go));
            }
            None if to_go => {
                renamed.insert(to, Value::NULL);
            }
            None => {}
        }
    }
    renamed.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = r#"{"apiVersion":"autoscaling/v2","metadata":{"name":"h"},"spec":{"metrics":[{"type":"Resource","resource":{"name":"memory","target":{"type":"AverageValue","averageValue":"1Gi"}}},{"type":"Pods","pods":{"metric":{"name":"m"},"target":{"type":"AverageValue","averageValue":"1k"}}},{"type":"Object","object":{"describedObject":{"kind":"K","name":"n"},"target":{"type":"Value","value":"10"},"metric":{"name":"m"}}},{"type":"External","external":{"metric":{"name":"e","selector":{"matchLabels":{"app":"a"}}},"target":{"type":"Value","value":"10"}}},{"type":"ContainerResource","containerResource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":10},"container":"c"}}],"behavior":{"scaleUp":{"stabilizationWindowSeconds":5,"selectPolicy":"Max","policies":[{"type":"Pods","value":4,"periodSeconds":15},{"type":"Percent","value":100,"periodSeconds":15}]},"scaleDown":{"selectPolicy":"Max","policies":[{"type":"Pods","value":1,"periodSeconds":10}]}}},"status":{"currentMetrics":[{"type":"Resource","resource":{"name":"memory","current":{"averageValue":"500Mi"}}}]}}"#;

    #[test]
    fn what_version_1_cannot_say_travels_in_annotations() {
        let v2 = Value::from_json(V2.as_bytes()).unwrap();
        let v1 = v2_to_v1(v2.clone());
        let annotation = |key: &str| v1.str_at(&["metadata", "annotations", key]).unwrap();
        assert_eq!(
            annotation(METRICS),
            r#"[{"type":"Resource","resource":{"name":"memory","targetAverageValue":"1Gi"}},{"type":"Pods","pods":{"metricName":"m","targetAverageValue":"1k"}},{"type":"Object","object":{"target":{"kind":"K","name":"n"},"metricName":"m","targetValue":"10"}},{"type":"External","external":{"metricName":"e","metricSelector":{"matchLabels":{"app":"a"}},"targetValue":"10"}},{"type":"ContainerResource","containerResource":{"name":"cpu","targetAverageUtilization":10,"container":"c"}}]"#
        );
        assert_eq!(
            annotation(BEHAVIOR),
            r#"{"ScaleUp":{"StabilizationWindowSeconds":5,"SelectPolicy":"Max","Policies":[{"Type":"Pods","Value":4,"PeriodSeconds":15},{"Type":"Percent","Value":100,"PeriodSeconds":15}],"Tolerance":null},"ScaleDown":{"StabilizationWindowSeconds":null,"SelectPolicy":"Max","Policies":[{"Type":"Pods","Value":1,"PeriodSeconds":10}],"Tolerance":null}}"#
        );
        assert_eq!(v1_to_v2(v1), v2);
    }

    #[test]
    fn cpu_utilization_is_version_1s_own() {
        let v1 = Value::from_json(
            br#"{"apiVersion":"autoscaling/v1","spec":{"targetCPUUtilizationPercentage":50}}"#,
        )
        .unwrap();
        let v2 = v1_to_v2(v1.clone());
        assert_eq!(v2.array_at(&["spec", "metrics"]), [cpu_metric(50)]);
        assert_eq!(v2_to_v1(v2), v1);
    }
}
