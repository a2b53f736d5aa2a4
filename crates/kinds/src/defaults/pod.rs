//! Defaults of pods and of everything that holds a pod template.

use apimachinery::{Object, Value};

use super::{at, each, fill_from, has, round_quantities, set, set_text, text};
use crate::scalar;

/// A pod itself: a template's pod gets these only when it is created.
pub(super) fn pod(value: &mut Value) {
    let spec = at(value, "spec");
    pod_spec(spec);
    set(spec, "enableServiceLinks", true);
    let host_network = spec.get("hostNetwork").and_then(Value::as_bool) == Some(true);
    for key in ["containers", "initContainers"] {
        for container in each(spec, key) {
            requests_from_limits(container);
            if host_network {
                each(container, "ports").for_each(host_port);
            }
        }
    }
    if has(spec, "resources") {
        pod_level_requests(spec);
    }
}

pub(super) fn template(value: &mut Value) {
    pod_spec(at(value, "spec"));
}

fn pod_spec(spec: &mut Value) {
    set_text(spec, "dnsPolicy", "ClusterFirst");
    set_text(spec, "restartPolicy", "Always");
    set(spec, "terminationGracePeriodSeconds", 30);
    set(spec, "securityContext", Value::object());
    set_text(spec, "schedulerName", "default-scheduler");
    // A negative period was once let in; it means at once, which is one second.
    if spec.get("terminationGracePeriodSeconds").and_then(Value::as_i64).is_some_and(|s| s < 0) {
        set_over(spec, "terminationGracePeriodSeconds", 1);
    }
    service_account(spec);
    each(spec, "volumes").for_each(volume);
    for key in ["containers", "initContainers", "ephemeralContainers"] {
        each(spec, key).for_each(container);
    }
    round_quantities(spec, "overhead");
    if has(spec, "resources") {
        let resources = at(spec, "resources");
        round_quantities(resources, "limits");
        round_quantities(resources, "requests");
    }
}

/// The account has an old name beside its name; both always say the same.
fn service_account(spec: &mut Value) {
    if text(spec, "serviceAccountName").is_empty() {
        let name = text(spec, "serviceAccount").to_owned();
        if !name.is_empty() {
            spec.set_at(&["serviceAccountName"], name);
        }
    }
    let name = text(spec, "serviceAccountName").to_owned();
    if !name.is_empty() {
        spec.set_at(&["serviceAccount"], name);
    }
}

fn set_over(value: &mut Value, key: &str, new: impl Into<Value>) {
    if let Some(object) = value.as_object_mut() {
        object.insert(key, new);
    }
}

/// On the host's network a container's port is the host's.
fn host_port(port: &mut Value) {
    if port.get("hostPort").and_then(Value::as_i64).unwrap_or(0) == 0
        && let Some(number) = port.get("containerPort").cloned()
    {
        set_over(port, "hostPort", number);
    }
}

fn container(container: &mut Value) {
    let policy = pull_policy(text(container, "image"));
    set_text(container, "imagePullPolicy", policy);
    set_text(container, "terminationMessagePath", "/dev/termination-log");
    set_text(container, "terminationMessagePolicy", "File");
    for port in each(container, "ports") {
        set_text(port, "protocol", "TCP");
    }
    for variable in each(container, "env") {
        if let Some(source) = variable.get_mut("valueFrom") {
            field_ref(source);
            if let Some(file) = source.get_mut("fileKeyRef").filter(|v| v.is_object()) {
                set(file, "optional", false);
            }
        }
    }
    for key in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(key).filter(|v| v.is_object()) {
            self::probe(probe);
        }
    }
    for key in ["postStart", "preStop"] {
        if let Some(handler) = container.at_mut(&["lifecycle", key]) {
            http_get(handler);
        }
    }
    let resources = at(container, "resources");
    round_quantities(resources, "limits");
    round_quantities(resources, "requests");
}

fn probe(probe: &mut Value) {
    for (key, default) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        set(probe, key, default);
    }
    http_get(probe);
    if let Some(grpc) = probe.get_mut("grpc").filter(|v| v.is_object()) {
        set(grpc, "service", "");
    }
}

fn http_get(handler: &mut Value) {
    if let Some(get) = handler.get_mut("httpGet").filter(|v| v.is_object()) {
        set_text(get, "path", "/");
        set_text(get, "scheme", "HTTP");
    }
}

fn field_ref(source: &mut Value) {
    if let Some(field) = source.get_mut("fieldRef").filter(|v| v.is_object()) {
        set_text(field, "apiVersion", "v1");
    }
}

/// `Always` for images without a tag or with `latest`; what cannot be read as a reference counts as tagged.
pub(super) fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = match image.split_once('@') {
        Some((name, _)) => (name, true),
        None => (image, false),
    };
    let last = name.rfind('/').map_or(0, |at| at + 1);
    let tag = name[last..].find(':').map(|at| &name[last + at + 1..]);
    let path = &name[..tag.map_or(name.len(), |tag| name.len() - tag.len() - 1)];
    match tag {
        _ if !is_repository(path) => "IfNotPresent",
        Some("latest") => "Always",
        None if !digest => "Always",
        _ => "IfNotPresent",
    }
}

/// Whether the part before tag and digest may name a repository: lower case but for a registry in front.
fn is_repository(path: &str) -> bool {
    let path = match path.split_once('/') {
        Some((host, rest))
            if host.contains(['.', ':']) || host == "localhost" || host.chars().any(char::is_uppercase) =>
        {
            rest
        }
        _ => path,
    };
    !path.is_empty()
        && path.split('/').all(|word| {
            let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
            let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
            word.chars().all(allowed) && edge(word.chars().next()) && edge(word.chars().next_back())
        })
}

