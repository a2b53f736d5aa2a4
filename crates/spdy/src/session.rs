//! A session: many streams over one connection.
//!
//! [`Session::new`] returns the session and its driver, a future that the caller runs among its own tasks; when it
//! ends, every stream ends. Dropping all handles and streams of a session ends its driver once what was written has
//! gone out.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use crate::frame::{CANCEL, Frame, ProtocolError};
use crate::headers::{Compressor, Decompressor, Headers};

/// Frames of one stream that wait to be read.
const STREAM_QUEUE: usize = 32;
/// Frames that wait to be written, over all streams.
const WRITE_QUEUE: usize = 64;
/// Streams that the peer opened and that nobody has accepted yet.
const ACCEPT_QUEUE: usize = 64;
/// Streams of one session at once: a port-forward uses two for each connection.
const STREAMS_MAX: usize = 1024;
/// Data is sent in frames of at most this.
const DATA_MAX: usize = 32 * 1024;

/// Who opened the connection: clients use odd stream ids, servers even ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Client,
    Server,
}

/// The session or stream has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream is closed")]
pub struct Closed;

/// What the writer is asked to send; header blocks are compressed in the order of sending.
enum Outgoing {
    Open { id: u32, headers: Headers, fin: bool },
    Reply { id: u32, headers: Headers },
    Frame(Frame),
}

/// A session. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Session {
    shared: Arc<Shared>,
    outgoing: mpsc::Sender<Outgoing>,
    accepted: Arc<tokio::sync::Mutex<mpsc::Receiver<Stream>>>,
}

#[derive(Debug)]
struct Shared {
    role: Role,
    next_id: AtomicU32,
    streams: Mutex<BTreeMap<u32, mpsc::Sender<Bytes>>>,
}

/// One stream: what the peer sends and what we send.
#[derive(Debug)]
pub struct Stream {
    /// The headers with which it was opened.
    pub headers: Headers,
    pub reader: StreamReader,
    pub writer: StreamWriter,
}

/// The peer's side of a stream.
#[derive(Debug)]
pub struct StreamReader {
    incoming: mpsc::Receiver<Bytes>,
}

/// Our side of a stream. Dropped without [`StreamWriter::finish`], it is reset.
#[derive(Debug)]
pub struct StreamWriter {
    id: u32,
    outgoing: mpsc::Sender<Outgoing>,
    finished: bool,
}

impl Session {
    /// A session over a connection on which the upgrade is done, and the future that drives it.
    pub fn new<T>(
        io: T,
        role: Role,
    ) -> (Self, impl Future<Output = Result<(), ProtocolError>> + Send + 'static)
    where
        T: AsyncRead + AsyncWrite + Send + 'static,
    {
        let shared = Arc::new(Shared {
            role,
            next_id: AtomicU32::new(if role == Role::Client { 1 } else { 2 }),
            streams: Mutex::default(),
        });
        let (outgoing, to_write) = mpsc::channel(WRITE_QUEUE);
        let (accept, accepted) = mpsc::channel(ACCEPT_QUEUE);
        let driver = drive(io, Arc::clone(&shared), outgoing.downgrade(), to_write, accept);
        (Self { shared, outgoing, accepted: Arc::new(tokio::sync::Mutex::new(accepted)) }, driver)
    }

    /// Opens a stream.
    pub async fn open(&self, headers: Headers) -> Result<Stream, Closed> {
        let id = self.shared.next_id.fetch_add(2, Ordering::Relaxed);
        let stream = self.shared.register(id, headers.clone(), &self.outgoing).ok_or(Closed)?;
        self.outgoing.send(Outgoing::Open { id, headers, fin: false }).await.map_err(|_| Closed)?;
        Ok(stream)
    }

    /// The next stream that the peer opens; `None` once the session has ended.
    pub async fn accept(&self) -> Option<Stream> {
        self.accepted.lock().await.recv().await
    }
}

impl Shared {
    fn register(&self, id: u32, headers: Headers, outgoing: &mpsc::Sender<Outgoing>) -> Option<Stream> {
        let (incoming, receiver) = mpsc::channel(STREAM_QUEUE);
        let mut streams = self.streams.lock();
        if streams.len() >= STREAMS_MAX || streams.contains_key(&id) {
            return None;
        }
        streams.insert(id, incoming);
        Some(Stream {
            headers,
            reader: StreamReader { incoming: receiver },
            writer: StreamWriter { id, outgoing: outgoing.clone(), finished: false },
        })
    }
}

impl Stream {
    /// The value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

impl StreamReader {
    /// The next bytes; `None` once the peer has finished or the session has ended.
    pub async fn read(&mut self) -> Option<Bytes> {
        self.incoming.recv().await
    }
}

impl StreamWriter {
    pub async fn write(&mut self, mut data: Bytes) -> Result<(), Closed> {
        while !data.is_empty() {
            let part = data.split_to(data.len().min(DATA_MAX));
            self.send(Frame::Data { id: self.id, fin: false, data: part }).await?;
        }
        Ok(())
    }

