//! ServiceAccount tokens for projected volumes: asked from the API by TokenRequest, bound to the pod, kept in memory and
//! renewed at 80 % of their life or after a day, whichever comes first, as upstream does.

use std::collections::BTreeMap;
use std::time::Duration;

use client::{Client, resources};
use env::Env;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;

use crate::api::Pod;
use crate::api::volume::TokenProjection;
use crate::backoff::after;

/// The oldest that a token in a volume gets.
const AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Renewals of many pods are spread over this.
const JITTER: Duration = Duration::from_secs(10);
const DEFAULT_LIFE: i64 = 3600;

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) refresh_at: Timestamp,
    expires_at: Timestamp,
}

/// (pod uid, ServiceAccount, audience, seconds)
type Key = (String, String, String, i64);

#[derive(Debug, Default)]
pub(crate) struct Tokens(Mutex<BTreeMap<Key, Token>>);

#[derive(Deserialize)]
struct Answer {
    status: AnswerStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnswerStatus {
    token: String,
    expiration_timestamp: Timestamp,
}

impl Tokens {
    /// A token that is not due for renewal; an older one only while the API does not answer and it is still good.
    pub(crate) async fn get(
        &self,
        client: &Client,
        env: &Env,
        pod: &Pod,
        wanted: &TokenProjection,
    ) -> Result<Token, String> {
        let (meta, account) = (&pod.metadata, &pod.spec.service_account_name);
        let seconds = wanted.expiration_seconds.unwrap_or(DEFAULT_LIFE);
        let key = (meta.uid.clone(), account.clone(), wanted.audience.clone(), seconds);
        let now = env.clock.now();
        let have = self.0.lock().get(&key).cloned();
        if let Some(token) = have.as_ref().filter(|t| now < t.refresh_at) {
            return Ok(token.clone());
        }
        let audiences: Vec<&str> =
            Some(wanted.audience.as_str()).filter(|a| !a.is_empty()).into_iter().collect();
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {
                "audiences": audiences,
                "expirationSeconds": seconds,
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": meta.name, "uid": meta.uid},
            },
        });
        let asked = client
            .create_subresource::<Answer>(
                &resources::SERVICE_ACCOUNTS,
                &meta.namespace,
                account,
                "token",
                &body,
            )
            .await;
        match asked {
            Ok(answer) => {
                let expires_at = answer.status.expiration_timestamp;
                let refresh_at = refresh_at(now, expires_at, env.rng.below(JITTER.as_secs()));
                let token = Token { text: answer.status.token, refresh_at, expires_at };
                self.0.lock().insert(key, token.clone());
                Ok(token)
            }
            Err(error) => match have.filter(|t| now < t.expires_at) {
                Some(token) => {
                    tracing::warn!(component = "kubelet", %error, pod = %meta.name, "token not renewed");
                    // Asked again soon, with what is left of the old one.
                    Ok(Token { refresh_at: after(now, JITTER), ..token })
                }
                None => Err(format!("failed to fetch token: {error}")),
            },
        }
    }

    /// Forgets a pod's tokens.
    pub(crate) fn release(&self, uid: &str) {
        self.0.lock().retain(|key, _| key.0 != uid);
    }
}

/// When a token made at `now` is to be replaced: never at once, whatever our clock and the server's disagree about.
fn refresh_at(now: Timestamp, expires_at: Timestamp, jitter_secs: u64) -> Timestamp {
    let life = Duration::try_from(expires_at.duration_since(now)).unwrap_or(Duration::ZERO);
    let age = (life * 4 / 5).min(AGE_MAX);
    after(now, age.saturating_sub(Duration::from_secs(jitter_secs)).max(JITTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal() {
        let at = |s: i64| Timestamp::from_second(s).unwrap();
        assert_eq!(refresh_at(at(0), at(1000), 0), at(800));
        assert_eq!(refresh_at(at(0), at(1000), 7), at(793));
        assert_eq!(refresh_at(at(0), at(10 * 86_400), 0), at(86_400));
        assert_eq!(refresh_at(at(5), at(0), 9), at(15));
    }
}
