//! What all parts of one kubelet share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use client::{Client, EventType, Informer, ObjectReference, Recorder, resources};
use component::Tasks;
use cri::Runtime;
use env::Env;
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::api::pod::Container;
use crate::api::{Node, Pod, Service};
use crate::config::Config;
use crate::host::{Facts, Host};
use crate::images::Images;
use crate::metrics::KubeletMetrics;
use crate::objects::Objects;
use crate::pod::config::NodeSettings;
use crate::pod::dns::{NodeDns, parse_resolv_conf};
use crate::pod::env::Surroundings;
use crate::pod::resources::CpuPolicy;
use crate::pod::turns::Turns;
use crate::pods::Pods;
use crate::quantity::Quantity;
use crate::static_pods::StaticPods;
use crate::tokens::Tokens;

/// One kubelet's surroundings. Shared by its tasks; holds no task itself.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) config: Config,
    pub(crate) client: Client,
    pub(crate) runtime: Arc<dyn Runtime>,
    /// `containerd`, from the runtime's own answer.
    pub(crate) runtime_name: String,
    pub(crate) runtime_version: String,
    pub(crate) env: Env,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) tasks: Tasks,
    pub(crate) recorder: Recorder,
    pub(crate) facts: Facts,
    pub(crate) host_ips: Vec<String>,
    pub(crate) allocatable: BTreeMap<String, Quantity>,
    pub(crate) capacity: BTreeMap<String, Quantity>,
    pub(crate) settings: NodeSettings,
    pub(crate) services: Informer<Service>,
    pub(crate) nodes: Informer<Node>,
    pub(crate) objects: Objects,
    pub(crate) tokens: Tokens,
    pub(crate) images: Images,
    pub(crate) pods: Pods,
    pub(crate) static_pods: StaticPods,
    pub(crate) turns: Turns,
    pub(crate) metrics: KubeletMetrics,
    /// Seconds since when conditions of the node hold; see `node`.
    pub(crate) pressure: Mutex<crate::node::Pressure>,
}

impl Agent {
    pub(crate) fn now(&self) -> Timestamp {
        self.env.clock.now()
    }

    pub(crate) fn pod_dir(&self, uid: &str) -> PathBuf {
        self.config.pods_dir().join(uid)
    }

    /// Tells an event about a pod.
    pub(crate) fn pod_event(&self, pod: &Pod, kind: EventType, reason: &str, message: impl Into<String>) {
        self.recorder.event(&ObjectReference::of(&resources::PODS, &pod.metadata), kind, reason, message);
    }

    /// Tells an event about one of a pod's containers.
    pub(crate) fn container_event(
        &self,
        pod: &Pod,
        container: &Container,
        kind: EventType,
        reason: &str,
        message: impl Into<String>,
    ) {
        let list = list_of(pod, container);
        let object = ObjectReference::of(&resources::PODS, &pod.metadata)
            .field_path(format!("spec.{list}{{{}}}", container.name));
        self.recorder.event(&object, kind, reason, message);
    }

    /// What a pod's fields may speak of.
    pub(crate) fn surroundings(&self, pod: &Pod, pod_ips: &[String]) -> Surroundings {
        let pod_ips = if pod.spec.host_network { &self.host_ips } else { pod_ips };
        Surroundings {
            node_name: self.config.node_name.clone(),
            host_ips: self.host_ips.clone(),
            pod_ips: pod_ips.to_vec(),
            allocatable: self.allocatable.clone(),
        }
    }

    /// The node's DNS, with the host's resolv.conf as it is now.
    pub(crate) fn dns(&self) -> NodeDns {
        let kubelet = &self.config.kubelet;
        // systemd-resolved's stub is a loopback address, of no use inside a pod: its real list is beside it.
        let default = "/run/systemd/resolve/resolv.conf";
        let path = match &kubelet.resolv_conf {
            Some(path) => path.as_str(),
            None if self.host.kind(default.as_ref()).is_some() => default,
            None => "/etc/resolv.conf",
        };
        let text =
            if path.is_empty() { Vec::new() } else { self.host.read_file(path.as_ref()).unwrap_or_default() };
        NodeDns {
            cluster_servers: kubelet.cluster_dns.clone(),
            cluster_domain: kubelet.cluster_domain.clone(),
            host: parse_resolv_conf(&String::from_utf8_lossy(&text)),
        }
    }
}

/// The field of the specification that the container stands in.
pub(crate) fn list_of(pod: &Pod, container: &Container) -> &'static str {
    if pod.spec.init_containers.iter().any(|c| c.name == container.name) {
        "initContainers"
    } else if pod.spec.ephemeral_containers.iter().any(|c| c.name == container.name) {
        "ephemeralContainers"
    } else {
        "containers"
    }
}

/// What the pure configuration needs of the node.
pub(crate) fn node_settings(config: &Config, facts: &Facts) -> NodeSettings {
    let kubelet = &config.kubelet;
    NodeSettings {
        pod_logs_dir: kubelet.pod_logs_dir.clone(),
        cluster_domain: kubelet.cluster_domain.clone(),
        seccomp_default: kubelet.seccomp_default,
        seccomp_dir: config.root_dir.join("seccomp"),
        sandbox_seccomp: crate::pod::seccomp::sandbox_profile(&config.root_dir),
        memory_capacity: facts.memory_bytes,
        cpu: CpuPolicy {
            quota: kubelet.cpu_cfs_quota,
            period_micros: i64::try_from(kubelet.cpu_cfs_quota_period.as_micros()).unwrap_or(100_000),
        },
    }
}
