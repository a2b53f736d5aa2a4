//! A component's metrics: a registry of its own (several components live in one process) and its text form.

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Metric, Registry};

/// The content type of [`Metrics::render`]: what upstream's components answer.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The version that every component says it is.
pub const VERSION: &str = "v1.36.2+gantry";

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

    /// A component's registry, with what every component shows: its build and its process.
    pub fn of_component() -> Self {
        let version = VERSION;
        let made = Self::new();
        let labels = [
            ("major", version.trim_start_matches('v').split('.').next().unwrap_or_default().to_owned()),
            ("minor", version.split('.').nth(1).unwrap_or_default().to_owned()),
            ("git_version", version.to_owned()),
            (
                "platform",
                format!(
                    "linux/{}",
                    std::env::consts::ARCH.replace("x86_64", "amd64").replace("aarch64", "arm64")
                ),
            ),
        ];
        let build = Family::<Vec<(&'static str, String)>, Gauge>::default();
        build.get_or_create(&labels.to_vec()).set(1);
        let help = "A metric with a constant '1' value labeled by major, minor, git version and platform";
        made.register("kubernetes_build_info", help, build);
        made.0.lock().register_collector(Box::new(Process));
        made
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

/// What the kernel says of this process, under the names of Prometheus' own clients.
#[derive(Debug)]
struct Process;

/// Ticks of /proc in a second: fixed in Linux' interface with programs.
const TICKS: f64 = 100.0;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The name in parentheses may hold anything: count from its end.
        let fields: Vec<u64> = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_whitespace().skip(1).map(|f| f.parse().unwrap_or(0)).collect())
            .unwrap_or_default();
        // As proc(5) numbers them, from 1; the first one here is the fourth.
        let field = |number: usize| fields.get(number - 4).copied().unwrap_or(0);
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let resident = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        let resident_kib: u64 =
            resident.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
        let files = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        let boot = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let boot: f64 = boot.lines().find_map(|l| l.strip_prefix("btime ")?.parse().ok()).unwrap_or(0.0);
        #[allow(clippy::cast_precision_loss, reason = "metrics are floats")]
        let gauges = [
            (
                "process_start_time_seconds",
                "Start time of the process since unix epoch in seconds",
                boot + field(22) as f64 / TICKS,
            ),
            ("process_resident_memory_bytes", "Resident memory size in bytes", (resident_kib * 1024) as f64),
            ("process_virtual_memory_bytes", "Virtual memory size in bytes", field(23) as f64),
            ("process_open_fds", "Number of open file descriptors", files as f64),
        ];
        for (name, help, value) in gauges {
            ConstGauge::new(value).encode(encoder.encode_descriptor(
                name,
                help,
                None,
                MetricType::Gauge,
            )?)?;
        }
        #[allow(clippy::cast_precision_loss, reason = "metrics are floats")]
        let spent = ConstCounter::new((field(14) + field(15)) as f64 / TICKS);
        let help = "Total user and system CPU time spent in seconds";
        spent.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?)
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

    #[test]
    fn a_component_shows_its_build_and_its_process() {
        let text = Metrics::of_component().render();
        let build = "kubernetes_build_info{major=\"1\",minor=\"36\",git_version=\"v1.36.2+gantry\",";
        assert!(text.contains(build), "{text}");
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|l| l.strip_prefix(&format!("{name} ")));
            line.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e5);
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_start_time_seconds") > 1e9);
        assert!(value("process_cpu_seconds_total") >= 0.0);
    }
}
