//! Defaults of jobs and cron jobs.

use apimachinery::{Object, Value};

use super::{at, each, has, pod, set, set_text, text};

pub(super) fn defaults(kind: &str, value: &mut Value) {
    match kind {
        "Job" => job(value),
        "CronJob" => {
            let spec = at(value, "spec");
            set_text(spec, "concurrencyPolicy", "Allow");
            set(spec, "suspend", false);
            set(spec, "successfulJobsHistoryLimit", 3);
            set(spec, "failedJobsHistoryLimit", 1);
            // Of the job only the pod: the rest is defaulted when the job is made.
            let job = at(at(spec, "jobTemplate"), "spec");
            pod_failure_policy(job);
            pod::template(at(job, "template"));
        }
        _ => {}
    }
}

fn job(value: &mut Value) {
    let labels = value.at(&["spec", "template", "metadata", "labels"]).cloned();
    if value.at(&["metadata", "labels"]).and_then(Value::as_object).is_none_or(Object::is_empty)
        && let Some(labels) = labels
    {
        at(value, "metadata").set_at(&["labels"], labels);
    }
    let spec = at(value, "spec");
    // A job that says neither how many pods nor how many at a time is one pod.
    if !has(spec, "completions") && !has(spec, "parallelism") {
        set(spec, "completions", 1);
    }
    set(spec, "parallelism", 1);
    let retries = if has(spec, "backoffLimitPerIndex") { i32::MAX } else { 6 };
    set(spec, "backoffLimit", retries);
    set(spec, "completionMode", "NonIndexed");
    set(spec, "suspend", false);
    set(spec, "manualSelector", false);
    let replacement = if has(spec, "podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
    set(spec, "podReplacementPolicy", replacement);
    pod_failure_policy(spec);
    pod::template(at(spec, "template"));
}

fn pod_failure_policy(spec: &mut Value) {
    if let Some(policy) = spec.get_mut("podFailurePolicy") {
        for rule in each(policy, "rules") {
            for pattern in each(rule, "onPodConditions") {
                if text(pattern, "status").is_empty() {
                    set_text(pattern, "status", "True");
                }
            }
        }
    }
}
