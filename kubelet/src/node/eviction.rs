//! Pressure on the node's memory, disk and process numbers, and the pods that have to go because of it.
//!
//! Looked at with every heartbeat, hard thresholds only. A condition stays for the configured time after its cause has
//! gone. Memory pressure ends the pod that exceeds its request most, lower priorities first; on a full disk images are
//! collected first, by the images' own task.

use jiff::Timestamp;

use super::conditions::Short;
use super::resources::threshold;
use crate::agent::Agent;
use crate::api::Pod;
use crate::backoff::after;
use crate::pod::resources::pod_request_milli;

/// When each pressure was last seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pressure {
    memory: Option<Timestamp>,
    disk: Option<Timestamp>,
    processes: Option<Timestamp>,
}

impl Pressure {
    pub(crate) fn short(&self) -> Short {
        Short {
            memory: self.memory.is_some(),
            disk: self.disk.is_some(),
            processes: self.processes.is_some(),
        }
    }
}

/// One look, and what follows from it.
pub(super) async fn look(agent: &Agent) {
    let hard = agent.config.kubelet.eviction_hard();
    let nanos = |amount: u64| i128::from(amount) * 1_000_000_000;
    let below = |signal: &str, available: u64, all: u64| {
        hard.get(signal).is_some_and(|t| nanos(available) < threshold(t, nanos(all)))
    };
    let Ok(usage) = agent.host.usage() else { return };
    let memory = below("memory.available", usage.memory_available, agent.facts.memory_bytes);
    let node_fs = agent.host.space(&agent.config.root_dir).unwrap_or_default();
    let disk = node_fs.bytes > 0
        && (below("nodefs.available", node_fs.bytes_free, node_fs.bytes)
            || (node_fs.inodes > 0 && below("nodefs.inodesFree", node_fs.inodes_free, node_fs.inodes)));
    let free = usage.processes_max.saturating_sub(usage.processes);
    let processes = below("pid.available", free, usage.processes_max);
    let now = agent.now();
    {
        let hold = agent.config.kubelet.eviction_pressure_transition_period;
        let mut pressure = agent.pressure.lock();
        let note = |slot: &mut Option<Timestamp>, is: bool| match slot {
            _ if is => *slot = Some(now),
            Some(seen) if after(*seen, hold) <= now => *slot = None,
            _ => {}
        };
        note(&mut pressure.memory, memory);
        note(&mut pressure.disk, disk);
        note(&mut pressure.processes, processes);
    }
    if memory {
        let limit = hard.get("memory.available").cloned().unwrap_or_default();
        evict_one(agent, &limit, usage.memory_available).await;
    }
}

/// A pod and what decides whether it goes before others.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    uid: String,
    priority: i32,
    request: i64,
    used: i64,
}

/// In the order of going: over its request before others, low priority first, the most over first.
fn rank(mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    candidates.sort_by_key(|c| {
        (c.used <= c.request, c.priority, std::cmp::Reverse(c.used - c.request), c.uid.clone())
    });
    candidates
}

/// Pods of at least this priority are never evicted by their node, as those that the node itself wants.
const CRITICAL: i32 = 2_000_000_000;

async fn evict_one(agent: &Agent, limit: &str, available: u64) {
    let stats = agent.runtime.container_stats().await.unwrap_or_default();
    let used = |pod: &Pod| -> i64 {
        let own = |s: &&cri::v1::ContainerStats| {
            let labels = s.attributes.as_ref().map(|a| &a.labels);
            labels.and_then(|l| l.get(crate::pod::observed::labels::POD_UID)) == Some(&pod.metadata.uid)
        };
        let bytes = stats.iter().filter(own).filter_map(|s| s.memory.as_ref()?.working_set_bytes.as_ref());
        i64::try_from(bytes.map(|b| b.value).sum::<u64>()).unwrap_or(i64::MAX)
    };
    let views = agent.pods.views();
    let active = views.iter().filter(|v| !v.status.is_terminal() && !v.pod.metadata.deleting());
    let candidates = active
        .filter(|v| v.pod.spec.priority.unwrap_or(0) < CRITICAL && !crate::static_pods::is_static(&v.pod))
        .map(|v| Candidate {
            uid: v.pod.metadata.uid.clone(),
            priority: v.pod.spec.priority.unwrap_or(0),
            request: pod_request_milli(&v.pod.spec, "memory") / 1000,
            used: used(&v.pod),
        })
        .collect();
    if let Some(inbox) = rank(candidates).first().and_then(|c| agent.pods.get(&c.uid)) {
        let message = format!(
            "The node was low on resource: memory. Threshold quantity: {limit}, available: {}Ki. ",
            available / 1024
        );
        inbox.evict("Evicted", &message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greediest_of_the_least_important_goes_first() {
        let of = |uid: &str, priority, request, used| Candidate { uid: uid.into(), priority, request, used };
        let ranked = rank(vec![
            of("modest", 0, 100, 50),
            of("vip", 10, 0, 900),
            of("some", 0, 10, 60),
            of("most", 0, 0, 80),
        ]);
        assert_eq!(
            ranked.iter().map(|c| c.uid.as_str()).collect::<Vec<_>>(),
            ["most", "some", "vip", "modest"]
        );
    }
}
