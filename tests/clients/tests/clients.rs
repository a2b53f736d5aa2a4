//! Other people's clients, as they come from their registries, with a real cluster.

#![allow(
    clippy::disallowed_methods,
    reason = "tests run programs and wait for what is outside of this process"
)]

mod clients {
    mod helm;
    mod kubectl_apply;
    mod kubectl_asks;
    mod kubectl_creates;
    mod kubectl_nodes;
    mod kubectl_streams;
    mod kubectl_workloads;
    mod libraries;
    mod rust;
}
