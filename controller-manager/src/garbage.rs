//! The garbage collector: deletes what no owner holds any more, and sees foreground and orphan deletions through.
//!
//! It watches the metadata of every resource that discovery names (but Events) and keeps a graph of owners and
//! dependents by uid. The graph says what to look at; before anything is deleted the object and its owners are read
//! live, so a cache that lags never costs an object.

mod graph;
mod sync;

pub(crate) use sync::start;
