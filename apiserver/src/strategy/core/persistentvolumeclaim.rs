//! PersistentVolumeClaim: its spec stays, but for the size of a bound one and its attributes class.

use apimachinery::{FieldError, Path, Quantity, Value, names};

use super::pod::label_selector;
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{
    Errors, IMMUTABLE, members, optional_name, optional_one_of, problems, quantity, same,
};
use crate::strategy::{diff, internal_form};
use crate::value;
use crate::values::{string_list, text};

pub(super) const ACCESS_MODES: [&str; 4] =
    ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
/// Where a claim said its class before there was a field.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
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
            return status(object);
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
    match quantity(spec.at(&["resources", "requests", "storage"])) {
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
    if let (Some(source), Some(reference)) = (spec.get("dataSource"), spec.get("dataSourceRef")) {
        let differs =
            ["apiGroup", "kind", "name"].iter().any(|k| text(source, &[k]) != text(reference, &[k]));
        // Upstream shows the path, which prints as an empty object.
        if !text(reference, &["namespace"]).is_empty() {
            let why = "may not be specified when dataSourceRef.namespace is specified";
            errors.push(FieldError::invalid(path, Value::object(), why));
        } else if differs {
            errors.push(FieldError::invalid(path, Value::object(), "must match dataSourceRef"));
        }
    }
    optional_name(errors, spec, path, "volumeAttributesClassName", names::dns1123_subdomain);
}

/// A claim that is made from a template: of its metadata, only labels and annotations count.
pub(in crate::strategy) fn validate_template(errors: &mut Errors, template: &Value, path: &Path) {
    // Upstream lowers the first letter of the Go name, whatever follows.
    const REFUSED: [(&str, &str); 12] = [
        ("name", "name"),
        ("generateName", "generateName"),
        ("namespace", "namespace"),
        ("selfLink", "selfLink"),
        ("uid", "uID"),
        ("resourceVersion", "resourceVersion"),
        ("generation", "generation"),
        ("creationTimestamp", "creationTimestamp"),
        ("deletionTimestamp", "deletionTimestamp"),
        ("ownerReferences", "ownerReferences"),
        ("finalizers", "finalizers"),
        ("managedFields", "managedFields"),
    ];
    let metadata = path.child("metadata");
    if let Some(annotations) = template.at(&["metadata", "annotations"]) {
        errors.extend(apimachinery::meta::validate_annotations(annotations, &metadata.child("annotations")));
    }
    if let Some(labels) = template.at(&["metadata", "labels"]) {
        errors.extend(apimachinery::meta::validate_labels(labels, &metadata.child("labels")));
    }
    for (key, shown) in REFUSED {
        if !same(template.at(&["metadata", key]), None) {
            errors.push(FieldError::forbidden(&metadata.child(shown), "cannot be set"));
        }
    }
    let empty = Value::object();
    validate_spec(errors, template.get("spec").unwrap_or(&empty), &path.child("spec"));
}

