//! The shell: observes pods and nodes, asks the core, binds, and tells users why not.
//!
//! One task owns the queue and the cluster, so there are no locks and a decision is always made on everything that has
//! been observed and decided before. Handlers of the caches only note keys; the task reads the newest state of each.
//! Bindings and status patches run beside it, a bounded number at a time. An answer that was lost is settled by reading
//! the pod, never guessed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use client::leader::{self, Ended, LeaderConfig};
use client::{
    Client, Error, Event, EventType, Informer, Informers, Key, ListParams, ObjectReference, Patch, Recorder,
    resources,
};
use component::Tasks;
use env::Env;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::config::Config;
use crate::framework::{Decision, Diagnosis, Profile};
use crate::metrics::{AttemptResult, SchedulerMetrics};
use crate::objects::{Node, Pod};
use crate::pod_info::{PodInfo, SharedPod, Usage};
use crate::queue::{Failure, Queue};
use crate::schedule::schedule;

/// Requests in flight: as many as keep the API server busy; decisions wait beyond that.
const REQUESTS_MAX: usize = 128;

/// Decisions in a row before other tasks of the thread get a turn: some hundreds of microseconds on a large cluster.
const DECISIONS_IN_A_ROW: usize = 16;

/// How long to wait before asking again what became of a binding whose answer was lost.
const SETTLE_RETRY: Duration = Duration::from_secs(1);

/// How long after a change the pods that wait are counted.
const COUNT_AFTER: Duration = Duration::from_secs(1);

/// Pods that have ended take nothing, so they are not even fetched. As upstream's.
const LIVE_PODS: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// Runs the scheduler until `tasks` is asked to stop, or until the leadership is lost (after which nothing of this call
/// runs any more, and the process is expected to exit as upstream's does). `client` is that of `system:kube-scheduler`.
pub async fn run(config: Config, client: Client, env: Env, tasks: Tasks) -> Ended {
    let stop = tasks.token();
    let client = client.with_user_agent("kube-scheduler");
    if !config.leader_elect {
        start(config, client, &env, &tasks);
        stop.cancelled().await;
        return Ended::Stopped;
    }
    let election = LeaderConfig::new("kube-scheduler", &config.identity);
    let group = tasks.child("leader");
    let (inner, lead_env, lead_client) = (group.clone(), env.clone(), client.clone());
    let ended = leader::run(client, election, env, stop, |fence| async move {
        start(config, lead_client.with_fence(fence), &lead_env, &inner);
        inner.token().cancelled().await;
    })
    .await;
    group.kill();
    ended
}

fn start(config: Config, client: Client, env: &Env, tasks: &Tasks) {
    let informers = Informers::new(client.clone(), env.clone(), tasks.clone());
    let recorder = Recorder::new(client.clone(), env.clone(), tasks, &config.scheduler_name, "");
    let scheduler = Scheduler::new(config, client, env.clone(), recorder, &informers);
    tasks.spawn_until_stop("scheduler", async move {
        informers.start();
        informers.synced().await;
        scheduler.run().await;
    });
}

/// What has changed since the task last looked: at most every pod and node once, however fast they change.
#[derive(Debug, Default)]
struct Dirty {
    keys: Mutex<(BTreeSet<Key>, BTreeSet<Key>)>,
    notify: Notify,
}

impl Dirty {
    fn pod(&self, key: Key) {
        self.keys.lock().0.insert(key);
        self.notify.notify_one();
    }

    fn node(&self, key: Key) {
        self.keys.lock().1.insert(key);
        self.notify.notify_one();
    }

    fn take(&self) -> (BTreeSet<Key>, BTreeSet<Key>) {
        std::mem::take(&mut self.keys.lock())
    }
}

/// What a request came to.
#[derive(Debug)]
enum Done {
    Bound {
        pod: SharedPod,
        node: Arc<str>,
        took: Duration,
    },
    NotBound {
        pod: SharedPod,
        error: String,
        took: Duration,
    },
    /// The pod is gone or another one has its name.
    Gone {
        pod: SharedPod,
    },
    Patched,
}

struct Scheduler {
    config: Config,
    client: Client,
    env: Env,
    recorder: Recorder,
    profile: Profile,
    pods: Informer<Pod>,
    nodes: Informer<Node>,
    dirty: Arc<Dirty>,
    cluster: Cluster,
    queue: Queue,
    metrics: SchedulerMetrics,
    /// When the pods that wait are counted again; `None` while nothing has happened since they were.
    count_at: Option<Instant>,
    requests: FuturesUnordered<BoxFuture<'static, Done>>,
}

