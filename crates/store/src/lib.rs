//! The store: a [`Backend`] does only what needs agreement, one [`View`](view::View) fed by its stream of changes
//! answers every read and watch synchronously.

pub mod backend;

pub use backend::{Backend, Change, ChangeBatch, Cond, Expiry, Guard, Key, Op, Outcome, Revision, StoreError, Txn};
