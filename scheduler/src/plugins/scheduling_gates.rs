//! SchedulingGates: a pod with `spec.schedulingGates` is not tried until they are all gone.

use crate::framework::Plugin;
use crate::pod_info::PodInfo;

#[derive(Debug)]
pub struct SchedulingGates;

impl Plugin for SchedulingGates {
    fn name(&self) -> &'static str {
        "SchedulingGates"
    }

    fn pre_enqueue(&self, pod: &PodInfo) -> Result<(), String> {
        if pod.gates.is_empty() {
            return Ok(());
        }
        Err(format!("waiting for scheduling gates: [{}]", pod.gates.join(" ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pod;

    #[test]
    fn gates_hold_a_pod_back() {
        let check =
            |pod: crate::testing::PodBuilder| SchedulingGates.pre_enqueue(&PodInfo::new(&pod.build()));
        assert_eq!(check(pod("p")), Ok(()));
        let gated = check(pod("p").gate("example.com/a").gate("example.com/b"));
        assert_eq!(gated, Err("waiting for scheduling gates: [example.com/a example.com/b]".to_owned()));
    }
}
