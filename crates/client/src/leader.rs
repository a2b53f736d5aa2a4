//! Leader election over a Lease, with client-go's rules and timings, and a fence that client-go lacks.
//!
//! A candidate takes a lease that nobody has renewed for `lease_duration` *as observed by its own monotonic clock*.
//! A leader that could not renew for `renew_deadline` gives up; a margin before that, its [`Fence`] already stops
//! every request of the clients that carry it, so that no write of a deposed leader is on its way. One that is delayed
//! all the same is refused by our API server, because it names the lease ([`LEASE_HEADER`]).

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use env::Env;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::Client;
use crate::error::Error;
use crate::resources::LEASES;
use crate::time;

/// Sending stops this long before the deadline: time for what was sent last to arrive or die.
const FENCE_MARGIN: Duration = Duration::from_secs(1);

/// Names the lease that a write is made under, as `NAMESPACE/NAME=HOLDER`: Gantry's API server applies the write only
/// while the lease names that holder. Others ignore it.
pub const LEASE_HEADER: &str = "gantry-lease";

/// Whether leadership is sure to be held, and under which lease. Cheap to clone; clones are the same fence.
#[derive(Clone)]
pub struct Fence(Arc<Inner>);

struct Inner {
    until: Mutex<Option<Instant>>,
    /// [`LEASE_HEADER`]'s value. Without one where the names cannot stand in a header: then only this fence holds.
    claim: Option<http::HeaderValue>,
}

impl Fence {
    /// Nothing may be sent yet.
    fn of(config: &LeaderConfig) -> Self {
        let text = format!("{}/{}={}", config.namespace, config.name, config.identity);
        let claim = http::HeaderValue::from_str(&text).ok();
        Self(Arc::new(Inner { until: Mutex::default(), claim }))
    }
    pub(crate) fn claim(&self) -> Option<http::HeaderValue> {
        self.0.claim.clone()
    }
    pub fn held(&self) -> bool {
        self.0.until.lock().is_some_and(|until| Instant::now() < until)
    }
    fn open_until(&self, until: Instant) {
        *self.0.until.lock() = Some(until);
    }
    fn close(&self) {
        *self.0.until.lock() = None;
    }
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fence(held: {})", self.held())
    }
}

/// One election. The durations are upstream's defaults.
#[derive(Clone, Debug)]
pub struct LeaderConfig {
    pub namespace: String,
    pub name: String,
    pub identity: String,
    pub lease_duration: Duration,
    pub renew_deadline: Duration,
    pub retry_period: Duration,
    /// Gives the lease back at the end, so that a successor need not wait.
    pub release: bool,
}

impl LeaderConfig {
    /// An election in `kube-system` under the component's name.
    pub fn new(name: &str, identity: &str) -> Self {
        Self {
            namespace: "kube-system".into(),
            name: name.into(),
            identity: identity.into(),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            release: true,
        }
    }
}

/// Why [`run`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The work ended by itself, or was asked to stop.
    Stopped,
    /// The lease could not be renewed: somebody else may lead now. Upstream's binaries exit.
    Lost,
}

/// A lease with what is read of it, and whole: it is written back by PUT, the verb that upstream's roles grant.
#[derive(Clone, Debug)]
struct Lease {
    spec: LeaseSpec,
    whole: serde_json::Value,
}

impl Lease {
    fn read(whole: serde_json::Value) -> Result<Self, Error> {
        let spec = LeaseSpec::deserialize(&whole["spec"]).map_err(|e| Error::Decode(e.to_string()))?;
        Ok(Self { spec, whole })
    }
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
struct LeaseSpec {
    holder_identity: Option<String>,
    lease_duration_seconds: Option<i64>,
    acquire_time: Option<String>,
    renew_time: Option<String>,
    lease_transitions: Option<i64>,
}

struct Election {
    client: Client,
    config: LeaderConfig,
    env: Env,
    fence: Fence,
    /// The lease as last seen, and when it was first seen so.
    observed: Option<(Lease, Instant)>,
}

/// Waits until this candidate leads, runs `lead` and renews meanwhile. `lead` is dropped when the lease is lost. The
/// clients that it works with must carry the fence that it is given.
pub async fn run<F, Fut>(
    client: Client,
    config: LeaderConfig,
    env: Env,
    stop: CancellationToken,
    lead: F,
) -> Ended
where
    F: FnOnce(Fence) -> Fut,
    Fut: Future<Output = ()>,
{
    let fence = Fence::of(&config);
    let mut election = Election { client, config, env, fence: fence.clone(), observed: None };
    tokio::select! {
        biased;
        () = stop.cancelled() => return Ended::Stopped,
        () = election.acquire() => {}
    }
    tracing::info!(name = %election.config.name, identity = %election.config.identity, "leading");
    let ended = tokio::select! {
        biased;
        () = stop.cancelled() => Ended::Stopped,
        () = lead(fence.clone()) => Ended::Stopped,
        () = election.renew() => Ended::Lost,
    };
    fence.close();
    if ended == Ended::Stopped && election.config.release {
        election.release().await;
    }
    ended
}

impl Election {
    /// Tries until it holds the lease. Candidates are spread by up to 1.2 periods, as client-go's.
    async fn acquire(&mut self) {
        while !self.attempt().await {
            let period = self.config.retry_period;
            let extra = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX) / 5 * 6;
            let wait = period + Duration::from_nanos(self.env.rng.below(extra));
            tokio::time::sleep(wait).await;
        }
    }

