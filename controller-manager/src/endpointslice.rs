//! The endpointslice controller: which pods stand behind a Service, in slices of at most 100 endpoints.
//!
//! Upstream's rules: one set of slices per address family and set of (resolved) ports; `ready`, `serving` and
//! `terminating` conditions; a placeholder slice when there is nothing. A pod that stops being ready is told at once:
//! there is no batching. Hints are made for `trafficDistribution` by zone and node, not for topology mode Auto.

mod plan;
mod sync;

pub(crate) use plan::{belongs, family_addresses, find_port};
pub(crate) use sync::{select_services, start};
