//! PersistentVolume: its source stays.

use apimachinery::{FieldError, Path, Value, names};

use super::persistentvolumeclaim::{access_modes, attributes_class, basic_amount};
use super::pod::node_selector;
use super::pod::source::{self, Owner, csi_driver_name};
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{
    BACKSTEP, Errors, IMMUTABLE, has_backstep, members, optional_name, optional_one_of, problems, quantity,
    required, required_name, same,
};
use crate::strategy::{diff, internal_form};
use crate::value;
use crate::values::{meta, string_list, text};

/// Sources in the order of the internal type.
const SOURCES: [&str; 22] = [
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "hostPath",
    "glusterfs",
    "nfs",
    "rbd",
    "quobyte",
    "iscsi",
    "flexVolume",
    "cinder",
    "cephfs",
    "fc",
    "flocker",
    "azureFile",
    "vsphereVolume",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];
/// Sources in the order in which upstream looks at them.
const CHECKED: [&str; 22] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];
/// Labels of nodes that have another name since they are stable.
const RENAMED_LABELS: [(&str, &str); 5] = [
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("beta.kubernetes.io/os", "kubernetes.io/os"),
    ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
    ("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"),
];
const SPEC_TYPE: &str = "io.k8s.api.core.v1.PersistentVolumeSpec";

#[derive(Debug)]
pub struct PersistentVolume;

impl Strategy for PersistentVolume {
    fn resource(&self) -> (&'static str, &'static str) {
        ("", "persistentvolumes")
    }

    fn prepare_create(&self, ctx: &StrategyContext<'_>, object: &mut Value) {
        let now = apimachinery::time::format_time(ctx.now);
        object.set_at(&["status"], value!({ "phase": "Pending", "lastPhaseTransitionTime": (now) }));
    }

    fn prepare_update(&self, ctx: &StrategyContext<'_>, object: &mut Value, old: &Value) {
        if ctx.subresource == "status"
            && text(object, &["status", "phase"]) != text(old, &["status", "phase"])
        {
            let given = object.at(&["status", "lastPhaseTransitionTime"]);
            if same(given, old.at(&["status", "lastPhaseTransitionTime"])) {
                let now = apimachinery::time::format_time(ctx.now);
                object.set_at(&["status", "lastPhaseTransitionTime"], now);
            }
        }
    }

    fn validate_create(&self, _ctx: &StrategyContext<'_>, object: &Value) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let empty = Value::object();
        let spec = object.get("spec").unwrap_or(&empty);
        validate_spec(&mut errors, spec, &Path::new("spec"), Context::Volume(meta(object, "name")));
        errors
    }

    fn warnings(&self, _ctx: &StrategyContext<'_>, object: &Value, _old: Option<&Value>) -> Vec<String> {
        let mut found = Vec::new();
        if text(object, &["spec", "persistentVolumeReclaimPolicy"]) == "Recycle" {
            let why = "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the \
                       recommended approach is to use dynamic provisioning.";
            found.push(why.into());
        }
        for (source, why) in [
            ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
            ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
            ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
            ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
            ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
            ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
        ] {
            if object.at(&["spec", source]).is_some() {
                found.push(format!("spec.{source}: {why}"));
            }
        }
        found
    }

    fn validate_update(&self, ctx: &StrategyContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        if ctx.subresource == "status" {
            return Vec::new();
        }
        let mut errors = self.validate_create(ctx, object);
        let differs = |key: &str| !same(object.at(&["spec", key]), old.at(&["spec", key]));
        // A secret for later expansions may be added.
        let expand = ["spec", "csi", "controllerExpandSecretRef"];
        let mut munged = object.clone();
        if old.at(&["spec", "csi"]).is_some() && old.at(&expand).is_none() {
            munged.remove_at(&expand);
        }
        let source_differs = |key: &str| !same(munged.at(&["spec", key]), old.at(&["spec", key]));
        if SOURCES.iter().any(|source| source_differs(source)) {
            let form = |volume: &Value| {
                internal_form::indented(&internal_form::of_fields(SPEC_TYPE, volume.get("spec"), &SOURCES))
            };
            let difference = diff::unified(&form(old), &form(&munged));
            let path = Path::new("spec").child("persistentvolumesource");
            let why = format!("spec.persistentvolumesource is immutable after creation\n{difference}");
            errors.push(FieldError::forbidden(&path, &why));
        }
        if differs("volumeMode") {
            let shown = text(object, &["spec", "volumeMode"]);
            errors.push(FieldError::invalid(&Path::new("volumeMode"), shown, IMMUTABLE));
        }
        let affinity = ["spec", "nodeAffinity"];
        if old.at(&affinity).is_some() && !same_affinity(object.at(&affinity), old.at(&affinity)) {
            let shown = internal_form::of("VolumeNodeAffinity", object.at(&["spec", "nodeAffinity"]));
            let why = "field is immutable, except for updating from beta label to GA";
            errors.push(FieldError::invalid(&Path::new("nodeAffinity"), shown, why));
        }
        attributes_class(&mut errors, object, old, &Path::new("spec"));
        errors
    }
}