    /// Ends our side; the peer may go on.
    pub async fn finish(mut self) -> Result<(), Closed> {
        self.finished = true;
        self.send(Frame::Data { id: self.id, fin: true, data: Bytes::new() }).await
    }

    async fn send(&self, frame: Frame) -> Result<(), Closed> {
        self.outgoing.send(Outgoing::Frame(frame)).await.map_err(|_| Closed)
    }
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        if !self.finished {
            // A full queue means that the peer does not read: it learns of the end with the connection's.
            let _ = self.outgoing.try_send(Outgoing::Frame(Frame::Reset { id: self.id, status: CANCEL }));
        }
    }
}

async fn drive<T>(
    io: T,
    shared: Arc<Shared>,
    outgoing: mpsc::WeakSender<Outgoing>,
    to_write: mpsc::Receiver<Outgoing>,
    accept: mpsc::Sender<Stream>,
) -> Result<(), ProtocolError>
where
    T: AsyncRead + AsyncWrite + Send + 'static,
{
    let (reader, writer) = tokio::io::split(io);
    // The writer ends when every handle and stream is gone; the reader, when the peer is. Either ends the session.
    let result = tokio::select! {
        biased;
        result = read_frames(reader, &shared, outgoing, accept) => result,
        () = write_frames(writer, to_write) => Ok(()),
    };
    shared.streams.lock().clear();
    result
}

async fn write_frames(mut writer: impl AsyncWrite + Unpin, mut to_write: mpsc::Receiver<Outgoing>) {
    let mut compressor = Compressor::new();
    let mut buffer = BytesMut::new();
    while let Some(first) = to_write.recv().await {
        let mut next = Some(first);
        // What waits goes out together.
        while let Some(item) = next {
            encode(item, &mut compressor, &mut buffer);
            next = if buffer.len() < DATA_MAX * 2 { to_write.try_recv().ok() } else { None };
        }
        if writer.write_all(&buffer).await.is_err() || writer.flush().await.is_err() {
            return;
        }
        buffer.clear();
    }
    // The peer has closed already when this fails.
    let _ = writer.shutdown().await;
}

fn encode(item: Outgoing, compressor: &mut Compressor, buffer: &mut BytesMut) {
    let frame = match item {
        Outgoing::Open { id, headers, fin } => {
            Frame::SynStream { id, fin, block: compressor.compress(&headers).into() }
        }
        Outgoing::Reply { id, headers } => {
            Frame::SynReply { id, fin: false, block: compressor.compress(&headers).into() }
        }
        Outgoing::Frame(frame) => frame,
    };
    frame.encode(buffer);
}

async fn read_frames(
    mut reader: impl AsyncRead + Unpin,
    shared: &Shared,
    outgoing: mpsc::WeakSender<Outgoing>,
    accept: mpsc::Sender<Stream>,
) -> Result<(), ProtocolError> {
    let mut decompressor = Decompressor::new();
    let mut buffer = BytesMut::with_capacity(DATA_MAX);
    loop {
        while let Some(frame) = Frame::decode(&mut buffer)? {
            if !take(frame, shared, &mut decompressor, &outgoing, &accept).await? {
                return Ok(());
            }
        }
        match reader.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return Ok(()),
            Ok(_) => {}
        }
    }
}

