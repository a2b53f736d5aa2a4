//! Containers of the three kinds: regular, init and ephemeral.

use apimachinery::{FieldError, Path, Value, names};

use super::{env, mounts, probe, resources, security};
use crate::strategy::check::{Errors, one_of, optional_one_of, port, problems, required_name};
use crate::values::text;

/// What of the pod its containers are checked against.
#[derive(Debug)]
pub(super) struct PodContext<'a> {
    /// Those that can be mounted.
    pub(super) volumes: Vec<&'a Value>,
    pub(super) claims: Vec<&'a str>,
    pub(super) grace: i64,
    pub(super) host_users: bool,
    pub(super) restart_policy: &'a str,
}

pub(super) fn validate_all(errors: &mut Errors, spec: &Value, path: &Path, pod: &PodContext<'_>) {
    let containers = spec.array_at(&["containers"]);
    let list = path.child("containers");
    if containers.is_empty() {
        errors.push(FieldError::required(&list, ""));
    }
    let mut seen: Vec<&str> = Vec::new();
    for (at, container) in containers.iter().enumerate() {
        let path = list.index(at);
        common(errors, container, &path, pod);
        unique(errors, container, &path, &mut seen);
        probe::lifecycle(errors, container, &path, pod.grace);
        probe::validate(errors, container, &path);
        restart(errors, container, &path);
    }
    host_ports(errors, containers, &list);
    init(errors, spec, path, pod, &mut seen);
    ephemeral(errors, spec, path, pod, &mut seen);
}

fn unique<'a>(errors: &mut Errors, container: &'a Value, path: &Path, seen: &mut Vec<&'a str>) {
    let name = text(container, &["name"]);
    if seen.contains(&name) {
        errors.push(FieldError::duplicate(&path.child("name"), name));
    } else if !name.is_empty() {
        seen.push(name);
    }
}

fn common(errors: &mut Errors, container: &Value, path: &Path, pod: &PodContext<'_>) {
    required_name(errors, container, path, "name", names::dns1123_label);
    if text(container, &["image"]).is_empty() {
        errors.push(FieldError::required(&path.child("image"), ""));
    }
    match text(container, &["terminationMessagePolicy"]) {
        "" => errors.push(FieldError::required(&path.child("terminationMessagePolicy"), "")),
        _ => one_of(errors, container, path, "terminationMessagePolicy", &["File", "FallbackToLogsOnError"]),
    }
    ports(errors, container, &path.child("ports"));
    env::validate(errors, container, path);
    mounts::validate(errors, container, path, &pod.volumes);
    match text(container, &["imagePullPolicy"]) {
        "" => errors.push(FieldError::required(&path.child("imagePullPolicy"), "")),
        _ => one_of(errors, container, path, "imagePullPolicy", &["Always", "IfNotPresent", "Never"]),
    }
    resources::validate(errors, container.get("resources"), &path.child("resources"), &pod.claims);
    resize_policy(errors, container, &path.child("resizePolicy"), pod.restart_policy);
    security::validate_container(errors, container, path, pod.host_users);
}

fn ports(errors: &mut Errors, container: &Value, list: &Path) {
    let mut seen: Vec<&str> = Vec::new();
    for (at, value) in container.array_at(&["ports"]).iter().enumerate() {
        let path = list.index(at);
        let name = text(value, &["name"]);
        if !name.is_empty() {
            let found = names::port_name(name);
            if !found.is_empty() {
                problems(errors, &path.child("name"), name, found);
            } else if seen.contains(&name) {
                errors.push(FieldError::duplicate(&path.child("name"), name));
            } else {
                seen.push(name);
            }
        }
        match value.i64_at(&["containerPort"]).unwrap_or(0) {
            0 => errors.push(FieldError::required(&path.child("containerPort"), "")),
            number => port(errors, &path.child("containerPort"), number),
        }
        match value.i64_at(&["hostPort"]).unwrap_or(0) {
            0 => {}
            number => port(errors, &path.child("hostPort"), number),
        }
        match text(value, &["protocol"]) {
            "" => errors.push(FieldError::required(&path.child("protocol"), "")),
            _ => one_of(errors, value, &path, "protocol", &["SCTP", "TCP", "UDP"]),
        }
    }
}

