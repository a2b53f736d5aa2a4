//! Security contexts of pods and containers. What is Windows' alone is in [`super::windows`].

use apimachinery::{FieldError, Path, Value, names};

use super::windows;
use crate::strategy::check::{Errors, local_path, one_of, optional_one_of};
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
    let path = &path.child("securityContext");
    let empty = Value::object();
    let context = spec.get("securityContext").unwrap_or(&empty);
    id(errors, context, path, "fsGroup");
    id(errors, context, path, "runAsUser");
    id(errors, context, path, "runAsGroup");
    groups(errors, context, &path.child("supplementalGroups"));
    if spec.bool_at(&["shareProcessNamespace"]) == Some(true) && spec.bool_at(&["hostPID"]) == Some(true) {
        let why = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(FieldError::invalid(&path.child("shareProcessNamespace"), true, why));
    }
    sysctls(errors, context, path, spec);
    optional_one_of(errors, context, path, "fsGroupChangePolicy", &["Always", "OnRootMismatch"]);
    seccomp(errors, context, path);
    windows::options(errors, context, path);
    app_armor(errors, context, path);
    optional_one_of(errors, context, path, "supplementalGroupsPolicy", &["Merge", "Strict"]);
    optional_one_of(errors, context, path, "seLinuxChangePolicy", &["Recursive"]);
}

/// The user and the groups that a container's status says it runs as.
pub(super) fn validate_running_user(errors: &mut Errors, user: &Value, path: &Path) {
    for key in ["uid", "gid"] {
        id(errors, user, path, key);
    }
    groups(errors, user, &path.child("supplementalGroups"));
}

fn groups(errors: &mut Errors, of: &Value, path: &Path) {
    for (at, group) in of.array_at(&["supplementalGroups"]).iter().enumerate() {
        if let Some(group) = group.as_i64()
            && !(0..=ID_MAX).contains(&group)
        {
            errors.push(FieldError::invalid(&path.index(at), group, &names::inclusive_range(0, ID_MAX)));
        }
    }
}

/// A pod with users of its own shares no other namespace with its host.
pub(super) fn host_users(errors: &mut Errors, spec: &Value, path: &Path) {
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
pub(super) fn host_network_ports(errors: &mut Errors, spec: &Value, path: &Path) {
    if spec.bool_at(&["hostNetwork"]) != Some(true) {
        return;
    }
    let in_template = super::in_template(path);
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
        let dotted = name.replace('/', ".");
        if shared("hostNetwork") && dotted.starts_with("net.") {
            errors.push(FieldError::invalid(&path, name, "may not be specified when 'hostNetwork' is true"));
        } else if shared("hostIPC")
            && (dotted == "kernel.sem" || IPC_SYSCTLS.iter().any(|prefix| dotted.starts_with(prefix)))
        {
            errors.push(FieldError::invalid(&path, name, "may not be specified when 'hostIPC' is true"));
        }
    }
}

/// What settings of the namespace for communication between processes start with.
const IPC_SYSCTLS: [&str; 3] = ["kernel.shm", "kernel.msg", "fs.mqueue."];

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

const PROFILES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];
/// As long as a path may be.
const APP_ARMOR_PROFILE_MAX: usize = 4095;

fn seccomp(errors: &mut Errors, context: &Value, path: &Path) {
    let Some(profile) = context.get("seccompProfile") else { return };
    let path = path.child("seccompProfile");
    let (mode, local) = (text(profile, &["type"]), profile.get("localhostProfile").and_then(Value::as_str));
    match mode {
        "" => {
            let why = "type is required when seccompProfile is set";
            errors.push(FieldError::required(&path.child("type"), why));
        }
        _ => one_of(errors, profile, &path, "type", &PROFILES),
    }
    let field = path.child("localhostProfile");
    match (mode, local) {
        ("Localhost", None) => {
            errors.push(FieldError::required(&field, "must be set when seccomp type is Localhost"));
        }
        ("Localhost", Some(local)) => local_path(errors, &field, local),
        (_, Some(_)) => {
            let shown = internal_form::text_of("SeccompProfile", Some(profile));
            let why = "can only be set when seccomp type is Localhost";
            errors.push(FieldError::invalid_text(&field, &shown, why));
        }
        _ => {}
    }
}

fn app_armor(errors: &mut Errors, context: &Value, path: &Path) {
    let Some(profile) = context.get("appArmorProfile") else { return };
    let path = path.child("appArmorProfile");
    let field = path.child("localhostProfile");
    let local = profile.get("localhostProfile").and_then(Value::as_str);
    match (text(profile, &["type"]), local) {
        ("Localhost", local) => {
            let local = local.unwrap_or_default();
            if local.trim() != local {
                errors.push(FieldError::invalid(&field, local, "must not be padded with whitespace"));
            } else if local.is_empty() {
                errors.push(FieldError::required(&field, "must be set when AppArmor type is Localhost"));
            }
            if local.len() > APP_ARMOR_PROFILE_MAX {
                errors.push(FieldError::too_long(&field, APP_ARMOR_PROFILE_MAX));
            }
        }
        ("RuntimeDefault" | "Unconfined", Some(local)) => {
            let why = "can only be set when AppArmor type is Localhost";
            errors.push(FieldError::invalid(&field, local, why));
        }
        ("RuntimeDefault" | "Unconfined", None) => {}
        ("", _) => {
            let why = "type is required when appArmorProfile is set";
            errors.push(FieldError::required(&path.child("type"), why));
        }
        _ => one_of(errors, profile, &path, "type", &PROFILES),
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
        one_of(errors, context, path, "procMount", &["Default", "Unmasked"]);
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
    windows::options(errors, context, path);
    app_armor(errors, context, path);
}
