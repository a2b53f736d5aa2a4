//! Health endpoints: the proxy's own (`/healthz`, `/livez`), and one per Service whose balancer asks which nodes have
//! endpoints (`healthCheckNodePort`).
//!
//! `/healthz` also says whether the node should get new traffic: not while it is being deleted or drained by the
//! autoscaler. `/livez` is about the proxy alone, so that nobody restarts it for its node's sake.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use client::Key;
use component::Tasks;
use component::serving::{Answer, Handler, Serving};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use crate::Config;
use crate::metrics::ProxyMetrics;
use crate::model::ServiceView;
use crate::types::Node;

/// A change that has waited for so long without an application means that the proxy is stuck: twice upstream's sync
/// period.
const STUCK_AFTER: Duration = Duration::from_secs(60);

/// The taint that the cluster autoscaler puts on a node before it removes it.
const DELETION_TAINT: &str = "ToBeDeletedByClusterAutoscaler";

/// The proxy's own state of health. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Health {
    clock: Arc<dyn env::Clock>,
    stuck_after: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    last_applied: Option<Timestamp>,
    /// When the oldest change came that is not applied.
    pending_since: Option<Instant>,
    node_eligible: bool,
}

/// Whether balancers should send traffic to this node.
pub fn eligible(node: &Node) -> bool {
    let tainted = node.spec.taints.iter().flatten().any(|t| t.key == DELETION_TAINT);
    node.metadata.deletion_timestamp.is_none() && !tainted
}

impl Health {
    pub fn new(clock: Arc<dyn env::Clock>, min_sync_period: Duration) -> Self {
        // Until the first application the proxy counts as starting, from now on.
        let state = State { last_applied: None, pending_since: Some(Instant::now()), node_eligible: true };
        Self { clock, stuck_after: STUCK_AFTER.max(min_sync_period * 2), state: Arc::new(Mutex::new(state)) }
    }

    pub fn queued(&self, since: Instant) {
        self.state.lock().pending_since.get_or_insert(since);
    }

    pub fn applied(&self) {
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.last_applied = Some(now);
        state.pending_since = None;
    }

    pub fn set_node(&self, node: Option<&Node>) {
        self.state.lock().node_eligible = node.is_none_or(eligible);
    }

    fn answer(&self, with_node: bool) -> Answer {
        let now = self.clock.now();
        let state = self.state.lock();
        let stuck = state.pending_since.is_some_and(|since| since.elapsed() > self.stuck_after);
        let started = state.last_applied.is_some();
        let healthy = started && !stuck && (!with_node || state.node_eligible);
        // Upstream's: while healthy, what is applied counts as up to date now.
        let updated = if healthy { now } else { state.last_applied.unwrap_or(Timestamp::UNIX_EPOCH) };
        let mut body = json!({"lastUpdated": updated.to_string(), "currentTime": now.to_string()});
        if with_node {
            body["nodeEligible"] = state.node_eligible.into();
        }
        json_answer(if healthy { 200 } else { 503 }, &body)
    }

    /// Serves `/healthz` and `/livez`.
    pub fn handler(&self) -> Handler {
        let health = self.clone();
        Arc::new(move |target| match path(target) {
            "/healthz" => health.answer(true),
            "/livez" => health.answer(false),
            _ => Answer::not_found(),
        })
    }
}

fn path(target: &str) -> &str {
    target.split('?').next().unwrap_or(target)
}

fn json_answer(status: u16, body: &serde_json::Value) -> Answer {
    Answer { status, content_type: "application/json", body: body.to_string() }
}

