//! From a WebSocket client of exec, attach or port-forward to a SPDY server (the container runtime, or an upstream kubelet).
//!
//! The runtime's error stream carries a Status since version 4; older WebSocket clients get its message alone. The
//! half-close of version 5's channel 255 becomes the end of the SPDY stream, so that `cat` in a container sees the end
//! of its input.

mod ports;

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::SinkExt as _;
use futures::stream::{SplitSink, SplitStream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

pub use self::ports::{MAX_PORTS, run_ports};
use crate::remotecommand::{self, Streams, channel};
use crate::{Error, Session, Stream};

/// How long the client's closing handshake is waited for.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

type Sink<W> = Mutex<SplitSink<WebSocketStream<W>, Message>>;

/// The SPDY streams of one command.
#[derive(Debug)]
pub struct Command {
    error: Stream,
    stdin: Option<Stream>,
    stdout: Option<Stream>,
    stderr: Option<Stream>,
    resize: Option<Stream>,
}

/// Opens the streams of a command, as a SPDY client of version 4 does.
pub async fn open_command(session: &Session, streams: Streams) -> Result<Command, Error> {
    let open = |kind: &'static str, wanted: bool| async move {
        if !wanted {
            return Ok(None);
        }
        session.open(vec![(remotecommand::STREAM_TYPE.to_owned(), kind.to_owned())]).await.map(Some)
    };
    // With a terminal, standard error goes to standard output.
    Ok(Command {
        error: open(remotecommand::ERROR, true).await?.ok_or(Error::Closed)?,
        stdin: open(remotecommand::STDIN, streams.stdin).await?,
        stdout: open(remotecommand::STDOUT, streams.stdout).await?,
        stderr: open(remotecommand::STDERR, streams.stderr && !streams.tty).await?,
        resize: open(remotecommand::RESIZE, streams.tty).await?,
    })
}

/// Passes a command's streams to and from a WebSocket of version `protocol` until the command ends or the client goes.
pub async fn run_command<W>(ws: WebSocketStream<W>, protocol: &str, command: &Command)
where
    W: AsyncRead + AsyncWrite + Unpin,
{
    let (sink, source) = ws.split();
    let sink = Mutex::new(sink);
    // An empty message tells the client that the command is there, before it prints anything.
    let first = if command.stdout.is_some() { channel::STDOUT } else { channel::ERROR };
    if send(&sink, first, &[]).await.is_err() {
        return;
    }
    let outbound = async {
        let out = pump(&sink, channel::STDOUT, command.stdout.as_ref());
        let err = pump(&sink, channel::STDERR, command.stderr.as_ref());
        let ((), (), status) = tokio::join!(out, err, status(&command.error));
        let status = render_status(protocol, &status);
        if !status.is_empty() {
            // A client that is gone does not want it.
            let _ = send(&sink, channel::ERROR, &status).await;
        }
    };
    let (source, gone) = {
        let mut source = source;
        let gone = tokio::select! {
            biased;
            () = outbound => false,
            () = take_input(&mut source, protocol, command) => true,
        };
        (source, gone)
    };
    if !gone {
        close(&sink, source).await;
    }
}

/// Ends a WebSocket for which no command could be started: the client learns why as it would from a command.
pub async fn refuse<W>(ws: WebSocketStream<W>, protocol: &str, message: &str)
where
    W: AsyncRead + AsyncWrite + Unpin,
{
    let (sink, source) = ws.split();
    let sink = Mutex::new(sink);
    let status = remotecommand::internal_error(message).to_string();
    if send(&sink, channel::ERROR, &render_status(protocol, status.as_bytes())).await.is_ok() {
        close(&sink, source).await;
    }
}

async fn send<W>(sink: &Sink<W>, number: u8, data: &[u8]) -> Result<(), ()>
where
    W: AsyncRead + AsyncWrite + Unpin,
{
    let mut message = BytesMut::with_capacity(1 + data.len());
    message.put_u8(number);
    message.put_slice(data);
    sink.lock().await.send(Message::Binary(message.freeze())).await.map_err(drop)
}

/// Passes one output stream on, to its end.
async fn pump<W>(sink: &Sink<W>, number: u8, stream: Option<&Stream>)
where
    W: AsyncRead + AsyncWrite + Unpin,
{
    let Some(stream) = stream else { return };
    // A stream that breaks off ends like one that ends: the error stream says what happened.
    while let Ok(Some(data)) = stream.read().await {
        if send(sink, number, &data).await.is_err() {
            return;
        }
    }
}

/// What a command's error stream says, in all.
async fn status(stream: &Stream) -> Vec<u8> {
    let said = whole(stream).await;
    said.unwrap_or_else(|text| remotecommand::internal_error(&text).to_string().into_bytes())
}

/// What an error stream says, in all, or that it broke off before it said anything.
async fn whole(stream: &Stream) -> Result<Vec<u8>, String> {
    /// A Status is a few hundred bytes.
    const MAX_STATUS: usize = 64 * 1024;
    let mut all = Vec::new();
    loop {
        match stream.read().await {
            Ok(Some(data)) if all.len() + data.len() <= MAX_STATUS => all.extend_from_slice(&data),
            Ok(Some(_)) => {}
            Err(error) if all.is_empty() => {
                return Err(format!("the connection to the container runtime was lost: {error}"));
            }
            Ok(None) | Err(_) => return Ok(all),
        }
    }
}

/// The error channel's content: a Status since version 4, before that the message of a failure.
fn render_status(protocol: &str, status: &[u8]) -> Bytes {
    if matches!(protocol, remotecommand::V5 | remotecommand::V4) {
        return Bytes::copy_from_slice(status);
    }
    let parsed: serde_json::Value = serde_json::from_slice(status).unwrap_or_default();
    if parsed["status"] == "Success" {
        return Bytes::new();
    }
    match parsed["message"].as_str() {
        Some(message) => Bytes::copy_from_slice(message.as_bytes()),
        None => Bytes::copy_from_slice(status),
    }
}

/// Takes the client's messages until it goes.
async fn take_input<W>(source: &mut SplitStream<WebSocketStream<W>>, protocol: &str, command: &Command)
where
    W: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = source.next().await {
        let data = match message {
            Message::Binary(data) => data,
            Message::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
            Message::Close(_) => return,
            _ => continue,
        };
        let Some((&number, rest)) = data.split_first() else { continue };
        let rest = data.slice_ref(rest);
        match number {
            channel::STDIN => forward(command.stdin.as_ref(), rest).await,
            channel::RESIZE => forward(command.resize.as_ref(), rest).await,
            channel::CLOSE if protocol == remotecommand::V5 => {
                if rest.first() == Some(&channel::STDIN)
                    && let Some(stdin) = &command.stdin
                {
                    // A command that no longer reads has ended, which its other streams tell.
                    let _ = stdin.finish().await;
                }
            }
            // Channels that only the server writes to.
            _ => {}
        }
    }
}

async fn forward(stream: Option<&Stream>, data: Bytes) {
    if let Some(stream) = stream {
        // Input for a command that has ended, or that has closed its input, is dropped.
        let _ = stream.write(data).await;
    }
}

async fn close<W>(sink: &Sink<W>, mut source: SplitStream<WebSocketStream<W>>)
where
    W: AsyncRead + AsyncWrite + Unpin,
{
    let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    if sink.lock().await.send(Message::Close(Some(frame))).await.is_err() {
        return;
    }
    // The client answers with its own close; until then its last messages are on their way.
    let answered = async { while let Some(Ok(_)) = source.next().await {} };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, answered).await;
}

#[cfg(test)]
mod tests;
