//! Defaults of horizontal pod autoscalers.

use apimachinery::Value;

use super::{at, has, set};

/// The annotation in which version 1 keeps the metrics that it has no fields for.
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";

pub(super) fn defaults(version: &str, kind: &str, value: &mut Value) {
    if kind != "HorizontalPodAutoscaler" {
        return;
    }
    let metrics_elsewhere = version == "v1" && value.at(&["metadata", "annotations", METRICS]).is_some();
    let spec = at(value, "spec");
    set(spec, "minReplicas", 1);
    if version == "v1" {
        if !metrics_elsewhere {
            set(spec, "targetCPUUtilizationPercentage", 80);
        }
        return;
    }
    if spec.array_at(&["metrics"]).is_empty() {
        spec.set_at(&["metrics"], vec![cpu_metric(80)]);
    }
    if has(spec, "behavior") {
        behavior(at(spec, "behavior"));
    }
}

/// The one metric that an autoscaler without metrics follows.
pub(crate) fn cpu_metric(utilization: i64) -> Value {
    let target: Value = [("type", Value::from("Utilization")), ("averageUtilization", utilization.into())]
        .into_iter()
        .collect();
    let resource: Value = [("name", Value::from("cpu")), ("target", target)].into_iter().collect();
    [("type", Value::from("Resource")), ("resource", resource)].into_iter().collect()
}

/// Rules that are given in part are completed; up, at once by the larger of four pods and double; down, to any number.
fn behavior(behavior: &mut Value) {
    let policy = |kind: &str, value: i64| -> Value {
        [("type", Value::from(kind)), ("value", value.into()), ("periodSeconds", 15i64.into())]
            .into_iter()
            .collect()
    };
    let up = at(behavior, "scaleUp");
    set(up, "stabilizationWindowSeconds", 0);
    set(up, "selectPolicy", "Max");
    set(up, "policies", vec![policy("Pods", 4), policy("Percent", 100)]);
    let down = at(behavior, "scaleDown");
    set(down, "selectPolicy", "Max");
    set(down, "policies", vec![policy("Percent", 100)]);
}
