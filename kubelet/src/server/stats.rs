//! What the node and its containers use: `/stats/summary` as JSON, `/metrics/resource` and `/metrics/cadvisor` as
//! Prometheus text.
//!
//! Numbers are the runtime's own. Rates (`usageNanoCores`) that it does not give come from the last two looks.

mod cadvisor;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use cri::{Runtime, v1};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use crate::host::{Host, Space};
use crate::pod::observed::labels;
use crate::server::PodLookup;

/// Ticks of /proc/stat in a second: fixed in Linux' interface with programs.
const TICK_NANOS: u64 = 10_000_000;

/// What the numbers are made of.
#[derive(Debug)]
pub struct Stats {
    runtime: Arc<dyn Runtime>,
    host: Arc<dyn Host>,
    clock: Arc<dyn env::Clock>,
    node_name: String,
    root_dir: std::path::PathBuf,
    pods: Arc<dyn PodLookup>,
    /// CPU time at the last look, by container's or pod's id, for rates.
    last: Mutex<BTreeMap<String, (i64, u64)>>,
}

/// One look.
#[derive(Debug, Default)]
struct Sample {
    node_cpu: Option<u64>,
    node_memory: Option<u64>,
    containers: Vec<ContainerSample>,
    sandboxes: BTreeMap<String, v1::PodSandboxStats>,
}

#[derive(Debug, Default)]
struct ContainerSample {
    stats: v1::ContainerStats,
    /// When it was created, in nanoseconds.
    created_at: i64,
    sandbox_id: String,
    /// As the pod names it.
    image: String,
}

/// A pod's name and what is in it.
#[derive(Debug, Default)]
struct PodSample<'a> {
    name: String,
    namespace: String,
    uid: String,
    created_at: i64,
    containers: Vec<&'a ContainerSample>,
    sandbox: Option<&'a v1::PodSandboxStats>,
}

fn number(value: Option<v1::UInt64Value>) -> Option<u64> {
    value.map(|v| v.value)
}

fn label<'a>(labels: &'a BTreeMap<String, String>, name: &str) -> &'a str {
    labels.get(name).map_or("", String::as_str)
}

fn time(nanos: i64) -> Option<String> {
    Timestamp::from_nanosecond(nanos.into()).ok().map(|t| format!("{t:.0}"))
}

/// Members that are known.
fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let known = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(known.collect::<Map<_, _>>())
}

impl Stats {
    pub fn new(
        runtime: Arc<dyn Runtime>,
        host: Arc<dyn Host>,
        clock: Arc<dyn env::Clock>,
        node_name: &str,
        root_dir: std::path::PathBuf,
        pods: Arc<dyn PodLookup>,
    ) -> Self {
        Self { runtime, host, clock, node_name: node_name.to_owned(), root_dir, pods, last: Mutex::default() }
    }

    async fn sample(&self) -> Result<Sample, cri::Error> {
        let stats = self.runtime.container_stats().await?;
        let known: BTreeMap<String, v1::Container> =
            self.runtime.list_containers(&[]).await?.into_iter().map(|c| (c.id.clone(), c)).collect();
        let containers = stats.into_iter().filter_map(|stats| {
            let container = known.get(&stats.attributes.as_ref()?.id)?;
            let running = container.state() == v1::ContainerState::ContainerRunning;
            running.then(|| ContainerSample {
                created_at: container.created_at,
                sandbox_id: container.pod_sandbox_id.clone(),
                image: container.image.as_ref().map(|i| i.image.clone()).unwrap_or_default(),
                stats,
            })
        });
        // Older runtimes cannot tell of pods; the sum of the containers stands in.
        let sandboxes = self.runtime.sandbox_stats().await.unwrap_or_default();
        let by_id = sandboxes.into_iter().filter_map(|s| Some((s.attributes.as_ref()?.id.clone(), s)));
        let used = self.host.usage().ok();
        let total = self.host.facts().memory_bytes;
        Ok(Sample {
            node_cpu: self.host.read_file("/proc/stat".as_ref()).ok().and_then(|t| node_cpu(&t)),
            node_memory: used.map(|u| total.saturating_sub(u.memory_available)),
            containers: containers.collect(),
            sandboxes: by_id.collect(),
        })
    }

