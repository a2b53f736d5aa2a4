//! What a pod's task does with the runtime, each as one future: look, make and stop the sandbox, end a container, remove
//! what is left. They change nothing of the task's own; their results do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::EventType;
use cri::v1;

use super::config::{log_dir, sandbox_config};
use super::observed::{Exit, Instance, Instances, Observed, RunState, Sandbox, labels, timestamp};
use super::plan::Why;
use super::start::log_link;
use super::{dns, hooks, prepare};
use crate::agent::Agent;
use crate::api::Pod;

/// What a container may leave as its last words, as upstream's limits.
const MESSAGE_MAX: u64 = 4096;
const LOG_MESSAGE_MAX: u64 = 2048;
const LOG_MESSAGE_LINES: usize = 80;

/// The least that the stop signal gets after a hook has used the grace up.
const GRACE_AFTER_HOOK: Duration = Duration::from_secs(2);

/// Everything that the runtime has of a pod. `known` saves asking again for what has ended.
pub(crate) async fn look(
    agent: Arc<Agent>,
    uid: String,
    known: BTreeMap<String, Instance>,
) -> cri::Result<Observed> {
    let selector = [(labels::POD_UID, uid.as_str())];
    let mut sandboxes = agent.runtime.list_sandboxes(&selector).await?;
    let containers = agent.runtime.list_containers(&selector).await?;
    let attempt = |s: &v1::PodSandbox| s.metadata.as_ref().map_or(0, |m| m.attempt);
    sandboxes.sort_by_key(|s| (attempt(s), s.created_at));
    let mut observed = Observed::default();
    if let Some(newest) = sandboxes.pop() {
        match agent.runtime.sandbox_status(&newest.id).await {
            Ok(status) => observed.sandbox = Some(sandbox(&status)),
            Err(e) if e.is_not_found() => {}
            Err(e) => return Err(e),
        }
        agent.pods.own(&newest.id, &uid);
    }
    observed.old_sandboxes = sandboxes.into_iter().map(|s| s.id).collect();
    let mut by_name: BTreeMap<String, Vec<v1::Container>> = BTreeMap::new();
    for container in containers {
        let name = container.labels.get(labels::CONTAINER_NAME).cloned().unwrap_or_default();
        by_name.entry(name).or_default().push(container);
    }
    for (name, mut list) in by_name {
        let attempt = |c: &v1::Container| c.metadata.as_ref().map_or(0, |m| m.attempt);
        list.sort_by_key(|c| std::cmp::Reverse((attempt(c), c.created_at)));
        let mut instances = Instances::default();
        for container in list {
            if instances.previous.is_some() {
                observed.surplus.push(container.id);
                continue;
            }
            agent.pods.own(&container.id, &uid);
            let instance = match known.get(&container.id).filter(|k| k.exit().is_some()) {
                Some(known) => known.clone(),
                None => match agent.runtime.container_status(&container.id).await {
                    Ok(status) => {
                        with_last_words(&agent, Instance::from_cri(&container.pod_sandbox_id, &status))
                    }
                    Err(e) if e.is_not_found() => continue,
                    Err(e) => return Err(e),
                },
            };
            if instances.current.is_none() {
                instances.current = Some(instance);
            } else {
                instances.previous = Some(instance);
            }
        }
        observed.containers.insert(name, instances);
    }
    Ok(observed)
}

fn sandbox(status: &v1::PodSandboxStatus) -> Sandbox {
    let network = status.network.clone().unwrap_or_default();
    let more = network.additional_ips.into_iter().map(|i| i.ip);
    let ready = status.state() == v1::PodSandboxState::SandboxReady;
    Sandbox {
        id: status.id.clone(),
        attempt: status.metadata.as_ref().map_or(0, |m| m.attempt),
        ready,
        stopped: false,
        ips: std::iter::once(network.ip).chain(more).filter(|ip| !ip.is_empty() && ready).collect(),
        created_at: timestamp(status.created_at),
    }
}

