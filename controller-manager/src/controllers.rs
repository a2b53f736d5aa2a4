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
        of("deployment-controller", "deployment-controller", crate::deployment::start),
        of("replicaset-controller", "replicaset-controller", crate::replicaset::start),
        of("replicationcontroller-controller", "replication-controller", crate::replicaset::start_replication),
    ]
}
