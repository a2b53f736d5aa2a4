//! CSINode: the drivers of a node, each with the node's name for it. A driver's entry never changes while it is there,
//! but for how many volumes it may have.

use apimachinery::{FieldError, Path, Value};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, not_negative, required, same};
use crate::strategy::core::pod::{label_name, source::csi_driver_name};
use crate::strategy::internal_form;
use crate::values::text;

#[derive(Debug)]
pub struct CsiNode;

/// What the CSI specification allows.
const NODE_ID_MAX: usize = 192;

impl Strategy for CsiNode {
    fn resource(&self) -> (&'static str, &'static str) {
        ("storage.k8s.io", "csinodes")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let drivers = object.array_at(&["spec", "drivers"]);
        for (at, driver) in drivers.iter().enumerate() {
            let path = Path::new("spec").child("drivers").index(at);
            validate_driver(&mut errors, driver, &path);
            let name = text(driver, &["name"]);
            if drivers[..at].iter().any(|d| text(d, &["name"]) == name) {
                errors.push(FieldError::duplicate(&path.child("name"), name));
            }
        }
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = self.validate_create(ctx, object);
        let before = old.array_at(&["spec", "drivers"]);
        for driver in object.array_at(&["spec", "drivers"]) {
            let Some(was) = before.iter().find(|d| d.get("name") == driver.get("name")) else { continue };
            let kept = ["nodeID", "topologyKeys"].iter().all(|key| same(driver.get(key), was.get(key)));
            let count = ["allocatable", "count"];
            let resizable = ctx.features.enabled("MutableCSINodeAllocatableCount");
            if !kept || (!resizable && driver.at(&count) != was.at(&count)) {
                let shown = internal_form::of_type("io.k8s.api.storage.v1.CSINodeDriver", Some(driver));
                let path = Path::new("CSINode").child("spec").child("drivers");
                errors.push(FieldError::invalid(&path, shown, "field is immutable"));
            }
        }
        errors
    }
}

fn validate_driver(errors: &mut Errors, driver: &Value, path: &Path) {
    csi_driver_name(errors, text(driver, &["name"]), &path.child("name"));
    let id = required(errors, driver, path, "nodeID");
    if id.len() > NODE_ID_MAX {
        let why = format!("must be {NODE_ID_MAX} characters or less");
        errors.push(FieldError::invalid(&path.child("nodeID"), id, &why));
    }
    if let Some(allocatable) = driver.get("allocatable") {
        not_negative(errors, allocatable, &path.child("allocatable"), "count");
    }
    let keys = driver.array_at(&["topologyKeys"]);
    for (at, key) in keys.iter().enumerate() {
        let text = key.as_str().unwrap_or_default();
        if text.is_empty() {
            errors.push(FieldError::required(path, ""));
        }
        if keys[..at].contains(key) {
            errors.push(FieldError::duplicate(path, text));
        }
        label_name(errors, text, path);
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::strategy::testing::check_invalid;

    #[test]
    fn drivers() {
        check_invalid(
            &CsiNode,
            "spec: {drivers: [{name: a.b, nodeID: x}, {name: a.b, nodeID: z, allocatable: {count: -1}}]}",
            expect![[r#"
                spec.drivers[1].allocatable.count: Invalid value: -1: must be greater than or equal to 0
                spec.drivers[1].name: Duplicate value: "a.b"
            "#]],
        );
    }
}
