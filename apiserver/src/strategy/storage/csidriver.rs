//! CSIDriver: what a driver needs and can. Its name is a driver's name; most of it never changes.

use apimachinery::{FieldError, Path, Value, meta};

use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, immutable, one_of};
use crate::strategy::core::pod::source::csi_driver_name;
use crate::values::text;

#[derive(Debug)]
pub struct CsiDriver;

const TOKEN_SECS_MIN: i64 = 10 * 60;
const TOKEN_SECS_MAX: i64 = 1 << 32;
const UPDATE_SECS_MIN: i64 = 10;
const FS_GROUP_POLICIES: [&str; 3] = ["File", "None", "ReadWriteOnceWithFSType"];
const MODES: [&str; 2] = ["Persistent", "Ephemeral"];

impl Strategy for CsiDriver {
    fn resource(&self) -> (&'static str, &'static str) {
        ("storage.k8s.io", "csidrivers")
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        csi_driver_name(&mut errors, meta::name(object), &Path::new("metadata").child("name"));
        validate_spec(&mut errors, object.get("spec").unwrap_or(&Value::NULL), &Path::new("spec"));
        errors
    }

    fn validate_update(&self, _ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = Path::new("spec");
        validate_spec(&mut errors, object.get("spec").unwrap_or(&Value::NULL), &path);
        for (key, shown) in
            [("attachRequired", "attachedRequired"), ("volumeLifecycleModes", "volumeLifecycleModes")]
        {
            immutable(&mut errors, object, old, &["spec", key], &path.child(shown));
        }
        errors
    }

    /// Tokens in a volume's attributes end up in logs.
    fn warnings(&self, _ctx: &StrategyContext<'_>, object: &Value, _old: Option<&Value>) -> Vec<String> {
        let tokens = !object.array_at(&["spec", "tokenRequests"]).is_empty();
        if tokens && object.at(&["spec", "serviceAccountTokenInSecrets"]).is_none() {
            let text = "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to \
                        prevent possible logging of tokens in volume attributes";
            return vec![text.into()];
        }
        Vec::new()
    }
}

fn validate_spec(errors: &mut Errors, spec: &Value, path: &Path) {
    for key in ["attachRequired", "podInfoOnMount", "storageCapacity"] {
        if spec.get(key).is_none() {
            errors.push(FieldError::required(&path.child(key), ""));
        }
    }
    if spec.get("fsGroupPolicy").is_some() {
        one_of(errors, spec, path, "fsGroupPolicy", &FS_GROUP_POLICIES);
    }
    let requests = spec.array_at(&["tokenRequests"]);
    for (at, request) in requests.iter().enumerate() {
        let path = path.child("tokenRequests").index(at);
        let audience = text(request, &["audience"]);
        if requests[..at].iter().any(|r| text(r, &["audience"]) == audience) {
            errors.push(FieldError::duplicate(&path.child("audience"), audience));
        }
        let Some(seconds) = request.i64_at(&["expirationSeconds"]) else { continue };
        let path = path.child("expirationSeconds");
        if seconds < TOKEN_SECS_MIN {
            errors.push(FieldError::invalid(
                &path,
                seconds,
                "may not specify a duration less than 10 minutes",
            ));
        }
        if seconds > TOKEN_SECS_MAX {
            errors.push(FieldError::invalid(
                &path,
                seconds,
                "may not specify a duration larger than 2^32 seconds",
            ));
        }
    }
    for mode in spec.array_at(&["volumeLifecycleModes"]) {
        if !MODES.contains(&mode.as_str().unwrap_or_default()) {
            errors.push(FieldError::not_supported(&path.child("volumeLifecycleModes"), mode.clone(), &MODES));
        }
    }
    if spec.get("seLinuxMount").is_none() {
        errors.push(FieldError::required(&path.child("seLinuxMount"), ""));
    }
    if let Some(seconds) = spec.i64_at(&["nodeAllocatableUpdatePeriodSeconds"])
        && seconds < UPDATE_SECS_MIN
    {
        let why = format!("must be greater than or equal to {UPDATE_SECS_MIN} seconds");
        errors.push(FieldError::invalid(&path.child("nodeAllocatableUpdatePeriodSeconds"), seconds, &why));
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
            &CsiDriver,
            "{metadata: {name: d.e}, spec: {attachRequired: true, podInfoOnMount: false, storageCapacity: false, \
             seLinuxMount: false, fsGroupPolicy: Zap, tokenRequests: [{audience: a, expirationSeconds: 1}, {audience: a}], \
             volumeLifecycleModes: [Zap]}}",
            expect![[r#"
                spec.fsGroupPolicy: Unsupported value: "Zap": supported values: "File", "None", "ReadWriteOnceWithFSType"
                spec.tokenRequests[0].expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes
                spec.tokenRequests[1].audience: Duplicate value: "a"
                spec.volumeLifecycleModes: Unsupported value: "Zap": supported values: "Persistent", "Ephemeral"
            "#]],
        );
    }
}
