//! The group `batch`.

pub mod cronjob;
pub mod job;
mod policy;
#[cfg(test)]
mod rule_tests;
mod schedule;
