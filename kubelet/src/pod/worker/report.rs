//! Telling the API: the status where it differs, and the end of the pod.

use std::sync::Arc;
use std::time::Duration;

use client::{DeleteParams, Patch, resources};
use jiff::Timestamp;

use super::{Done, RETRY_MAX, Worker};
use crate::api::{Pod, PodStatus};
use crate::backoff::after;
use crate::pod::observed::{Instance, Observed};
use crate::pod::plan::Plan;
use crate::pod::{ops, patch, status};
use crate::pods::{ContainerView, View};

impl Worker {
    pub(super) fn status(&self, plan: &Plan, observed: &Observed, now: Timestamp) -> PodStatus {
        if self.was_terminal {
            return self.report.written.clone();
        }
        let mut waiting = self.waiting.clone();
        waiting.extend(plan.waiting.clone());
        // A container that runs, or that is about to be started again, waits for nothing.
        waiting.retain(|name, _| !observed.current(name).is_some_and(Instance::is_running));
        let mut old = self.report.written.clone();
        // Conditions of others, such as readiness gates and PodScheduled, come from the API.
        for condition in &self.shown().status.conditions {
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

    pub(super) fn show(&self, status: &PodStatus, observed: &Observed) {
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
    pub(super) fn report(&mut self, status: &PodStatus, now: Timestamp) -> bool {
        if self.deleted {
            return true;
        }
        self.heed_others();
        if status.phase == "Running"
            && matches!(self.report.written.phase.as_str(), "" | "Pending")
            && !self.told_running
        {
            self.told_running = true;
            let waited = Duration::try_from(now.duration_since(self.first_seen)).unwrap_or_default();
            self.agent.metrics.pod_running(waited);
        }
        if self.is_static && self.mirror.is_none() {
            self.make_mirror(now);
            return true;
        }
        let uid = &self.shown().metadata.uid;
        let Some(body) = patch::status_patch(uid, &self.report.written, status) else {
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
            let patch = Patch::Strategic(body.clone());
            let result = client.patch(&resources::PODS, &meta.namespace, &meta.name, "status", &patch).await;
            Done::StatusWritten { status, sent: body, result: result.map(Box::new) }
        }));
        false
    }

    /// The pod as the API shows it: itself, or the mirror of a static one.
    fn shown(&self) -> &Pod {
        self.mirror.as_deref().unwrap_or(&self.pod)
    }

    /// Shows a static pod to the API.
    fn make_mirror(&mut self, now: Timestamp) {
        if self.mirror_busy || self.report.retry_at.is_some_and(|at| at > now) {
            return;
        }
        let name = &self.agent.config.node_name;
        let node = self.agent.nodes.get("", name);
        let body =
            node.and_then(|node| self.agent.static_pods.mirror(&self.inbox.uid, name, &node.metadata.uid));
        let Some(body) = body else {
            // The API does not know the node yet.
            let at = self.retry("mirror");
            self.report.retry_at = Some(at);
            return;
        };
        self.mirror_busy = true;
        self.report.retry_at = None;
        let (client, namespace) = (self.agent.client.clone(), self.pod.metadata.namespace.clone());
        self.ops.push(Box::pin(async move {
            let made = client.create(&resources::PODS, &namespace, &body).await;
            Done::MirrorMade(made.map(Box::new))
        }));
    }

    pub(super) fn mirror_made(&mut self, result: Result<Box<Pod>, client::Error>) {
        self.mirror_busy = false;
        match result {
            Ok(made) => {
                self.failures.remove("mirror");
                // Unless the informer was faster.
                self.mirror.get_or_insert_with(|| Arc::new(*made));
            }
            Err(error) => {
                tracing::debug!(component = "kubelet", %error, pod = %self.pod.metadata.name, "mirror pod not made");
                let at = self.retry("mirror");
                self.report.retry_at = Some(at);
            }
        }
    }

    /// Others write the status too (the node lifecycle controller, when it has heard nothing of us), and a write of ours
    /// whose answer was lost may have happened: what the server shows is what the next patch starts from.
    fn heed_others(&mut self) {
        let revision = self.shown().metadata.revision();
        if !self.report.busy && !self.was_terminal && revision > self.report.revision {
            self.report.written = self.shown().status.clone();
            self.report.revision = revision;
        }
    }

    pub(super) fn status_written(
        &mut self,
        status: PodStatus,
        sent: &serde_json::Value,
        result: Result<Box<Pod>, client::Error>,
    ) {
        self.report.busy = false;
        match result {
            Ok(answer) => {
                self.failures.remove("report");
                self.report.revision = answer.metadata.revision();
                // The answer counts, not what we believe to have sent: our base may have been wrong. Where it would make
                // us send the same again, the server has it in a form of its own.
                let again = patch::status_patch(&answer.metadata.uid, &answer.status, &status);
                self.report.written = if again.as_ref() == Some(sent) { status } else { answer.status };
            }
            // A mirror that is gone is made again.
            Err(e) if self.is_static && (e.is_not_found() || e.is_conflict()) => {
                self.mirror = None;
                self.report.revision = 0;
                let at = self.retry("mirror");
                self.report.retry_at = Some(at);
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
    pub(super) fn leave(&mut self, plan: &Plan, reported: bool, observed: &Observed, now: Timestamp) {
        if !plan.done || self.leave_at.is_some_and(|at| at > now) {
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
