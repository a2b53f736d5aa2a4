//! The HTTP/1.1 upgrade that precedes a SPDY connection (and a WebSocket one), over raw bytes.
//!
//! Heads are small and read whole before anything is decided; what follows a head in the same read is kept in
//! [`Prefixed`] and read first.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use crate::frame::Headers;

/// The `Upgrade` header's value for SPDY.
pub const SPDY_3_1: &str = "SPDY/3.1";
/// The header in which both sides name the protocol above SPDY.
pub const STREAM_PROTOCOL: &str = "X-Stream-Protocol-Version";

/// Bytes of a request's or answer's head.
const MAX_HEAD: usize = 64 * 1024;
/// Bytes of an answer that refuses the upgrade: enough for its message.
const MAX_REFUSAL: usize = 16 * 1024;

/// Why there is no upgraded connection.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    #[error("upgrade: {0}")]
    Io(#[from] io::Error),
    #[error("upgrade: the peer sent no HTTP/1.1 head")]
    Malformed,
    /// The server's own answer.
    #[error("upgrade refused with status {status}: {body}")]
    Refused { status: u16, body: String },
}

/// The head of a request or an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// `GET /path HTTP/1.1` or `HTTP/1.1 101 Switching Protocols`.
    pub first_line: String,
    pub headers: Headers,
}

impl Head {
    /// The first value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// An answer's status.
    pub fn status(&self) -> Option<u16> {
        self.first_line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let mut lines = text.split("\r\n");
        let first_line = lines.next().filter(|l| !l.is_empty())?.to_owned();
        let headers = lines
            .filter(|l| !l.is_empty())
            .map(|l| l.split_once(':').map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned())))
            .collect::<Option<Headers>>()?;
        Some(Self { first_line, headers })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut out = format!("{}\r\n", self.first_line);
        for (name, value) in &self.headers {
            out.push_str(name);
            out.push_str(": ");
            out.push_str(value);
            out.push_str("\r\n");
        }
        out.push_str("\r\n");
        out.into_bytes()
    }
}

/// Bytes that were read too far, before the rest of a connection.
#[derive(Debug)]
pub struct Prefixed<IO> {
    prefix: Bytes,
    io: IO,
}

impl<IO> Prefixed<IO> {
    pub fn new(prefix: Bytes, io: IO) -> Self {
        Self { prefix, io }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Prefixed<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let n = self.prefix.len().min(buf.remaining());
        buf.put_slice(&self.prefix[..n]);
        self.prefix.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Prefixed<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Reads a head, and what came with it.
pub async fn read_head<IO: AsyncRead + Unpin>(io: &mut IO) -> Result<(Head, Bytes), HandshakeError> {
    const END: &[u8] = b"\r\n\r\n";
    let mut buffer = BytesMut::with_capacity(2048);
    loop {
        if let Some(at) = buffer.windows(END.len()).position(|w| w == END) {
            let head = buffer.split_to(at + END.len());
            let head = Head::parse(&head[..at]).ok_or(HandshakeError::Malformed)?;
            return Ok((head, buffer.freeze()));
        }
        if buffer.len() > MAX_HEAD || io.read_buf(&mut buffer).await? == 0 {
            return Err(HandshakeError::Malformed);
        }
    }
}

/// Sends a head.
pub async fn write_head<IO: AsyncWrite + Unpin>(io: &mut IO, head: &Head) -> Result<(), HandshakeError> {
    io.write_all(&head.to_bytes()).await?;
    io.flush().await?;
    Ok(())
}

/// Asks for an upgrade with `request` (which names it) and returns the server's answer and the connection.
pub async fn upgrade<IO>(mut io: IO, request: &Head) -> Result<(Head, Prefixed<IO>), HandshakeError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    write_head(&mut io, request).await?;
    let (head, rest) = read_head(&mut io).await?;
    let status = head.status().ok_or(HandshakeError::Malformed)?;
    let mut io = Prefixed::new(rest, io);
    if status == 101 {
        return Ok((head, io));
    }
    let limit = head.header("content-length").and_then(|l| l.parse().ok()).unwrap_or(MAX_REFUSAL as u64);
    let mut body = Vec::new();
    // The text is for people; an answer that ends early is still a refusal.
    let _ = (&mut io).take(limit.min(MAX_REFUSAL as u64)).read_to_end(&mut body).await;
    Err(HandshakeError::Refused { status, body: String::from_utf8_lossy(&body).trim().to_owned() })
}

/// The request for SPDY with these protocols above it, best first.
pub fn spdy_request(method: &str, target: &str, host: &str, protocols: &[&str]) -> Head {
    let mut headers: Headers =
        [("Host", host), ("Connection", "Upgrade"), ("Upgrade", SPDY_3_1), ("Content-Length", "0")]
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .to_vec();
    headers.extend(protocols.iter().map(|p| (STREAM_PROTOCOL.to_owned(), (*p).to_owned())));
    Head { first_line: format!("{method} {target} HTTP/1.1"), headers }
}

/// The answer that agrees to SPDY with `protocol` above it.
pub fn spdy_answer(protocol: &str) -> Head {
    let headers = [("Connection", "Upgrade"), ("Upgrade", SPDY_3_1), (STREAM_PROTOCOL, protocol)];
    Head {
        first_line: "HTTP/1.1 101 Switching Protocols".to_owned(),
        headers: headers.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec(),
    }
}

/// An absolute `http://host:port/path?query`, as container runtimes give for their streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    /// `host:port`.
    pub authority: String,
    /// Path and query.
    pub target: String,
}