impl Scheduler {
    fn new(config: Config, client: Client, env: Env, recorder: Recorder, informers: &Informers) -> Self {
        let live = ListParams { field_selector: LIVE_PODS.to_owned(), ..ListParams::default() };
        let (pods, nodes) = (informers.with::<Pod>(live), informers.of::<Node>());
        let dirty = Arc::new(Dirty::default());
        let noted = Arc::clone(&dirty);
        pods.add_handler(move |event: &Event<Pod>| noted.pod(Key::of(&event.object().metadata)));
        let noted = Arc::clone(&dirty);
        nodes.add_handler(move |event: &Event<Node>| noted.node(Key::of(&event.object().metadata)));
        let metrics = SchedulerMetrics::new(&config.metrics, &config.scheduler_name);
        let profile = Profile::default();
        let queue = Queue::new(&profile, config.pod_initial_backoff, config.pod_max_backoff);
        Self {
            config,
            client,
            env,
            recorder,
            profile,
            pods,
            nodes,
            dirty,
            cluster: Cluster::default(),
            queue,
            metrics,
            count_at: None,
            requests: FuturesUnordered::new(),
        }
    }

    async fn run(mut self) {
        loop {
            self.observe();
            if self.count_at.is_some_and(|at| at <= Instant::now()) {
                self.count_at = None;
                self.metrics.pending(&self.queue.counts());
            }
            let mut decided = 0;
            while decided < DECISIONS_IN_A_ROW
                && self.requests.len() < REQUESTS_MAX
                && let Some(pod) = self.queue.pop(Instant::now())
            {
                self.decide(pod);
                decided += 1;
            }
            let more = decided == DECISIONS_IN_A_ROW;
            let next = self.queue.next_time();
            let count_at = self.count_at;
            tokio::select! {
                biased;
                Some(done) = self.requests.next(), if !self.requests.is_empty() => self.settle(done),
                () = self.dirty.notify.notified() => {}
                () = tokio::task::yield_now(), if more => {}
                () = sleep_until(next), if self.requests.len() < REQUESTS_MAX => {}
                () = sleep_until(count_at) => {}
            }
        }
    }

    /// Something happens: what waits is counted a moment later, and not each time, because that looks at every pod.
    fn count(&mut self) {
        self.count_at.get_or_insert_with(|| Instant::now() + COUNT_AFTER);
    }

    /// Brings the cluster and the queue to what the caches show, and wakes the pods that fit now.
    fn observe(&mut self) {
        let (pods, nodes) = self.dirty.take();
        if !pods.is_empty() || !nodes.is_empty() {
            self.count();
        }
        for key in nodes {
            match self.nodes.get_key(&key) {
                Some(node) => self.cluster.set_node(&node),
                None => self.cluster.remove_node(&key.name),
            }
        }
        for key in pods {
            match self.pods.get_key(&key) {
                Some(pod) if !pod.is_terminal() => self.observe_pod(&key, &pod),
                _ => {
                    self.cluster.remove(&key);
                    self.queue.remove(&key);
                }
            }
        }
        let freed = self.cluster.take_freed();
        if !freed.is_empty() {
            let (profile, snapshot) = (&self.profile, &self.cluster.snapshot);
            self.queue.wake(Instant::now(), |pod| profile.fits_any(snapshot, pod, &freed));
        }
    }

    fn observe_pod(&mut self, key: &Key, pod: &Pod) {
        if !pod.spec.node_name.is_empty() {
            self.cluster.place(key, &pod.metadata.uid, &pod.spec.node_name, Usage::of(pod));
            self.queue.remove(key);
            return;
        }
        if self.cluster.is_assumed(key, &pod.metadata.uid) {
            // The cache is from before the binding.
            return;
        }
        // Another pod of the name may have been on a node.
        self.cluster.remove(key);
        if pod.spec.scheduler_name == self.config.scheduler_name && !pod.metadata.deleting() {
            self.queue.set(&self.profile, PodInfo::new(pod), Instant::now());
        } else {
            self.queue.remove(key);
        }
    }

    fn decide(&mut self, pod: SharedPod) {
        self.count();
        let began = Instant::now();
        match schedule(&self.profile, &self.cluster.snapshot, &pod, self.env.rng.next_u64()) {
            Decision::Node { name, .. } => {
                self.cluster.assume(&pod.key, &pod.meta.uid, &name, pod.usage.clone());
                self.requests.push(Box::pin(bind(self.client.clone(), pod, name, began)));
            }
            Decision::Unschedulable(diagnosis) => {
                self.metrics.attempted(AttemptResult::Unschedulable, began.elapsed());
                self.unschedulable(&pod, &diagnosis);
            }
        }
    }

    fn unschedulable(&mut self, pod: &SharedPod, diagnosis: &Diagnosis) {
        let message = diagnosis.to_string();
        tracing::info!(component = "scheduler", namespace = %pod.key.namespace, name = %pod.key.name, error = message, "unable to schedule pod");
        self.failed(pod, Failure::Unschedulable, "Unschedulable", &message);
    }