fn host_ports(errors: &mut Errors, containers: &[Value], list: &Path) {
    let mut seen: Vec<String> = Vec::new();
    for (at, container) in containers.iter().enumerate() {
        for (port_at, value) in container.array_at(&["ports"]).iter().enumerate() {
            let number = value.i64_at(&["hostPort"]).unwrap_or(0);
            if number == 0 {
                continue;
            }
            let shown = format!("{}/{}/{number}", text(value, &["protocol"]), text(value, &["hostIP"]));
            if seen.contains(&shown) {
                let path = list.index(at).child("ports").index(port_at).child("hostPort");
                errors.push(FieldError::duplicate(&path, shown));
            } else {
                seen.push(shown);
            }
        }
    }
}

fn resize_policy(errors: &mut Errors, container: &Value, path: &Path, restart_policy: &str) {
    let mut seen: Vec<&str> = Vec::new();
    for (at, policy) in container.array_at(&["resizePolicy"]).iter().enumerate() {
        let resource = text(policy, &["resourceName"]);
        if seen.contains(&resource) {
            errors.push(FieldError::duplicate(&path.index(at), resource));
        }
        seen.push(resource);
        match resource {
            "" => errors.push(FieldError::required(path, "")),
            "cpu" | "memory" => {}
            other => errors.push(FieldError::not_supported(path, other, &["cpu", "memory"])),
        }
        match text(policy, &["restartPolicy"]) {
            "" => errors.push(FieldError::required(path, "")),
            "NotRequired" | "RestartContainer" => {}
            other => {
                let supported = ["NotRequired", "RestartContainer"];
                errors.push(FieldError::not_supported(path, other, &supported));
            }
        }
        if restart_policy == "Never" && text(policy, &["restartPolicy"]) != "NotRequired" {
            let shown = text(policy, &["restartPolicy"]);
            errors.push(FieldError::invalid(
                path,
                shown,
                "must be 'NotRequired' when `restartPolicy` is 'Never'",
            ));
        }
    }
}

/// Rules of a container about its own restart, and exit codes of a rule.
const RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;

/// A container's own restart policy and rules.
fn restart(errors: &mut Errors, container: &Value, path: &Path) {
    let rules = container.array_at(&["restartPolicyRules"]);
    optional_one_of(errors, container, path, "restartPolicy", &["Always", "Never", "OnFailure"]);
    if !rules.is_empty() && text(container, &["restartPolicy"]).is_empty() {
        let why = "must specify restartPolicy when restart rules are used";
        errors.push(FieldError::required(&path.child("restartPolicy"), why));
    }
    let list = path.child("restartPolicyRules");
    if rules.len() > RULES_MAX {
        errors.push(FieldError::too_many(&list, rules.len(), RULES_MAX));
    }
    for (at, rule) in rules.iter().enumerate() {
        let path = list.index(at);
        one_of(errors, rule, &path, "action", &["Restart", "RestartAllContainers"]);
        match rule.get("exitCodes") {
            None => errors.push(FieldError::required(&path.child("exitCodes"), "must be specified")),
            Some(codes) => {
                let path = path.child("exitCodes");
                one_of(errors, codes, &path, "operator", &["In", "NotIn"]);
                let n_values = codes.array_at(&["values"]).len();
                if n_values > EXIT_CODES_MAX {
                    errors.push(FieldError::too_many(&path.child("values"), n_values, EXIT_CODES_MAX));
                }
            }
        }
    }
}

