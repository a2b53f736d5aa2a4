//! Security contexts of pods and containers, and what a Windows pod may not have.

use apimachinery::{FieldError, Path, Value, names};

use crate::strategy::check::{Errors, optional_one_of};
use crate::strategy::internal_form;
use crate::values::text;

const ID_MAX: i64 = 2_147_483_647;

fn id(errors: &mut Errors, value: &Value, path: &Path, key: &str) {
    if let Some(number) = value.i64_at(&[key])
        && !(0..=ID_MAX).contains(&number)
    {
        errors.push(FieldError::invalid(&path.child(key), number, &names::inclusive_range(0, ID_MAX)));
    }
}

/// The pod's, with the settings that stand beside it in the spec.
pub(super) fn validate_pod(errors: &mut Errors, spec: &Value, path: &Path) {
    let spec_path = path;
    let path = &path.child("securityContext");
    if spec.bool_at(&["hostNetwork"]) == Some(true) {
        host_network_ports(errors, spec, spec_path);
    }
    host_users(errors, spec, spec_path);
    let empty = Value::object();
    let context = spec.get("securityContext").unwrap_or(&empty);
    id(errors, context, path, "fsGroup");
    id(errors, context, path, "runAsUser");
    id(errors, context, path, "runAsGroup");
    for (at, group) in context.array_at(&["supplementalGroups"]).iter().enumerate() {
        if let Some(group) = group.as_i64()
            && !(0..=ID_MAX).contains(&group)
        {
            let path = path.child("supplementalGroups").index(at);
            errors.push(FieldError::invalid(&path, group, &names::inclusive_range(0, ID_MAX)));
        }
    }
    if spec.bool_at(&["shareProcessNamespace"]) == Some(true) && spec.bool_at(&["hostPID"]) == Some(true) {
        let why = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(FieldError::invalid(&path.child("shareProcessNamespace"), true, why));
    }
    sysctls(errors, context, path, spec);
    optional_one_of(errors, context, path, "fsGroupChangePolicy", &["Always", "OnRootMismatch"]);
    seccomp(errors, context, path);
    windows_options(errors, context, path);
    app_armor(errors, context, path);
    optional_one_of(errors, context, path, "supplementalGroupsPolicy", &["Merge", "Strict"]);
    optional_one_of(errors, context, path, "seLinuxChangePolicy", &["Recursive"]);
}

/// A pod with users of its own shares no other namespace with its host.
fn host_users(errors: &mut Errors, spec: &Value, path: &Path) {
    if spec.bool_at(&["hostUsers"]) != Some(false) {
        return;
    }
    // Upstream writes two of the paths with a capital.
    for (key, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec.bool_at(&[key]) == Some(true) {
            errors.push(FieldError::forbidden(&path.child(shown), "when `hostUsers` is false"));
        }
    }
}

/// A pod on its host's network has its ports there. A template may leave them to the defaults of the pods made from it.
fn host_network_ports(errors: &mut Errors, spec: &Value, path: &Path) {
    // Only a pod has its spec at the top.
    let in_template = path.to_string() != "spec";
    for (at, container) in spec.array_at(&["containers"]).iter().enumerate() {
        for (port_at, port) in container.array_at(&["ports"]).iter().enumerate() {
            let host = port.i64_at(&["hostPort"]).unwrap_or(0);
            let unset = in_template && host == 0;
            if !unset && host != port.i64_at(&["containerPort"]).unwrap_or(0) {
                let path = path.child("containers").index(at).child("ports").index(port_at).child("hostPort");
                let why = "must match `containerPort` when `hostNetwork` is true";
                errors.push(FieldError::invalid(&path, host, why));
            }
        }
    }
}

