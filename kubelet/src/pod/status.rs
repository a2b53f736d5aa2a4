//! A pod's status as the API shows it: a pure function of its specification, of what the runtime has, of what probes say
//! and of the status before. Phases, conditions, reasons and messages are upstream's.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::observed::{Exit, Instance, Observed, RunState, whole_second};
use super::plan::Health;
use super::qos::qos_class;
use crate::api::pod::Container;
use crate::api::status::{
    ContainerState, ContainerStatus, Ip, PodCondition, PodStatus, Running, Terminated, VolumeMountStatus,
    Waiting,
};
use crate::api::{Pod, PodSpec};

/// What the status is made of.
#[derive(Debug)]
pub struct Inputs<'a> {
    pub pod: &'a Pod,
    pub observed: &'a Observed,
    pub health: &'a BTreeMap<String, Health>,
    /// Reasons of containers that do not run: back-off, failed pulls, failed starts.
    pub waiting: &'a BTreeMap<String, Waiting>,
    /// The pod has ended and everything of it is down: its phase is final.
    pub terminal: bool,
    /// The pod is being deleted.
    pub stopping: bool,
    /// The kubelet itself ended the pod: reason and message of a failed pod.
    pub failed: Option<(&'a str, &'a str)>,
    pub old: &'a PodStatus,
    /// `containerd`: the scheme of container ids.
    pub runtime_name: &'a str,
    pub host_ips: &'a [String],
    pub start_time: Timestamp,
    pub now: Timestamp,
}

/// Computes it.
pub fn pod_status(inputs: &Inputs<'_>) -> PodStatus {
    let spec = &inputs.pod.spec;
    let initialized = init_done(inputs);
    let list = |containers: &[Container], default_reason: &str| -> Vec<ContainerStatus> {
        containers.iter().map(|c| container_status(inputs, c, default_reason)).collect()
    };
    let default_reason =
        if spec.init_containers.is_empty() || initialized { "ContainerCreating" } else { "PodInitializing" };
    let init_container_statuses = list(&spec.init_containers, "PodInitializing");
    let container_statuses = list(&spec.containers, default_reason);
    let mut status = PodStatus {
        observed_generation: inputs.pod.metadata.generation,
        start_time: Some(whole_second(inputs.old.start_time.unwrap_or(inputs.start_time))),
        qos_class: qos_class(spec).as_str().to_owned(),
        host_ip: inputs.host_ips.first().cloned().unwrap_or_default(),
        host_ips: ips(inputs.host_ips),
        ephemeral_container_statuses: list(&spec.ephemeral_containers, "ContainerCreating"),
        init_container_statuses,
        container_statuses,
        ..PodStatus::default()
    };
    status.phase = if inputs.old.is_terminal() {
        // A phase never goes back.
        inputs.old.phase.clone()
    } else if inputs.failed.is_some() && inputs.terminal {
        // Not before: a container may be on its way up, and whoever reads a final phase takes its resources.
        "Failed".to_owned()
    } else {
        phase(spec, &status, inputs.terminal).to_owned()
    };
    match inputs.failed {
        Some((reason, message)) if status.phase == "Failed" => {
            status.reason = reason.to_owned();
            status.message = message.to_owned();
        }
        _ => {
            status.reason.clone_from(&inputs.old.reason);
            status.message.clone_from(&inputs.old.message);
        }
    }
    set_addresses(inputs, &mut status);
    status.conditions = conditions(inputs, &status);
    status
}

fn ips(list: &[String]) -> Vec<Ip> {
    list.iter().map(|ip| Ip { ip: ip.clone() }).collect()
}

