//! A request over a real socket, in both versions of HTTP, with a client certificate.

use std::net::Ipv4Addr;
use std::sync::Arc;

use apiserver::response::Body;
use env::Clock as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};

use super::Cluster;

/// Serves with certificates of a fresh authority and asks for `/version` over HTTP/1.1 and HTTP/2.
pub async fn check(cluster: &Cluster) {
    let now = env::clock::SystemClock.now();
    let authority = pki::Authority::create("test", now).unwrap();
    let address = Ipv4Addr::LOCALHOST.into();
    let server =
        authority.issue(&pki::CertificateRequest::server("server", Vec::new(), vec![address]), now).unwrap();
    let client = authority.issue(&pki::CertificateRequest::client("bob", "devs"), now).unwrap();
    let ca_pem = authority.certificate_pem();
    let tls = pki::tls::server_config(&server, pki::tls::ClientAuth::VerifyIfGiven { ca_pem }).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    cluster.server.serve(listener, (*tls).clone());
    for h2 in [false, true] {
        let mut config = pki::tls::client_config(ca_pem, Some(&client)).unwrap();
        config.alpn_protocols = vec![if h2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let name = ServerName::IpAddress(std::net::IpAddr::from(Ipv4Addr::LOCALHOST).into());
        let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        let uri = format!("https://127.0.0.1:{port}/version");
        let request = http::Request::get(uri).header("host", "127.0.0.1").body(Body::empty()).unwrap();
        let response = if h2 {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                    .await
                    .unwrap();
            cluster.tasks.spawn("client", async move {
                let _ = connection.await;
            });
            sender.send_request(request).await.unwrap()
        } else {
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
            cluster.tasks.spawn("client", async move {
                let _ = connection.await;
            });
            sender.send_request(request).await.unwrap()
        };
        assert_eq!(response.status().as_u16(), 200);
        let body = axum::body::to_bytes(Body::new(response.into_body()), 1 << 16).await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains("v1.36.2+gantry"));
    }
    cluster.tasks.stop(std::time::Duration::from_secs(5)).await;
}