/// Equality but for labels that have a new name since.
fn same_affinity(new: Option<&Value>, old: Option<&Value>) -> bool {
    if same(new, old) {
        return true;
    }
    let (Some(new), Some(old)) = (new, old) else { return false };
    let mut renamed = old.clone();
    let terms = ["required", "nodeSelectorTerms"];
    let now = new.array_at(&terms);
    let before = renamed.at_mut(&terms).and_then(Value::as_array_mut);
    for (before, now) in before.into_iter().flatten().zip(now) {
        for list in ["matchExpressions", "matchFields"] {
            let conditions = before.get_mut(list).and_then(Value::as_array_mut);
            for (before, now) in conditions.into_iter().flatten().zip(now.array_at(&[list])) {
                let key = text(now, &["key"]);
                if RENAMED_LABELS.contains(&(text(before, &["key"]), key)) {
                    before.set_at(&["key"], key);
                }
            }
        }
    }
    same(Some(new), Some(&renamed))
}

/// Where the spec of a volume stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::strategy) enum Context<'a> {
    /// In a volume of that name.
    Volume(&'a str),
    /// In an attachment, where there is no volume.
    Inline,
}

pub(in crate::strategy) fn validate_spec(
    errors: &mut Errors,
    spec: &Value,
    path: &Path,
    context: Context<'_>,
) {
    let inline = context == Context::Inline;
    let refuse = |errors: &mut Errors, key: &str| {
        let why = "may not be specified in the context of inline volumes";
        errors.push(FieldError::forbidden(&path.child(key), why));
    };
    if inline {
        for key in ["claimRef", "capacity"] {
            if !same(spec.get(key), None) {
                refuse(errors, key);
            }
        }
        if spec.get("csi").is_none() {
            let why = "has to be specified in the context of inline volumes";
            errors.push(FieldError::required(&path.child("csi"), why));
        }
    }
    let modes = string_list(spec.get("accessModes"));
    if modes.is_empty() {
        errors.push(FieldError::required(&path.child("accessModes"), ""));
    }
    access_modes(errors, &modes, &path.child("accessModes"));
    let policy = text(spec, &["persistentVolumeReclaimPolicy"]);
    if !inline {
        capacity(errors, spec, &path.child("capacity"));
        optional_one_of(
            errors,
            spec,
            path,
            "persistentVolumeReclaimPolicy",
            &["Delete", "Recycle", "Retain"],
        );
    } else if !matches!(policy, "" | "Retain") {
        let why = "may only be Retain in the context of inline volumes";
        errors.push(FieldError::forbidden(&path.child("persistentVolumeReclaimPolicy"), why));
    }
    if let Some(affinity) = spec.get("nodeAffinity") {
        let field = path.child("nodeAffinity");
        match affinity.get("required") {
            _ if inline => refuse(errors, "nodeAffinity"),
            Some(required) => node_selector(errors, required, &field.child("required")),
            None => {
                let why = "must specify required node constraints";
                errors.push(FieldError::required(&field.child("required"), why));
            }
        }
    }
    let name = if let Context::Volume(name) = context { name } else { "" };
    sources(errors, spec, path, name);
    if is_root(text(spec, &["hostPath", "path"])) && policy == "Recycle" {
        let why = "may not be 'recycle' for a hostPath mount of '/'";
        errors.push(FieldError::forbidden(&path.child("persistentVolumeReclaimPolicy"), why));
    }
    classes(errors, spec, path, inline);
}

/// Whether a path is another way to write `/`.
fn is_root(path: &str) -> bool {
    let mut depth = 0_usize;
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => depth = depth.saturating_sub(1),
            _ => depth += 1,
        }
    }
    path.starts_with('/') && depth == 0
}

