//! The wire between a component and the API server, with what can go wrong on it.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use client::{TransportRequest, TransportResponse};
use env::Rng;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use crate::trace::Trace;

/// Carries one request to wherever the server is now.
pub type Carrier = Arc<dyn Fn(TransportRequest) -> BoxFuture<'static, Result<TransportResponse, String>> + Send + Sync>;

/// How often what goes wrong, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// The request never arrives.
    pub lost_request: u64,
    /// The request is carried out; its answer never arrives.
    pub lost_answer: u64,
    pub delayed: u64,
    pub delay_max: Duration,
}

impl Rates {
    pub const NONE: Self = Self { lost_request: 0, lost_answer: 0, delayed: 0, delay_max: Duration::ZERO };
    pub const ROUGH: Self =
        Self { lost_request: 10, lost_answer: 10, delayed: 200, delay_max: Duration::from_millis(400) };
}

/// The switches of one wire, or of all: shared by its clones.
#[derive(Clone)]
pub struct Wire {
    carrier: Arc<Mutex<Option<Carrier>>>,
    rates: Arc<Mutex<Rates>>,
    rng: Arc<dyn Rng>,
    trace: Trace,
    user: Arc<str>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Wire {
    pub fn new(user: &str, rates: Arc<Mutex<Rates>>, rng: Arc<dyn Rng>, trace: Trace) -> Self {
        Self { carrier: Arc::default(), rates, rng, trace, user: user.into() }
    }

    /// Leads the wire to a server; `None`: nobody answers.
    pub fn connect(&self, carrier: Option<Carrier>) {
        *self.carrier.lock() = carrier;
    }

    fn chance(&self, thousandths: u64) -> bool {
        self.rng.below(1000) < thousandths
    }
}

impl tower::Service<TransportRequest> for Wire {
    type Response = TransportResponse;
    type Error = std::io::Error;
    type Future = BoxFuture<'static, Result<TransportResponse, std::io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: TransportRequest) -> Self::Future {
        let wire = self.clone();
        Box::pin(async move {
            let rates = *wire.rates.lock();
            let what = format!("{} {} {}", wire.user, request.method(), request.uri());
            if wire.chance(rates.delayed) {
                let micros = u64::try_from(rates.delay_max.as_micros()).unwrap_or(u64::MAX);
                tokio::time::sleep(Duration::from_micros(wire.rng.below(micros))).await;
            }
            if wire.chance(rates.lost_request) {
                wire.trace.add(&format!("{what} LOST"));
                return Err(std::io::Error::other("simulated: the request was lost"));
            }
            let carrier = wire.carrier.lock().clone();
            let Some(carrier) = carrier else {
                // A refused connection takes a moment, as on a real host: without it a retry loop would never yield.
                tokio::time::sleep(Duration::from_millis(1)).await;
                return Err(std::io::Error::new(
                    std::io::ErrorKind::ConnectionRefused,
                    "simulated: the API server is down",
                ));
            };
            let answer = carrier(request).await.map_err(std::io::Error::other)?;
            wire.trace.add(&format!("{what} {}", answer.status().as_u16()));
            if wire.chance(rates.lost_answer) {
                wire.trace.add(&format!("{what} ANSWER LOST"));
                return Err(std::io::Error::other("simulated: the answer was lost"));
            }
            Ok(answer)
        })
    }
}
