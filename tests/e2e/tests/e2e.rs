//! End to end: a real cluster, real containers, real kubectl.

mod e2e {
    mod access;
    mod bad_input;
    mod cleanup;
    mod crash;
    mod healing;
    mod kubectl;
    mod rollout;
}