fn set_addresses(inputs: &Inputs<'_>, status: &mut PodStatus) {
    let of_sandbox = inputs.observed.sandbox.as_ref().map(|s| s.ips.as_slice()).unwrap_or_default();
    let list = if inputs.pod.spec.host_network { inputs.host_ips } else { of_sandbox };
    if list.is_empty() {
        // A stopped sandbox has none, but whoever reads an ended pod still wants to know.
        status.pod_ip.clone_from(&inputs.old.pod_ip);
        status.pod_ips.clone_from(&inputs.old.pod_ips);
    } else {
        status.pod_ip = list[0].clone();
        status.pod_ips = ips(list);
    }
}

/// Whether every init container has done its part.
fn init_done(inputs: &Inputs<'_>) -> bool {
    let spec = &inputs.pod.spec;
    let observed = inputs.observed;
    if spec.containers.iter().any(|c| observed.in_sandbox(&c.name).is_some()) {
        return true;
    }
    spec.init_containers.iter().all(|c| {
        let instance = observed.current(&c.name);
        if c.is_sidecar() {
            instance.is_some_and(Instance::is_running)
                && inputs.health.get(&c.name).is_some_and(|h| h.started)
        } else {
            instance.and_then(Instance::exit).is_some_and(|e| e.code == 0)
        }
    })
}

fn terminated(inputs: &Inputs<'_>, instance: &Instance, exit: &Exit) -> Terminated {
    let reason = match (exit.reason.as_str(), exit.code) {
        ("", 0) => "Completed",
        ("", _) => "Error",
        (given, _) => given,
    };
    Terminated {
        exit_code: exit.code,
        reason: reason.to_owned(),
        message: exit.message.clone(),
        started_at: exit.started_at.map(whole_second),
        finished_at: exit.finished_at.map(whole_second),
        container_id: container_id(inputs, instance),
    }
}

fn container_id(inputs: &Inputs<'_>, instance: &Instance) -> String {
    if instance.id.is_empty() { String::new() } else { format!("{}://{}", inputs.runtime_name, instance.id) }
}

fn container_status(inputs: &Inputs<'_>, container: &Container, default_reason: &str) -> ContainerStatus {
    let instances = inputs.observed.containers.get(&container.name);
    let current = instances.and_then(|i| i.current.as_ref());
    let previous = instances.and_then(|i| i.previous.as_ref());
    let ended = |instance: Option<&Instance>| ContainerState {
        terminated: instance.and_then(|i| i.exit().map(|e| terminated(inputs, i, e))),
        ..ContainerState::default()
    };
    let waiting = inputs.waiting.get(&container.name);
    let health = inputs.health.get(&container.name);
    let mut made = ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone(),
        started: Some(false),
        restart_count: current.map_or(0, |c| i32::try_from(c.attempt).unwrap_or(i32::MAX)),
        last_state: ended(previous),
        volume_mounts: volume_mounts(container),
        ..ContainerStatus::default()
    };
    if let Some(current) = current {
        made.container_id = container_id(inputs, current);
        if !current.image.is_empty() {
            made.image.clone_from(&current.image);
        }
        made.image_id.clone_from(&current.image_id);
    }
    let wait = |reason: Waiting| ContainerState { waiting: Some(reason), ..ContainerState::default() };
    match (current.map(|c| (c, &c.state)), waiting) {
        (Some((_, RunState::Running { started_at })), _) => {
            made.state.running = Some(Running { started_at: Some(whole_second(*started_at)) });
            made.started = Some(health.is_some_and(|h| h.started));
            made.ready = health.is_some_and(|h| h.started && h.ready);
            made.allocated_resources = container.resources.requests.clone();
            made.resources = Some(container.resources.clone()).filter(|r| !r.is_empty());
        }
        (Some((current, RunState::Exited(_))), Some(waiting)) => {
            made.state = wait(waiting.clone());
            made.last_state = ended(Some(current));
        }
        (Some((current, RunState::Exited(exit))), None) => {
            let lost_sandbox = !inputs.terminal
                && !inputs.stopping
                && current.sandbox_id.is_empty()
                && exit.reason == "ContainerStatusUnknown";
            if lost_sandbox {
                made.state = wait(Waiting::new(default_reason, ""));
                made.last_state = ended(Some(current));
            } else {
                made.state = ended(Some(current));
                // An init container that has done its work counts as ready.
                let is_init = inputs.pod.spec.init_containers.iter().any(|c| c.name == container.name);
                made.ready = is_init && !container.is_sidecar() && exit.code == 0;
            }
        }
        (_, waiting) => {
            made.state = wait(waiting.cloned().unwrap_or_else(|| Waiting::new(default_reason, "")))
        }
    }
    made
}

