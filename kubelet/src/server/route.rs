//! Paths of the kubelet's API, and what a user must be allowed to do to use them. Pure.

use std::collections::BTreeMap;

/// A request's meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    Healthz,
    Pods,
    RunningPods,
    ContainerLogs(Container),
    Exec(Container),
    Attach(Container),
    /// The container's name is empty.
    PortForward(Container),
    Run(Container),
    StatsSummary,
    Metrics,
    MetricsResource,
    MetricsCadvisor,
    MetricsProbes,
    Configz,
    /// The path below `/logs/`, which may be empty.
    Logs(String),
}

/// A container by its pod's name; the uid is empty where the path names none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    pub namespace: String,
    pub pod: String,
    pub uid: String,
    pub name: String,
}

impl Route {
    /// What `path` names. `None` when it names nothing.
    pub fn parse(path: &str) -> Option<Self> {
        if let Some(rest) = path.strip_prefix("/logs/") {
            return Some(Self::Logs(decode(rest)));
        }
        let segments: Vec<String> = path.trim_start_matches('/').split('/').map(decode).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        Some(match segments.as_slice() {
            ["healthz"] | ["healthz", "log" | "ping" | "syncloop"] => Self::Healthz,
            ["pods"] => Self::Pods,
            ["runningpods", ""] | ["runningpods"] => Self::RunningPods,
            ["containerLogs", namespace, pod, name] => {
                Self::ContainerLogs(container(namespace, pod, "", name)?)
            }
            ["exec", namespace, pod, name] => Self::Exec(container(namespace, pod, "", name)?),
            ["exec", namespace, pod, uid, name] => Self::Exec(container(namespace, pod, uid, name)?),
            ["attach", namespace, pod, name] => Self::Attach(container(namespace, pod, "", name)?),
            ["attach", namespace, pod, uid, name] => Self::Attach(container(namespace, pod, uid, name)?),
            ["run", namespace, pod, name] => Self::Run(container(namespace, pod, "", name)?),
            ["run", namespace, pod, uid, name] => Self::Run(container(namespace, pod, uid, name)?),
            ["portForward", namespace, pod] => Self::PortForward(pod_only(namespace, pod, "")?),
            ["portForward", namespace, pod, uid] => Self::PortForward(pod_only(namespace, pod, uid)?),
            ["stats", "summary"] | ["stats", "summary", ""] => Self::StatsSummary,
            ["metrics"] => Self::Metrics,
            ["metrics", "resource"] => Self::MetricsResource,
            ["metrics", "cadvisor"] => Self::MetricsCadvisor,
            ["metrics", "probes"] => Self::MetricsProbes,
            ["configz"] => Self::Configz,
            ["logs"] => Self::Logs(String::new()),
            _ => return None,
        })
    }

    /// The method is one that the path has.
    pub fn allows(&self, method: &http::Method) -> bool {
        match self {
            Self::Exec(_) | Self::Attach(_) | Self::PortForward(_) => {
                method == http::Method::GET || method == http::Method::POST
            }
            Self::Run(_) => method == http::Method::POST,
            _ => method == http::Method::GET || method == http::Method::HEAD,
        }
    }
}

fn container(namespace: &str, pod: &str, uid: &str, name: &str) -> Option<Container> {
    let container =
        Container { namespace: namespace.into(), pod: pod.into(), uid: uid.into(), name: name.into() };
    (!namespace.is_empty() && !pod.is_empty() && !name.is_empty()).then_some(container)
}

fn pod_only(namespace: &str, pod: &str, uid: &str) -> Option<Container> {
    let container =
        Container { namespace: namespace.into(), pod: pod.into(), uid: uid.into(), name: String::new() };
    (!namespace.is_empty() && !pod.is_empty()).then_some(container)
}

