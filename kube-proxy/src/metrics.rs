//! The proxy's metrics, under upstream's names.

use std::time::Duration;

use component::Metrics;
use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::backend::Applied;

/// Cheap to clone; clones are the same metrics.
#[derive(Clone, Debug)]
pub struct ProxyMetrics {
    registry: Metrics,
    sync_duration: Histogram,
    full_duration: Histogram,
    partial_duration: Histogram,
    programming_duration: Histogram,
    last_applied: Gauge<f64, std::sync::atomic::AtomicU64>,
    failures: Counter,
    lines: Gauge,
}

impl ProxyMetrics {
    #[allow(clippy::new_without_default, reason = "a registry of its own is made: not a plain default")]
    pub fn new() -> Self {
        let durations = || Histogram::new(exponential_buckets(0.001, 2.0, 15));
        let new = Self {
            registry: Metrics::of_component(),
            sync_duration: durations(),
            full_duration: durations(),
            partial_duration: durations(),
            programming_duration: durations(),
            last_applied: Gauge::default(),
            failures: Counter::default(),
            lines: Gauge::default(),
        };
        let r = &new.registry;
        let name = |suffix: &str| format!("kubeproxy_{suffix}");
        r.register(
            &name("sync_proxy_rules_duration_seconds"),
            "SyncProxyRules latency in seconds",
            new.sync_duration.clone(),
        );
        r.register(
            &name("sync_full_proxy_rules_duration_seconds"),
            "SyncProxyRules latency in seconds for full resyncs",
            new.full_duration.clone(),
        );
        r.register(
            &name("sync_partial_proxy_rules_duration_seconds"),
            "SyncProxyRules latency in seconds for partial resyncs",
            new.partial_duration.clone(),
        );
        r.register(
            &name("network_programming_duration_seconds"),
            "In Cluster Network Programming Latency in seconds",
            new.programming_duration.clone(),
        );
        r.register(
            &name("sync_proxy_rules_last_timestamp_seconds"),
            "The last time proxy rules were successfully synced",
            new.last_applied.clone(),
        );
        r.register(
            &name("sync_proxy_rules_nftables_sync_failures"),
            "Cumulative proxy nftables sync failures",
            new.failures.clone(),
        );
        r.register(
            &name("sync_proxy_rules_lines"),
            "Lines of rules that the last sync sent to the kernel",
            new.lines.clone(),
        );
        new
    }

    pub fn failed(&self) {
        self.failures.inc();
    }

    /// `waited` is the age of the oldest change that was applied.
    pub fn applied(&self, applied: &Applied, took: Duration, waited: Option<Duration>, now: Timestamp) {
        self.sync_duration.observe(took.as_secs_f64());
        let by_kind = if applied.full { &self.full_duration } else { &self.partial_duration };
        by_kind.observe(took.as_secs_f64());
        if let Some(waited) = waited {
            self.programming_duration.observe(waited.as_secs_f64());
        }
        self.last_applied.set(now.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64());
        self.lines.set(i64::try_from(applied.n_lines).unwrap_or(i64::MAX));
    }

    pub fn render(&self) -> String {
        self.registry.render()
    }
}