fn sysctls(errors: &mut Errors, context: &Value, path: &Path, spec: &Value) {
    let mut seen: Vec<&str> = Vec::new();
    for (at, sysctl) in context.array_at(&["sysctls"]).iter().enumerate() {
        let path = path.child("sysctls").index(at).child("name");
        let name = text(sysctl, &["name"]);
        if name.is_empty() {
            errors.push(FieldError::required(&path, ""));
        } else if !is_sysctl(name) {
            let why = "must have at most 253 characters and match regex \
                       ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
            errors.push(FieldError::invalid(&path, name, why));
        } else if seen.contains(&name) {
            errors.push(FieldError::duplicate(&path, name));
        }
        seen.push(name);
        let shared = |field: &str| spec.bool_at(&[field]) == Some(true);
        if shared("hostNetwork") && name.starts_with("net.") {
            errors.push(FieldError::invalid(&path, name, "may not be specified when 'hostNetwork' is true"));
        }
        if shared("hostIPC") && (name.starts_with("kernel.") || name.starts_with("fs.mqueue.")) {
            errors.push(FieldError::invalid(&path, name, "may not be specified when 'hostIPC' is true"));
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let edge = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let part = |part: &str| match part.as_bytes() {
        [] => false,
        [first, .., last] => {
            edge(*first) && edge(*last) && part.bytes().all(|c| edge(c) || c == b'-' || c == b'_')
        }
        [only] => edge(*only),
    };
    name.len() <= 253 && name.split(['.', '/']).all(part)
}

fn seccomp(errors: &mut Errors, context: &Value, path: &Path) {
    profile(errors, context, path, "seccompProfile", "seccomp");
}

fn app_armor(errors: &mut Errors, context: &Value, path: &Path) {
    profile(errors, context, path, "appArmorProfile", "AppArmor");
}

fn profile(errors: &mut Errors, context: &Value, path: &Path, key: &str, kind: &str) {
    let Some(profile) = context.get(key) else { return };
    let path = path.child(key);
    let (mode, local) = (text(profile, &["type"]), profile.get("localhostProfile").and_then(Value::as_str));
    if mode.is_empty() {
        errors
            .push(FieldError::required(&path.child("type"), &format!("type is required when {key} is set")));
        return;
    }
    let supported = ["Localhost", "RuntimeDefault", "Unconfined"];
    if !supported.contains(&mode) {
        errors.push(FieldError::not_supported(&path.child("type"), mode, &supported));
        return;
    }
    let field = path.child("localhostProfile");
    match (mode, local) {
        ("Localhost", None | Some("")) => {
            errors.push(FieldError::required(&field, &format!("must be set when {kind} type is Localhost")));
        }
        ("Localhost", Some(local)) => {
            if kind == "seccomp" {
                crate::strategy::check::local_path(errors, &field, local);
            } else if local.trim() != local {
                errors.push(FieldError::invalid(&field, local, "must not be padded with whitespace"));
            }
        }
        (_, Some(_)) => {
            let shown = internal_form::text_of(
                if kind == "seccomp" { "SeccompProfile" } else { "AppArmorProfile" },
                Some(profile),
            );
            let why = format!("can only be set when {kind} type is Localhost");
            errors.push(FieldError::invalid_text(&field, &shown, &why));
        }
        _ => {}
    }
}

fn windows_options(errors: &mut Errors, context: &Value, path: &Path) {
    let Some(options) = context.get("windowsOptions") else { return };
    let path = path.child("windowsOptions");
    if let Some(name) = options.get("gmsaCredentialSpecName").and_then(Value::as_str) {
        let path = path.child("gmsaCredentialSpecName");
        if name.is_empty() {
            errors.push(FieldError::invalid(&path, name, "gmsaCredentialSpecName cannot be an empty string"));
        } else {
            crate::strategy::check::problems(errors, &path, name, names::dns1123_subdomain(name));
        }
    }
    if let Some(user) = options.get("runAsUserName").and_then(Value::as_str) {
        let path = path.child("runAsUserName");
        if user.is_empty() {
            errors.push(FieldError::invalid(&path, user, "runAsUserName cannot be an empty string"));
        } else if user.chars().any(char::is_control) {
            errors.push(FieldError::invalid(&path, user, "runAsUserName cannot contain control characters"));
        }
    }
}

/// Profiles that are said by the old annotations become fields, where there are none yet.
pub(super) fn take_app_armor_annotations(pod: &mut Value) {
    let annotations = pod.at(&["metadata", "annotations"]).cloned().unwrap_or_default();
    for list in ["containers", "initContainers"] {
        let containers = pod.at_mut(&["spec", list]).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let key =
                format!("container.apparmor.security.beta.kubernetes.io/{}", text(container, &["name"]));
            let Some(said) = annotations.get(&key).and_then(Value::as_str) else { continue };
            if container.at(&["securityContext", "appArmorProfile"]).is_some() {
                continue;
            }
            let profile = match said {
                "runtime/default" => crate::value!({ "type": "RuntimeDefault" }),
                "unconfined" => crate::value!({ "type": "Unconfined" }),
                local => match local.strip_prefix("localhost/") {
                    Some(name) => crate::value!({ "type": "Localhost", "localhostProfile": (name) }),
                    None => continue,
                },
            };
            container.set_at(&["securityContext", "appArmorProfile"], profile);
        }
    }
}

/// A container's.
pub(super) fn validate_container(errors: &mut Errors, container: &Value, path: &Path, host_users: bool) {
    let Some(context) = container.get("securityContext") else { return };
    let path = &path.child("securityContext");
    id(errors, context, path, "runAsUser");
    id(errors, context, path, "runAsGroup");
    let mount = text(context, &["procMount"]);
    if !mount.is_empty() {
        optional_one_of(errors, context, path, "procMount", &["Default", "Unmasked"]);
        if mount == "Unmasked" && host_users {
            let why = "`hostUsers` must be false to use `Unmasked`";
            errors.push(FieldError::invalid(&path.child("procMount"), mount, why));
        }
    }
    seccomp(errors, context, path);
    if context.bool_at(&["allowPrivilegeEscalation"]) == Some(false) {
        let adds_admin =
            context.array_at(&["capabilities", "add"]).iter().any(|c| c.as_str() == Some("CAP_SYS_ADMIN"));
        let privileged = context.bool_at(&["privileged"]) == Some(true);
        for (set, what) in
            [(privileged, "`privileged` to true"), (adds_admin, "`capabilities.Add` CAP_SYS_ADMIN")]
        {
            if set {
                let why = format!("cannot set `allowPrivilegeEscalation` to false and {what}");
                let shown = internal_form::text_of("SecurityContext", Some(context));
                errors.push(FieldError::invalid_text(path, &shown, &why));
            }
        }
    }
    windows_options(errors, context, path);
    app_armor(errors, context, path);
}

/// Windows host process containers must be all or none, on the host's network.
pub(super) fn validate_host_process(errors: &mut Errors, spec: &Value, path: &Path) {
    let of_pod = spec.bool_at(&["securityContext", "windowsOptions", "hostProcess"]);
    let containers = || {
        ["containers", "initContainers", "ephemeralContainers"].into_iter().flat_map(|l| spec.array_at(&[l]))
    };
    let host: Vec<bool> = containers()
        .map(|c| c.bool_at(&["securityContext", "windowsOptions", "hostProcess"]).or(of_pod).unwrap_or(false))
        .collect();
    if !host.contains(&true) {
        return;
    }
    if spec.bool_at(&["hostNetwork"]) != Some(true) {
        let why = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.push(FieldError::invalid(&path.child("hostNetwork"), false, why));
    }
    if host.contains(&false) {
        let why =
            "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.push(FieldError::invalid_text(path, "\"\"", why));
    }
}

