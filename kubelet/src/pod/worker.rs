//! The task of one pod: looks, plans, acts, reports, until the API and the node have both forgotten the pod.
//!
//! Every action is a future beside the others, so that the task always answers: a status goes out while an image is
//! pulled, and a pod that is deleted meanwhile ends at once. Only the plan decides what is started; results come back
//! through [`Worker::finish`].

mod act;
mod finish;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use client::EventType;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::observed::{Instance, Observed, Sandbox};
use super::plan::{Busy, Inputs, Plan, Stop, plan_pod};
use super::prepare::Prepared;
use super::probes::{Due, Probes};
use super::start::Failure;
use crate::agent::Agent;
use crate::api::status::Waiting;
use crate::api::{Pod, PodStatus};
use crate::backoff::{Backoff, after};
use crate::pods::Inbox;
use crate::probe::{self, Outcome};
use crate::static_pods;

/// Delays after failures of volumes, sandboxes and requests: doubled up to the second.
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// What a finished future reports.
enum Done {
    Looked {
        epoch: u64,
        result: cri::Result<Observed>,
    },
    Prepared(Result<Prepared, String>),
    Refreshed(Result<Prepared, String>),
    SandboxMade(Result<Sandbox, String>),
    SandboxStopped {
        id: String,
        result: cri::Result<()>,
    },
    Started {
        name: String,
        result: Box<Result<Instance, (Failure, Option<Instance>)>>,
    },
    Killed {
        id: String,
        result: Box<cri::Result<Instance>>,
    },
    KillAgain {
        id: String,
    },
    Cleaned(Result<(), String>),
    /// Containers that nothing asks for any more have been removed, as far as that worked.
    ContainersRemoved(Vec<String>),
    Removed,
    Probed {
        due: Due,
        outcome: Outcome,
    },
    StatusWritten {
        status: Box<PodStatus>,
        sent: serde_json::Value,
        result: Result<Box<Pod>, client::Error>,
    },
    MirrorMade(Result<Box<Pod>, client::Error>),
    ApiDeleted(Result<(), client::Error>),
    Gone(Result<(), String>),
}

/// The writing of status: what the server has, and what is on its way.
#[derive(Debug, Default)]
struct Report {
    /// As the server has it, as far as this task has heard.
    written: PodStatus,
    /// The revision of the pod that shows it.
    revision: u64,
    busy: bool,
    retry_at: Option<Timestamp>,
}

pub(crate) struct Worker {
    agent: Arc<Agent>,
    inbox: Arc<Inbox>,
    pod: Arc<Pod>,
    /// `None` until the runtime has been asked for the first time.
    observed: Option<Observed>,
    /// Counts the changes that this task made itself: a look that began before one of them is stale.
    epoch: u64,
    looking: bool,
    look_again: bool,
    prepared: Option<Prepared>,
    refreshing: bool,
    refresh_again: bool,
    cleaned: bool,
    busy: Busy,
    probes: Probes,
    backoffs: BTreeMap<String, Backoff>,
    retry_at: BTreeMap<String, Timestamp>,
    failures: BTreeMap<&'static str, u32>,
    waiting: BTreeMap<String, Waiting>,
    told_back_off: BTreeSet<String>,
    /// Old containers on their way out. The runtime refuses a second removal of one meanwhile.
    removals: BTreeSet<String>,
    stop: Option<Stop>,
    failed: Option<(String, String)>,
    /// The phase was final when this kubelet first saw the pod: nothing is to be reported.
    was_terminal: bool,
    first_seen: Timestamp,
    /// The pod does not come from the API, which shows it by its mirror, if that has been made.
    is_static: bool,
    mirror: Option<Arc<Pod>>,
    mirror_busy: bool,
    /// Its start has been counted.
    told_running: bool,
    report: Report,
    api_delete_busy: bool,
    /// When the last step that failed, or was not heard of again, is tried again.
    leave_at: Option<Timestamp>,
    /// The API has forgotten the pod.
    deleted: bool,
    removing: bool,
    gone: bool,
    cancel: CancellationToken,
    ops: FuturesUnordered<BoxFuture<'static, Done>>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("pod", &self.pod.metadata.name).finish_non_exhaustive()
    }
}

impl Worker {
    pub(crate) fn new(agent: Arc<Agent>, inbox: Arc<Inbox>, pod: Arc<Pod>) -> Self {
        let (first_seen, is_static) = (agent.now(), static_pods::is_static(&pod));
        let made = Self {
            was_terminal: pod.status.is_terminal(),
            report: Report {
                written: pod.status.clone(),
                revision: pod.metadata.revision(),
                ..Report::default()
            },
            agent,
            inbox,
            pod,
            observed: None,
            epoch: 0,
            looking: false,
            look_again: true,
            prepared: None,
            refreshing: false,
            refresh_again: false,
            cleaned: false,
            busy: Busy::default(),
            probes: Probes::default(),
            backoffs: BTreeMap::new(),
            retry_at: BTreeMap::new(),
            failures: BTreeMap::new(),
            waiting: BTreeMap::new(),
            told_back_off: BTreeSet::new(),
            removals: BTreeSet::new(),
            stop: None,
            failed: None,
            first_seen,
            is_static,
            mirror: None,
            mirror_busy: false,
            told_running: false,
            api_delete_busy: false,
            leave_at: None,
            deleted: false,
            removing: false,
            gone: false,
            cancel: CancellationToken::new(),
            ops: FuturesUnordered::new(),
        };
        made.register_objects(false);
        made
    }