    /// `/stats/summary`. With `only_cpu_and_memory`, without file systems and networks.
    pub async fn summary(&self, only_cpu_and_memory: bool) -> Result<Value, cri::Error> {
        let sample = self.sample().await?;
        let now = self.clock.now();
        let mut rates = self.rates(&sample);
        let pods: Vec<Value> =
            pods_of(&sample).iter().map(|pod| self.pod(pod, &mut rates, only_cpu_and_memory)).collect();
        let mut node = json!({
            "nodeName": self.node_name,
            "cpu": object([
                ("time", Some(format!("{now:.0}").into())),
                ("usageCoreNanoSeconds", sample.node_cpu.map(Into::into)),
                ("usageNanoCores", rates.remove("").map(Into::into)),
            ]),
            "memory": object([
                ("time", Some(format!("{now:.0}").into())),
                ("availableBytes", self.host.usage().ok().map(|u| u.memory_available.into())),
                ("workingSetBytes", sample.node_memory.map(Into::into)),
                ("usageBytes", sample.node_memory.map(Into::into)),
            ]),
        });
        if !only_cpu_and_memory {
            if let Ok(space) = self.host.space(&self.root_dir) {
                node["fs"] = space_json(space, now, None);
            }
            if let Some(image_fs) = self.image_fs(now).await {
                node["runtime"] = json!({"imageFs": image_fs});
            }
            if let Ok(usage) = self.host.usage() {
                node["rlimit"] = json!({
                    "time": format!("{now:.0}"), "maxpid": usage.processes_max, "curproc": usage.processes,
                });
            }
        }
        Ok(json!({"node": node, "pods": pods}))
    }

    async fn image_fs(&self, now: Timestamp) -> Option<Value> {
        let usage = self.runtime.image_fs_info().await.ok()?.into_iter().next()?;
        let mountpoint = usage.fs_id.as_ref()?.mountpoint.clone();
        let space = self.host.space(mountpoint.as_ref()).ok()?;
        Some(space_json(space, now, number(usage.used_bytes)))
    }

    /// Nanocores by id since the last look; the node has the empty id.
    fn rates(&self, sample: &Sample) -> BTreeMap<String, u64> {
        let mut current: BTreeMap<String, (i64, u64)> = BTreeMap::new();
        for container in &sample.containers {
            let id = container.stats.attributes.as_ref().map(|a| a.id.clone()).unwrap_or_default();
            if let Some((cpu, used)) =
                container.stats.cpu.and_then(|c| Some((c, number(c.usage_core_nano_seconds)?)))
            {
                current.insert(id, (cpu.timestamp, used));
            }
        }
        if let (Some(used), Ok(now)) = (sample.node_cpu, i64::try_from(self.clock.now().as_nanosecond())) {
            current.insert(String::new(), (now, used));
        }
        let mut last = self.last.lock();
        let rates = current.iter().filter_map(|(id, (time, used))| {
            let (time_before, used_before) = last.get(id)?;
            let passed = u64::try_from(time - time_before).ok().filter(|n| *n > 0)?;
            let rate = u128::from(used.saturating_sub(*used_before)) * 1_000_000_000 / u128::from(passed);
            Some((id.clone(), u64::try_from(rate).ok()?))
        });
        let rates = rates.collect();
        *last = current;
        rates
    }

    fn pod(&self, pod: &PodSample<'_>, rates: &mut BTreeMap<String, u64>, brief: bool) -> Value {
        let containers: Vec<Value> = pod.containers.iter().map(|c| container_json(c, rates, brief)).collect();
        let linux = pod.sandbox.and_then(|s| s.linux.as_ref());
        let (cpu, memory) = (linux.and_then(|l| l.cpu), linux.and_then(|l| l.memory));
        let total = |of: &dyn Fn(&ContainerSample) -> Option<u64>| -> Option<u64> {
            pod.containers.iter().map(|c| of(c)).sum::<Option<u64>>().filter(|_| !pod.containers.is_empty())
        };
        let used = cpu.and_then(|c| number(c.usage_core_nano_seconds)).or_else(|| total(&cpu_of));
        let working_set = memory.and_then(|m| number(m.working_set_bytes)).or_else(|| total(&memory_of));
        let mut out = json!({
            "podRef": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
            "startTime": time(pod.created_at),
            "containers": containers,
            "cpu": object([
                ("time", Some(format!("{:.0}", self.clock.now()).into())),
                ("usageCoreNanoSeconds", used.map(Into::into)),
                ("usageNanoCores", cpu.and_then(|c| number(c.usage_nano_cores)).map(Into::into)),
            ]),
            "memory": object([
                ("time", Some(format!("{:.0}", self.clock.now()).into())),
                ("workingSetBytes", working_set.map(Into::into)),
            ]),
        });
        let network = linux.and_then(|l| l.network.as_ref()).and_then(|n| n.default_interface.as_ref());
        if let Some(interface) = network.filter(|_| !brief) {
            out["network"] = object([
                ("name", Some(interface.name.clone().into())),
                ("rxBytes", number(interface.rx_bytes).map(Into::into)),
                ("rxErrors", number(interface.rx_errors).map(Into::into)),
                ("txBytes", number(interface.tx_bytes).map(Into::into)),
                ("txErrors", number(interface.tx_errors).map(Into::into)),
            ]);
        }
        out
    }

