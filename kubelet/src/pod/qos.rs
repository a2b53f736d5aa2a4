//! A pod's quality of service class, its control group's place and its OOM scores, by upstream's rules.

use crate::api::PodSpec;
use crate::api::pod::{Container, Resources};
use crate::quantity::Quantity;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QosClass {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl QosClass {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }
}

/// Pods of at least this priority are treated as system-critical.
const SYSTEM_CRITICAL_PRIORITY: i32 = 2_000_000_000;

/// The class: Guaranteed when every container has equal requests and limits for cpu and memory, BestEffort when none has
/// any, Burstable otherwise. Pod-level resources decide where they are given.
pub fn qos_class(spec: &PodSpec) -> QosClass {
    if !spec.resources.is_empty() {
        return class_of(std::iter::once(&spec.resources));
    }
    class_of(spec.containers.iter().chain(&spec.init_containers).map(|c| &c.resources))
}

fn class_of<'a>(all: impl Iterator<Item = &'a Resources>) -> QosClass {
    let mut any = false;
    let mut guaranteed = true;
    for resources in all {
        for name in ["cpu", "memory"] {
            let amount = |q: Option<&Quantity>| q.and_then(Quantity::nanos).filter(|n| *n > 0);
            let limit = amount(resources.limits.get(name));
            let request = amount(resources.requests.get(name));
            any |= limit.is_some() || request.is_some();
            // A limit without a request is its request, too.
            guaranteed &= limit.is_some() && request.is_none_or(|r| Some(r) == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => QosClass::BestEffort,
        (true, true) => QosClass::Guaranteed,
        (true, false) => QosClass::Burstable,
    }
}

/// The control group of a class, below `root`.
pub fn qos_cgroup(root: &str, class: QosClass) -> String {
    let root = root.trim_end_matches('/');
    match class {
        QosClass::Guaranteed => format!("{root}/kubepods"),
        QosClass::Burstable => format!("{root}/kubepods/burstable"),
        QosClass::BestEffort => format!("{root}/kubepods/besteffort"),
    }
}

/// The control group of a pod, below `root`.
pub fn pod_cgroup(root: &str, class: QosClass, uid: &str) -> String {
    format!("{}/pod{uid}", qos_cgroup(root, class))
}

/// The name that a runtime with systemd's driver takes: the slice of the same group.
pub fn pod_slice(root: &str, class: QosClass, uid: &str) -> String {
    let mut name = String::new();
    for part in root.split('/').filter(|p| !p.is_empty()) {
        name = if name.is_empty() {
            part.trim_end_matches(".slice").to_owned()
        } else {
            format!("{name}-{part}")
        };
    }
    let prefix = if name.is_empty() { String::new() } else { format!("{name}-") };
    let class = match class {
        QosClass::Guaranteed => "",
        QosClass::Burstable => "-burstable",
        QosClass::BestEffort => "-besteffort",
    };
    let uid = uid.replace('-', "_");
    let parent = format!("/{prefix}kubepods.slice");
    let class_slice =
        if class.is_empty() { String::new() } else { format!("/{prefix}kubepods{class}.slice") };
    format!("{parent}{class_slice}/{prefix}kubepods{class}-pod{uid}.slice")
}

/// How readily the kernel kills a container: the more of its request it may exceed, the sooner.
pub fn oom_score_adj(spec: &PodSpec, container: &Container, memory_capacity: u64) -> i64 {
    if spec.priority.is_some_and(|p| p >= SYSTEM_CRITICAL_PRIORITY) {
        return -997;
    }
    match qos_class(spec) {
        QosClass::Guaranteed => -997,
        QosClass::BestEffort => 1000,
        QosClass::Burstable => {
            let request = container.resources.requests.get("memory").map_or(0, Quantity::value);
            let capacity = i64::try_from(memory_capacity).unwrap_or(i64::MAX).max(1);
            let score =
                1000 - i64::try_from(i128::from(request) * 1000 / i128::from(capacity)).unwrap_or(1000);
            // Kept apart from the best-effort and the guaranteed ones on either side.
            score.clamp(3, 999)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: serde_json::Value) -> PodSpec {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn classes() {
        let full = serde_json::json!({"cpu": "1", "memory": "1Gi"});
        let of = |resources: serde_json::Value| {
            qos_class(&spec(serde_json::json!({"containers": [{"resources": resources}]})))
        };
        assert_eq!(of(serde_json::json!({})), QosClass::BestEffort);
        assert_eq!(of(serde_json::json!({"requests": {"cpu": "1m"}})), QosClass::Burstable);
        assert_eq!(of(serde_json::json!({"limits": full, "requests": full})), QosClass::Guaranteed);
        assert_eq!(of(serde_json::json!({"limits": full})), QosClass::Guaranteed);
        assert_eq!(of(serde_json::json!({"limits": {"cpu": "1"}})), QosClass::Burstable);
        let mixed = serde_json::json!({"containers": [{"resources": {"limits": full}}, {}]});
        assert_eq!(qos_class(&spec(mixed)), QosClass::Burstable);
    }

    #[test]
    fn groups() {
        assert_eq!(pod_cgroup("", QosClass::Burstable, "u-1"), "/kubepods/burstable/podu-1");
        assert_eq!(pod_cgroup("/n1/", QosClass::Guaranteed, "u"), "/n1/kubepods/podu");
        assert_eq!(
            pod_slice("", QosClass::BestEffort, "u-1"),
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podu_1.slice"
        );
    }

    #[test]
    fn scores() {
        let burstable =
            spec(serde_json::json!({"containers": [{"resources": {"requests": {"memory": "512Mi"}}}]}));
        assert_eq!(oom_score_adj(&burstable, &burstable.containers[0], 1 << 30), 500);
        let critical = spec(serde_json::json!({"priority": 2_000_001_000, "containers": [{}]}));
        assert_eq!(oom_score_adj(&critical, &critical.containers[0], 1), -997);
    }
}
