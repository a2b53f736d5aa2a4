//! Job: selects its pods by its own uid; its template and selector stay.

use apimachinery::status::FieldErrorReason;
use apimachinery::{FieldError, Path, Selector, Value, selector};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, IMMUTABLE, immutable, not_negative, one_of, same};
use crate::strategy::core::pod::spec::validate_template;
use crate::strategy::internal_form;
use crate::value;
use crate::values::{meta, text};

const UID_LABEL: &str = "batch.kubernetes.io/controller-uid";
const UID_LABELS: [&str; 2] = ["controller-uid", UID_LABEL];
const NAME_LABELS: [&str; 2] = ["job-name", "batch.kubernetes.io/job-name"];

#[derive(Debug)]
pub struct Job;

impl Strategy for Job {
    fn resource(&self) -> (&'static str, &'static str) {
        ("batch", "jobs")
    }

    fn prepare_create(&self, _ctx: &StrategyContext<'_>, object: &mut Value) {
        object.set_at(&["status"], value!({}));
        if object.bool_at(&["spec", "manualSelector"]) != Some(true) {
            generate_selector(object);
        }
        // A job without labels of its own has its template's.
        if same(object.at(&["metadata", "labels"]), None)
            && let Some(labels) = object.at(&["spec", "template", "metadata", "labels"]).cloned()
        {
            object.set_at(&["metadata", "labels"], labels);
        }
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        generated_selector(&mut errors, object);
        validate_whole_spec(&mut errors, object);
        errors
    }

    fn warnings(&self, ctx: &StrategyContext<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        crate::strategy::workload::warnings(ctx, object, old, &["spec", "template"])
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if ctx.subresource == "status" {
            return crate::strategy::replica_status(object, &["active", "succeeded", "failed", "ready"]);
        }
        let mut errors = self.validate_create(ctx, object);
        // Upstream checks the spec again for an update, and tells of each problem as often.
        validate_whole_spec(&mut errors, object);
        unchangeable(&mut errors, object, old);
        errors
    }
}

/// The spec of a job of its own, with its selector.
fn validate_whole_spec(errors: &mut Errors, object: &Value) {
    let (empty, path) = (Value::object(), Path::new("spec"));
    let spec = object.get("spec").unwrap_or(&empty);
    validate_spec(errors, spec, &path);
    match spec.get("selector").filter(|s| !s.is_null()) {
        None => errors.push(FieldError::required(&path.child("selector"), "")),
        Some(value) => errors.extend(selector::validate_label_selector(value, &path.child("selector"))),
    }
    let labels = spec.at(&["template", "metadata", "labels"]);
    let label = |key: &str| labels.and_then(|l| l.get(key)).and_then(Value::as_str);
    if Selector::from_label_selector(spec.get("selector")).is_ok_and(|s| !s.matches(label)) {
        let field = path.child("template").child("metadata").child("labels");
        let why = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid(&field, labels.cloned().unwrap_or_default(), why));
    }
}

fn generate_selector(object: &mut Value) {
    let (name, uid) = (meta(object, "name").to_owned(), meta(object, "uid").to_owned());
    let mut fill = |path: &[&str], value: &str| {
        if object.at(path).is_none() {
            object.set_at(path, value);
        }
    };
    for label in NAME_LABELS {
        fill(&["spec", "template", "metadata", "labels", label], &name);
    }
    for label in UID_LABELS {
        fill(&["spec", "template", "metadata", "labels", label], &uid);
    }
    fill(&["spec", "selector", "matchLabels", UID_LABEL], &uid);
}

/// A selector that the server makes has nothing else in it.
fn generated_selector(errors: &mut Errors, object: &Value) {
    if object.bool_at(&["spec", "manualSelector"]) == Some(true) {
        return;
    }
    let Some(selector) = object.at(&["spec", "selector"]).filter(|s| !s.is_null()) else { return };
    let uid = meta(object, "uid");
    let expected = [
        value!({ "matchLabels": { "controller-uid": (uid) } }),
        value!({ "matchLabels": { "batch.kubernetes.io/controller-uid": (uid) } }),
    ];
    if !expected.iter().any(|e| same(Some(e), Some(selector))) {
        let field = Path::new("spec").child("selector");
        errors.push(FieldError::invalid(&field, selector.clone(), "`selector` not auto-generated"));
    }
}