/// What the pod's operating system rules out.
pub(super) fn validate_os(errors: &mut Errors, spec: &Value, path: &Path) {
    let Some(os) = spec.get("os") else { return };
    let name = text(os, &["name"]);
    match name {
        "" => {
            errors.push(FieldError::required(&path.child("os").child("name"), "cannot be empty"));
        }
        "linux" => {}
        "windows" => windows_pod(errors, spec, path),
        other => errors.push(FieldError::not_supported(&path.child("os"), other, &["linux", "windows"])),
    }
}

fn windows_pod(errors: &mut Errors, spec: &Value, path: &Path) {
    let why = "cannot be set for a windows pod";
    for key in ["hostPID", "hostIPC", "shareProcessNamespace"] {
        if spec.bool_at(&[key]) == Some(true) {
            errors.push(FieldError::forbidden(&path.child(key), why));
        }
    }
    let context = path.child("securityContext");
    for key in [
        "appArmorProfile",
        "seLinuxOptions",
        "seccompProfile",
        "fsGroup",
        "fsGroupChangePolicy",
        "sysctls",
        "runAsUser",
        "runAsGroup",
        "supplementalGroups",
        "supplementalGroupsPolicy",
    ] {
        if spec.at(&["securityContext", key]).is_some() {
            errors.push(FieldError::forbidden(&context.child(key), why));
        }
    }
    for list in ["containers", "initContainers"] {
        for (at, container) in spec.array_at(&[list]).iter().enumerate() {
            let path = path.child(list).index(at).child("securityContext");
            for key in [
                "appArmorProfile",
                "seLinuxOptions",
                "seccompProfile",
                "capabilities",
                "readOnlyRootFilesystem",
                "privileged",
                "allowPrivilegeEscalation",
                "procMount",
                "runAsUser",
                "runAsGroup",
            ] {
                if container.at(&["securityContext", key]).is_some() {
                    errors.push(FieldError::forbidden(&path.child(key), why));
                }
            }
        }
    }
}
