//! What pods say for Windows nodes, and what they may not say there.

use apimachinery::{FieldError, Path, Value, names};

use crate::strategy::check::{Errors, problems};
use crate::values::text;

const GMSA_SPEC_KIB_MAX: usize = 64;
/// A user's domain must be shorter than this.
const DOMAIN_LEN: usize = 256;
const USER_MAX: usize = 104;
const NETBIOS_MAX: usize = 15;
const DNS_LABEL_MAX: usize = 63;

/// `windowsOptions` of a pod's or a container's security context.
pub(super) fn options(errors: &mut Errors, context: &Value, path: &Path) {
    let Some(options) = context.get("windowsOptions") else { return };
    let path = path.child("windowsOptions");
    let string = |key: &str| options.get(key).and_then(Value::as_str);
    if let Some(name) = string("gmsaCredentialSpecName") {
        problems(errors, &path.child("gmsaCredentialSpecName"), name, names::dns1123_subdomain(name));
    }
    if let Some(spec) = string("gmsaCredentialSpec") {
        let field = path.child("gmsaCredentialSpec");
        if spec.is_empty() {
            errors.push(FieldError::invalid(&field, spec, "gmsaCredentialSpec cannot be an empty string"));
        } else if spec.len() > GMSA_SPEC_KIB_MAX * 1024 {
            let why = format!("gmsaCredentialSpec size must be under {GMSA_SPEC_KIB_MAX} KiB");
            errors.push(FieldError::invalid(&field, spec, &why));
        }
    }
    if let Some(user) = string("runAsUserName") {
        for why in user_name(user) {
            errors.push(FieldError::invalid(&path.child("runAsUserName"), user, &why));
        }
    }
}

/// A user of Windows, perhaps with its domain before a backslash.
fn user_name(whole: &str) -> Vec<String> {
    let one = |why: &str| vec![format!("runAsUserName cannot {why}")];
    if whole.is_empty() {
        return one("be an empty string");
    }
    if whole.chars().any(|c| c.is_ascii_control()) {
        return one("contain control characters");
    }
    let parts: Vec<&str> = whole.split('\\').collect();
    let (domain, user) = match parts[..] {
        [user] => (None, user),
        [domain, user] => (Some(domain), user),
        _ => return one("contain more than one backslash"),
    };
    let mut found = Vec::new();
    if let Some(domain) = domain {
        if domain.len() >= DOMAIN_LEN {
            found.push(format!("runAsUserName's Domain length must be under {DOMAIN_LEN} characters"));
        }
        if !is_netbios(domain) && !is_dns(domain) {
            found.push("runAsUserName's Domain doesn't match the NetBios nor the DNS format".into());
        }
    }
    if user.is_empty() {
        found.push("runAsUserName's User cannot be empty".into());
    } else if user.len() > USER_MAX {
        found.push(format!("runAsUserName's User length must not be longer than {USER_MAX} characters"));
    }
    if !user.is_empty() && user.bytes().all(|b| b == b'.' || b == b' ') {
        found.push("runAsUserName's User cannot contain only periods or spaces".into());
    }
    if user.contains(|c: char| "\"/\\:;|=,+*?<>@[]".contains(c)) {
        let why = "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]";
        found.push(why.into());
    }
    found
}

fn is_netbios(domain: &str) -> bool {
    (1..=NETBIOS_MAX).contains(&domain.chars().count())
        && !domain.starts_with('.')
        && !domain.contains(|c: char| "\\/:*?\"<>|".contains(c))
}

