//! What work queues do, under client-go's names.

use std::time::Duration;

use component::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Name {
    name: String,
}

type Durations = Family<Name, Histogram, fn() -> Histogram>;

/// The metrics of a component's queues. Cheap to clone.
#[derive(Clone, Debug)]
pub struct QueueMetrics {
    adds: Family<Name, Counter>,
    retries: Family<Name, Counter>,
    depth: Family<Name, Gauge>,
    waits: Durations,
    works: Durations,
}

impl QueueMetrics {
    /// Registers them. Once for a registry.
    pub fn new(registry: &Metrics) -> Self {
        // client-go's buckets: from 10 ns on, by tens.
        let durations: fn() -> Histogram = || Histogram::new(exponential_buckets(1e-8, 10.0, 10));
        let made = Self {
            adds: Family::default(),
            retries: Family::default(),
            depth: Family::default(),
            waits: Family::new_with_constructor(durations),
            works: Family::new_with_constructor(durations),
        };
        registry.register("workqueue_adds", "Total number of adds handled by workqueue", made.adds.clone());
        let help = "Total number of retries handled by workqueue";
        registry.register("workqueue_retries", help, made.retries.clone());
        registry.register("workqueue_depth", "Current depth of workqueue", made.depth.clone());
        let help = "How long in seconds an item stays in workqueue before being requested";
        registry.register("workqueue_queue_duration_seconds", help, made.waits.clone());
        let help = "How long in seconds processing an item from workqueue takes";
        registry.register("workqueue_work_duration_seconds", help, made.works.clone());
        made
    }

    /// Those of one queue.
    pub fn of(&self, name: &str) -> OneQueue {
        let name = Name { name: name.to_owned() };
        OneQueue {
            adds: self.adds.get_or_create(&name).clone(),
            retries: self.retries.get_or_create(&name).clone(),
            depth: self.depth.get_or_create(&name).clone(),
            waits: self.waits.get_or_create(&name).clone(),
            works: self.works.get_or_create(&name).clone(),
        }
    }
}

/// The metrics of one queue.
#[derive(Clone, Debug)]
pub struct OneQueue {
    adds: Counter,
    retries: Counter,
    depth: Gauge,
    waits: Histogram,
    works: Histogram,
}

impl OneQueue {
    pub(crate) fn added(&self, depth: usize) {
        self.adds.inc();
        self.set_depth(depth);
    }
    pub(crate) fn taken(&self, depth: usize, waited: Duration) {
        self.set_depth(depth);
        self.waits.observe(waited.as_secs_f64());
    }
    pub(crate) fn retried(&self) {
        self.retries.inc();
    }
    pub(crate) fn worked(&self, took: Duration) {
        self.works.observe(took.as_secs_f64());
    }
    fn set_depth(&self, depth: usize) {
        self.depth.set(i64::try_from(depth).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Queue, run_controller};
    use component::Tasks;

    #[tokio::test(start_paused = true)]
    async fn a_queue_is_counted() {
        let (registry, tasks) = (Metrics::new(), Tasks::new("test"));
        let queue: Queue<&'static str> = Queue::new(env::Env::simulated(1));
        queue.observe(QueueMetrics::new(&registry).of("q"));
        queue.add("a");
        queue.add("a");
        let n = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let count = std::sync::Arc::clone(&n);
        run_controller(&tasks, "q", 1, &queue, move |_| {
            let first = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if first { Err(crate::SyncError::Other("first".into())) } else { Ok(None) }
            }
        });
        tokio::time::sleep(Duration::from_secs(5)).await;
        let text = registry.render();
        for line in [
            "workqueue_adds_total{name=\"q\"} 2",
            "workqueue_retries_total{name=\"q\"} 1",
            "workqueue_depth{name=\"q\"} 0",
            "workqueue_queue_duration_seconds_count{name=\"q\"} 2",
            "workqueue_work_duration_seconds_sum{name=\"q\"} 2.0",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
