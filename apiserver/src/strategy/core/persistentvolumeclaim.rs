//! PersistentVolumeClaim: its spec stays, but for the size of a bound one and its attributes class.

use apimachinery::{FieldError, Path, Quantity, Value, names};

use super::pod::label_selector;
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, IMMUTABLE, optional_one_of, problems, same};
use crate::strategy::{diff, internal_form};
use crate::value;
use crate::values::{string_list, text};

pub(super) const ACCESS_MODES: [&str; 4] =
    ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const POSITIVE: &str = "must be greater than zero";

#[derive(Debug)]
pub struct PersistentVolumeClaim;

impl Strategy for PersistentVolumeClaim {
    fn resource(&self) -> (&'static str, &'static str) {
        ("", "persistentvolumeclaims")
    }

    fn prepare_create(&self, _ctx: &StrategyContext<'_>, object: &mut Value) {
        object.set_at(&["status"], value!({ "phase": "Pending" }));
        join_sources(object);
    }

    fn prepare_update(&self, ctx: &StrategyContext<'_>, object: &mut Value, old: &Value) {
        if ctx.subresource.is_empty() {
            join_sources(object);
            // The field came after the first claims: what old objects lack may be filled in.
            if old.at(&["spec", "volumeMode"]).is_none() && object.at(&["spec", "volumeMode"]).is_none() {
                object.set_at(&["spec", "volumeMode"], "Filesystem");
            }
        }
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let empty = Value::object();
        validate_spec(&mut errors, object.get("spec").unwrap_or(&empty), &Path::new("spec"));
        errors
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if ctx.subresource == "status" {
            return Vec::new();
        }
        let mut errors = self.validate_create(ctx, object);
        changed(&mut errors, object, old);
        errors
    }
}

/// `dataSource` and `dataSourceRef` say the same when the reference is local.
fn join_sources(object: &mut Value) {
    let source = object.at(&["spec", "dataSource"]).filter(|s| !s.is_null()).cloned();
    let reference = object.at(&["spec", "dataSourceRef"]).filter(|s| !s.is_null()).cloned();
    match (source, reference) {
        (Some(source), None) => object.set_at(&["spec", "dataSourceRef"], source),
        (None, Some(reference)) if text(&reference, &["namespace"]).is_empty() => {
            object.set_at(&["spec", "dataSource"], reference);
        }
        _ => {}
    }
}

pub(in crate::strategy) fn validate_spec(errors: &mut Errors, spec: &Value, path: &Path) {
    let modes = string_list(spec.get("accessModes"));
    if modes.is_empty() {
        errors.push(FieldError::required(&path.child("accessModes"), "at least 1 access mode is required"));
    }
    label_selector(errors, spec.get("selector"), &path.child("selector"));
    access_modes(errors, &modes, &path.child("accessModes"));
    let field = path.child("resources").key("storage");
    match crate::strategy::check::quantity(spec.at(&["resources", "requests", "storage"])) {
        None => errors.push(FieldError::required(&field, "")),
        Some(size) if size.sign() <= 0 => {
            errors.push(FieldError::invalid(&field, size.to_string(), POSITIVE));
        }
        Some(_) => {}
    }
    if let Some(class) = spec.get("storageClassName").and_then(Value::as_str).filter(|c| !c.is_empty()) {
        problems(errors, &path.child("storageClassName"), class, names::dns1123_subdomain(class));
    }
    optional_one_of(errors, spec, path, "volumeMode", &["Block", "Filesystem"]);
    for key in ["dataSource", "dataSourceRef"] {
        if let Some(source) = spec.get(key) {
            data_source(errors, source, &path.child(key));
        }
    }
    if let (Some(source), Some(reference)) = (spec.get("dataSource"), spec.get("dataSourceRef"))
        && text(reference, &["namespace"]).is_empty()
        && ["apiGroup", "kind", "name"].iter().any(|k| text(source, &[k]) != text(reference, &[k]))
    {
        // Upstream shows the path, which prints as an empty object.
        errors.push(FieldError::invalid(path, Value::object(), "must match dataSourceRef"));
    }
}

fn data_source(errors: &mut Errors, source: &Value, path: &Path) {
    for key in ["name", "kind"] {
        if text(source, &[key]).is_empty() {
            errors.push(FieldError::required(&path.child(key), ""));
        }
    }
    let (group, kind) = (text(source, &["apiGroup"]), text(source, &["kind"]));
    if group.is_empty() && !kind.is_empty() && kind != "PersistentVolumeClaim" {
        let why = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        errors.push(FieldError::invalid(path, kind, why));
    }
    if !group.is_empty() {
        problems(errors, &path.child("apiGroup"), group, names::dns1123_subdomain(group));
    }
}

