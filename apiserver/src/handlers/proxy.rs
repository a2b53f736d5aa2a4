//! Carrying a request on to a kubelet, pod or service: one connection per request, bodies streamed, upgrades bridged byte
//! by byte.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::Status;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::response::{Body, Response, bad_request};
use crate::server::{ApiServer, Call};

/// Connecting and the handshake together.
const DIAL_LIMIT: Duration = Duration::from_secs(30);

/// How the other side is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
    /// TLS with the server's client certificate.
    Kubelet,
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) scheme: Scheme,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// With query.
    pub(crate) path: String,
}

/// Headers of one connection alone, and those that say who the user is: neither goes on.
const NOT_FORWARDED: [HeaderName; 9] = [
    header::AUTHORIZATION,
    header::CONNECTION,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn dial(server: &ApiServer, to: &Destination) -> Result<Box<dyn Stream>, Status> {
    let failed = |why: String| Status::plain_error(format!("error dialing backend: {why}"));
    let address = if to.host.contains(':') {
        format!("[{}]:{}", to.host, to.port)
    } else {
        format!("{}:{}", to.host, to.port)
    };
    let connect = async {
        let stream =
            TcpStream::connect(&address).await.map_err(|e| failed(format!("dial tcp {address}: {e}")))?;
        // Interactive bytes must not wait for more to come; a socket that cannot be told so still works.
        let _ = stream.set_nodelay(true);
        if to.scheme == Scheme::Http {
            return Ok(Box::new(stream) as Box<dyn Stream>);
        }
        let config = server.config().kubelet_tls.clone();
        let config =
            config.ok_or_else(|| failed("no client certificate for kubelets is configured".into()))?;
        let name = ServerName::try_from(to.host.clone()).map_err(|e| failed(e.to_string()))?;
        let tls = tokio_rustls::TlsConnector::from(config);
        let stream = tls.connect(name, stream).await.map_err(|e| failed(e.to_string()))?;
        Ok(Box::new(stream) as Box<dyn Stream>)
    };
    tokio::time::timeout(DIAL_LIMIT, connect)
        .await
        .unwrap_or_else(|_| Err(failed(format!("dial tcp {address}: i/o timeout"))))
}

/// Headers that go on.
fn forwarded(headers: &HeaderMap) -> HeaderMap {
    let mut out = HeaderMap::new();
    for (name, value) in headers {
        let keep = !NOT_FORWARDED.contains(name)
            && !name.as_str().starts_with("impersonate-")
            && !name.as_str().starts_with("x-remote-")
            && name.as_str() != "keep-alive";
        if keep {
            out.append(name.clone(), value.clone());
        }
    }
    out
}

/// Sends a request and gives the answer's head and streaming body.
async fn exchange(
    server: &Arc<ApiServer>,
    to: &Destination,
    mut request: http::Request<Body>,
) -> Result<http::Response<hyper::body::Incoming>, Status> {
    let stream = dial(server, to).await?;
    let failed = |e: hyper::Error| Status::plain_error(format!("error dialing backend: {e}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    server.tasks().spawn_until_stop("backend connection", async move {
        // What breaks here breaks the body or the bridge, where it is seen.
        let _ = connection.with_upgrades().await;
    });
    let host = HeaderValue::from_str(&format!("{}:{}", to.host, to.port))
        .map_err(|e| Status::plain_error(e.to_string()))?;
    request.headers_mut().insert(header::HOST, host);
    sender.send_request(request).await.map_err(failed)
}

fn outgoing(call: &Call, to: &Destination, body: Body) -> Result<http::Request<Body>, Status> {
    let mut request = http::Request::builder()
        .method(call.method().clone())
        .uri(&to.path)
        .body(body)
        .map_err(|e| bad_request(e.to_string()))?;
    *request.headers_mut() = forwarded(&call.parts.headers);
    Ok(request)
}

fn answer(response: http::Response<hyper::body::Incoming>) -> Response {
    let (mut parts, body) = response.into_parts();
    parts.headers = forwarded(&parts.headers);
    // The length is known again from the body, when it is.
    Response::from_parts(parts, Body::new(body))
}

/// A plain exchange.
pub(crate) async fn fetch(
    server: &Arc<ApiServer>,
    call: &Call,
    body: Body,
    to: Destination,
) -> Result<Response, Status> {
    let request = outgoing(call, &to, body)?;
    Ok(answer(exchange(server, &to, request).await?))
}

/// A proxied request: an upgrade when it asks for one.
pub(crate) async fn forward(
    server: &Arc<ApiServer>,
    call: &mut Call,
    body: Body,
    to: Destination,
) -> Result<Response, Status> {
    let unreachable = |status: Status| {
        Status::service_unavailable(format!("error trying to reach service: {}", status.message))
    };
    if call.parts.headers.contains_key(header::UPGRADE) {
        return upgrade(server, call, body, to).await;
    }
    fetch(server, call, body, to).await.map_err(unreachable)
}

/// An upgrade: the other side's answer goes back as it is; when it switches protocols, both connections are joined.
pub(crate) async fn upgrade(
    server: &Arc<ApiServer>,
    call: &mut Call,
    body: Body,
    to: Destination,
) -> Result<Response, Status> {
    let Some(protocol) = call.parts.headers.get(header::UPGRADE).cloned() else {
        return Err(bad_request("Upgrade request required"));
    };
    let Some(ours) = call.parts.extensions.remove::<hyper::upgrade::OnUpgrade>() else {
        return Err(bad_request("this connection cannot be upgraded"));
    };
    let mut request = outgoing(call, &to, body)?;
    request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    request.headers_mut().insert(header::UPGRADE, protocol);
    let mut response = exchange(server, &to, request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(answer(response));
    }
    let theirs = hyper::upgrade::on(&mut response);
    server.tasks().spawn_until_stop("stream", async move {
        let (Ok(ours), Ok(theirs)) = futures::future::join(ours, theirs).await else { return };
        let (mut ours, mut theirs) = (TokioIo::new(ours), TokioIo::new(theirs));
        // A stream that breaks ends; both sides see it.
        let _ = tokio::io::copy_bidirectional(&mut ours, &mut theirs).await;
    });
    let (parts, _) = response.into_parts();
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    for (name, value) in &parts.headers {
        if *name != header::CONTENT_LENGTH && *name != header::TRANSFER_ENCODING {
            answer.headers_mut().append(name.clone(), value.clone());
        }
    }
    Ok(answer)
}
