//! A node without a machine: registers itself, keeps its lease, and reports each pod that is bound to it as running.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use client::{Client, DeleteParams, Error, Event, Informers, Key, ListParams, Meta, Patch, Resource, ResourceType, resources};
use component::Tasks;
use env::Env;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Notify;

/// How often the lease is renewed, as upstream's kubelet.
const LEASE_PERIOD: Duration = Duration::from_secs(10);
/// Wait before another attempt at a pod whose status could not be written.
const RETRY: Duration = Duration::from_secs(1);

/// What survives the agent: the node's containers, one per pod.
#[derive(Clone, Debug)]
pub struct Machine(Arc<State>);

#[derive(Debug)]
struct State {
    name: String,
    number: u8,
    /// Running pods by uid, with the last part of their address.
    running: Mutex<BTreeMap<String, u32>>,
    /// Starts so far, by the pod's uid.
    starts: Mutex<BTreeMap<String, u32>>,
    /// Pods become ready while this is set.
    healthy: Mutex<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Pod {
    metadata: Meta,
    status: Status,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: String,
}

impl Resource for Pod {
    const TYPE: ResourceType = resources::PODS;
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

impl Machine {
    pub fn new(number: u8) -> Self {
        Self(Arc::new(State {
            name: format!("n{number}"),
            number,
            running: Mutex::default(),
            starts: Mutex::default(),
            healthy: Mutex::new(true),
        }))
    }
    pub fn name(&self) -> &str {
        &self.0.name
    }
    /// Whether pods that start from now on are ready.
    pub fn set_healthy(&self, healthy: bool) {
        *self.0.healthy.lock() = healthy;
    }
    /// The uids of running pods.
    pub fn running(&self) -> BTreeSet<String> {
        self.0.running.lock().keys().cloned().collect()
    }
    /// How often the container of each pod (by uid) was started.
    pub fn starts(&self) -> BTreeMap<String, u32> {
        self.0.starts.lock().clone()
    }

    /// The pod's address; starts it when it does not run.
    fn start(&self, uid: &str) -> String {
        let mut starts = self.0.starts.lock();
        let n_pods = u32::try_from(starts.len()).unwrap_or(0);
        let last = *self.0.running.lock().entry(uid.to_owned()).or_insert_with(|| {
            *starts.entry(uid.to_owned()).or_default() += 1;
            2 + n_pods % 250
        });
        format!("10.244.{}.{last}", self.0.number)
    }

    fn stop(&self, uid: &str) {
        self.0.running.lock().remove(uid);
    }
}

/// Runs the node's agent in `tasks` until that is stopped. `client` is that of `system:node:NAME`.
pub fn start(machine: &Machine, client: &Client, env: &Env, tasks: &Tasks) {
    let agent = Agent { machine: machine.clone(), client: client.clone(), env: env.clone() };
    let leases = agent.clone();
    tasks.spawn_until_stop("lease", async move {
        leases.register().await;
        loop {
            if let Err(error) = leases.renew().await {
                tracing::debug!(node = leases.machine.name(), %error, "could not renew the lease");
            }
            tokio::time::sleep(LEASE_PERIOD).await;
        }
    });
    let informers = Informers::new(client.clone(), env.clone(), tasks.clone());
    let field_selector = format!("spec.nodeName={}", machine.name());
    let pods = informers.with::<Pod>(ListParams { field_selector, ..ListParams::default() });
    let (dirty, notify): (Arc<Mutex<BTreeSet<Key>>>, Arc<Notify>) = Arc::default();
    let (noted, wake) = (Arc::clone(&dirty), Arc::clone(&notify));
    let gone = machine.clone();
    pods.add_handler(move |event| {
        if let Event::Deleted(pod) = event {
            gone.stop(&pod.metadata.uid);
        }
        noted.lock().insert(Key::of(&event.object().metadata));
        wake.notify_one();
    });
    informers.start();
    tasks.spawn_until_stop("pods", async move {
        loop {
            let keys = std::mem::take(&mut *dirty.lock());
            for key in keys {
                let Some(pod) = pods.get_key(&key) else { continue };
                if let Err(error) = agent.sync(&pod).await {
                    tracing::debug!(%key, %error, "could not report a pod");
                    tokio::time::sleep(RETRY).await;
                    dirty.lock().insert(key);
                    notify.notify_one();
                }
            }
            notify.notified().await;
        }
    });
}

#[derive(Clone)]
struct Agent {
    machine: Machine,
    client: Client,
    env: Env,
}

impl Agent {
    fn now(&self) -> String {
        client::time::seconds(self.env.clock.now())
    }

    async fn register(&self) {
        let resources = json!({"cpu": "4", "memory": "8Gi", "pods": "110"});
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": self.machine.name()},
            "status": {
                "capacity": resources, "allocatable": resources,
                "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready",
                    "lastHeartbeatTime": self.now(), "lastTransitionTime": self.now()}],
            },
        });
        loop {
            match self.client.create::<Value>(&resources::NODES, "", &node).await {
                Err(error) if !error.is_already_exists() => tokio::time::sleep(RETRY).await,
                _ => return,
            }
        }
    }

    async fn renew(&self) -> Result<(), Error> {
        let (namespace, name) = ("kube-node-lease", self.machine.name());
        let now = client::time::micros(self.env.clock.now());
        let spec = json!({"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now});
        let patch = Patch::Merge(json!({"spec": spec}));
        match self.client.patch::<Value>(&resources::LEASES, namespace, name, "", &patch).await {
            Err(error) if error.is_not_found() => {
                let lease = json!({
                    "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                    "metadata": {"name": name, "namespace": namespace}, "spec": spec,
                });
                self.client.create::<Value>(&resources::LEASES, namespace, &lease).await.map(drop)
            }
            other => other.map(drop),
        }
    }

    async fn sync(&self, pod: &Pod) -> Result<(), Error> {
        let Meta { namespace, name, uid, .. } = &pod.metadata;
        if pod.metadata.deleting() {
            self.machine.stop(uid);
            let params = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::uid(uid) };
            return match self.client.delete(&resources::PODS, namespace, name, &params).await {
                Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
                _ => Ok(()),
            };
        }
        if matches!(pod.status.phase.as_str(), "Running" | "Succeeded" | "Failed") || !*self.machine.0.healthy.lock() {
            return Ok(());
        }
        let ip = self.machine.start(uid);
        let condition = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": self.now()});
        let patch = Patch::Strategic(json!({"metadata": {"uid": uid}, "status": {
            "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "startTime": self.now(),
            "conditions": [condition("Initialized"), condition("ContainersReady"), condition("Ready")],
        }}));
        match self.client.patch::<Value>(&resources::PODS, namespace, name, "status", &patch).await {
            Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
            _ => Ok(()),
        }
    }
}