    /// Watches what the pod refers to, as long as it may start something: the API does not let a node look at objects of
    /// pods that are gone.
    fn register_objects(&self, deleted: bool) {
        let meta = &self.pod.metadata;
        if self.stop.is_none() && !self.cleaned && !self.was_terminal && !deleted && !meta.deleting() {
            self.agent.objects.register(&meta.namespace, &self.inbox.uid, &self.pod.spec, &self.inbox);
        }
    }

    /// Runs until the pod is gone from the API and from the node.
    pub(crate) async fn run(mut self) {
        loop {
            self.absorb();
            let began = tokio::time::Instant::now();
            let wake_at = self.step();
            self.agent.metrics.stepped(began.elapsed());
            if self.gone {
                break;
            }
            let agent = Arc::clone(&self.agent);
            let inbox = Arc::clone(&self.inbox);
            tokio::select! {
                biased;
                Some(done) = self.ops.next(), if !self.ops.is_empty() => self.finish(done),
                () = inbox.changed() => {}
                () = sleep_until(&agent, wake_at) => {}
            }
        }
        self.agent.metrics.release(&self.pod);
        self.agent.objects.release(&self.inbox.uid);
        self.agent.pods.forget(&self.inbox.uid);
        if self.is_static {
            self.agent.static_pods.wake();
        }
    }

    /// Takes note of what happened outside.
    fn absorb(&mut self) {
        let signals = self.inbox.take();
        if let Some(pod) = signals.pod {
            let changed = pod.metadata.labels != self.pod.metadata.labels
                || pod.metadata.annotations != self.pod.metadata.annotations;
            self.refresh_again |= changed && self.prepared.is_some();
            self.pod = pod;
            self.register_objects(signals.deleted);
        }
        if let Some(mirror) = signals.mirror {
            if mirror.is_none() {
                self.report.revision = 0;
            }
            self.mirror = mirror;
        }
        if signals.objects {
            self.refresh_again |= self.prepared.is_some();
            // What waited for an object may go on at once.
            self.retry_at.clear();
        }
        self.look_again |= signals.runtime;
        if signals.deleted && !self.deleted {
            self.deleted = true;
            self.leave_at = None;
        }
        if let Some((reason, message)) = signals.evict
            && !self.pod.status.is_terminal()
        {
            self.fail(&reason, &message, Duration::ZERO);
        }
        self.note_deletion();
    }

    /// A pod that is being deleted stops, with the grace that the API says; a shorter one later shortens it.
    fn note_deletion(&mut self) {
        let meta = &self.pod.metadata;
        if meta.deletion_timestamp.is_none() && !self.deleted {
            return;
        }
        let spec = self.pod.spec.termination_grace_period_seconds;
        let seconds = meta.deletion_grace_period_seconds.or(spec).unwrap_or(30);
        let grace = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        self.begin_stop(grace);
    }

    fn begin_stop(&mut self, grace: Duration) {
        self.cancel.cancel();
        let now = self.agent.now();
        match &mut self.stop {
            Some(stop) => stop.grace = stop.grace.min(grace),
            None => self.stop = Some(Stop { grace, since: now }),
        }
    }

    /// The kubelet itself ends the pod.
    fn fail(&mut self, reason: &str, message: &str, grace: Duration) {
        if self.failed.is_none() && self.stop.is_none() {
            self.failed = Some((reason.to_owned(), message.to_owned()));
            self.agent.pod_event(&self.pod, EventType::Warning, reason, message);
            self.begin_stop(grace);
        }
    }

