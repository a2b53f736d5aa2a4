//! A container's environment: services, then `envFrom`, then `env`, with references expanded, in upstream's precedence and
//! with upstream's error texts. Pure: the objects it refers to are given.

use std::collections::BTreeMap;

use base64::Engine as _;
use indexmap::IndexMap;

use super::expand::expand;
use crate::api::pod::{Container, EnvVar, Resources};
use crate::api::{ConfigMap, Pod, Secret, Service};
use crate::quantity::{Quantity, div_up};

/// Where values come from; `None` is an object that does not exist.
pub trait Sources {
    fn config_map(&self, name: &str) -> Option<std::sync::Arc<ConfigMap>>;
    fn secret(&self, name: &str) -> Option<std::sync::Arc<Secret>>;
}

/// What a pod's fields may speak of beyond the pod itself.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    pub node_name: String,
    pub host_ips: Vec<String>,
    pub pod_ips: Vec<String>,
    /// What a container without a limit of its own may use.
    pub allocatable: BTreeMap<String, Quantity>,
}

/// The environment in order; an error is what the waiting reason CreateContainerConfigError says.
pub fn environment(
    pod: &Pod,
    container: &Container,
    around: &Surroundings,
    services: &[(String, String)],
    sources: &dyn Sources,
) -> Result<IndexMap<String, String>, String> {
    let mut made: IndexMap<String, String> = IndexMap::new();
    let service_env: BTreeMap<&str, &str> = services.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    for from in &container.env_from {
        if let Some(reference) = &from.config_map_ref {
            match sources.config_map(&reference.name) {
                Some(map) => {
                    made.extend(map.data.iter().map(|(k, v)| (format!("{}{k}", from.prefix), v.clone())));
                }
                None if reference.optional => {}
                None => return Err(format!("configmap {:?} not found", reference.name)),
            }
        } else if let Some(reference) = &from.secret_ref {
            match sources.secret(&reference.name) {
                Some(secret) => {
                    for (key, value) in &secret.data {
                        made.insert(format!("{}{key}", from.prefix), decode(value));
                    }
                }
                None if reference.optional => {}
                None => return Err(format!("secret {:?} not found", reference.name)),
            }
        }
    }
    // References see what stands in `env` before them, then services.
    let mut earlier: BTreeMap<String, String> = BTreeMap::new();
    for var in &container.env {
        let value = if let Some(value) = from_source(pod, container, around, sources, var)? {
            value
        } else if var.value_from.is_some() {
            continue;
        } else {
            expand(&var.value, |name| {
                earlier.get(name).cloned().or_else(|| service_env.get(name).map(|v| (*v).to_owned()))
            })
        };
        earlier.insert(var.name.clone(), value.clone());
        made.insert(var.name.clone(), value);
    }
    for (name, value) in services {
        made.entry(name.clone()).or_insert_with(|| value.clone());
    }
    Ok(made)
}

/// The value of a variable that has a source; `None` where there is none or an optional one is missing.
fn from_source(
    pod: &Pod,
    container: &Container,
    around: &Surroundings,
    sources: &dyn Sources,
    var: &EnvVar,
) -> Result<Option<String>, String> {
    let Some(from) = &var.value_from else { return Ok(None) };
    if let Some(field) = &from.field_ref {
        return field_value(pod, around, &field.field_path).map(Some);
    }
    if let Some(field) = &from.resource_field_ref {
        let named = if field.container_name.is_empty() {
            Some(container)
        } else {
            pod.spec.container(&field.container_name)
        };
        let named = named.ok_or_else(|| format!("container {} not found", field.container_name))?;
        return resource_value(&named.resources, &field.resource, &field.divisor, around).map(Some);
    }
    let namespace = &pod.metadata.namespace;
    if let Some(key) = &from.config_map_key_ref {
        let Some(map) = sources.config_map(&key.name) else {
            return if key.optional { Ok(None) } else { Err(format!("configmap {:?} not found", key.name)) };
        };
        return match map.data.get(&key.key) {
            Some(value) => Ok(Some(value.clone())),
            None if key.optional => Ok(None),
            None => Err(format!("couldn't find key {} in ConfigMap {namespace}/{}", key.key, key.name)),
        };
    }
    if let Some(key) = &from.secret_key_ref {
        let Some(secret) = sources.secret(&key.name) else {
            return if key.optional { Ok(None) } else { Err(format!("secret {:?} not found", key.name)) };
        };
        return match secret.data.get(&key.key) {
            Some(value) => Ok(Some(decode(value))),
            None if key.optional => Ok(None),
            None => Err(format!("couldn't find key {} in Secret {namespace}/{}", key.key, key.name)),
        };
    }
    Ok(None)
}

