//! The node lifecycle controller: notices nodes that went silent, says so in their conditions and taints, and marks
//! their pods as not ready. The pods' eviction itself is the taint eviction controller's.
//!
//! As upstream: a node is alive while its Lease or its Ready condition's heartbeat *changes*, measured by our own
//! monotonic clock, so that a skewed clock on the node kills nobody. NoExecute taints are rate limited by zone, and when
//! every node of every zone is silent none is given: then it is more likely us who are cut off.

mod plan;
mod sync;

pub(crate) use sync::start;
