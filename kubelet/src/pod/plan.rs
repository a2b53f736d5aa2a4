//! What to do next for a pod: a pure function of its specification and of what is there. It is asked again after every
//! change, and never gives an action whose predecessor is still under way.
//!
//! Order as upstream: volumes, sandbox, init containers one after the other, sidecars among them as soon as they have
//! started, then the regular containers in order. On the way down everything but the sidecars ends first, then these from
//! the last to the first, then the sandbox, then the volumes.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::hash::container_hash;
use super::observed::{Instance, Observed, RunState};
use crate::api::PodSpec;
use crate::api::pod::Container;
use crate::api::status::Waiting;
use crate::backoff::Backoff;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Directories, control group, volumes.
    Prepare,
    CreateSandbox {
        attempt: u32,
    },
    StopSandbox {
        id: String,
    },
    Start {
        container: String,
        attempt: u32,
    },
    Kill {
        id: String,
        container: String,
        grace: Duration,
        why: Why,
    },
    /// Everything has ended: volumes and control group can go.
    CleanUp,
}

/// Why a running container is ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The pod ends.
    Stopping,
    /// Its specification has changed.
    Changed,
    /// A probe says so, in its words.
    Unhealthy(String),
}

/// The pod is to end, for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    pub grace: Duration,
    /// When the grace began: sidecars get what the others have left of it.
    pub since: Timestamp,
}

/// What probes say of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// The startup probe has succeeded, or there is none.
    pub started: bool,
    pub ready: bool,
    /// A liveness or startup probe has failed for good: the reason, and the grace that the probe sets.
    pub failed: Option<(String, Option<u64>)>,
}

/// What is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Busy {
    pub preparing: bool,
    /// A sandbox is being made or stopped.
    pub sandbox: bool,
    pub starting: bool,
    /// Containers being ended, with their grace.
    pub killing: BTreeMap<String, Duration>,
    pub cleaning: bool,
}

#[derive(Debug)]
pub struct Inputs<'a> {
    pub spec: &'a PodSpec,
    pub observed: &'a Observed,
    pub stop: Option<&'a Stop>,
    /// Volumes and directories are there.
    pub prepared: bool,
    /// Volumes and directories are gone again.
    pub cleaned: bool,
    pub busy: &'a Busy,
    pub health: &'a BTreeMap<String, Health>,
    pub backoffs: &'a BTreeMap<String, Backoff>,
    /// When a step that failed may be tried again: by container, and the pod's own under the empty name.
    pub retry_at: &'a BTreeMap<String, Timestamp>,
    /// `namespace/name`-like text for messages.
    pub pod_text: &'a str,
    pub now: Timestamp,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub actions: Vec<Action>,
    /// Containers that wait for their back-off.
    pub waiting: BTreeMap<String, Waiting>,
    /// When to ask again even if nothing changes.
    pub wake_at: Option<Timestamp>,
    /// Nothing will run any more: the pod has ended by itself or was told to.
    pub ended: bool,
    /// It has ended and nothing is left to be done.
    pub done: bool,
}

/// Upstream's least grace of a container that is killed after others have used the pod's.
const GRACE_MIN: Duration = Duration::from_secs(2);

/// Decides.
pub fn plan_pod(inputs: &Inputs<'_>) -> Plan {
    let mut plan = Plan::default();
    if inputs.stop.is_some() || finished(inputs) {
        plan.ended = true;
        plan_down(inputs, &mut plan);
        return plan;
    }
    if !inputs.prepared {
        if !inputs.busy.preparing && due(inputs, "", &mut plan) {
            plan.actions.push(Action::Prepare);
        }
        // What already runs (an adopted pod) is looked after all the same.
        if inputs.observed.sandbox.as_ref().is_none_or(|s| !s.ready) {
            return plan;
        }
    }
    match &inputs.observed.sandbox {
        Some(sandbox) if sandbox.ready => plan_containers(inputs, &mut plan),
        _ if inputs.busy.sandbox => {}
        Some(sandbox) if !sandbox.stopped => {
            plan.actions.push(Action::StopSandbox { id: sandbox.id.clone() })
        }
        other => {
            if due(inputs, "", &mut plan) {
                plan.actions
                    .push(Action::CreateSandbox { attempt: other.as_ref().map_or(0, |s| s.attempt + 1) });
            }
        }
    }
    if !inputs.prepared {
        plan.actions.retain(|a| !matches!(a, Action::Start { .. }));
    }
    plan
}

