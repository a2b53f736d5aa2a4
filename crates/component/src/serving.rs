//! The small HTTP server beside a component: health and metrics, plain or over TLS.
//!
//! The API server and the kubelet have servers of their own; this one answers GETs with short texts.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::tasks::Tasks;

/// Connections served at once; more wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 64;
/// A client must have sent its request line and headers by then, and TLS its handshake.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
}

impl Answer {
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }
    pub fn ok() -> Self {
        Self::text(200, "ok")
    }
    pub fn not_found() -> Self {
        Self::text(404, "404 page not found\n")
    }
}

/// What answers a path (with query).
pub type Handler = Arc<dyn Fn(&str) -> Answer + Send + Sync>;

/// Health for everyone, and nothing else: metrics over the network want authorization, which this server does not do.
pub fn health_only() -> Handler {
    Arc::new(|path| match path.split('?').next().unwrap_or_default() {
        "/healthz" | "/livez" | "/readyz" => Answer::ok(),
        _ => Answer::text(403, "forbidden\n"),
    })
}

/// Where and how to serve.
#[derive(Clone)]
pub struct Serving {
    pub handler: Handler,
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}

/// Serves until the group stops.
pub fn serve(tasks: &Tasks, listener: TcpListener, serving: Serving) {
    let group = tasks.child("http");
    let connections = group.clone();
    group.spawn_until_stop("accept", async move {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let acceptor = serving.tls.clone().map(tokio_rustls::TlsAcceptor::from);
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of files or memory: give what is being served time to end.
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let handler = Arc::clone(&serving.handler);
            let acceptor = acceptor.clone();
            connections.spawn_until_stop("connection", async move {
                let _slot = slot;
                match acceptor {
                    Some(acceptor) => {
                        // A failed handshake is the client's affair.
                        if let Ok(Ok(stream)) =
                            tokio::time::timeout(HEADER_TIMEOUT, acceptor.accept(stream)).await
                        {
                            connection(stream, handler).await;
                        }
                    }
                    None => connection(stream, handler).await,
                }
            });
        }
    });
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, handler: Handler) {
    let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let handler = Arc::clone(&handler);
        async move {
            let answer = if request.method() == hyper::Method::GET || request.method() == hyper::Method::HEAD
            {
                handler(request.uri().path_and_query().map_or("/", |p| p.as_str()))
            } else {
                Answer::text(405, "method not allowed\n")
            };
            let response = hyper::Response::builder()
                .status(answer.status)
                .header(http::header::CONTENT_TYPE, answer.content_type)
                .header("X-Content-Type-Options", "nosniff")
                .body(http_body_util::Full::new(Bytes::from(answer.body)))
                .expect("a fixed set of headers is valid");
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    // A broken connection is the client's affair.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}
