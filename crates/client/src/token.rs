//! Tokens of a ServiceAccount that another user asks for: how upstream's controller manager lets each controller act as
//! itself over a socket.
//!
//! A token is renewed when 80 % of its life has passed, by the first request that needs it; requests at the same time
//! wait for that one. The account itself is made when it is not there, as upstream does.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use crate::api::Client;
use crate::error::Error;
use crate::resources::SERVICE_ACCOUNTS;

/// How long a token is asked for.
const LIFE_SECS: i64 = 3600;

/// Asks for tokens of one account.
pub(crate) struct TokenSource {
    issuer: Client,
    namespace: String,
    account: String,
    clock: Arc<dyn env::Clock>,
    /// The header's value and when to renew it.
    current: tokio::sync::Mutex<Option<(http::HeaderValue, Timestamp)>>,
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenSource({}/{})", self.namespace, self.account)
    }
}

#[derive(Deserialize)]
struct TokenRequest {
    status: TokenStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenStatus {
    token: String,
    expiration_timestamp: Timestamp,
}

impl TokenSource {
    pub(crate) fn new(issuer: Client, namespace: &str, account: &str, clock: Arc<dyn env::Clock>) -> Self {
        Self {
            issuer,
            namespace: namespace.to_owned(),
            account: account.to_owned(),
            clock,
            current: tokio::sync::Mutex::new(None),
        }
    }

    /// `Bearer TOKEN`, renewed when it is due. Boxed: sending a request is what asks for this token, and asking for a
    /// token is a request.
    pub(crate) fn header(&self) -> BoxFuture<'_, Result<http::HeaderValue, Error>> {
        Box::pin(self.fetch())
    }

    async fn fetch(&self) -> Result<http::HeaderValue, Error> {
        let mut current = self.current.lock().await;
        let now = self.clock.now();
        if let Some((header, renew_at)) = &*current
            && now < *renew_at
        {
            return Ok(header.clone());
        }
        let issued = match self.request().await {
            Err(error) if error.is_not_found() => {
                self.make_account().await?;
                self.request().await?
            }
            other => other?,
        };
        let life = issued.status.expiration_timestamp.duration_since(now);
        let renew_at = now + life * 4 / 5;
        let mut header = http::HeaderValue::from_str(&format!("Bearer {}", issued.status.token))
            .map_err(|e| Error::Decode(e.to_string()))?;
        header.set_sensitive(true);
        *current = Some((header.clone(), renew_at));
        Ok(header)
    }

    async fn request(&self) -> Result<TokenRequest, Error> {
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": { "expirationSeconds": LIFE_SECS },
        });
        self.issuer
            .create_subresource(&SERVICE_ACCOUNTS, &self.namespace, &self.account, "token", &body)
            .await
    }

    async fn make_account(&self) -> Result<(), Error> {
        let body = json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": { "name": self.account, "namespace": self.namespace },
        });
        match self.issuer.create::<serde_json::Value>(&SERVICE_ACCOUNTS, &self.namespace, &body).await {
            Err(error) if error.is_already_exists() => Ok(()),
            other => other.map(|_| ()),
        }
    }
}
