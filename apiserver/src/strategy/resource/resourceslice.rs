//! ResourceSlice: the devices of a pool, and from which nodes they can be reached.

use apimachinery::{FieldError, Path, Value, names};

use super::claim;
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, immutable, members, problems};
use crate::values::text;

const DEVICES_MAX: usize = 128;
const PROPERTIES_MAX: usize = 32;
const PROPERTY_NAME_MAX: usize = 32;

#[derive(Debug)]
pub struct ResourceSlice;

impl Strategy for ResourceSlice {
    fn resource(&self) -> (&'static str, &'static str) {
        ("resource.k8s.io", "resourceslices")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = Path::new("spec");
        let spec = object.get("spec").unwrap_or(&Value::NULL);
        claim::driver_name(&mut errors, spec, &path);
        pool(&mut errors, spec.get("pool").unwrap_or(&Value::NULL), &path.child("pool"));
        reach(&mut errors, spec, &path);
        claim::each(
            &mut errors,
            spec.array_at(&["devices"]),
            DEVICES_MAX,
            "name",
            &path.child("devices"),
            device,
        );
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = self.validate_create(ctx, object);
        let path = Path::new("spec");
        immutable(&mut errors, object, old, &["spec", "nodeName"], &path.child("nodeName"));
        immutable(&mut errors, object, old, &["spec", "driver"], &path.child("driver"));
        let name = path.child("pool").child("name");
        immutable(&mut errors, object, old, &["spec", "pool", "name"], &name);
        errors
    }
}

fn pool(errors: &mut Errors, pool: &Value, path: &Path) {
    claim::pool_name(errors, pool, path);
    let count = pool.i64_at(&["resourceSliceCount"]).unwrap_or(0);
    if count <= 0 {
        let path = path.child("resourceSliceCount");
        errors.push(FieldError::invalid(&path, count, "must be greater than zero"));
    }
    let generation = pool.i64_at(&["generation"]).unwrap_or(0);
    if generation < 0 {
        let path = path.child("generation");
        errors.push(FieldError::invalid(&path, generation, "must be greater than or equal to zero"));
    }
}

/// One of four ways in which nodes are named.
fn reach(errors: &mut Errors, spec: &Value, path: &Path) {
    const WAYS: [&str; 4] = ["nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection"];
    const ONE: &str =
        "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    let mut set = Vec::new();
    for way in WAYS {
        let Some(value) = spec.get(way).filter(|v| !v.is_null()) else { continue };
        set.push(format!("`{way}`"));
        let field = path.child(way);
        match (value.as_str(), value.as_bool()) {
            (Some(""), _) => {
                errors.push(FieldError::required(&field, "must be either unset or set to a non-empty string"))
            }
            (Some(name), _) => problems(errors, &field, name, names::dns1123_subdomain(name)),
            (_, Some(false)) => {
                let why = "must be either unset or set to true";
                errors.push(FieldError::invalid(&field, false, why));
            }
            _ => {}
        }
    }
    match set.len() {
        0 => errors.push(FieldError::required(path, ONE)),
        1 => {}
        _ => {
            let shown = format!("{{{}}}", set.join(", "));
            let why = format!("{ONE}, but multiple fields are set");
            errors.push(FieldError::invalid(path, shown, &why));
        }
    }
}

fn device(errors: &mut Errors, device: &Value, path: &Path) {
    let name = text(device, &["name"]);
    problems(errors, &path.child("name"), name, names::dns1123_label(name));
    let (attributes, capacity) = (members(device.get("attributes")), members(device.get("capacity")));
    if attributes.len() + capacity.len() > PROPERTIES_MAX {
        let count = attributes.len() + capacity.len();
        let why = format!("the total number of attributes and capacities must not exceed {PROPERTIES_MAX}");
        errors.push(FieldError::invalid(path, count.to_string(), &why));
    }
    for (key, attribute) in attributes {
        let path = path.child("attributes").key(key);
        property_name(errors, key, &path);
        let kinds = ["bool", "int", "string", "version"];
        match kinds.iter().filter(|k| attribute.get(k).is_some_and(|v| !v.is_null())).count() {
            1 => {}
            0 => errors.push(FieldError::required(&path, "exactly one value must be specified")),
            _ => errors.push(FieldError::invalid(
                &path,
                attribute.clone(),
                "exactly one value must be specified",
            )),
        }
    }
    for (key, _) in capacity {
        property_name(errors, key, &path.child("capacity").key(key));
    }
}

/// An identifier, perhaps with a domain before it.
fn property_name(errors: &mut Errors, name: &str, path: &Path) {
    if name.is_empty() {
        errors.push(FieldError::required(path, "name required"));
        return;
    }
    let id = match name.split_once('/') {
        Some((domain, id)) => {
            problems(errors, path, domain, names::dns1123_subdomain(domain));
            id
        }
        None => name,
    };
    if id.len() > PROPERTY_NAME_MAX {
        errors.push(FieldError::too_long(path, PROPERTY_NAME_MAX));
    }
    let first = id.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if !first || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        let why = "a valid C identifier must start with alphabetic character or '_', followed by a string of \
                   alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for \
                   validation is '[A-Za-z_][A-Za-z0-9_]*')";
        errors.push(FieldError::invalid(path, id, why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::testing::{check_invalid, check_invalid_update};
    use expect_test::expect;

    #[test]
    fn slices() {
        check_invalid(
            &ResourceSlice,
            "spec: {driver: d, pool: {name: a//b, generation: -1, resourceSliceCount: 1}, nodeName: m1, allNodes: false, \
             devices: [{name: a, attributes: {x: {}, 1y: {int: 1}}}, {name: a}]}",
            expect![[r#"
                spec.pool.name: Invalid value: "": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
                spec.pool.generation: Invalid value: -1: must be greater than or equal to zero
                spec.allNodes: Invalid value: false: must be either unset or set to true
                spec: Invalid value: "{`nodeName`, `allNodes`}": exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required, but multiple fields are set
                spec.devices[0].attributes[1y]: Invalid value: "1y": a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*')
                spec.devices[0].attributes[x]: Required value: exactly one value must be specified
                spec.devices[1].name: Duplicate value: "a"
            "#]],
        );
        check_invalid_update(
            &ResourceSlice,
            "spec: {driver: d, pool: {name: a, resourceSliceCount: 1}, allNodes: true}",
            "spec: {driver: e, pool: {name: b, resourceSliceCount: 1}, allNodes: true}",
            expect![[r#"
                spec.driver: Invalid value: "e": field is immutable
                spec.pool.name: Invalid value: "b": field is immutable
            "#]],
        );
    }
}
