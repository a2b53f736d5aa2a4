//! TLS configurations over rustls with ring, passed explicitly: no process-wide provider is ever installed.
//!
//! The API server asks for a client certificate but lets the handshake pass with any: whether it is good is the
//! authenticator's to say ([`ClientVerifier`]), so that a bad one gets a 401 in Kubernetes' words, as upstream does.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use crate::{Identity, PkiError};

/// What the protocols are called in ALPN, best first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The crypto of all our connections.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// What a server wants of its clients.
#[derive(Clone, Copy, Debug)]
pub enum ClientAuth<'a> {
    /// No certificate.
    None,
    /// Asks for one and accepts any that its owner can sign with; someone else decides what it is worth.
    Request,
    /// Refuses the handshake when there is one that `ca_pem` did not sign. None is fine.
    VerifyIfGiven { ca_pem: &'a str },
    /// Refuses the handshake without a certificate that `ca_pem` signed.
    Require { ca_pem: &'a str },
}

/// A server's configuration with ALPN for HTTP/2 and HTTP/1.1.
pub fn server_config(identity: &Identity, clients: ClientAuth<'_>) -> Result<Arc<ServerConfig>, PkiError> {
    let provider = provider();
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let verifier = |ca_pem: &str, required: bool| {
        let builder =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca_pem)?), Arc::clone(&provider));
        let builder = if required { builder } else { builder.allow_unauthenticated() };
        builder.build().map_err(|e| PkiError::Verifier(e.to_string()))
    };
    let builder = match clients {
        ClientAuth::None => builder.with_no_client_auth(),
        ClientAuth::Request => builder.with_client_cert_verifier(Arc::new(AnyCertificate {
            algorithms: provider.signature_verification_algorithms,
        })),
        ClientAuth::VerifyIfGiven { ca_pem } => builder.with_client_cert_verifier(verifier(ca_pem, false)?),
        ClientAuth::Require { ca_pem } => builder.with_client_cert_verifier(verifier(ca_pem, true)?),
    };
    let mut config = builder.with_single_cert(chain(&identity.certificate_pem)?, key(&identity.key_pem)?)?;
    config.alpn_protocols = ALPN.iter().map(|p| p.to_vec()).collect();
    Ok(Arc::new(config))
}

/// The identity of a component's small server that nobody gave a certificate: signed by an authority of its own that is
/// forgotten at once, as upstream's components do.
pub fn self_signed(host: &str, address: std::net::IpAddr, now: Timestamp) -> Result<Identity, PkiError> {
    let authority = crate::Authority::create(&format!("{host}-ca"), now)?;
    let names = vec![host.to_owned(), "localhost".to_owned()];
    authority.issue(&crate::CertificateRequest::server(host, names, vec![address]), now)
}

/// A client's configuration: trusts `ca_pem` alone, and shows `identity` when there is one.
pub fn client_config(ca_pem: &str, identity: Option<&Identity>) -> Result<ClientConfig, PkiError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(ca_pem)?);
    Ok(match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            builder.with_client_auth_cert(chain(&identity.certificate_pem)?, key(&identity.key_pem)?)?
        }
    })
}

/// Says whether client certificates are signed by one of the authorities, and valid at a given time.
#[derive(Clone, Debug)]
pub struct ClientVerifier(Arc<dyn ClientCertVerifier>);

impl ClientVerifier {
    pub fn new(ca_pem: &str) -> Result<Self, PkiError> {
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca_pem)?), provider())
            .build()
            .map(Self)
            .map_err(|e| PkiError::Verifier(e.to_string()))
    }

    /// `Err` says why not.
    pub fn verify(&self, certificate: &[u8], now: Timestamp) -> Result<(), String> {
        let now =
            UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0)));
        self.0
            .verify_client_cert(&CertificateDer::from(certificate), &[], now)
            .map(|_| ())
            .map_err(|e| e.to_string())
    }
}

fn roots(ca_pem: &str) -> Result<RootCertStore, PkiError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(ca_pem)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    chain.map_err(|e| PkiError::Pem(e.to_string()))
}

fn key(pem: &str) -> Result<PrivateKeyDer<'static>, PkiError> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|e| PkiError::Pem(e.to_string()))
}

/// Accepts any client certificate whose key the client holds; see [`ClientAuth::Request`].
#[derive(Debug)]
struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Authority, CertificateRequest};

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + secs).unwrap()
    }

    #[test]
    fn verifies_clients_by_authority_and_time() {
        let ca = Authority::create("kubernetes", at(0)).unwrap();
        let other = Authority::create("other", at(0)).unwrap();
        let verifier = ClientVerifier::new(ca.certificate_pem()).unwrap();
        let client = CertificateRequest::client("a", "g");
        let good = ca.issue(&client, at(0)).unwrap().certificate_der().unwrap();
        assert_eq!(verifier.verify(&good, at(0)), Ok(()));
        assert!(verifier.verify(&good, at(400 * 86_400)).is_err(), "expired");
        let foreign = other.issue(&client, at(0)).unwrap().certificate_der().unwrap();
        assert!(verifier.verify(&foreign, at(0)).is_err());
        let server = CertificateRequest::server("a", vec!["a".into()], Vec::new());
        let server = ca.issue(&server, at(0)).unwrap().certificate_der().unwrap();
        assert!(verifier.verify(&server, at(0)).is_err(), "not a client certificate");
    }

    /// Drives both ends of a handshake in memory; the real clock decides validity here, because rustls reads it.
    #[test]
    fn a_handshake_shows_the_client_and_agrees_on_http2() {
        let now = env::Env::real().clock.now();
        let ca = Authority::create("kubernetes", now).unwrap();
        let foreign = Authority::create("other", now).unwrap();
        let request = CertificateRequest::apiserver("cluster.local", &[], &[]);
        let server = server_config(&ca.issue(&request, now).unwrap(), ClientAuth::Request).unwrap();
        let identity = foreign.issue(&CertificateRequest::client("a", "g"), now).unwrap();
        let mut client = client_config(ca.certificate_pem(), Some(&identity)).unwrap();
        client.alpn_protocols = vec![b"h2".to_vec()];
        let name = rustls_pki_types::ServerName::try_from("kubernetes.default.svc").unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(client), name).unwrap();
        let mut server = rustls::ServerConnection::new(server).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut wire.as_slice()).unwrap();
            server.process_new_packets().unwrap();
            let mut wire = Vec::new();
            server.write_tls(&mut wire).unwrap();
            client.read_tls(&mut wire.as_slice()).unwrap();
            client.process_new_packets().unwrap();
        }
        assert_eq!(server.alpn_protocol(), Some(b"h2".as_slice()));
        assert_eq!(server.peer_certificates().unwrap()[0], identity.certificate_der().unwrap());
    }
}
