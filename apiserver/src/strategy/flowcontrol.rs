//! The group `flowcontrol.apiserver.k8s.io`.

pub mod flowschema;
pub mod prioritylevelconfiguration;