/// Adds what the container left as its termination message, or the end of its log where it asked for that.
pub(crate) fn with_last_words(agent: &Agent, mut instance: Instance) -> Instance {
    let Some(exit) = instance.exit() else { return instance };
    let mut words = String::new();
    if !instance.message_file.is_empty() {
        let tail = agent.host.read_tail(instance.message_file.as_ref(), MESSAGE_MAX).unwrap_or_default();
        words = String::from_utf8_lossy(&tail).into_owned();
    }
    if words.is_empty() && instance.message_policy == "FallbackToLogsOnError" && exit.code != 0 {
        // Room for the time and stream before each line.
        let tail = agent.host.read_tail(instance.log_path.as_ref(), LOG_MESSAGE_MAX * 2).unwrap_or_default();
        words = end_of_log(&String::from_utf8_lossy(&tail));
    }
    if let RunState::Exited(Exit { message, .. }) = &mut instance.state
        && !words.is_empty()
    {
        *message = if message.is_empty() { words } else { format!("{message}: {words}") };
    }
    instance
}

/// The text of the last lines of a log in CRI's format.
fn end_of_log(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter_map(|line| line.splitn(4, ' ').nth(3)).collect();
    let mut text = String::new();
    for line in &lines[lines.len().saturating_sub(LOG_MESSAGE_LINES)..] {
        text.push_str(line);
        text.push('\n');
    }
    let max = usize::try_from(LOG_MESSAGE_MAX).unwrap_or(usize::MAX);
    let mut cut = text.len().saturating_sub(max);
    while !text.is_char_boundary(cut) {
        cut += 1;
    }
    text.split_off(cut)
}

/// A pod's sandbox configuration on this node.
pub(crate) fn sandbox_config_of(agent: &Agent, pod: &Pod, attempt: u32) -> v1::PodSandboxConfig {
    let dns = dns::pod_dns(&pod.spec, &pod.metadata.namespace, &agent.dns());
    let parent =
        if agent.config.kubelet.cgroups_per_qos { prepare::cgroup(agent, pod).1 } else { String::new() };
    sandbox_config(pod, &agent.settings, &dns, &parent, attempt)
}

/// Makes a sandbox; the error is what FailedCreatePodSandBox has told.
pub(crate) async fn create_sandbox(
    agent: Arc<Agent>,
    pod: Arc<Pod>,
    attempt: u32,
) -> Result<Sandbox, String> {
    let config = sandbox_config_of(&agent, &pod, attempt);
    let made = async {
        let handler = runtime_handler(&agent, &pod).await?;
        let run = agent.runtime.run_sandbox(&config, &handler);
        let id = agent.turns.take(run).await.map_err(|e| e.to_string())?;
        agent.pods.own(&id, &pod.metadata.uid);
        let status = agent.runtime.sandbox_status(&id).await.map_err(|e| e.to_string())?;
        Ok(sandbox(&status))
    };
    made.await.map_err(|e: String| {
        let message = format!("Failed to create pod sandbox: {e}");
        agent.pod_event(&pod, EventType::Warning, "FailedCreatePodSandBox", message.clone());
        message
    })
}

#[derive(serde::Deserialize)]
struct RuntimeClass {
    handler: String,
}

/// The runtime's name for the pod's class; the runtime's own choice without one.
async fn runtime_handler(agent: &Agent, pod: &Pod) -> Result<String, String> {
    let name = &pod.spec.runtime_class_name;
    if name.is_empty() {
        return Ok(String::new());
    }
    let class = agent.client.get::<RuntimeClass>(&client::resources::RUNTIME_CLASSES, "", name).await;
    class.map(|c| c.handler).map_err(|e| format!("failed to get sandbox runtime: {e}"))
}

