//! The list of all controllers.

use crate::context::Context;

/// A controller: upstream's name of it, the ServiceAccount that it acts as, and how it starts.
#[derive(Clone, Copy, Debug)]
pub struct Controller {
    /// As in `--controllers`.
    pub name: &'static str,
    /// In kube-system.
    pub service_account: &'static str,
    /// Adds handlers and starts workers; the informers start after all controllers have.
    pub start: fn(&Context),
}

/// All of them, in the order in which they start.
pub fn all() -> Vec<Controller> {
    let of = |name, service_account, start| Controller { name, service_account, start };
    vec![
        of("endpointslice-controller", "endpointslice-controller", crate::endpointslice::start),
        of("endpoints-controller", "endpoint-controller", crate::endpoints::start),
        of("namespace-controller", "namespace-controller", crate::namespace::start),
        of("serviceaccount-controller", "service-account-controller", crate::serviceaccount::start),
        of("root-ca-certificate-publisher-controller", "root-ca-cert-publisher", crate::root_ca::start),
        of("garbage-collector-controller", "generic-garbage-collector", crate::garbage::start),
        of("node-lifecycle-controller", "node-controller", crate::nodelifecycle::start),
        of("taint-eviction-controller", "node-controller", crate::taint_eviction::start),
        of("node-ipam-controller", "node-controller", crate::node_ipam::start),
        of(
            "persistentvolumeclaim-protection-controller",
            "pvc-protection-controller",
            crate::pvc_protection::start,
        ),
        of("persistentvolume-protection-controller", "pv-protection-controller", crate::pv_protection::start),
        of("pod-garbage-collector-controller", "pod-garbage-collector", crate::podgc::start),
        of("deployment-controller", "deployment-controller", crate::deployment::start),
        of("replicaset-controller", "replicaset-controller", crate::replicaset::start),
        of(
            "replicationcontroller-controller",
            "replication-controller",
            crate::replicaset::start_replication,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_upstreams_and_unique() {
        let mut names: Vec<&str> = all().iter().map(|c| c.name).collect();
        assert!(names.iter().all(|n| n.ends_with("-controller")), "{names:?}");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all().len());
    }
}
