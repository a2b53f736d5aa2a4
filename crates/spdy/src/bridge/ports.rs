//! Port-forward by channels: what clients use that know WebSockets and no SPDY.
//!
//! The client names all ports in its request. Each has two channels, one for data and one for errors, numbered in the order
//! of the request, and the first message of each is the port itself in two bytes, the low one first. The WebSocket
//! ends when every port's connection has ended; a client that wants another asks anew.

use bytes::Bytes;
use futures::future::join_all;
use futures::stream::{SplitStream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::{Sink, close, pump, send, whole};
use crate::{Error, Session, Stream, remotecommand};

/// As many ports as have two channels each in a byte.
pub const MAX_PORTS: usize = 128;

/// The SPDY streams of one port.
struct Port {
    number: u16,
    data: Stream,
    error: Stream,
}

/// Forwards `ports` between the channels of `ws` and streams of `session` until all have ended or the client goes.
pub async fn run_ports<W>(ws: WebSocketStream<W>, session: &Session, ports: &[u16])
where
    W: AsyncRead + AsyncWrite + Unpin,
{
    let (sink, mut source) = ws.split();
    let sink = Mutex::new(sink);
    let Ok(ports) = open(session, ports).await else {
        // The runtime has gone: the client learns it by the end.
        return close(&sink, source).await;
    };
    let outbound = async {
        join_all(channels(&ports).map(|(channel, port)| answer(&sink, channel, port))).await;
    };
    let gone = tokio::select! {
        biased;
        () = outbound => false,
        () = take_input(&mut source, &ports) => true,
    };
    if !gone {
        close(&sink, source).await;
    }
}

/// Each port with the number of its data's channel; the next is its errors'.
fn channels(ports: &[Port]) -> impl Iterator<Item = (u8, &Port)> {
    (0..=u8::MAX).step_by(2).zip(ports)
}

async fn open(session: &Session, ports: &[u16]) -> Result<Vec<Port>, Error> {
    let mut opened = Vec::with_capacity(ports.len());
    for (index, &number) in ports.iter().take(MAX_PORTS).enumerate() {
        let headers = |kind: &str| {
            let pairs = [
                (remotecommand::STREAM_TYPE, kind.to_owned()),
                (remotecommand::PORT_HEADER, number.to_string()),
                (remotecommand::REQUEST_ID_HEADER, index.to_string()),
            ];
            pairs.map(|(name, value)| (name.to_owned(), value)).to_vec()
        };
        let error = session.open(headers(remotecommand::ERROR)).await?;
        // Nothing is ever said to it.
        error.finish().await?;
        let data = session.open(headers(remotecommand::DATA)).await?;
        opened.push(Port { number, data, error });
    }
    Ok(opened)
}

/// Tells which port the channels are for, then what it answers and, at its end, what went wrong.
async fn answer<W>(sink: &Sink<W>, channel: u8, port: &Port)
where
    W: AsyncRead + AsyncWrite + Unpin,
{
    let number = port.number.to_le_bytes();
    for channel in [channel, channel + 1] {
        if send(sink, channel, &number).await.is_err() {
            return;
        }
    }
    let ((), error) = tokio::join!(pump(sink, channel, Some(&port.data)), whole(&port.error));
    let error = error.unwrap_or_else(String::into_bytes);
    if !error.is_empty() {
        // A client that is gone does not want it.
        let _ = send(sink, channel + 1, &error).await;
    }
}

/// Takes the client's messages until it goes.
async fn take_input<W>(source: &mut SplitStream<WebSocketStream<W>>, ports: &[Port])
where
    W: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = source.next().await {
        let data: Bytes = match message {
            Message::Binary(data) => data,
            Message::Close(_) => return,
            _ => continue,
        };
        let Some((&channel, rest)) = data.split_first() else { continue };
        // Channels of errors, with odd numbers, are only the server's to write to.
        let port = (channel % 2 == 0).then(|| ports.get(usize::from(channel / 2))).flatten();
        if let Some(port) = port {
            // What is for a connection that has ended is dropped: its end has been told.
            let _ = port.data.write(data.slice_ref(rest)).await;
        }
    }
}