/// The mode of files that a volume makes: 0644.
const FILE_MODE: i64 = 0o644;

pub(super) fn volume(volume: &mut Value) {
    let n_sources = volume.as_object().map_or(0, |o| o.keys().filter(|k| *k != "name").count());
    if n_sources == 0 {
        set(volume, "emptyDir", Value::object());
    }
    for key in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(source) = volume.get_mut(key).filter(|v| v.is_object()) {
            set(source, "defaultMode", FILE_MODE);
            if key == "downwardAPI" {
                each(source, "items").for_each(field_ref);
            }
            each(source, "sources").for_each(projection);
        }
    }
    super::storage::sources(volume);
    if let Some(source) = volume.get_mut("image").filter(|v| v.is_object()) {
        let policy = pull_policy(text(source, "reference"));
        set_text(source, "pullPolicy", policy);
    }
    if let Some(spec) = volume.at_mut(&["ephemeral", "volumeClaimTemplate", "spec"]) {
        super::core::claim_spec(spec);
    }
}

fn projection(source: &mut Value) {
    if let Some(api) = source.get_mut("downwardAPI") {
        each(api, "items").for_each(field_ref);
    }
    if let Some(token) = source.get_mut("serviceAccountToken").filter(|v| v.is_object()) {
        set(token, "expirationSeconds", 3600);
    }
    if let Some(certificate) = source.get_mut("podCertificate").filter(|v| v.is_object()) {
        set(certificate, "maxExpirationSeconds", 86_400);
    }
}

/// What is limited but not requested is requested up to its limit.
fn requests_from_limits(container: &mut Value) {
    let resources = at(container, "resources");
    let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else { return };
    fill_from(at(resources, "requests").as_object_mut().expect("at makes an object"), &limits);
}

/// Pod-level requests that are not given: what the containers request together, else the pod's limits.
fn pod_level_requests(spec: &mut Value) {
    let mut requests = Object::new();
    for (key, nanos) in container_requests(spec) {
        if matches!(key.as_str(), "cpu" | "memory") {
            requests.insert(&key, scalar::quantity_of_nanos(nanos, key == "memory"));
        }
    }
    let resources = at(spec, "resources");
    let empty = |key: &str| resources.get(key).and_then(Value::as_object).is_none_or(Object::is_empty);
    if empty("limits") && empty("requests") {
        return;
    }
    if let Some(limits) = resources.get("limits").and_then(Value::as_object) {
        for (key, limit) in limits.iter() {
            let counts = matches!(key, "cpu" | "memory") || key.starts_with("hugepages-");
            if counts && !requests.contains_key(key) {
                requests.insert(key, limit.clone());
            }
        }
    }
    fill_from(at(resources, "requests").as_object_mut().expect("at makes an object"), &requests);
}

/// What all containers request together, in billionths: those that run at a time are added, init containers run in turn.
fn container_requests(spec: &Value) -> std::collections::BTreeMap<String, i128> {
    let mut total = std::collections::BTreeMap::new();
    let mut peaks: std::collections::BTreeMap<String, i128> = std::collections::BTreeMap::new();
    let requests = |container: &Value| -> Vec<(String, i128)> {
        let list = container.at(&["resources", "requests"]).and_then(Value::as_object);
        list.into_iter()
            .flat_map(Object::iter)
            .filter_map(|(key, value)| Some((key.to_owned(), scalar::quantity_nanos(value.as_str()?)?)))
            .collect()
    };
    for container in spec.array_at(&["initContainers"]) {
        let sidecar = text(container, "restartPolicy") == "Always";
        for (key, nanos) in requests(container) {
            let running: i128 = total.get(&key).copied().unwrap_or(0);
            let peak = peaks.entry(key.clone()).or_insert(0);
            *peak = (*peak).max(running + nanos);
            if sidecar {
                total.insert(key, running + nanos);
            }
        }
    }
    for container in spec.array_at(&["containers"]) {
        for (key, nanos) in requests(container) {
            *total.entry(key).or_insert(0) += nanos;
        }
    }
    for (key, peak) in peaks {
        let sum = total.entry(key).or_insert(0);
        *sum = (*sum).max(peak);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_decides_the_pull_policy() {
        for (image, expected) in [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.27", "IfNotPresent"),
            ("registry:5000/a/b", "Always"),
            ("registry:5000/a/b:v1", "IfNotPresent"),
            ("nginx@sha256:0000", "IfNotPresent"),
            ("nginx:latest@sha256:0000", "Always"),
            ("Nginx", "IfNotPresent"),
            ("", "IfNotPresent"),
        ] {
            assert_eq!(pull_policy(image), expected, "{image}");
        }
    }

    #[test]
    fn sidecars_add_up_and_init_containers_peak() {
        let spec = Value::from_json(
            br#"{"initContainers":[{"restartPolicy":"Always","resources":{"requests":{"cpu":"1"}}},{"resources":{"requests":{"cpu":"5"}}}],
                 "containers":[{"resources":{"requests":{"cpu":"500m","memory":"1Gi"}}}]}"#,
        )
        .unwrap();
        let requests = container_requests(&spec);
        assert_eq!(requests["cpu"], 6_000_000_000);
        assert_eq!(requests["memory"], 1_073_741_824_000_000_000);
    }
}