fn classes(errors: &mut Errors, spec: &Value, path: &Path, inline: bool) {
    if !inline {
        optional_name(errors, spec, path, "storageClassName", names::dns1123_subdomain);
        optional_one_of(errors, spec, path, "volumeMode", &["Block", "Filesystem"]);
    } else {
        if !text(spec, &["storageClassName"]).is_empty() {
            let why = "may not be specified in the context of inline volumes";
            errors.push(FieldError::forbidden(&path.child("storageClassName"), why));
        }
        if !matches!(text(spec, &["volumeMode"]), "" | "Filesystem") {
            let why = "may not specify volumeMode other than Filesystem in the context of inline volumes";
            errors.push(FieldError::forbidden(&path.child("volumeMode"), why));
        }
    }
    if let Some(class) = spec.get("volumeAttributesClassName").and_then(Value::as_str) {
        let field = path.child("volumeAttributesClassName");
        if class.is_empty() {
            errors.push(FieldError::required(&field, "an empty string is disallowed"));
        } else {
            problems(errors, &field, class, names::dns1123_subdomain(class));
        }
        if spec.get("csi").is_none() {
            let why = "has to be specified when using volumeAttributesClassName";
            errors.push(FieldError::required(&path.child("csi"), why));
        }
    }
}

fn capacity(errors: &mut Errors, spec: &Value, path: &Path) {
    let given = spec.get("capacity");
    let amounts = members(given);
    if amounts.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
    if amounts.len() != 1 || amounts[0].0 != "storage" {
        let shown = given.cloned().unwrap_or_default();
        errors.push(FieldError::not_supported(path, shown, &["storage"]));
    }
    for (name, value) in amounts {
        let field = path.key(name);
        basic_amount(errors, value, &field);
        if let Some(size) = quantity(Some(value)).filter(|size| size.sign() <= 0) {
            errors.push(FieldError::invalid(&field, size.to_string(), "must be greater than zero"));
        }
    }
}

fn sources(errors: &mut Errors, spec: &Value, path: &Path, name: &str) {
    let mut seen = 0;
    for kind in CHECKED {
        let Some(source) = spec.get(kind) else { continue };
        let (shown, too_many) = match kind {
            "gcePersistentDisk" => ("persistentDisk", kind),
            "cephfs" => (kind, "cephFS"),
            _ => (kind, kind),
        };
        seen += 1;
        // Upstream lets this one stand beside another.
        if seen > 1 && kind != "flexVolume" {
            let why = "may not specify more than 1 volume type";
            errors.push(FieldError::forbidden(&path.child(too_many), why));
            continue;
        }
        let own = path.child(shown);
        match kind {
            "local" => {
                let target = required(errors, source, &own, "path");
                if has_backstep(target) {
                    errors.push(FieldError::invalid(&own.child("path"), target, BACKSTEP));
                }
                if spec.get("nodeAffinity").is_none() {
                    let why = "Local volume requires node affinity";
                    errors.push(FieldError::required(&path.child("nodeAffinity"), why));
                }
            }
            "csi" => csi(errors, source, &own),
            _ => source::validate(errors, kind, source, &own, Owner::Persistent(name)),
        }
    }
    if seen == 0 {
        errors.push(FieldError::required(path, "must specify a volume type"));
    }
}

fn csi(errors: &mut Errors, source: &Value, path: &Path) {
    csi_driver_name(errors, text(source, &["driver"]), &path.child("driver"));
    required(errors, source, path, "volumeHandle");
    for key in [
        "controllerPublishSecretRef",
        "controllerExpandSecretRef",
        "nodePublishSecretRef",
        "nodeExpandSecretRef",
    ] {
        if let Some(secret) = source.get(key) {
            required_name(errors, secret, &path.child(key), "name", names::dns1123_subdomain);
            required_name(errors, secret, &path.child(key), "namespace", names::dns1123_label);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::testing::{check_invalid, check_invalid_update};
    use expect_test::expect;

    const VOLUME: &str =
        "spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /d, type: ''}}";

    #[test]
    fn volumes_have_one_source_and_a_size() {
        check_invalid(
            &PersistentVolume,
            "spec: {}",
            expect![[r#"
            spec.accessModes: Required value
            spec.capacity: Required value
            spec.capacity: Unsupported value: null: supported values: "storage"
            spec: Required value: must specify a volume type
        "#]],
        );
        check_invalid(
            &PersistentVolume,
            "spec: {capacity: {storage: '0'}, accessModes: [ReadWriteOnce], hostPath: {path: /}, nfs: {server: s, path: \
             /p}, persistentVolumeReclaimPolicy: Recycle}",
            expect![[r#"
                spec.capacity[storage]: Invalid value: "0": must be greater than zero
                spec.nfs: Forbidden: may not specify more than 1 volume type
                spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'
            "#]],
        );
    }

    #[test]
    fn the_source_stays() {
        check_invalid_update(
            &PersistentVolume,
            VOLUME,
            &VOLUME.replace("/d", "/z"),
            expect![[r#"
            spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation
            @@ -2,7 +2,7 @@
              "GCEPersistentDisk": null,
              "AWSElasticBlockStore": null,
              "HostPath": {
            -  "Path": "/d",
            +  "Path": "/z",
               "Type": ""
              },
              "Glusterfs": null,

        "#]],
        );
    }
}
