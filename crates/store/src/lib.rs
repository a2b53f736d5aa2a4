//! The store: a [`Backend`] does only what needs agreement, one [`View`] fed by its stream of changes answers every
//! read and watch synchronously.
//!
//! [`memory`] forgets everything at its end.
//! [`expiry::start`] proposes the deletes of expired keys.

pub mod apply;
pub mod backend;
pub mod expiry;
pub mod memory;
pub mod view;

use std::sync::Arc;

pub use backend::{
    Backend, Change, ChangeBatch, Cond, Expiry, Guard, Key, Op, Outcome, Revision, StateEntry, StoreError,
    Subscription, Txn,
};
pub use view::{Entry, Range, View, WatchEvent, Watcher};

/// A store in memory, empty. It owns no task or thread.
pub fn memory() -> Arc<dyn Backend> {
    Arc::new(memory::Memory::new())
}
