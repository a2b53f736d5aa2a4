//! What a pod takes on a node, as upstream's `resourcehelper.PodRequests` computes it.
//!
//! Containers and sidecars add up; ordinary init containers run one at a time before the containers, so the largest of
//! them counts when it is larger; the pod's own `resources` replace the sums; overhead comes on top. While a pod is being
//! resized in place, the larger of what it asks for and what it has counts.

use std::collections::BTreeMap;

use crate::objects::{Container, ContainerStatus, Pod, ResourceList};

/// What a container that asks for nothing counts for in scores (not in filters): a tenth of a core, 200 MiB.
const DEFAULT_MILLI_CPU: i64 = 100;
const DEFAULT_MEMORY: i64 = 200 << 20;

/// A pod's share of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    pub milli_cpu: i64,
    pub memory: i64,
    pub ephemeral_storage: i64,
    /// Extended resources, huge pages and attachable volumes, by name.
    pub scalars: Vec<(Box<str>, i64)>,
    /// CPU and memory with the defaults for containers that ask for nothing: what scores count.
    pub scored_milli_cpu: i64,
    pub scored_memory: i64,
}

impl Requests {
    pub fn of(pod: &Pod) -> Self {
        let asked = total(pod, false);
        let scored = total(pod, true);
        let scalars = asked
            .iter()
            .filter(|(name, amount)| *amount != 0 && !matches!(*name, "cpu" | "memory" | "ephemeral-storage"))
            .map(|(name, amount)| (name.into(), amount))
            .collect();
        Self {
            milli_cpu: asked.get("cpu"),
            memory: asked.get("memory"),
            ephemeral_storage: asked.get("ephemeral-storage"),
            scalars,
            scored_milli_cpu: scored.get("cpu"),
            scored_memory: scored.get("memory"),
        }
    }

    /// It asks for nothing but a place.
    pub fn is_nothing(&self) -> bool {
        self.milli_cpu == 0 && self.memory == 0 && self.ephemeral_storage == 0 && self.scalars.is_empty()
    }
}

fn add(to: &mut ResourceList, more: &ResourceList) {
    for (name, amount) in &more.0 {
        *to.0.entry(name.clone()).or_default() += amount;
    }
}

fn max(to: &mut ResourceList, other: &ResourceList) {
    for (name, amount) in &other.0 {
        let entry = to.0.entry(name.clone()).or_default();
        *entry = (*entry).max(*amount);
    }
}

fn total(pod: &Pod, with_defaults: bool) -> ResourceList {
    let statuses: BTreeMap<&str, &ContainerStatus> = pod
        .status
        .container_statuses
        .iter()
        .chain(&pod.status.init_container_statuses)
        .map(|s| (s.name.as_str(), s))
        .collect();
    let own = |container: &Container| {
        container_requests(container, statuses.get(container.name.as_str()), with_defaults)
    };

    let mut sum = ResourceList::default();
    for container in &pod.spec.containers {
        add(&mut sum, &own(container));
    }
    let mut sidecars = ResourceList::default();
    let mut init = ResourceList::default();
    for container in &pod.spec.init_containers {
        let mut needs = own(container);
        if container.restart_policy == "Always" {
            add(&mut sum, &needs);
            add(&mut sidecars, &needs);
            needs = sidecars.clone();
        } else {
            // The sidecars that come before it run beside it.
            add(&mut needs, &sidecars);
        }
        max(&mut init, &needs);
    }
    max(&mut sum, &init);
    if let Some(resources) = &pod.spec.resources {
        for (name, amount) in &resources.requests.0 {
            if matches!(&**name, "cpu" | "memory") || name.starts_with("hugepages-") {
                sum.0.insert(name.clone(), *amount);
            }
        }
    }
    add(&mut sum, &pod.spec.overhead);
    sum
}

fn container_requests(
    container: &Container,
    status: Option<&&ContainerStatus>,
    with_defaults: bool,
) -> ResourceList {
    let mut requests = container.resources.requests.clone();
    if let Some(status) = status
        && let Some(actual) = &status.resources
    {
        max(&mut requests, &actual.requests);
        max(&mut requests, &status.allocated_resources);
    }
    if with_defaults {
        requests.0.entry("cpu".into()).or_insert(DEFAULT_MILLI_CPU);
        requests.0.entry("memory".into()).or_insert(DEFAULT_MEMORY);
    }
    requests
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::from_json;

    #[track_caller]
    fn check(spec: &str, milli_cpu: i64, memory: i64) {
        let pod: Pod = from_json(&format!(r#"{{"spec":{spec}}}"#));
        let requests = Requests::of(&pod);
        assert_eq!((requests.milli_cpu, requests.memory), (milli_cpu, memory), "{spec}");
    }

    #[test]
    fn totals() {
        check(r#"{"containers":[{"resources":{}}]}"#, 0, 0);
        let c = |cpu: &str, memory: &str| {
            format!(r#"{{"name":"c","resources":{{"requests":{{"cpu":"{cpu}","memory":"{memory}"}}}}}}"#)
        };
        let sidecar = |cpu: &str| c(cpu, "0").replace(r#""name""#, r#""restartPolicy":"Always","name""#);
        let two = format!("{},{}", c("250m", "1Ki"), c("1", "1"));
        check(&format!(r#"{{"containers":[{two}]}}"#), 1250, 1025);
        // The larger of the largest init container and the sum.
        check(&format!(r#"{{"containers":[{two}],"initContainers":[{}]}}"#, c("2", "1")), 2000, 1025);
        // Sidecars add to the containers, and to the init containers after them.
        let init = format!("{},{},{}", c("1", "0"), sidecar("500m"), c("1", "0"));
        check(&format!(r#"{{"containers":[{}],"initContainers":[{init}]}}"#, c("100m", "0")), 1500, 0);
        let init = format!("{},{}", c("1", "0"), sidecar("500m"));
        check(&format!(r#"{{"containers":[{}],"initContainers":[{init}]}}"#, c("100m", "0")), 1000, 0);
        check(&format!(r#"{{"containers":[{two}],"overhead":{{"cpu":"10m"}}}}"#), 1260, 1025);
        check(&format!(r#"{{"containers":[{two}],"resources":{{"requests":{{"cpu":"3"}}}}}}"#), 3000, 1025);
    }

    #[test]
    fn a_resize_in_place_counts_the_larger() {
        let pod: Pod = from_json(
            r#"{"spec":{"containers":[{"name":"a","resources":{"requests":{"cpu":"1"}}}]},
                "status":{"containerStatuses":[{"name":"a","allocatedResources":{"cpu":"2"},"resources":{"requests":{"cpu":"1500m"}}}]}}"#,
        );
        assert_eq!(Requests::of(&pod).milli_cpu, 2000);
    }

    #[test]
    fn scores_count_something_for_nothing() {
        let pod: Pod = from_json(
            r#"{"spec":{"containers":[{"resources":{"requests":{"cpu":"1","example.com/x":"2"}}},{"resources":{}}]}}"#,
        );
        let requests = Requests::of(&pod);
        assert_eq!((requests.scored_milli_cpu, requests.scored_memory), (1100, 400 << 20));
        assert_eq!(requests.scalars, [("example.com/x".into(), 2)]);
        assert!(!requests.is_nothing());
    }
}
