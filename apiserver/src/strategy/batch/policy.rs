//! When a job fails and when it has succeeded, by what its pods did.

use apimachinery::status::FieldErrorReason;
use apimachinery::{FieldError, Path, Value, names};

use crate::strategy::check::{Errors, not_negative, one_of, problems};
use crate::strategy::internal_form;
use crate::values::text;

const RULES_MAX: usize = 20;
const CONDITIONS_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];

/// A member of a closed set that must be there: what is missing is told with what could be.
fn required_one_of(errors: &mut Errors, value: &Value, path: &Path, key: &str, supported: &[&str]) {
    if text(value, &[key]).is_empty() {
        let quoted: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        let why = format!("valid values: {}", quoted.join(", "));
        errors.push(FieldError::required(&path.child(key), &why));
    } else {
        one_of(errors, value, path, key, supported);
    }
}

pub(super) fn failure(errors: &mut Errors, spec: &Value, path: &Path) {
    let list = path.child("rules");
    let rules = spec.array_at(&["podFailurePolicy", "rules"]);
    if rules.len() > RULES_MAX {
        errors.push(FieldError::too_many(&list, rules.len(), RULES_MAX));
    }
    for (at, rule) in rules.iter().enumerate() {
        let path = list.index(at);
        required_one_of(errors, rule, &path, "action", &ACTIONS);
        if text(rule, &["action"]) == "FailIndex" && spec.get("backoffLimitPerIndex").is_none() {
            let why = "requires the backoffLimitPerIndex to be set";
            errors.push(FieldError::invalid(&path.child("action"), "FailIndex", why));
        }
        if let Some(codes) = rule.get("onExitCodes") {
            exit_codes(errors, spec, codes, &path.child("onExitCodes"));
        }
        let conditions = rule.array_at(&["onPodConditions"]);
        pod_conditions(errors, conditions, &path.child("onPodConditions"));
        // Upstream shows no value here.
        let mut say = |why: &str| {
            errors.push(FieldError {
                reason: FieldErrorReason::Invalid,
                field: path.to_string(),
                message: format!("Invalid value: {why}"),
            });
        };
        match (rule.get("onExitCodes").is_some(), !conditions.is_empty()) {
            (true, true) => say("specifying both OnExitCodes and OnPodConditions is not supported"),
            (false, false) => say("specifying one of OnExitCodes and OnPodConditions is required"),
            _ => {}
        }
    }
}

fn exit_codes(errors: &mut Errors, spec: &Value, codes: &Value, path: &Path) {
    required_one_of(errors, codes, path, "operator", &["In", "NotIn"]);
    if let Some(name) = codes.get("containerName").and_then(Value::as_str) {
        let lists = ["containers", "initContainers"].into_iter();
        let mut all = lists.flat_map(|list| spec.array_at(&["template", "spec", list]));
        if !all.any(|c| text(c, &["name"]) == name) {
            let why = "must be one of the container or initContainer names in the pod template";
            errors.push(FieldError::invalid(&path.child("containerName"), name, why));
        }
    }
    let field = path.child("values");
    let values: Vec<i64> = codes.array_at(&["values"]).iter().filter_map(Value::as_i64).collect();
    if values.is_empty() {
        let shown = codes.get("values").cloned().unwrap_or_default();
        errors.push(FieldError::invalid(&field, shown, "at least one value is required"));
    } else if values.len() > EXIT_CODES_MAX {
        errors.push(FieldError::too_many(&field, values.len(), EXIT_CODES_MAX));
    }
    for (at, value) in values.iter().enumerate() {
        if *value == 0 && text(codes, &["operator"]) == "In" {
            let why = "must not be 0 for the In operator";
            errors.push(FieldError::invalid(&field.index(at), 0, why));
        }
        if values[..at].contains(value) {
            errors.push(FieldError::duplicate(&field.index(at), *value));
        }
    }
    if !values.is_sorted() {
        let shown = codes.get("values").cloned().unwrap_or_default();
        errors.push(FieldError::invalid(&field, shown, "must be ordered"));
    }
}

fn pod_conditions(errors: &mut Errors, conditions: &[Value], path: &Path) {
    if conditions.len() > CONDITIONS_MAX {
        errors.push(FieldError::too_many(path, conditions.len(), CONDITIONS_MAX));
    }
    for (at, condition) in conditions.iter().enumerate() {
        let path = path.index(at);
        let kind = text(condition, &["type"]);
        problems(errors, &path.child("type"), kind, names::qualified_name(kind));
        required_one_of(errors, condition, &path, "status", &["False", "True", "Unknown"]);
    }
}

pub(super) fn success(errors: &mut Errors, spec: &Value, path: &Path) {
    let Some(policy) = spec.get("successPolicy") else { return };
    if text(spec, &["completionMode"]) != "Indexed" {
        let shown = internal_form::of_type("io.k8s.api.batch.v1.SuccessPolicy", Some(policy));
        errors.push(FieldError::invalid(path, shown, "requires indexed completion mode"));
        return;
    }
    let list = path.child("rules");
    let rules = policy.array_at(&["rules"]);
    if rules.is_empty() {
        let why = "at least one rules must be specified when the successPolicy is specified";
        errors.push(FieldError::required(&list, why));
    }
    if rules.len() > RULES_MAX {
        errors.push(FieldError::too_many(&list, rules.len(), RULES_MAX));
    }
    for (at, rule) in rules.iter().enumerate() {
        let path = list.index(at);
        let (count, indexes) = (rule.i64_at(&["succeededCount"]), rule.get("succeededIndexes"));
        if count.is_none() && indexes.is_none() {
            let why = "at least one of succeededCount or succeededIndexes must be specified";
            errors.push(FieldError::required(&path, why));
        }
        not_negative(errors, rule, &path, "succeededCount");
        if let (Some(count), Some(completions)) = (count, spec.i64_at(&["completions"]))
            && count > completions
        {
            let why =
                format!("must be less than or equal to {completions} (the number of specified completions)");
            errors.push(FieldError::invalid(&path.child("succeededCount"), count, &why));
        }
    }
}
