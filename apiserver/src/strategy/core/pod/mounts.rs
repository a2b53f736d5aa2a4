//! The mounts and block devices of a container, and how they share names and paths.

use apimachinery::{FieldError, Path, Value};

use super::volume::is_claim;
use crate::strategy::check::{Errors, has_backstep, local_path, one_of, optional_one_of, required};
use crate::values::text;

/// `volumes` are those of the pod that are as they should be: what names another one is not found.
pub(super) fn validate(errors: &mut Errors, container: &Value, path: &Path, volumes: &[&Value]) {
    let mounts = container.array_at(&["volumeMounts"]);
    let devices = container.array_at(&["volumeDevices"]);
    let volume = |name: &str| volumes.iter().find(|v| text(v, &["name"]) == name);
    let list = path.child("volumeMounts");
    let mut targets: Vec<&str> = Vec::new();
    for (at, mount) in mounts.iter().enumerate() {
        let own = list.index(at);
        let name = required(errors, mount, &own, "name");
        if volume(name).is_none() {
            errors.push(FieldError::not_found(&own.child("name"), name));
        }
        let target = required(errors, mount, &own, "mountPath");
        if targets.contains(&target) {
            errors.push(FieldError::invalid(&own.child("mountPath"), target, "must be unique"));
        }
        targets.push(target);
        if devices.iter().any(|d| text(d, &["name"]) == name) {
            let why = "must not already exist in volumeDevices";
            errors.push(FieldError::invalid(&own.child("name"), name, why));
        }
        if devices.iter().any(|d| text(d, &["devicePath"]) == target) {
            let why = "must not already exist as a path in volumeDevices";
            errors.push(FieldError::invalid(&own.child("mountPath"), target, why));
        }
        options(errors, mount, &list, at, container);
    }
    let list = path.child("volumeDevices");
    let (mut names, mut targets): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for (at, device) in devices.iter().enumerate() {
        let own = list.index(at);
        let name = required(errors, device, &own, "name");
        if names.contains(&name) {
            errors.push(FieldError::invalid(&own.child("name"), name, "must be unique"));
        }
        match volume(name) {
            None => errors.push(FieldError::not_found(&own.child("name"), name)),
            Some(volume) if !is_claim(volume) => {
                let why =
                    "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.push(FieldError::invalid(&own.child("name"), name, why));
            }
            Some(_) => {}
        }
        let target = required(errors, device, &own, "devicePath");
        if targets.contains(&target) {
            errors.push(FieldError::invalid(&own.child("devicePath"), target, "must be unique"));
        }
        if has_backstep(target) {
            let why = "can not contain backsteps ('..')";
            errors.push(FieldError::invalid(&own.child("devicePath"), target, why));
        } else {
            targets.push(target);
        }
        if mounts.iter().any(|m| text(m, &["name"]) == name) {
            let why = "must not already exist in volumeMounts";
            errors.push(FieldError::invalid(&own.child("name"), name, why));
        }
        if mounts.iter().any(|m| text(m, &["mountPath"]) == target) {
            let why = "must not already exist as a path in volumeMounts";
            errors.push(FieldError::invalid(&own.child("devicePath"), target, why));
        }
        if !name.is_empty() {
            names.push(name);
        }
    }
}

/// `list` is the path of the list: upstream names most of these problems without an index.
fn options(errors: &mut Errors, mount: &Value, list: &Path, at: usize, container: &Value) {
    let (sub_path, expression) = (text(mount, &["subPath"]), text(mount, &["subPathExpr"]));
    local_path(errors, &list.child("subPath"), sub_path);
    if !sub_path.is_empty() && !expression.is_empty() {
        let why = "subPathExpr and subPath are mutually exclusive";
        errors.push(FieldError::invalid(&list.index(at).child("subPathExpr"), expression, why));
    }
    local_path(errors, &list.child("subPathExpr"), expression);
    let propagation = text(mount, &["mountPropagation"]);
    let supported = ["Bidirectional", "HostToContainer", "None"];
    optional_one_of(errors, mount, list, "mountPropagation", &supported);
    if propagation == "Bidirectional" && container.bool_at(&["securityContext", "privileged"]) != Some(true) {
        let why = "Bidirectional mount propagation is available only to privileged containers";
        errors.push(FieldError::forbidden(&list.child("mountPropagation"), why));
    }
    match text(mount, &["recursiveReadOnly"]) {
        "" | "Disabled" => {}
        "Enabled" | "IfPossible" => {
            let path = list.child("recursiveReadOnly");
            if mount.bool_at(&["readOnly"]) != Some(true) {
                errors.push(FieldError::forbidden(&path, "may only be specified when readOnly is true"));
            }
            if !matches!(propagation, "" | "None") {
                let why = "may only be specified when mountPropagation is None or not specified";
                errors.push(FieldError::forbidden(&path, why));
            }
        }
        _ => one_of(errors, mount, list, "recursiveReadOnly", &["Disabled", "Enabled", "IfPossible"]),
    }
}
