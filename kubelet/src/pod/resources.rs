//! What a pod and its containers may use, as the runtime and control groups take it. Pure.

use cri::v1;

use super::qos::{QosClass, oom_score_adj, qos_class};
use crate::api::PodSpec;
use crate::api::pod::{Container, Resources};
use crate::host::CgroupLimits;
use crate::host::cgroup::{SHARES_MIN, quota, shares};
use crate::quantity::Quantity;

/// How CPU limits are enforced on this node.
#[derive(Clone, Copy, Debug)]
pub struct CpuPolicy {
    pub quota: bool,
    pub period_micros: i64,
}

fn milli(resources: &Resources, name: &str) -> Option<i64> {
    let request = resources.requests.get(name).map(Quantity::milli);
    request.or_else(|| resources.limits.get(name).map(Quantity::milli))
}

/// A container's resources for the runtime.
pub fn container_resources(
    spec: &PodSpec,
    container: &Container,
    memory_capacity: u64,
    cpu: CpuPolicy,
) -> v1::LinuxContainerResources {
    let limit = |name: &str| container.resources.limits.get(name);
    let mut made = v1::LinuxContainerResources {
        cpu_shares: i64::try_from(shares(milli(&container.resources, "cpu").unwrap_or(0))).unwrap_or(2),
        memory_limit_in_bytes: limit("memory").map_or(0, Quantity::value),
        oom_score_adj: oom_score_adj(spec, container, memory_capacity),
        ..Default::default()
    };
    if cpu.quota {
        made.cpu_period = cpu.period_micros;
        made.cpu_quota = limit("cpu").map_or(0, |q| quota(q.milli(), cpu.period_micros));
        if made.cpu_quota == 0 {
            made.cpu_period = 0;
        }
    }
    for (name, amount) in &container.resources.limits {
        if let Some(size) = name.strip_prefix("hugepages-") {
            let limit = u64::try_from(amount.value()).unwrap_or(0);
            made.hugepage_limits.push(v1::HugepageLimit { page_size: page_size(size), limit });
        }
    }
    made
}

/// `2Mi` as the kernel's files spell it: `2MB`.
fn page_size(size: &str) -> String {
    match size.strip_suffix('i') {
        Some(unit) => format!("{unit}B"),
        None => size.to_owned(),
    }
}

/// The pod's sum of one resource: the larger of its running containers together (with the sidecars) and of each init
/// container on top of the sidecars that start before it, plus the pod's overhead. Pod-level resources go before all
/// that. `None` when some container has no `amount` (for limits: unlimited).
fn pod_sum(spec: &PodSpec, overhead: i64, amount: impl Fn(&Resources) -> Option<i64>) -> Option<i64> {
    let mut sidecars = 0;
    let mut init_peak = 0;
    for container in &spec.init_containers {
        let own = amount(&container.resources)?;
        if container.is_sidecar() {
            sidecars += own;
            init_peak = init_peak.max(sidecars);
        } else {
            init_peak = init_peak.max(sidecars + own);
        }
    }
    let mut running = sidecars;
    for container in &spec.containers {
        running += amount(&container.resources)?;
    }
    Some(running.max(init_peak) + overhead)
}

/// What a pod asks for of one resource, in thousandths.
pub fn pod_request_milli(spec: &PodSpec, name: &str) -> i64 {
    let overhead = spec.overhead.get(name).map_or(0, Quantity::milli);
    if let Some(own) = milli(&spec.resources, name) {
        return own + overhead;
    }
    pod_sum(spec, overhead, |r| Some(milli(r, name).unwrap_or(0))).unwrap_or(overhead)
}

/// The limits of a pod's own control group, by its class.
pub fn pod_limits(spec: &PodSpec, cpu: CpuPolicy, pids: i64) -> CgroupLimits {
    let class = qos_class(spec);
    let mut limits = CgroupLimits {
        cpu_shares: Some(match class {
            QosClass::BestEffort => SHARES_MIN,
            _ => shares(pod_request_milli(spec, "cpu")),
        }),
        pids: (pids > 0).then_some(pids),
        ..CgroupLimits::default()
    };
    if class == QosClass::BestEffort {
        return limits;
    }
    let limit = |name: &'static str, unit: fn(&Quantity) -> i64| {
        let overhead = spec.overhead.get(name).map_or(0, unit);
        let amount = |r: &Resources| r.limits.get(name).map(unit).filter(|n| *n > 0);
        amount(&spec.resources).map(|own| own + overhead).or_else(|| pod_sum(spec, overhead, amount))
    };
    if cpu.quota
        && let Some(milli) = limit("cpu", Quantity::milli)
    {
        limits.cpu_quota = Some(quota(milli, cpu.period_micros));
        limits.cpu_period = u64::try_from(cpu.period_micros).ok();
    }
    limits.memory_bytes = limit("memory", Quantity::value);
    limits
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const CPU: CpuPolicy = CpuPolicy { quota: true, period_micros: 100_000 };

    fn spec(json: serde_json::Value) -> PodSpec {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_containers_limits() {
        let spec = spec(json!({"containers": [{"resources": {
            "requests": {"cpu": "250m", "memory": "64Mi"},
            "limits": {"cpu": "500m", "memory": "128Mi", "hugepages-2Mi": "4Mi"}}}]}));
        let made = container_resources(&spec, &spec.containers[0], 1 << 30, CPU);
        assert_eq!((made.cpu_shares, made.cpu_quota, made.cpu_period), (256, 50_000, 100_000));
        assert_eq!((made.memory_limit_in_bytes, made.oom_score_adj), (128 << 20, 938));
        assert_eq!(made.hugepage_limits, [v1::HugepageLimit { page_size: "2MB".into(), limit: 4 << 20 }]);
    }

    #[test]
    fn a_pods_limits() {
        let two = spec(json!({
            "initContainers": [{"resources": {"limits": {"cpu": "2", "memory": "10Mi"}}}],
            "containers": [{"resources": {"limits": {"cpu": "500m", "memory": "64Mi"}}},
                           {"resources": {"limits": {"cpu": "500m", "memory": "64Mi"}}}]}));
        let limits = pod_limits(&two, CPU, -1);
        assert_eq!(limits.cpu_quota, Some(200_000));
        assert_eq!(limits.memory_bytes, Some(128 << 20));
        assert_eq!(limits.cpu_shares, Some(2048));
        assert_eq!(limits.pids, None);
        let open = spec(json!({"containers": [{"resources": {"limits": {"memory": "64Mi"}}}, {}]}));
        assert_eq!(pod_limits(&open, CPU, 100).memory_bytes, None);
        let best = pod_limits(&spec(json!({"containers": [{}]})), CPU, 100);
        assert_eq!(best, CgroupLimits { cpu_shares: Some(2), pids: Some(100), ..CgroupLimits::default() });
    }

    #[test]
    fn sums_of_requests() {
        let pod = spec(json!({"overhead": {"cpu": "10m"}, "initContainers": [
            {"restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}},
            {"resources": {"requests": {"cpu": "500m"}}}],
            "containers": [{"resources": {"requests": {"cpu": "300m"}}}, {}]}));
        assert_eq!(pod_request_milli(&pod, "cpu"), 610);
        assert_eq!(pod_request_milli(&spec(json!({"containers": [{}]})), "cpu"), 0);
    }
}
