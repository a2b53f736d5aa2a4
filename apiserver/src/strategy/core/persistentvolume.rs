//! PersistentVolume: its source stays.

use apimachinery::{FieldError, Path, Value, names};

use super::persistentvolumeclaim::access_modes;
use super::pod::node_selector;
use super::pod::volume::{csi_driver_name, persistent_source};
use crate::seams::{Strategy, StrategyContext};
use crate::strategy::check::{Errors, IMMUTABLE, optional_name, optional_one_of, quantity, required, same};
use crate::strategy::{diff, internal_form};
use crate::value;
use crate::values::{string_list, text};

/// Sources in upstream's order.
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
        validate_spec(&mut errors, object.get("spec").unwrap_or(&empty), &Path::new("spec"));
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
        if SOURCES.iter().any(|source| differs(source)) {
            let form = |volume: &Value| {
                internal_form::indented(&internal_form::of_fields(SPEC_TYPE, volume.get("spec"), &SOURCES))
            };
            let difference = diff::unified(&form(old), &form(object));
            let path = Path::new("spec").child("persistentvolumesource");
            let why = format!("spec.persistentvolumesource is immutable after creation\n{difference}");
            errors.push(FieldError::forbidden(&path, &why));
        }
        if differs("volumeMode") {
            let shown = text(object, &["spec", "volumeMode"]);
            errors.push(FieldError::invalid(&Path::new("volumeMode"), shown, IMMUTABLE));
        }
        if old.at(&["spec", "nodeAffinity"]).is_some() && differs("nodeAffinity") {
            let shown = internal_form::of("VolumeNodeAffinity", object.at(&["spec", "nodeAffinity"]));
            let why = "field is immutable, except for updating from beta label to GA";
            errors.push(FieldError::invalid(&Path::new("nodeAffinity"), shown, why));
        }
        errors
    }
}

fn validate_spec(errors: &mut Errors, spec: &Value, path: &Path) {
    let modes = string_list(spec.get("accessModes"));
    if modes.is_empty() {
        errors.push(FieldError::required(&path.child("accessModes"), ""));
    }
    access_modes(errors, &modes, &path.child("accessModes"));
    capacity(errors, spec, &path.child("capacity"));
    optional_one_of(errors, spec, path, "persistentVolumeReclaimPolicy", &["Delete", "Recycle", "Retain"]);
    if let Some(required) = spec.at(&["nodeAffinity", "required"]) {
        node_selector(errors, required, &path.child("nodeAffinity").child("required"));
    } else if spec.get("nodeAffinity").is_some() {
        let why = "must specify required node constraints";
        errors.push(FieldError::required(&path.child("nodeAffinity").child("required"), why));
    }
    sources(errors, spec, path);
    let at_root = matches!(text(spec, &["hostPath", "path"]).trim_end_matches('/'), "")
        && !text(spec, &["hostPath", "path"]).is_empty();
    if at_root && text(spec, &["persistentVolumeReclaimPolicy"]) == "Recycle" {
        let why = "may not be 'recycle' for a hostPath mount of '/'";
        errors.push(FieldError::forbidden(&path.child("persistentVolumeReclaimPolicy"), why));
    }
    optional_name(errors, spec, path, "storageClassName", names::dns1123_subdomain);
    optional_one_of(errors, spec, path, "volumeMode", &["Block", "Filesystem"]);
}

fn capacity(errors: &mut Errors, spec: &Value, path: &Path) {
    let given = spec.get("capacity");
    let members = crate::strategy::check::members(given);
    if members.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
    if members.len() != 1 || members[0].0 != "storage" {
        let shown = given.cloned().unwrap_or_default();
        errors.push(FieldError::not_supported(path, shown, &["storage"]));
        return;
    }
    let Some(size) = quantity(Some(members[0].1)) else { return };
    let field = path.key("storage");
    if size.sign() < 0 {
        let why = "must be a valid resource quantity";
        errors.push(FieldError::invalid(&field, size.value(), why));
    }
    if size.sign() <= 0 {
        errors.push(FieldError::invalid(&field, size.to_string(), "must be greater than zero"));
    }
}

fn sources(errors: &mut Errors, spec: &Value, path: &Path) {
    let mut seen = 0;
    for kind in SOURCES {
        let Some(source) = spec.get(kind) else { continue };
        let own = path.child(kind);
        seen += 1;
        if seen > 1 {
            errors.push(FieldError::forbidden(&own, "may not specify more than 1 volume type"));
            continue;
        }
        match kind {
            "local" => {
                let target = required(errors, source, &own, "path");
                if crate::strategy::check::has_backstep(target) {
                    let why = crate::strategy::check::BACKSTEP;
                    errors.push(FieldError::invalid(&own.child("path"), target, why));
                }
                if spec.get("nodeAffinity").is_none() {
                    let why = "Local volume requires node affinity";
                    errors.push(FieldError::required(&path.child("nodeAffinity"), why));
                }
            }
            "csi" => {
                csi_driver_name(errors, text(source, &["driver"]), &own.child("driver"));
                required(errors, source, &own, "volumeHandle");
                for key in [
                    "controllerPublishSecretRef",
                    "controllerExpandSecretRef",
                    "nodePublishSecretRef",
                    "nodeExpandSecretRef",
                ] {
                    if let Some(secret) = source.get(key) {
                        required(errors, secret, &own.child(key), "name");
                        required(errors, secret, &own.child(key), "namespace");
                    }
                }
            }
            _ => persistent_source(errors, kind, source, &own),
        }
    }
    if seen == 0 {
        errors.push(FieldError::required(path, "must specify a volume type"));
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
