//! Who asks a component's own server, and whether they may: a client certificate of the cluster's authority, or a bearer
//! token that TokenReview knows; then SubjectAccessReview.
//!
//! Answers of the API server are remembered for as long as the options say, so that a metrics scraper does not ask twice
//! for each scrape.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use component::serving::{Answer, Asked, Gate};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use pki::tls::ClientVerifier;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use crate::api::Client;
use crate::error::Error;

/// Remembered answers of each kind; beyond it, all are forgotten and asked for again.
const CACHE_MAX: usize = 1024;

/// What everybody may ask, as upstream's `--authorization-always-allow-paths`.
const OPEN_PATHS: [&str; 3] = ["/healthz", "/livez", "/readyz"];

/// Somebody whom the cluster knows.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(default)]
pub struct User {
    pub username: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    fn anonymous() -> Self {
        let groups = vec!["system:unauthenticated".to_owned()];
        Self { username: "system:anonymous".to_owned(), groups, ..Self::default() }
    }
}

/// Something that one may be allowed to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// On a subresource of a node.
    Node { verb: &'static str, subresource: &'static str, name: Arc<str> },
    /// On a path of the component's own.
    Path { verb: &'static str, path: String },
}

impl Permission {
    fn attributes(&self) -> (&'static str, serde_json::Value) {
        match self {
            Self::Node { verb, subresource, name } => (
                "resourceAttributes",
                json!({
                    "verb": verb, "version": "v1", "resource": "nodes",
                    "subresource": subresource, "name": &**name,
                }),
            ),
            Self::Path { verb, path } => ("nonResourceAttributes", json!({"verb": verb, "path": path})),
        }
    }
}

/// How requests are judged. The durations are upstream's defaults of secure ports.
#[derive(Clone, Debug)]
pub struct Options {
    /// Requests without credentials are system:anonymous's, instead of nobody's.
    pub anonymous: bool,
    /// Bearer tokens are asked about.
    pub tokens: bool,
    pub token_ttl: Duration,
    pub allowed_ttl: Duration,
    pub denied_ttl: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let ttl = Duration::from_secs(10);
        Self { anonymous: true, tokens: true, token_ttl: ttl, allowed_ttl: ttl, denied_ttl: ttl }
    }
}

/// Answers that hold for a while.
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

/// Authenticates and authorizes by asking the API server.
pub struct Delegated {
    client: Client,
    clock: Arc<dyn env::Clock>,
    verifier: Option<ClientVerifier>,
    options: Options,
    /// By a hash of the token: memory dumps should not hold tokens.
    tokens: Cache<[u8; 32], Option<User>>,
    permissions: Cache<(User, Permission), bool>,
}

impl fmt::Debug for Delegated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delegated").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Delegated {
    /// `client` may create TokenReviews and SubjectAccessReviews; `client_ca_pem` signs client certificates, and without
    /// it none counts.
    pub fn new(
        client: Client,
        clock: Arc<dyn env::Clock>,
        client_ca_pem: Option<&str>,
        options: Options,
    ) -> Result<Self, pki::PkiError> {
        let verifier = client_ca_pem.map(ClientVerifier::new).transpose()?;
        Ok(Self { client, clock, verifier, options, tokens: Cache::new(), permissions: Cache::new() })
    }

    /// Who has this certificate, or sent this `Authorization` header; `None` when nobody whom the cluster knows.
    pub async fn authenticate(&self, certificate: Option<&[u8]>, header: Option<&str>) -> Option<User> {
        if let (Some(verifier), Some(certificate)) = (&self.verifier, certificate) {
            match verifier.verify(certificate, self.clock.now()) {
                Ok(()) => {
                    let (username, mut groups) = pki::subject(certificate)?;
                    groups.push("system:authenticated".to_owned());
                    return Some(User { username, groups, ..User::default() });
                }
                // A token beside it may still be good.
                Err(error) => tracing::debug!(%error, "client certificate"),
            }
        }
        let token =
            header.and_then(|h| h.split_once(' ')).filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
        if let Some((_, token)) = token.filter(|_| self.options.tokens) {
            return self.review_token(token.trim()).await;
        }
        let nothing = certificate.is_none() && header.is_none();
        (nothing && self.options.anonymous).then(User::anonymous)
    }

    async fn review_token(&self, token: &str) -> Option<User> {
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
        let key = pki::sha256(token.as_bytes());
        if let Some(known) = self.tokens.get(&key) {
            return known;
        }
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token},
        });
        let path = "/apis/authentication.k8s.io/v1/tokenreviews";
        match self.client.request::<Review>(http::Method::POST, path, Some(&body)).await {
            Ok(review) => {
                let user = review.status.authenticated.then_some(review.status.user);
                self.tokens.put(key, user.clone(), self.options.token_ttl);
                user
            }
            Err(error) => {
                // Not remembered: the next request asks again.
                tracing::warn!(%error, "token review");
                None
            }
        }
    }

    /// Whether `user` may do this. An error means that the API server could not be asked.
    pub async fn may(&self, user: &User, permission: &Permission) -> Result<bool, Error> {
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
        let key = (user.clone(), permission.clone());
        if let Some(known) = self.permissions.get(&key) {
            return Ok(known);
        }
        let mut body = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user.username, "uid": user.uid, "groups": user.groups, "extra": user.extra},
        });
        let (name, attributes) = permission.attributes();
        body["spec"][name] = attributes;
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        let review: Review = self.client.request(http::Method::POST, path, Some(&body)).await?;
        let allowed = review.status.allowed;
        let ttl = if allowed { self.options.allowed_ttl } else { self.options.denied_ttl };
        self.permissions.put(key, allowed, ttl);
        Ok(allowed)
    }
}

