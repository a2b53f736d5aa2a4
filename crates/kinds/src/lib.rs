//! The tables of all built-in kinds and what reads them: the registry, field validation and normalisation, defaults,
//! protobuf, print columns and conversion between served versions. No I/O and no clock.
//!
//! What a *table* cannot say of a kind (validation, what an update may change) is not here: the API server's
//! strategies say it.

mod blob;
pub mod columns;
pub mod convert;
pub mod custom;
pub mod decode;
pub mod defaults;
pub mod features;
mod materialise;
pub mod normalise;
pub mod proto;
pub mod registry;
pub mod scalar;

pub use features::{Features, Stage};
pub use materialise::{Published, PublishedField};
pub use registry::{GroupInfo, Gvk, Registry, ResourceInfo, Subresource};