fn volume_mounts(container: &Container) -> Vec<VolumeMountStatus> {
    let status = |m: &crate::api::pod::VolumeMount| VolumeMountStatus {
        name: m.name.clone(),
        mount_path: m.mount_path.clone(),
        read_only: m.read_only,
        recursive_read_only: if m.read_only { "Disabled".to_owned() } else { String::new() },
    };
    container.volume_mounts.iter().map(status).collect()
}

/// The phase, as upstream's `getPhase` counts it together.
fn phase(spec: &PodSpec, status: &PodStatus, terminal: bool) -> &'static str {
    let (mut init_pending, mut init_failed) = (0, 0);
    for (container, status) in spec.init_containers.iter().zip(&status.init_container_statuses) {
        if container.is_sidecar() {
            let started = status.state.running.is_some() && status.started == Some(true);
            let has_run = status.state.terminated.is_some() || status.last_state.terminated.is_some();
            if !started && !has_run {
                init_pending += 1;
            }
            continue;
        }
        let last = &status.last_state.terminated;
        match (&status.state.terminated, &status.state.waiting) {
            (Some(ended), _) if ended.exit_code == 0 => {}
            (Some(_), _) => init_failed += 1,
            (None, Some(_)) if last.as_ref().is_some_and(|t| t.exit_code != 0) => init_failed += 1,
            _ => init_pending += 1,
        }
    }
    let (mut running, mut waiting, mut stopped, mut succeeded) = (0, 0, 0, 0);
    for status in &status.container_statuses {
        if status.state.running.is_some() {
            running += 1;
        } else if let Some(ended) = &status.state.terminated {
            stopped += 1;
            succeeded += u32::from(ended.exit_code == 0);
        } else if status.last_state.terminated.is_some() {
            stopped += 1;
        } else {
            waiting += 1;
        }
    }
    let never = spec.restart_policy == "Never";
    if terminal {
        let all_well = stopped > 0 && stopped == succeeded && waiting == 0;
        return if all_well && init_failed == 0 { "Succeeded" } else { "Failed" };
    }
    if init_failed > 0 && never {
        return "Failed";
    }
    if init_pending > 0 || init_failed > 0 || waiting > 0 {
        return "Pending";
    }
    if running > 0 {
        return "Running";
    }
    if stopped > 0 {
        return match spec.restart_policy.as_str() {
            "Never" if stopped == succeeded => "Succeeded",
            "Never" => "Failed",
            "OnFailure" if stopped == succeeded => "Succeeded",
            _ => "Running",
        };
    }
    "Pending"
}

