//! The scheduler's settings, with the defaults of upstream's flags and KubeSchedulerConfiguration.

use std::time::Duration;

use component::Metrics;

#[derive(Clone, Debug)]
pub struct Config {
    /// Pods that name this scheduler are ours.
    pub scheduler_name: String,
    /// `podInitialBackoffSeconds`: how long a pod that did not fit waits at least, doubled by each attempt.
    pub pod_initial_backoff: Duration,
    /// `podMaxBackoffSeconds`.
    pub pod_max_backoff: Duration,
    /// `--leader-elect`; off where there can be only one.
    pub leader_elect: bool,
    /// This process among the candidates: host name and a uuid, as upstream's.
    pub identity: String,
    /// Where its metrics go.
    pub metrics: Metrics,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            scheduler_name: "default-scheduler".to_owned(),
            pod_initial_backoff: Duration::from_secs(1),
            pod_max_backoff: Duration::from_secs(10),
            leader_elect: true,
            identity: String::new(),
            metrics: Metrics::new(),
        }
    }
}
