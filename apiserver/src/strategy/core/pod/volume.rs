//! The volumes of pods: one source each, checked by its kind.

use apimachinery::{FieldError, Path, Value, names};

use super::env;
use crate::strategy::check::{
    BACKSTEP, Errors, file_mode, has_backstep, local_path, local_visible_path, one_of, optional_one_of,
    problems, quantity, required,
};
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

/// Names of host path types.
const HOST_PATH_TYPES: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];

/// What upstream calls "matched PVC" sources: those that can be block devices.
pub(super) fn is_claim(volume: &Value) -> bool {
    volume.get("persistentVolumeClaim").is_some() || volume.get("ephemeral").is_some()
}

pub(super) fn validate_all(errors: &mut Errors, volumes: &[Value], path: &Path, pod_name: &str) {
    let mut seen: Vec<&str> = Vec::new();
    for (at, volume) in volumes.iter().enumerate() {
        let path = path.index(at);
        let name = text(volume, &["name"]);
        let mut own = Errors::new();
        validate_source(&mut own, volume, &path, pod_name);
        let source_good = own.is_empty();
        errors.append(&mut own);
        if name.is_empty() {
            errors.push(FieldError::required(&path.child("name"), ""));
        } else {
            let found = names::dns1123_label(name);
            let bad = !found.is_empty();
            problems(errors, &path.child("name"), name, found);
            if !bad && seen.contains(&name) {
                errors.push(FieldError::duplicate(&path.child("name"), name));
            }
        }
        if source_good {
            seen.push(name);
        }
    }
}

