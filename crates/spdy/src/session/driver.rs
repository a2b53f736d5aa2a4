//! Moves a session's bytes: one loop reads frames, one writes them.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, BufWriter};
use tokio::sync::mpsc;

use super::{
    Error, INITIAL_WINDOW, MAX_BUFFERED, MAX_CONTROL_QUEUE, MAX_STREAMS, MAX_UNACCEPTED, Out, Shared,
    StreamShared, wait,
};
use crate::frame::{Decoder, Encoder, Frame, HEAD_LEN, Head, ResetCode, data_head, parse_head};

/// Data frames are read and handed on in pieces of this size.
const READ_PIECE: usize = 16 * 1024;

/// Drives a session until its connection ends, then tells everybody who waits.
pub(super) async fn drive<IO>(io: IO, shared: Arc<Shared>, queue: mpsc::Receiver<Out>)
where
    IO: AsyncRead + AsyncWrite + Send + 'static,
{
    /// Ends the session also when the future is dropped.
    struct End(Arc<Shared>);
    impl Drop for End {
        fn drop(&mut self) {
            self.0.finish(Error::Closed);
        }
    }
    let end = End(Arc::clone(&shared));
    let (reader, writer) = tokio::io::split(io);
    let error = tokio::select! {
        biased;
        error = write(writer, &shared, queue) => error,
        error = read(reader, &shared) => error,
    };
    shared.finish(error);
    drop(end);
}

async fn write(io: impl AsyncWrite + Unpin, shared: &Shared, mut queue: mpsc::Receiver<Out>) -> Error {
    let mut io = BufWriter::with_capacity(READ_PIECE, io);
    let mut encoder = Encoder::new();
    loop {
        match write_some(&mut io, &mut encoder, shared, &mut queue).await {
            Ok(true) => {}
            Ok(false) => {
                // What was said is out; the peer sees the end of the connection after it.
                let _ = io.shutdown().await;
                return Error::Closed;
            }
            Err(error) => return Error::Io(Arc::new(error)),
        }
    }
}

/// Writes what waits, or waits for something. False when the session is closing and nothing is left.
async fn write_some(
    io: &mut (impl AsyncWrite + Unpin),
    encoder: &mut Encoder,
    shared: &Shared,
    queue: &mut mpsc::Receiver<Out>,
) -> std::io::Result<bool> {
    let (reply, closing) = {
        let mut state = shared.state.lock();
        (state.control.pop_front(), state.closing)
    };
    if let Some(frame) = reply {
        // The last word comes after the data that was queued before it.
        if matches!(frame, Frame::GoAway { .. }) {
            while let Ok(out) = queue.try_recv() {
                write_out(io, encoder, out).await?;
            }
        }
        io.write_all(&encoder.encode(&frame)).await?;
        return Ok(true);
    }
    if let Ok(out) = queue.try_recv() {
        write_out(io, encoder, out).await?;
        return Ok(true);
    }
    io.flush().await?;
    if closing {
        return Ok(false);
    }
    tokio::select! {
        biased;
        () = shared.wake_writer.notified() => {}
        Some(out) = queue.recv() => write_out(io, encoder, out).await?,
    }
    Ok(true)
}

async fn write_out(
    io: &mut (impl AsyncWrite + Unpin),
    encoder: &mut Encoder,
    out: Out,
) -> std::io::Result<()> {
    match out {
        Out::Frame(frame) => io.write_all(&encoder.encode(&frame)).await,
        Out::Data { id, fin, data } => {
            io.write_all(&data_head(id, fin, data.len())).await?;
            io.write_all(&data).await
        }
    }
}

async fn read(io: impl AsyncRead + Unpin, shared: &Arc<Shared>) -> Error {
    let mut io = BufReader::with_capacity(READ_PIECE, io);
    let mut decoder = Decoder::new();
    loop {
        if let Err(error) = read_frame(&mut io, &mut decoder, shared).await {
            return error;
        }
    }
}

async fn read_frame(
    io: &mut (impl AsyncRead + Unpin),
    decoder: &mut Decoder,
    shared: &Arc<Shared>,
) -> Result<(), Error> {
    let mut head = [0; HEAD_LEN];
    match io.read_exact(&mut head).await {
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return Err(Error::Closed),
        Err(e) => return Err(Error::Io(Arc::new(e))),
    }
    let protocol = |e| Error::Protocol(Arc::new(e));
    match parse_head(head).map_err(protocol)? {
        Head::Data { id, fin, len } => read_data(io, shared, id, fin, len).await,
        Head::Control { kind, flags, len } => {
            let mut body = vec![0; len];
            io.read_exact(&mut body).await.map_err(|e| Error::Io(Arc::new(e)))?;
            let frame = decoder.decode(kind, flags, &Bytes::from(body)).map_err(protocol)?;
            take(shared, frame);
            // A peer that causes replies without end and reads none is cut off.
            let too_many = shared.state.lock().control.len() > MAX_CONTROL_QUEUE;
            if too_many { Err(Error::Closed) } else { Ok(()) }
        }
    }
}