/// Ends a container: its hook first, within the grace, then the signal. Gives what is left of it.
pub(crate) async fn kill(
    agent: Arc<Agent>,
    pod: Arc<Pod>,
    name: String,
    instance: Instance,
    pod_ip: String,
    grace: Duration,
    why: Why,
) -> cri::Result<Instance> {
    let container = pod.spec.container(&name);
    let message = match &why {
        Why::Stopping => format!("Stopping container {name}"),
        Why::Changed => format!("Container {name} definition changed, will be restarted"),
        Why::Unhealthy(message) => message.clone(),
    };
    if let Some(container) = container {
        agent.container_event(&pod, container, EventType::Normal, "Killing", message);
    }
    let mut left = grace;
    let hook = container.and_then(|c| Some((c, c.lifecycle.pre_stop.as_ref()?)));
    if let Some((container, hook)) = hook.filter(|_| !grace.is_zero()) {
        let began = tokio::time::Instant::now();
        let run = hooks::run(&agent, container, &instance.id, &pod_ip, hook);
        let problem = match tokio::time::timeout(grace, run).await {
            Ok(Ok(())) => None,
            Ok(Err(problem)) => Some(problem),
            Err(_) => Some("preStop hook not completed in grace period".to_owned()),
        };
        if let Some(problem) = problem {
            tracing::debug!(component = "kubelet", container = %name, error = %problem, "preStop failed");
            agent.container_event(
                &pod,
                container,
                EventType::Warning,
                "FailedPreStopHook",
                "PreStopHook failed",
            );
        }
        left = grace.saturating_sub(began.elapsed()).max(GRACE_AFTER_HOOK.min(grace));
    }
    agent.runtime.stop_container(&instance.id, left).await?;
    let status = agent.runtime.container_status(&instance.id).await?;
    Ok(with_last_words(&agent, Instance::from_cri(&instance.sandbox_id, &status)))
}

/// Removes containers that nothing asks for any more, with their logs.
pub(crate) async fn remove_containers(agent: Arc<Agent>, pod: Arc<Pod>, ids: Vec<String>) {
    for id in ids {
        let status = agent.runtime.container_status(&id).await.ok();
        if let Err(error) = agent.runtime.remove_container(&id).await {
            tracing::warn!(component = "kubelet", %error, %id, "old container not removed");
            continue;
        }
        let Some(status) = status else { continue };
        let name = status.labels.get(labels::CONTAINER_NAME).cloned().unwrap_or_default();
        unlink_log(&agent, &pod, &name, &id);
        let _ = agent.host.remove_file(status.log_path.as_ref());
    }
}

fn unlink_log(agent: &Agent, pod: &Pod, name: &str, id: &str) {
    let link = log_link(&pod.metadata.name, &pod.metadata.namespace, name, id);
    // What is left is found again by the next start's cleaning.
    let _ = agent.host.remove_file(&agent.config.container_logs_dir.join(link));
}

/// Removes everything that the node still has of a pod that the API has forgotten.
pub(crate) async fn remove_pod(agent: Arc<Agent>, pod: Arc<Pod>, observed: Observed) -> Result<(), String> {
    let sandboxes = observed.sandbox.iter().map(|s| &s.id).chain(&observed.old_sandboxes);
    for id in sandboxes {
        let remove = async {
            agent.runtime.stop_sandbox(id).await?;
            agent.runtime.remove_sandbox(id).await
        };
        agent.turns.clear(remove).await.map_err(|e| e.to_string())?;
    }
    for (name, instances) in &observed.containers {
        for instance in instances.current.iter().chain(&instances.previous) {
            unlink_log(&agent, &pod, name, &instance.id);
        }
    }
    agent.host.remove_tree(&log_dir(&agent.settings.pod_logs_dir, &pod)).await.map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log() {
        let log = "2026-01-01T00:00:00Z stdout F one\n2026-01-01T00:00:01Z stderr F two words\nbroken\n";
        assert_eq!(end_of_log(log), "one\ntwo words\n");
        let long: String = (0..100).map(|i| format!("t stdout F {i}\n")).collect();
        assert_eq!(end_of_log(&long).lines().count(), 80);
        assert_eq!(end_of_log(&format!("t stdout F {}", "é".repeat(3000))).len(), 2048 - 1);
    }
}
