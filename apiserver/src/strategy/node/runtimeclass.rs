//! RuntimeClass: a handler that never changes, what it costs, and where it is.

use apimachinery::{FieldError, Path, Value, meta, names};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, immutable, required_name};
use crate::strategy::core::pod::resources::validate_overhead;

use crate::strategy::core::pod::scheduling::tolerations;
use crate::strategy::internal_form;
#[derive(Debug)]
pub struct RuntimeClass;

impl Strategy for RuntimeClass {
    fn resource(&self) -> (&'static str, &'static str) {
        ("node.k8s.io", "runtimeclasses")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        required_name(&mut errors, object, &Path::nil(), "handler", names::dns1123_label);
        validate_overhead(&mut errors, object.at(&["overhead", "podFixed"]), &Path::new("overhead"));
        if let Some(scheduling) = object.get("scheduling") {
            let path = Path::new("scheduling");
            if let Some(selector) = scheduling.get("nodeSelector") {
                errors.extend(meta::validate_labels(selector, &path.child("nodeSelector")));
            }
            let list = scheduling.array_at(&["tolerations"]);
            let path = path.child("tolerations");
            tolerations(&mut errors, list, &path);
            for (at, toleration) in list.iter().enumerate() {
                if list[..at].contains(toleration) {
                    let shown = internal_form::of("Toleration", Some(toleration));
                    errors.push(FieldError::duplicate(&path.index(at), shown));
                }
            }
        }
        errors
    }

    fn validate_update(&self, _ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        immutable(&mut errors, object, old, &["handler"], &Path::new("handler"));
        errors
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::strategy::testing::{check_invalid, check_invalid_update};

    #[test]
    fn handlers() {
        check_invalid(
            &RuntimeClass,
            "{}",
            expect![[r#"
                handler: Required value
            "#]],
        );
        check_invalid_update(
            &RuntimeClass,
            "handler: a",
            "handler: b",
            expect![[r#"
                handler: Invalid value: "b": field is immutable
            "#]],
        );
    }
}
