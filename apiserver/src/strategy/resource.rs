//! The group `resource.k8s.io`: devices that pods claim. What its kinds share is in [`claim`]; expressions are not
//! compiled here.

mod claim;
pub mod deviceclass;
pub mod resourceclaim;
pub mod resourceclaimtemplate;
pub mod resourceslice;