/// Everything of a job's spec but its selector; also of the template of a CronJob.
pub(super) fn validate_spec(errors: &mut Errors, spec: &Value, path: &Path) {
    for key in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        not_negative(errors, spec, path, key);
    }
    let mode = text(spec, &["completionMode"]);
    if !mode.is_empty() {
        one_of(errors, spec, path, "completionMode", &["Indexed", "NonIndexed"]);
    }
    if mode == "Indexed" {
        if spec.get("completions").is_none() {
            let why = "when completion mode is Indexed";
            errors.push(FieldError::required(&path.child("completions"), why));
        }
        if let Some(parallelism) = spec.i64_at(&["parallelism"])
            && parallelism > 100_000
            && spec.i64_at(&["completions"]).is_some()
        {
            let why = "must be less than or equal to 100000 when completion mode is Indexed";
            errors.push(FieldError::invalid(&path.child("parallelism"), parallelism, why));
        }
    } else {
        for key in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            if let Some(number) = spec.i64_at(&[key]) {
                let why = "requires indexed completion mode";
                errors.push(FieldError::invalid(&path.child(key), number, why));
            }
        }
    }
    failure_policy(errors, spec, &path.child("podFailurePolicy"));
    if let Some(policy) = spec.get("successPolicy")
        && mode != "Indexed"
    {
        let shown = internal_form::of_type("io.k8s.api.batch.v1.SuccessPolicy", Some(policy));
        errors.push(FieldError::invalid(
            &path.child("successPolicy"),
            shown,
            "requires indexed completion mode",
        ));
    }
    let template = path.child("template");
    validate_template(errors, spec.get("template"), &template);
    let field = template.child("spec").child("restartPolicy");
    let restart = text(spec, &["template", "spec", "restartPolicy"]);
    match restart {
        "" | "Always" => errors.push(FieldError::required(&field, "valid values: \"OnFailure\", \"Never\"")),
        "OnFailure" | "Never" => {}
        other => errors.push(FieldError::not_supported(&field, other, &["OnFailure", "Never"])),
    }
    if spec.get("podFailurePolicy").is_some() && restart != "Never" {
        let why = "only \"Never\" is supported when podFailurePolicy is specified";
        errors.push(FieldError::invalid(&field, restart, why));
    }
}

fn failure_policy(errors: &mut Errors, spec: &Value, path: &Path) {
    for (at, rule) in spec.array_at(&["podFailurePolicy", "rules"]).iter().enumerate() {
        let path = path.child("rules").index(at);
        if text(rule, &["action"]).is_empty() {
            let why = "valid values: \"Count\", \"FailIndex\", \"FailJob\", \"Ignore\"";
            errors.push(FieldError::required(&path.child("action"), why));
        } else {
            one_of(errors, rule, &path, "action", &["Count", "FailIndex", "FailJob", "Ignore"]);
        }
        let conditions = !rule.array_at(&["onPodConditions"]).is_empty();
        let mut say = |why: &str| {
            errors.push(FieldError {
                reason: FieldErrorReason::Invalid,
                field: path.to_string(),
                message: format!("Invalid value: {why}"),
            });
        };
        match (rule.get("onExitCodes").is_some(), conditions) {
            (true, true) => say("specifying both OnExitCodes and OnPodConditions is not supported"),
            (false, false) => say("specifying one of OnExitCodes and OnPodConditions is required"),
            _ => {}
        }
        if let Some(codes) = rule.get("onExitCodes") {
            one_of(errors, codes, &path.child("onExitCodes"), "operator", &["In", "NotIn"]);
        }
    }
}

