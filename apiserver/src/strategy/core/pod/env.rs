//! Environment variables of containers, and the fields of pods and containers that they (and downward API volumes) name.

use apimachinery::{FieldError, Path, Value, names};

use crate::strategy::check::{Errors, problems, quantity, required, required_name};
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
/// Every field label that a pod has, supported here or not.
const FIELD_LABELS: [&str; 18] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.host",
    "spec.hostNetwork",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.nominatedNodeName",
    "status.phase",
    "status.podIP",
    "status.podIPs",
    "spec.unschedulable",
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
    let path = path.child("fieldPath");
    let split = label.strip_suffix("']").and_then(|l| l.split_once("['"));
    let base = split.map_or(label, |(base, _)| base);
    if version != "v1" {
        let why = format!("error converting fieldPath: unsupported pod version: {version}");
        errors.push(FieldError::invalid(&path, label, &why));
    } else if !FIELD_LABELS.contains(&base) {
        let why = format!("error converting fieldPath: field label not supported: {label}");
        errors.push(FieldError::invalid(&path, label, &why));
    } else if let Some((base, key)) = split {
        match base {
            "metadata.annotations" => {
                problems(errors, &path, key, names::qualified_name(&key.to_ascii_lowercase()));
            }
            "metadata.labels" => problems(errors, &path, key, names::qualified_name(key)),
            _ => errors.push(FieldError::invalid(&path, base, "does not support subscript")),
        }
    } else if !supported.contains(&label) {
        errors.push(FieldError::not_supported(&path, label, supported));
    }
}

pub(super) fn resource_ref(errors: &mut Errors, reference: &Value, path: &Path, of_volume: bool) {
    if of_volume && required(errors, reference, path, "containerName").is_empty() {
        return;
    }
    let resource = required(errors, reference, path, "resource");
    if resource.is_empty() {
        return;
    }
    let huge = resource.starts_with("limits.hugepages-") || resource.starts_with("requests.hugepages-");
    if !huge && !ENV_RESOURCES.contains(&resource) {
        errors.push(FieldError::not_supported(&path.child("resource"), resource, &ENV_RESOURCES));
    }
    let Some(divisor) = quantity(reference.get("divisor")).filter(|d| !d.is_zero()) else { return };
    let shown = divisor.to_string();
    let (kind, allowed): (&str, &[&str]) = match resource.split_once('.').map_or("", |(_, r)| r) {
        "cpu" => ("cpu", &["1m", "1"]),
        "memory" => {
            ("memory", &["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"])
        }
        "ephemeral-storage" => (
            "local ephemeral storage",
            &["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"],
        ),
        _ => return,
    };
    if !allowed.contains(&shown.as_str()) {
        let why = if kind == "cpu" {
            "only divisor's values 1m and 1 are supported with the cpu resource".to_owned()
        } else {
            format!(
                "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the \
                 {kind} resource"
            )
        };
        errors.push(FieldError::invalid(&path.child("divisor"), resource, &why));
    }
}
