//! What single kinds need beyond their tables: which fields a new or changed object loses or gains, and every problem it
//! may have. One file per kind; [`all`] names them. Mirrors upstream's strategies and validation packages; what is the
//! same for all kinds is in `registry::prepare`, and admission is not here.

use std::sync::Arc;

use crate::seams::Strategy;

pub(crate) mod check;
pub(crate) mod diff;
pub(crate) mod internal_form;
pub(crate) mod rules;
#[cfg(test)]
pub(crate) mod testing;

pub mod autoscaling;
pub mod certificates;
pub mod coordination;
pub mod discovery;
pub mod networking;
pub mod node;
pub mod policy;
pub mod rbac;
pub mod scheduling;

/// The strategies of all kinds that have one.
pub fn all() -> Vec<Arc<dyn Strategy>> {
    vec![
        Arc::new(autoscaling::horizontalpodautoscaler::HorizontalPodAutoscaler),
        Arc::new(certificates::certificatesigningrequest::CertificateSigningRequest),
        Arc::new(coordination::lease::Lease),
        Arc::new(discovery::endpointslice::EndpointSlice),
        Arc::new(networking::ingress::Ingress),
        Arc::new(networking::ingressclass::IngressClass),
        Arc::new(networking::ipaddress::IpAddress),
        Arc::new(networking::networkpolicy::NetworkPolicy),
        Arc::new(networking::servicecidr::ServiceCidr),
        Arc::new(node::runtimeclass::RuntimeClass),
        Arc::new(policy::poddisruptionbudget::PodDisruptionBudget),
        Arc::new(rbac::clusterrole::ClusterRole),
        Arc::new(rbac::clusterrolebinding::ClusterRoleBinding),
        Arc::new(rbac::role::Role),
        Arc::new(rbac::rolebinding::RoleBinding),
        Arc::new(scheduling::priorityclass::PriorityClass),
    ]
}
