//! HorizontalPodAutoscaler: bounds, what is scaled, metrics with targets, and how fast it may go.

use apimachinery::{FieldError, Path, Value, meta, names};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, not_negative, one_of, quantity, required_name};
use crate::values::text;

#[derive(Debug)]
pub struct HorizontalPodAutoscaler;

const WINDOW_SECS_MAX: i64 = 3600;
const PERIOD_SECS_MAX: i64 = 1800;
/// Metric types with the field that each fills in.
const METRICS: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

impl Strategy for HorizontalPodAutoscaler {
    fn resource(&self) -> (&'static str, &'static str) {
        ("autoscaling", "horizontalpodautoscalers")
    }

    fn validate_create(&self, ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        validate(object, i64::from(!ctx.features.enabled("HPAScaleToZero")))
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if ctx.subresource == "status" {
            let mut errors = Errors::new();
            let status = object.get("status").unwrap_or(&Value::NULL);
            for key in ["currentReplicas", "desiredReplicas"] {
                not_negative(&mut errors, status, &Path::new("status"), key);
            }
            return errors;
        }
        // What scaled to zero before may go on.
        let was_zero = old.i64_at(&["spec", "minReplicas"]) == Some(0);
        validate(object, i64::from(!ctx.features.enabled("HPAScaleToZero") && !was_zero))
    }
}

fn validate(object: &Value, least: i64) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("spec");
    let spec = object.get("spec").unwrap_or(&Value::NULL);
    let min = spec.i64_at(&["minReplicas"]);
    let max = spec.i64_at(&["maxReplicas"]).unwrap_or(0);
    if let Some(min) = min
        && min < least
    {
        let why = format!("must be greater than or equal to {least}");
        errors.push(FieldError::invalid(&path.child("minReplicas"), min, &why));
    }
    let at = path.child("maxReplicas");
    if max == 0 {
        errors.push(FieldError::required(&at, "must be set and greater than 0"));
    } else if max < 0 {
        errors.push(FieldError::invalid(&at, max, "must be greater than 0"));
    }
    if min.is_some_and(|min| max < min) {
        errors.push(FieldError::invalid(&at, max, "must be greater than or equal to `minReplicas`"));
    }
    let target = spec.get("scaleTargetRef").unwrap_or(&Value::NULL);
    reference(&mut errors, target, &path.child("scaleTargetRef"));
    for (at, metric) in spec.array_at(&["metrics"]).iter().enumerate() {
        validate_metric(&mut errors, metric, &path.child("metrics").index(at));
    }
    let has = |kind: &str| spec.array_at(&["metrics"]).iter().any(|m| text(m, &["type"]) == kind);
    if min == Some(0) && !has("Object") && !has("External") {
        let why = "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.push(FieldError::forbidden(&path.child("metrics"), why));
    }
    for direction in ["scaleUp", "scaleDown"] {
        if let Some(rules) = spec.at(&["behavior", direction]) {
            validate_rules(&mut errors, rules, &path.child("behavior").child(direction));
        }
    }
    errors
}

/// A reference to an object by kind and name; what metrics describe may be of any group.
fn object_name(errors: &mut Errors, value: &Value, path: &Path) {
    required_name(errors, value, path, "kind", names::path_segment_name);
    required_name(errors, value, path, "name", names::path_segment_name);
}

/// A reference to an object by kind, name and a version with a group.
fn reference(errors: &mut Errors, value: &Value, path: &Path) {
    object_name(errors, value, path);
    let version = text(value, &["apiVersion"]);
    let path = path.child("apiVersion");
    match meta::split_api_version(version) {
        None => {
            let why = format!("unexpected GroupVersion string: {version}");
            errors.push(FieldError::invalid(&path, version, &why));
        }
        // The one thing of the core group that scales.
        Some(("", "v1")) if text(value, &["kind"]) == "ReplicationController" => {}
        Some(("", _)) => {
            errors.push(FieldError::invalid(&path, version, "apiVersion must specify API group"))
        }
        Some(_) => {}
    }
}

