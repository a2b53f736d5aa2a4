//! The store: a [`Backend`] does only what needs agreement, one [`View`] fed by its stream of changes answers every
//! read and watch synchronously.
//!
//! [`memory`] forgets everything at its end; [`open_embedded`] is a raft group with a durable log and snapshots in a
//! directory. [`expiry::start`] proposes the deletes of expired keys for either.

pub mod apply;
pub mod backend;
mod codec;
pub mod embedded;
pub mod expiry;
mod feed;
pub mod memory;
#[cfg(test)]
mod model_tests;
pub mod view;

use std::path::Path;
use std::sync::Arc;

use component::Tasks;
use env::Env;

pub use backend::{
    Backend, Change, ChangeBatch, Cond, Expiry, Guard, Key, Op, Outcome, Revision, StateEntry, StoreError,
    Subscription, Txn,
};
pub use view::{Entry, History, Index, Range, View, WatchEvent, Watcher};

/// A store in memory, empty. It owns no task or thread.
pub fn memory() -> Arc<dyn Backend> {
    Arc::new(memory::Memory::new())
}

/// Opens the store in `dir`, making it when there is none, with its tasks in `tasks`. Ends once everything that was
/// ever acknowledged is applied.
pub async fn open_embedded(env: &Env, dir: &Path, tasks: &Tasks) -> Result<Arc<dyn Backend>, StoreError> {
    Ok(Arc::new(embedded::Embedded::open(env, dir, tasks).await?))
}