/// Acts on one frame; false ends the session.
async fn take(
    frame: Frame,
    shared: &Shared,
    decompressor: &mut Decompressor,
    outgoing: &mpsc::WeakSender<Outgoing>,
    accept: &mpsc::Sender<Stream>,
) -> Result<bool, ProtocolError> {
    match frame {
        Frame::SynStream { id, fin, block } => {
            let headers = decompressor.decompress(&block)?;
            let ours = if shared.role == Role::Client { 1 } else { 0 };
            if id == 0 || id % 2 == ours {
                return Err(ProtocolError("the peer opened a stream with an id of ours"));
            }
            let Some(outgoing) = outgoing.upgrade() else { return Ok(false) };
            let Some(stream) = shared.register(id, headers, &outgoing) else {
                return Err(ProtocolError("the peer opened too many streams, or one twice"));
            };
            if outgoing.send(Outgoing::Reply { id, headers: Vec::new() }).await.is_err() {
                return Ok(false);
            }
            if fin {
                shared.streams.lock().remove(&id);
            }
            // Nobody accepts any more: the stream is dropped, which resets it.
            let _ = accept.send(stream).await;
        }
        Frame::SynReply { id, fin, block } => {
            // Compression runs through all blocks: each must be decompressed, wanted or not.
            decompressor.decompress(&block)?;
            if fin {
                shared.streams.lock().remove(&id);
            }
        }
        Frame::Headers { id, fin, block } => {
            decompressor.decompress(&block)?;
            if fin {
                shared.streams.lock().remove(&id);
            }
        }
        Frame::Data { id, fin, data } => {
            let stream = shared.streams.lock().get(&id).cloned();
            if let Some(stream) = stream
                && !data.is_empty()
                && stream.send(data).await.is_err()
            {
                // Our side does not read any more.
                shared.streams.lock().remove(&id);
            }
            if fin {
                shared.streams.lock().remove(&id);
            }
        }
        Frame::Reset { id, .. } => {
            shared.streams.lock().remove(&id);
        }
        Frame::Ping { id } => {
            // Odd pings are the client's: those of the peer are answered, answers to ours need nothing.
            let from_client = id % 2 == 1;
            if from_client == (shared.role == Role::Server)
                && let Some(outgoing) = outgoing.upgrade()
            {
                let _ = outgoing.send(Outgoing::Frame(Frame::Ping { id })).await;
            }
        }
        // Streams that are open go on; the peer closes when they have ended.
        Frame::GoAway { .. } | Frame::Other => {}
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use component::Tasks;

    fn pair(tasks: &Tasks) -> (Session, Session) {
        let (a, b) = tokio::io::duplex(4096);
        let (client, driver_a) = Session::new(a, Role::Client);
        let (server, driver_b) = Session::new(b, Role::Server);
        tasks.spawn("client", async move { driver_a.await.expect("the peer keeps the protocol") });
        tasks.spawn("server", async move { driver_b.await.expect("the peer keeps the protocol") });
        (client, server)
    }

    async fn read_all(mut reader: StreamReader) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(data) = reader.read().await {
            out.extend_from_slice(&data);
        }
        out
    }

    #[tokio::test]
    async fn a_half_closed_stream_goes_on_the_other_way() {
        let tasks = Tasks::new("test");
        let (client, server) = pair(&tasks);
        let mut stream = client.open(vec![("streamtype".into(), "stdin".into())]).await.unwrap();
        let mut other = server.accept().await.unwrap();
        assert_eq!(other.header("streamtype"), Some("stdin"));
        stream.writer.write(Bytes::from_static(b"all of it")).await.unwrap();
        stream.writer.finish().await.unwrap();
        assert_eq!(read_all(other.reader).await, b"all of it");
        other.writer.write(Bytes::from_static(b"the answer")).await.unwrap();
        other.writer.finish().await.unwrap();
        assert_eq!(read_all(stream.reader).await, b"the answer");
    }

    #[tokio::test]
    async fn much_data_passes_both_ways_at_once() {
        let tasks = Tasks::new("test");
        let (client, server) = pair(&tasks);
        let stream = client.open(Vec::new()).await.unwrap();
        let other = server.accept().await.unwrap();
        let sent: Vec<u8> = (0..3_000_000u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let send = |mut writer: StreamWriter, data: Vec<u8>| async move {
            writer.write(data.into()).await.unwrap();
            writer.finish().await.unwrap();
        };
        let ((), (), there, back) = tokio::join!(
            send(stream.writer, sent.clone()),
            send(other.writer, sent.clone()),
            read_all(other.reader),
            read_all(stream.reader)
        );
        assert!(there == sent && back == sent);
    }

    #[tokio::test]
    async fn the_end_of_a_session_ends_its_streams() {
        let tasks = Tasks::new("test");
        let (client, server) = pair(&tasks);
        let stream = client.open(Vec::new()).await.unwrap();
        let other = server.accept().await.unwrap();
        drop((stream, client));
        assert_eq!(read_all(other.reader).await, b"");
        assert!(server.accept().await.is_none());
    }

    #[tokio::test]
    async fn streams_are_bounded() {
        let (a, b) = tokio::io::duplex(1 << 20);
        let (client, driver_a) = Session::new(a, Role::Client);
        let (server, driver_b) = Session::new(b, Role::Server);
        let tasks = Tasks::new("test");
        tasks.spawn("client", async move { driver_a.await.unwrap_or(()) });
        let open = async {
            let mut streams = Vec::new();
            for _ in 0..STREAMS_MAX {
                streams.push(client.open(Vec::new()).await.unwrap());
            }
            assert!(client.open(Vec::new()).await.is_err());
        };
        let hold = async {
            let mut held = Vec::new();
            while let Some(stream) = server.accept().await {
                held.push(stream);
            }
        };
        tasks.spawn("server", async move { driver_b.await.unwrap_or(()) });
        tokio::select! {
            biased;
            () = open => {}
            () = hold => panic!("the session ended"),
        }
    }
}