/// False while a failed step waits; the plan then wakes when it may be tried again.
fn due(inputs: &Inputs<'_>, name: &str, plan: &mut Plan) -> bool {
    match inputs.retry_at.get(name) {
        Some(at) if *at > inputs.now => {
            wake(plan, *at);
            false
        }
        _ => true,
    }
}

fn wake(plan: &mut Plan, at: Timestamp) {
    plan.wake_at = Some(plan.wake_at.map_or(at, |have| have.min(at)));
}

/// The restart policy of a container: its own goes before the pod's.
fn policy<'a>(spec: &'a PodSpec, container: &'a Container) -> &'a str {
    let own = container.restart_policy.as_str();
    if own.is_empty() { spec.restart_policy.as_str() } else { own }
}

fn restarts(policy: &str, code: i32) -> bool {
    match policy {
        "Never" => false,
        "OnFailure" => code != 0,
        _ => true,
    }
}

/// Whether an ended container will not run again.
fn over(policy: &str, instance: Option<&Instance>) -> bool {
    instance.and_then(Instance::exit).is_some_and(|exit| !restarts(policy, exit.code))
}

/// Whether the pod has ended by itself: all regular containers are over, or an init container has failed for good.
pub fn finished(inputs: &Inputs<'_>) -> bool {
    let spec = inputs.spec;
    let init_failed = spec.init_containers.iter().filter(|c| !c.is_sidecar()).any(|c| {
        let instance = inputs.observed.current(&c.name);
        instance.and_then(Instance::exit).is_some_and(|e| e.code != 0) && over(policy(spec, c), instance)
    });
    let started = |c: &Container| inputs.observed.current(&c.name).is_some();
    if init_failed && !spec.containers.iter().any(started) {
        return true;
    }
    !spec.containers.is_empty()
        && spec.containers.iter().all(|c| over(policy(spec, c), inputs.observed.current(&c.name)))
}

fn plan_containers(inputs: &Inputs<'_>, plan: &mut Plan) {
    let spec = inputs.spec;
    let observed = inputs.observed;
    // Once a regular container has run in this sandbox the init containers are history.
    let initialized = spec.containers.iter().any(|c| observed.in_sandbox(&c.name).is_some());
    for container in &spec.init_containers {
        let instance = observed.in_sandbox(&container.name);
        if container.is_sidecar() {
            keep_running(inputs, plan, container, "Always");
            let started = instance.is_some_and(Instance::is_running)
                && inputs.health.get(&container.name).is_some_and(|h| h.started);
            if !started && !initialized {
                return;
            }
        } else if !initialized {
            if instance.and_then(Instance::exit).is_some_and(|e| e.code == 0) {
                continue;
            }
            // An init container that failed runs again unless the policy is Never, when the pod has failed.
            keep_running(inputs, plan, container, policy(spec, container));
            return;
        }
    }
    for container in &spec.containers {
        keep_running(inputs, plan, container, policy(spec, container));
    }
    for container in &spec.ephemeral_containers {
        keep_running(inputs, plan, container, "Never");
    }
}

/// Starts a container that should run and does not, ends one that should not run on as it is.
fn keep_running(inputs: &Inputs<'_>, plan: &mut Plan, container: &Container, policy: &str) {
    let name = &container.name;
    let attempt = inputs.observed.next_attempt(name);
    let Some(instance) = inputs.observed.in_sandbox(name) else {
        // One that ended well in an earlier sandbox is not run again where the policy does not ask for it.
        if !over(policy, inputs.observed.current(name)) {
            start(inputs, plan, name, attempt);
        }
        return;
    };
    match &instance.state {
        RunState::Created => start(inputs, plan, name, attempt),
        RunState::Running { .. } => {
            let failed = inputs.health.get(name).and_then(|h| h.failed.as_ref());
            let (why, grace) = if let Some((message, grace)) = failed {
                (Why::Unhealthy(message.clone()), grace.map(Duration::from_secs))
            } else if !instance.hash.is_empty()
                && instance.hash != container_hash(container)
                && policy_allows_change(inputs, container)
            {
                (Why::Changed, None)
            } else {
                return;
            };
            kill(inputs, plan, name, instance, grace.unwrap_or_else(|| pod_grace(inputs.spec)), why);
        }
        RunState::Exited(exit) => {
            if !restarts(policy, exit.code) {
                return;
            }
            let finished_at = exit.finished_at.unwrap_or(inputs.now);
            match inputs.backoffs.get(name).and_then(|b| b.ready_at(finished_at)) {
                Some(at) if at > inputs.now => {
                    let delay = inputs.backoffs.get(name).map_or(Duration::ZERO, |b| b.delay);
                    let message = format!(
                        "back-off {} restarting failed container={name} pod={}",
                        go_duration(delay),
                        inputs.pod_text
                    );
                    plan.waiting.insert(name.clone(), Waiting::new("CrashLoopBackOff", message));
                    wake(plan, at);
                }
                _ => start(inputs, plan, name, attempt),
            }
        }
    }
}

