//! Who asks, and whether they may: a client certificate of the cluster's authority or a bearer token through
//! TokenReview, then SubjectAccessReview on subresources of this node. Health too is for those who are allowed.

use std::sync::Arc;

use client::Client;
pub use client::delegated::User;
use client::delegated::{Delegated, Options, Permission};

use crate::config::{Authentication, Authorization};

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

/// Authenticates and authorizes.
#[derive(Debug)]
pub struct Auth {
    delegated: Delegated,
    node_name: Arc<str>,
    always_allow: bool,
}

impl Auth {
    /// `client_ca_pem` signs client certificates; without it none counts.
    pub fn new(
        client: Client,
        clock: Arc<dyn env::Clock>,
        node_name: &str,
        client_ca_pem: Option<&str>,
        authentication: &Authentication,
        authorization: &Authorization,
    ) -> Result<Self, pki::PkiError> {
        let options = Options {
            anonymous: authentication.anonymous.enabled,
            tokens: authentication.webhook.enabled,
            token_ttl: authentication.webhook.cache_ttl,
            allowed_ttl: authorization.webhook.cache_authorized_ttl,
            denied_ttl: authorization.webhook.cache_unauthorized_ttl,
        };
        let delegated = Delegated::new(client, clock, client_ca_pem, options)?;
        let always_allow = authorization.mode == "AlwaysAllow";
        Ok(Self { delegated, node_name: node_name.into(), always_allow })
    }

    /// Who has this certificate, or sent this `Authorization` header.
    pub async fn authenticate(
        &self,
        certificate: Option<&[u8]>,
        header: Option<&str>,
    ) -> Result<User, AuthError> {
        self.delegated.authenticate(certificate, header).await.ok_or(AuthError::Unauthorized)
    }

    /// Whether `user` may do this to the node.
    pub async fn authorize(
        &self,
        user: &User,
        verb: &'static str,
        subresources: &'static [&'static str],
    ) -> Result<(), AuthError> {
        if self.always_allow {
            return Ok(());
        }
        let mut unknown = false;
        for subresource in subresources {
            let permission = Permission::Node { verb, subresource, name: Arc::clone(&self.node_name) };
            match self.delegated.may(user, &permission).await {
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
}
