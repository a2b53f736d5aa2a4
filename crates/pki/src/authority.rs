//! The cluster's certificate authority and what it issues.
//!
//! One authority signs server certificates, client certificates and everything a CertificateSigningRequest asks for. It
//! keeps no list of what it issued and publishes no revocation list.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::PkiError;

/// Ten years, as kubeadm's authority.
const CA_LIFETIME: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);
/// One year, as kubeadm's leaves. They are renewed at start and by whoever watches [`Identity::renew_at`].
const LEAF_LIFETIME: SignedDuration = SignedDuration::from_hours(365 * 24);
/// Clocks of nodes differ a little: a new certificate is valid from five minutes ago.
const BACKDATE: SignedDuration = SignedDuration::from_mins(5);

/// A certificate (chain) and its private key, both as PEM.
#[derive(Clone)]
pub struct Identity {
    pub certificate_pem: String,
    pub key_pem: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificate_pem", &self.certificate_pem).finish_non_exhaustive()
    }
}

/// What a leaf certificate is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateRequest {
    /// The user, for client certificates.
    pub common_name: String,
    /// The group, for client certificates; empty for none. (Upstream's own client certificates have one at most, and
    /// rcgen writes no more.)
    pub organization: String,
    pub dns_names: Vec<String>,
    pub ips: Vec<IpAddr>,
    pub server: bool,
    pub client: bool,
}

impl CertificateRequest {
    /// A client certificate: user and group.
    pub fn client(user: &str, group: &str) -> Self {
        Self { common_name: user.into(), organization: group.into(), client: true, ..Self::default() }
    }

    /// A server certificate for names and addresses.
    pub fn server(common_name: &str, dns_names: Vec<String>, ips: Vec<IpAddr>) -> Self {
        Self { common_name: common_name.into(), dns_names, ips, server: true, ..Self::default() }
    }

    /// The API server's certificate: the names by which pods reach it, the cluster IP, the loopback addresses and what
    /// the caller adds.
    pub fn apiserver(cluster_domain: &str, service_ips: &[IpAddr], hosts: &[String]) -> Self {
        let mut dns_names: Vec<String> =
            ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"]
                .map(String::from)
                .into();
        dns_names.push(format!("kubernetes.default.svc.{cluster_domain}"));
        let mut ips = vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1u16])];
        ips.extend_from_slice(service_ips);
        for host in hosts {
            match host.parse() {
                Ok(ip) => ips.push(ip),
                Err(_) => dns_names.push(host.clone()),
            }
        }
        dns_names.sort();
        dns_names.dedup();
        ips.sort();
        ips.dedup();
        Self::server("kube-apiserver", dns_names, ips)
    }

    /// A kubelet's certificate: serves its API and authenticates as its node.
    pub fn node(node: &str, dns_names: Vec<String>, ips: Vec<IpAddr>) -> Self {
        Self {
            common_name: format!("system:node:{node}"),
            organization: "system:nodes".into(),
            dns_names,
            ips,
            server: true,
            client: true,
        }
    }
}

/// A certificate authority.
pub struct Authority {
    certificate_pem: String,
    certificate_der: CertificateDer<'static>,
    key_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes a new authority, valid from `now`.
    pub fn create(common_name: &str, now: Timestamp) -> Result<Self, PkiError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![common_name.to_owned()])?;
        params.distinguished_name = distinguished_name(common_name, "");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
            KeyUsagePurpose::KeyCertSign,
        ];
        set_validity(&mut params, now, CA_LIFETIME);
        let certificate = params.self_signed(&key)?;
        Self::from_pem(&certificate.pem(), &key.serialize_pem())
    }

    /// Takes up an authority from its files.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, PkiError> {
        let key = KeyPair::from_pem(key_pem)?;
        let certificate_der = first_certificate(certificate_pem)?;
        let issuer = Issuer::from_ca_cert_der(&certificate_der, key)?;
        Ok(Self { certificate_pem: certificate_pem.into(), certificate_der, key_pem: key_pem.into(), issuer })
    }

    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }
    pub fn certificate_der(&self) -> &CertificateDer<'static> {
        &self.certificate_der
    }
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Issues a certificate with a fresh key for a year.
    pub fn issue(&self, request: &CertificateRequest, now: Timestamp) -> Result<Identity, PkiError> {
        self.issue_for(request, now, LEAF_LIFETIME)
    }

    /// As [`Authority::issue`], for `lifetime`.
    pub fn issue_for(
        &self,
        request: &CertificateRequest,
        now: Timestamp,
        lifetime: SignedDuration,
    ) -> Result<Identity, PkiError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(request.dns_names.clone())?;
        params.subject_alt_names.extend(request.ips.iter().copied().map(SanType::IpAddress));
        params.distinguished_name = distinguished_name(&request.common_name, &request.organization);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        if request.server {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        if request.client {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now, lifetime);
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
    }

    /// Whether this authority signed the certificate.
    pub fn signed(&self, certificate: &CertificateDer<'_>) -> bool {
        let parse = |der| x509_parser::parse_x509_certificate(der).map(|(_, c)| c).ok();
        match (parse(certificate.as_ref()), parse(self.certificate_der.as_ref())) {
            (Some(leaf), Some(ca)) => {
                leaf.issuer() == ca.subject() && leaf.verify_signature(Some(ca.public_key())).is_ok()
            }
            _ => false,
        }
    }
}

