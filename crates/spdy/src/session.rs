//! A connection with its streams.
//!
//! [`Session::new`] gives a handle and a future that drives the connection; the caller spawns the future. Streams are
//! read and written through shared references, so that one stream's two directions can be used at once.
//!
//! Flow control: the SPDY that Kubernetes' tools and container runtimes speak knows none (no window updates are sent
//! or respected), so it is off unless [`Config::flow_control`] says otherwise. Off, a stream whose data nobody takes
//! stops the reading of the whole connection, as there; on, each stream and the session have windows.

mod driver;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::frame::{Frame, FrameError, Headers, ResetCode};

/// The window that each stream and the session begin with.
pub const INITIAL_WINDOW: u32 = 64 * 1024;
/// Streams at once.
const MAX_STREAMS: usize = 1024;
/// Streams that the peer opened and nobody has accepted.
const MAX_UNACCEPTED: usize = 128;
/// Data goes out in frames of at most this size, so that streams take turns.
const MAX_DATA_FRAME: usize = 16 * 1024;
/// Frames that wait to be written.
const OUT_QUEUE: usize = 32;
/// Replies to the peer that wait to be written; a peer that causes more and does not read is cut off.
const MAX_CONTROL_QUEUE: usize = 4096;
/// Received data that a stream's user has not taken, without flow control.
const MAX_BUFFERED: usize = 256 * 1024;

/// How a session is to behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// This side opened the connection: its streams have odd numbers.
    pub client: bool,
    /// Both sides keep to windows.
    pub flow_control: bool,
}

impl Config {
    pub fn client() -> Self {
        Self { client: true, flow_control: false }
    }
    pub fn server() -> Self {
        Self { client: false, flow_control: false }
    }
}

/// Why a session or a stream ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("the SPDY connection ended")]
    Closed,
    #[error("the stream was reset by the peer (code {})", .0.0)]
    Reset(ResetCode),
    #[error("the stream was already closed for writing")]
    Finished,
    #[error("the peer takes no more streams")]
    GoingAway,
    #[error("SPDY protocol: {0}")]
    Protocol(Arc<FrameError>),
    #[error("SPDY connection: {0}")]
    Io(Arc<std::io::Error>),
}

/// A connection. Cheap to clone; it ends with [`Session::close`], or when the driving future is dropped.
#[derive(Clone)]
pub struct Session(Arc<Shared>);

struct Shared {
    config: Config,
    state: Mutex<State>,
    /// Something changed that the writer, or somebody who accepts, waits for.
    wake_writer: Notify,
    accepted: Notify,
    out: mpsc::Sender<Out>,
}

/// What waits to be written in order.
enum Out {
    Frame(Frame),
    Data { id: u32, fin: bool, data: Bytes },
}

struct State {
    next_id: u32,
    next_ping: u32,
    streams: BTreeMap<u32, Arc<StreamShared>>,
    unaccepted: VecDeque<Stream>,
    /// Replies, which go out before what is in the queue.
    control: VecDeque<Frame>,
    pings: BTreeMap<u32, oneshot::Sender<()>>,
    going_away: bool,
    closing: bool,
    /// Why the connection ended.
    ended: Option<Error>,
    /// What the whole session may still send, with flow control.
    send_window: i64,
    initial_send_window: i64,
    /// Received and taken, but not yet told to the peer.
    unacknowledged: u32,
    last_peer_id: u32,
}

struct StreamShared {
    id: u32,
    state: Mutex<StreamState>,
    /// The state changed.
    changed: Notify,
}

#[derive(Default)]
struct StreamState {
    received: VecDeque<Bytes>,
    buffered: usize,
    /// The peer will send no more.
    peer_finished: bool,
    /// We will send no more.
    finished: bool,
    replied: bool,
    reset: Option<ResetCode>,
    ended: Option<Error>,
    /// Nobody will read what the peer still sends.
    abandoned: bool,
    send_window: i64,
    unacknowledged: u32,
}