    /// Puts the pod back, and tells users in an event and the pod's condition.
    fn failed(&mut self, pod: &SharedPod, failure: Failure, reason: &str, message: &str) {
        self.queue.fail(pod, failure, Instant::now());
        self.event(pod, EventType::Warning, "FailedScheduling", message);
        if let Some(patch) = condition_patch(pod, reason, message, &self.env) {
            let (client, pod) = (self.client.clone(), Arc::clone(pod));
            self.requests.push(Box::pin(async move {
                let (namespace, name) = (&pod.meta.namespace, &pod.meta.name);
                let patch = Patch::Strategic(patch);
                if let Err(error) = client.patch::<Value>(&resources::PODS, namespace, name, "status", &patch).await
                    && !error.is_not_found()
                {
                    // The condition only informs; the next attempt writes it again.
                    tracing::debug!(component = "scheduler", namespace, name, %error, "could not write the condition");
                }
                Done::Patched
            }));
        }
    }

    fn event(&self, pod: &PodInfo, kind: EventType, reason: &str, message: &str) {
        self.recorder.event(&ObjectReference::of(&resources::PODS, &pod.meta), kind, reason, message);
    }

    fn settle(&mut self, done: Done) {
        self.count();
        match done {
            Done::Patched => {}
            Done::Bound { pod, node, took } => {
                self.metrics.attempted(AttemptResult::Scheduled, took);
                self.queue.done(&pod);
                let Key { namespace, name } = &pod.key;
                let message = format!("Successfully assigned {namespace}/{name} to {node}");
                self.event(&pod, EventType::Normal, "Scheduled", &message);
            }
            Done::NotBound { pod, error, took } => {
                self.metrics.attempted(AttemptResult::Error, took);
                self.cluster.forget(&pod.key, &pod.meta.uid);
                let message = format!("binding rejected: running Bind plugin \"DefaultBinder\": {error}");
                tracing::warn!(component = "scheduler", namespace = %pod.key.namespace, name = %pod.key.name, error, "could not bind pod");
                self.failed(&pod, Failure::Error, "SchedulerError", &message);
                // What was seen of it while it was assumed has not been looked at.
                self.dirty.pod(pod.key.clone());
            }
            Done::Gone { pod } => {
                self.cluster.forget(&pod.key, &pod.meta.uid);
                self.queue.done(&pod);
            }
        }
    }
}

/// POSTs the binding. When the answer says nothing certain, the pod does.
async fn bind(client: Client, pod: SharedPod, node: Arc<str>, began: Instant) -> Done {
    let (namespace, name) = (&pod.meta.namespace, &pod.meta.name);
    let body = json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": {"name": name, "namespace": namespace, "uid": pod.meta.uid},
        "target": {"kind": "Node", "name": &*node},
    });
    let bound = client.create_subresource::<Value>(&resources::PODS, namespace, name, "binding", &body).await;
    let error = match bound {
        Ok(_) => return Done::Bound { pod, node, took: began.elapsed() },
        Err(error) => error,
    };
    loop {
        match client.get::<Pod>(&resources::PODS, namespace, name).await {
            Ok(found) if found.metadata.uid != pod.meta.uid => return Done::Gone { pod },
            Ok(found) if found.spec.node_name == *node => {
                return Done::Bound { pod, node, took: began.elapsed() };
            }
            Ok(_) => return Done::NotBound { pod, error: error.to_string(), took: began.elapsed() },
            Err(gone) if gone.is_not_found() => return Done::Gone { pod },
            // Nothing is sent any more by one that is not sure to lead; the process is about to end.
            Err(Error::NotLeader) => {
                return Done::NotBound { pod, error: error.to_string(), took: began.elapsed() };
            }
            Err(_) => tokio::time::sleep(SETTLE_RETRY).await,
        }
    }
}

/// The patch that makes the pod's PodScheduled condition say this; `None` when it does already.
fn condition_patch(pod: &PodInfo, reason: &str, message: &str, env: &Env) -> Option<Value> {
    let old = pod.scheduled.as_ref();
    if old.is_some_and(|c| {
        c.status == "False"
            && c.reason == reason
            && c.message == message
            && c.observed_generation == pod.meta.generation
    }) {
        return None;
    }
    // The time of a transition changes with the status alone.
    let since = old.filter(|c| c.status == "False").and_then(|c| c.last_transition_time.clone());
    let since = since.unwrap_or_else(|| client::time::seconds(env.clock.now()));
    let mut condition = json!({
        "type": "PodScheduled", "status": "False", "reason": reason, "message": message,
        "lastProbeTime": null, "lastTransitionTime": since,
    });
    if pod.meta.generation != 0 {
        condition["observedGeneration"] = pod.meta.generation.into();
    }
    Some(json!({"metadata": {"uid": pod.meta.uid}, "status": {"conditions": [condition]}}))
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
