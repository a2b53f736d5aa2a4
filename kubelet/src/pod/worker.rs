//! The task of one pod: looks, plans, acts, reports, until the API and the node have both forgotten the pod.
//!
//! Every action is a future beside the others, so that the task always answers: a status goes out while an image is
//! pulled, and a pod that is deleted meanwhile ends at once. Only the plan decides what is started; results come back
//! through [`Worker::finish`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use client::{DeleteParams, EventType, PartialObject, Patch, resources};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::observed::{Instance, Observed, Sandbox};
use super::plan::{Action, Busy, Inputs, Plan, Stop, Why, plan_pod};
use super::prepare::{self, Prepared};
use super::probes::{Due, Probes};
use super::start::{self, Failure};
use super::{ops, patch, status};
use crate::agent::Agent;
use crate::api::status::Waiting;
use crate::api::{Pod, PodStatus};
use crate::backoff::{self, Backoff, after};
use crate::pods::{ContainerView, Inbox, View};
use crate::probe::{self, Outcome};

/// Delays after failures of volumes, sandboxes and requests: doubled up to the second.
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// What a finished future reports.
enum Done {
    Looked { epoch: u64, result: cri::Result<Observed> },
    Prepared(Result<Prepared, String>),
    Refreshed(Result<Prepared, String>),
    SandboxMade(Result<Sandbox, String>),
    SandboxStopped { id: String, result: cri::Result<()> },
    Started { name: String, result: Result<Instance, (Failure, Option<Instance>)> },
    Killed { id: String, result: cri::Result<()> },
    Cleaned(Result<(), String>),
    Removed,
    Probed { due: Due, outcome: Outcome },
    StatusWritten { status: Box<PodStatus>, result: Result<(), client::Error> },
    ApiDeleted(Result<(), client::Error>),
    Gone(Result<(), String>),
}

/// The writing of status: what the server has, and what is on its way.
#[derive(Debug, Default)]
struct Report {
    written: PodStatus,
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
    /// Containers whose killing has ended, and that no look has shown since.
    killed: BTreeSet<String>,
    probes: Probes,
    backoffs: BTreeMap<String, Backoff>,
    retry_at: BTreeMap<String, Timestamp>,
    failures: BTreeMap<&'static str, u32>,
    waiting: BTreeMap<String, Waiting>,
    told_back_off: BTreeSet<String>,
    stop: Option<Stop>,
    failed: Option<(String, String)>,
    /// The phase was final when this kubelet first saw the pod: nothing is to be reported.
    was_terminal: bool,
    first_seen: Timestamp,
    report: Report,
    api_delete_busy: bool,
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
        let first_seen = agent.now();
        let made = Self {
            was_terminal: pod.status.is_terminal(),
            report: Report { written: pod.status.clone(), ..Report::default() },
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
            killed: BTreeSet::new(),
            probes: Probes::default(),
            backoffs: BTreeMap::new(),
            retry_at: BTreeMap::new(),
            failures: BTreeMap::new(),
            waiting: BTreeMap::new(),
            told_back_off: BTreeSet::new(),
            stop: None,
            failed: None,
            first_seen,
            api_delete_busy: false,
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
        eprintln!("DBG objects {} stop {:?} cleaned {} deleted {deleted} deleting {}", meta.name, self.stop, self.cleaned, meta.deleting());
        if self.stop.is_none() && !self.cleaned && !self.was_terminal && !deleted && !meta.deleting() {
            self.agent.objects.register(&meta.namespace, &self.inbox.uid, &self.pod.spec, &self.inbox);
        }
    }

