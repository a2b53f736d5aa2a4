//! ControllerRevision: data that never changes.

use apimachinery::{FieldError, Path, Value};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, immutable, not_negative};

#[derive(Debug)]
pub struct ControllerRevision;

impl Strategy for ControllerRevision {
    fn resource(&self) -> (&'static str, &'static str) {
        ("apps", "controllerrevisions")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        if object.get("data").is_none_or(Value::is_null) {
            errors.push(FieldError::required(&Path::new("data"), "data is mandatory"));
        }
        if object.i64_at(&["revision"]).is_some_and(|r| r < 0) {
            let holder: Value =
                [("revision", object.get("revision").cloned().unwrap_or_default())].into_iter().collect();
            not_negative(&mut errors, &holder, &Path::nil(), "revision");
        }
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = self.validate_create(ctx, object);
        immutable(&mut errors, object, old, &["data"], &Path::new("data"));
        errors
    }
}
