//! Client certificates: the common name is the user, the organizations are the groups.
//!
//! The listener asks for a certificate and accepts any; whether the cluster's authority signed it, for clients, and it is
//! valid now, is checked here, so that a bad one gets a 401 as upstream's does.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use pki::tls::ClientVerifier;

use crate::seams::{Authenticator, PeerCertificate, UserInfo};

/// Verified certificates that are remembered: an ECDSA chain check costs more than the rest of a small request. Each
/// connection has one, so this is enough for as many distinct users; past it everything is forgotten and checked anew.
const CACHE_MAX: usize = 4096;

/// Verified certificates with their user and the second after which they count no more.
type Verified = BTreeMap<Arc<[u8]>, (i64, Arc<UserInfo>)>;

/// Authenticates [`PeerCertificate`]s against an authority.
pub struct X509 {
    verifier: ClientVerifier,
    clock: Arc<dyn env::Clock>,
    verified: Mutex<Verified>,
}

impl fmt::Debug for X509 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X509").finish_non_exhaustive()
    }
}

impl X509 {
    /// Trusts the certificates of `ca_pem`.
    pub fn new(ca_pem: &str, clock: Arc<dyn env::Clock>) -> Result<Self, pki::PkiError> {
        Ok(Self { verifier: ClientVerifier::new(ca_pem)?, clock, verified: Mutex::default() })
    }

    fn check(&self, certificate: &Arc<[u8]>) -> Result<Arc<UserInfo>, String> {
        let now = self.clock.now();
        if let Some((until, user)) = self.verified.lock().get(certificate)
            && now.as_second() <= *until
        {
            return Ok(Arc::clone(user));
        }
        self.verifier.verify(certificate, now).map_err(|e| format!("x509: {e}"))?;
        let (user, until) = user_of(certificate)?;
        let user = Arc::new(user);
        let mut verified = self.verified.lock();
        if verified.len() >= CACHE_MAX {
            verified.clear();
        }
        verified.insert(Arc::clone(certificate), (until, Arc::clone(&user)));
        Ok(user)
    }
}

impl Authenticator for X509 {
    fn authenticate<'a>(
        &'a self,
        request: &'a http::request::Parts,
    ) -> BoxFuture<'a, Result<Option<Arc<UserInfo>>, String>> {
        Box::pin(async move {
            match request.extensions.get::<PeerCertificate>() {
                Some(PeerCertificate(certificate)) => self.check(certificate).map(Some),
                None => Ok(None),
            }
        })
    }
}

fn user_of(der: &[u8]) -> Result<(UserInfo, i64), String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).map_err(|e| format!("x509: {e}"))?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next().and_then(|v| v.as_str().ok()).unwrap_or_default();
    if name.is_empty() {
        return Err("x509: subject without a common name".into());
    }
    let groups = subject.iter_organization().filter_map(|v| v.as_str().ok()).map(String::from).collect();
    // Upstream's credential id: the SHA-256 of the certificate.
    let digest = ring::digest::digest(&ring::digest::SHA256, der);
    let id = digest.as_ref().iter().fold(String::from("X509SHA256="), |mut text, byte| {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    });
    let extra = BTreeMap::from([("authentication.kubernetes.io/credential-id".to_owned(), vec![id])]);
    let user = UserInfo { name: name.into(), uid: String::new(), groups, extra };
    Ok((user, certificate.validity().not_after.timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct At(i64);
    impl env::Clock for At {
        fn now(&self) -> jiff::Timestamp {
            jiff::Timestamp::from_second(1_800_000_000 + self.0).unwrap()
        }
    }

    fn check(days: i64, foreign: bool) -> Result<Arc<UserInfo>, String> {
        let now = env::Clock::now(&At(0));
        let ca = pki::Authority::create("kubernetes", now).unwrap();
        let signer = if foreign { pki::Authority::create("kubernetes", now).unwrap() } else { ca };
        let trusted = if foreign {
            pki::Authority::create("kubernetes", now).unwrap()
        } else {
            pki::Authority::from_pem(signer.certificate_pem(), signer.key_pem()).unwrap()
        };
        let request = pki::CertificateRequest::client("system:node:n", "system:nodes");
        let der = signer.issue(&request, now).unwrap().certificate_der().unwrap();
        let x509 = X509::new(trusted.certificate_pem(), Arc::new(At(days * 86_400))).unwrap();
        let der: Arc<[u8]> = der.as_ref().into();
        x509.check(&der)?;
        x509.check(&der)
    }

    #[test]
    fn a_certificate_says_user_and_groups() {
        let user = check(1, false).unwrap();
        assert_eq!(
            (user.name.as_str(), user.groups.as_slice()),
            ("system:node:n", ["system:nodes".to_owned()].as_slice())
        );
        assert_eq!(crate::auth::node_identity(&user), Some("n"));
    }

    #[test]
    fn expired_and_foreign_certificates_are_refused() {
        assert!(check(366, false).is_err());
        assert!(check(1, true).is_err());
    }
}