fn init<'a>(
    errors: &mut Errors,
    spec: &'a Value,
    path: &Path,
    pod: &PodContext<'_>,
    seen: &mut Vec<&'a str>,
) {
    let list = path.child("initContainers");
    for (at, container) in spec.array_at(&["initContainers"]).iter().enumerate() {
        let path = list.index(at);
        common(errors, container, &path, pod);
        let restarts = text(container, &["restartPolicy"]) == "Always";
        restart(errors, container, &path);
        unique(errors, container, &path, seen);
        host_ports(errors, std::slice::from_ref(container), &list);
        if restarts {
            probe::lifecycle(errors, container, &path, pod.grace);
            probe::validate(errors, container, &path);
        } else {
            for key in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
                if container.get(key).is_some() {
                    let why = "may not be set for init containers without restartPolicy=Always";
                    errors.push(FieldError::forbidden(&path.child(key), why));
                }
            }
        }
    }
}

/// Fields that an ephemeral container may not have, in the order of the internal type.
const NOT_EPHEMERAL: [&str; 9] = [
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
];

fn ephemeral<'a>(
    errors: &mut Errors,
    spec: &'a Value,
    path: &Path,
    pod: &PodContext<'_>,
    seen: &mut Vec<&'a str>,
) {
    let list = path.child("ephemeralContainers");
    let targets: Vec<&str> = ["containers", "initContainers"]
        .iter()
        .flat_map(|l| spec.array_at(&[l]))
        .map(|c| text(c, &["name"]))
        .collect();
    for (at, container) in spec.array_at(&["ephemeralContainers"]).iter().enumerate() {
        let path = list.index(at);
        common(errors, container, &path, pod);
        trimmed_image(errors, container, &path);
        unique(errors, container, &path, seen);
        let target = text(container, &["targetContainerName"]);
        if !target.is_empty() && !targets.contains(&target) {
            errors.push(FieldError::not_found(&path.child("targetContainerName"), target));
        }
        for key in NOT_EPHEMERAL {
            let set = container.get(key).is_some_and(|v| !crate::strategy::check::same(Some(v), None));
            if set {
                errors.push(FieldError::forbidden(
                    &path.child(key),
                    "cannot be set for an Ephemeral Container",
                ));
            }
        }
        for (at, mount) in container.array_at(&["volumeMounts"]).iter().enumerate() {
            for key in ["subPath", "subPathExpr"] {
                if !text(mount, &[key]).is_empty() {
                    let path = path.child("volumeMounts").index(at).child(key);
                    errors.push(FieldError::forbidden(&path, "cannot be set for an Ephemeral Container"));
                }
            }
        }
    }
}

/// Pods (not templates) refuse images with blanks around them.
pub(super) fn only_for_pods(errors: &mut Errors, spec: &Value, path: &Path) {
    for list in ["containers", "initContainers"] {
        for (at, container) in spec.array_at(&[list]).iter().enumerate() {
            trimmed_image(errors, container, &path.child(list).index(at));
        }
    }
}

pub(super) fn trimmed_image(errors: &mut Errors, container: &Value, path: &Path) {
    let image = text(container, &["image"]);
    if image.trim() != image {
        let why = "must not have leading or trailing whitespace";
        errors.push(FieldError::invalid(&path.child("image"), image, why));
    }
}

/// Whether a container that ended with a code is started again: by its own rules and policy, else the pod's.
pub(super) fn restarts(container: Option<&Value>, pod_policy: &str, exit_code: i64) -> bool {
    let own = container.map(|c| text(c, &["restartPolicy"])).unwrap_or_default();
    let rules = container.map(|c| c.array_at(&["restartPolicyRules"])).unwrap_or_default();
    let fits = |rule: &&Value| {
        let listed = rule.array_at(&["exitCodes", "values"]).iter().any(|v| v.as_i64() == Some(exit_code));
        match text(rule, &["exitCodes", "operator"]) {
            "In" => listed,
            "NotIn" => !listed,
            _ => false,
        }
    };
    if rules.iter().any(|rule| fits(&rule)) {
        return true;
    }
    match if own.is_empty() { pod_policy } else { own } {
        "Always" => true,
        "OnFailure" => exit_code != 0,
        _ => false,
    }
}
