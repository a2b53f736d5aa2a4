//! End to end: a real cluster, real containers, real kubectl.

#![allow(
    clippy::disallowed_methods,
    reason = "tests run programs and wait for what is outside of this process"
)]

mod e2e {
    mod access;
    mod bad_input;
    mod cleanup;
    mod crash;
    mod healing;
    mod kubectl;
    mod rollout;
}
