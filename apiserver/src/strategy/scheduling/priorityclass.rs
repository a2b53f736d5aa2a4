//! PriorityClass: a number that never changes. Those of the system have fixed names and values.

use apimachinery::{FieldError, Path, Value, meta};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, immutable, one_of};

#[derive(Debug)]
pub struct PriorityClass;

/// What users may give at most.
const USER_MAX: i64 = 1_000_000_000;
const SYSTEM_PREFIX: &str = "system-";
const SYSTEM: [(&str, i64); 2] =
    [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];

impl Strategy for PriorityClass {
    fn resource(&self) -> (&'static str, &'static str) {
        ("scheduling.k8s.io", "priorityclasses")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let name = meta::name(object);
        let value = object.i64_at(&["value"]).unwrap_or(0);
        if name.starts_with(SYSTEM_PREFIX) {
            if let Err(why) = known(name, value, object.bool_at(&["globalDefault"]) == Some(true)) {
                let why = format!(
                    "priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. error: {why}"
                );
                errors.push(FieldError::forbidden(&Path::new("metadata").child("name"), &why));
            }
        } else if value > USER_MAX {
            let why = format!("maximum allowed value of a user defined priority is {USER_MAX}");
            errors.push(FieldError::forbidden(&Path::new("value"), &why));
        }
        if object.get("preemptionPolicy").is_some() {
            one_of(&mut errors, object, &Path::nil(), "preemptionPolicy", &["PreemptLowerPriority", "Never"]);
        }
        errors
    }

    fn validate_update(&self, _ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        if object.i64_at(&["value"]).unwrap_or(0) != old.i64_at(&["value"]).unwrap_or(0) {
            errors.push(FieldError::forbidden(&Path::new("value"), "may not be changed in an update."));
        }
        let path = Path::new("preemptionPolicy");
        immutable(&mut errors, object, old, &["preemptionPolicy"], &path);
        errors
    }

    fn keeps(&self, name: &str) -> Option<&'static str> {
        let of_system = SYSTEM.iter().any(|(known, _)| *known == name);
        of_system.then_some("this is a system priority class and cannot be deleted")
    }
}

/// Whether this is a class of the system as it must be.
fn known(name: &str, value: i64, global_default: bool) -> Result<(), String> {
    let Some((_, wanted)) = SYSTEM.iter().find(|(n, _)| *n == name) else {
        return Err(format!("{name} is not a known system priority class"));
    };
    if value != *wanted {
        return Err(format!("value of {name} PriorityClass must be {wanted}"));
    }
    if global_default {
        return Err(format!("globalDefault of {name} PriorityClass must be false"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::strategy::testing::{check_invalid, check_invalid_update};

    #[test]
    fn values_and_reserved_names() {
        check_invalid(
            &PriorityClass,
            "{metadata: {name: a}, value: 1000000001, preemptionPolicy: Zap}",
            expect![[r#"
                value: Forbidden: maximum allowed value of a user defined priority is 1000000000
                preemptionPolicy: Unsupported value: "Zap": supported values: "PreemptLowerPriority", "Never"
            "#]],
        );
        check_invalid(
            &PriorityClass,
            "{metadata: {name: system-x}, value: 1}",
            expect![[r#"
                metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-x is not a known system priority class
            "#]],
        );
        check_invalid(
            &PriorityClass,
            "{metadata: {name: system-node-critical}, value: 2000001000}",
            expect![""],
        );
        check_invalid_update(
            &PriorityClass,
            "value: 1",
            "value: 2",
            expect![[r#"
                value: Forbidden: may not be changed in an update.
            "#]],
        );
    }

    #[test]
    fn classes_of_the_system_stay() {
        assert!(PriorityClass.keeps("system-node-critical").is_some());
        assert_eq!(PriorityClass.keeps("system-other"), None);
        assert_eq!(PriorityClass.keeps("mine"), None);
    }
}
