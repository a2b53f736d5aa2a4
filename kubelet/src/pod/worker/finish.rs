//! Taking in what the futures of the task report.

use std::sync::Arc;
use std::time::Duration;

use client::EventType;
use jiff::Timestamp;

use super::{Done, RETRY_MAX, RETRY_MIN, Worker, sleep_until};
use crate::backoff::after;
use crate::pod::observed::{Instance, Observed, Sandbox};
use crate::pod::prepare::Prepared;
use crate::pod::probes::Due;
use crate::pod::start::Failure;
use crate::pod::{admit, ops};
use crate::probe::Outcome;

impl Worker {
    pub(super) fn finish(&mut self, done: Done) {
        match done {
            Done::Looked { epoch, result } => self.looked(epoch, result),
            Done::Prepared(result) => {
                self.busy.preparing = false;
                match result {
                    Ok(prepared) => {
                        self.failures.remove("prepare");
                        self.prepared = Some(prepared);
                    }
                    // Its event has been told.
                    Err(_) => self.wait_for("prepare"),
                }
            }
            Done::Refreshed(result) => self.refreshed(result),
            Done::SandboxMade(result) => self.sandbox_made(result),
            Done::SandboxStopped { id, result } => self.sandbox_stopped(&id, result),
            Done::Started { name, result } => self.started(&name, *result),
            Done::Killed { id, result } => self.killed(&id, *result),
            Done::KillAgain { id } => drop(self.busy.killing.remove(&id)),
            Done::Cleaned(result) => {
                self.busy.cleaning = false;
                match result {
                    Ok(()) => {
                        self.cleaned = true;
                        self.prepared = None;
                    }
                    Err(error) => {
                        tracing::warn!(component = "kubelet", %error, pod = %self.pod.metadata.name, "not cleaned up");
                        self.wait_for("clean");
                    }
                }
            }
            Done::ContainersRemoved(ids) => self.removals.retain(|id| !ids.contains(id)),
            Done::Removed => {}
            Done::Probed { due, outcome } => self.probed(&due, &outcome),
            Done::StatusWritten { status, sent, result } => self.status_written(*status, &sent, result),
            Done::MirrorMade(result) => self.mirror_made(result),
            Done::ApiDeleted(result) => self.api_deleted(result),
            Done::Gone(result) => {
                self.removing = false;
                match result {
                    Ok(()) => self.gone = true,
                    Err(error) => {
                        tracing::warn!(component = "kubelet", %error, pod = %self.pod.metadata.name, "not removed");
                        self.leave_at = Some(self.retry("remove"));
                    }
                }
            }
        }
    }

    /// Notes the end of a container that was told to end. One that has not ended, for whatever reason, is told again.
    fn killed(&mut self, id: &str, result: cri::Result<Instance>) {
        self.epoch += 1;
        self.look_again = true;
        let delay = match result {
            Ok(ended) if !ended.is_running() => {
                if let Some(record) = self.observed.as_mut().and_then(|o| o.find_mut(id)) {
                    *record = ended;
                }
                self.busy.killing.remove(id);
                return;
            }
            Ok(_) => RETRY_MIN,
            // Gone altogether: the look says the rest.
            Err(e) if e.is_not_found() => RETRY_MIN,
            Err(error) => {
                tracing::warn!(component = "kubelet", %error, %id, "container not stopped");
                RETRY_MIN * 4
            }
        };
        let id = id.to_owned();
        self.ops.push(Box::pin(async move {
            tokio::time::sleep(delay).await;
            Done::KillAgain { id }
        }));
    }

    /// The pod's next step waits, longer after each failure of `what`.
    fn wait_for(&mut self, what: &'static str) {
        let at = self.retry(what);
        self.retry_at.insert(String::new(), at);
    }

    fn sandbox_stopped(&mut self, id: &str, result: cri::Result<()>) {
        self.busy.sandbox = false;
        self.epoch += 1;
        self.look_again = true;
        if let Err(error) = result {
            tracing::warn!(component = "kubelet", %error, pod = %self.pod.metadata.name, "sandbox not stopped");
            self.wait_for("stop");
            return;
        }
        let sandbox = self.observed.as_mut().and_then(|o| o.sandbox.as_mut());
        if let Some(sandbox) = sandbox.filter(|s| s.id == id) {
            sandbox.stopped = true;
            sandbox.ready = false;
        }
    }

    fn api_deleted(&mut self, result: Result<(), client::Error>) {
        self.api_delete_busy = false;
        if self.deleted {
            // The informer was faster.
            return;
        }
        self.leave_at = Some(match result {
            Err(error) if !error.is_not_found() && !error.is_conflict() => {
                tracing::warn!(component = "kubelet", %error, pod = %self.pod.metadata.name, "pod not deleted");
                self.retry("api")
            }
            // Nothing to wait for but the informer's word.
            _ => after(self.agent.now(), RETRY_MAX),
        });
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
                // A dead sandbox whose network this task has released stays so.
                if let (Some(new), Some(old)) =
                    (&mut seen.sandbox, self.observed.as_ref().and_then(|o| o.sandbox.as_ref()))
                    && new.id == old.id
                {
                    new.stopped = old.stopped && !new.ready;
                }
                seen.remember(&self.report.written);
                self.remove_containers(std::mem::take(&mut seen.surplus));
                if self.observed.is_none() {
                    self.admit(&seen);
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

    /// Removes old containers with their logs, each once at a time.
    fn remove_containers(&mut self, mut ids: Vec<String>) {
        ids.retain(|id| self.removals.insert(id.clone()));
        if ids.is_empty() {
            return;
        }
        let work = ops::remove_containers(Arc::clone(&self.agent), Arc::clone(&self.pod), ids.clone());
        self.ops.push(Box::pin(async move {
            work.await;
            Done::ContainersRemoved(ids)
        }));
    }

    /// A pod of which nothing is here yet has to fit beside those that are; what runs already stays.
    fn admit(&mut self, seen: &Observed) {
        if self.was_terminal || self.stop.is_some() {
            return;
        }
        let is_new = seen.sandbox.is_none() && seen.containers.values().all(|i| i.current.is_none());
        let name = &self.agent.config.node_name;
        let labels = self.agent.nodes.get("", name).map(|n| n.metadata.labels.clone());
        let admitted = self.agent.pods.admit(&self.pod, |active| match &labels {
            Some(labels) if is_new => admit::admit(&self.pod, active, &self.agent.allocatable, labels),
            // Adopted, or the node's labels are not known yet: the scheduler knew them.
            _ => Ok(()),
        });
        if let Err((reason, message)) = admitted {
            self.fail(&reason, &message, Duration::ZERO);
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

    fn sandbox_made(&mut self, result: Result<Sandbox, String>) {
        self.busy.sandbox = false;
        self.epoch += 1;
        let Ok(sandbox) = result else {
            self.wait_for("sandbox");
            // What the runtime made of it all the same.
            self.look_again = true;
            return;
        };
        self.failures.remove("sandbox");
        self.agent.metrics.pod_started();
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
                slot.current = Some(instance);
                let waste = waste.filter(|w| !w.sandbox_id.is_empty());
                self.remove_containers(waste.into_iter().map(|w| w.id).collect());
            } else {
                slot.current = Some(instance);
            }
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
}