/// Subresources of `nodes` of which one must be allowed, in the order in which they are asked for. Upstream's: the
/// fine-grained one first, then `proxy`, which allows everything that has no rule of its own.
pub fn subresources(path: &str) -> &'static [&'static str] {
    let is =
        |prefix: &str| path == prefix || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'));
    if is("/stats") {
        &["stats"]
    } else if is("/metrics") {
        &["metrics"]
    } else if is("/logs") {
        &["log"]
    } else if is("/healthz") {
        &["healthz", "proxy"]
    } else if is("/configz") {
        &["configz", "proxy"]
    } else if is("/pods") || is("/runningpods") {
        &["pods", "proxy"]
    } else {
        &["proxy"]
    }
}

/// The verb of a method.
pub fn verb(method: &http::Method) -> &'static str {
    match method.as_str() {
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "get",
    }
}

/// A query's parameters, in order, each name with all its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(BTreeMap<String, Vec<String>>);

impl Query {
    pub fn parse(query: &str) -> Self {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            all.entry(decode(&name.replace('+', " "))).or_default().push(decode(&value.replace('+', " ")));
        }
        Self(all)
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(|values| values.first()).map(String::as_str)
    }

    pub fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// As upstream reads flags: present, and neither `false` nor `0`.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|v| v != "false" && v != "0")
    }
}

/// Percent-decoding; what is no valid escape stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = (bytes[i] == b'%').then(|| text.get(i + 1..i + 3)).flatten();
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                i += 3;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<Route>) {
        assert_eq!(Route::parse(path), expected, "{path}");
    }

    fn c(namespace: &str, pod: &str, uid: &str, name: &str) -> Container {
        Container { namespace: namespace.into(), pod: pod.into(), uid: uid.into(), name: name.into() }
    }

    #[test]
    fn paths_name_containers() {
        check("/containerLogs/ns/p/c", Some(Route::ContainerLogs(c("ns", "p", "", "c"))));
        check("/exec/ns/p/c", Some(Route::Exec(c("ns", "p", "", "c"))));
        check("/exec/ns/p/u/c", Some(Route::Exec(c("ns", "p", "u", "c"))));
        check("/attach/ns/p/c", Some(Route::Attach(c("ns", "p", "", "c"))));
        check("/portForward/ns/p", Some(Route::PortForward(c("ns", "p", "", ""))));
        check("/portForward/ns/p/u", Some(Route::PortForward(c("ns", "p", "u", ""))));
        check("/run/ns/p/c", Some(Route::Run(c("ns", "p", "", "c"))));
        check("/logs/a%20b/c", Some(Route::Logs("a b/c".into())));
        check("/stats/summary", Some(Route::StatsSummary));
        check("/metrics/resource", Some(Route::MetricsResource));
        check("/metrics/cadvisor", Some(Route::MetricsCadvisor));
        check("/metrics/probes", Some(Route::MetricsProbes));
        for nothing in
            ["/", "/exec/ns/p", "/exec//p/c", "/stats", "/metrics/nothing", "/containerLogs/ns/p/c/d"]
        {
            check(nothing, None);
        }
    }

    #[test]
    fn each_path_has_its_subresource() {
        for (path, expected) in [
            ("/stats/summary", vec!["stats"]),
            ("/metrics/resource", vec!["metrics"]),
            ("/metrics", vec!["metrics"]),
            ("/metricsx", vec!["proxy"]),
            ("/logs/x", vec!["log"]),
            ("/containerLogs/ns/p/c", vec!["proxy"]),
            ("/exec/ns/p/c", vec!["proxy"]),
            ("/pods", vec!["pods", "proxy"]),
            ("/healthz", vec!["healthz", "proxy"]),
            ("/configz", vec!["configz", "proxy"]),
            ("/nothing", vec!["proxy"]),
        ] {
            assert_eq!(subresources(path), expected, "{path}");
        }
    }

    #[test]
    fn queries() {
        let query = Query::parse("command=sh&command=-c&command=echo+a%26b&tty=1&input=false&x");
        assert_eq!(query.all("command"), ["sh", "-c", "echo a&b"]);
        assert!(query.flag("tty") && query.flag("x"));
        assert!(!query.flag("input") && !query.flag("none"));
    }
}
