//! PodTemplate.

use apimachinery::{FieldError, Path, Value};

use super::pod::spec::validate_template;
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::Errors;

#[derive(Debug)]
pub struct PodTemplate;

impl Strategy for PodTemplate {
    fn resource(&self) -> (&'static str, &'static str) {
        ("", "podtemplates")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        validate_template(&mut errors, object.get("template"), &Path::new("template"));
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        self.validate_create(ctx, object)
    }
}
