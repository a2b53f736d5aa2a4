//! The cluster's identities: a certificate authority of its own, server and client certificates, ServiceAccount tokens,
//! kubeconfig files and the TLS configurations that use them.
//!
//! Nothing here reads the host's clock (instants are arguments) and nothing installs a global rustls provider. Keys are
//! ECDSA P-256 throughout; upstream's RSA ServiceAccount keys are not made here, because ring does not generate them.

pub mod authority;
pub mod directory;
pub mod kubeconfig;
pub mod tls;
pub mod token;

pub use authority::{Authority, CertificateRequest, Identity};
pub use directory::PkiDirectory;
pub use token::{Claims, KubernetesClaims, ObjectClaim, TokenError, TokenKey, TokenVerifier};

/// The user whom a certificate names: its common name, and its organizations as groups.
pub fn subject(certificate: &[u8]) -> Option<(String, Vec<String>)> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let text = |v: &x509_parser::x509::AttributeTypeAndValue<'_>| v.as_str().ok().map(String::from);
    let name = certificate.subject().iter_common_name().next().and_then(text)?;
    Some((name, certificate.subject().iter_organization().filter_map(text).collect()))
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// What can go wrong with keys, certificates and their files.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("cannot make or read a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("cannot read PEM: {0}")]
    Pem(String),
    #[error("cannot read the certificate: {0}")]
    X509(String),
    #[error("the key is not usable: {0}")]
    Key(String),
    #[error("cannot configure TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("cannot verify client certificates: {0}")]
    Verifier(String),
    #[error("cannot {action} {path}")]
    File {
        action: &'static str,
        path: String,
        #[source]
        source: std::io::Error,
    },
}