impl HttpUrl {
    /// `None` for anything else than plain HTTP.
    pub fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("http://")?;
        let (authority, path) =
            rest.split_once('/').map_or((rest, String::new()), |(a, p)| (a, p.to_owned()));
        if authority.is_empty() {
            return None;
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, p)| p.bytes().all(|b| b.is_ascii_digit()));
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        Some(Self { authority, target: format!("/{path}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_upgrade_keeps_what_came_with_the_answer() {
        let (client, mut server) = tokio::io::duplex(4096);
        let serve = async {
            let (head, rest) = read_head(&mut server).await.unwrap();
            assert_eq!(head.first_line, "POST /exec/x HTTP/1.1");
            assert_eq!(head.header("x-stream-protocol-version"), Some("v4.channel.k8s.io"));
            assert!(rest.is_empty());
            let mut answer = spdy_answer("v4.channel.k8s.io").to_bytes();
            answer.extend_from_slice(b"early");
            server.write_all(&answer).await.unwrap();
        };
        let request = spdy_request("POST", "/exec/x", "h", &["v4.channel.k8s.io", "v3.channel.k8s.io"]);
        let (upgraded, ()) = tokio::join!(upgrade(client, &request), serve);
        let (head, mut io) = upgraded.unwrap();
        assert_eq!(head.header(STREAM_PROTOCOL), Some("v4.channel.k8s.io"));
        let mut early = [0; 5];
        io.read_exact(&mut early).await.unwrap();
        assert_eq!(&early, b"early");
    }

    #[tokio::test]
    async fn a_refusal_keeps_its_words() {
        let (client, mut server) = tokio::io::duplex(4096);
        let serve = async {
            read_head(&mut server).await.unwrap();
            server.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\nno exec").await.unwrap();
        };
        let request = spdy_request("POST", "/", "h", &[]);
        let (upgraded, ()) = tokio::join!(upgrade(client, &request), serve);
        assert!(matches!(
            upgraded.map(drop),
            Err(HandshakeError::Refused { status: 404, body }) if body == "no exec"
        ));
    }

    #[test]
    fn urls_of_runtimes() {
        let url = HttpUrl::parse("http://127.0.0.1:41234/exec/abc?x=1").unwrap();
        assert_eq!((url.authority.as_str(), url.target.as_str()), ("127.0.0.1:41234", "/exec/abc?x=1"));
        assert_eq!(HttpUrl::parse("http://[::1]:80/").unwrap().authority, "[::1]:80");
        assert_eq!(HttpUrl::parse("https://x/"), None);
    }
}