/// Serves `/metrics`, `/proxyMode`, `/healthz` and `/configz` of the metrics port.
pub fn metrics_handler(metrics: ProxyMetrics, mode: &'static str, config: &Config) -> Handler {
    let configz = json!({"kubeproxy.config.k8s.io": {
        "mode": mode,
        "hostnameOverride": config.node_name,
        "clusterCIDR": config.cluster_cidrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        "minSyncPeriod": format!("{}ms", config.min_sync_period.as_millis()),
    }});
    Arc::new(move |target| match path(target) {
        "/metrics" => {
            Answer { status: 200, content_type: component::metrics::CONTENT_TYPE, body: metrics.render() }
        }
        "/proxyMode" => Answer::text(200, mode),
        "/healthz" => Answer::ok(),
        "/configz" => json_answer(200, &configz),
        _ => Answer::not_found(),
    })
}

/// The ports that balancers ask, each with a listener of its own.
#[derive(Debug)]
pub struct ServiceChecks {
    tasks: Tasks,
    open: BTreeMap<Key, Check>,
}

#[derive(Debug)]
struct Check {
    port: u16,
    listener: Tasks,
    n_local: Arc<Mutex<usize>>,
}

impl ServiceChecks {
    pub fn new(tasks: Tasks) -> Self {
        Self { tasks, open: BTreeMap::new() }
    }

    /// Opens and closes listeners and sets the numbers that they tell.
    pub async fn update(&mut self, services: &BTreeMap<Key, ServiceView>) {
        let wanted = |key: &Key, port: u16| {
            port != 0 && services.get(key).is_some_and(|s| s.health_check_node_port == port)
        };
        self.open.retain(|key, check| {
            let keep = wanted(key, check.port);
            if !keep {
                check.listener.kill();
            }
            keep
        });
        for (key, service) in services.iter().filter(|(_, s)| s.health_check_node_port != 0) {
            if let Some(check) = self.open.get(key) {
                *check.n_local.lock() = service.n_local_ready;
                continue;
            }
            let port = service.health_check_node_port;
            match tokio::net::TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], port))).await {
                Ok(socket) => {
                    let listener = self.tasks.child(format!("health check of {key}"));
                    let n_local = Arc::new(Mutex::new(service.n_local_ready));
                    let handler = check_handler(key.clone(), Arc::clone(&n_local));
                    component::serving::serve(&listener, socket, Serving::plain(handler));
                    self.open.insert(key.clone(), Check { port, listener, n_local });
                }
                // Another process has the port: the balancer will avoid this node, which is the safe side.
                Err(error) => {
                    tracing::error!(component = "kube-proxy", %key, port, %error, "health check port not opened");
                }
            }
        }
    }
}

fn check_handler(key: Key, n_local: Arc<Mutex<usize>>) -> Handler {
    Arc::new(move |_| {
        let n = *n_local.lock();
        let body = json!({
            "service": {"namespace": &*key.namespace, "name": &*key.name},
            "localEndpoints": n,
            "serviceProxyHealthy": true,
        });
        json_answer(if n > 0 { 200 } else { 503 }, &body)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn healthy_once_applied_and_until_stuck() {
        let health = Health::new(Arc::new(env::clock::SimClock::new()), Duration::from_secs(1));
        assert_eq!(health.answer(false).status, 503);
        health.applied();
        assert_eq!(health.answer(true).status, 200);
        health.queued(Instant::now());
        tokio::time::advance(STUCK_AFTER / 2).await;
        assert_eq!(health.answer(true).status, 200);
        tokio::time::advance(STUCK_AFTER).await;
        assert_eq!(health.answer(true).status, 503);
        health.applied();
        assert_eq!(health.answer(true).status, 200);
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_on_its_way_out_is_not_eligible_but_alive() {
        let health = Health::new(Arc::new(env::clock::SimClock::new()), Duration::from_secs(1));
        health.applied();
        let node = serde_json::from_value(json!({"spec": {"taints": [{"key": DELETION_TAINT}]}})).unwrap();
        health.set_node(Some(&node));
        assert_eq!(health.answer(true).status, 503);
        assert_eq!(health.answer(false).status, 200);
        assert!(health.answer(true).body.contains("\"nodeEligible\":false"));
    }
}
