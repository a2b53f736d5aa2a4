//! ServiceAccount tokens: whose they are, and whether what they are bound to still exists.
//!
//! A token dies with its ServiceAccount, and with the pod, secret or node that it is bound to: names and uids are
//! compared with the server's own cache on every request, so a deletion revokes at once (upstream allows a grace of a
//! minute after the deletion timestamp, which is kept). Legacy tokens from Secrets are not accepted.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use apimachinery::Value;
use futures::future::BoxFuture;
use jiff::Timestamp;
use pki::{Claims, ObjectClaim, TokenError, TokenVerifier};

use super::union::bearer_token;
use crate::seams::{Authenticator, Objects, UserInfo};
use crate::values::meta;

/// The issuer, and the audience of tokens for the API server itself.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// What the user name of a ServiceAccount starts with.
pub const USER_PREFIX: &str = "system:serviceaccount:";
/// Objects count as gone this long after their deletion timestamp has passed, as upstream's.
const DELETION_LEEWAY_SECS: i64 = 60;

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub user: UserInfo,
    /// Those of the wanted audiences that the token is for.
    pub audiences: Vec<String>,
    /// The token is past the time that was asked for and should have been renewed.
    pub stale: bool,
}

/// Authenticates ServiceAccount tokens.
pub struct ServiceAccounts {
    verifier: TokenVerifier,
    objects: Arc<dyn Objects>,
    clock: Arc<dyn env::Clock>,
    audiences: Vec<String>,
}

impl fmt::Debug for ServiceAccounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccounts").field("audiences", &self.audiences).finish_non_exhaustive()
    }
}

impl ServiceAccounts {
    /// Accepts tokens of `verifier`'s issuer for `audiences` (the API server's).
    pub fn new(
        verifier: TokenVerifier,
        objects: Arc<dyn Objects>,
        clock: Arc<dyn env::Clock>,
        audiences: Vec<String>,
    ) -> Self {
        Self { verifier, objects, clock, audiences }
    }

    /// The audiences of the API server.
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// Who a token is, for one of `audiences` (the API server's when empty).
    pub fn verify(&self, token: &str, audiences: &[String]) -> Result<Verified, TokenRefused> {
        let now = self.clock.now();
        let wanted = if audiences.is_empty() { self.audiences.as_slice() } else { audiences };
        let claims = self.verifier.verify(token, wanted, now)?;
        let namespace = &claims.kubernetes.namespace;
        let account = &claims.kubernetes.serviceaccount;
        self.check("serviceaccounts", namespace, account, now)?;
        if let Some(pod) = &claims.kubernetes.pod {
            self.check("pods", namespace, pod, now)?;
        }
        if let Some(secret) = &claims.kubernetes.secret {
            self.check("secrets", namespace, secret, now)?;
        }
        // A pod's token names the node for information only: it outlives a node that is gone, as the pod may.
        if let Some(node) = &claims.kubernetes.node
            && claims.kubernetes.pod.is_none()
        {
            self.check("nodes", "", node, now)?;
        }
        let stale = claims.kubernetes.warnafter.is_some_and(|after| now.as_second() > after);
        let audiences = wanted.iter().filter(|a| claims.aud.contains(a)).cloned().collect();
        Ok(Verified { user: user_of(&claims), audiences, stale })
    }

    fn check(
        &self,
        resource: &'static str,
        namespace: &str,
        claim: &ObjectClaim,
        now: Timestamp,
    ) -> Result<(), TokenRefused> {
        let object = self
            .objects
            .get("", resource, namespace, &claim.name)
            .ok_or_else(|| TokenRefused::Gone { resource, name: claim.name.clone() })?;
        if deleted_before(&object, now) {
            return Err(TokenRefused::Gone { resource, name: claim.name.clone() });
        }
        let uid = meta(&object, "uid");
        if uid == claim.uid {
            Ok(())
        } else {
            Err(TokenRefused::Replaced { resource, uid: uid.into(), claim: claim.uid.clone() })
        }
    }
}

/// Why a token is not good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("{resource} {name:?} not found")]
    Gone { resource: &'static str, name: String },
    #[error("the UID of {resource} ({uid}) does not match claim ({claim})")]
    Replaced { resource: &'static str, uid: String, claim: String },
}

fn deleted_before(object: &Value, now: Timestamp) -> bool {
    let deleted: Option<Timestamp> = meta(object, "deletionTimestamp").parse().ok();
    deleted.is_some_and(|at| at.as_second() + DELETION_LEEWAY_SECS < now.as_second())
}

/// The user of a ServiceAccount.
pub fn user_info(namespace: &str, name: &str, uid: &str) -> UserInfo {
    UserInfo {
        name: format!("{USER_PREFIX}{namespace}:{name}"),
        uid: uid.into(),
        groups: vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")],
        extra: BTreeMap::new(),
    }
}

fn user_of(claims: &Claims) -> UserInfo {
    let private = &claims.kubernetes;
    let mut user = user_info(&private.namespace, &private.serviceaccount.name, &private.serviceaccount.uid);
    let mut add = |key: &str, value: String| {
        user.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value]);
    };
    if !claims.jti.is_empty() {
        add("credential-id", format!("JTI={}", claims.jti));
    }
    if let Some(pod) = &private.pod {
        add("pod-name", pod.name.clone());
        add("pod-uid", pod.uid.clone());
    }
    if let Some(node) = &private.node {
        add("node-name", node.name.clone());
        add("node-uid", node.uid.clone());
    }
    user
}

impl Authenticator for ServiceAccounts {
    fn authenticate<'a>(
        &'a self,
        request: &'a http::request::Parts,
    ) -> BoxFuture<'a, Result<Option<Arc<UserInfo>>, String>> {
        Box::pin(async move {
            let Some(token) = bearer_token(request) else { return Ok(None) };
            match self.verify(&token, &[]) {
                Ok(verified) => Ok(Some(Arc::new(verified.user))),
                Err(TokenRefused::Token(TokenError::Foreign)) => Ok(None),
                Err(refused) => Err(refused.to_string()),
            }
        })
    }
}
