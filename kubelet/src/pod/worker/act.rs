//! Starting what the plan asks for: each action becomes a future of the task.

use std::sync::Arc;

use client::EventType;
use jiff::Timestamp;

use super::{Done, Worker, pod_ip};
use crate::backoff::{self, Backoff};
use crate::pod::observed::{Instance, Observed, RunState};
use crate::pod::plan::{Action, Why};
use crate::pod::{ops, prepare, start};

impl Worker {
    pub(super) fn look(&mut self) {
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

    pub(super) fn refresh(&mut self, observed: &Observed) {
        self.refreshing = true;
        self.refresh_again = false;
        let ips = observed.sandbox.as_ref().map(|s| s.ips.clone()).unwrap_or_default();
        let work = prepare::refresh(Arc::clone(&self.agent), Arc::clone(&self.pod), ips);
        self.ops.push(Box::pin(async move { Done::Refreshed(work.await) }));
    }

    pub(super) fn act(&mut self, action: &Action, observed: &Observed, now: Timestamp) {
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
                let Some(instance) = observed.running().map(|(_, i)| i).find(|i| i.id == *id).cloned() else {
                    return;
                };
                if *why == Why::Changed {
                    self.backoffs.remove(container);
                }
                let (name, grace, why) = (container.clone(), *grace, why.clone());
                self.ops.push(Box::pin(async move {
                    let id = instance.id.clone();
                    let result = ops::kill(agent, pod, name, instance, ip, grace, why).await;
                    Done::Killed { id, result: Box::new(result) }
                }));
            }
            Action::CleanUp => {
                self.busy.cleaning = true;
                self.ops.push(Box::pin(async move { Done::Cleaned(prepare::clean_up(agent, pod).await) }));
            }
        }
    }

    pub(super) fn start(&mut self, name: &str, attempt: u32, observed: &Observed, now: Timestamp) {
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
        let never_ran = |i: &&Instance| i.state == RunState::Created;
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
        self.ops.push(Box::pin(async move {
            Done::Started { name, result: Box::new(start::start(agent, request).await) }
        }));
    }
}
