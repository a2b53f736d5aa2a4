//! How many pods to create, or which to delete, and the status: functions of owner, pods and time.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::PodRef;
use crate::objects::{Condition, Pod, ReplicaSetStatus};

/// Pods created or deleted in one sync at most.
pub(crate) const BURST_MAX: usize = 500;

const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

#[derive(Clone, Debug)]
pub(crate) enum Delta {
    None,
    Create(usize),
    Delete(Vec<PodRef>),
}

/// `active` are the owner's own pods, `related` those of all owners under the same one (its rollout siblings).
pub(crate) fn plan(replicas: i32, active: &[PodRef], related: &[PodRef], now: Timestamp) -> Delta {
    let wanted = usize::try_from(replicas).unwrap_or(0);
    match active.len() {
        n if n < wanted => Delta::Create((wanted - n).min(BURST_MAX)),
        n if n > wanted => {
            let mut ranked = active.to_vec();
            sort_for_deletion(&mut ranked, related, now);
            ranked.truncate((n - wanted).min(BURST_MAX));
            Delta::Delete(ranked)
        }
        _ => Delta::None,
    }
}

/// Upstream's order: the pods whose loss costs least come first. Unassigned before assigned, pending before unknown
/// before running, unready before ready, low before high deletion cost, crowded nodes before others, ready for a
/// short before ready for a long time, many before few restarts, young before old.
pub(crate) fn sort_for_deletion(pods: &mut [PodRef], related: &[PodRef], now: Timestamp) {
    let mut on_node: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in related.iter().filter(|p| p.is_active()) {
        *on_node.entry(&pod.spec.node_name).or_default() += 1;
    }
    pods.sort_by_cached_key(|pod| {
        let crowd = on_node.get(pod.spec.node_name.as_str()).copied().unwrap_or(0);
        (
            (!pod.spec.node_name.is_empty(), phase_rank(&pod.status.phase), pod.is_ready()),
            deletion_cost(pod),
            Reverse(crowd),
            ready_rank(pod, now),
            (Reverse(restarts(pod, false)), Reverse(restarts(pod, true))),
            age_rank(pod.metadata.creation_timestamp, now),
            pod.metadata.uid.clone(),
        )
    });
}

fn phase_rank(phase: &str) -> u8 {
    match phase {
        "Pending" => 0,
        "Running" => 2,
        _ => 1,
    }
}

fn deletion_cost(pod: &Pod) -> i32 {
    pod.metadata.annotations.get(DELETION_COST).and_then(|c| c.parse().ok()).unwrap_or(0)
}

/// Ages are compared by their order of magnitude, so that of similar ones a random (by uid) one goes.
fn age_rank(since: Option<Timestamp>, now: Timestamp) -> u32 {
    let Some(since) = since else { return 0 };
    let nanos = now.as_nanosecond().saturating_sub(since.as_nanosecond());
    u64::try_from(nanos).ok().and_then(u64::checked_ilog2).map_or(0, |log| log + 1)
}

fn ready_rank(pod: &Pod, now: Timestamp) -> u32 {
    if pod.is_ready() { age_rank(pod.ready_since(), now) } else { 0 }
}

/// The most restarts of a container of the pod, or of a sidecar.
fn restarts(pod: &Pod, sidecars: bool) -> i32 {
    if !sidecars {
        return pod.status.container_statuses.iter().map(|c| c.restart_count).max().unwrap_or(0);
    }
    let is_sidecar =
        |name: &str| pod.spec.init_containers.iter().any(|c| c.name == name && c.restart_policy == "Always");
    let statuses = pod.status.init_container_statuses.iter().filter(|c| is_sidecar(&c.name));
    statuses.map(|c| c.restart_count).max().unwrap_or(0)
}

/// What went wrong with the pods in this sync.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    /// FailedCreate or FailedDelete.
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// The status, and in how many seconds a pod becomes available by time alone.
pub(crate) fn status(
    old: &ReplicaSetStatus,
    generation: i64,
    min_ready_seconds: i32,
    template_labels: &BTreeMap<String, String>,
    pods: &[PodRef],
    failure: Option<&Failure>,
    now: Timestamp,
) -> (ReplicaSetStatus, Option<i64>) {
    let active: Vec<&PodRef> = pods.iter().filter(|p| p.is_active()).collect();
    let count = |test: &dyn Fn(&Pod) -> bool| {
        i32::try_from(active.iter().filter(|p| test(p)).count()).unwrap_or(i32::MAX)
    };
    let terminating = pods.iter().filter(|p| p.metadata.deleting() && !p.is_terminal()).count();
    let mut conditions = old.conditions.clone();
    let failed = Condition::find(&conditions, "ReplicaFailure").is_some();
    match failure {
        Some(failure) if !failed => conditions.push(Condition {
            kind: "ReplicaFailure".into(),
            status: "True".into(),
            last_transition_time: Timestamp::from_second(now.as_second()).ok(),
            reason: failure.reason.into(),
            message: failure.message.clone(),
            ..Condition::default()
        }),
        None if failed => conditions.retain(|c| c.kind != "ReplicaFailure"),
        _ => {}
    }
    let status = ReplicaSetStatus {
        replicas: count(&|_| true),
        fully_labeled_replicas: count(&|p| {
            template_labels.iter().all(|(k, v)| p.metadata.labels.get(k) == Some(v))
        }),
        ready_replicas: count(&Pod::is_ready),
        available_replicas: count(&|p| p.is_available(min_ready_seconds, now)),
        terminating_replicas: Some(i32::try_from(terminating).unwrap_or(i32::MAX)),
        observed_generation: generation,
        conditions,
    };
    let next = active
        .iter()
        .filter(|p| !p.is_available(min_ready_seconds, now))
        .filter_map(|p| p.ready_since())
        .map(|t| (t.as_second() + i64::from(min_ready_seconds) - now.as_second()).max(1))
        .min();
    (status, next)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
