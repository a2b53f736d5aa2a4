//! The volumes of pods: one source each, checked by its kind.

use apimachinery::{FieldError, Path, Value, names};

use super::source::{self, ISCSI_NAME_TOO_LONG, Owner, csi_driver_name, iscsi_name_too_long};
use super::{env, projected};
use crate::strategy::check::{Errors, file_mode, local_visible_path, one_of, problems, quantity, required};
use crate::strategy::core::persistentvolumeclaim;
use crate::values::text;

/// Sources in the order in which upstream looks at them.
const SOURCES: [&str; 30] = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

/// Sources that upstream's paths name otherwise: (name, where a problem of it is, where it is one too many).
const OTHER_PATHS: [(&str, &str, &str); 3] = [
    ("gcePersistentDisk", "persistentDisk", "gcePersistentDisk"),
    ("cephfs", "cephfs", "cephFS"),
    ("downwardAPI", "downwardAPI", "downwarAPI"),
];

/// What upstream calls "matched PVC" sources: those that can be block devices.
pub(super) fn is_claim(volume: &Value) -> bool {
    volume.get("persistentVolumeClaim").is_some() || volume.get("ephemeral").is_some()
}

/// Returns the volumes that have no problem: only those can be mounted.
pub(super) fn validate_all<'a>(
    errors: &mut Errors,
    volumes: &'a [Value],
    path: &Path,
    pod_name: &str,
) -> Vec<&'a Value> {
    let created: Vec<String> = if pod_name.is_empty() {
        Vec::new()
    } else {
        let ephemeral = volumes.iter().filter(|v| v.get("ephemeral").is_some());
        ephemeral.map(|v| format!("{pod_name}-{}", text(v, &["name"]))).collect()
    };
    let mut good: Vec<&Value> = Vec::new();
    for (at, volume) in volumes.iter().enumerate() {
        let path = path.index(at);
        let name = text(volume, &["name"]);
        let before = errors.len();
        validate_source(errors, volume, &path, pod_name);
        if name.is_empty() {
            errors.push(FieldError::required(&path.child("name"), ""));
        } else {
            problems(errors, &path.child("name"), name, names::dns1123_label(name));
        }
        if good.iter().any(|v| text(v, &["name"]) == name) {
            errors.push(FieldError::duplicate(&path.child("name"), name));
        }
        if errors.len() == before {
            good.push(volume);
        }
        let claim = text(volume, &["persistentVolumeClaim", "claimName"]);
        if created.iter().any(|name| name == claim) {
            let path = path.child("persistentVolumeClaim").child("claimName");
            let why = "must not reference a PVC that gets created for an ephemeral volume";
            errors.push(FieldError::invalid(&path, claim, why));
        }
    }
    good
}

fn validate_source(errors: &mut Errors, volume: &Value, path: &Path, pod_name: &str) {
    let mut seen = 0;
    for key in SOURCES {
        let Some(source) = volume.get(key) else { continue };
        let (_, shown, too_many) =
            OTHER_PATHS.iter().find(|(name, ..)| *name == key).copied().unwrap_or((key, key, key));
        seen += 1;
        if seen > 1 {
            let why = "may not specify more than 1 volume type";
            errors.push(FieldError::forbidden(&path.child(too_many), why));
        } else {
            one_source(errors, key, source, &path.child(shown));
            if key == "ephemeral" {
                created_claim(errors, text(volume, &["name"]), path, pod_name);
            }
        }
        if key == "iscsi" && iscsi_name_too_long(text(volume, &["name"]), source) {
            let name = text(volume, &["name"]);
            errors.push(FieldError::invalid(&path.child("name"), name, ISCSI_NAME_TOO_LONG));
        }
    }
    if seen == 0 {
        errors.push(FieldError::required(path, "must specify a volume type"));
    }
}

