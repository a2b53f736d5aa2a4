//! Custom resources: kinds that a CustomResourceDefinition describes. From a definition's versions come the same
//! [`ResourceInfo`](crate::ResourceInfo)s as from the tables, each with its [`Version`]: the structural schema that
//! prunes, defaults and validates its objects, its columns and its paths.
//!
//! Pure, as everything here. Which definitions there are, and when they count, is the API server's affair. Not here:
//! CEL rules and webhooks that convert.

mod columns;
mod defaulting;
mod definition;
mod formats;
mod invariants;
mod jsonpath;
mod prune;
mod schema;
pub mod structural;
mod types;
mod validate;

pub use columns::PrinterColumn;
pub(crate) use columns::row;
pub use definition::{Names, Scale, Version, resources, storage_version_hash, version_order};
pub use jsonpath::JsonPath;
pub use schema::Schema;
