//! Who asks, and whether they may: a client certificate of the cluster's authority or a bearer token through
//! TokenReview, then SubjectAccessReview on subresources of this node. Health too is for those who are allowed.
//!
//! Answers of the API server are remembered for as long as the configuration says, so that a metrics scraper does not
//! ask twice for each scrape.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::Client;
use parking_lot::Mutex;
use pki::tls::ClientVerifier;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use crate::config::{Authentication, Authorization};

/// Remembered answers of each kind; beyond it, all are forgotten and asked for again.
const CACHE_MAX: usize = 1024;

/// Somebody whom the cluster knows.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(default)]
pub struct User {
    pub username: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

/// A refusal, with the text that the client gets.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    #[error("Unauthorized")]
    Unauthorized,
    #[error("Forbidden (user={user}, verb={verb}, resource=nodes, subresource(s)={subresources:?})")]
    Forbidden { user: String, verb: &'static str, subresources: &'static [&'static str] },
    /// The API server could not be asked.
    #[error(
        "Authorization error (user={user}, verb={verb}, resource=nodes, subresource(s)={subresources:?})"
    )]
    Unknown { user: String, verb: &'static str, subresources: &'static [&'static str] },
}

impl AuthError {
    pub fn status(&self) -> u16 {
        match self {
            Self::Unauthorized => 401,
            Self::Forbidden { .. } => 403,
            Self::Unknown { .. } => 500,
        }
    }
}

/// Answers that hold for a while.
#[derive(Debug)]
struct Cache<K, V>(Mutex<BTreeMap<K, (Instant, V)>>);

impl<K: Ord, V: Clone> Cache<K, V> {
    fn new() -> Self {
        Self(Mutex::default())
    }

    fn get(&self, key: &K) -> Option<V> {
        let entries = self.0.lock();
        entries.get(key).filter(|(until, _)| Instant::now() < *until).map(|(_, value)| value.clone())
    }

    fn put(&self, key: K, value: V, ttl: Duration) {
        let mut entries = self.0.lock();
        if entries.len() >= CACHE_MAX {
            let now = Instant::now();
            entries.retain(|_, (until, _)| now < *until);
            if entries.len() >= CACHE_MAX {
                entries.clear();
            }
        }
        entries.insert(key, (Instant::now() + ttl, value));
    }
}

/// User, verb, subresource.
type Permission = (User, &'static str, &'static str);

/// Authenticates and authorizes.
#[derive(Debug)]
pub struct Auth {
    client: Client,
    clock: Arc<dyn env::Clock>,
    node_name: String,
    verifier: Option<ClientVerifier>,
    authentication: Authentication,
    authorization: Authorization,
    /// By a hash of the token: memory dumps should not hold tokens.
    tokens: Cache<[u8; 32], Option<User>>,
    permissions: Cache<Permission, bool>,
}

impl Auth {
    /// `client_ca_pem` signs client certificates; without it none counts.
    pub fn new(
        client: Client,
        clock: Arc<dyn env::Clock>,
        node_name: &str,
        client_ca_pem: Option<&str>,
        authentication: Authentication,
        authorization: Authorization,
    ) -> Result<Self, pki::PkiError> {
        Ok(Self {
            client,
            clock,
            node_name: node_name.to_owned(),
            verifier: client_ca_pem.map(ClientVerifier::new).transpose()?,
            authentication,
            authorization,
            tokens: Cache::new(),
            permissions: Cache::new(),
        })
    }

    /// Who has this certificate, or sent this `Authorization` header.
    pub async fn authenticate(
        &self,
        certificate: Option<&[u8]>,
        header: Option<&str>,
    ) -> Result<User, AuthError> {
        if let (Some(verifier), Some(certificate)) = (&self.verifier, certificate) {
            match verifier.verify(certificate, self.clock.now()) {
                Ok(()) => return subject(certificate).ok_or(AuthError::Unauthorized),
                // A token beside it may still be good.
                Err(error) => tracing::debug!(component = "kubelet", %error, "client certificate"),
            }
        }
        let token =
            header.and_then(|h| h.split_once(' ')).filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
        if let Some((_, token)) = token.filter(|_| self.authentication.webhook.enabled) {
            return self.review_token(token.trim()).await.ok_or(AuthError::Unauthorized);
        }
        if certificate.is_none() && header.is_none() && self.authentication.anonymous.enabled {
            return Ok(User {
                username: "system:anonymous".into(),
                groups: vec!["system:unauthenticated".into()],
                ..User::default()
            });
        }
        Err(AuthError::Unauthorized)
    }

    async fn review_token(&self, token: &str) -> Option<User> {
        let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
        let key: [u8; 32] = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
        if let Some(known) = self.tokens.get(&key) {
            return known;
        }
        #[derive(Deserialize)]
        struct Review {
            #[serde(default)]
            status: Status,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Status {
            authenticated: bool,
            user: User,
        }
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token},
        });
        let path = "/apis/authentication.k8s.io/v1/tokenreviews";
        match self.client.request::<Review>(http::Method::POST, path, Some(&body)).await {
            Ok(review) => {
                let user = review.status.authenticated.then_some(review.status.user);
                self.tokens.put(key, user.clone(), self.authentication.webhook.cache_ttl);
                user
            }
            Err(error) => {
                // Not remembered: the next request asks again.
                tracing::warn!(component = "kubelet", %error, "token review");
                None
            }
        }
    }

    /// Whether `user` may do this to the node.
    pub async fn authorize(
        &self,
        user: &User,
        verb: &'static str,
        subresources: &'static [&'static str],
    ) -> Result<(), AuthError> {
        if self.authorization.mode == "AlwaysAllow" {
            return Ok(());
        }
        let mut unknown = false;
        for subresource in subresources {
            match self.may(user, verb, subresource).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(component = "kubelet", user = user.username, verb, subresource, %error, "access review");
                    unknown = true;
                }
            }
        }
        let user = user.username.clone();
        Err(if unknown {
            AuthError::Unknown { user, verb, subresources }
        } else {
            AuthError::Forbidden { user, verb, subresources }
        })
    }

    async fn may(
        &self,
        user: &User,
        verb: &'static str,
        subresource: &'static str,
    ) -> Result<bool, client::Error> {
        let key: Permission = (user.clone(), verb, subresource);
        if let Some(known) = self.permissions.get(&key) {
            return Ok(known);
        }
        #[derive(Deserialize)]
        struct Review {
            #[serde(default)]
            status: Status,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Status {
            allowed: bool,
        }
        let body = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": user.username, "uid": user.uid, "groups": user.groups, "extra": user.extra,
                "resourceAttributes": {
                    "verb": verb, "version": "v1", "resource": "nodes",
                    "subresource": subresource, "name": self.node_name,
                },
            },
        });
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        let review: Review = self.client.request(http::Method::POST, path, Some(&body)).await?;
        let allowed = review.status.allowed;
        let webhook = &self.authorization.webhook;
        let ttl = if allowed { webhook.cache_authorized_ttl } else { webhook.cache_unauthorized_ttl };
        self.permissions.put(key, allowed, ttl);
        Ok(allowed)
    }
}

/// The user whom a certificate names: the common name, and the organizations as groups.
fn subject(certificate: &[u8]) -> Option<User> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let text = |v: &x509_parser::x509::AttributeTypeAndValue<'_>| v.as_str().ok().map(String::from);
    let username = certificate.subject().iter_common_name().next().and_then(text)?;
    let mut groups: Vec<String> = certificate.subject().iter_organization().filter_map(text).collect();
    groups.push("system:authenticated".into());
    Some(User { username, groups, ..User::default() })
}