/// A stream. Dropped before this side has finished, it is reset; dropped after that, what was written still goes out and
/// what comes is discarded.
pub struct Stream {
    headers: Headers,
    inner: Arc<StreamShared>,
    session: Arc<Shared>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("config", &self.0.config).finish_non_exhaustive()
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("id", &self.inner.id)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// Counts taken bytes, and gives what is to be told to the peer once it is half a window.
fn due(unacknowledged: &mut u32, n: usize) -> Option<u32> {
    *unacknowledged = unacknowledged.saturating_add(u32::try_from(n).unwrap_or(u32::MAX));
    (*unacknowledged >= INITIAL_WINDOW / 2).then(|| std::mem::take(unacknowledged))
}

/// Waits until `check` gives something; it is asked again after each notification.
async fn wait<T>(notify: &Notify, mut check: impl FnMut() -> Option<T>) -> T {
    loop {
        let notified = notify.notified();
        tokio::pin!(notified);
        // Registered before the look, so that a change in between is not missed.
        notified.as_mut().enable();
        if let Some(found) = check() {
            return found;
        }
        notified.await;
    }
}

impl Session {
    /// A session over `io`, which has done its handshake. The second part moves the bytes and must be spawned (or awaited
    /// beside the rest); it ends with the connection.
    pub fn new<IO>(io: IO, config: Config) -> (Self, impl Future<Output = ()> + Send + 'static)
    where
        IO: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (out, queue) = mpsc::channel(OUT_QUEUE);
        let state = State {
            next_id: if config.client { 1 } else { 2 },
            next_ping: if config.client { 1 } else { 2 },
            streams: BTreeMap::new(),
            unaccepted: VecDeque::new(),
            control: VecDeque::new(),
            pings: BTreeMap::new(),
            going_away: false,
            closing: false,
            ended: None,
            send_window: INITIAL_WINDOW.into(),
            initial_send_window: INITIAL_WINDOW.into(),
            unacknowledged: 0,
            last_peer_id: 0,
        };
        let shared = Arc::new(Shared {
            config,
            state: Mutex::new(state),
            wake_writer: Notify::new(),
            accepted: Notify::new(),
            out,
        });
        (Self(Arc::clone(&shared)), driver::drive(io, shared, queue))
    }

    /// Opens a stream and waits for the peer's reply to it.
    pub async fn open(&self, headers: Headers) -> Result<Stream, Error> {
        // The place in the queue comes first: numbers must go out in their order.
        let permit = self.0.out.reserve().await.map_err(|_| self.0.end())?;
        let stream = {
            let mut state = self.0.state.lock();
            if let Some(error) = &state.ended {
                return Err(error.clone());
            }
            if state.going_away || state.closing || state.streams.len() >= MAX_STREAMS {
                return Err(Error::GoingAway);
            }
            let id = state.next_id;
            state.next_id += 2;
            let stream = self.0.add_stream(&mut state, id, headers.clone());
            permit.send(Out::Frame(Frame::SynStream { id, fin: false, headers }));
            stream
        };
        let inner = Arc::clone(&stream.inner);
        wait(&inner.changed, || {
            let state = inner.state.lock();
            match (&state.ended, state.reset) {
                _ if state.replied => Some(Ok(())),
                (Some(error), _) => Some(Err(error.clone())),
                (None, Some(code)) => Some(Err(Error::Reset(code))),
                _ => None,
            }
        })
        .await?;
        Ok(stream)
    }

    /// The next stream that the peer opens, which thereby gets its reply; `None` when the connection has ended.
    pub async fn accept(&self) -> Option<Stream> {
        let stream = wait(&self.0.accepted, || {
            let mut state = self.0.state.lock();
            match state.unaccepted.pop_front() {
                Some(stream) => Some(Some(stream)),
                None => (state.ended.is_some() || state.closing).then_some(None),
            }
        })
        .await?;
        self.0.control(Frame::SynReply { id: stream.inner.id, fin: false, headers: Headers::new() });
        Some(stream)
    }