/// Ephemeral containers are never changed; everything else that runs follows its image.
fn policy_allows_change(inputs: &Inputs<'_>, container: &Container) -> bool {
    !inputs.spec.ephemeral_containers.iter().any(|c| c.name == container.name)
}

/// Go's text of a duration of whole seconds: `10s`, `5m0s`.
fn go_duration(duration: Duration) -> String {
    let secs = duration.as_secs();
    if secs < 60 { format!("{secs}s") } else { format!("{}m{}s", secs / 60, secs % 60) }
}

fn start(inputs: &Inputs<'_>, plan: &mut Plan, name: &str, attempt: u32) {
    if due(inputs, name, plan) && !inputs.busy.starting {
        plan.actions.push(Action::Start { container: name.to_owned(), attempt });
    }
}

fn kill(inputs: &Inputs<'_>, plan: &mut Plan, name: &str, instance: &Instance, grace: Duration, why: Why) {
    // A shorter grace than the one under way is a new wish.
    if inputs.busy.killing.get(&instance.id).is_none_or(|under_way| grace < *under_way) {
        let (id, container) = (instance.id.clone(), name.to_owned());
        plan.actions.push(Action::Kill { id, container, grace, why });
    }
}

fn pod_grace(spec: &PodSpec) -> Duration {
    Duration::from_secs(
        spec.termination_grace_period_seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or(30),
    )
}

/// The way down, of a pod that was told to end or has ended by itself.
fn plan_down(inputs: &Inputs<'_>, plan: &mut Plan) {
    let grace = inputs.stop.map_or_else(|| pod_grace(inputs.spec), |s| s.grace);
    let sidecar = |name: &str| inputs.spec.init_containers.iter().any(|c| c.is_sidecar() && c.name == name);
    let mut others = false;
    for (name, instance) in inputs.observed.running().filter(|(name, _)| !sidecar(name)) {
        others = true;
        kill(inputs, plan, name, instance, grace, Why::Stopping);
    }
    if others || inputs.busy.starting || inputs.busy.preparing {
        return;
    }
    let last_sidecar = inputs.spec.init_containers.iter().rev().filter(|c| c.is_sidecar()).find_map(|c| {
        let instance = inputs.observed.running().find(|(name, _)| *name == c.name)?.1;
        Some((&c.name, instance))
    });
    if let Some((name, instance)) = last_sidecar {
        let used = inputs.stop.map_or(Duration::ZERO, |s| {
            Duration::try_from(inputs.now.duration_since(s.since)).unwrap_or(Duration::ZERO)
        });
        let left = grace.saturating_sub(used).max(GRACE_MIN.min(grace));
        if !inputs.busy.killing.contains_key(&instance.id) {
            kill(inputs, plan, name, instance, left, Why::Stopping);
        }
        return;
    }
    if inputs.busy.sandbox {
        return;
    }
    match &inputs.observed.sandbox {
        Some(sandbox) if !sandbox.stopped => {
            if due(inputs, "", plan) {
                plan.actions.push(Action::StopSandbox { id: sandbox.id.clone() });
            }
        }
        _ if inputs.cleaned => plan.done = true,
        _ => {
            if !inputs.busy.cleaning && due(inputs, "", plan) {
                plan.actions.push(Action::CleanUp);
            }
        }
    }
}

#[cfg(test)]
mod tests;
