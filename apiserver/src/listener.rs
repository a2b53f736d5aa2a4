//! Sockets: the accept loop, TLS and HTTP limits. What a request means is no concern of this file; it only attaches the
//! peer's certificate and address.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::response::{Body, Request, Response};
use crate::seams::PeerCertificate;
use crate::server::ApiServer;

/// Connections at once. Well below the file limit of the hosts that we run on; more wait in the backlog.
const MAX_CONNECTIONS: usize = 8192;
/// A client has this long for its handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A client has this long for a request's head; idle connections are kept as long, as upstream keeps them.
const HEADER_TIMEOUT: Duration = Duration::from_secs(90);
/// Streams at once on one HTTP/2 connection, as upstream.
const MAX_STREAMS: u32 = 250;
/// HTTP/2 windows: a list of a few megabytes goes out without waiting for each 64 KiB.
const STREAM_WINDOW: u32 = 1 << 20;
/// Pings that find dead peers, so that their watches end.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);
/// How long an accept loop rests when the host is out of files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The address of the peer, as a request extension.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddress(pub SocketAddr);

impl ApiServer {
    /// Serves HTTP/1.1 (with upgrades) and HTTP/2 over TLS on `listener` until the server stops. Connections then get
    /// until the end of the server's grace to finish what they have begun.
    pub fn serve(self: &Arc<Self>, listener: TcpListener, tls: rustls::ServerConfig) {
        let server = Arc::clone(self);
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
        let stop = self.tasks().token();
        self.tasks().spawn_until_stop("accept", async move {
            let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
            loop {
                let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
                let (stream, address) = match listener.accept().await {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(%error, "accept failed");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                };
                let (server, acceptor, stop) = (Arc::clone(&server), acceptor.clone(), stop.clone());
                let tasks = server.tasks().clone();
                tasks.spawn("connection", async move {
                    let _slot = slot;
                    connection(server, acceptor, stream, address, stop).await;
                });
            }
        });
    }
}

async fn connection(
    server: Arc<ApiServer>,
    acceptor: tokio_rustls::TlsAcceptor,
    stream: TcpStream,
    address: SocketAddr,
    stop: CancellationToken,
) {
    // Small answers must not wait for more to come; a socket that cannot be told so still works.
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await else {
        return; // A failed handshake is the client's affair.
    };
    let certificate = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(|chain| chain.first())
        .map(|der| PeerCertificate(Arc::from(der.as_ref())));
    let used = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&used);
    let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
        seen.store(true, Ordering::Relaxed);
        let server = Arc::clone(&server);
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(PeerAddress(address));
        if let Some(certificate) = &certificate {
            request.extensions_mut().insert(certificate.clone());
        }
        async move { Ok::<Response, Infallible>(server.handle(request).await) }
    });
    let builder = builder();
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        biased;
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            // A connection that breaks while it drains is the client's affair.
            let _ = connection.await;
        }
        // So is one that breaks at any other time.
        _ = connection.as_mut() => {}
        () = never_used(&used) => {}
    }
}

/// Ends when a connection has brought no request in the time for one. The limit on heads does not see a client that
/// sends nothing at all, or half of an HTTP/2 preface, and strangers could hold every slot that way.
async fn never_used(used: &AtomicBool) {
    tokio::time::sleep(HEADER_TIMEOUT).await;
    if used.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(STREAM_WINDOW * 4)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_is_given_up_and_a_used_one_kept() {
        let limit = HEADER_TIMEOUT * 10;
        assert!(tokio::time::timeout(limit, never_used(&AtomicBool::new(false))).await.is_ok());
        assert!(tokio::time::timeout(limit, never_used(&AtomicBool::new(true))).await.is_err());
    }
}