fn conditions(inputs: &Inputs<'_>, status: &PodStatus) -> Vec<PodCondition> {
    let sandbox_up = inputs.observed.sandbox.as_ref().is_some_and(|s| s.ready) && !status.is_terminal();
    let ready = containers_ready(inputs, status);
    let mut made = vec![
        condition("PodReadyToStartContainers", Some(String::new()).filter(|_| !sandbox_up).map(|m| ("", m))),
        initialized_condition(inputs, status),
        pod_ready(inputs, &ready),
        condition("ContainersReady", ready),
        condition("PodScheduled", None),
    ];
    // A pod that this kubelet ended says who disrupted it.
    if let Some((reason, message)) = inputs.failed
        && reason == "Evicted"
    {
        let mut disruption = condition("DisruptionTarget", None);
        disruption.reason = "TerminationByKubelet".to_owned();
        disruption.message = message.to_owned();
        made.push(disruption);
    }
    for condition in &mut made {
        condition.observed_generation = inputs.pod.metadata.generation;
        let old = inputs.old.condition(&condition.r#type).filter(|old| old.status == condition.status);
        condition.last_transition_time =
            old.and_then(|o| o.last_transition_time).or(Some(whole_second(inputs.now)));
        if condition.r#type == "PodScheduled"
            && let Some(old) = inputs.old.condition("PodScheduled")
        {
            condition.last_transition_time = old.last_transition_time;
        }
    }
    // Other writers' conditions stay as they are.
    let own: Vec<String> = made.iter().map(|c| c.r#type.clone()).collect();
    made.extend(inputs.old.conditions.iter().filter(|c| !own.contains(&c.r#type)).cloned());
    made
}

/// True, or False with a reason and a message.
fn condition(kind: &str, problem: Option<(&str, String)>) -> PodCondition {
    let (reason, message) = problem.clone().unwrap_or_default();
    PodCondition {
        r#type: kind.to_owned(),
        status: if problem.is_none() { "True" } else { "False" }.to_owned(),
        reason: reason.to_owned(),
        message,
        ..PodCondition::default()
    }
}

fn initialized_condition(inputs: &Inputs<'_>, status: &PodStatus) -> PodCondition {
    let spec = &inputs.pod.spec;
    if status.phase == "Succeeded" {
        let mut made = condition("Initialized", None);
        made.reason = "PodCompleted".to_owned();
        return made;
    }
    let regular_ran = status.container_statuses.iter().any(|s| !s.container_id.is_empty());
    if regular_ran || init_done(inputs) {
        return condition("Initialized", None);
    }
    let incomplete = spec.init_containers.iter().zip(&status.init_container_statuses);
    let names: Vec<&str> = incomplete
        .filter(|(c, s)| {
            if c.is_sidecar() {
                s.started != Some(true)
            } else {
                s.state.terminated.as_ref().is_none_or(|t| t.exit_code != 0)
            }
        })
        .map(|(c, _)| c.name.as_str())
        .collect();
    let message = format!("containers with incomplete status: [{}]", names.join(" "));
    condition("Initialized", Some(("ContainersNotInitialized", message)))
}

/// The problem with the containers' readiness, if there is one.
fn containers_ready(inputs: &Inputs<'_>, status: &PodStatus) -> Option<(&'static str, String)> {
    match status.phase.as_str() {
        "Succeeded" => return Some(("PodCompleted", String::new())),
        "Failed" => return Some(("PodFailed", String::new())),
        _ => {}
    }
    let sidecars = inputs.pod.spec.init_containers.iter().filter(|c| c.is_sidecar());
    let names: Vec<&str> = sidecars
        .chain(&inputs.pod.spec.containers)
        .filter(|c| status.container(&c.name).is_none_or(|s| !s.ready))
        .map(|c| c.name.as_str())
        .collect();
    let message = || format!("containers with unready status: [{}]", names.join(" "));
    (!names.is_empty()).then(|| ("ContainersNotReady", message()))
}

fn pod_ready(inputs: &Inputs<'_>, containers: &Option<(&'static str, String)>) -> PodCondition {
    if let Some(problem) = containers {
        return condition("Ready", Some(problem.clone()));
    }
    let mut problems = Vec::new();
    for gate in &inputs.pod.spec.readiness_gates {
        let name = &gate.condition_type;
        match inputs.pod.status.condition(name) {
            None => problems
                .push(format!("corresponding condition of pod readiness gate {name:?} does not exist.")),
            Some(found) if found.status != "True" => problems.push(format!(
                "the status of pod readiness gate {name:?} is not \"True\", but {}",
                found.status
            )),
            Some(_) => {}
        }
    }
    let problem = (!problems.is_empty()).then(|| ("ReadinessGatesNotReady", problems.join(", ")));
    condition("Ready", problem)
}

#[cfg(test)]
mod tests;
