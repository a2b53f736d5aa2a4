//! The network between the parts of the cluster and the API server, with what can go wrong on it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use apiserver::ApiServer;
use apiserver::response::Body;
use apiserver::seams::UserInfo;
use bytes::Bytes;
use client::{Client, TransportRequest};
use env::Rng;
use futures::future::BoxFuture;
use http::Method;
use http_body::Frame;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use testing::refusals::Refusals;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tower::Service as _;

use crate::trace::Trace;

/// A refused connection takes a moment, as on a real host: without it a retry loop would never yield.
const REFUSED_AFTER: Duration = Duration::from_millis(1);

/// Lines of a trace by which a run should have ended many times over.
pub const LINES_MAX: u64 = 100_000;

/// How often what goes wrong, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// The request never arrives.
    pub lost_request: u64,
    /// The request is carried out; its answer never arrives.
    pub lost_answer: u64,
    /// Requests, answers, and pieces of a stream.
    pub delayed: u64,
    pub delay_max: Duration,
    /// A stream breaks, at each of its pieces.
    pub cut: u64,
}

impl Rates {
    pub const NONE: Self =
        Self { lost_request: 0, lost_answer: 0, delayed: 0, delay_max: Duration::ZERO, cut: 0 };
    pub const ROUGH: Self = Self {
        lost_request: 40,
        lost_answer: 80,
        delayed: 200,
        delay_max: Duration::from_millis(400),
        cut: 5,
    };
    /// Everything lags: caches are old.
    pub const SLOW: Self = Self {
        lost_request: 0,
        lost_answer: 20,
        delayed: 700,
        delay_max: Duration::from_millis(900),
        cut: 0,
    };
}

/// The one network. Cheap to clone.
#[derive(Clone)]
pub struct Network(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    rng: Arc<dyn Rng>,
    trace: Trace,
    refusals: Refusals,
}

struct State {
    server: Option<Arc<ApiServer>>,
    rates: Rates,
    /// Parts that reach nobody.
    apart: BTreeSet<String>,
    /// Cancelled when the connections of a part break; then a new one takes its place.
    connections: BTreeMap<String, CancellationToken>,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

impl Network {
    pub fn new(rng: Arc<dyn Rng>, trace: Trace) -> Self {
        let state =
            State { server: None, rates: Rates::NONE, apart: BTreeSet::new(), connections: BTreeMap::new() };
        Self(Arc::new(Inner { state: Mutex::new(state), rng, trace, refusals: Refusals::default() }))
    }

    /// A server takes requests from now on, or nobody does; connections to the one before break.
    pub fn lead_to(&self, server: Option<Arc<ApiServer>>) {
        self.0.state.lock().server = server;
        self.break_connections();
    }

    pub fn server(&self) -> Option<Arc<ApiServer>> {
        self.0.state.lock().server.clone()
    }

    pub fn set_rates(&self, rates: Rates) {
        self.0.state.lock().rates = rates;
    }

    /// Breaks every connection once.
    pub fn break_connections(&self) {
        let old = std::mem::take(&mut self.0.state.lock().connections);
        for token in old.into_values() {
            token.cancel();
        }
    }

    /// Cuts a part off, or joins it again.
    pub fn set_apart(&self, part: &str, apart: bool) {
        let mut state = self.0.state.lock();
        if !apart {
            state.apart.remove(part);
            return;
        }
        state.apart.insert(part.to_owned());
        let connection = state.connections.remove(part);
        drop(state);
        if let Some(connection) = connection {
            connection.cancel();
        }
    }

    pub fn join_all(&self) {
        self.0.state.lock().apart.clear();
    }

    /// Requests that a component had no right to.
    pub fn refusals(&self) -> Vec<String> {
        self.0.refusals.all()
    }

    /// A user's client on a part of the cluster.
    pub fn client(&self, part: &str, user: UserInfo) -> Client {
        Client::in_process(Wire { network: self.clone(), part: part.into(), user })
    }

    fn chance(&self, thousandths: u64) -> bool {
        thousandths > 0 && self.0.rng.below(1000) < thousandths
    }

    fn delay(&self, rates: &Rates) -> Option<Duration> {
        let micros = u64::try_from(rates.delay_max.as_micros()).unwrap_or(u64::MAX);
        self.chance(rates.delayed).then(|| Duration::from_micros(self.0.rng.below(micros)))
    }

    fn rates(&self) -> Rates {
        self.0.state.lock().rates
    }

