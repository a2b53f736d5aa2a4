//! What single kinds need beyond their tables: which fields a new or changed object loses or gains, and every problem it
//! may have. One file per kind; [`all`] names them. Mirrors upstream's strategies and validation packages; what is the
//! same for all kinds is in `registry::prepare`, and admission is not here.

use std::sync::Arc;

use crate::seams::Strategy;

pub(crate) mod check;
pub(crate) mod conditions;
pub(crate) mod counts;
pub(crate) mod diff;
pub(crate) mod gated;
pub(crate) mod internal_form;
#[cfg(test)]
mod rule_tests;
pub(crate) mod rules;
#[cfg(test)]
pub(crate) mod testing;

pub mod admissionregistration;
pub mod apiextensions;
pub mod apiregistration;
pub mod apps;
pub mod autoscaling;
pub mod batch;
pub mod certificates;
pub mod coordination;
pub mod core;
pub mod discovery;
pub mod flowcontrol;
pub mod networking;
pub mod node;
pub mod policy;
pub mod rbac;
pub mod resource;
pub mod scheduling;
pub mod storage;
mod workload;

/// The strategies of all kinds that have one.
pub fn all() -> Vec<Arc<dyn Strategy>> {
    vec![
        Arc::new(admissionregistration::validatingadmissionpolicy::ValidatingAdmissionPolicy),
        Arc::new(admissionregistration::validatingadmissionpolicybinding::ValidatingAdmissionPolicyBinding),
        Arc::new(admissionregistration::webhookconfiguration::WebhookConfiguration::MUTATING),
        Arc::new(admissionregistration::webhookconfiguration::WebhookConfiguration::VALIDATING),
        Arc::new(apiextensions::customresourcedefinition::CustomResourceDefinition),
        Arc::new(apiregistration::apiservice::ApiService),
        Arc::new(apps::controllerrevision::ControllerRevision),
        Arc::new(apps::daemonset::DaemonSet),
        Arc::new(apps::deployment::Deployment),
        Arc::new(apps::replicaset::ReplicaSet),
        Arc::new(apps::statefulset::StatefulSet),
        Arc::new(autoscaling::horizontalpodautoscaler::HorizontalPodAutoscaler),
        Arc::new(batch::cronjob::CronJob),
        Arc::new(batch::job::Job),
        Arc::new(certificates::certificatesigningrequest::CertificateSigningRequest),
        Arc::new(coordination::lease::Lease),
        Arc::new(core::configmap::ConfigMap),
        Arc::new(core::endpoints::Endpoints),
        Arc::new(core::event::Event::CORE),
        Arc::new(core::event::Event::EVENTS),
        Arc::new(core::limitrange::LimitRange),
        Arc::new(core::namespace::Namespace),
        Arc::new(core::node::Node),
        Arc::new(core::persistentvolume::PersistentVolume),
        Arc::new(core::persistentvolumeclaim::PersistentVolumeClaim),
        Arc::new(core::pod::Pod),
        Arc::new(core::podtemplate::PodTemplate),
        Arc::new(core::replicationcontroller::ReplicationController),
        Arc::new(core::resourcequota::ResourceQuota),
        Arc::new(core::secret::Secret),
        Arc::new(core::service::Service),
        Arc::new(core::serviceaccount::ServiceAccount),
        Arc::new(discovery::endpointslice::EndpointSlice),
        Arc::new(flowcontrol::flowschema::FlowSchema),
        Arc::new(flowcontrol::prioritylevelconfiguration::PriorityLevelConfiguration),
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
        Arc::new(resource::deviceclass::DeviceClass),
        Arc::new(resource::resourceclaim::ResourceClaim),
        Arc::new(resource::resourceclaimtemplate::ResourceClaimTemplate),
        Arc::new(resource::resourceslice::ResourceSlice),
        Arc::new(scheduling::priorityclass::PriorityClass),
        Arc::new(storage::csidriver::CsiDriver),
        Arc::new(storage::csinode::CsiNode),
        Arc::new(storage::csistoragecapacity::CsiStorageCapacity),
        Arc::new(storage::storageclass::StorageClass),
        Arc::new(storage::volumeattachment::VolumeAttachment),
        Arc::new(storage::volumeattributesclass::VolumeAttributesClass),
    ]
}