    /// Asks the peer for a sign of life and waits for it.
    pub async fn ping(&self) -> Result<(), Error> {
        let (sender, receiver) = oneshot::channel();
        let id = {
            let mut state = self.0.state.lock();
            if let Some(error) = &state.ended {
                return Err(error.clone());
            }
            let id = state.next_ping;
            state.next_ping = state.next_ping.wrapping_add(2);
            state.pings.insert(id, sender);
            id
        };
        self.0.control(Frame::Ping { id });
        receiver.await.map_err(|_| self.0.end())
    }

    /// Tells the peer that the connection ends, and ends it once what waits has been written.
    pub fn close(&self) {
        let last_good = {
            let mut state = self.0.state.lock();
            if state.closing {
                return;
            }
            state.closing = true;
            state.last_peer_id
        };
        self.0.control(Frame::GoAway { last_good });
        self.0.accepted.notify_waiters();
    }

    /// Ends once the connection has.
    pub async fn closed(&self) {
        wait(&self.0.accepted, || self.0.state.lock().ended.is_some().then_some(())).await;
    }
}

impl Shared {
    fn add_stream(self: &Arc<Self>, state: &mut State, id: u32, headers: Headers) -> Stream {
        let stream = StreamState { send_window: state.initial_send_window, ..StreamState::default() };
        let inner = Arc::new(StreamShared { id, state: Mutex::new(stream), changed: Notify::new() });
        state.streams.insert(id, Arc::clone(&inner));
        Stream { headers, inner, session: Arc::clone(self) }
    }

    /// Queues a reply. It never waits: the reader, which causes most of them, must not hang on the writer.
    fn control(&self, frame: Frame) {
        let mut state = self.state.lock();
        if state.ended.is_none() {
            state.control.push_back(frame);
        }
        drop(state);
        self.wake_writer.notify_one();
    }

    fn end(&self) -> Error {
        self.state.lock().ended.clone().unwrap_or(Error::Closed)
    }

    /// Ends the connection for everybody who waits on it.
    fn finish(&self, error: Error) {
        let (streams, unaccepted) = {
            let mut state = self.state.lock();
            if state.ended.is_some() {
                return;
            }
            state.ended = Some(error.clone());
            state.pings.clear();
            state.control.clear();
            (std::mem::take(&mut state.streams), std::mem::take(&mut state.unaccepted))
        };
        for stream in streams.values() {
            stream.state.lock().ended = Some(error.clone());
            stream.changed.notify_waiters();
        }
        // Outside the lock: dropping a stream takes it.
        drop(unaccepted);
        self.accepted.notify_waiters();
        self.wake_writer.notify_one();
    }

    /// Makes room: wakes the reader of the connection, and tells the peer once half a window has been taken.
    fn taken(&self, stream: &StreamShared, n: usize) {
        stream.changed.notify_waiters();
        if !self.config.flow_control {
            return;
        }
        let delta = due(&mut stream.state.lock().unacknowledged, n);
        if let Some(delta) = delta {
            self.control(Frame::WindowUpdate { id: stream.id, delta });
        }
        self.session_taken(n);
    }

    /// As [`Shared::taken`], for data of a stream that is gone.
    fn session_taken(&self, n: usize) {
        if !self.config.flow_control {
            return;
        }
        let delta = due(&mut self.state.lock().unacknowledged, n);
        if let Some(delta) = delta {
            self.control(Frame::WindowUpdate { id: 0, delta });
        }
    }

