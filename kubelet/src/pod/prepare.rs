//! What a pod needs before its sandbox: directories, its control group, its volumes; and how its volumes are kept up to
//! date afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::EventType;
use futures::future::join_all;
use jiff::Timestamp;

use super::config::{MountedVolume, log_dir};
use super::qos::{QosClass, pod_cgroup, pod_slice, qos_class};
use super::resources::pod_limits;
use crate::agent::Agent;
use crate::api::{Pod, Volume};
use crate::volume;

/// A pod's volumes, mounted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prepared {
    pub(crate) volumes: BTreeMap<String, MountedVolume>,
    /// When some content has to be made anew.
    pub(crate) refresh_at: Option<Timestamp>,
}

/// The control group of a pod: its path in the file system and its name for the runtime.
pub(crate) fn cgroup(agent: &Agent, pod: &Pod) -> (String, String) {
    let kubelet = &agent.config.kubelet;
    let (class, uid) = (qos_class(&pod.spec), &pod.metadata.uid);
    if kubelet.cgroup_driver == "systemd" {
        let slice = pod_slice(&kubelet.cgroup_root, class, uid);
        let name = slice.rsplit('/').next().unwrap_or(&slice).to_owned();
        return (slice, name);
    }
    let path = pod_cgroup(&kubelet.cgroup_root, class, uid);
    (path.clone(), path)
}

/// Makes everything; the error is the text of the FailedMount or other event that has been told.
pub(crate) async fn prepare(agent: &Agent, pod: &Pod, pod_ips: &[String]) -> Result<Prepared, String> {
    let made = || -> std::io::Result<()> {
        agent.host.make_dir(&agent.pod_dir(&pod.metadata.uid), Some(0o750))?;
        agent.host.make_dir(&log_dir(&agent.settings.pod_logs_dir, pod), Some(0o755))
    };
    if let Err(e) = made() {
        let message = format!("error making pod data directories: {e}");
        agent.pod_event(pod, EventType::Warning, "FailedToMakePodDataDirectories", message.clone());
        return Err(message);
    }
    if agent.config.kubelet.cgroups_per_qos {
        let limits = pod_limits(&pod.spec, agent.settings.cpu, agent.config.kubelet.pod_pids_limit);
        if let Err(e) = agent.host.apply_cgroup(&cgroup(agent, pod).0, &limits) {
            let message = format!("unable to ensure pod container exists: {e}");
            agent.pod_event(pod, EventType::Warning, "FailedCreatePodContainer", message.clone());
            return Err(message);
        }
    }
    set_up_all(agent, pod, pod_ips, &pod.spec.volumes.iter().collect::<Vec<_>>(), true).await
}

/// Brings the volumes whose content follows something else up to date.
pub(crate) async fn refresh(
    agent: Arc<Agent>,
    pod: Arc<Pod>,
    pod_ips: Vec<String>,
) -> Result<Prepared, String> {
    let follows = |v: &&Volume| {
        v.config_map.is_some() || v.secret.is_some() || v.downward_api.is_some() || v.projected.is_some()
    };
    let volumes: Vec<&Volume> = pod.spec.volumes.iter().filter(follows).collect();
    set_up_all(&agent, &pod, &pod_ips, &volumes, false).await
}

async fn set_up_all(
    agent: &Agent,
    pod: &Pod,
    pod_ips: &[String],
    volumes: &[&Volume],
    tell: bool,
) -> Result<Prepared, String> {
    let around = agent.surroundings(pod, pod_ips);
    let context = volume::Context { agent, pod, around: &around, user: volume::common_user(pod) };
    let results = join_all(volumes.iter().map(|v| volume::set_up(&context, v))).await;
    let mut prepared = Prepared::default();
    let mut problem = None;
    for (volume, result) in volumes.iter().zip(results) {
        match result {
            Ok(made) => {
                prepared.volumes.insert(volume.name.clone(), made.mounted);
                prepared.refresh_at = [prepared.refresh_at, made.refresh_at].into_iter().flatten().min();
            }
            Err(message) => {
                // Each volume tells its own trouble; the pod waits for all.
                if tell {
                    agent.pod_event(pod, EventType::Warning, "FailedMount", message.clone());
                }
                problem = Some(message);
            }
        }
    }
    problem.map_or(Ok(prepared), Err)
}

/// Removes what [`prepare`] made, except for logs.
pub(crate) async fn clean_up(agent: Arc<Agent>, pod: Arc<Pod>) -> Result<(), String> {
    let dir = agent.pod_dir(&pod.metadata.uid);
    volume::tear_down(agent.host.as_ref(), &dir).await.map_err(|e| format!("volumes not removed: {e}"))?;
    if agent.config.kubelet.cgroups_per_qos {
        let path = cgroup(&agent, &pod).0;
        agent.host.remove_cgroup(&path).map_err(|e| format!("control group not removed: {e}"))?;
    }
    agent.objects.release(&pod.metadata.uid);
    agent.tokens.release(&pod.metadata.uid);
    agent.images.release(&pod.metadata.uid);
    Ok(())
}

/// The groups above the pods', with a class' share of the CPU: as much as its pods ask for together.
pub(crate) fn apply_qos_groups(agent: &Agent) -> std::io::Result<()> {
    use crate::host::CgroupLimits;
    use crate::host::cgroup::{SHARES_MIN, shares};
    let kubelet = &agent.config.kubelet;
    if !kubelet.cgroups_per_qos {
        return Ok(());
    }
    let root = &kubelet.cgroup_root;
    let burstable: i64 = agent
        .pods
        .views()
        .iter()
        .filter(|v| !v.status.is_terminal() && qos_class(&v.pod.spec) == QosClass::Burstable)
        .map(|v| super::resources::pod_request_milli(&v.pod.spec, "cpu"))
        .sum();
    let of_cpu = |cpu_shares| CgroupLimits { cpu_shares: Some(cpu_shares), ..CgroupLimits::default() };
    let node = agent.allocatable.get("cpu").map_or(0, crate::quantity::Quantity::milli);
    if kubelet.cgroup_driver == "systemd" {
        return Ok(());
    }
    agent.host.apply_cgroup(&super::qos::qos_cgroup(root, QosClass::Guaranteed), &of_cpu(shares(node)))?;
    agent
        .host
        .apply_cgroup(&super::qos::qos_cgroup(root, QosClass::Burstable), &of_cpu(shares(burstable)))?;
    agent.host.apply_cgroup(&super::qos::qos_cgroup(root, QosClass::BestEffort), &of_cpu(SHARES_MIN))
}
