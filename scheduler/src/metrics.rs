//! The scheduler's metrics, under upstream's names.

use std::time::Duration;

use component::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::queue::Counts;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempt {
    result: &'static str,
    profile: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Place {
    queue: &'static str,
}

/// How an attempt to find a node for a pod went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptResult {
    Scheduled,
    Unschedulable,
    Error,
}

/// The metrics of one scheduler.
#[derive(Clone, Debug)]
pub(crate) struct SchedulerMetrics {
    profile: String,
    attempts: Family<Attempt, Counter>,
    durations: Family<Attempt, Histogram, fn() -> Histogram>,
    pending: Family<Place, Gauge>,
}

impl SchedulerMetrics {
    pub(crate) fn new(registry: &Metrics, profile: &str) -> Self {
        // Upstream's buckets: from a millisecond on, doubled fifteen times.
        let durations: fn() -> Histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 15));
        let made = Self {
            profile: profile.to_owned(),
            attempts: Family::default(),
            durations: Family::new_with_constructor(durations),
            pending: Family::default(),
        };
        let help = "Number of attempts to schedule pods, by the result";
        registry.register("scheduler_schedule_attempts", help, made.attempts.clone());
        let help = "Scheduling attempt latency in seconds (scheduling algorithm + binding)";
        registry.register("scheduler_scheduling_attempt_duration_seconds", help, made.durations.clone());
        let help = "Number of pending pods, by the queue type";
        registry.register("scheduler_pending_pods", help, made.pending.clone());
        made
    }

    pub(crate) fn attempted(&self, result: AttemptResult, took: Duration) {
        let result = match result {
            AttemptResult::Scheduled => "scheduled",
            AttemptResult::Unschedulable => "unschedulable",
            AttemptResult::Error => "error",
        };
        let labels = Attempt { result, profile: self.profile.clone() };
        self.attempts.get_or_create(&labels).inc();
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn pending(&self, counts: &Counts) {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        for (queue, n) in [
            ("active", counts.active),
            ("backoff", counts.backing_off),
            ("unschedulable", counts.unschedulable),
            ("gated", counts.held),
        ] {
            self.pending.get_or_create(&Place { queue }).set(number(n));
        }
    }
}
