//! One HTTP/2 connection over TLS with a client certificate: what is measured is the server, so the client is bare.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};

/// A connection. Cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
}

impl Connection {
    /// Connects to `127.0.0.1:port`.
    pub async fn open(port: u16, mut tls: rustls::ClientConfig, tasks: &component::Tasks) -> Result<Self> {
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.context("connect")?;
        stream.set_nodelay(true)?;
        let name = rustls_pki_types::ServerName::try_from("127.0.0.1").expect("an address is a server name");
        let stream =
            tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(name, stream).await.context("TLS")?;
        let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(8 << 20)
            .initial_connection_window_size(8 << 20)
            .handshake(TokioIo::new(stream))
            .await
            .context("HTTP/2")?;
        tasks.spawn_until_stop("h2", async move {
            // Its end is seen by the requests on it.
            let _ = connection.await;
        });
        Ok(Self { sender, authority: format!("127.0.0.1:{port}") })
    }

    /// Sends a request and reads the whole answer: status and length of the body.
    pub async fn send(&self, method: &str, path: &str, body: Bytes) -> Result<(u16, Bytes)> {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", self.authority))
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .header("user-agent", "gantry-bench")
            .body(Full::new(body))?;
        let mut sender = self.sender.clone();
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, body))
    }

    /// As [`Connection::send`], but reads the body without keeping it; its length.
    pub async fn drain(&self, path: &str) -> Result<usize> {
        let request = http::Request::builder()
            .uri(format!("https://{}{path}", self.authority))
            .header("accept", "application/json")
            .body(Full::new(Bytes::new()))?;
        let mut sender = self.sender.clone();
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        if response.status() != 200 {
            bail!("{path}: status {}", response.status());
        }
        let mut body = response.into_body();
        let mut length = 0;
        while let Some(frame) = body.frame().await {
            length += frame?.data_ref().map_or(0, Bytes::len);
        }
        Ok(length)
    }
}
