//! The controller manager's settings, with the defaults of upstream's flags.

use std::time::Duration;

use component::Metrics;

#[derive(Clone, Debug)]
pub struct Config {
    /// `--leader-elect`; off where there can be only one.
    pub leader_elect: bool,
    /// This process among the candidates: host name and a uuid, as upstream's.
    pub identity: String,
    /// `--cluster-cidr` with `--allocate-node-cidrs`; nothing is allocated when empty.
    pub cluster_cidr: String,
    /// `--node-cidr-mask-size-ipv4`.
    pub node_cidr_mask_size: u8,
    /// The certificate authority (PEM) that is published in each namespace as ConfigMap kube-root-ca.crt.
    pub root_ca: String,
    /// `--node-monitor-grace-period`: upstream's default is 50 s since 1.32 and was 40 s before.
    pub node_monitor_grace_period: Duration,
    /// `--node-monitor-period`.
    pub node_monitor_period: Duration,
    /// `--terminated-pod-gc-threshold`; 0 switches it off.
    pub terminated_pod_gc_threshold: usize,
    /// `--concurrent-*-syncs` of the busy ones.
    pub workers: usize,
    /// `--controllers`: names to leave out.
    pub disabled: Vec<String>,
    /// Where the metrics of its queues go.
    pub metrics: Metrics,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            leader_elect: true,
            identity: String::new(),
            cluster_cidr: "10.244.0.0/16".into(),
            node_cidr_mask_size: 24,
            root_ca: String::new(),
            node_monitor_grace_period: Duration::from_secs(50),
            node_monitor_period: Duration::from_secs(5),
            terminated_pod_gc_threshold: 12500,
            workers: 5,
            disabled: Vec::new(),
            metrics: Metrics::new(),
        }
    }
}