    /// `/metrics/cadvisor`.
    pub async fn cadvisor_metrics(&self) -> String {
        let sample = self.sample().await.unwrap_or_else(|error| {
            tracing::warn!(component = "kubelet", %error, "container metrics");
            Sample::default()
        });
        let now = self.clock.now().as_millisecond();
        cadvisor::render(&sample, &self.host.facts(), self.pods.as_ref(), now)
    }

    /// `/metrics/resource`.
    pub async fn resource_metrics(&self) -> String {
        let (sample, failed) = match self.sample().await {
            Ok(sample) => (sample, false),
            Err(error) => {
                tracing::warn!(component = "kubelet", %error, "resource metrics");
                (Sample::default(), true)
            }
        };
        render_metrics(&sample, failed, self.clock.now().as_millisecond())
    }
}

fn cpu_of(container: &ContainerSample) -> Option<u64> {
    number(container.stats.cpu?.usage_core_nano_seconds)
}

fn memory_of(container: &ContainerSample) -> Option<u64> {
    number(container.stats.memory?.working_set_bytes)
}

/// Nanoseconds of CPU time that all processors have spent on something.
fn node_cpu(proc_stat: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(proc_stat);
    let line = text.lines().find(|l| l.starts_with("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal: all but the two that wait.
    let busy: u64 =
        ticks.iter().enumerate().filter(|(i, _)| !matches!(i, 3 | 4) && *i < 8).map(|(_, n)| n).sum();
    busy.checked_mul(TICK_NANOS)
}

/// Groups the containers by their pod, in the order of its name.
fn pods_of(sample: &Sample) -> Vec<PodSample<'_>> {
    let mut pods: BTreeMap<(String, String, String), PodSample<'_>> = BTreeMap::new();
    for container in &sample.containers {
        let Some(attributes) = &container.stats.attributes else { continue };
        let of = |name| label(&attributes.labels, name).to_owned();
        let key = (of(labels::POD_NAMESPACE), of(labels::POD_NAME), of(labels::POD_UID));
        let pod = pods.entry(key.clone()).or_insert_with(|| PodSample {
            namespace: key.0,
            name: key.1,
            uid: key.2,
            created_at: container.created_at,
            ..PodSample::default()
        });
        pod.created_at = pod.created_at.min(container.created_at);
        pod.sandbox = pod.sandbox.or_else(|| sample.sandboxes.get(&container.sandbox_id));
        pod.containers.push(container);
    }
    pods.into_values().collect()
}

fn container_json(container: &ContainerSample, rates: &mut BTreeMap<String, u64>, brief: bool) -> Value {
    let stats = &container.stats;
    let attributes = stats.attributes.as_ref();
    let id = attributes.map(|a| a.id.clone()).unwrap_or_default();
    let rate = stats.cpu.and_then(|c| number(c.usage_nano_cores)).or_else(|| rates.remove(&id));
    let memory = stats.memory.unwrap_or_default();
    let mut out = json!({
        "name": attributes.map_or("", |a| label(&a.labels, labels::CONTAINER_NAME)),
        "startTime": time(container.created_at),
        "cpu": object([
            ("time", stats.cpu.and_then(|c| time(c.timestamp)).map(Into::into)),
            ("usageCoreNanoSeconds", cpu_of(container).map(Into::into)),
            ("usageNanoCores", rate.map(Into::into)),
        ]),
        "memory": object([
            ("time", time(memory.timestamp).map(Into::into)),
            ("workingSetBytes", number(memory.working_set_bytes).map(Into::into)),
            ("availableBytes", number(memory.available_bytes).map(Into::into)),
            ("usageBytes", number(memory.usage_bytes).map(Into::into)),
            ("rssBytes", number(memory.rss_bytes).map(Into::into)),
            ("pageFaults", number(memory.page_faults).map(Into::into)),
            ("majorPageFaults", number(memory.major_page_faults).map(Into::into)),
        ]),
    });
    if let Some(layer) = stats.writable_layer.as_ref().filter(|_| !brief) {
        out["rootfs"] = object([
            ("time", time(layer.timestamp).map(Into::into)),
            ("usedBytes", number(layer.used_bytes).map(Into::into)),
            ("inodesUsed", number(layer.inodes_used).map(Into::into)),
        ]);
    }
    out
}

fn space_json(space: Space, now: Timestamp, used: Option<u64>) -> Value {
    json!({
        "time": format!("{now:.0}"),
        "availableBytes": space.bytes_free,
        "capacityBytes": space.bytes,
        "usedBytes": used.unwrap_or(space.bytes.saturating_sub(space.bytes_free)),
        "inodesFree": space.inodes_free,
        "inodes": space.inodes,
        "inodesUsed": space.inodes.saturating_sub(space.inodes_free),
    })
}

/// A label's value as Prometheus' text form wants it.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[allow(clippy::cast_precision_loss, reason = "metrics are floats: nanoseconds beyond 2^53 are months")]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

fn render_metrics(sample: &Sample, failed: bool, now_millis: i64) -> String {
    let pods = pods_of(sample);
    let mut out = String::new();
    let mut family = |name: &str, kind: &str, help: &str, lines: Vec<(String, String)>| {
        if lines.is_empty() {
            return;
        }
        let _ = writeln!(out, "# HELP {name} [STABLE] {help}\n# TYPE {name} {kind}");
        for (labels, value) in lines {
            let _ = writeln!(out, "{name}{labels} {value} {now_millis}");
        }
    };
    let of_pod = |pod: &PodSample<'_>| {
        format!("{{namespace=\"{}\",pod=\"{}\"}}", escape(&pod.namespace), escape(&pod.name))
    };
    let containers = |of: &dyn Fn(&ContainerSample) -> Option<String>| -> Vec<(String, String)> {
        let all = pods.iter().flat_map(|pod| pod.containers.iter().map(move |c| (pod, c)));
        all.filter_map(|(pod, c)| {
            let attributes = c.stats.attributes.as_ref()?;
            let name = escape(label(&attributes.labels, labels::CONTAINER_NAME));
            let (namespace, pod) = (escape(&pod.namespace), escape(&pod.name));
            let labels = format!("{{container=\"{name}\",namespace=\"{namespace}\",pod=\"{pod}\"}}");
            Some((labels, of(c)?))
        })
        .collect()
    };
    let by_pod = |of: &dyn Fn(&ContainerSample) -> Option<u64>,
                  show: &dyn Fn(u64) -> String|
     -> Vec<(String, String)> {
        pods.iter()
            .filter_map(|pod| {
                Some((of_pod(pod), show(pod.containers.iter().map(|c| of(c)).sum::<Option<u64>>()?)))
            })
            .collect()
    };
    let cpu = |n: u64| seconds(n).to_string();
    family(
        "container_cpu_usage_seconds_total",
        "counter",
        "Cumulative cpu time consumed by the container in core-seconds",
        containers(&|c| cpu_of(c).map(cpu)),
    );
    family(
        "container_memory_working_set_bytes",
        "gauge",
        "Current working set of the container in bytes",
        containers(&|c| memory_of(c).map(|n| n.to_string())),
    );
    family(
        "container_start_time_seconds",
        "gauge",
        "Start time of the container since unix epoch in seconds",
        containers(&|c| u64::try_from(c.created_at).ok().map(|n| seconds(n).to_string())),
    );
    let node = |value: Option<String>| value.map(|v| (String::new(), v)).into_iter().collect();
    family(
        "node_cpu_usage_seconds_total",
        "counter",
        "Cumulative cpu time consumed by the node in core-seconds",
        node(sample.node_cpu.map(cpu)),
    );
    family(
        "node_memory_working_set_bytes",
        "gauge",
        "Current working set of the node in bytes",
        node(sample.node_memory.map(|n| n.to_string())),
    );
    family(
        "pod_cpu_usage_seconds_total",
        "counter",
        "Cumulative cpu time consumed by the pod in core-seconds",
        by_pod(&cpu_of, &cpu),
    );
    family(
        "pod_memory_working_set_bytes",
        "gauge",
        "Current working set of the pod in bytes",
        by_pod(&memory_of, &|n| n.to_string()),
    );
    let _ = writeln!(
        out,
        "# HELP resource_scrape_error [STABLE] 1 if there was an error while getting container metrics, 0 otherwise\n\
         # TYPE resource_scrape_error gauge\nresource_scrape_error {}",
        u8::from(failed)
    );
    out
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    pub(super) fn container(name: &str, cpu: u64, memory: u64) -> ContainerSample {
        let labels = [(labels::POD_NAMESPACE, "ns"), (labels::POD_NAME, "p"), (labels::CONTAINER_NAME, name)];
        let labels = labels.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
        let value = |n| Some(v1::UInt64Value { value: n });
        ContainerSample {
            stats: v1::ContainerStats {
                attributes: Some(v1::ContainerAttributes { id: name.into(), labels, ..Default::default() }),
                cpu: Some(v1::CpuUsage { usage_core_nano_seconds: value(cpu), ..Default::default() }),
                memory: Some(v1::MemoryUsage { working_set_bytes: value(memory), ..Default::default() }),
                writable_layer: None,
            },
            created_at: 1_767_225_600_000_000_000,
            sandbox_id: "s".into(),
            image: String::new(),
        }
    }

    #[test]
    fn metrics_are_upstreams() {
        let sample = Sample {
            node_cpu: Some(12_500_000_000),
            node_memory: Some(1024),
            containers: vec![container("a", 1_500_000_000, 100), container("b", 500_000_000, 20)],
            sandboxes: BTreeMap::new(),
        };
        expect![[r##"
            # HELP container_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the container in core-seconds
            # TYPE container_cpu_usage_seconds_total counter
            container_cpu_usage_seconds_total{container="a",namespace="ns",pod="p"} 1.5 1000
            container_cpu_usage_seconds_total{container="b",namespace="ns",pod="p"} 0.5 1000
            # HELP container_memory_working_set_bytes [STABLE] Current working set of the container in bytes
            # TYPE container_memory_working_set_bytes gauge
            container_memory_working_set_bytes{container="a",namespace="ns",pod="p"} 100 1000
            container_memory_working_set_bytes{container="b",namespace="ns",pod="p"} 20 1000
            # HELP container_start_time_seconds [STABLE] Start time of the container since unix epoch in seconds
            # TYPE container_start_time_seconds gauge
            container_start_time_seconds{container="a",namespace="ns",pod="p"} 1767225600 1000
            container_start_time_seconds{container="b",namespace="ns",pod="p"} 1767225600 1000
            # HELP node_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the node in core-seconds
            # TYPE node_cpu_usage_seconds_total counter
            node_cpu_usage_seconds_total 12.5 1000
            # HELP node_memory_working_set_bytes [STABLE] Current working set of the node in bytes
            # TYPE node_memory_working_set_bytes gauge
            node_memory_working_set_bytes 1024 1000
            # HELP pod_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the pod in core-seconds
            # TYPE pod_cpu_usage_seconds_total counter
            pod_cpu_usage_seconds_total{namespace="ns",pod="p"} 2 1000
            # HELP pod_memory_working_set_bytes [STABLE] Current working set of the pod in bytes
            # TYPE pod_memory_working_set_bytes gauge
            pod_memory_working_set_bytes{namespace="ns",pod="p"} 120 1000
            # HELP resource_scrape_error [STABLE] 1 if there was an error while getting container metrics, 0 otherwise
            # TYPE resource_scrape_error gauge
            resource_scrape_error 0
        "##]].assert_eq(&render_metrics(&sample, false, 1000));
    }

    #[test]
    fn idle_time_is_not_used() {
        assert_eq!(node_cpu(b"cpu  10 1 5 1000 100 2 3 4 50 0\ncpu0 1 1 1\n"), Some(25 * TICK_NANOS));
        assert_eq!(node_cpu(b"nothing"), None);
    }
}
