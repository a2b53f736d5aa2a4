//! The group `policy`.

pub mod poddisruptionbudget;
