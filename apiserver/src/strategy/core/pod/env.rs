//! Environment variables of containers, and the fields of pods and containers that they (and downward API volumes) name.

use apimachinery::{FieldError, Path, Value, names};

use crate::strategy::check::{Errors, local_visible_path, problems, quantity, required, required_name};
use crate::values::text;

/// Fields that an environment variable may show.
const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Fields that a file of a downward API volume may show.
const VOLUME_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
/// Field labels of pods that upstream can name here, supported or not.
const FIELD_LABELS: [&str; 15] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.host",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.phase",
    "status.podIP",
    "status.podIPs",
];
const ENV_RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const SOURCES: [&str; 5] = ["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];

pub(super) fn validate(errors: &mut Errors, container: &Value, path: &Path) {
    for (at, variable) in container.array_at(&["env"]).iter().enumerate() {
        let path = path.child("env").index(at);
        required_name(errors, variable, &path, "name", names::relaxed_env_var_name);
        if let Some(source) = variable.get("valueFrom") {
            value_from(errors, variable, source, &path.child("valueFrom"));
        }
    }
    for (at, source) in container.array_at(&["envFrom"]).iter().enumerate() {
        let list = path.child("envFrom");
        let path = list.index(at);
        let prefix = text(source, &["prefix"]);
        if !prefix.is_empty() {
            problems(errors, &path.child("prefix"), prefix, names::relaxed_env_var_name(prefix));
        }
        let mut sources = 0;
        for key in ["configMapRef", "secretRef"] {
            if let Some(reference) = source.get(key) {
                sources += 1;
                required_name(errors, reference, &path.child(key), "name", names::dns1123_subdomain);
            }
        }
        if sources == 0 {
            errors.push(FieldError::invalid(&list, "", "must specify one of: `configMapRef` or `secretRef`"));
        } else if sources > 1 {
            errors.push(FieldError::invalid(
                &list,
                "",
                "may not have more than one field specified at a time",
            ));
        }
    }
}

fn value_from(errors: &mut Errors, variable: &Value, source: &Value, path: &Path) {
    let given = SOURCES.iter().filter(|key| source.get(key).is_some()).count();
    if let Some(field) = source.get("fieldRef") {
        field_ref(errors, field, &path.child("fieldRef"), &ENV_FIELDS);
    }
    if let Some(resource) = source.get("resourceFieldRef") {
        resource_ref(errors, resource, &path.child("resourceFieldRef"), false);
    }
    for key in ["configMapKeyRef", "secretKeyRef"] {
        if let Some(reference) = source.get(key) {
            let path = path.child(key);
            let name = text(reference, &["name"]);
            // Upstream judges even the empty name by the rule.
            problems(errors, &path.child("name"), name, names::dns1123_subdomain(name));
            required_name(errors, reference, &path, "key", names::config_map_key);
        }
    }
    if let Some(reference) = source.get("fileKeyRef") {
        file_key(errors, reference, &path.child("fileKeyRef"));
    }
    if given == 0 {
        let why = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
        errors.push(FieldError::invalid(path, "", why));
    } else if !text(variable, &["value"]).is_empty() {
        errors.push(FieldError::invalid(path, "", "may not be specified when `value` is not empty"));
    } else if given > 1 {
        errors.push(FieldError::invalid(path, "", "may not have more than one field specified at a time"));
    }
}

/// A field of a downward API volume's file.
pub(super) fn volume_field_ref(errors: &mut Errors, field: &Value, path: &Path) {
    field_ref(errors, field, path, &VOLUME_FIELDS);
}

fn field_ref(errors: &mut Errors, field: &Value, path: &Path, supported: &[&str]) {
    if required(errors, field, path, "apiVersion").is_empty()
        || required(errors, field, path, "fieldPath").is_empty()
    {
        return;
    }
    let (version, label) = (text(field, &["apiVersion"]), text(field, &["fieldPath"]));
    let split = label.strip_suffix("']").and_then(|l| l.split_once("['"));
    let base = split.map_or(label, |(base, _)| base);
    let subscripted = matches!(base, "metadata.annotations" | "metadata.labels");
    let why = if version != "v1" {
        format!("unsupported pod version: {version}")
    } else if split.is_some() && !subscripted {
        format!("field label does not support subscript: {label}")
    } else if !FIELD_LABELS.contains(&base) {
        format!("field label not supported: {label}")
    } else {
        String::new()
    };
    if !why.is_empty() {
        let why = format!("error converting fieldPath: {why}");
        errors.push(FieldError::invalid(&path.child("fieldPath"), label, &why));
        return;
    }
    // The host is another name of the node.
    let label = if label == "spec.host" { "spec.nodeName" } else { label };
    match split {
        // Upstream names the reference, not its path, as the place of a bad key.
        Some(("metadata.annotations", key)) => {
            let key = key.to_lowercase();
            problems(errors, path, &key, names::qualified_name(&key));
        }
        Some((_, key)) => problems(errors, path, key, names::qualified_name(key)),
        None if !supported.contains(&label) => {
            errors.push(FieldError::not_supported(&path.child("fieldPath"), label, supported));
        }
        None => {}
    }
}

/// Units in which an amount of bytes is shown.
const BYTE_UNITS: [&str; 13] =
    ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
const CPU_UNITS: [&str; 2] = ["1m", "1"];

pub(super) fn resource_ref(errors: &mut Errors, reference: &Value, path: &Path, of_volume: bool) {
    let resource = text(reference, &["resource"]);
    let (of, name) = resource.split_once('.').unwrap_or_default();
    let huge = matches!(of, "limits" | "requests") && name.starts_with("hugepages-");
    if of_volume && text(reference, &["containerName"]).is_empty() {
        errors.push(FieldError::required(&path.child("containerName"), ""));
    } else if resource.is_empty() {
        errors.push(FieldError::required(&path.child("resource"), ""));
    } else if !huge && !ENV_RESOURCES.contains(&resource) {
        errors.push(FieldError::not_supported(&path.child("resource"), resource, &ENV_RESOURCES));
    }
    let Some(divisor) = quantity(reference.get("divisor")).filter(|d| !d.is_zero()) else { return };
    let shown = divisor.to_string();
    let what = match name {
        _ if huge => "hugepages",
        _ if !ENV_RESOURCES.contains(&resource) => return,
        "ephemeral-storage" => "local ephemeral storage",
        other => other,
    };
    let (fits, units) = if what == "cpu" {
        (CPU_UNITS.contains(&shown.as_str()), CPU_UNITS.join(" and "))
    } else {
        (BYTE_UNITS.contains(&shown.as_str()), BYTE_UNITS.join(", "))
    };
    if !fits {
        let why = format!("only divisor's values {units} are supported with the {what} resource");
        errors.push(FieldError::invalid(&path.child("divisor"), resource, &why));
    }
}

/// A variable that is read from a file of a volume.
fn file_key(errors: &mut Errors, reference: &Value, path: &Path) {
    required_name(errors, reference, path, "key", names::relaxed_env_var_name);
    required_name(errors, reference, path, "volumeName", names::dns1123_label);
    let file = required(errors, reference, path, "path");
    local_visible_path(errors, &path.child("path"), file);
}
