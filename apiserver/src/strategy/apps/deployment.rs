//! Deployment.

use apimachinery::{FieldError, Path, Value};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, at_most_all, count_or_percent, count_or_percent_number, not_negative};
use crate::strategy::counts::{self, Counts};
use crate::strategy::{internal_form, workload};
use crate::values::text;

/// What the status counts.
const COUNTS: Counts = Counts {
    all: &[
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "terminatingReplicas",
        "collisionCount",
    ],
    parts: &["updatedReplicas", "readyReplicas", "availableReplicas"],
    more_than_ready: "cannot be greater than readyReplicas",
};

#[derive(Debug)]
pub struct Deployment;

impl Strategy for Deployment {
    fn resource(&self) -> (&'static str, &'static str) {
        ("apps", "deployments")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let empty = Value::object();
        validate_spec(&mut errors, object.get("spec").unwrap_or(&empty), &Path::new("spec"));
        errors
    }

    fn warnings(&self, ctx: &StrategyContext<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        workload::warnings(ctx, object, old, &["spec", "template"])
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if ctx.subresource == "status" {
            return counts::validate(object, old, &COUNTS);
        }
        let mut errors = self.validate_create(ctx, object);
        workload::same_selector(&mut errors, object, old);
        errors
    }
}

fn validate_spec(errors: &mut Errors, spec: &Value, path: &Path) {
    not_negative(errors, spec, path, "replicas");
    workload::selector(errors, spec, path, "deployment");
    workload::invalid_selector(errors, spec, path);
    workload::matches_template(errors, spec, path);
    workload::template(errors, spec, path, "ReplicaSet");
    strategy(errors, spec.get("strategy"), &path.child("strategy"));
    not_negative(errors, spec, path, "minReadySeconds");
    not_negative(errors, spec, path, "revisionHistoryLimit");
    if let Some(seconds) = spec.i64_at(&["progressDeadlineSeconds"]) {
        not_negative(errors, spec, path, "progressDeadlineSeconds");
        if seconds <= spec.i64_at(&["minReadySeconds"]).unwrap_or(0) {
            let field = path.child("progressDeadlineSeconds");
            errors.push(FieldError::invalid(&field, seconds, "must be greater than minReadySeconds"));
        }
    }
}

fn strategy(errors: &mut Errors, strategy: Option<&Value>, path: &Path) {
    let Some(strategy) = strategy else { return };
    let update = strategy.get("rollingUpdate");
    match text(strategy, &["type"]) {
        "Recreate" => {
            if update.is_some() {
                let why = "may not be specified when strategy `type` is 'Recreate'";
                errors.push(FieldError::forbidden(&path.child("rollingUpdate"), why));
            }
        }
        "RollingUpdate" => match update {
            None => {
                let why = "this should be defaulted and never be nil";
                errors.push(FieldError::required(&path.child("rollingUpdate"), why));
            }
            Some(update) => rolling(errors, update, &path.child("rollingUpdate"), "maxSurge"),
        },
        _ => {
            let shown = internal_form::of_type("io.k8s.api.apps.v1.DeploymentStrategy", Some(strategy));
            errors.push(FieldError::not_supported(path, shown, &["Recreate", "RollingUpdate"]));
        }
    }
}

/// `maxUnavailable` and `maxSurge`: counts or percentages, not both nothing.
pub(super) fn rolling(errors: &mut Errors, update: &Value, path: &Path, surge: &str) {
    for key in ["maxUnavailable", surge] {
        if let Some(value) = update.get(key) {
            count_or_percent(errors, value, &path.child(key));
        }
    }
    let nothing = |key: &str| count_or_percent_number(update.get(key)) == 0;
    let readable = |key: &str| update.get(key).and_then(Value::as_str).is_none_or(|t| t.ends_with('%'));
    if nothing("maxUnavailable") && nothing(surge) && readable("maxUnavailable") && readable(surge) {
        let shown = update.get("maxUnavailable").cloned().unwrap_or_default();
        let why = format!("may not be 0 when `{surge}` is 0");
        errors.push(FieldError::invalid(&path.child("maxUnavailable"), shown, &why));
    }
    if let Some(value) = update.get("maxUnavailable") {
        at_most_all(errors, value, &path.child("maxUnavailable"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::testing::{check_invalid, check_invalid_update};
    use expect_test::expect;

    const GOOD: &str = "spec: {selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: a}}, spec: \
                        {restartPolicy: Always, dnsPolicy: ClusterFirst, containers: [{name: c, image: i, \
                        imagePullPolicy: Always, terminationMessagePolicy: File}]}}}";

    #[test]
    fn good_ones_pass() {
        check_invalid(&Deployment, GOOD, expect![[""]]);
    }

    #[test]
    fn a_template_on_the_hosts_network_may_leave_its_ports_to_the_pods() {
        let on_host = |ports: &str| {
            GOOD.replace("containers: [{", &format!("hostNetwork: true, containers: [{{{ports}, "))
        };
        let port = "ports: [{containerPort: 80, protocol: TCP}]";
        check_invalid(&Deployment, &on_host(port), expect![[""]]);
        check_invalid(
            &Deployment,
            &on_host(&port.replace("80,", "80, hostPort: 81,")),
            expect![[r#"
            spec.template.spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true
        "#]],
        );
    }

    #[test]
    fn selector_and_template_belong_together() {
        check_invalid(
            &Deployment,
            "spec: {}",
            expect![[r#"
            spec.selector: Required value
            spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`
            spec.template.spec.containers: Required value
        "#]],
        );
        check_invalid(
            &Deployment,
            &GOOD.replacen("app: a", "app: b", 1),
            expect![[r#"
            spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not match template `labels`
        "#]],
        );
        check_invalid_update(
            &Deployment,
            GOOD,
            &GOOD.replace("app: a", "app: b"),
            expect![[r#"
            spec.selector: Invalid value: {"matchLabels":{"app":"b"}}: field is immutable
        "#]],
        );
    }

    #[test]
    fn rolling_updates_make_progress() {
        let with = |more: &str| GOOD.replacen("spec: {", &format!("spec: {{{more}, "), 1);
        let zero = "strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 0, maxUnavailable: 0%}}";
        check_invalid(
            &Deployment,
            &with(zero),
            expect![[r#"
            spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0
        "#]],
        );
        check_invalid(
            &Deployment,
            &with("strategy: {type: Zap}"),
            expect![[r#"
            spec.strategy: Unsupported value: {"Type":"Zap","RollingUpdate":null}: supported values: "Recreate", "RollingUpdate"
        "#]],
        );
        check_invalid(
            &Deployment,
            &with("replicas: -1, progressDeadlineSeconds: 5, minReadySeconds: 6"),
            expect![[r#"
            spec.replicas: Invalid value: -1: must be greater than or equal to 0
            spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds
        "#]],
        );
    }
}
