//! PrioritySort: pods of higher priority are tried first; among equals, those that came first.

use std::cmp::Ordering;

use crate::framework::Plugin;
use crate::pod_info::PodInfo;

#[derive(Debug)]
pub struct PrioritySort;

impl Plugin for PrioritySort {
    fn name(&self) -> &'static str {
        "PrioritySort"
    }

    fn queue_sort(&self) -> Option<fn(&PodInfo, &PodInfo) -> Ordering> {
        Some(|a, b| b.priority().cmp(&a.priority()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pod;

    #[test]
    fn higher_comes_first() {
        let sort = PrioritySort.queue_sort().unwrap();
        let info = |priority| PodInfo::new(&pod("p").priority(priority).build());
        assert_eq!(sort(&info(5), &info(1)), Ordering::Less);
        assert_eq!(sort(&info(-5), &info(1)), Ordering::Greater);
        assert_eq!(sort(&info(1), &info(1)), Ordering::Equal);
    }
}