fn validate_source(errors: &mut Errors, volume: &Value, path: &Path, pod_name: &str) {
    let mut seen = 0;
    for key in SOURCES {
        let Some(source) = volume.get(key) else { continue };
        // Upstream names this one differently in its paths.
        let shown = if key == "gcePersistentDisk" { "persistentDisk" } else { key };
        let path = path.child(shown);
        seen += 1;
        if seen > 1 {
            errors.push(FieldError::forbidden(&path, "may not specify more than 1 volume type"));
            continue;
        }
        match key {
            "emptyDir" => empty_dir(errors, source, &path),
            "secret" => {
                required(errors, source, &path, "secretName");
                key_files(errors, source, &path, true);
            }
            "configMap" => {
                required(errors, source, &path, "name");
                key_files(errors, source, &path, true);
            }
            "downwardAPI" => {
                file_mode(errors, source, &path, "defaultMode");
                for file in source.array_at(&["items"]) {
                    downward_file(errors, file, &path);
                }
            }
            "projected" => projected(errors, source, &path),
            "ephemeral" => ephemeral(errors, source, &path, text(volume, &["name"]), pod_name),
            "image" => {
                required(errors, source, &path, "reference");
                optional_one_of(errors, source, &path, "pullPolicy", &["Always", "IfNotPresent", "Never"]);
            }
            "persistentVolumeClaim" => {
                required(errors, source, &path, "claimName");
            }
            "csi" => inline_csi(errors, source, &path),
            _ => persistent_source(errors, key, source, &path),
        }
    }
    if seen == 0 {
        errors.push(FieldError::required(path, "must specify a volume type"));
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

fn key_files(errors: &mut Errors, source: &Value, path: &Path, with_mode: bool) {
    if with_mode {
        file_mode(errors, source, path, "defaultMode");
    }
    for (at, item) in source.array_at(&["items"]).iter().enumerate() {
        let path = path.child("items").index(at);
        required(errors, item, &path, "key");
        let file = required(errors, item, &path, "path");
        local_visible_path(errors, &path.child("path"), file);
        file_mode(errors, item, &path, "mode");
    }
}

fn downward_file(errors: &mut Errors, file: &Value, path: &Path) {
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

fn projected(errors: &mut Errors, source: &Value, path: &Path) {
    file_mode(errors, source, path, "defaultMode");
    let mut paths: Vec<&str> = Vec::new();
    for (at, part) in source.array_at(&["sources"]).iter().enumerate() {
        let own = path.child("sources").index(at);
        let mut seen = 0;
        for key in [
            "secret",
            "configMap",
            "downwardAPI",
            "serviceAccountToken",
            "clusterTrustBundle",
            "podCertificate",
        ] {
            let Some(inner) = part.get(key) else { continue };
            seen += 1;
            if seen > 1 {
                errors
                    .push(FieldError::forbidden(&own, "may not specify more than 1 volume type per source"));
                continue;
            }
            projected_part(errors, key, inner, path, &own.child(key), &mut paths);
        }
    }
}

/// `list` is the path of the whole volume: upstream names some problems there.
fn projected_part<'a>(
    errors: &mut Errors,
    kind: &str,
    part: &'a Value,
    list: &Path,
    path: &Path,
    paths: &mut Vec<&'a str>,
) {
    match kind {
        "secret" | "configMap" => {
            let name = required(errors, part, path, "name");
            key_files(errors, part, path, false);
            for item in part.array_at(&["items"]) {
                claim_path(errors, text(item, &["path"]), list, name, paths);
            }
        }
        "downwardAPI" => {
            for file in part.array_at(&["items"]) {
                downward_file(errors, file, path);
                claim_path(errors, text(file, &["path"]), list, text(file, &["path"]), paths);
            }
        }
        "serviceAccountToken" => {
            let seconds = part.i64_at(&["expirationSeconds"]).unwrap_or(0);
            let field = path.child("expirationSeconds");
            if seconds < 600 {
                let why = "may not specify a duration less than 10 minutes";
                errors.push(FieldError::invalid(&field, seconds, why));
            } else if seconds > 1 << 32 {
                let why = "may not specify a duration larger than 2^32 seconds";
                errors.push(FieldError::invalid(&field, seconds, why));
            }
            let target = text(part, &["path"]);
            if target.is_empty() {
                errors.push(FieldError::required(&list.child("path"), ""));
            } else {
                local_visible_path(errors, &path.child("path"), target);
                claim_path(errors, target, list, target, paths);
            }
        }
        "podCertificate" => {
            required(errors, part, path, "signerName");
            let files: Vec<&str> = ["credentialBundlePath", "keyPath", "certificateChainPath"]
                .iter()
                .map(|key| text(part, &[key]))
                .filter(|file| !file.is_empty())
                .collect();
            if files.is_empty() {
                let why = "specify at least one of credentialBundlePath, keyPath, and certificateChainPath";
                errors.push(FieldError::required(path, why));
            }
            for file in files {
                claim_path(errors, file, list, file, paths);
            }
        }
        _ => {
            required(errors, part, path, "path");
        }
    }
}

fn claim_path<'a>(errors: &mut Errors, file: &'a str, list: &Path, shown: &str, paths: &mut Vec<&'a str>) {
    if file.is_empty() {
        return;
    }
    if paths.contains(&file) {
        errors.push(FieldError::invalid(list, shown, "conflicting duplicate paths"));
    }
    paths.push(file);
}

fn ephemeral(errors: &mut Errors, source: &Value, path: &Path, volume: &str, pod_name: &str) {
    let Some(template) = source.get("volumeClaimTemplate") else {
        errors.push(FieldError::required(&path.child("volumeClaimTemplate"), ""));
        return;
    };
    let path = path.child("volumeClaimTemplate");
    if !pod_name.is_empty() {
        let name = format!("{pod_name}-{volume}");
        for why in names::dns1123_subdomain(&name) {
            let why = format!("PVC name {name:?}: {why}");
            errors.push(FieldError::invalid(&Path::new("spec").child("volumes").child("name"), volume, &why));
        }
    }
    let empty = Value::object();
    let spec = template.get("spec").unwrap_or(&empty);
    persistentvolumeclaim::validate_spec(errors, spec, &path.child("spec"));
}

fn inline_csi(errors: &mut Errors, source: &Value, path: &Path) {
    csi_driver_name(errors, text(source, &["driver"]), &path.child("driver"));
    if let Some(secret) = source.get("nodePublishSecretRef") {
        required(errors, secret, &path.child("nodePublishSecretRef"), "name");
    }
}

pub(in crate::strategy) fn csi_driver_name(errors: &mut Errors, name: &str, path: &Path) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    if name.len() > 63 {
        errors.push(FieldError::too_long(path, 63));
    }
    problems(errors, path, name, names::dns1123_subdomain(&name.to_ascii_lowercase()));
}