pub(super) fn access_modes(errors: &mut Errors, modes: &[String], path: &Path) {
    for mode in modes {
        if !ACCESS_MODES.contains(&mode.as_str()) {
            errors.push(FieldError::not_supported(path, mode.as_str(), &ACCESS_MODES));
        }
    }
    if modes.iter().any(|m| m == "ReadWriteOncePod") && modes.iter().any(|m| m != "ReadWriteOncePod") {
        let why = "may not use ReadWriteOncePod with other access modes";
        errors.push(FieldError::forbidden(path, why));
    }
}

fn changed(errors: &mut Errors, object: &Value, old: &Value) {
    let spec = Path::new("spec");
    let mut munged = object.clone();
    // A claim without a volume may be given one, and a class while it has none.
    if text(old, &["spec", "volumeName"]).is_empty() {
        put_back(&mut munged, old, &["spec", "volumeName"]);
    }
    if old.at(&["spec", "storageClassName"]).is_none_or(Value::is_null)
        && object.at(&["spec", "storageClassName"]).is_some()
        && text(old, &["metadata", "annotations", "volume.beta.kubernetes.io/storage-class"]).is_empty()
    {
        put_back(&mut munged, old, &["spec", "storageClassName"]);
    }
    if text(old, &["status", "phase"]) == "Bound" {
        put_back(&mut munged, old, &["spec", "resources", "requests"]);
    }
    put_back(&mut munged, old, &["spec", "volumeAttributesClassName"]);
    let size = |claim: &Value, at: &[&str]| crate::strategy::check::quantity(claim.at(at));
    if same(munged.get("spec"), old.get("spec")) {
        let asked = size(object, &["spec", "resources", "requests", "storage"]);
        let before = size(old, &["spec", "resources", "requests", "storage"]);
        let has = size(old, &["status", "capacity", "storage"]);
        let shrinks = asked.zip(before).is_some_and(|(asked, before)| asked < before);
        if shrinks
            && asked.is_some_and(|asked| {
                asked <= has.unwrap_or_else(Quantity::zero) || has.is_none_or(|h| asked < h)
            })
        {
            let field = spec.child("resources").child("requests").child("storage");
            errors.push(FieldError::forbidden(&field, "field can not be less than status.capacity"));
        }
    } else {
        let form = |claim: &Value| {
            internal_form::indented(&internal_form::of("PersistentVolumeClaimSpec", claim.get("spec")))
        };
        let difference = diff::unified(&form(old), &form(&munged));
        let why = format!(
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound \
             claims\n{difference}"
        );
        errors.push(FieldError::forbidden(&spec, &why));
    }
    if !same(object.at(&["spec", "volumeMode"]), old.at(&["spec", "volumeMode"])) {
        let shown = text(object, &["spec", "volumeMode"]);
        errors.push(FieldError::invalid(&Path::new("volumeMode"), shown, IMMUTABLE));
    }
}

fn put_back(munged: &mut Value, old: &Value, path: &[&str]) {
    match old.at(path) {
        Some(value) => munged.set_at(path, value.clone()),
        None => {
            munged.remove_at(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::testing::{check_invalid, check_invalid_update};
    use expect_test::expect;

    const CLAIM: &str = "spec: {accessModes: [ReadWriteOnce], volumeName: v, volumeMode: Block, resources: {requests: \
                         {storage: 2Gi}}}\nstatus: {phase: Bound, capacity: {storage: 2Gi}}";

    #[test]
    fn claims_say_what_they_want() {
        check_invalid(
            &PersistentVolumeClaim,
            "spec: {}",
            expect![[r#"
            spec.accessModes: Required value: at least 1 access mode is required
            spec.resources[storage]: Required value
        "#]],
        );
        check_invalid(
            &PersistentVolumeClaim,
            "spec: {accessModes: [Zap], resources: {requests: {storage: '-1'}}, dataSourceRef: {kind: Pod, name: b}}",
            expect![[r#"
                spec.accessModes: Unsupported value: "Zap": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"
                spec.resources[storage]: Invalid value: "-1": must be greater than zero
                spec.dataSourceRef: Invalid value: "Pod": must be 'PersistentVolumeClaim' when referencing the default apiGroup
            "#]],
        );
    }

    #[test]
    fn bound_claims_only_grow() {
        check_invalid_update(&PersistentVolumeClaim, CLAIM, &CLAIM.replacen("2Gi", "3Gi", 1), expect![[""]]);
        check_invalid_update(
            &PersistentVolumeClaim,
            CLAIM,
            &CLAIM.replacen("2Gi", "1Gi", 1),
            expect![[r#"
            spec.resources.requests.storage: Forbidden: field can not be less than status.capacity
        "#]],
        );
        check_invalid_update(
            &PersistentVolumeClaim,
            CLAIM,
            &CLAIM.replace("volumeName: v", "volumeName: w"),
            expect![[r#"
            spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims
            @@ -9,7 +9,7 @@
                "storage": "2Gi"
               }
              },
            - "VolumeName": "v",
            + "VolumeName": "w",
              "StorageClassName": null,
              "VolumeMode": "Block",
              "DataSource": null,

        "#]],
        );
    }
}
