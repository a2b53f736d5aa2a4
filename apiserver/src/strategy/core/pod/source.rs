//! The sources of volumes that pods and persistent volumes have in common, each by its kind. What differs between the two
//! (a persistent volume belongs to no namespace, so what it refers to says its own) is said by [`Owner`].

use apimachinery::{FieldError, Path, Value, names};

use crate::strategy::check::{
    BACKSTEP, Errors, has_backstep, local_path, members, one_of, optional_one_of, problems, required,
};
use crate::values::{string_list, strings, text};

/// Whose source is looked at.
#[derive(Clone, Copy, Debug)]
pub(in crate::strategy) enum Owner<'a> {
    /// A volume of a pod.
    Pod,
    /// A persistent volume, by its name.
    Persistent(&'a str),
}

impl Owner<'_> {
    fn is_persistent(self) -> bool {
        matches!(self, Self::Persistent(_))
    }
}

/// Members that must not be empty, of sources that have no other rule or rules besides.
const REQUIRED: [(&str, &[&str]); 15] = [
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("nfs", &["server", "path"]),
    ("rbd", &["image"]),
    ("cinder", &["volumeID"]),
    ("glusterfs", &["endpoints", "path"]),
    ("quobyte", &["volume"]),
    ("flexVolume", &["driver"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("storageos", &["volumeName"]),
    ("gitRepo", &["repository"]),
];
/// Names of host path types.
const HOST_PATH_TYPES: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
/// The name that an initiator gives a volume: longer ones do not fit.
const ISCSI_NAME_MAX: usize = 64;
pub(super) const ISCSI_NAME_TOO_LONG: &str = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 \
                                              characters if iscsi.initiatorName is specified.";
const QUOBYTE_TENANT_MAX: usize = 64;
const CSI_DRIVER_MAX: usize = 63;

/// The problems of one source.
pub(in crate::strategy) fn validate(
    errors: &mut Errors,
    kind: &str,
    source: &Value,
    path: &Path,
    owner: Owner<'_>,
) {
    if matches!(kind, "rbd" | "cephfs") && source.array_at(&["monitors"]).is_empty() {
        errors.push(FieldError::required(&path.child("monitors"), ""));
    }
    if kind == "quobyte" {
        quobyte(errors, source, path);
    }
    if let Some((_, fields)) = REQUIRED.iter().find(|(name, _)| *name == kind) {
        for field in *fields {
            required(errors, source, path, field);
        }
    }
    match kind {
        "hostPath" => host_path(errors, source, path),
        "gitRepo" => local_path(errors, &path.child("directory"), text(source, &["directory"])),
        "gcePersistentDisk" | "awsElasticBlockStore" => partition(errors, source, path),
        "nfs" => {
            let target = text(source, &["path"]);
            if !target.starts_with('/') {
                errors.push(FieldError::invalid(&path.child("path"), target, "must be an absolute path"));
            }
        }
        "iscsi" => iscsi(errors, source, path, owner),
        "fc" => fibre_channel(errors, source, path),
        "flocker" => flocker(errors, source, path),
        "flexVolume" => flex_options(errors, source, path),
        "azureDisk" => azure_disk(errors, source, path),
        "cinder" => secret_reference(errors, source, path, owner),
        "storageos" => {
            for field in ["volumeName", "volumeNamespace"] {
                let name = text(source, &[field]);
                if !name.is_empty() {
                    problems(errors, &path.child(field), name, names::dns1123_label(name));
                }
            }
            secret_reference(errors, source, path, owner);
        }
        "glusterfs" if owner.is_persistent() => endpoints_namespace(errors, source, path),
        "azureFile"
            if owner.is_persistent() && source.get("secretNamespace").and_then(Value::as_str) == Some("") =>
        {
            errors.push(FieldError::required(&path.child("secretNamespace"), ""));
        }
        _ => {}
    }
}

fn host_path(errors: &mut Errors, source: &Value, path: &Path) {
    let target = required(errors, source, path, "path");
    if target.is_empty() {
        return;
    }
    if has_backstep(target) {
        errors.push(FieldError::invalid(&path.child("path"), target, BACKSTEP));
    }
    if source.get("type").is_some() {
        one_of(errors, source, path, "type", &HOST_PATH_TYPES);
    }
}

fn partition(errors: &mut Errors, source: &Value, path: &Path) {
    let partition = source.i64_at(&["partition"]).unwrap_or(0);
    if !(0..=255).contains(&partition) {
        // Upstream's text leaves out the 0 that it allows.
        let why = names::inclusive_range(1, 255);
        errors.push(FieldError::invalid(&path.child("partition"), partition, &why));
    }
}

fn lun(errors: &mut Errors, lun: i64, path: &Path) {
    if !(0..=255).contains(&lun) {
        errors.push(FieldError::invalid(&path.child("lun"), lun, &names::inclusive_range(0, 255)));
    }
}

fn iscsi(errors: &mut Errors, source: &Value, path: &Path, owner: Owner<'_>) {
    const FORMAT: &str = "must be valid format";
    const PREFIXED: &str = "must be valid format starting with iqn, eui, or naa";
    let portal = required(errors, source, path, "targetPortal");
    let initiator = source.get("initiatorName").and_then(Value::as_str);
    if let Owner::Persistent(name) = owner
        && iscsi_name_too_long(name, source)
    {
        errors.push(FieldError::invalid(&path.child("targetportal"), portal, ISCSI_NAME_TOO_LONG));
    }
    let wrong_prefix = if owner.is_persistent() { FORMAT } else { PREFIXED };
    let check = |errors: &mut Errors, name: &str, field: &str| {
        if !["iqn", "eui", "naa"].iter().any(|prefix| name.starts_with(prefix)) {
            errors.push(FieldError::invalid(&path.child(field), name, wrong_prefix));
        } else if !is_iscsi_name(name) {
            errors.push(FieldError::invalid(&path.child(field), name, FORMAT));
        }
    };
    match required(errors, source, path, "iqn") {
        "" => {}
        name => check(errors, name, "iqn"),
    }
    lun(errors, source.i64_at(&["lun"]).unwrap_or(0), path);
    let authenticates =
        ["chapAuthDiscovery", "chapAuthSession"].iter().any(|key| source.bool_at(&[key]) == Some(true));
    let secret = source.get("secretRef");
    if authenticates && secret.is_none() {
        errors.push(FieldError::required(&path.child("secretRef"), ""));
    }
    if let (true, Some(secret)) = (owner.is_persistent(), secret) {
        required(errors, secret, &path.child("secretRef"), "name");
    }
    if let Some(name) = initiator {
        check(errors, name, "initiatorname");
    }
}

/// Whether the volume's name and its portal make a name that is too long for an initiator that is named.
pub(super) fn iscsi_name_too_long(volume: &str, source: &Value) -> bool {
    source.get("initiatorName").is_some()
        && volume.len() + 1 + text(source, &["targetPortal"]).len() > ISCSI_NAME_MAX
}

/// `iqn.YYYY-MM.authority:name`, `eui.` and 16 digits, or `naa.` and 32 digits.
fn is_iscsi_name(name: &str) -> bool {
    let digits = |text: &str, len: usize| text.len() == len && text.bytes().all(|b| b.is_ascii_digit());
    let of_len = |len: usize| {
        name.chars().count() == len + 4 && name.chars().skip(4).all(|c| c.is_ascii_alphanumeric())
    };
    match name.get(..3) {
        Some("eui") => of_len(16),
        Some("naa") => of_len(32),
        _ => name.match_indices("iqn.").any(|(at, _)| {
            let Some((date, rest)) = name[at + 4..].split_once('.') else { return false };
            let Some((authority, rest)) = rest.split_once(':') else { return false };
            date.split_once('-').is_some_and(|(year, month)| digits(year, 4) && digits(month, 2))
                && !authority.is_empty()
                && authority.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
                && !rest.is_empty()
                && !rest.contains(|c: char| c.is_ascii_whitespace() || ",;*&$|".contains(c))
        }),
    }
}

fn fibre_channel(errors: &mut Errors, source: &Value, path: &Path) {
    let (targets, ids) = (string_list(source.get("targetWWNs")), source.array_at(&["wwids"]));
    let field = path.child("targetWWNs");
    match (targets.is_empty(), ids.is_empty()) {
        (true, true) => {
            let why = "must specify either targetWWNs or wwids, but not both";
            errors.push(FieldError::required(&field, why));
        }
        (false, false) => {
            let why = "targetWWNs and wwids can not be specified simultaneously";
            errors.push(FieldError::invalid(&field, strings(&targets), why));
        }
        _ => {}
    }
    if !targets.is_empty() {
        match source.i64_at(&["lun"]) {
            None => {
                let why = "lun is required if targetWWNs is specified";
                errors.push(FieldError::required(&path.child("lun"), why));
            }
            Some(number) => lun(errors, number, path),
        }
    }
}

fn flocker(errors: &mut Errors, source: &Value, path: &Path) {
    let (name, uuid) = (text(source, &["datasetName"]), text(source, &["datasetUUID"]));
    if name.is_empty() && uuid.is_empty() {
        errors.push(FieldError::required(path, "one of datasetName and datasetUUID is required"));
    }
    if !name.is_empty() && !uuid.is_empty() {
        let why = "datasetName and datasetUUID can not be specified simultaneously";
        errors.push(FieldError::invalid(path, "resource", why));
    }
    if name.contains('/') {
        errors.push(FieldError::invalid(&path.child("datasetName"), name, "must not contain '/'"));
    }
}

fn quobyte(errors: &mut Errors, source: &Value, path: &Path) {
    let why = "must be a host:port pair or multiple pairs separated by commas";
    let registry = text(source, &["registry"]);
    if registry.is_empty() {
        errors.push(FieldError::required(&path.child("registry"), why));
    } else if text(source, &["tenant"]).len() > QUOBYTE_TENANT_MAX {
        let why = "must be a UUID and may not exceed a length of 64 characters";
        errors.push(FieldError::required(&path.child("tenant"), why));
    } else {
        for _ in registry.split(',').filter(|pair| !is_host_and_port(pair)) {
            errors.push(FieldError::invalid(&path.child("registry"), registry, why));
        }
    }
}

/// `host:port` or `[v6]:port`; neither half is looked into.
fn is_host_and_port(pair: &str) -> bool {
    let Some((host, _)) = pair.rsplit_once(':') else { return false };
    match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').is_some_and(|h| !h.contains(['[', ']'])),
        None => !host.contains([':', '[', ']']),
    }
}

/// Options of a flex volume do not use the names that belong to Kubernetes.
fn flex_options(errors: &mut Errors, source: &Value, path: &Path) {
    for (key, _) in members(source.get("options")) {
        let domain = format!(".{}", key.split_once('/').map_or(key, |(d, _)| d).to_ascii_lowercase());
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            let why = "kubernetes.io and k8s.io namespaces are reserved";
            errors.push(FieldError::invalid(&path.child("options").key(key), key, why));
        }
    }
}