async fn read_data(
    io: &mut (impl AsyncRead + Unpin),
    shared: &Shared,
    id: u32,
    fin: bool,
    len: usize,
) -> Result<(), Error> {
    let stream = shared.state.lock().streams.get(&id).cloned();
    let mut left = len;
    while left > 0 {
        let mut piece = BytesMut::zeroed(left.min(READ_PIECE));
        io.read_exact(&mut piece).await.map_err(|e| Error::Io(Arc::new(e)))?;
        left -= piece.len();
        match &stream {
            Some(stream) => deliver(shared, stream, piece.freeze()).await,
            None => shared.session_taken(piece.len()),
        }
    }
    match &stream {
        Some(stream) if fin => {
            stream.state.lock().peer_finished = true;
            stream.changed.notify_waiters();
            shared.forget_if_done(stream);
        }
        Some(_) => {}
        // Data that was under way when we reset the stream, which the peer will learn; or nonsense, likewise.
        None => shared.control(Frame::Reset { id, code: ResetCode::INVALID_STREAM }),
    }
    Ok(())
}

/// Hands data to a stream. Without flow control it waits for room; with it, a peer that goes beyond the window loses the
/// stream.
async fn deliver(shared: &Shared, stream: &StreamShared, data: Bytes) {
    if stream.state.lock().abandoned {
        shared.taken(stream, data.len());
        return;
    }
    if shared.config.flow_control {
        let window = INITIAL_WINDOW as usize;
        let mut state = stream.state.lock();
        if state.reset.is_some() || state.peer_finished {
            drop(state);
            shared.session_taken(data.len());
            return;
        }
        // What was taken and not yet acknowledged still counts against the window.
        if state.buffered + state.unacknowledged as usize + data.len() > window {
            state.reset = Some(ResetCode::FLOW_CONTROL_ERROR);
            drop(state);
            shared.control(Frame::Reset { id: stream.id, code: ResetCode::FLOW_CONTROL_ERROR });
            shared.forget_if_done(stream);
        } else {
            push(&mut state, data);
        }
    } else {
        wait(&stream.changed, || {
            let state = stream.state.lock();
            (state.buffered < MAX_BUFFERED || state.reset.is_some() || state.abandoned).then_some(())
        })
        .await;
        let mut state = stream.state.lock();
        if state.reset.is_none() && !state.peer_finished && !state.abandoned {
            push(&mut state, data);
        }
    }
    stream.changed.notify_waiters();
}

fn push(state: &mut super::StreamState, data: Bytes) {
    state.buffered += data.len();
    state.received.push_back(data);
}

/// Acts on a control frame.
fn take(shared: &Arc<Shared>, frame: Frame) {
    match frame {
        Frame::SynStream { id, fin, headers } => syn_stream(shared, id, fin, headers),
        Frame::SynReply { id, fin, .. } => {
            with_stream(shared, id, |state| {
                state.replied = true;
                state.peer_finished |= fin;
            });
        }
        Frame::Headers { id, fin, .. } => {
            with_stream(shared, id, |state| state.peer_finished |= fin);
        }
        Frame::Reset { id, code } => {
            with_stream(shared, id, |state| {
                state.reset.get_or_insert(code);
            });
        }
        Frame::Settings { initial_window: Some(window) } => {
            let streams: Vec<_> = {
                let mut state = shared.state.lock();
                let delta = i64::from(window) - state.initial_send_window;
                state.initial_send_window = window.into();
                state.streams.values().map(|s| (Arc::clone(s), delta)).collect()
            };
            for (stream, delta) in streams {
                stream.state.lock().send_window += delta;
                stream.changed.notify_waiters();
            }
        }
        Frame::Ping { id } => {
            let ours = (id % 2 == 1) == shared.config.client;
            let waiter = if ours { shared.state.lock().pings.remove(&id) } else { None };
            match waiter {
                // Nobody waits for it any more: fine.
                Some(waiter) => drop(waiter.send(())),
                None if !ours => shared.control(Frame::Ping { id }),
                None => {}
            }
        }
        Frame::GoAway { .. } => shared.state.lock().going_away = true,
        Frame::WindowUpdate { id: 0, delta } => {
            let streams: Vec<_> = {
                let mut state = shared.state.lock();
                state.send_window += i64::from(delta);
                state.streams.values().cloned().collect()
            };
            streams.iter().for_each(|s| s.changed.notify_waiters());
        }
        Frame::WindowUpdate { id, delta } => {
            with_stream(shared, id, |state| state.send_window += i64::from(delta));
        }
        Frame::Settings { initial_window: None } | Frame::Unknown => {}
    }
}

/// Changes a stream's state and wakes who waits on it. A stream that is gone needs nothing.
fn with_stream(shared: &Shared, id: u32, change: impl FnOnce(&mut super::StreamState)) {
    let Some(stream) = shared.state.lock().streams.get(&id).cloned() else { return };
    change(&mut stream.state.lock());
    stream.changed.notify_waiters();
    shared.forget_if_done(&stream);
}

fn syn_stream(shared: &Arc<Shared>, id: u32, fin: bool, headers: crate::Headers) {
    let refusal = {
        let mut state = shared.state.lock();
        let theirs = (id % 2 == 1) != shared.config.client;
        if !theirs || id <= state.last_peer_id {
            Some(ResetCode::PROTOCOL_ERROR)
        } else if state.closing
            || state.streams.len() >= MAX_STREAMS
            || state.unaccepted.len() >= MAX_UNACCEPTED
        {
            Some(ResetCode::REFUSED_STREAM)
        } else {
            state.last_peer_id = id;
            let stream = shared.add_stream(&mut state, id, headers);
            // The other way round than the lock order says; nobody can know of this stream yet.
            stream.inner.state.lock().peer_finished = fin;
            state.unaccepted.push_back(stream);
            None
        }
    };
    match refusal {
        Some(code) => shared.control(Frame::Reset { id, code }),
        None => shared.accepted.notify_waiters(),
    }
}
