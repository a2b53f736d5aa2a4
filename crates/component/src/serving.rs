//! The small HTTP server beside a component: health and metrics, plain or over TLS.
//!
//! The API server and the kubelet have servers of their own; this one answers GETs with short texts. Who may read what
//! is a [`Gate`]'s business.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::metrics::{self, Metrics};
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

/// Health, and nothing else.
pub fn health_only() -> Handler {
    Arc::new(|target| health(target).unwrap_or_else(Answer::not_found))
}

/// Health and metrics.
pub fn health_and_metrics(metrics: Metrics) -> Handler {
    Arc::new(move |target| match split(target).0 {
        "/metrics" => Answer { status: 200, content_type: metrics::CONTENT_TYPE, body: metrics.render() },
        _ => health(target).unwrap_or_else(Answer::not_found),
    })
}

fn split(target: &str) -> (&str, &str) {
    target.split_once('?').unwrap_or((target, ""))
}

/// The answer to a question for health: `ok`, or what has been checked where that is asked for.
fn health(target: &str) -> Option<Answer> {
    let (path, query) = split(target);
    let name =
        ["healthz", "livez", "readyz"].into_iter().find(|name| path.strip_prefix('/') == Some(name))?;
    let verbose = query.split('&').any(|pair| pair.split('=').next() == Some("verbose"));
    Some(if verbose { Answer::text(200, format!("[+]ping ok\n{name} check passed\n")) } else { Answer::ok() })
}

/// What is known of a request before it is answered.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Without its query.
    pub path: String,
    /// The client's, in DER. Whoever has its key; what it is worth is the gate's to find out.
    pub certificate: Option<Arc<[u8]>>,
    /// The header of that name.
    pub authorization: Option<String>,
}

/// Lets requests in or refuses them.
pub trait Gate: Send + Sync + fmt::Debug {
    fn admit<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<(), Answer>>;
}

/// Where and how to serve.
#[derive(Clone)]
pub struct Serving {
    pub handler: Handler,
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Everybody may ask for everything where there is none.
    pub gate: Option<Arc<dyn Gate>>,
}

impl Serving {
    /// Without TLS, for everybody who can connect.
    pub fn plain(handler: Handler) -> Self {
        Self { handler, tls: None, gate: None }
    }
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
            let serving = serving.clone();
            let acceptor = acceptor.clone();
            connections.spawn_until_stop("connection", async move {
                let _slot = slot;
                match acceptor {
                    Some(acceptor) => {
                        // A failed handshake is the client's affair.
                        if let Ok(Ok(stream)) =
                            tokio::time::timeout(HEADER_TIMEOUT, acceptor.accept(stream)).await
                        {
                            let chain = stream.get_ref().1.peer_certificates();
                            let certificate = chain.and_then(|c| c.first()).map(|c| Arc::from(c.as_ref()));
                            connection(stream, serving, certificate).await;
                        }
                    }
                    None => connection(stream, serving, None).await,
                }
            });
        }
    });
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    serving: Serving,
    certificate: Option<Arc<[u8]>>,
) {
    let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let (serving, certificate) = (serving.clone(), certificate.clone());
        async move {
            let answer = answer(&serving, &request, certificate).await;
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

async fn answer<B>(serving: &Serving, request: &hyper::Request<B>, certificate: Option<Arc<[u8]>>) -> Answer {
    if request.method() != hyper::Method::GET && request.method() != hyper::Method::HEAD {
        return Answer::text(405, "method not allowed\n");
    }
    if let Some(gate) = &serving.gate {
        let authorization = request.headers().get(http::header::AUTHORIZATION);
        let asked = Asked {
            path: request.uri().path().to_owned(),
            certificate,
            authorization: authorization.and_then(|v| v.to_str().ok()).map(str::to_owned),
        };
        if let Err(refused) = gate.admit(&asked).await {
            return refused;
        }
    }
    (serving.handler)(request.uri().path_and_query().map_or("/", |p| p.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Closed;

    impl Gate for Closed {
        fn admit<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<(), Answer>> {
            let open = asked.path == "/healthz" || asked.authorization.as_deref() == Some("Bearer good");
            let answer = if open { Ok(()) } else { Err(Answer::text(401, "no")) };
            Box::pin(std::future::ready(answer))
        }
    }

    #[tokio::test]
    async fn a_gate_is_asked_first() {
        let gate: Arc<dyn Gate> = Arc::new(Closed);
        let serving = Serving { handler: health_and_metrics(Metrics::new()), tls: None, gate: Some(gate) };
        for (method, target, token, expected) in [
            ("GET", "/healthz", "", (200, "ok")),
            ("GET", "/healthz?verbose", "", (200, "[+]ping ok\nhealthz check passed\n")),
            ("GET", "/metrics", "", (401, "no")),
            ("GET", "/metrics?x=/healthz", "", (401, "no")),
            ("GET", "/metrics", "Bearer good", (200, "")),
            ("GET", "/nothing", "Bearer good", (404, "404 page not found\n")),
            ("POST", "/healthz", "", (405, "method not allowed\n")),
        ] {
            let request = hyper::Request::builder().method(method).uri(target);
            let request = request.header(http::header::AUTHORIZATION, token).body(()).unwrap();
            let answer = answer(&serving, &request, None).await;
            assert_eq!((answer.status, answer.body.as_str()), expected, "{method} {target}");
        }
    }
}