/// Steps of a resize.
const RESIZE_STATUSES: [&str; 5] = [
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

fn status(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("status");
    for (name, value) in members(object.at(&["status", "capacity"])) {
        basic_amount(&mut errors, value, &path.child("capacity").key(name));
    }
    let field = path.child("allocatedResourceStatus");
    for (name, step) in members(object.at(&["status", "allocatedResourceStatuses"])) {
        resource_key(&mut errors, name, &field);
        if !RESIZE_STATUSES.contains(&step.as_str().unwrap_or_default()) {
            errors.push(FieldError::not_supported(&field, name, &RESIZE_STATUSES));
        }
    }
    let field = path.child("allocatedResources");
    for (name, value) in members(object.at(&["status", "allocatedResources"])) {
        if resource_key(&mut errors, name, &field) {
            basic_amount(&mut errors, value, &field.key(name));
        }
    }
    errors
}

/// What a claim has of Kubernetes' own resources is storage; says whether the name is good.
fn resource_key(errors: &mut Errors, name: &str, path: &Path) -> bool {
    let found = names::qualified_name(name);
    let native = !name.contains('/') || name.contains("kubernetes.io/");
    if !found.is_empty() {
        problems(errors, path, name, found);
        return false;
    }
    if native && name != "storage" {
        errors.push(FieldError::not_supported(path, name, &["storage"]));
        return false;
    }
    true
}

/// An amount that is not below nothing, in upstream's oldest words.
pub(super) fn basic_amount(errors: &mut Errors, value: &Value, path: &Path) {
    if let Some(amount) = quantity(Some(value)).filter(|amount| amount.sign() < 0) {
        errors.push(FieldError::invalid(path, amount.value(), "must be a valid resource quantity"));
    }
}

fn data_source(errors: &mut Errors, source: &Value, path: &Path) {
    for key in ["name", "kind"] {
        if text(source, &[key]).is_empty() {
            errors.push(FieldError::required(&path.child(key), ""));
        }
    }
    let (group, kind) = (text(source, &["apiGroup"]), text(source, &["kind"]));
    if group.is_empty() && kind != "PersistentVolumeClaim" {
        let why = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        errors.push(FieldError::invalid(path, kind, why));
    }
    if !group.is_empty() {
        problems(errors, &path.child("apiGroup"), group, names::dns1123_subdomain(group));
    }
    optional_name(errors, source, path, "namespace", names::dns1123_label);
}

pub(super) fn access_modes(errors: &mut Errors, modes: &[String], path: &Path) {
    for mode in modes {
        if !ACCESS_MODES.contains(&mode.as_str()) {
            errors.push(FieldError::not_supported(path, mode.as_str(), &ACCESS_MODES));
        }
    }
    let other = |m: &String| m != "ReadWriteOncePod" && ACCESS_MODES.contains(&m.as_str());
    if modes.iter().any(|m| m == "ReadWriteOncePod") && modes.iter().any(other) {
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
    let annotation = |claim: &Value| crate::values::annotation(claim, CLASS_ANNOTATION).map(str::to_owned);
    let class = |claim: &Value| claim.str_at(&["spec", "storageClassName"]).map(str::to_owned);
    let (said, says) = (annotation(old), annotation(object));
    let from_annotation =
        said.is_some() && class(old).is_none() && class(object) == said && (says.is_none() || says == said);
    if !from_annotation {
        if says.clone().unwrap_or_default() != said.clone().unwrap_or_default() {
            let path = Path::new("metadata").child("annotations").child(CLASS_ANNOTATION);
            errors.push(FieldError::invalid(&path, says.unwrap_or_default(), IMMUTABLE));
        }
        let from_nothing = class(old).is_none() && class(object).is_some_and(|c| said.is_none_or(|s| s == c));
        if from_nothing {
            put_back(&mut munged, old, &["spec", "storageClassName"]);
        }
    } else {
        put_back(&mut munged, old, &["spec", "storageClassName"]);
    }
    if text(object, &["status", "phase"]) == "Bound" {
        if object.at(&["spec", "resources", "requests"]).is_some() {
            put_back(&mut munged, old, &["spec", "resources", "requests", "storage"]);
        }
        if object.at(&["spec", "volumeAttributesClassName"]).is_some() {
            put_back(&mut munged, old, &["spec", "volumeAttributesClassName"]);
        }
    }
    if !same(munged.get("spec"), old.get("spec")) {
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
    let size = |claim: &Value, at: &[&str]| quantity(claim.at(at)).unwrap_or_else(Quantity::zero);
    let asked = size(object, &["spec", "resources", "requests", "storage"]);
    let before = size(old, &["spec", "resources", "requests", "storage"]);
    // What could not be had may be given up, but not what is there.
    if asked < before && asked <= size(old, &["status", "capacity", "storage"]) {
        let field = spec.child("resources").child("requests").child("storage");
        errors.push(FieldError::forbidden(&field, "field can not be less than status.capacity"));
    }
    if !same(object.at(&["spec", "volumeMode"]), old.at(&["spec", "volumeMode"])) {
        let shown = text(object, &["spec", "volumeMode"]);
        errors.push(FieldError::invalid(&Path::new("volumeMode"), shown, IMMUTABLE));
    }
    attributes_class(errors, object, old, &spec);
}

/// A class of attributes may be another one, but not none any more.
pub(super) fn attributes_class(errors: &mut Errors, object: &Value, old: &Value, spec: &Path) {
    let class = |claim: &Value| claim.str_at(&["spec", "volumeAttributesClassName"]).map(str::to_owned);
    let to = match (class(old), class(object)) {
        (Some(_), None) => "nil",
        (Some(before), Some(now)) if now.is_empty() && before != now => "an empty string",
        _ => return,
    };
    let why = format!("update from non-nil value to {to} is forbidden");
    errors.push(FieldError::forbidden(&spec.child("volumeAttributesClassName"), &why));
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
