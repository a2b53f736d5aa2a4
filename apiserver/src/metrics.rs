//! The server's metrics under upstream's names. Labels come from closed sets: a resource that is not served is shown as
//! empty, a verb that does not exist as `OTHER`.

use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use component::Metrics;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

/// Labels by fixed names.
type Labels = Vec<(&'static str, String)>;

/// Upstream's buckets of request durations, in seconds.
const DURATION_BUCKETS: [f64; 23] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0,
    20.0, 30.0, 45.0, 60.0,
];

fn durations() -> Histogram {
    Histogram::new(DURATION_BUCKETS)
}

/// What the API server counts.
#[derive(Clone, Debug)]
pub struct ServerMetrics {
    pub registry: Metrics,
    requests: Family<Labels, Counter<u64, AtomicU64>>,
    durations: Family<Labels, Histogram, fn() -> Histogram>,
    inflight: Family<Labels, Gauge<i64, AtomicI64>>,
    longrunning: Family<Labels, Gauge<i64, AtomicI64>>,
    panics: Counter<u64, AtomicU64>,
    watch_events: Family<Labels, Counter<u64, AtomicU64>>,
}

/// The labels of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestLabels {
    pub verb: &'static str,
    pub group: String,
    pub version: String,
    pub resource: String,
    pub subresource: String,
    pub scope: &'static str,
    pub dry_run: bool,
}

impl RequestLabels {
    fn common(&self) -> Labels {
        vec![
            ("component", "apiserver".into()),
            ("dry_run", if self.dry_run { "All".into() } else { String::new() }),
            ("group", self.group.clone()),
            ("resource", self.resource.clone()),
            ("scope", self.scope.into()),
            ("subresource", self.subresource.clone()),
            ("verb", self.verb.into()),
            ("version", self.version.clone()),
        ]
    }
}

/// A verb as the metrics name it.
pub fn verb_label(verb: &str) -> &'static str {
    match verb {
        "get" => "GET",
        "list" => "LIST",
        "watch" => "WATCH",
        "create" | "post" => "POST",
        "update" | "put" => "PUT",
        "patch" => "PATCH",
        "delete" => "DELETE",
        "deletecollection" => "DELETECOLLECTION",
        "connect" => "CONNECT",
        "head" => "HEAD",
        "options" => "OPTIONS",
        _ => "OTHER",
    }
}

impl ServerMetrics {
    pub fn new() -> Self {
        let registry = Metrics::new();
        let metrics = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(durations),
            inflight: Family::default(),
            longrunning: Family::default(),
            panics: Counter::default(),
            watch_events: Family::default(),
            registry,
        };
        let r = &metrics.registry;
        r.register(
            "apiserver_request",
            "Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, \
             scope, component, and HTTP response code",
            metrics.requests.clone(),
        );
        r.register(
            "apiserver_request_duration_seconds",
            "Response latency distribution in seconds for each verb, dry run value, group, version, resource, \
             subresource, scope and component",
            metrics.durations.clone(),
        );
        r.register(
            "apiserver_current_inflight_requests",
            "Maximal number of currently used inflight request limit of this apiserver per request kind in last second",
            metrics.inflight.clone(),
        );
        r.register(
            "apiserver_longrunning_requests",
            "Gauge of all active long-running apiserver requests broken out by verb, group, version, resource, \
             scope and component",
            metrics.longrunning.clone(),
        );
        r.register(
            "apiserver_request_panics",
            "Counter of panics in request handlers",
            metrics.panics.clone(),
        );
        r.register(
            "apiserver_watch_events",
            "Number of events sent in watch clients",
            metrics.watch_events.clone(),
        );
        metrics
    }

    /// A request has been answered (a watch: has ended).
    pub fn observe(&self, labels: &RequestLabels, code: u16, took: Duration) {
        let mut all = labels.common();
        if labels.verb != "WATCH" && labels.verb != "CONNECT" {
            self.durations.get_or_create(&all).observe(took.as_secs_f64());
        }
        all.insert(0, ("code", code.to_string()));
        self.requests.get_or_create(&all).inc();
    }

    pub fn panic(&self) {
        self.panics.inc();
    }

    /// Counts a request in until the guard is dropped.
    pub fn inflight(&self, mutating: bool) -> InflightGuard {
        let kind = if mutating { "mutating" } else { "readOnly" };
        let gauge = self.inflight.get_or_create_owned(&vec![("request_kind", kind.to_owned())]);
        gauge.inc();
        InflightGuard(gauge)
    }

    /// Counts a watch or a connection in until the guard is dropped.
    pub fn longrunning(&self, labels: &RequestLabels) -> InflightGuard {
        let gauge = self.longrunning.get_or_create_owned(&labels.common());
        gauge.inc();
        InflightGuard(gauge)
    }

    /// The counter of the events that watches of a resource send.
    pub fn watch_events(&self, group: &str, version: &str, resource: &str) -> Counter<u64, AtomicU64> {
        self.watch_events.get_or_create_owned(&vec![
            ("group", group.to_owned()),
            ("resource", resource.to_owned()),
            ("version", version.to_owned()),
        ])
    }
}

impl Default for ServerMetrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Counts out when dropped.
#[derive(Debug)]
pub struct InflightGuard(Gauge<i64, AtomicI64>);

impl Drop for InflightGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_upstreams() {
        let metrics = ServerMetrics::new();
        let labels = RequestLabels {
            verb: "GET",
            resource: "pods".into(),
            version: "v1".into(),
            scope: "resource",
            ..RequestLabels::default()
        };
        metrics.observe(&labels, 200, Duration::from_millis(3));
        let guard = metrics.inflight(true);
        let text = metrics.registry.render();
        for part in [
            "apiserver_request_total{code=\"200\",component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"pods\"",
            "apiserver_request_duration_seconds_bucket{le=\"0.005\"",
            "apiserver_current_inflight_requests{request_kind=\"mutating\"} 1",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        drop(guard);
        assert!(metrics.registry.render().contains("request_kind=\"mutating\"} 0"));
    }
}
