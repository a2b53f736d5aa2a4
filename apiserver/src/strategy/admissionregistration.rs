//! The group `admissionregistration.k8s.io`: webhooks of both kinds.

pub mod validatingadmissionpolicy;
pub mod validatingadmissionpolicybinding;
pub mod webhookconfiguration;
