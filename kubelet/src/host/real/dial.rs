//! Connections of probes and hooks. Certificates are not checked, as upstream's probes do not check them; redirects are
//! not followed: a redirect counts as an answer.

use std::io;
use std::sync::Arc;

use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::super::{HttpRequest, HttpResponse};

/// As much of an answer as a message shows.
const BODY_MAX: usize = 10 << 10;

pub(super) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Connects, with Go's words when that fails.
pub(super) async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let authority = authority(host, port);
    TcpStream::connect(&authority).await.map_err(|e| {
        let text = match e.kind() {
            io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
            io::ErrorKind::HostUnreachable => "connect: no route to host".to_owned(),
            io::ErrorKind::NetworkUnreachable => "connect: network is unreachable".to_owned(),
            _ => e.to_string(),
        };
        io::Error::new(e.kind(), format!("dial tcp {authority}: {text}"))
    })
}

pub(super) async fn http_get(request: &HttpRequest) -> io::Result<HttpResponse> {
    let stream = connect(&request.host, request.port).await?;
    if !request.https {
        return exchange(stream, request).await;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    let name = ServerName::try_from(request.host.clone()).map_err(io::Error::other)?;
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    exchange(stream, request).await
}

async fn exchange<S>(stream: S, request: &HttpRequest) -> io::Result<HttpResponse>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let path =
        if request.path.starts_with('/') { request.path.clone() } else { format!("/{}", request.path) };
    let mut builder = http::Request::get(path);
    let has = |name: &str| request.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    if !has("host") {
        builder = builder.header("host", authority(&request.host, request.port));
    }
    if !has("user-agent") {
        builder = builder.header("user-agent", "kube-probe/1.36");
    }
    if !has("accept") {
        builder = builder.header("accept", "*/*");
    }
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    let message =
        builder.header("connection", "close").body(Empty::<bytes::Bytes>::new()).map_err(io::Error::other)?;
    let answer = async {
        let response = sender.send_request(message).await.map_err(io::Error::other)?;
        let status = response.status().as_u16();
        let mut body = response.into_body();
        let mut bytes = Vec::new();
        while bytes.len() < BODY_MAX {
            match body.frame().await {
                Some(Ok(frame)) => bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |d| d)),
                // A body that breaks off does not change what the status said.
                Some(Err(_)) | None => break,
            }
        }
        bytes.truncate(BODY_MAX);
        Ok(HttpResponse { status, body: String::from_utf8_lossy(&bytes).into_owned() })
    };
    // The connection is driven here beside the exchange, and ends with it.
    tokio::pin!(connection);
    tokio::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = &mut connection => {
            ended.map_err(io::Error::other)?;
            answer.await
        }
    }
}

/// One call of gRPC's health service over plain HTTP/2. Its two messages are small enough to be written by hand:
/// field 1 of the request is the service, field 1 of the answer is the status.
pub(super) async fn grpc_health(host: &str, port: u16, service: &str) -> io::Result<u64> {
    let stream = connect(host, port).await?;
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let mut message = Vec::new();
    if !service.is_empty() {
        message.extend([0x0a, u8::try_from(service.len()).map_err(io::Error::other)?]);
        message.extend(service.as_bytes());
    }
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).map_err(io::Error::other)?.to_be_bytes());
    frame.extend(message);
    let request =
        http::Request::post(format!("http://{}/grpc.health.v1.Health/Check", authority(host, port)))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("user-agent", "kube-probe/1.36")
            .body(http_body_util::Full::new(bytes::Bytes::from(frame)))
            .map_err(io::Error::other)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let headers = response.headers().clone();
        let body = response.into_body().collect().await.map_err(io::Error::other)?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        let code =
            headers.get("grpc-status").or_else(|| trailers.get("grpc-status")).and_then(|v| v.to_str().ok());
        match code {
            Some("0") => Ok(serving_status(&body.to_bytes())),
            Some("12") => Err(io::Error::other(
                "this server does not implement the grpc health protocol (grpc.health.v1.Health)",
            )),
            other => Err(io::Error::other(format!("health rpc failed: code {}", other.unwrap_or("unknown")))),
        }
    };
    tokio::pin!(connection);
    tokio::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = &mut connection => {
            ended.map_err(io::Error::other)?;
            answer.await
        }
    }
}

/// Field 1 of the answer's message, behind the five bytes of its frame; absent is 0, UNKNOWN.
fn serving_status(frame: &[u8]) -> u64 {
    match frame.get(5..) {
        Some([0x08, status, ..]) => u64::from(*status),
        _ => 0,
    }
}

/// Accepts whatever certificate the peer shows.
#[derive(Debug)]
struct AnyCertificate(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