fn azure_disk(errors: &mut Errors, source: &Value, path: &Path) {
    required(errors, source, path, "diskName");
    let uri = required(errors, source, path, "diskURI");
    optional_one_of(errors, source, path, "cachingMode", &["None", "ReadOnly", "ReadWrite"]);
    optional_one_of(errors, source, path, "kind", &["Dedicated", "Managed", "Shared"]);
    let (prefix, form) = match text(source, &["kind"]) {
        "" => return,
        "Managed" => (
            "/subscriptions/",
            "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}",
        ),
        _ => ("https://", "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"),
    };
    if !uri.starts_with(prefix) {
        errors.push(FieldError::not_supported(&path.child("diskURI"), uri, &[form]));
    }
}

/// A secret by its name; what belongs to no namespace says that of the secret.
fn secret_reference(errors: &mut Errors, source: &Value, path: &Path, owner: Owner<'_>) {
    let Some(secret) = source.get("secretRef") else { return };
    let path = path.child("secretRef");
    required(errors, secret, &path, "name");
    if owner.is_persistent() {
        required(errors, secret, &path, "namespace");
    }
}

fn endpoints_namespace(errors: &mut Errors, source: &Value, path: &Path) {
    let Some(namespace) = source.get("endpointsNamespace").and_then(Value::as_str) else { return };
    let path = path.child("endpointsNamespace");
    if namespace.is_empty() {
        let why = "if the endpointnamespace is set, it must be a valid namespace name";
        errors.push(FieldError::invalid(&path, namespace, why));
    } else {
        problems(errors, &path, namespace, names::dns1123_label(namespace));
    }
}