impl Identity {
    /// The leaf certificate.
    pub fn certificate_der(&self) -> Result<CertificateDer<'static>, PkiError> {
        first_certificate(&self.certificate_pem)
    }

    /// When the certificate should be replaced: after two thirds of its life.
    pub fn renew_at(&self) -> Result<Timestamp, PkiError> {
        let der = self.certificate_der()?;
        let (_, certificate) =
            x509_parser::parse_x509_certificate(&der).map_err(|e| PkiError::X509(e.to_string()))?;
        let (from, to) =
            (certificate.validity().not_before.timestamp(), certificate.validity().not_after.timestamp());
        Timestamp::from_second(from + (to - from) / 3 * 2).map_err(|e| PkiError::X509(e.to_string()))
    }

    /// Whether the certificate says what `request` asks for, was signed by `authority` and is not due for renewal.
    pub fn serves(&self, authority: &Authority, request: &CertificateRequest, now: Timestamp) -> bool {
        let Ok(der) = self.certificate_der() else { return false };
        let Ok((_, certificate)) = x509_parser::parse_x509_certificate(&der) else { return false };
        let in_time = now.as_second() >= certificate.validity().not_before.timestamp()
            && self.renew_at().is_ok_and(|at| now < at);
        in_time
            && authority.signed(&der)
            && KeyPair::from_pem(&self.key_pem).is_ok()
            && describe(&certificate) == Some(normalized(request.clone()))
    }
}

/// What a certificate says, in the form in which it is asked for.
fn describe(certificate: &x509_parser::certificate::X509Certificate<'_>) -> Option<CertificateRequest> {
    let text = |value: &x509_parser::x509::AttributeTypeAndValue<'_>| value.as_str().ok().map(String::from);
    let mut found = CertificateRequest {
        common_name: certificate.subject().iter_common_name().next().and_then(text).unwrap_or_default(),
        organization: certificate.subject().iter_organization().next().and_then(text).unwrap_or_default(),
        ..CertificateRequest::default()
    };
    if let Ok(Some(names)) = certificate.subject_alternative_name() {
        for name in &names.value.general_names {
            match name {
                x509_parser::extensions::GeneralName::DNSName(name) => found.dns_names.push((*name).into()),
                x509_parser::extensions::GeneralName::IPAddress(bytes) => found.ips.push(ip_from(bytes)?),
                _ => return None,
            }
        }
    }
    if let Ok(Some(usage)) = certificate.extended_key_usage() {
        found.server = usage.value.server_auth;
        found.client = usage.value.client_auth;
    }
    Some(normalized(found))
}

fn normalized(mut request: CertificateRequest) -> CertificateRequest {
    request.dns_names.sort();
    request.ips.sort();
    request
}

fn ip_from(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// The first certificate of a PEM text.
pub fn first_certificate(pem: &str) -> Result<CertificateDer<'static>, PkiError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|e| PkiError::Pem(e.to_string()))
}

fn distinguished_name(common_name: &str, organization: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if !organization.is_empty() {
        name.push(DnType::OrganizationName, organization);
    }
    name.push(DnType::CommonName, common_name);
    name
}

fn set_validity(params: &mut CertificateParams, now: Timestamp, lifetime: SignedDuration) {
    let at = |instant: Timestamp| {
        let secs = u64::try_from(instant.as_second()).unwrap_or(0);
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(secs)
    };
    params.not_before = at(now.saturating_sub(BACKDATE).unwrap_or(now));
    params.not_after = at(now.saturating_add(lifetime).unwrap_or(Timestamp::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + secs).unwrap()
    }

    #[test]
    fn a_certificate_serves_until_two_thirds_of_its_life() {
        let ca = Authority::create("kubernetes", at(0)).unwrap();
        let request = CertificateRequest::client("admin", "system:masters");
        let identity = ca.issue(&request, at(0)).unwrap();
        assert!(identity.serves(&ca, &request, at(1)));
        assert!(identity.serves(&ca, &request, at(240 * 86_400)));
        assert!(!identity.serves(&ca, &request, at(250 * 86_400)));
        assert!(!identity.serves(&ca, &request, at(-86_400)), "not valid yet");
    }

    #[test]
    fn a_certificate_serves_only_what_it_says_and_who_signed_it() {
        let ca = Authority::create("kubernetes", at(0)).unwrap();
        let other = Authority::create("kubernetes", at(0)).unwrap();
        let request =
            CertificateRequest::apiserver("cluster.local", &["10.96.0.1".parse().unwrap()], &["h1".into()]);
        let identity = ca.issue(&request, at(0)).unwrap();
        assert!(identity.serves(&ca, &request, at(0)));
        assert!(!identity.serves(&other, &request, at(0)));
        let wider = CertificateRequest::apiserver("cluster.local", &[], &["10.0.0.9".into()]);
        assert!(!identity.serves(&ca, &wider, at(0)));
    }

    #[test]
    fn an_authority_survives_its_files() {
        let ca = Authority::create("kubernetes", at(0)).unwrap();
        let again = Authority::from_pem(ca.certificate_pem(), ca.key_pem()).unwrap();
        let identity =
            again.issue(&CertificateRequest::node("n1", vec!["n1".into()], Vec::new()), at(0)).unwrap();
        assert!(ca.signed(&identity.certificate_der().unwrap()));
    }
}
