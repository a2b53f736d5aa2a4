//! Rows of volumes, claims and storage classes.

use apimachinery::Value;

use super::{Row, age, cells, deleted, flag, joined, name, size, text, text_or};

/// Where classes stood before they had fields.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
const DEFAULT_ANNOTATIONS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

/// The modes in short, in a fixed order.
fn access_modes(modes: &[Value]) -> String {
    let short = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let given = |mode: &str| modes.iter().any(|m| m.as_str() == Some(mode));
    short.iter().filter(|(mode, _)| given(mode)).map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

fn class_of<'a>(object: &'a Value, key: &str) -> &'a str {
    match object.str_at(&["metadata", "annotations", CLASS_ANNOTATION]) {
        Some(class) => class,
        None => text(object, &["spec", key]),
    }
}

fn phase(object: &Value) -> &str {
    if deleted(object) { "Terminating" } else { text(object, &["status", "phase"]) }
}

pub(super) fn claim(object: &Value, now: i64) -> Row {
    let bound = !text(object, &["spec", "volumeName"]).is_empty();
    let (capacity, modes) = if bound {
        (
            text(object, &["status", "capacity", "storage"]),
            access_modes(object.array_at(&["status", "accessModes"])),
        )
    } else {
        ("", String::new())
    };
    cells([
        name(object),
        phase(object).into(),
        text(object, &["spec", "volumeName"]).into(),
        capacity.into(),
        modes.into(),
        class_of(object, "storageClassName").into(),
        text_or(object, &["spec", "volumeAttributesClassName"], "<unset>").into(),
        age(object, now),
        text_or(object, &["spec", "volumeMode"], "<unset>").into(),
    ])
}

pub(super) fn volume(object: &Value, now: i64) -> Row {
    let claim = match object.at(&["spec", "claimRef"]).filter(|c| c.is_object()) {
        Some(claim) => format!("{}/{}", text(claim, &["namespace"]), text(claim, &["name"])),
        None => String::new(),
    };
    cells([
        name(object),
        text(object, &["spec", "capacity", "storage"]).into(),
        access_modes(object.array_at(&["spec", "accessModes"])).into(),
        text(object, &["spec", "persistentVolumeReclaimPolicy"]).into(),
        phase(object).into(),
        claim.into(),
        class_of(object, "storageClassName").into(),
        text_or(object, &["spec", "volumeAttributesClassName"], "<unset>").into(),
        text(object, &["status", "reason"]).into(),
        age(object, now),
        text_or(object, &["spec", "volumeMode"], "<unset>").into(),
    ])
}

pub(super) fn class(object: &Value, now: i64) -> Row {
    let is_default =
        DEFAULT_ANNOTATIONS.iter().any(|key| text(object, &["metadata", "annotations", key]) == "true");
    let name = text(object, &["metadata", "name"]);
    let name = if is_default { format!("{name} (default)") } else { name.to_owned() };
    cells([
        name.into(),
        text(object, &["provisioner"]).into(),
        text_or(object, &["reclaimPolicy"], "Delete").into(),
        text_or(object, &["volumeBindingMode"], "Immediate").into(),
        flag(object, &["allowVolumeExpansion"]).into(),
        age(object, now),
    ])
}

pub(super) fn csi_driver(object: &Value, now: i64) -> Row {
    let attach = object.bool_at(&["spec", "attachRequired"]).unwrap_or(true);
    let audiences = object.array_at(&["spec", "tokenRequests"]);
    let tokens = match audiences {
        [] => "<unset>".into(),
        _ => joined(audiences, ",", |request| Some(text(request, &["audience"]))),
    };
    cells([
        name(object),
        attach.into(),
        flag(object, &["spec", "podInfoOnMount"]).into(),
        flag(object, &["spec", "storageCapacity"]).into(),
        tokens.into(),
        flag(object, &["spec", "requiresRepublish"]).into(),
        joined(object.array_at(&["spec", "volumeLifecycleModes"]), ",", Value::as_str).into(),
        age(object, now),
    ])
}

pub(super) fn csi_node(object: &Value, now: i64) -> Row {
    cells([name(object), size(object, &["spec", "drivers"]).into(), age(object, now)])
}

pub(super) fn attachment(object: &Value, now: i64) -> Row {
    cells([
        name(object),
        text(object, &["spec", "attacher"]).into(),
        text(object, &["spec", "source", "persistentVolumeName"]).into(),
        text(object, &["spec", "nodeName"]).into(),
        flag(object, &["status", "attached"]).into(),
        age(object, now),
    ])
}

pub(super) fn attributes_class(object: &Value, now: i64) -> Row {
    cells([name(object), text(object, &["driverName"]).into(), age(object, now)])
}
