//! The kubelet's own metrics, under upstream's names: what it does (`/metrics`), and what its probes say
//! (`/metrics/probes`, where a pod's lines go with the pod).

use std::time::Duration;

use component::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use crate::api::Pod;
use crate::pod::probes::Kind;
use crate::pods::View;
use crate::probe::Outcome;

/// Prometheus' own default buckets, in seconds: upstream's for pods and probes.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Node {
    node: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation_type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ContainerState {
    container_state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ContainerType {
    container_type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Probe {
    probe_type: &'static str,
    result: &'static str,
    container: String,
    pod: String,
    namespace: String,
    pod_uid: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProbeDuration {
    probe_type: &'static str,
    container: String,
    pod: String,
    namespace: String,
}

fn histogram(buckets: impl Into<Vec<f64>>) -> Histogram {
    Histogram::new(buckets.into())
}

/// The metrics of one kubelet.
#[derive(Debug)]
pub(crate) struct KubeletMetrics {
    pub(crate) registry: Metrics,
    pub(crate) probe_registry: Metrics,
    steps: Family<Operation, Histogram, fn() -> Histogram>,
    pod_start: Histogram,
    pods_started: Counter,
    containers_started: Family<ContainerType, Counter>,
    running_pods: Gauge,
    /// By `static`: empty or `true`.
    desired_pods: Family<Vec<(&'static str, &'static str)>, Gauge>,
    containers: Family<ContainerState, Gauge>,
    probes: Family<Probe, Counter>,
    probe_durations: Family<ProbeDuration, Histogram, fn() -> Histogram>,
}

impl KubeletMetrics {
    pub(crate) fn new(node_name: &str) -> Self {
        let durations: fn() -> Histogram = || histogram(BUCKETS);
        let made = Self {
            registry: Metrics::of_component(),
            probe_registry: Metrics::new(),
            steps: Family::new_with_constructor(durations),
            // Upstream's, up to the minutes that a large image takes.
            pod_start: histogram([
                0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0,
            ]),
            pods_started: Counter::default(),
            containers_started: Family::default(),
            running_pods: Gauge::default(),
            desired_pods: Family::default(),
            containers: Family::default(),
            probes: Family::default(),
            probe_durations: Family::new_with_constructor(durations),
        };
        let node = Family::<Node, Gauge>::default();
        node.get_or_create(&Node { node: node_name.to_owned() }).set(1);
        let r = &made.registry;
        r.register("kubelet_node_name", "The node's name. The count is always 1", node);
        let name = "kubelet_pod_worker_duration_seconds";
        r.register(name, "Duration in seconds to sync a single pod", made.steps.clone());
        let name = "kubelet_pod_start_duration_seconds";
        let help =
            "Duration in seconds from kubelet seeing a pod for the first time to the pod starting to run";
        r.register(name, help, made.pod_start.clone());
        r.register("kubelet_started_pods", "Cumulative number of pods started", made.pods_started.clone());
        let help = "Cumulative number of containers started";
        r.register("kubelet_started_containers", help, made.containers_started.clone());
        let help = "Number of pods that have a running pod sandbox";
        r.register("kubelet_running_pods", help, made.running_pods.clone());
        let help = "The number of pods the kubelet is being instructed to run";
        r.register("kubelet_desired_pods", help, made.desired_pods.clone());
        r.register(
            "kubelet_running_containers",
            "Number of containers currently running",
            made.containers.clone(),
        );
        let r = &made.probe_registry;
        let help = "Cumulative number of a liveness, readiness or startup probe for a container by result";
        r.register("prober_probe", help, made.probes.clone());
        let help = "Duration in seconds for a probe response";
        r.register("prober_probe_duration_seconds", help, made.probe_durations.clone());
        made
    }

    /// A pod's task has looked at everything once.
    pub(crate) fn stepped(&self, took: Duration) {
        self.steps.get_or_create(&Operation { operation_type: "sync" }).observe(took.as_secs_f64());
    }

    /// A container has been started. `kind` is the field that it stands in.
    pub(crate) fn container_started(&self, kind: &str) {
        let container_type = match kind {
            "initContainers" => "init_container",
            "ephemeralContainers" => "ephemeral_container",
            _ => "container",
        };
        self.containers_started.get_or_create(&ContainerType { container_type }).inc();
    }

    /// A sandbox runs.
    pub(crate) fn pod_started(&self) {
        self.pods_started.inc();
    }

    /// A pod runs for the first time, so long after this kubelet saw it.
    pub(crate) fn pod_running(&self, after: Duration) {
        self.pod_start.observe(after.as_secs_f64());
    }

    pub(crate) fn probed(&self, pod: &Pod, container: &str, kind: Kind, outcome: &Outcome, took: Duration) {
        let result = match outcome {
            Outcome::Success => "successful",
            Outcome::Failure(_) => "failed",
            Outcome::Error(_) => "unknown",
        };
        self.probes.get_or_create(&probe(pod, container, kind, result)).inc();
        // As upstream, which times only what has answered.
        if !matches!(outcome, Outcome::Error(_)) {
            self.probe_durations.get_or_create(&duration(pod, container, kind)).observe(took.as_secs_f64());
        }
    }

    /// Forgets what a pod's probes said.
    pub(crate) fn release(&self, pod: &Pod) {
        for container in pod.spec.all_containers() {
            for kind in Kind::ALL.into_iter().filter(|kind| kind.of(container).is_some()) {
                for result in ["successful", "failed", "unknown"] {
                    self.probes.remove(&probe(pod, &container.name, kind, result));
                }
                self.probe_durations.remove(&duration(pod, &container.name, kind));
            }
        }
    }

    /// Counts what is there now: before the text is made.
    pub(crate) fn count(&self, views: &[View]) {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let n_static = views.iter().filter(|v| crate::static_pods::is_static(&v.pod)).count();
        for (value, n) in [("", views.len() - n_static), ("true", n_static)] {
            self.desired_pods.get_or_create(&vec![("static", value)]).set(number(n));
        }
        self.running_pods.set(number(views.iter().filter(|v| !v.sandbox_id.is_empty()).count()));
        let all = || views.iter().flat_map(|v| v.containers.values());
        let states = [
            ("running", all().filter(|c| c.running).count()),
            ("exited", all().filter(|c| !c.running).count()),
        ];
        for (container_state, n) in states {
            self.containers.get_or_create(&ContainerState { container_state }).set(number(n));
        }
    }
}

fn probe(pod: &Pod, container: &str, kind: Kind, result: &'static str) -> Probe {
    Probe {
        probe_type: kind.word(),
        result,
        container: container.to_owned(),
        pod: pod.metadata.name.clone(),
        namespace: pod.metadata.namespace.clone(),
        pod_uid: pod.metadata.uid.clone(),
    }
}

fn duration(pod: &Pod, container: &str, kind: Kind) -> ProbeDuration {
    ProbeDuration {
        probe_type: kind.word(),
        container: container.to_owned(),
        pod: pod.metadata.name.clone(),
        namespace: pod.metadata.namespace.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pods_probes_go_with_it() {
        let metrics = KubeletMetrics::new("n1");
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "u"},
            "spec": {"containers": [{"name": "c", "livenessProbe": {"periodSeconds": 1}}]},
        }))
        .unwrap();
        metrics.probed(&pod, "c", Kind::Liveness, &Outcome::Success, Duration::from_millis(7));
        metrics.probed(&pod, "c", Kind::Liveness, &Outcome::Failure(String::new()), Duration::ZERO);
        let text = metrics.probe_registry.render();
        for line in [
            "prober_probe_total{probe_type=\"Liveness\",result=\"successful\",container=\"c\",pod=\"p\",namespace=\"ns\",pod_uid=\"u\"} 1",
            "prober_probe_duration_seconds_count{probe_type=\"Liveness\",container=\"c\",pod=\"p\",namespace=\"ns\"} 2",
        ] {
            assert!(text.contains(line), "{text}");
        }
        metrics.release(&pod);
        let text = metrics.probe_registry.render();
        assert!(!text.contains("pod=\"p\""), "{text}");
    }

    #[test]
    fn what_runs_is_counted() {
        let metrics = KubeletMetrics::new("n1");
        let container = |running| crate::pods::ContainerView { running, ..Default::default() };
        let view = View {
            sandbox_id: "s".into(),
            containers: [("a".to_owned(), container(true)), ("b".to_owned(), container(false))].into(),
            ..View::default()
        };
        metrics.count(&[view, View::default()]);
        metrics.container_started("initContainers");
        let text = metrics.registry.render();
        for line in [
            "kubelet_node_name{node=\"n1\"} 1",
            "kubelet_running_pods 1",
            "kubelet_desired_pods{static=\"\"} 2",
            "kubelet_running_containers{container_state=\"running\"} 1",
            "kubelet_running_containers{container_state=\"exited\"} 1",
            "kubelet_started_containers_total{container_type=\"init_container\"} 1",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