fn decode(value: &str) -> String {
    let bytes = base64::engine::general_purpose::STANDARD.decode(value).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The value of a field of the pod, for environment and downward API volumes.
pub fn field_value(pod: &Pod, around: &Surroundings, path: &str) -> Result<String, String> {
    let meta = &pod.metadata;
    if let Some((map, key)) = path.strip_suffix("']").and_then(|p| p.split_once("['")) {
        let map = match map {
            "metadata.labels" => &meta.labels,
            "metadata.annotations" => &meta.annotations,
            _ => return Err(format!("unsupported fieldPath: {path}")),
        };
        return Ok(map.get(key).cloned().unwrap_or_default());
    }
    let first = |list: &[String]| list.first().cloned().unwrap_or_default();
    Ok(match path {
        "metadata.name" => meta.name.clone(),
        "metadata.namespace" => meta.namespace.clone(),
        "metadata.uid" => meta.uid.clone(),
        "metadata.labels" => format_map(&meta.labels),
        "metadata.annotations" => format_map(&meta.annotations),
        "spec.nodeName" => around.node_name.clone(),
        "spec.serviceAccountName" => pod.spec.service_account_name.clone(),
        "status.hostIP" => first(&around.host_ips),
        "status.hostIPs" => around.host_ips.join(","),
        "status.podIP" => first(&around.pod_ips),
        "status.podIPs" => around.pod_ips.join(","),
        _ => return Err(format!("unsupported fieldPath: {path}")),
    })
}

/// A line per entry, `key="value"` with Go's quoting, as downward API files have it.
fn format_map(map: &BTreeMap<String, String>) -> String {
    let lines: Vec<String> = map.iter().map(|(k, v)| format!("{k}={}", go_quote(v))).collect();
    lines.join("\n")
}

fn go_quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 || u32::from(c) == 0x7f => {
                out.push_str(&format!("\\x{:02x}", u32::from(c)))
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The value of a container's resource in the divisor's unit, rounded up. A missing limit is what the node can give.
pub fn resource_value(
    resources: &Resources,
    name: &str,
    divisor: &Quantity,
    around: &Surroundings,
) -> Result<String, String> {
    let (list, resource) =
        name.split_once('.').ok_or_else(|| format!("unsupported container resource : {name}"))?;
    let limit = || resources.limits.get(resource).or_else(|| around.allocatable.get(resource));
    let found = match list {
        "limits" => limit(),
        "requests" => resources.requests.get(resource).or_else(|| resources.limits.get(resource)),
        _ => return Err(format!("unsupported container resource : {name}")),
    };
    let nanos = found.and_then(Quantity::nanos).unwrap_or(0);
    let unit = divisor.nanos().filter(|d| *d > 0).unwrap_or(1_000_000_000);
    Ok(div_up(nanos, unit).to_string())
}

/// The variables that tell a pod of the services it can see, in the older Docker links' form.
pub fn service_variables<'a>(
    services: impl Iterator<Item = &'a Service>,
    namespace: &str,
    links: bool,
) -> Vec<(String, String)> {
    let mut chosen: BTreeMap<&str, &Service> = BTreeMap::new();
    for service in services {
        let (ns, name) = (service.metadata.namespace.as_str(), service.metadata.name.as_str());
        if matches!(service.spec.cluster_ip.as_str(), "" | "None") {
            continue;
        }
        // Every pod hears of the API server; a service of that name in the pod's own namespace goes before it.
        if ns == namespace && links {
            chosen.insert(name, service);
        } else if ns == "default" && name == "kubernetes" {
            chosen.entry(name).or_insert(service);
        }
    }
    let mut made = Vec::new();
    for (name, service) in chosen {
        let prefix = name.to_uppercase().replace('-', "_");
        let ip = &service.spec.cluster_ip;
        made.push((format!("{prefix}_SERVICE_HOST"), ip.clone()));
        let Some(first) = service.spec.ports.first() else { continue };
        made.push((format!("{prefix}_SERVICE_PORT"), first.port.to_string()));
        for port in service.spec.ports.iter().filter(|p| !p.name.is_empty()) {
            let name = port.name.to_uppercase().replace('-', "_");
            made.push((format!("{prefix}_SERVICE_PORT_{name}"), port.port.to_string()));
        }
        let host = if ip.contains(':') { format!("[{ip}]") } else { ip.clone() };
        for (i, port) in service.spec.ports.iter().enumerate() {
            let protocol = if port.protocol.is_empty() { "TCP" } else { &port.protocol };
            let url = format!("{}://{host}:{}", protocol.to_lowercase(), port.port);
            let base = format!("{prefix}_PORT_{}_{}", port.port, protocol.to_uppercase());
            if i == 0 {
                made.push((format!("{prefix}_PORT"), url.clone()));
            }
            made.push((base.clone(), url));
            made.push((format!("{base}_PROTO"), protocol.to_lowercase()));
            made.push((format!("{base}_PORT"), port.port.to_string()));
            made.push((format!("{base}_ADDR"), ip.clone()));
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    struct Fixed;
    impl Sources for Fixed {
        fn config_map(&self, name: &str) -> Option<Arc<ConfigMap>> {
            let map = json!({"data": {"a": "1", "b": "two"}});
            (name == "cm").then(|| Arc::new(serde_json::from_value(map).unwrap()))
        }
        fn secret(&self, name: &str) -> Option<Arc<Secret>> {
            (name == "s")
                .then(|| Arc::new(serde_json::from_value(json!({"data": {"k": "c2VjcmV0"}})).unwrap()))
        }
    }

    fn pod(container: serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"l": "v\"x"}},
            "spec": {"containers": [container], "serviceAccountName": "sa"}}))
        .unwrap()
    }

    fn around() -> Surroundings {
        Surroundings {
            node_name: "n".into(),
            host_ips: vec!["10.0.0.1".into()],
            pod_ips: vec!["10.1.0.2".into()],
            allocatable: [("cpu".to_owned(), Quantity("4".into()))].into(),
        }
    }

    #[track_caller]
    fn check(container: serde_json::Value, expected: Result<&[(&str, &str)], &str>) {
        let pod = pod(container);
        let services = [("SVC_HOST".to_owned(), "10.96.0.1".to_owned())];
        let made = environment(&pod, &pod.spec.containers[0], &around(), &services, &Fixed);
        let made = made.map(|m| m.into_iter().filter(|(k, _)| k != "SVC_HOST").collect::<Vec<_>>());
        let expected = expected
            .map(|e| e.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Vec<_>>())
            .map_err(str::to_owned);
        assert_eq!(made, expected);
    }

    #[test]
    fn values_and_references() {
        check(
            json!({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)-$(SVC_HOST)-$(C)"}, {"name": "C", "value": "$$(A)"}]}),
            Ok(&[("A", "1"), ("B", "1-10.96.0.1-$(C)"), ("C", "$(A)")]),
        );
        check(
            json!({"envFrom": [{"prefix": "P_", "configMapRef": {"name": "cm"}}, {"secretRef": {"name": "s"}}],
                   "env": [{"name": "k", "value": "over"}]}),
            Ok(&[("P_a", "1"), ("P_b", "two"), ("k", "over")]),
        );
        check(
            json!({"env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['l']"}}},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}),
            Ok(&[("N", "p"), ("L", "v\"x"), ("IP", "10.1.0.2"), ("S", "secret")]),
        );
        check(
            json!({"resources": {"limits": {"memory": "64Mi"}, "requests": {"cpu": "150m"}},
                "env": [{"name": "M", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
                {"name": "R", "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu"}}},
                {"name": "RM", "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1m"}}},
                {"name": "C", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]}),
            Ok(&[("M", "64"), ("R", "1"), ("RM", "150"), ("C", "4")]),
        );
    }

    #[test]
    fn what_is_missing() {
        let key = |source: &str, name: &str, key: &str, optional: bool| json!({"env": [{"name": "X", "valueFrom": {source: {"name": name, "key": key, "optional": optional}}}]});
        check(key("configMapKeyRef", "no", "a", false), Err("configmap \"no\" not found"));
        check(key("secretKeyRef", "no", "a", false), Err("secret \"no\" not found"));
        check(key("configMapKeyRef", "cm", "z", false), Err("couldn't find key z in ConfigMap ns/cm"));
        check(key("secretKeyRef", "s", "z", false), Err("couldn't find key z in Secret ns/s"));
        check(key("configMapKeyRef", "cm", "z", true), Ok(&[]));
        check(json!({"envFrom": [{"configMapRef": {"name": "no"}}]}), Err("configmap \"no\" not found"));
        check(json!({"envFrom": [{"configMapRef": {"name": "no", "optional": true}}]}), Ok(&[]));
    }

    #[test]
    fn services_as_links() {
        let of = |ns: &str, name: &str, ip: &str| -> Service {
            serde_json::from_value(
                json!({"metadata": {"name": name, "namespace": ns}, "spec": {"clusterIP": ip,
                "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}}),
            )
            .unwrap()
        };
        let all = [
            of("default", "kubernetes", "10.96.0.1"),
            of("ns", "my-web", "10.96.0.5"),
            of("ns", "h", "None"),
        ];
        let names = |links| {
            let made = service_variables(all.iter(), "ns", links);
            made.into_iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>()
        };
        assert_eq!(names(false).len(), 8);
        let linked = names(true);
        assert!(linked.contains(&"MY_WEB_SERVICE_PORT_HTTP=80".to_owned()), "{linked:?}");
        assert!(linked.contains(&"MY_WEB_PORT_80_TCP_ADDR=10.96.0.5".to_owned()), "{linked:?}");
        assert!(linked.contains(&"MY_WEB_PORT=tcp://10.96.0.5:80".to_owned()), "{linked:?}");
    }

    #[test]
    fn maps_as_files_have_them() {
        let pod = pod(json!({}));
        assert_eq!(field_value(&pod, &around(), "metadata.labels").unwrap(), "l=\"v\\\"x\"");
        assert!(field_value(&pod, &around(), "spec.x").is_err());
    }
}