    /// Where a part's requests arrive now, with the token of its connection.
    fn connect(&self, part: &str) -> Option<(Arc<ApiServer>, CancellationToken)> {
        let mut state = self.0.state.lock();
        if state.apart.contains(part) {
            return None;
        }
        let server = state.server.clone()?;
        Some((server, state.connections.entry(part.to_owned()).or_default().clone()))
    }

    async fn carry(&self, wire: &Wire, request: TransportRequest) -> io::Result<http::Response<WireBody>> {
        let rates = self.rates();
        let trace = &self.0.trace;
        if trace.lines() > LINES_MAX {
            // Somebody asks without a pause: time stands still until nothing can be sent any more.
            std::future::pending::<()>().await;
        }
        let what = format!("{} {} {} {}", wire.part, wire.user.name, request.method(), request.uri());
        let streams =
            request.method() == Method::GET && request.uri().query().is_some_and(|q| q.contains("watch="));
        if let Some(delay) = self.delay(&rates) {
            tokio::time::sleep(delay).await;
        }
        if self.chance(rates.lost_request) {
            trace.add(&format!("{what} LOST"));
            return Err(broken("the request was lost"));
        }
        let Some((server, connection)) = self.connect(&wire.part) else {
            tokio::time::sleep(REFUSED_AFTER).await;
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "simulated: nobody answers"));
        };
        let mut service = server.service(wire.user.clone());
        let answer = tokio::select! {
            biased;
            () = connection.cancelled() => {
                trace.add(&format!("{what} BROKEN"));
                return Err(broken("the connection broke"));
            }
            answer = service.call(request) => answer.unwrap_or_else(|never| match never {}),
        };
        trace.add(&format!("{what} {}", answer.status().as_u16()));
        if let Some(delay) = self.delay(&rates) {
            tokio::time::sleep(delay).await;
        }
        if self.chance(rates.lost_answer) || connection.is_cancelled() {
            trace.add(&format!("{what} ANSWER LOST"));
            return Err(broken("the answer was lost"));
        }
        let (parts, body) = answer.into_parts();
        let mut body = body;
        if parts.status == http::StatusCode::FORBIDDEN {
            let bytes = body.collect().await.map_err(io::Error::other)?.to_bytes();
            self.0.refusals.note(&what, &bytes);
            body = bytes.into();
        }
        let stream = streams.then(|| Stream {
            network: self.clone(),
            broken: Box::pin(connection.cancelled_owned()),
            held: None,
        });
        Ok(http::Response::from_parts(parts, WireBody { body, stream }))
    }
}

fn broken(how: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, format!("simulated: {how}"))
}

/// One user's transport.
#[derive(Clone, Debug)]
pub struct Wire {
    network: Network,
    part: Arc<str>,
    user: UserInfo,
}

impl tower::Service<TransportRequest> for Wire {
    type Response = http::Response<WireBody>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<http::Response<WireBody>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: TransportRequest) -> Self::Future {
        let wire = self.clone();
        Box::pin(async move { wire.network.carry(&wire, request).await })
    }
}

/// An answer's body. Those of watches lag, and end with their connection.
#[derive(Debug)]
pub struct WireBody {
    body: Body,
    stream: Option<Stream>,
}

struct Stream {
    network: Network,
    broken: Pin<Box<WaitForCancellationFutureOwned>>,
    /// A piece on its way.
    held: Option<(Pin<Box<Sleep>>, Bytes)>,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

impl http_body::Body for WireBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        if let Some(stream) = &mut this.stream {
            if stream.broken.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Some(Err(broken("the connection broke"))));
            }
            if let Some((sleep, _)) = &mut stream.held {
                ready!(sleep.as_mut().poll(cx));
                let (_, piece) = stream.held.take().expect("there was one just now");
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
        }
        let frame = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(io::Error::other(error)))),
            None => return Poll::Ready(None),
        };
        let Some(stream) = &mut this.stream else { return Poll::Ready(Some(Ok(frame))) };
        let rates = stream.network.rates();
        if stream.network.chance(rates.cut) {
            return Poll::Ready(Some(Err(broken("the stream was cut"))));
        }
        match (stream.network.delay(&rates), frame.into_data()) {
            (Some(delay), Ok(piece)) => {
                let mut sleep = Box::pin(tokio::time::sleep(delay));
                if sleep.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                stream.held = Some((sleep, piece));
                Poll::Pending
            }
            (None, Ok(piece)) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            (_, Err(frame)) => Poll::Ready(Some(Ok(frame))),
        }
    }
}
