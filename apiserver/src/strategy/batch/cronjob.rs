//! CronJob. Whether its time zone exists is not checked: the server has no time zone data.

use apimachinery::{FieldError, Path, Value};

use super::{job, schedule};
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, not_negative, one_of};
use crate::values::{meta, text};

/// A job's name is the CronJob's and eleven characters.
const NAME_MAX: usize = 52;

#[derive(Debug)]
pub struct CronJob;

impl Strategy for CronJob {
    fn resource(&self) -> (&'static str, &'static str) {
        ("batch", "cronjobs")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        validate_spec(&mut errors, object);
        let name = meta(object, "name");
        if name.len() > NAME_MAX {
            let path = Path::new("metadata").child("name");
            let why = format!("must be no more than {NAME_MAX} characters");
            errors.push(FieldError::invalid(&path, name, &why));
        }
        errors
    }

    fn warnings(&self, ctx: &StrategyContext<'_>, object: &Value, old: Option<&Value>) -> Vec<String> {
        crate::strategy::workload::warnings(ctx, object, old, &["spec", "jobTemplate", "spec", "template"])
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        if ctx.subresource.is_empty() {
            validate_spec(&mut errors, object);
        }
        errors
    }
}

fn validate_spec(errors: &mut Errors, object: &Value) {
    let (empty, path) = (Value::object(), Path::new("spec"));
    let spec = object.get("spec").unwrap_or(&empty);
    let when = text(spec, &["schedule"]);
    let field = path.child("schedule");
    if when.is_empty() {
        errors.push(FieldError::required(&field, ""));
    } else if when.contains("TZ") {
        let why = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
        errors.push(FieldError::invalid(&field, when, why));
    } else if let Err(why) = schedule::check(when) {
        errors.push(FieldError::invalid(&field, when, &why));
    }
    not_negative(errors, spec, &path, "startingDeadlineSeconds");
    if let Some(zone) = spec.get("timeZone").and_then(Value::as_str) {
        let field = path.child("timeZone");
        if zone.is_empty() {
            errors.push(FieldError::invalid(&field, zone, "timeZone must be nil or non-empty string"));
        } else if zone.eq_ignore_ascii_case("local") {
            let why = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
            errors.push(FieldError::invalid(&field, zone, why));
        }
    }
    match text(spec, &["concurrencyPolicy"]) {
        "" => errors.push(FieldError::required(&path.child("concurrencyPolicy"), "")),
        _ => one_of(errors, spec, &path, "concurrencyPolicy", &["Allow", "Forbid", "Replace"]),
    }
    let template = spec.at(&["jobTemplate", "spec"]).unwrap_or(&empty);
    let job_path = path.child("jobTemplate").child("spec");
    if template.bool_at(&["manualSelector"]) == Some(true) {
        errors.push(FieldError::not_supported(&job_path.child("manualSelector"), true, &["nil", "false"]));
    }
    if template.get("selector").is_some() {
        errors.push(FieldError::invalid(
            &job_path.child("selector"),
            template.get("selector").cloned().unwrap_or_default(),
            "`selector` will be auto-generated",
        ));
    }
    job::validate_spec(errors, template, &job_path);
    for key in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
        not_negative(errors, spec, &path, key);
    }
}