/// A refusal in the form of the API.
fn refusal(code: u16, reason: &str, message: &str) -> Answer {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    Answer { status: code, content_type: "application/json", body: format!("{body}\n") }
}

impl Gate for Delegated {
    fn admit<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<(), Answer>> {
        Box::pin(async move {
            if OPEN_PATHS.contains(&asked.path.as_str()) {
                return Ok(());
            }
            let header = asked.authorization.as_deref();
            let user = self.authenticate(asked.certificate.as_deref(), header).await;
            let user = user.ok_or_else(|| refusal(401, "Unauthorized", "Unauthorized"))?;
            let permission = Permission::Path { verb: "get", path: asked.path.clone() };
            match self.may(&user, &permission).await {
                Ok(true) => Ok(()),
                Ok(false) => {
                    let message =
                        format!("forbidden: User {:?} cannot get path {:?}", user.username, asked.path);
                    Err(refusal(403, "Forbidden", &message))
                }
                Err(error) => {
                    tracing::warn!(user = user.username, %error, "access review");
                    Err(refusal(500, "InternalError", "Internal Server Error: the access review failed"))
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use bytes::Bytes;
    use http_body_util::{BodyExt as _, Full};

    /// Answers reviews: the token `good` is alice's, who may read /metrics.
    async fn api(request: crate::TransportRequest) -> Result<http::Response<Full<Bytes>>, std::io::Error> {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.map_err(std::io::Error::other)?.to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body)?;
        let spec = &body["spec"];
        let answer = if path.ends_with("tokenreviews") {
            json!({"status": {"authenticated": spec["token"] == "good", "user": {"username": "alice"}}})
        } else {
            let wanted = json!({"verb": "get", "path": "/metrics"});
            json!({"status": {"allowed": spec["user"] == "alice" && spec["nonResourceAttributes"] == wanted}})
        };
        Ok(http::Response::new(Full::new(Bytes::from(answer.to_string()))))
    }

    #[tokio::test(start_paused = true)]
    async fn who_may_read_what() {
        let client = Client::in_process(tower::service_fn(api));
        let clock = env::Env::simulated(1).clock;
        let gate = Delegated::new(client, clock, None, Options::default()).unwrap();
        for (token, path, expected) in [
            (None, "/healthz", 200),
            (None, "/metrics", 403),
            (Some("bad"), "/metrics", 401),
            (Some("good"), "/metrics", 200),
            (Some("good"), "/configz", 403),
            (Some("bad"), "/readyz", 200),
            (None, "/healthz/x", 403),
        ] {
            let asked = Asked {
                path: path.to_owned(),
                certificate: None,
                authorization: token.map(|t| format!("Bearer {t}")),
            };
            let status = gate.admit(&asked).await.map_or_else(|answer| answer.status, |()| 200);
            assert_eq!(status, expected, "{token:?} {path}");
        }
    }
}
