//! What must be true once nothing goes wrong any more.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::Cluster;
use crate::objects::Object;
use crate::user::{DEPLOYMENT, Wanted};

/// Whether everything is as the user asked; else the first thing that is not.
pub fn check(cluster: &Cluster, wanted: &Wanted) -> Result<(), String> {
    let deployments = cluster.monitor.deployments();
    let web = deployments.iter().find(|d| d.metadata.name == DEPLOYMENT).ok_or("no Deployment")?;
    check_deployment(web, wanted)?;
    let pods: Vec<Object> = cluster.monitor.pods();
    if i64::try_from(pods.len()).ok() != Some(wanted.replicas) {
        let names: Vec<&str> = pods.iter().map(|p| p.metadata.name.as_str()).collect();
        return Err(format!("{} pods: {names:?}", pods.len()));
    }
    let mut by_set: BTreeMap<&str, i64> = BTreeMap::new();
    let mut ips = BTreeSet::new();
    for pod in &pods {
        check_pod(pod, wanted)?;
        *by_set.entry(pod.owner_uid()).or_default() += 1;
        if !ips.insert((&pod.spec.node_name, &pod.status.pod_ip)) {
            return Err(format!("two pods have the address {}", pod.status.pod_ip));
        }
    }
    for set in cluster.monitor.sets() {
        let n_pods = by_set.get(set.metadata.uid.as_str()).copied().unwrap_or(0);
        let (spec, status) = (set.spec.replicas.unwrap_or(1), &set.status);
        let counts = [n_pods, status.replicas, status.ready_replicas, status.available_replicas];
        let observed = status.observed_generation == set.metadata.generation;
        if counts.iter().any(|n| *n != spec) || !observed {
            return Err(format!(
                "ReplicaSet {}: {spec} wanted, {counts:?}, observed: {observed}",
                set.metadata.name
            ));
        }
    }
    check_containers(cluster, &pods)
}

fn check_deployment(web: &Object, wanted: &Wanted) -> Result<(), String> {
    let status = &web.status;
    let now = (web.image(), web.spec.replicas.unwrap_or(1));
    if now != (wanted.image.as_str(), wanted.replicas) {
        return Err(format!("the Deployment is of {now:?}"));
    }
    let counts = [status.replicas, status.updated_replicas, status.ready_replicas, status.available_replicas];
    if counts.iter().any(|n| *n != wanted.replicas) || status.unavailable_replicas != 0 {
        return Err(format!(
            "the Deployment's counts are {counts:?}, {} unavailable",
            status.unavailable_replicas
        ));
    }
    if status.observed_generation != web.metadata.generation {
        return Err(format!("generation {} of {}", status.observed_generation, web.metadata.generation));
    }
    let complete =
        |c: &crate::objects::Condition| c.kind == "Progressing" && c.reason == "NewReplicaSetAvailable";
    if !status.conditions.iter().any(complete) || !web.has_condition("Available", "True") {
        return Err(format!("the Deployment's conditions are {:?}", status.conditions));
    }
    Ok(())
}

fn check_pod(pod: &Object, wanted: &Wanted) -> Result<(), String> {
    let name = &pod.metadata.name;
    if pod.metadata.deleting() {
        return Err(format!("{name} is being deleted"));
    }
    if pod.image() != wanted.image {
        return Err(format!("{name} has {}", pod.image()));
    }
    let ready = pod.has_condition("Ready", "True");
    if pod.spec.node_name.is_empty()
        || pod.status.phase != "Running"
        || !ready
        || pod.status.pod_ip.is_empty()
    {
        return Err(format!("{name} on {:?} is {}, ready: {ready}", pod.spec.node_name, pod.status.phase));
    }
    Ok(())
}

/// Each pod runs exactly one container, on its node, and nothing else runs.
fn check_containers(cluster: &Cluster, pods: &[Object]) -> Result<(), String> {
    let mut expected: Vec<(&str, &str)> =
        pods.iter().map(|p| (p.spec.node_name.as_str(), p.metadata.name.as_str())).collect();
    expected.sort_unstable();
    let mut running = Vec::new();
    for machine in cluster.machines() {
        for (pod, _, id) in machine.runtime.running() {
            running.push((machine.name().to_owned(), pod, id));
        }
    }
    running.sort_unstable();
    let found: Vec<(&str, &str)> =
        running.iter().map(|(node, pod, _)| (node.as_str(), pod.as_str())).collect();
    if found != expected {
        return Err(format!("containers run of {found:?}, and should of {expected:?}"));
    }
    for pod in pods {
        let shown =
            pod.status.container_statuses.first().map(|c| c.container_id.rsplit('/').next().unwrap_or(""));
        let real =
            running.iter().find(|(_, name, _)| *name == pod.metadata.name).map(|(_, _, id)| id.as_str());
        if shown != real {
            return Err(format!("{} shows container {shown:?}, and {real:?} runs", pod.metadata.name));
        }
    }
    Ok(())
}

/// No container was made more often than there was a reason: its first start, its ends, and crashes of its kubelet
/// (which may fall between making and starting it).
pub fn check_starts(cluster: &Cluster, exits: &BTreeMap<String, u32>, crashes: u32) -> Result<(), String> {
    for pod in cluster.monitor.pods() {
        let reasons = 1 + exits.get(&pod.metadata.name).copied().unwrap_or(0) + crashes;
        for machine in cluster.machines() {
            for (container, n) in machine.starts() {
                if container.starts_with(&pod.metadata.uid) && n > reasons {
                    return Err(format!("{} was started {n} times for {reasons} reasons", pod.metadata.name));
                }
            }
        }
    }
    Ok(())
}
