//! APIService: a group version, and the service that answers for it.

use apimachinery::{FieldError, Path, Value, meta, names};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, problems};
use crate::value;
use crate::values::text;

#[derive(Debug)]
pub struct ApiService;

const GROUP_PRIORITY_END: i64 = 20_000;
const VERSION_PRIORITY_END: i64 = 1000;

impl Strategy for ApiService {
    fn resource(&self) -> (&'static str, &'static str) {
        ("apiregistration.k8s.io", "apiservices")
    }

    /// What is served here is available at once; of a service the aggregator will say.
    fn prepare_create(&self, ctx: &StrategyContext<'_>, object: &mut Value) {
        if object.at(&["spec", "service"]).is_none_or(Value::is_null) {
            let condition = value!({
                "type": "Available",
                "status": "True",
                "lastTransitionTime": (apimachinery::time::format_time(ctx.now)),
                "reason": "Local",
                "message": "Local APIServices are always available",
            });
            object.set_at(&["status", "conditions"], vec![condition]);
        }
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = Path::new("spec");
        let spec = object.get("spec").unwrap_or(&Value::NULL);
        let (group, version) = (text(spec, &["group"]), text(spec, &["version"]));
        let wanted = format!("{version}.{group}");
        let name = meta::name(object);
        if name != wanted {
            let why = format!("must be `spec.version+\".\"+spec.group`: \"{wanted}\"");
            errors.push(FieldError::invalid(&Path::new("metadata").child("name"), name, &why));
        }
        let at = path.child("group");
        if group.is_empty() && version != "v1" {
            let why = "only v1 may have an empty group and it better be legacy kube";
            errors.push(FieldError::required(&at, why));
        } else if !group.is_empty() {
            problems(&mut errors, &at, group, names::dns1123_subdomain(group));
        }
        problems(&mut errors, &path.child("version"), version, names::dns1035_label(version));
        priority(&mut errors, spec, &path, "groupPriorityMinimum", GROUP_PRIORITY_END);
        priority(&mut errors, spec, &path, "versionPriority", VERSION_PRIORITY_END);
        validate_service(&mut errors, spec, &path);
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        if ctx.subresource == "status" { Vec::new() } else { self.validate_create(ctx, object) }
    }
}

fn priority(errors: &mut Errors, spec: &Value, path: &Path, key: &str, end: i64) {
    let found = spec.i64_at(&[key]).unwrap_or(0);
    if found <= 0 || found > end {
        let why = format!("must be positive and less than {end}");
        errors.push(FieldError::invalid(&path.child(key), found, &why));
    }
}

/// A service says where it is; what is served here needs neither trust nor the lack of it.
fn validate_service(errors: &mut Errors, spec: &Value, path: &Path) {
    let bundle = !text(spec, &["caBundle"]).is_empty();
    let insecure = spec.bool_at(&["insecureSkipTLSVerify"]) == Some(true);
    let (at_bundle, at_insecure) = (path.child("caBundle"), path.child("insecureSkipTLSVerify"));
    let Some(service) = spec.get("service") else {
        if bundle {
            errors.push(FieldError::invalid(
                &at_bundle,
                "0 bytes",
                "local APIServices may not have a caBundle",
            ));
        }
        if insecure {
            let why = "local APIServices may not have insecureSkipTLSVerify";
            errors.push(FieldError::invalid(&at_insecure, true, why));
        }
        return;
    };
    for key in ["namespace", "name"] {
        if text(service, &[key]).is_empty() {
            errors.push(FieldError::required(&path.child("service").child(key), ""));
        }
    }
    if let Some(port) = service.i64_at(&["port"])
        && !names::port_number(port).is_empty()
    {
        let why = format!("port is not valid: {}", names::inclusive_range(1, 65535));
        errors.push(FieldError::invalid(&path.child("service").child("port"), port, &why));
    }
    if insecure && bundle {
        errors.push(FieldError::invalid(&at_insecure, true, "may not be true if caBundle is present"));
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::strategy::testing::check_invalid;

    #[test]
    fn names_say_group_and_version() {
        check_invalid(
            &ApiService,
            "{metadata: {name: x}, spec: {group: a.b, version: v1, groupPriorityMinimum: 20001, versionPriority: 1, \
             insecureSkipTLSVerify: true}}",
            expect![[r#"
                metadata.name: Invalid value: "x": must be `spec.version+"."+spec.group`: "v1.a.b"
                spec.groupPriorityMinimum: Invalid value: 20001: must be positive and less than 20000
                spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify
            "#]],
        );
    }
}
