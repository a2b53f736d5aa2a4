//! A byte stream inside the binary messages of a WebSocket: how port-forward's SPDY passes through one.

use bytes::Bytes;
use futures::SinkExt as _;
use futures::stream::StreamExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// What is read from the connection before it goes out as one message.
const PIECE: usize = 32 * 1024;
/// The longest message that a peer may send.
const MAX_MESSAGE: usize = 16 << 20;

/// The answering side of a WebSocket whose handshake is done.
pub async fn websocket_server<IO: AsyncRead + AsyncWrite + Unpin>(io: IO) -> WebSocketStream<IO> {
    WebSocketStream::from_raw_socket(io, Role::Server, Some(config())).await
}

/// The asking side of a WebSocket whose handshake is done.
pub async fn websocket_client<IO: AsyncRead + AsyncWrite + Unpin>(io: IO) -> WebSocketStream<IO> {
    WebSocketStream::from_raw_socket(io, Role::Client, Some(config())).await
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE)).max_frame_size(Some(MAX_MESSAGE))
}

/// The value of `Sec-WebSocket-Accept` for a client's `Sec-WebSocket-Key`.
pub fn websocket_accept(key: &str) -> String {
    tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.as_bytes())
}

/// Passes bytes between the messages of `ws` and `io` until either ends.
pub async fn tunnel<W, IO>(ws: WebSocketStream<W>, io: IO)
where
    W: AsyncRead + AsyncWrite + Unpin,
    IO: AsyncRead + AsyncWrite,
{
    let (mut sink, mut source) = ws.split();
    let (mut reader, mut writer) = tokio::io::split(io);
    let inbound = async {
        while let Some(Ok(message)) = source.next().await {
            let data = match message {
                Message::Binary(data) => data,
                Message::Close(_) => break,
                // Pings are answered by the library; text has no meaning here.
                _ => continue,
            };
            if writer.write_all(&data).await.is_err() || writer.flush().await.is_err() {
                break;
            }
        }
        // The other side learns that nothing more comes, and may still answer.
        let _ = writer.shutdown().await;
    };
    let outbound = async {
        let mut buffer = vec![0; PIECE];
        while let Ok(n) = reader.read(&mut buffer).await {
            if n == 0 || sink.send(Message::Binary(Bytes::copy_from_slice(&buffer[..n]))).await.is_err() {
                break;
            }
        }
        let _ = sink.send(Message::Close(None)).await;
    };
    // When the runtime's side ends, all has been said; when the client's does, its answers may still be under way, but
    // nobody reads them.
    tokio::select! {
        biased;
        () = outbound => {}
        () = inbound => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Session};

    #[tokio::test]
    async fn spdy_passes_through_a_websocket() {
        let (client_io, server_io) = tokio::io::duplex(1 << 16);
        let (runtime_io, kubelet_io) = tokio::io::duplex(1 << 16);
        let (near, far) = tokio::io::duplex(1 << 16);
        let middle = async { tunnel(websocket_server(server_io).await, kubelet_io).await };
        let outer = async { tunnel(websocket_client(client_io).await, far).await };
        let (client, drive_client) = Session::new(near, Config::client());
        let (runtime, drive_runtime) = Session::new(runtime_io, Config::server());
        let work = async {
            let serve = async {
                let stream = runtime.accept().await.unwrap();
                let data = stream.read().await.unwrap().unwrap();
                stream.write(data).await.unwrap();
                stream.finish().await.unwrap();
            };
            let ask = async {
                let stream = client.open(vec![("streamtype".into(), "data".into())]).await.unwrap();
                stream.write(Bytes::from_static(b"through")).await.unwrap();
                assert_eq!(stream.read().await.unwrap().unwrap(), "through");
                assert_eq!(stream.read().await.unwrap(), None);
            };
            tokio::join!(serve, ask);
        };
        tokio::select! {
            biased;
            () = work => {}
            _ = async { tokio::join!(middle, outer, drive_client, drive_runtime) } => panic!("ended early"),
        }
    }
}
