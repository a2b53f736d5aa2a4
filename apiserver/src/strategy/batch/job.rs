//! Job: selects its pods by its own uid; its template and selector stay.

use apimachinery::{FieldError, Path, Selector, Value, selector};

use super::policy;
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, IMMUTABLE, immutable, not_negative, one_of, same};
use crate::strategy::core::pod::spec::validate_template;
use crate::strategy::counts::{self, Counts};
use crate::strategy::internal_form;
use crate::strategy::rules::domain_prefixed_path;
use crate::value;
use crate::values::{meta, text};

const UID_LABEL: &str = "batch.kubernetes.io/controller-uid";
const UID_LABELS: [&str; 2] = ["controller-uid", UID_LABEL];
const NAME_LABELS: [&str; 2] = ["job-name", "batch.kubernetes.io/job-name"];

/// Indexes that a job's status can tell of, and how many when each may be tried again.
const INDEXES_MAX: i64 = 100_000;
const FEW_INDEXES_MAX: i64 = 10_000;
const MANAGER_MAX: usize = 63;
/// What the status counts.
const COUNTS: Counts = Counts {
    all: &["active", "succeeded", "failed", "ready", "terminating"],
    parts: &[],
    more_than_ready: "",
};

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
            let mut errors = counts::validate(object, old, &COUNTS);
            uncounted(&mut errors, object);
            return errors;
        }
        let mut errors = self.validate_create(ctx, object);
        // Upstream checks the spec again for an update, and tells of each problem as often.
        validate_whole_spec(&mut errors, object);
        unchangeable(&mut errors, object, old);
        errors
    }
}

/// Pods that have ended and are not in the counts yet: each once.
fn uncounted(errors: &mut Errors, object: &Value) {
    let path = Path::new("status").child("uncountedTerminatedPods");
    let mut seen: Vec<&str> = Vec::new();
    for list in ["succeeded", "failed"] {
        let pods = object.array_at(&["status", "uncountedTerminatedPods", list]);
        for (at, uid) in pods.iter().enumerate() {
            let uid = uid.as_str().unwrap_or_default();
            let path = path.child(list).index(at);
            if uid.is_empty() {
                errors.push(FieldError::invalid(&path, uid, "must not be empty"));
            } else if seen.contains(&uid) {
                errors.push(FieldError::duplicate(&path, uid));
            } else {
                seen.push(uid);
            }
        }
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
    if spec.get("maxFailedIndexes").is_some() && spec.get("backoffLimitPerIndex").is_none() {
        let why = "when maxFailedIndexes is specified";
        errors.push(FieldError::required(&path.child("backoffLimitPerIndex"), why));
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
        indexed(errors, spec, path);
    } else {
        for key in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            if let Some(number) = spec.i64_at(&[key]) {
                let why = "requires indexed completion mode";
                errors.push(FieldError::invalid(&path.child(key), number, why));
            }
        }
    }
    policy::failure(errors, spec, &path.child("podFailurePolicy"));
    policy::success(errors, spec, &path.child("successPolicy"));
    if let Some(replace) = spec.get("podReplacementPolicy").and_then(Value::as_str) {
        let all = ["Failed", "TerminatingOrFailed"];
        let supported = if spec.get("podFailurePolicy").is_some() { &all[..1] } else { &all[..] };
        if !supported.contains(&replace) {
            let field = path.child("podReplacementPolicy");
            errors.push(FieldError::not_supported(&field, replace, supported));
        }
    }
    if let Some(manager) = spec.get("managedBy").and_then(Value::as_str) {
        let field = path.child("managedBy");
        domain_prefixed_path(errors, &field, manager);
        if manager.len() > MANAGER_MAX {
            errors.push(FieldError::too_long(&field, MANAGER_MAX));
        }
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

/// An indexed job has as many pods and failures as its status can tell of.
fn indexed(errors: &mut Errors, spec: &Value, path: &Path) {
    let number = |key: &str| spec.i64_at(&[key]);
    let mut at_most = |key: &str, max: i64, what: &str| {
        if let Some(value) = number(key).filter(|value| *value > max) {
            let why = format!("must be less than or equal to {what}");
            errors.push(FieldError::invalid(&path.child(key), value, &why));
        }
    };
    at_most("parallelism", INDEXES_MAX, &format!("{INDEXES_MAX} when completion mode is Indexed"));
    if let Some(completions) = number("completions") {
        at_most("maxFailedIndexes", completions, "completions");
    }
    at_most("maxFailedIndexes", INDEXES_MAX, &INDEXES_MAX.to_string());
    let many = number("completions").is_some_and(|n| n > INDEXES_MAX);
    if !many || number("backoffLimitPerIndex").is_none() {
        return;
    }
    let what = format!(
        "{FEW_INDEXES_MAX} when completions are above {INDEXES_MAX} and used with backoff limit per index"
    );
    at_most("parallelism", FEW_INDEXES_MAX, &what);
    at_most("maxFailedIndexes", FEW_INDEXES_MAX, &what);
    if number("maxFailedIndexes").is_none() {
        let why = format!("must be specified when completions is above {INDEXES_MAX}");
        errors.push(FieldError::required(&path.child("maxFailedIndexes"), &why));
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