    /// Plans and starts what is to be done; gives when to look again though nothing happens.
    fn step(&mut self) -> Option<Timestamp> {
        let now = self.agent.now();
        if self.look_again && !self.looking {
            self.look();
        }
        let observed = self.observed.clone()?;
        let mut wake_at = self.check_deadline(now);
        for due in self.probes.sync(&self.pod, &observed, self.stop.is_some(), now) {
            self.ops.push(probe_once(
                Arc::clone(&self.agent),
                Arc::clone(&self.pod),
                due,
                pod_ip(self, &observed),
            ));
        }
        let pod_text =
            format!("{}_{}({})", self.pod.metadata.name, self.pod.metadata.namespace, self.pod.metadata.uid);
        let plan = plan_pod(&Inputs {
            spec: &self.pod.spec,
            observed: &observed,
            stop: self.stop.as_ref(),
            prepared: self.prepared.is_some(),
            cleaned: self.cleaned,
            busy: &self.busy,
            health: &self.probes.health,
            backoffs: &self.backoffs,
            retry_at: &self.retry_at,
            pod_text: &pod_text,
            now,
        });
        self.tell_back_offs(&plan);
        for action in &plan.actions {
            self.act(action, &observed, now);
        }
        if !plan.ended && self.refresh_again && !self.refreshing && self.prepared.is_some() {
            self.refresh(&observed);
        }
        let refresh_at = self.prepared.as_ref().and_then(|p| p.refresh_at).filter(|_| !plan.ended);
        if refresh_at.is_some_and(|at| at <= now) {
            self.refresh_again = true;
            if !self.refreshing {
                self.refresh(&observed);
            }
        }
        let status = self.status(&plan, &observed, now);
        if status.is_terminal() || self.cleaned {
            // Before the API hears of it: whoever it sends here next finds room.
            self.agent.pods.released(&self.inbox.uid);
        }
        self.show(&status, &observed);
        let reported = self.report(&status, now);
        self.leave(&plan, reported, &observed, now);
        let (report_at, leave_at) = (self.report.retry_at, self.leave_at);
        // What is due has been seen to above, or waits for something that is under way and wakes us at its end.
        for at in [plan.wake_at, refresh_at, report_at, leave_at].into_iter().flatten().filter(|at| *at > now)
        {
            wake_at = Some(wake_at.map_or(at, |have| have.min(at)));
        }
        wake_at
    }

    fn check_deadline(&mut self, now: Timestamp) -> Option<Timestamp> {
        let limit = self.pod.spec.active_deadline_seconds.and_then(|s| u64::try_from(s).ok())?;
        if self.stop.is_some() || self.pod.status.is_terminal() {
            return None;
        }
        let began = self.report.written.start_time.unwrap_or(self.first_seen);
        let end = after(began, Duration::from_secs(limit));
        if end > now {
            return Some(end);
        }
        let grace =
            self.pod.spec.termination_grace_period_seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or(30);
        let message = "Pod was active on the node longer than the specified deadline";
        self.fail("DeadlineExceeded", message, Duration::from_secs(grace));
        None
    }

    fn tell_back_offs(&mut self, plan: &Plan) {
        for name in plan.waiting.keys() {
            if self.told_back_off.insert(name.clone())
                && let Some(container) = self.pod.spec.container(name)
            {
                let meta = &self.pod.metadata;
                let message = format!(
                    "Back-off restarting failed container {name} in pod {}_{}({})",
                    meta.name, meta.namespace, meta.uid
                );
                self.agent.container_event(&self.pod, container, EventType::Warning, "BackOff", message);
            }
        }
        self.told_back_off.retain(|name| plan.waiting.contains_key(name));
    }

    /// When something that keeps failing is tried again.
    fn retry(&mut self, what: &'static str) -> Timestamp {
        let count = self.failures.entry(what).or_insert(0);
        let delay = RETRY_MIN.saturating_mul(1 << (*count).min(10)).min(RETRY_MAX);
        *count += 1;
        after(self.agent.now(), delay)
    }
}

fn pod_ip(worker: &Worker, observed: &Observed) -> String {
    if worker.pod.spec.host_network {
        return worker.agent.host_ips.first().cloned().unwrap_or_default();
    }
    observed.sandbox.as_ref().and_then(|s| s.ips.first().cloned()).unwrap_or_default()
}

/// One probe at its time.
fn probe_once(agent: Arc<Agent>, pod: Arc<Pod>, due: Due, pod_ip: String) -> BoxFuture<'static, Done> {
    Box::pin(async move {
        sleep_until(&agent, Some(due.at)).await;
        let outcome = match pod.spec.container(&due.container).and_then(|c| Some((c, due.kind.of(c)?))) {
            Some((container, probe)) => {
                let limit = Duration::from_secs(u64::try_from(probe.timeout_seconds).unwrap_or(1).max(1));
                let target =
                    probe::Target { agent: &agent, container, container_id: &due.id, pod_ip: &pod_ip, limit };
                let began = tokio::time::Instant::now();
                let outcome = probe::run(&target, &probe.handler).await;
                agent.metrics.probed(&pod, &due.container, due.kind, &outcome, began.elapsed());
                outcome
            }
            None => Outcome::Error("the probe is gone".to_owned()),
        };
        Done::Probed { due, outcome }
    })
}

/// Until the wall clock says so; for ever without a time.
async fn sleep_until(agent: &Agent, at: Option<Timestamp>) {
    match at {
        Some(at) => {
            let left = Duration::try_from(at.duration_since(agent.now())).unwrap_or(Duration::ZERO);
            tokio::time::sleep(left).await;
        }
        None => std::future::pending().await,
    }
}