fn validate_metric(errors: &mut Errors, metric: &Value, path: &Path) {
    let kind = text(metric, &["type"]);
    let expected = METRICS.iter().find(|(name, _)| *name == kind).map(|(_, field)| *field);
    if kind.is_empty() {
        errors.push(FieldError::required(&path.child("type"), "must specify a metric source type"));
    }
    if expected.is_none() {
        one_of(errors, metric, path, "type", &METRICS.map(|(name, _)| name));
    }
    let present: Vec<&str> = ["object", "external", "pods", "resource", "containerResource"]
        .into_iter()
        .filter(|field| metric.get(field).is_some())
        .collect();
    if let Some(first) = present.first()
        && let Some(source) = metric.get(first)
    {
        validate_source(errors, first, source, &path.child(first));
    }
    if let Some(field) = expected.filter(|f| !present.contains(f)) {
        let why = "must populate information for the given metric source";
        errors.push(FieldError::required(&path.child(field), why));
    }
    if present.len() != 1 {
        for field in present.into_iter().filter(|f| Some(*f) != expected) {
            let why = "must populate the given metric source only";
            errors.push(FieldError::forbidden(&path.child(field), why));
        }
    }
}

fn validate_source(errors: &mut Errors, kind: &str, source: &Value, path: &Path) {
    let target = source.get("target").unwrap_or(&Value::NULL);
    let at = path.child("target");
    match kind {
        "object" => {
            let described = source.get("describedObject").unwrap_or(&Value::NULL);
            object_name(errors, described, &path.child("describedObject"));
            validate_identifier(errors, source, path);
        }
        "resource" | "containerResource" => {
            if text(source, &["name"]).is_empty() {
                errors.push(FieldError::required(&path.child("name"), "must specify a resource name"));
            }
            if kind == "containerResource" && text(source, &["container"]).is_empty() {
                errors.push(FieldError::required(&path.child("container"), "must specify a container"));
            }
        }
        _ => validate_identifier(errors, source, path),
    }
    validate_target(errors, target, &at);
    let has = |key: &str| target.get(key).is_some();
    let (value, average, utilization) = (has("value"), has("averageValue"), has("averageUtilization"));
    let (at_average, at_value) = (at.child("averageValue"), at.child("value"));
    match kind {
        "object" if !value && !average => {
            errors.push(FieldError::required(&at_average, "must set either a target value or averageValue"));
        }
        "external" if !value && !average => {
            let why = "must set either a target value for metric or a per-pod target";
            errors.push(FieldError::required(&at_average, why));
        }
        "external" if value && average => {
            let why = "may not set both a target value for metric and a per-pod target";
            errors.push(FieldError::forbidden(&at_value, why));
        }
        "pods" if quantity(target.get("averageValue")).is_none_or(|q| q.sign() <= 0) => {
            errors.push(FieldError::required(&at_average, "must specify a positive target averageValue"));
        }
        "resource" | "containerResource" if !utilization && !average => {
            let why = "must set either a target raw value or a target utilization";
            errors.push(FieldError::required(&at.child("averageUtilization"), why));
        }
        "resource" | "containerResource" if utilization && average => {
            let why = "may not set both a target raw value and a target utilization";
            errors.push(FieldError::forbidden(&at_average, why));
        }
        _ => {}
    }
}

fn validate_identifier(errors: &mut Errors, source: &Value, path: &Path) {
    let path = path.child("metric").child("name");
    let name = text(source, &["metric", "name"]);
    if name.is_empty() {
        errors.push(FieldError::required(&path, "must specify a metric name"));
    } else {
        crate::strategy::check::problems(errors, &path, name, names::path_segment_name(name));
    }
}

fn validate_target(errors: &mut Errors, target: &Value, path: &Path) {
    let kind = text(target, &["type"]);
    let at = path.child("type");
    if kind.is_empty() {
        errors.push(FieldError::required(&at, "must specify a metric target type"));
    }
    if !["Utilization", "Value", "AverageValue"].contains(&kind) {
        errors.push(FieldError::invalid(&at, kind, "must be either Utilization, Value, or AverageValue"));
    }
    for key in ["value", "averageValue"] {
        if let Some(found) = quantity(target.get(key))
            && found.sign() <= 0
        {
            errors.push(FieldError::invalid(&path.child(key), found.to_string(), "must be positive"));
        }
    }
    if let Some(share) = target.i64_at(&["averageUtilization"])
        && share < 1
    {
        errors.push(FieldError::invalid(&path.child("averageUtilization"), share, "must be greater than 0"));
    }
}