    /// Forgets a stream that both sides have finished.
    fn forget_if_done(&self, stream: &StreamShared) {
        let done = {
            let state = stream.state.lock();
            (state.finished && state.peer_finished) || state.reset.is_some()
        };
        if done {
            self.state.lock().streams.remove(&stream.id);
        }
    }
}

impl Stream {
    /// The headers that the stream was opened with. Names are in lower case.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The next data; `None` once the peer has finished.
    pub async fn read(&self) -> Result<Option<Bytes>, Error> {
        let data = wait(&self.inner.changed, || {
            let mut state = self.inner.state.lock();
            if let Some(data) = state.received.pop_front() {
                state.buffered -= data.len();
                return Some(Ok(Some(data)));
            }
            if state.peer_finished {
                return Some(Ok(None));
            }
            match (state.reset, &state.ended) {
                (Some(code), _) => Some(Err(Error::Reset(code))),
                (None, Some(error)) => Some(Err(error.clone())),
                (None, None) => None,
            }
        })
        .await?;
        if let Some(data) = &data {
            self.session.taken(&self.inner, data.len());
        }
        Ok(data)
    }

    /// Sends data; waits while the connection (and with flow control the peer) takes no more.
    pub async fn write(&self, mut data: Bytes) -> Result<(), Error> {
        while !data.is_empty() {
            let granted = self.credit(data.len().min(MAX_DATA_FRAME)).await?;
            let piece = data.split_to(granted);
            self.queue(false, piece).await?;
        }
        Ok(())
    }

    /// Says that no more data will come (half-close). The other direction stays open.
    pub async fn finish(&self) -> Result<(), Error> {
        {
            let mut state = self.inner.state.lock();
            if state.finished {
                return Ok(());
            }
            if let Some(error) = &state.ended {
                return Err(error.clone());
            }
            state.finished = true;
        }
        self.queue(true, Bytes::new()).await?;
        self.session.forget_if_done(&self.inner);
        Ok(())
    }

    /// Ends the stream at once, in both directions.
    pub fn reset(&self) {
        {
            let mut state = self.inner.state.lock();
            if state.reset.is_some() || state.ended.is_some() {
                return;
            }
            state.reset = Some(ResetCode::CANCEL);
        }
        self.session.control(Frame::Reset { id: self.inner.id, code: ResetCode::CANCEL });
        self.session.forget_if_done(&self.inner);
        self.inner.changed.notify_waiters();
    }

    /// Waits until at least one byte may be sent, and takes what may, up to `wanted`.
    async fn credit(&self, wanted: usize) -> Result<usize, Error> {
        wait(&self.inner.changed, || {
            let mut stream = self.inner.state.lock();
            if stream.finished {
                return Some(Err(Error::Finished));
            }
            match (stream.reset, &stream.ended) {
                (Some(code), _) => return Some(Err(Error::Reset(code))),
                (None, Some(error)) => return Some(Err(error.clone())),
                (None, None) => {}
            }
            if !self.session.config.flow_control {
                return Some(Ok(wanted));
            }
            // Lock order: a stream, then its session.
            let mut session = self.session.state.lock();
            let window = stream.send_window.min(session.send_window);
            let granted = usize::try_from(window).unwrap_or(0).min(wanted);
            if granted == 0 {
                return None;
            }
            let taken = i64::try_from(granted).expect("a part of one frame");
            stream.send_window -= taken;
            session.send_window -= taken;
            Some(Ok(granted))
        })
        .await
    }

    async fn queue(&self, fin: bool, data: Bytes) -> Result<(), Error> {
        let out = Out::Data { id: self.inner.id, fin, data };
        self.session.out.send(out).await.map_err(|_| self.session.end())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let unread = {
            let mut state = self.inner.state.lock();
            if state.peer_finished || state.reset.is_some() || state.ended.is_some() {
                // Nothing comes any more; whether we have finished is decided below.
                0
            } else {
                state.abandoned = state.finished;
                state.received.clear();
                std::mem::take(&mut state.buffered)
            }
        };
        let finished = self.inner.state.lock().finished;
        if finished {
            self.session.taken(&self.inner, unread);
        } else {
            self.reset();
        }
    }
}

#[cfg(test)]
mod tests;
