//! A component's metrics: a registry of its own (several components live in one process) and its text form.

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::{Metric, Registry};

/// The content type of [`Metrics::render`]: what upstream's components answer.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A registry that can be shared. Counters are registered without `_total`: the encoder appends it.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl Metrics {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a metric under upstream's name and help text.
    pub fn register(&self, name: &str, help: &str, metric: impl Metric) {
        self.0.lock().register(name, help.trim_end_matches('.'), metric);
    }

    /// Everything in Prometheus' text form, without the OpenMetrics end mark that 0.0.4 parsers refuse.
    pub fn render(&self) -> String {
        let mut out = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut out, &self.0.lock());
        if let Some(body) = out.strip_suffix("# EOF\n") {
            out.truncate(body.len());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::counter::Counter;

    #[test]
    fn registries_are_separate_and_end_without_a_mark() {
        let (a, b) = (Metrics::new(), Metrics::new());
        let counter = Counter::<u64>::default();
        a.register("requests", "Requests.", counter.clone());
        counter.inc();
        assert!(a.render().contains("requests_total 1"), "{}", a.render());
        assert!(!a.render().contains("# EOF"));
        assert!(!b.render().contains("requests_total"));
    }
}