    /// Runs until the pod is gone from the API and from the node.
    pub(crate) async fn run(mut self) {
        loop {
            self.absorb();
            let wake_at = self.step();
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
        self.agent.objects.release(&self.inbox.uid);
        self.agent.pods.forget(&self.inbox.uid);
    }

    /// Takes note of what happened outside.
    fn absorb(&mut self) {
        let signals = self.inbox.take();
        if let Some(pod) = signals.pod {
            let changed = pod.metadata.labels != self.pod.metadata.labels
                || pod.metadata.annotations != self.pod.metadata.annotations;
            self.refresh_again |= changed && self.prepared.is_some();
            self.pod = pod;
            self.agent.objects.register(
                &self.pod.metadata.namespace,
                &self.inbox.uid,
                &self.pod.spec,
                &self.inbox,
            );
        }
        if signals.objects {
            self.refresh_again |= self.prepared.is_some();
            // What waited for an object may go on at once.
            self.retry_at.clear();
        }
        self.look_again |= signals.runtime;
        if signals.deleted {
            self.deleted = true;
            self.retry_at.remove("gone");
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
        self.show(&status, &observed);
        let reported = self.report(&status, now);
        self.leave(&plan, reported, &observed, now);
        let report_at = self.report.retry_at;
        for at in
            [plan.wake_at, refresh_at, report_at, self.retry_at.get("gone").copied()].into_iter().flatten()
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

    fn look(&mut self) {
        self.looking = true;
        self.look_again = false;
        let known = self.observed.iter().flat_map(|o| o.containers.values());
        let known = known
            .flat_map(|i| i.current.iter().chain(&i.previous))
            .map(|c| (c.id.clone(), c.clone()))
            .collect();
        let (agent, uid, epoch) = (Arc::clone(&self.agent), self.inbox.uid.clone(), self.epoch);
        self.ops.push(Box::pin(
            async move { Done::Looked { epoch, result: ops::look(agent, uid, known).await } },
        ));
    }

    fn refresh(&mut self, observed: &Observed) {
        self.refreshing = true;
        self.refresh_again = false;
        let ips = observed.sandbox.as_ref().map(|s| s.ips.clone()).unwrap_or_default();
        let work = prepare::refresh(Arc::clone(&self.agent), Arc::clone(&self.pod), ips);
        self.ops.push(Box::pin(async move { Done::Refreshed(work.await) }));
    }

    fn act(&mut self, action: &Action, observed: &Observed, now: Timestamp) {
        let (agent, pod) = (Arc::clone(&self.agent), Arc::clone(&self.pod));
        match action {
            Action::Prepare => {
                self.busy.preparing = true;
                let ips = observed.sandbox.as_ref().map(|s| s.ips.clone()).unwrap_or_default();
                self.ops.push(Box::pin(
                    async move { Done::Prepared(prepare::prepare(&agent, &pod, &ips).await) },
                ));
            }
            Action::CreateSandbox { attempt } => {
                self.busy.sandbox = true;
                let attempt = *attempt;
                if attempt > 0 {
                    let message = "Pod sandbox changed, it will be killed and re-created.";
                    agent.pod_event(&pod, EventType::Normal, "SandboxChanged", message);
                }
                self.ops.push(Box::pin(async move {
                    Done::SandboxMade(ops::create_sandbox(agent, pod, attempt).await)
                }));
            }
            Action::StopSandbox { id } => {
                self.busy.sandbox = true;
                let id = id.clone();
                self.ops.push(Box::pin(async move {
                    let result = agent.runtime.stop_sandbox(&id).await;
                    Done::SandboxStopped { id, result }
                }));
            }
            Action::Start { container, attempt } => self.start(container, *attempt, observed, now),
            Action::Kill { id, container, grace, why } => {
                self.busy.killing.insert(id.clone(), *grace);
                let ip = pod_ip(self, observed);
                let (id, name, grace, why) = (id.clone(), container.clone(), *grace, why.clone());
                if why == Why::Changed {
                    self.backoffs.remove(&name);
                }
                self.ops.push(Box::pin(async move {
                    let result = ops::kill(agent, pod, name, id.clone(), ip, grace, why).await;
                    Done::Killed { id, result }
                }));
            }
            Action::CleanUp => {
                self.busy.cleaning = true;
                self.ops.push(Box::pin(async move { Done::Cleaned(prepare::clean_up(agent, pod).await) }));
            }
        }
    }

    fn start(&mut self, name: &str, attempt: u32, observed: &Observed, now: Timestamp) {
        let (Some(container), Some(sandbox)) = (self.pod.spec.container(name), &observed.sandbox) else {
            return;
        };
        if self.busy.starting {
            return;
        }
        if let Some(exit) = observed.in_sandbox(name).and_then(Instance::exit) {
            let max = self
                .agent
                .config
                .kubelet
                .crash_loop_back_off
                .max_container_restart_period
                .unwrap_or(backoff::MAX);
            let ended = exit.finished_at.unwrap_or(now);
            let next = Backoff::next(self.backoffs.get(name), ended, now, max);
            self.backoffs.insert(name.to_owned(), next);
        }
        self.busy.starting = true;
        self.retry_at.remove(name);
        let never_ran = |i: &&Instance| i.state == super::observed::RunState::Created;
        let target =
            observed.current(&container.target_container_name).map(|c| c.id.clone()).unwrap_or_default();
        let request = start::Request {
            pod: Arc::clone(&self.pod),
            container: container.clone(),
            attempt,
            sandbox: sandbox.clone(),
            sandbox_config: ops::sandbox_config_of(&self.agent, &self.pod, sandbox.attempt),
            volumes: self.prepared.clone().unwrap_or_default(),
            replaces: observed.in_sandbox(name).filter(never_ran).map(|c| c.id.clone()),
            target_id: target,
            cancel: self.cancel.clone(),
        };
        let (agent, name) = (Arc::clone(&self.agent), name.to_owned());
        self.ops.push(Box::pin(
            async move { Done::Started { name, result: start::start(agent, request).await } },
        ));
    }

    /// When something that keeps failing is tried again.
    fn retry(&mut self, what: &'static str) -> Timestamp {
        let count = self.failures.entry(what).or_insert(0);
        let delay = RETRY_MIN.saturating_mul(1 << (*count).min(10)).min(RETRY_MAX);
        *count += 1;
        after(self.agent.now(), delay)
    }

    fn finish(&mut self, done: Done) {
        match done {
            Done::Looked { epoch, result } => self.looked(epoch, result),
            Done::Prepared(result) => {
                self.busy.preparing = false;
                match result {
                    Ok(prepared) => {
                        self.failures.remove("prepare");
                        self.prepared = Some(prepared);
                    }
                    Err(_) => {
                        let at = self.retry("prepare");
                        self.retry_at.insert(String::new(), at);
                    }
                }
            }
            Done::Refreshed(result) => self.refreshed(result),
            Done::SandboxMade(result) => {
                self.busy.sandbox = false;
                self.epoch += 1;
                match result {
                    Ok(sandbox) => self.sandbox_made(sandbox),
                    Err(_) => {
                        let at = self.retry("sandbox");
                        self.retry_at.insert(String::new(), at);
                        // What the runtime made of it all the same.
                        self.look_again = true;
                    }
                }
            }
            Done::SandboxStopped { id, result } => {
                self.busy.sandbox = false;
                self.epoch += 1;
                self.look_again = true;
                match result {
                    Ok(()) => {
                        if let Some(sandbox) =
                            self.observed.as_mut().and_then(|o| o.sandbox.as_mut()).filter(|s| s.id == id)
                        {
                            sandbox.stopped = true;
                            sandbox.ready = false;
                        }
                    }
                    Err(error) => {
                        tracing::warn!(component = "kubelet", %error, pod = %self.pod.metadata.name, "sandbox not stopped");
                        let at = self.retry("stop");
                        self.retry_at.insert(String::new(), at);
                    }
                }
            }
            Done::Started { name, result } => self.started(&name, result),
            Done::Killed { id, result } => {
                self.epoch += 1;
                // What was observed before still shows it running: it counts as being killed until a later look.
                self.killed.insert(id.clone());
                match result {
                    Ok(()) => {
                        self.failures.remove("kill");
                        self.look_again = true;
                    }
                    Err(error) => {
                        tracing::warn!(component = "kubelet", %error, %id, "container not stopped");
                        let at = self.retry("kill");
                        self.look_at(at);
                    }
                }
            }
            Done::Cleaned(result) => {
                self.busy.cleaning = false;
                match result {
                    Ok(()) => {
                        self.cleaned = true;
                        self.prepared = None;
                    }
                    Err(error) => {
                        tracing::warn!(component = "kubelet", %error, pod = %self.pod.metadata.name, "not cleaned up");
                        let at = self.retry("clean");
                        self.retry_at.insert(String::new(), at);
                    }
                }
            }
            Done::Removed => {}
            Done::Probed { due, outcome } => self.probed(&due, &outcome),
            Done::StatusWritten { status, result } => self.status_written(*status, result),
            Done::ApiDeleted(result) => {
                self.api_delete_busy = false;
                if let Err(error) = result
                    && !error.is_not_found()
                    && !error.is_conflict()
                {
                    tracing::warn!(component = "kubelet", %error, pod = %self.pod.metadata.name, "pod not deleted");
                    let at = self.retry("api");
                    self.retry_at.insert("gone".to_owned(), at);
                } else {
                    // Nothing to wait for but the informer's word.
                    self.retry_at.insert("gone".to_owned(), after(self.agent.now(), RETRY_MAX));
                }
            }
            Done::Gone(result) => {
                self.removing = false;
                match result {
                    Ok(()) => self.gone = true,
                    Err(error) => {
                        tracing::warn!(component = "kubelet", %error, pod = %self.pod.metadata.name, "not removed");
                        let at = self.retry("remove");
                        self.retry_at.insert("gone".to_owned(), at);
                    }
                }
            }
        }
    }

    fn looked(&mut self, epoch: u64, result: cri::Result<Observed>) {
        self.looking = false;
        if epoch != self.epoch {
            self.look_again = true;
            if self.observed.is_some() {
                return;
            }
        }
        match result {
            Ok(mut seen) => {
                for id in std::mem::take(&mut self.killed) {
                    self.busy.killing.remove(&id);
                }
                // A dead sandbox whose network this task has released stays so.
                if let (Some(new), Some(old)) =
                    (&mut seen.sandbox, self.observed.as_ref().and_then(|o| o.sandbox.as_ref()))
                    && new.id == old.id
                {
                    new.stopped = old.stopped && !new.ready;
                }
                seen.remember(&self.report.written);
                if !seen.surplus.is_empty() {
                    let work = ops::remove_containers(
                        Arc::clone(&self.agent),
                        Arc::clone(&self.pod),
                        std::mem::take(&mut seen.surplus),
                    );
                    self.ops.push(Box::pin(async move {
                        work.await;
                        Done::Removed
                    }));
                }
                self.observed = Some(seen);
            }
            Err(error) => {
                tracing::warn!(component = "kubelet", %error, pod = %self.pod.metadata.name, "the runtime does not answer");
                let at = self.retry("look");
                self.look_at(at);
            }
        }
    }

    /// Looks again at a later time, whatever happens until then.
    fn look_at(&mut self, at: Timestamp) {
        let agent = Arc::clone(&self.agent);
        let inbox = Arc::clone(&self.inbox);
        self.ops.push(Box::pin(async move {
            sleep_until(&agent, Some(at)).await;
            inbox.runtime_changed();
            Done::Removed
        }));
    }

    fn sandbox_made(&mut self, sandbox: Sandbox) {
        self.failures.remove("sandbox");
        let Some(observed) = &mut self.observed else { return };
        // Volumes of the pod's own fields know its address from now on.
        self.refresh_again |=
            self.pod.spec.volumes.iter().any(|v| v.downward_api.is_some() || v.projected.is_some())
                && observed.sandbox.as_ref().is_some_and(|old| old.ips != sandbox.ips);
        if let Some(old) = observed.sandbox.replace(sandbox) {
            observed.old_sandboxes.push(old.id);
        }
        // Of the sandboxes before it the last keeps its containers for their logs and ends.
        let keep = observed.old_sandboxes.len().saturating_sub(1);
        let waste: Vec<String> = observed.old_sandboxes.drain(..keep).collect();
        if !waste.is_empty() {
            let agent = Arc::clone(&self.agent);
            self.ops.push(Box::pin(async move {
                for id in waste {
                    if let Err(error) = agent.runtime.remove_sandbox(&id).await {
                        tracing::warn!(component = "kubelet", %error, %id, "old sandbox not removed");
                    }
                }
                Done::Removed
            }));
        }
    }

    fn refreshed(&mut self, result: Result<Prepared, String>) {
        self.refreshing = false;
        let now = self.agent.now();
        let Some(prepared) = &mut self.prepared else { return };
        match result {
            Ok(fresh) => prepared.refresh_at = fresh.refresh_at,
            Err(error) => {
                // The old content stays until the next try.
                tracing::debug!(component = "kubelet", %error, pod = %self.pod.metadata.name, "volumes not refreshed");
                prepared.refresh_at = Some(after(now, RETRY_MAX));
            }
        }
    }

    fn started(&mut self, name: &str, result: Result<Instance, (Failure, Option<Instance>)>) {
        self.busy.starting = false;
        self.epoch += 1;
        let (instance, failure) = match result {
            Ok(instance) => {
                self.waiting.remove(name);
                (Some(instance), None)
            }
            Err((failure, instance)) => (instance, Some(failure)),
        };
        if let (Some(instance), Some(observed)) = (instance.clone(), &mut self.observed) {
            let instance = ops::with_last_words(&self.agent, instance);
            let slot = observed.containers.entry(name.to_owned()).or_default();
            if slot.current.as_ref().is_some_and(|c| c.id != instance.id) {
                let waste = slot.previous.take();
                slot.previous =
                    slot.current.take().filter(|c| !c.sandbox_id.is_empty() || c.exit().is_some());
                if let Some(waste) = waste.filter(|w| !w.sandbox_id.is_empty()) {
                    let work = ops::remove_containers(
                        Arc::clone(&self.agent),
                        Arc::clone(&self.pod),
                        vec![waste.id],
                    );
                    self.ops.push(Box::pin(async move {
                        work.await;
                        Done::Removed
                    }));
                }
            }
            slot.current = Some(instance);
            // It may have ended before anybody knew whose it was.
            self.look_again = true;
        }
        match failure {
            Some(Failure::Waiting { waiting, retry_at }) => {
                self.waiting.insert(name.to_owned(), waiting);
                // A container that exists goes by its own back-off.
                if instance.is_none() {
                    self.retry_at.insert(name.to_owned(), retry_at);
                }
            }
            Some(Failure::Cancelled) => self.look_again = true,
            None => {}
        }
    }

    fn probed(&mut self, due: &Due, outcome: &Outcome) {
        let Some(container) = self.pod.spec.container(&due.container) else { return };
        let success = match outcome {
            Outcome::Success => Some(true),
            Outcome::Failure(_) => Some(false),
            Outcome::Error(_) => None,
        };
        let message = match outcome {
            Outcome::Success => None,
            Outcome::Failure(text) => Some(format!("{} probe failed: {text}", due.kind.word())),
            Outcome::Error(text) => Some(format!("{} probe errored: {text}", due.kind.word())),
        };
        if let Some(message) = message.filter(|_| self.stop.is_none()) {
            self.agent.container_event(&self.pod, container, EventType::Warning, "Unhealthy", message);
        }
        self.probes.record(container, due, success, self.agent.now());
    }

    fn status(&self, plan: &Plan, observed: &Observed, now: Timestamp) -> PodStatus {
        if self.was_terminal {
            return self.report.written.clone();
        }
        let mut waiting = self.waiting.clone();
        waiting.extend(plan.waiting.clone());
        // A container that runs, or that is about to be started again, waits for nothing.
        waiting.retain(|name, _| !observed.current(name).is_some_and(Instance::is_running));
        let mut old = self.report.written.clone();
        // Conditions of others, such as readiness gates and PodScheduled, come from the API.
        for condition in &self.pod.status.conditions {
            if old.condition(&condition.r#type).is_none() {
                old.conditions.push(condition.clone());
            }
        }
        status::pod_status(&status::Inputs {
            pod: &self.pod,
            observed,
            health: &self.probes.health,
            waiting: &waiting,
            terminal: plan.done && self.stop.is_some(),
            stopping: self.stop.is_some(),
            failed: self.failed.as_ref().map(|(r, m)| (r.as_str(), m.as_str())),
            old: &old,
            runtime_name: &self.agent.runtime_name,
            host_ips: &self.agent.host_ips,
            start_time: self.first_seen,
            now,
        })
    }

    fn show(&self, status: &PodStatus, observed: &Observed) {
        let containers = observed.containers.iter().filter_map(|(name, instances)| {
            let current = instances.current.as_ref()?;
            let previous = instances.previous.as_ref().map(|p| p.log_path.clone()).unwrap_or_default();
            let view = ContainerView {
                id: current.id.clone(),
                running: current.is_running(),
                log_path: current.log_path.clone(),
                previous_log_path: previous,
            };
            Some((name.clone(), view))
        });
        self.inbox.show(View {
            pod: Arc::clone(&self.pod),
            status: status.clone(),
            sandbox_id: observed
                .sandbox
                .as_ref()
                .filter(|s| s.ready)
                .map(|s| s.id.clone())
                .unwrap_or_default(),
            containers: containers.collect(),
        });
    }

    /// Sends the status where it differs from what the server has; true when there is nothing left to send.
    fn report(&mut self, status: &PodStatus, now: Timestamp) -> bool {
        if self.deleted {
            return true;
        }
        let Some(body) = patch::status_patch(&self.inbox.uid, &self.report.written, status) else {
            return true;
        };
        if self.report.busy || self.report.retry_at.is_some_and(|at| at > now) {
            return false;
        }
        self.report.busy = true;
        self.report.retry_at = None;
        let (client, meta) = (self.agent.client.clone(), self.pod.metadata.clone());
        let status = Box::new(status.clone());
        self.ops.push(Box::pin(async move {
            let patch = Patch::Strategic(body);
            let result = client
                .patch::<PartialObject>(&resources::PODS, &meta.namespace, &meta.name, "status", &patch)
                .await
                .map(drop);
            Done::StatusWritten { status, result }
        }));
        false
    }

    fn status_written(&mut self, status: PodStatus, result: Result<(), client::Error>) {
        self.report.busy = false;
        match result {
            Ok(()) => {
                self.failures.remove("report");
                self.report.written = status;
            }
            // Gone, or replaced by a namesake of another uid: the informer will say so.
            Err(e) if e.is_not_found() || e.is_conflict() => {
                self.report.retry_at = Some(after(self.agent.now(), RETRY_MAX));
            }
            Err(error) => {
                tracing::debug!(component = "kubelet", %error, pod = %self.pod.metadata.name, "status not written");
                let at = self.retry("report");
                self.report.retry_at = Some(at);
            }
        }
    }

    /// The end: once everything is down and reported, the pod goes from the API, and then from the node.
    fn leave(&mut self, plan: &Plan, reported: bool, observed: &Observed, now: Timestamp) {
        if !plan.done || self.retry_at.get("gone").is_some_and(|at| *at > now) {
            return;
        }
        let (agent, pod) = (Arc::clone(&self.agent), Arc::clone(&self.pod));
        if self.deleted {
            if !self.removing {
                self.removing = true;
                let observed = observed.clone();
                self.ops
                    .push(Box::pin(async move { Done::Gone(ops::remove_pod(agent, pod, observed).await) }));
            }
        } else if reported && pod.metadata.deletion_timestamp.is_some() && !self.api_delete_busy {
            self.api_delete_busy = true;
            let uid = self.inbox.uid.clone();
            self.ops.push(Box::pin(async move {
                let params =
                    DeleteParams { grace_period_seconds: Some(0), uid: Some(uid), ..DeleteParams::default() };
                let meta = &pod.metadata;
                Done::ApiDeleted(
                    agent.client.delete(&resources::PODS, &meta.namespace, &meta.name, &params).await,
                )
            }));
        }
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
                probe::run(&target, &probe.handler).await
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