fn one_source(errors: &mut Errors, kind: &str, source: &Value, path: &Path) {
    match kind {
        "emptyDir" => empty_dir(errors, source, path),
        "secret" | "configMap" => {
            required(errors, source, path, if kind == "secret" { "secretName" } else { "name" });
            file_mode(errors, source, path, "defaultMode");
            for (at, item) in source.array_at(&["items"]).iter().enumerate() {
                key_files(errors, item, &path.child("items").index(at));
            }
        }
        "downwardAPI" => {
            file_mode(errors, source, path, "defaultMode");
            for file in source.array_at(&["items"]) {
                downward_file(errors, file, path);
            }
        }
        "projected" => projected::validate(errors, source, path),
        "ephemeral" => ephemeral(errors, source, path),
        "image" => {
            // A template may leave the image to whoever makes pods from it.
            if !super::in_template(path) {
                required(errors, source, path, "reference");
            }
            match text(source, &["pullPolicy"]) {
                "" => errors.push(FieldError::required(&path.child("pullPolicy"), "")),
                _ => one_of(errors, source, path, "pullPolicy", &["Always", "IfNotPresent", "Never"]),
            }
        }
        "persistentVolumeClaim" => {
            required(errors, source, path, "claimName");
        }
        "csi" => inline_csi(errors, source, path),
        _ => source::validate(errors, kind, source, path, Owner::Pod),
    }
}

fn empty_dir(errors: &mut Errors, source: &Value, path: &Path) {
    if let Some(limit) = quantity(source.get("sizeLimit"))
        && limit.sign() < 0
    {
        errors.push(FieldError::forbidden(
            &path.child("sizeLimit"),
            "SizeLimit field must be a valid resource quantity",
        ));
    }
}

/// A key of a secret or config map, and the file that it becomes.
pub(super) fn key_files(errors: &mut Errors, item: &Value, path: &Path) {
    required(errors, item, path, "key");
    let file = required(errors, item, path, "path");
    local_visible_path(errors, &path.child("path"), file);
    file_mode(errors, item, path, "mode");
}

pub(super) fn downward_file(errors: &mut Errors, file: &Value, path: &Path) {
    let target = text(file, &["path"]);
    if target.is_empty() {
        errors.push(FieldError::required(&path.child("path"), ""));
    }
    local_visible_path(errors, &path.child("path"), target);
    match (file.get("fieldRef"), file.get("resourceFieldRef")) {
        (Some(field), resource) => {
            env::volume_field_ref(errors, field, &path.child("fieldRef"));
            if resource.is_some() {
                let why = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.push(FieldError::invalid(path, "resource", why));
            }
        }
        (None, Some(resource)) => env::resource_ref(errors, resource, &path.child("resourceFieldRef"), true),
        (None, None) => {
            errors.push(FieldError::required(path, "one of fieldRef and resourceFieldRef is required"));
        }
    }
    file_mode(errors, file, path, "mode");
}

fn ephemeral(errors: &mut Errors, source: &Value, path: &Path) {
    let path = path.child("volumeClaimTemplate");
    match source.get("volumeClaimTemplate") {
        None => errors.push(FieldError::required(&path, "")),
        Some(template) => persistentvolumeclaim::validate_template(errors, template, &path),
    }
}

/// The claim that is made for an ephemeral volume is named after pod and volume.
fn created_claim(errors: &mut Errors, volume: &str, path: &Path, pod_name: &str) {
    if pod_name.is_empty() || volume.is_empty() {
        return;
    }
    let name = format!("{pod_name}-{volume}");
    for why in names::dns1123_subdomain(&name) {
        let why = format!("PVC name {name:?}: {why}");
        errors.push(FieldError::invalid(&path.child("name"), volume, &why));
    }
}

fn inline_csi(errors: &mut Errors, source: &Value, path: &Path) {
    csi_driver_name(errors, text(source, &["driver"]), &path.child("driver"));
    let Some(secret) = source.get("nodePublishSecretRef") else { return };
    match required(errors, secret, &path.child("nodePublishSecretRef"), "name") {
        "" => {}
        name => problems(errors, &path.child("name"), name, names::dns1123_subdomain(name)),
    }
}
