//! StatefulSet: few of its fields may change.

use apimachinery::{FieldError, Path, Value, names};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{
    Errors, at_most_all, count_or_percent, count_or_percent_number, not_negative, optional_one_of, same,
};
use crate::strategy::counts::{self, Counts};
use crate::strategy::{internal_form, workload};
use crate::values::text;

/// Fields of the spec that an update may change.
const MUTABLE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

/// What the status counts.
const COUNTS: Counts = Counts {
    all: &[
        "replicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
        "observedGeneration",
        "collisionCount",
    ],
    parts: &["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"],
    more_than_ready: "cannot be greater than status.readyReplicas",
};

#[derive(Debug)]
pub struct StatefulSet;

impl Strategy for StatefulSet {
    fn resource(&self) -> (&'static str, &'static str) {
        ("apps", "statefulsets")
    }

    fn prepare_create(&self, ctx: &StrategyContext<'_>, object: &mut Value) {
        drop_disabled(ctx, object, None);
    }

    fn prepare_update(&self, ctx: &StrategyContext<'_>, object: &mut Value, old: &Value) {
        drop_disabled(ctx, object, Some(old));
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
        let mut munged = object.get("spec").cloned().unwrap_or_else(Value::object);
        for field in MUTABLE {
            match old.at(&["spec", field]) {
                Some(value) => munged.set_at(&[field], value.clone()),
                None => {
                    munged.remove_at(&[field]);
                }
            }
        }
        if !same(Some(&munged), old.get("spec")) {
            let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                       'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                       'minReadySeconds' are forbidden";
            errors.push(FieldError::forbidden(&Path::new("spec"), why));
        }
        errors
    }
}

/// Fields of gates that are off, unless the stored object has them.
fn drop_disabled(ctx: &StrategyContext<'_>, object: &mut Value, old: Option<&Value>) {
    const FIELD: [&str; 4] = ["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"];
    if !ctx.features.enabled("MaxUnavailableStatefulSet") && old.is_none_or(|o| o.at(&FIELD).is_none()) {
        object.remove_at(&FIELD);
    }
}

fn validate_spec(errors: &mut Errors, spec: &Value, path: &Path) {
    match text(spec, &["podManagementPolicy"]) {
        "" => errors.push(FieldError::required(&path.child("podManagementPolicy"), "")),
        "OrderedReady" | "Parallel" => {}
        other => {
            let why = "must be 'OrderedReady' or 'Parallel'";
            errors.push(FieldError::invalid(&path.child("podManagementPolicy"), other, why));
        }
    }
    update_strategy(errors, spec, &path.child("updateStrategy"));
    if let Some(policy) = spec.get("persistentVolumeClaimRetentionPolicy") {
        let path = path.child("persistentVolumeClaimRetentionPolicy");
        for key in ["whenDeleted", "whenScaled"] {
            optional_one_of(errors, policy, &path, key, &["Retain", "Delete"]);
        }
    }
    not_negative(errors, spec, path, "replicas");
    not_negative(errors, spec, path, "minReadySeconds");
    if let Some(ordinals) = spec.get("ordinals") {
        not_negative(errors, ordinals, &path.child("ordinals"), "start");
    }
    workload::selector(errors, spec, path, "statefulset");
    workload::invalid_selector(errors, spec, path);
    workload::matches_template(errors, spec, path);
    workload::template(errors, &with_claims_as_volumes(spec), path, "StatefulSet");
    not_negative(errors, spec, path, "revisionHistoryLimit");
    let service = text(spec, &["serviceName"]);
    if !service.is_empty() {
        crate::strategy::check::problems(
            errors,
            &path.child("serviceName"),
            service,
            names::dns1123_label(service),
        );
    }
}

/// The spec with a volume in its template for each claim template that has none: pods get one, and mounts name it.
fn with_claims_as_volumes(spec: &Value) -> Value {
    let claims: Vec<&str> = spec
        .array_at(&["volumeClaimTemplates"])
        .iter()
        .filter_map(|claim| claim.str_at(&["metadata", "name"]))
        .collect();
    let mut spec = spec.clone();
    if claims.is_empty() || spec.at(&["template", "spec"]).is_none() {
        return spec;
    }
    let volumes = ["template", "spec", "volumes"];
    let mut all = spec.array_at(&volumes).to_vec();
    for claim in claims {
        if !all.iter().any(|volume| volume.str_at(&["name"]) == Some(claim)) {
            let mut volume = Value::object();
            volume.set_at(&["name"], claim);
            volume.set_at(&["persistentVolumeClaim", "claimName"], claim);
            all.push(volume);
        }
    }
    spec.set_at(&volumes, all);
    spec
}

fn update_strategy(errors: &mut Errors, spec: &Value, path: &Path) {
    let Some(strategy) = spec.get("updateStrategy") else { return };
    let update = strategy.get("rollingUpdate");
    match text(strategy, &["type"]) {
        "" => errors.push(FieldError::required(path, "")),
        "OnDelete" => {
            if update.is_some() {
                let why = "only allowed for updateStrategy 'RollingUpdate'";
                let shown = update.cloned().unwrap_or_default();
                errors.push(FieldError::invalid(&path.child("rollingUpdate"), shown, why));
            }
        }
        "RollingUpdate" => {
            let Some(update) = update else { return };
            let path = path.child("rollingUpdate");
            not_negative(errors, update, &path, "partition");
            if let Some(value) = update.get("maxUnavailable") {
                let field = path.child("maxUnavailable");
                count_or_percent(errors, value, &field);
                if count_or_percent_number(Some(value)) == 0 {
                    errors.push(FieldError::invalid(&field, value.clone(), "cannot be 0"));
                }
                at_most_all(errors, value, &field);
            }
        }
        _ => {
            let why = "must be 'RollingUpdate' or 'OnDelete'";
            let shown =
                internal_form::of_type("io.k8s.api.apps.v1.StatefulSetUpdateStrategy", Some(strategy));
            errors.push(FieldError::invalid(path, shown, why));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::testing::check_invalid_update;
    use expect_test::expect;

    #[test]
    fn few_fields_change() {
        let old = "spec: {podManagementPolicy: OrderedReady, serviceName: s, selector: {matchLabels: {a: b}}, template: \
                   {metadata: {labels: {a: b}}, spec: {restartPolicy: Always, dnsPolicy: Default, containers: [{name: c, \
                   image: i, imagePullPolicy: Always, terminationMessagePolicy: File}]}}}";
        check_invalid_update(&StatefulSet, old, &old.replace("image: i,", "image: j,"), expect![[""]]);
        check_invalid_update(
            &StatefulSet,
            old,
            &old.replace("serviceName: s", "serviceName: t"),
            expect![[r#"
            spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden
        "#]],
        );
    }
}