    /// Renews until that fails for the whole of `renew_deadline`.
    async fn renew(&mut self) {
        let mut deadline = Instant::now() + self.config.renew_deadline;
        loop {
            tokio::time::sleep_until(deadline.min(Instant::now() + self.config.retry_period)).await;
            let started = Instant::now();
            match tokio::time::timeout_at(deadline, self.attempt()).await {
                Ok(true) => deadline = started + self.config.renew_deadline,
                Ok(false) if Instant::now() < deadline => {}
                Ok(false) | Err(_) => return,
            }
        }
    }

    /// One attempt to take or renew the lease. Errors count as a failure: there will be another attempt.
    async fn attempt(&mut self) -> bool {
        let started = Instant::now();
        match self.try_attempt(started).await {
            Ok(true) => {
                // Counted from before the request: the lease cannot have been renewed earlier than that.
                self.fence.open_until(started + self.config.renew_deadline - FENCE_MARGIN);
                true
            }
            Ok(false) => false,
            Err(error) => {
                tracing::warn!(name = %self.config.name, error = %error, "could not take or renew the lease");
                false
            }
        }
    }

    async fn try_attempt(&mut self, now: Instant) -> Result<bool, Error> {
        let Some(lease) = self.read().await? else {
            let spec = self.spec(None);
            let body = serde_json::json!({
                "apiVersion": LEASES.api_version(), "kind": LEASES.kind,
                "metadata": {"name": self.config.name, "namespace": self.config.namespace}, "spec": spec,
            });
            let made = self.client.create(&LEASES, &self.config.namespace, &body).await?;
            self.observed = Some((Lease::read(made)?, now));
            return Ok(true);
        };
        let unchanged = self.observed.as_ref().is_some_and(|(seen, _)| seen.spec == lease.spec);
        if unchanged {
            // The time of the first sight is what counts; the version may be newer all the same.
            if let Some((seen, _)) = &mut self.observed {
                seen.whole = lease.whole.clone();
            }
        } else {
            self.observed = Some((lease.clone(), Instant::now()));
        }
        let since = self.observed.as_ref().map_or(now, |(_, since)| *since);
        let holder = lease.spec.holder_identity.as_deref().unwrap_or_default();
        let ours = holder == self.config.identity;
        if !ours && !holder.is_empty() && Instant::now() < since + self.config.lease_duration {
            return Ok(false);
        }
        let written = self.write(&lease, &self.spec(Some(&lease.spec))).await?;
        self.observed = Some((written, now));
        Ok(true)
    }

    async fn read(&self) -> Result<Option<Lease>, Error> {
        match self.client.get(&LEASES, &self.config.namespace, &self.config.name).await {
            Ok(lease) => Lease::read(lease).map(Some),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The lease as this candidate writes it over `old`.
    fn spec(&self, old: Option<&LeaseSpec>) -> LeaseSpec {
        let now = time::micros(self.env.clock.now());
        let ours = old.filter(|o| o.holder_identity.as_ref() == Some(&self.config.identity));
        let transitions = match (ours, old) {
            (Some(ours), _) => ours.lease_transitions.unwrap_or(0),
            (None, Some(other)) => other.lease_transitions.unwrap_or(0) + 1,
            (None, None) => 0,
        };
        LeaseSpec {
            holder_identity: Some(self.config.identity.clone()),
            lease_duration_seconds: i64::try_from(self.config.lease_duration.as_secs()).ok(),
            acquire_time: ours.and_then(|o| o.acquire_time.clone()).or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
        }
    }

    /// Guarded by the version that was read: of two candidates one wins.
    async fn write(&self, old: &Lease, spec: &LeaseSpec) -> Result<Lease, Error> {
        let mut whole = old.whole.clone();
        let fields = serde_json::to_value(spec).map_err(|e| Error::Request(e.to_string()))?;
        if let Some(fields) = fields.as_object() {
            for (name, value) in fields {
                whole["spec"][name] = value.clone();
            }
        }
        let (namespace, name) = (&self.config.namespace, &self.config.name);
        Lease::read(self.client.replace(&LEASES, namespace, name, "", &whole).await?)
    }

    /// As client-go's: an empty holder with a duration of one second.
    async fn release(&self) {
        let Some((lease, _)) = &self.observed else { return };
        let now = time::micros(self.env.clock.now());
        let spec = LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: lease.spec.lease_transitions,
        };
        if let Err(error) = self.write(lease, &spec).await {
            tracing::debug!(name = %self.config.name, error = %error, "could not give the lease back");
        }
    }
}