fn validate_rules(errors: &mut Errors, rules: &Value, path: &Path) {
    let at = path.child("stabilizationWindowSeconds");
    match rules.i64_at(&["stabilizationWindowSeconds"]) {
        Some(window) if window < 0 => {
            errors.push(FieldError::invalid(&at, window, "must be greater than or equal to zero"));
        }
        Some(window) if window > WINDOW_SECS_MAX => {
            let why = format!("must be less than or equal to {WINDOW_SECS_MAX}");
            errors.push(FieldError::invalid(&at, window, &why));
        }
        _ => {}
    }
    if rules.get("selectPolicy").is_some() {
        one_of(errors, rules, path, "selectPolicy", &["Disabled", "Max", "Min"]);
    }
    let policies = rules.array_at(&["policies"]);
    let at = path.child("policies");
    if policies.is_empty() {
        errors.push(FieldError::required(&at, "must specify at least one Policy"));
    }
    for (index, policy) in policies.iter().enumerate() {
        let path = at.index(index);
        one_of(errors, policy, &path, "type", &["Percent", "Pods"]);
        let number = |key: &str| policy.i64_at(&[key]).unwrap_or(0);
        let (value, period) = (number("value"), number("periodSeconds"));
        if value <= 0 {
            errors.push(FieldError::invalid(&path.child("value"), value, "must be greater than zero"));
        }
        if period <= 0 {
            errors.push(FieldError::invalid(
                &path.child("periodSeconds"),
                period,
                "must be greater than zero",
            ));
        }
        if period > PERIOD_SECS_MAX {
            let why = format!("must be less than or equal to {PERIOD_SECS_MAX}");
            errors.push(FieldError::invalid(&path.child("periodSeconds"), period, &why));
        }
    }
    if let Some(tolerance) = quantity(rules.get("tolerance"))
        && tolerance.sign() < 0
    {
        let why = "must be greater than or equal to zero";
        errors.push(FieldError::invalid(&path.child("tolerance"), tolerance.to_string(), why));
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::strategy::testing::check_invalid;

    #[test]
    fn bounds_and_target() {
        check_invalid(
            &HorizontalPodAutoscaler,
            "spec: {minReplicas: 1}",
            expect![[r#"
                spec.maxReplicas: Required value: must be set and greater than 0
                spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`
                spec.scaleTargetRef.kind: Required value
                spec.scaleTargetRef.name: Required value
                spec.scaleTargetRef.apiVersion: Invalid value: "": apiVersion must specify API group
            "#]],
        );
    }

    #[test]
    fn metrics_describe_objects_of_any_group() {
        check_invalid(
            &HorizontalPodAutoscaler,
            "spec: {maxReplicas: 2, scaleTargetRef: {kind: Deployment, apiVersion: apps/v1, name: a}, metrics: [{type: \
             Object, object: {describedObject: {kind: K, name: a}, metric: {name: m}, target: {type: Value, value: 1}}}]}",
            expect![""],
        );
    }

    #[test]
    fn metrics_and_behavior() {
        check_invalid(
            &HorizontalPodAutoscaler,
            "spec: {maxReplicas: 2, scaleTargetRef: {kind: ReplicationController, apiVersion: v1, name: a}, metrics: \
             [{type: Resource, resource: {name: cpu, target: {type: Utilization}}}, {type: Pods}], behavior: {scaleUp: \
             {stabilizationWindowSeconds: 3601, policies: [{type: Zap, value: 1, periodSeconds: 1801}]}}}",
            expect![[r#"
                spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization
                spec.metrics[1].pods: Required value: must populate information for the given metric source
                spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600
                spec.behavior.scaleUp.policies[0].type: Unsupported value: "Zap": supported values: "Percent", "Pods"
                spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800
            "#]],
        );
    }
}
