//! ResourceQuota: its scopes stay.

use apimachinery::{FieldError, Path, Quantity, Value};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, IMMUTABLE, NOT_NEGATIVE, members, same};
use crate::values::{string_list, strings};

const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];
/// Resources that are counted in whole numbers.
const COUNTED: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

#[derive(Debug)]
pub struct ResourceQuota;

impl Strategy for ResourceQuota {
    fn resource(&self) -> (&'static str, &'static str) {
        ("", "resourcequotas")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = Path::new("spec");
        for (name, value) in members(object.at(&["spec", "hard"])) {
            let path = spec.child("hard").key(name);
            let Ok(amount) = Quantity::from_value(value) else { continue };
            let shown = amount.to_string();
            if amount.sign() < 0 {
                errors.push(FieldError::invalid(&path, shown.as_str(), NOT_NEGATIVE));
            }
            if (COUNTED.contains(&name) || name.starts_with("count/")) && amount.milli_value() % 1000 != 0 {
                errors.push(FieldError::invalid(&path, shown.as_str(), "must be an integer"));
            }
        }
        let scopes = string_list(object.at(&["spec", "scopes"]));
        if scopes.iter().any(|s| !SCOPES.contains(&s.as_str())) {
            errors.push(FieldError::invalid(&spec.child("scopes"), strings(&scopes), "unsupported scope"));
        }
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if ctx.subresource == "status" {
            return Vec::new();
        }
        let mut errors = self.validate_create(ctx, object);
        if !same(object.at(&["spec", "scopes"]), old.at(&["spec", "scopes"])) {
            let shown = object.at(&["spec", "scopes"]).cloned().unwrap_or_default();
            errors.push(FieldError::invalid(&Path::new("spec").child("scopes"), shown, IMMUTABLE));
        }
        errors
    }
}
