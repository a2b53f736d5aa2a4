//! Writes of a leader carry its lease: the transaction is applied only while the lease names that leader.
//!
//! A client says by the header [`client::leader::LEASE_HEADER`] that it writes as the holder of a lease. Every transaction
//! that its request leads to, those of bindings and evictions too, is then guarded by the revision at which the lease was
//! seen to name it; a renewal in between costs another attempt, another holder refuses the request. Upstream's servers
//! ignore the header, and upstream's leaders do not send it.

use std::future::Future;

use apimachinery::Status;
use http::HeaderMap;
use store::{Cond, Guard};

use super::{Registry, keys};
use crate::response::bad_request;

tokio::task_local! {
    /// Of the request that this task works for.
    static CLAIM: Claim;
}

/// Whom a request's sender says that a lease names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    namespace: String,
    name: String,
    holder: String,
}

impl Claim {
    /// The claim in a request's headers, in the form `NAMESPACE/NAME=HOLDER`.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Status> {
        let Some(value) = headers.get(client::leader::LEASE_HEADER) else { return Ok(None) };
        let wrong = || bad_request(format!("{} is not NAMESPACE/NAME=HOLDER", client::leader::LEASE_HEADER));
        let text = value.to_str().map_err(|_| wrong())?;
        let (lease, holder) = text.split_once('=').ok_or_else(wrong)?;
        let (namespace, name) = lease.split_once('/').ok_or_else(wrong)?;
        if namespace.is_empty() || name.is_empty() || holder.is_empty() {
            return Err(wrong());
        }
        Ok(Some(Self { namespace: namespace.into(), name: name.into(), holder: holder.into() }))
    }

    /// Runs `request` so that what it commits is guarded by this claim.
    pub(crate) async fn guarding<F: Future>(claim: Option<Self>, request: F) -> F::Output {
        match claim {
            Some(claim) => CLAIM.scope(claim, request).await,
            None => request.await,
        }
    }

    fn lost(&self) -> Status {
        let why = format!("the lease {}/{} is not held by {}", self.namespace, self.name, self.holder);
        Status::conflict("coordination.k8s.io", "leases", &self.name, &why)
    }
}

impl Registry {
    /// The guard that the current request's writes carry, if it has claimed a lease.
    pub(super) fn lease_guard(&self) -> Result<Option<Guard>, Status> {
        let Ok(claim) = CLAIM.try_with(Clone::clone) else { return Ok(None) };
        let leases = self.any_version("coordination.k8s.io", "leases").ok_or_else(|| claim.lost())?;
        let key: store::Key = keys::key(&leases.prefix, &claim.namespace, &claim.name).into();
        let entry = self.view.get(&key).ok_or_else(|| claim.lost())?;
        let lease = self.decoded(&leases, &entry).ok_or_else(|| claim.lost())?;
        if lease.str_at(&["spec", "holderIdentity"]) != Some(claim.holder.as_str()) {
            return Err(claim.lost());
        }
        // A write decided on an older view than this loses its race and looks again.
        Ok(Some(Guard { key, cond: Cond::ModRevision(entry.mod_revision) }))
    }
}