fn unchangeable(errors: &mut Errors, object: &Value, old: &Value) {
    let path = Path::new("spec");
    let field = |key: &str| path.child(key);
    let number = |job: &Value, key: &str| job.i64_at(&["spec", key]);
    if number(object, "completions") != number(old, "completions") {
        let indexed = text(object, &["spec", "completionMode"]) == "Indexed";
        let together = number(object, "completions") == number(object, "parallelism")
            && number(old, "completions") == number(old, "parallelism");
        if !indexed {
            immutable(errors, object, old, &["spec", "completions"], &field("completions"));
        } else if !together {
            let shown = object.at(&["spec", "completions"]).cloned().unwrap_or_default();
            let why = "can only be modified in tandem with spec.parallelism";
            errors.push(FieldError::invalid(&field("completions"), shown, why));
        }
    }
    immutable(errors, object, old, &["spec", "selector"], &field("selector"));
    if !same(template_kept(object, old).as_ref(), old.at(&["spec", "template"])) {
        let shown = internal_form::of("PodTemplateSpec", object.at(&["spec", "template"]));
        errors.push(FieldError::invalid(&field("template"), shown, IMMUTABLE));
    }
    for key in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        immutable(errors, object, old, &["spec", key], &field(key));
    }
}

/// The template as far as it must stay: a job that is suspended and has not begun may still change where its pods run.
fn template_kept(object: &Value, old: &Value) -> Option<Value> {
    let mut template = object.at(&["spec", "template"])?.clone();
    let waits =
        old.bool_at(&["spec", "suspend"]) == Some(true) && text(old, &["status", "startTime"]).is_empty();
    if waits {
        let before = old.at(&["spec", "template"]);
        let paths: [&[&str]; 6] = [
            &["metadata", "labels"],
            &["metadata", "annotations"],
            &["spec", "nodeSelector"],
            &["spec", "affinity"],
            &["spec", "tolerations"],
            &["spec", "schedulingGates"],
        ];
        for path in paths {
            match before.and_then(|b| b.at(path)) {
                Some(value) => template.set_at(path, value.clone()),
                None => {
                    template.remove_at(path);
                }
            }
        }
    }
    Some(template)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::testing::{check_invalid, check_invalid_update, check_prepared};
    use expect_test::expect;

    const TEMPLATE: &str = "template: {metadata: {labels: {batch.kubernetes.io/controller-uid: u}}, spec: {restartPolicy: \
                            Never, dnsPolicy: Default, containers: [{name: c, image: i, imagePullPolicy: Always, \
                            terminationMessagePolicy: File}]}}";

    fn job(spec: &str) -> String {
        let selector = "selector: {matchLabels: {batch.kubernetes.io/controller-uid: u}}";
        format!("metadata: {{name: j, uid: u}}\nspec: {{{selector}, {TEMPLATE}{spec}}}")
    }

    #[test]
    fn the_selector_is_made_of_the_uid() {
        check_prepared(
            &Job,
            "metadata: {name: j, uid: u}\nspec: {template: {spec: {}}}",
            expect![[r#"
            metadata:
              labels:
                batch.kubernetes.io/controller-uid: u
                batch.kubernetes.io/job-name: j
                controller-uid: u
                job-name: j
              name: j
              uid: u
            spec:
              selector:
                matchLabels:
                  batch.kubernetes.io/controller-uid: u
              template:
                metadata:
                  labels:
                    batch.kubernetes.io/controller-uid: u
                    batch.kubernetes.io/job-name: j
                    controller-uid: u
                    job-name: j
                spec: {}
            status: {}
        "#]],
        );
    }

    #[test]
    fn numbers_and_policies_are_checked() {
        check_invalid(&Job, &job(""), expect![[""]]);
        check_invalid(
            &Job,
            &job(", parallelism: -1, podFailurePolicy: {rules: [{action: Zap}]}"),
            expect![[r#"
            spec.parallelism: Invalid value: -1: must be greater than or equal to 0
            spec.podFailurePolicy.rules[0].action: Unsupported value: "Zap": supported values: "Count", "FailIndex", "FailJob", "Ignore"
            spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required
        "#]],
        );
        check_invalid(
            &Job,
            &job("").replace("Never", "Always"),
            expect![[r#"
            spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"
        "#]],
        );
    }

    #[test]
    fn completions_stay_unless_indexed() {
        check_invalid_update(
            &Job,
            &job(", completions: 1"),
            &job(", completions: 2"),
            expect![[r#"
            spec.completions: Invalid value: 2: field is immutable
        "#]],
        );
        let indexed = |n: u8| job(&format!(", completionMode: Indexed, completions: {n}, parallelism: {n}"));
        check_invalid_update(&Job, &indexed(1), &indexed(2), expect![[""]]);
    }
}