pub(in crate::strategy) fn csi_driver_name(errors: &mut Errors, name: &str, path: &Path) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    if name.len() > CSI_DRIVER_MAX {
        errors.push(FieldError::too_long(path, CSI_DRIVER_MAX));
    }
    problems(errors, path, name, names::dns1123_subdomain(&name.to_ascii_lowercase()));
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use expect_test::{Expect, expect};

    use super::*;
    use crate::strategy::testing::yaml;

    #[track_caller]
    fn check(kind: &str, source: &str, owner: Owner<'_>, expected: Expect) {
        let mut errors = Errors::new();
        validate(&mut errors, kind, &yaml(source), &Path::new("v").child(kind), owner);
        let shown = errors.iter().fold(String::new(), |mut out, e| {
            let _ = writeln!(out, "{e}");
            out
        });
        expected.assert_eq(&shown);
    }

    #[track_caller]
    fn check_volume(kind: &str, source: &str, expected: Expect) {
        check(kind, source, Owner::Pod, expected);
    }

    #[track_caller]
    fn check_persistent(kind: &str, source: &str, expected: Expect) {
        check(kind, source, Owner::Persistent("pv"), expected);
    }

    #[test]
    fn names_of_iscsi() {
        for good in
            ["iqn.2015-02.example.com:init", "eui.0123456789abcdef", "naa.0123456789abcdef0123456789abcdef"]
        {
            assert!(is_iscsi_name(good), "{good}");
        }
        for bad in ["iqn.2015-02.example.com", "iqn.15-02.a:b", "iqn.2015-02.a:b c", "eui.01", "naa.01"] {
            assert!(!is_iscsi_name(bad), "{bad}");
        }
    }

    #[test]
    fn iscsi() {
        check_volume(
            "iscsi",
            "{lun: 256, chapAuthSession: true, initiatorName: x}",
            expect![[r#"
            v.iscsi.targetPortal: Required value
            v.iscsi.iqn: Required value
            v.iscsi.lun: Invalid value: 256: must be between 0 and 255, inclusive
            v.iscsi.secretRef: Required value
            v.iscsi.initiatorname: Invalid value: "x": must be valid format starting with iqn, eui, or naa
        "#]],
        );
        check_volume(
            "iscsi",
            "{targetPortal: p, iqn: zap}",
            expect![[r#"
            v.iscsi.iqn: Invalid value: "zap": must be valid format starting with iqn, eui, or naa
        "#]],
        );
        check_volume(
            "iscsi",
            "{targetPortal: p, iqn: iqn.zap}",
            expect![[r#"
            v.iscsi.iqn: Invalid value: "iqn.zap": must be valid format
        "#]],
        );
        let long = format!(
            "{{targetPortal: {}, iqn: eui.0123456789abcdef, initiatorName: eui.0123456789abcdef, secretRef: {{}}}}",
            "p".repeat(64)
        );
        check_volume("iscsi", &long, expect![[""]]);
        check_persistent(
            "iscsi",
            &long,
            expect![[r#"
            v.iscsi.targetportal: Invalid value: "pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp": Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.
            v.iscsi.secretRef.name: Required value
        "#]],
        );
        check_persistent(
            "iscsi",
            "{targetPortal: p, iqn: zap}",
            expect![[r#"
            v.iscsi.iqn: Invalid value: "zap": must be valid format
        "#]],
        );
    }

    #[test]
    fn fibre_channel() {
        check_volume(
            "fc",
            "{}",
            expect![[r#"
            v.fc.targetWWNs: Required value: must specify either targetWWNs or wwids, but not both
        "#]],
        );
        check_volume(
            "fc",
            "{targetWWNs: [a], wwids: [b]}",
            expect![[r#"
            v.fc.targetWWNs: Invalid value: ["a"]: targetWWNs and wwids can not be specified simultaneously
            v.fc.lun: Required value: lun is required if targetWWNs is specified
        "#]],
        );
        check_volume(
            "fc",
            "{targetWWNs: [a], lun: 300}",
            expect![[r#"
            v.fc.lun: Invalid value: 300: must be between 0 and 255, inclusive
        "#]],
        );
    }

    #[test]
    fn disks() {
        check_volume(
            "gcePersistentDisk",
            "{partition: 256}",
            expect![[r#"
            v.gcePersistentDisk.pdName: Required value
            v.gcePersistentDisk.partition: Invalid value: 256: must be between 1 and 255, inclusive
        "#]],
        );
        check_volume(
            "awsElasticBlockStore",
            "{partition: -1}",
            expect![[r#"
            v.awsElasticBlockStore.volumeID: Required value
            v.awsElasticBlockStore.partition: Invalid value: -1: must be between 1 and 255, inclusive
        "#]],
        );
        check_volume(
            "azureDisk",
            "{kind: Managed, cachingMode: Zap, diskURI: 'https://x'}",
            expect![[r#"
            v.azureDisk.diskName: Required value
            v.azureDisk.cachingMode: Unsupported value: "Zap": supported values: "None", "ReadOnly", "ReadWrite"
            v.azureDisk.diskURI: Unsupported value: "https://x": supported values: "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
        "#]],
        );
        check_volume(
            "azureDisk",
            "{kind: Zap, diskName: n, diskURI: x}",
            expect![[r#"
            v.azureDisk.diskName: Required value
            v.azureDisk.kind: Unsupported value: "Zap": supported values: "Dedicated", "Managed", "Shared"
            v.azureDisk.diskURI: Unsupported value: "x": supported values: "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
        "#]],
        );
    }

    #[test]
    fn flocker_and_quobyte() {
        check_volume(
            "flocker",
            "{datasetName: a/b, datasetUUID: u}",
            expect![[r#"
            v.flocker: Invalid value: "resource": datasetName and datasetUUID can not be specified simultaneously
            v.flocker.datasetName: Invalid value: "a/b": must not contain '/'
        "#]],
        );
        check_volume(
            "quobyte",
            "{}",
            expect![[r#"
            v.quobyte.registry: Required value: must be a host:port pair or multiple pairs separated by commas
            v.quobyte.volume: Required value
        "#]],
        );
        check_volume(
            "quobyte",
            "{registry: 'a:1,b', volume: v}",
            expect![[r#"
            v.quobyte.registry: Invalid value: "a:1,b": must be a host:port pair or multiple pairs separated by commas
        "#]],
        );
        let tenant = format!("{{registry: 'a:1', volume: v, tenant: {}}}", "t".repeat(65));
        check_volume(
            "quobyte",
            &tenant,
            expect![[r#"
            v.quobyte.tenant: Required value: must be a UUID and may not exceed a length of 64 characters
        "#]],
        );
    }

    #[test]
    fn secrets_and_namespaces() {
        check_volume(
            "cinder",
            "{volumeID: v, secretRef: {}}",
            expect![[r#"
            v.cinder.secretRef.name: Required value
        "#]],
        );
        check_persistent(
            "cinder",
            "{volumeID: v, secretRef: {}}",
            expect![[r#"
            v.cinder.secretRef.name: Required value
            v.cinder.secretRef.namespace: Required value
        "#]],
        );
        check_volume(
            "storageos",
            "{volumeName: A_, volumeNamespace: B_, secretRef: {}}",
            expect![[r#"
            v.storageos.volumeName: Invalid value: "A_": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
            v.storageos.volumeNamespace: Invalid value: "B_": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
            v.storageos.secretRef.name: Required value
        "#]],
        );
        check_persistent(
            "storageos",
            "{volumeName: a, secretRef: {name: s}}",
            expect![[r#"
            v.storageos.secretRef.namespace: Required value
        "#]],
        );
        check_persistent(
            "azureFile",
            "{secretName: s, shareName: h, secretNamespace: ''}",
            expect![[r#"
            v.azureFile.secretNamespace: Required value
        "#]],
        );
        check_persistent(
            "glusterfs",
            "{endpoints: e, path: p, endpointsNamespace: ''}",
            expect![[r#"
            v.glusterfs.endpointsNamespace: Invalid value: "": if the endpointnamespace is set, it must be a valid namespace name
        "#]],
        );
        check_persistent(
            "glusterfs",
            "{endpoints: e, path: p, endpointsNamespace: A_}",
            expect![[r#"
            v.glusterfs.endpointsNamespace: Invalid value: "A_": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
        "#]],
        );
    }

    #[test]
    fn flex_options_are_not_kubernetes() {
        check_volume(
            "flexVolume",
            "{options: {a: b, k8s.io/x: y, Zap.Kubernetes.io: z}}",
            expect![[r#"
            v.flexVolume.driver: Required value
            v.flexVolume.options[Zap.Kubernetes.io]: Invalid value: "Zap.Kubernetes.io": kubernetes.io and k8s.io namespaces are reserved
            v.flexVolume.options[k8s.io/x]: Invalid value: "k8s.io/x": kubernetes.io and k8s.io namespaces are reserved
        "#]],
        );
    }

    #[test]
    fn paths() {
        check_volume(
            "hostPath",
            "{type: Zap}",
            expect![[r#"
            v.hostPath.path: Required value
        "#]],
        );
        check_volume(
            "hostPath",
            "{path: /a/../b, type: Zap}",
            expect![[r#"
            v.hostPath.path: Invalid value: "/a/../b": must not contain '..'
            v.hostPath.type: Unsupported value: "Zap": supported values: "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"
        "#]],
        );
        check_volume(
            "gitRepo",
            "{directory: /x}",
            expect![[r#"
            v.gitRepo.repository: Required value
            v.gitRepo.directory: Invalid value: "/x": must be a relative path
        "#]],
        );
        check_volume(
            "nfs",
            "{path: rel}",
            expect![[r#"
            v.nfs.server: Required value
            v.nfs.path: Invalid value: "rel": must be an absolute path
        "#]],
        );
    }

    #[test]
    fn what_must_be_there() {
        for (kind, _) in REQUIRED {
            let mut errors = Errors::new();
            validate(&mut errors, kind, &Value::object(), &Path::new("v"), Owner::Pod);
            assert!(errors.iter().any(|e| e.to_string().contains("Required value")), "{kind}");
        }
    }

    #[test]
    fn names_of_csi_drivers() {
        let mut errors = Errors::new();
        csi_driver_name(&mut errors, &"a".repeat(64), &Path::new("driver"));
        csi_driver_name(&mut errors, "a_b", &Path::new("driver"));
        assert_eq!(errors.len(), 2);
        assert_eq!(errors[0].to_string(), "driver: Too long: may not be more than 63 bytes");
    }
}
