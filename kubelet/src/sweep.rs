//! What an earlier kubelet left of pods that the API no longer knows: sandboxes, volumes, control groups, logs. Swept once
//! at the start, when the pods of this node are known, and before any of them is touched.

use std::collections::BTreeSet;

use crate::agent::Agent;
use crate::pod::observed::labels;
use crate::pod::qos::{QosClass, qos_cgroup};
use crate::volume;

/// Removes the remains of every pod whose uid is not in `known`.
pub(crate) async fn sweep(agent: &Agent, known: &BTreeSet<String>) {
    let unknown = |uid: &str| !uid.is_empty() && !known.contains(uid);
    for sandbox in agent.runtime.list_sandboxes(&[]).await.unwrap_or_default() {
        if sandbox.labels.get(labels::POD_UID).is_some_and(|uid| unknown(uid)) {
            let stopped = agent.runtime.stop_sandbox(&sandbox.id).await;
            let removed = match stopped {
                Ok(()) => agent.runtime.remove_sandbox(&sandbox.id).await,
                failed => failed,
            };
            if let Err(error) = removed {
                tracing::warn!(component = "kubelet", %error, id = %sandbox.id, "orphaned sandbox not removed");
            }
        }
    }
    let pods_dir = agent.config.pods_dir();
    for uid in agent.host.list_dir(&pods_dir).unwrap_or_default().iter().filter(|u| unknown(u)) {
        if let Err(error) = volume::tear_down(agent.host.as_ref(), &pods_dir.join(uid)).await {
            tracing::warn!(component = "kubelet", %error, %uid, "orphaned volumes not removed");
        }
    }
    if agent.config.kubelet.cgroups_per_qos && agent.config.kubelet.cgroup_driver != "systemd" {
        for class in [QosClass::Guaranteed, QosClass::Burstable, QosClass::BestEffort] {
            let parent = qos_cgroup(&agent.config.kubelet.cgroup_root, class);
            for group in agent.host.list_cgroups(&parent) {
                if group.strip_prefix("pod").is_some_and(unknown)
                    && let Err(error) = agent.host.remove_cgroup(&format!("{parent}/{group}"))
                {
                    tracing::warn!(component = "kubelet", %error, %group, "orphaned control group not removed");
                }
            }
        }
    }
    sweep_logs(agent, known).await;
}

async fn sweep_logs(agent: &Agent, known: &BTreeSet<String>) {
    let logs = &agent.settings.pod_logs_dir;
    for dir in agent.host.list_dir(logs).unwrap_or_default() {
        let uid = dir.rsplit('_').next().unwrap_or_default();
        if dir.matches('_').count() == 2 && !known.contains(uid) {
            let removed = agent.host.remove_tree(&logs.join(&dir)).await;
            if let Err(error) = removed {
                tracing::warn!(component = "kubelet", %error, %dir, "orphaned logs not removed");
            }
        }
    }
    // Links of this node's logs that lead nowhere; the folder may be shared with another node's.
    let links = &agent.config.container_logs_dir;
    for name in agent.host.list_dir(links).unwrap_or_default() {
        let link = links.join(&name);
        let ours = agent.host.read_link(&link).is_ok_and(|target| target.starts_with(logs));
        if ours && agent.host.kind(&link).is_none() {
            let _ = agent.host.remove_file(&link);
        }
    }
}
