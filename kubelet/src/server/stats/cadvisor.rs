//! `/metrics/cadvisor`: the series that dashboards ask for, under cAdvisor's names and labels.
//!
//! The numbers are the runtime's and the host's, as everywhere here. What neither tells (block devices, schedulers,
//! sockets of a container) is left out rather than shown as 0.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cri::v1;

use super::{ContainerSample, PodSample, Sample, cpu_of, escape, label, number, pods_of, seconds};
use crate::host::Facts;
use crate::host::cgroup::{SHARES_MIN, quota, shares};
use crate::pod::observed::labels;
use crate::server::PodLookup;

/// The period of CPU quotas where nothing else is configured, in microseconds.
const CPU_PERIOD: i64 = 100_000;

/// The labels that name what a series is about.
#[derive(Clone, Debug, Default)]
struct Subject {
    container: String,
    id: String,
    image: String,
    name: String,
    namespace: String,
    pod: String,
}

impl Subject {
    /// With labels of a family's own, each between the others as the alphabet has it.
    fn render(&self, more: &[(&str, &str)]) -> String {
        let own = [
            ("container", self.container.as_str()),
            ("id", &self.id),
            ("image", &self.image),
            ("name", &self.name),
            ("namespace", &self.namespace),
            ("pod", &self.pod),
        ];
        let all: BTreeMap<&str, &str> = own.into_iter().chain(more.iter().copied()).collect();
        let pairs: Vec<String> = all.iter().map(|(n, v)| format!("{n}=\"{}\"", escape(v))).collect();
        format!("{{{}}}", pairs.join(","))
    }
}