fn is_dns(domain: &str) -> bool {
    domain.split('.').all(|label| {
        (1..=DNS_LABEL_MAX).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

/// Containers that are processes of the host: all of a pod's or none, on the host's network.
pub(super) fn host_process(errors: &mut Errors, spec: &Value, path: &Path) {
    let of_pod = spec.bool_at(&["securityContext", "windowsOptions", "hostProcess"]);
    let (mut n_containers, mut n_host) = (0, 0);
    visit_containers(spec, path, |container, path| {
        let own = container.bool_at(&["securityContext", "windowsOptions", "hostProcess"]);
        if let (Some(pod), Some(own)) = (of_pod, own)
            && pod != own
        {
            let field = path.child("securityContext").child("windowsOptions").child("hostProcess");
            let why = format!("pod hostProcess value must be identical if both are specified, was {pod}");
            errors.push(FieldError::invalid(&field, own, &why));
        }
        n_containers += 1;
        n_host += usize::from(own.or(of_pod) == Some(true));
    });
    if n_host == 0 {
        return;
    }
    if n_host != n_containers {
        let why =
            "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.push(FieldError::invalid(path, "", why));
    }
    if spec.bool_at(&["hostNetwork"]) != Some(true) {
        let why = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.push(FieldError::invalid(&path.child("hostNetwork"), false, why));
    }
}

/// Every container with its path, in upstream's order.
pub(super) fn visit_containers<'a>(spec: &'a Value, path: &Path, mut visit: impl FnMut(&'a Value, &Path)) {
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        let own = path.child(list);
        for (at, container) in spec.array_at(&[list]).iter().enumerate() {
            visit(container, &own.index(at));
        }
    }
}

/// What the pod's operating system rules out.
pub(super) fn operating_system(errors: &mut Errors, spec: &Value, path: &Path) {
    let Some(os) = spec.get("os") else { return };
    match text(os, &["name"]) {
        "" => errors.push(FieldError::required(&path.child("os").child("name"), "cannot be empty")),
        "linux" => linux_pod(errors, spec, path),
        "windows" => windows_pod(errors, spec, path),
        other => errors.push(FieldError::not_supported(&path.child("os"), other, &["linux", "windows"])),
    }
}

fn linux_pod(errors: &mut Errors, spec: &Value, path: &Path) {
    let mut refuse = |of: &Value, path: &Path| {
        if of.at(&["securityContext", "windowsOptions"]).is_some() {
            let field = path.child("securityContext").child("windowsOptions");
            errors.push(FieldError::forbidden(&field, "windows options cannot be set for a linux pod"));
        }
    };
    refuse(spec, path);
    visit_containers(spec, path, refuse);
}

/// Settings of a pod's security context that Windows does not have, in upstream's order; those with `true` stand in the
/// spec itself.
const POD_SETTINGS: [(&str, bool); 15] = [
    ("appArmorProfile", false),
    ("seLinuxOptions", false),
    ("hostUsers", true),
    ("hostPID", true),
    ("hostIPC", true),
    ("seccompProfile", false),
    ("fsGroup", false),
    ("fsGroupChangePolicy", false),
    ("sysctls", false),
    ("shareProcessNamespace", true),
    ("runAsUser", false),
    ("runAsGroup", false),
    ("supplementalGroups", false),
    ("supplementalGroupsPolicy", false),
    ("seLinuxChangePolicy", false),
];
const CONTAINER_SETTINGS: [&str; 10] = [
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
];

fn windows_pod(errors: &mut Errors, spec: &Value, path: &Path) {
    let why = "cannot be set for a windows pod";
    let context = path.child("securityContext");
    for (key, in_spec) in POD_SETTINGS {
        let (value, field) = if in_spec {
            (spec.get(key), path.child(key))
        } else {
            (spec.at(&["securityContext", key]), context.child(key))
        };
        // These two are not there when they are false, and the list when it is empty.
        let counts = |value: &&Value| match key {
            "hostPID" | "hostIPC" => value.as_bool() == Some(true),
            "sysctls" => value.as_array().is_some_and(|list| !list.is_empty()),
            _ => true,
        };
        if value.filter(counts).is_some() {
            errors.push(FieldError::forbidden(&field, why));
        }
    }
    visit_containers(spec, path, |container, path| {
        let Some(context) = container.get("securityContext") else { return };
        for key in CONTAINER_SETTINGS.iter().filter(|key| context.get(key).is_some()) {
            errors.push(FieldError::forbidden(&path.child("securityContext").child(key), why));
        }
    });
}

/// A container's user, which only Linux has.
pub(super) fn refuse_running_user(errors: &mut Errors, status: &Value, path: &Path) {
    if status.at(&["user", "linux"]).is_some() {
        errors.push(FieldError::forbidden(&path.child("linux"), "cannot be set for a windows pod"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_user(name: &str, expected: &[&str]) {
        assert_eq!(user_name(name), expected);
    }

    #[test]
    fn users_have_a_form() {
        check_user("DOMAIN\\user name", &[]);
        check_user("a.example.com\\user", &[]);
        check_user("", &["runAsUserName cannot be an empty string"]);
        check_user("a\tb", &["runAsUserName cannot contain control characters"]);
        check_user("a\\b\\c", &["runAsUserName cannot contain more than one backslash"]);
        let long = format!("{}\\u", "a".repeat(256));
        check_user(
            &long,
            &[
                "runAsUserName's Domain length must be under 256 characters",
                "runAsUserName's Domain doesn't match the NetBios nor the DNS format",
            ],
        );
        check_user("-?\\u", &["runAsUserName's Domain doesn't match the NetBios nor the DNS format"]);
        check_user("d\\", &["runAsUserName's User cannot be empty"]);
        check_user(&"u".repeat(105), &["runAsUserName's User length must not be longer than 104 characters"]);
        check_user(". .", &["runAsUserName's User cannot contain only periods or spaces"]);
        check_user(
            "a@b",
            &["runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"],
        );
    }
}