/// Sources that persistent volumes have too.
pub(in crate::strategy) fn persistent_source(errors: &mut Errors, kind: &str, source: &Value, path: &Path) {
    match kind {
        "hostPath" => {
            let target = required(errors, source, path, "path");
            if has_backstep(target) {
                errors.push(FieldError::invalid(&path.child("path"), target, BACKSTEP));
            }
            if source.get("type").is_some() {
                one_of(errors, source, path, "type", &HOST_PATH_TYPES);
            }
        }
        "gitRepo" => {
            required(errors, source, path, "repository");
            local_path(errors, &path.child("directory"), text(source, &["directory"]));
        }
        "gcePersistentDisk" => {
            required(errors, source, path, "pdName");
            partition(errors, source, path);
        }
        "awsElasticBlockStore" => {
            required(errors, source, path, "volumeID");
            partition(errors, source, path);
        }
        "nfs" => {
            required(errors, source, path, "server");
            let target = required(errors, source, path, "path");
            if !target.starts_with('/') {
                errors.push(FieldError::invalid(&path.child("path"), target, "must be an absolute path"));
            }
        }
        "iscsi" => {
            required(errors, source, path, "targetPortal");
            required(errors, source, path, "iqn");
            let lun = source.i64_at(&["lun"]).unwrap_or(0);
            if !(0..=255).contains(&lun) {
                errors.push(FieldError::invalid(&path.child("lun"), lun, &names::inclusive_range(0, 255)));
            }
        }
        "fc" => {
            let (targets, ids) = (source.array_at(&["targetWWNs"]), source.array_at(&["wwids"]));
            if targets.is_empty() == ids.is_empty() {
                let why = "must specify either targetWWNs or wwids, but not both";
                errors.push(FieldError::required(&path.child("targetWWNs"), why));
            }
            if !targets.is_empty() && source.get("lun").is_none() {
                errors.push(FieldError::required(
                    &path.child("lun"),
                    "lun is required if targetWWNs is specified",
                ));
            }
        }
        "flocker" => {
            let (name, uuid) = (text(source, &["datasetName"]), text(source, &["datasetUUID"]));
            if name.is_empty() && uuid.is_empty() {
                errors.push(FieldError::required(path, "one of datasetName and datasetUUID is required"));
            }
            if !name.is_empty() && !uuid.is_empty() {
                let why = "resource name may not be specified when datasetUUID is set";
                errors.push(FieldError::invalid(path, "resource", why));
            }
        }
        "azureDisk" => azure_disk(errors, source, path),
        _ => {
            let lists: &[&str] = if matches!(kind, "rbd" | "cephfs") { &["monitors"] } else { &[] };
            for key in lists {
                if source.array_at(&[key]).is_empty() {
                    errors.push(FieldError::required(&path.child(key), ""));
                }
            }
            let fields: &[&str] = match kind {
                "rbd" => &["image"],
                "cinder" => &["volumeID"],
                "glusterfs" => &["endpoints", "path"],
                "quobyte" => &["registry", "volume"],
                "flexVolume" => &["driver"],
                "azureFile" => &["secretName", "shareName"],
                "vsphereVolume" => &["volumePath"],
                "photonPersistentDisk" => &["pdID"],
                "portworxVolume" => &["volumeID"],
                "storageos" => &["volumeName"],
                "scaleIO" => &["gateway", "system", "volumeName"],
                _ => &[],
            };
            for key in fields {
                required(errors, source, path, key);
            }
        }
    }
}

fn partition(errors: &mut Errors, source: &Value, path: &Path) {
    let partition = source.i64_at(&["partition"]).unwrap_or(0);
    if !(0..=255).contains(&partition) {
        errors.push(FieldError::invalid(
            &path.child("partition"),
            partition,
            &names::inclusive_range(0, 255),
        ));
    }
}

fn azure_disk(errors: &mut Errors, source: &Value, path: &Path) {
    required(errors, source, path, "diskName");
    let uri = required(errors, source, path, "diskURI");
    optional_one_of(errors, source, path, "cachingMode", &["None", "ReadOnly", "ReadWrite"]);
    optional_one_of(errors, source, path, "kind", &["Dedicated", "Managed", "Shared"]);
    let managed = text(source, &["kind"]) == "Managed";
    let good = if managed {
        uri.to_ascii_lowercase().starts_with("/subscriptions/")
    } else {
        uri.starts_with("https://")
    };
    if !good {
        let supported = if managed {
            "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
        } else {
            "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
        };
        errors.push(FieldError::not_supported(&path.child("diskURI"), uri, &[supported]));
    }
}

/// The mounts and block devices of a container.
pub(super) fn mounts(errors: &mut Errors, container: &Value, path: &Path, volumes: &[Value]) {
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
        mount_options(errors, mount, &list, container);
    }
    let list = path.child("volumeDevices");
    let (mut names, mut targets): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for (at, device) in devices.iter().enumerate() {
        let own = list.index(at);
        let name = required(errors, device, &own, "name");
        if names.contains(&name) {
            errors.push(FieldError::invalid(&own.child("name"), name, "must be unique"));
        }
        names.push(name);
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
        }
        targets.push(target);
        if mounts.iter().any(|m| text(m, &["name"]) == name) {
            let why = "must not already exist in volumeMounts";
            errors.push(FieldError::invalid(&own.child("name"), name, why));
        }
        if mounts.iter().any(|m| text(m, &["mountPath"]) == target) {
            let why = "must not already exist as a path in volumeMounts";
            errors.push(FieldError::invalid(&own.child("devicePath"), target, why));
        }
    }
}

/// `list` is the path of the list: upstream names these problems without an index.
fn mount_options(errors: &mut Errors, mount: &Value, list: &Path, container: &Value) {
    for key in ["subPath", "subPathExpr"] {
        local_path(errors, &list.child(key), text(mount, &[key]));
    }
    if !text(mount, &["subPath"]).is_empty() && !text(mount, &["subPathExpr"]).is_empty() {
        let shown = text(mount, &["subPathExpr"]);
        let why = "subPathExpr and subPath are mutually exclusive";
        errors.push(FieldError::invalid(&list.child("subPathExpr"), shown, why));
    }
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