/// Families in the order of their first use, each with its lines.
#[derive(Debug, Default)]
struct Families(indexmap::IndexMap<&'static str, (&'static str, &'static str, Vec<String>)>);

impl Families {
    fn add(
        &mut self,
        (name, kind, help): (&'static str, &'static str, &'static str),
        labels: &str,
        value: Option<String>,
        time: Option<i64>,
    ) {
        let Some(value) = value else { return };
        let time = time.map(|t| format!(" {t}")).unwrap_or_default();
        let (_, _, lines) = self.0.entry(name).or_insert_with(|| (kind, help, Vec::new()));
        lines.push(format!("{name}{labels} {value}{time}"));
    }

    fn render(self) -> String {
        let mut out = String::new();
        for (name, (kind, help, lines)) in self.0 {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for line in lines {
                out.push_str(&line);
                out.push('\n');
            }
        }
        out
    }
}

type Family = (&'static str, &'static str, &'static str);

const CPU: Family =
    ("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed in seconds.");
const FS_USAGE: Family = (
    "container_fs_usage_bytes",
    "gauge",
    "Number of bytes that are consumed by the container on this filesystem.",
);
const FS_INODES: Family = ("container_fs_inodes_total", "gauge", "Number of Inodes");
const LAST_SEEN: Family = ("container_last_seen", "gauge", "Last time a container was seen by the exporter");
const RSS: Family = ("container_memory_rss", "gauge", "Size of RSS in bytes.");
const FAULTS: Family =
    ("container_memory_failures_total", "counter", "Cumulative count of memory allocation failures.");
const USAGE: Family = (
    "container_memory_usage_bytes",
    "gauge",
    "Current memory usage in bytes, including all memory regardless of when it was accessed",
);
const WORKING_SET: Family = ("container_memory_working_set_bytes", "gauge", "Current working set in bytes.");
const PROCESSES: Family =
    ("container_processes", "gauge", "Number of processes running inside the container.");
const START: Family =
    ("container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds.");
const SPEC_PERIOD: Family = ("container_spec_cpu_period", "gauge", "CPU period of the container.");
const SPEC_QUOTA: Family = ("container_spec_cpu_quota", "gauge", "CPU quota of the container.");
const SPEC_SHARES: Family = ("container_spec_cpu_shares", "gauge", "CPU share of the container.");
const SPEC_MEMORY: Family = ("container_spec_memory_limit_bytes", "gauge", "Memory limit for the container.");
const RX_BYTES: Family =
    ("container_network_receive_bytes_total", "counter", "Cumulative count of bytes received");
const RX_ERRORS: Family = (
    "container_network_receive_errors_total",
    "counter",
    "Cumulative count of errors encountered while receiving",
);
const TX_BYTES: Family =
    ("container_network_transmit_bytes_total", "counter", "Cumulative count of bytes transmitted");
const TX_ERRORS: Family = (
    "container_network_transmit_errors_total",
    "counter",
    "Cumulative count of errors encountered while transmitting",
);

fn text(value: Option<u64>) -> Option<String> {
    value.map(|n| n.to_string())
}

fn cpu(nanos: Option<u64>) -> Option<String> {
    nanos.map(|n| seconds(n).to_string())
}

/// The whole answer. `millis` is now.
pub(super) fn render(sample: &Sample, facts: &Facts, pods: &dyn PodLookup, millis: i64) -> String {
    let mut out = Families::default();
    let version = (
        "cadvisor_version_info",
        "gauge",
        "A metric with a constant '1' value labeled by kernel version, OS version, docker version, cadvisor version & cadvisor revision.",
    );
    let labels = format!(
        "{{cadvisorRevision=\"\",cadvisorVersion=\"\",dockerVersion=\"\",kernelVersion=\"{}\",osVersion=\"{}\"}}",
        escape(&facts.kernel_version),
        escape(&facts.os_image)
    );
    out.add(version, &labels, Some("1".to_owned()), None);
    node(&mut out, sample, millis);
    for pod in pods_of(sample) {
        let known = pods.pod(&pod.namespace, &pod.name).filter(|p| p.metadata.uid == pod.uid);
        let group = pods.cgroup(&pod.namespace, &pod.name).unwrap_or_default();
        let subject = Subject {
            id: group.clone(),
            namespace: pod.namespace.clone(),
            pod: pod.name.clone(),
            ..Subject::default()
        };
        pod_lines(&mut out, &pod, &subject, millis);
        for container in &pod.containers {
            let name = container.stats.attributes.as_ref();
            let name = name.map_or("", |a| label(&a.labels, labels::CONTAINER_NAME));
            let spec = known.as_ref().and_then(|p| p.spec.container(name));
            container_lines(&mut out, container, &subject, spec, millis);
        }
    }
    machine(&mut out, facts);
    let help = "1 if there was an error while getting container metrics, 0 otherwise";
    out.add(("container_scrape_error", "gauge", help), "", Some("0".to_owned()), None);
    out.render()
}

/// The root group: everything on the node.
fn node(out: &mut Families, sample: &Sample, millis: i64) {
    let root = Subject { id: "/".to_owned(), ..Subject::default() };
    let labels = root.render(&[]);
    out.add(CPU, &root.render(&[("cpu", "total")]), cpu(sample.node_cpu), Some(millis));
    out.add(USAGE, &labels, text(sample.node_memory), Some(millis));
    out.add(WORKING_SET, &labels, text(sample.node_memory), Some(millis));
}

/// What a pod's containers share: its network, and its group where the runtime counts it.
fn pod_lines(out: &mut Families, pod: &PodSample<'_>, subject: &Subject, millis: i64) {
    let Some(linux) = pod.sandbox.and_then(|s| s.linux.as_ref()) else { return };
    let labels = subject.render(&[]);
    let now = Some(millis);
    let used = linux.cpu.and_then(|c| number(c.usage_core_nano_seconds));
    out.add(CPU, &subject.render(&[("cpu", "total")]), cpu(used), now);
    let memory = linux.memory.unwrap_or_default();
    memory_lines(out, &memory, subject, now);
    let processes = linux.process.and_then(|p| number(p.process_count));
    out.add(PROCESSES, &labels, text(processes), now);
    let Some(network) = &linux.network else { return };
    let sandbox = pod.sandbox.and_then(|s| s.attributes.as_ref()).map(|a| a.id.clone()).unwrap_or_default();
    // cAdvisor counts the network at the sandbox, which is the pod's first container.
    let subject = Subject { name: sandbox, ..subject.clone() };
    for interface in network.default_interface.iter().chain(&network.interfaces) {
        let labels = subject.render(&[("interface", &interface.name)]);
        out.add(RX_BYTES, &labels, text(number(interface.rx_bytes)), now);
        out.add(RX_ERRORS, &labels, text(number(interface.rx_errors)), now);
        out.add(TX_BYTES, &labels, text(number(interface.tx_bytes)), now);
        out.add(TX_ERRORS, &labels, text(number(interface.tx_errors)), now);
    }
}

fn memory_lines(out: &mut Families, memory: &v1::MemoryUsage, subject: &Subject, now: Option<i64>) {
    let labels = subject.render(&[]);
    for (kind, faults) in [("pgfault", memory.page_faults), ("pgmajfault", memory.major_page_faults)] {
        let labels = subject.render(&[("failure_type", kind), ("scope", "container")]);
        out.add(FAULTS, &labels, text(number(faults)), now);
    }
    out.add(RSS, &labels, text(number(memory.rss_bytes)), now);
    out.add(USAGE, &labels, text(number(memory.usage_bytes)), now);
    out.add(WORKING_SET, &labels, text(number(memory.working_set_bytes)), now);
}

fn container_lines(
    out: &mut Families,
    container: &ContainerSample,
    pod: &Subject,
    spec: Option<&crate::api::pod::Container>,
    millis: i64,
) {
    let Some(attributes) = &container.stats.attributes else { return };
    let subject = Subject {
        container: label(&attributes.labels, labels::CONTAINER_NAME).to_owned(),
        id: format!("{}/{}", pod.id, attributes.id),
        image: container.image.clone(),
        name: attributes.id.clone(),
        ..pod.clone()
    };
    let (labels, now) = (subject.render(&[]), Some(millis));
    out.add(CPU, &subject.render(&[("cpu", "total")]), cpu(cpu_of(container)), now);
    if let Some(layer) = &container.stats.writable_layer {
        let device = layer.fs_id.as_ref().map(|f| f.mountpoint.clone()).unwrap_or_default();
        let labels = subject.render(&[("device", &device)]);
        out.add(FS_INODES, &labels, text(number(layer.inodes_used)), now);
        out.add(FS_USAGE, &labels, text(number(layer.used_bytes)), now);
    }
    out.add(LAST_SEEN, &labels, Some((millis / 1000).to_string()), now);
    let memory = container.stats.memory.unwrap_or_default();
    memory_lines(out, &memory, &subject, now);
    let started = u64::try_from(container.created_at).ok();
    out.add(START, &labels, cpu(started), None);
    let Some(spec) = spec else { return };
    let resources = &spec.resources;
    let limit = |name: &str| resources.limits.get(name);
    let request = resources.requests.get("cpu").or_else(|| limit("cpu")).map_or(0, |q| q.milli());
    out.add(SPEC_PERIOD, &labels, Some(CPU_PERIOD.to_string()), None);
    out.add(SPEC_QUOTA, &labels, limit("cpu").map(|q| quota(q.milli(), CPU_PERIOD).to_string()), None);
    let own = if request == 0 { SHARES_MIN } else { shares(request) };
    out.add(SPEC_SHARES, &labels, Some(own.to_string()), None);
    let bytes = limit("memory").map_or(0, |q| q.value());
    out.add(SPEC_MEMORY, &labels, Some(bytes.to_string()), None);
}

fn machine(out: &mut Families, facts: &Facts) {
    let labels = format!(
        "{{boot_id=\"{}\",machine_id=\"{}\",system_uuid=\"{}\"}}",
        escape(&facts.boot_id),
        escape(&facts.machine_id),
        escape(&facts.system_uuid)
    );
    let cores = ("machine_cpu_cores", "gauge", "Number of logical CPU cores.");
    out.add(cores, &labels, Some(facts.cpus.to_string()), None);
    let memory = ("machine_memory_bytes", "gauge", "Amount of memory installed on the machine.");
    out.add(memory, &labels, Some(facts.memory_bytes.to_string()), None);
    let swap = ("machine_swap_bytes", "gauge", "Amount of swap memory available on the machine.");
    out.add(swap, &labels, Some(facts.swap_bytes.to_string()), None);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::api::Pod;

    #[derive(Debug)]
    struct One(Arc<Pod>);

    impl PodLookup for One {
        fn metrics(&self) -> String {
            String::new()
        }
        fn probe_metrics(&self) -> String {
            String::new()
        }
        fn cgroup(&self, _namespace: &str, _name: &str) -> Option<String> {
            Some("/kubepods/podu".to_owned())
        }
        fn pod(&self, _namespace: &str, name: &str) -> Option<Arc<Pod>> {
            (name == "p").then(|| Arc::clone(&self.0))
        }
    }

    #[test]
    fn series_name_container_pod_and_node() {
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "u"},
            "spec": {"containers": [{"name": "a", "resources": {
                "limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"cpu": "250m"}}}]},
        }))
        .unwrap();
        let mut container = super::super::tests::container("a", 1_500_000_000, 100);
        let attributes = container.stats.attributes.as_mut().unwrap();
        attributes.labels.insert(labels::POD_UID.to_owned(), "u".to_owned());
        container.image = "app:1".to_owned();
        let interface = v1::NetworkInterfaceUsage {
            name: "eth0".into(),
            rx_bytes: Some(v1::UInt64Value { value: 7 }),
            ..Default::default()
        };
        let network = v1::NetworkUsage { default_interface: Some(interface), ..Default::default() };
        let sandbox = v1::PodSandboxStats {
            attributes: Some(v1::PodSandboxAttributes { id: "s".into(), ..Default::default() }),
            linux: Some(v1::LinuxPodSandboxStats { network: Some(network), ..Default::default() }),
        };
        let sample = Sample {
            node_cpu: Some(2_000_000_000),
            node_memory: Some(1024),
            containers: vec![container],
            sandboxes: [("s".to_owned(), sandbox)].into(),
        };
        let facts = Facts { cpus: 2, memory_bytes: 4096, ..Facts::default() };
        let text = render(&sample, &facts, &One(Arc::new(pod)), 5000);
        let own =
            "container=\"a\",id=\"/kubepods/podu/a\",image=\"app:1\",name=\"a\",namespace=\"ns\",pod=\"p\"";
        for line in [
            "container_cpu_usage_seconds_total{container=\"\",cpu=\"total\",id=\"/\",image=\"\",name=\"\",namespace=\"\",pod=\"\"} 2 5000".to_owned(),
            "container_cpu_usage_seconds_total{container=\"a\",cpu=\"total\",id=\"/kubepods/podu/a\",image=\"app:1\",name=\"a\",namespace=\"ns\",pod=\"p\"} 1.5 5000".to_owned(),
            format!("container_memory_working_set_bytes{{{own}}} 100 5000"),
            format!("container_last_seen{{{own}}} 5 5000"),
            format!("container_start_time_seconds{{{own}}} 1767225600"),
            format!("container_spec_cpu_quota{{{own}}} 50000"),
            format!("container_spec_cpu_shares{{{own}}} 256"),
            format!("container_spec_memory_limit_bytes{{{own}}} 67108864"),
            "container_network_receive_bytes_total{container=\"\",id=\"/kubepods/podu\",image=\"\",interface=\"eth0\",name=\"s\",namespace=\"ns\",pod=\"p\"} 7 5000".to_owned(),
            "machine_cpu_cores{boot_id=\"\",machine_id=\"\",system_uuid=\"\"} 2".to_owned(),
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\nis not in\n{text}");
        }
        let mut names: Vec<&str> =
            text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        let n = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), n, "a family stands once");
    }
}
