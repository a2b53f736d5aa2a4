//! TokenReview: who a bearer token belongs to.

use std::sync::Arc;

use apimachinery::{Status, Value};
use futures::future::BoxFuture;
use pki::TokenError;

use super::user_value;
use crate::auth::service_account::{ServiceAccounts, TokenRefused};
use crate::auth::union::with_authenticated;
use crate::seams::{Authenticator, Special, SpecialRequest, UserInfo};
use crate::value;
use crate::values::{string_list, strings, text};

#[derive(Debug)]
pub struct TokenReview {
    service_accounts: Arc<ServiceAccounts>,
    others: Vec<Arc<dyn Authenticator>>,
}

impl TokenReview {
    pub fn new(service_accounts: Arc<ServiceAccounts>, others: Vec<Arc<dyn Authenticator>>) -> Self {
        Self { service_accounts, others }
    }

    /// The user and the audiences that the token is good for, or upstream's text of what is wrong.
    async fn review(
        &self,
        token: &str,
        audiences: &[String],
    ) -> Result<(Arc<UserInfo>, Vec<String>), String> {
        let mut errors = vec!["invalid bearer token".to_owned()];
        match self.service_accounts.verify(token, audiences) {
            Ok(verified) => return Ok((Arc::new(verified.user), verified.audiences)),
            Err(TokenRefused::Token(TokenError::Foreign)) => {}
            Err(refused) => errors.push(refused.to_string()),
        }
        // Authenticators that know nothing of audiences speak for the API server's.
        let own = self.service_accounts.audiences();
        let shared: Vec<String> = match audiences {
            [] => own.to_vec(),
            wanted => own.iter().filter(|a| wanted.contains(a)).cloned().collect(),
        };
        if !shared.is_empty()
            && let Ok(request) = http::Request::builder()
                .header(http::header::AUTHORIZATION, format!("Bearer {token}"))
                .body(())
        {
            let (parts, ()) = request.into_parts();
            for authenticator in &self.others {
                match authenticator.authenticate(&parts).await {
                    Ok(Some(user)) => return Ok((user, shared)),
                    Ok(None) => {}
                    Err(error) => errors.push(error),
                }
            }
        }
        match errors.as_slice() {
            [one] => Err(one.clone()),
            many => Err(format!("[{}]", many.join(", "))),
        }
    }
}

impl Special for TokenReview {
    fn resource(&self) -> (&'static str, &'static str, &'static str) {
        ("authentication.k8s.io", "tokenreviews", "")
    }

    fn create<'a>(&'a self, request: SpecialRequest<'a>) -> BoxFuture<'a, Result<Value, Status>> {
        Box::pin(async move {
            let mut object = request.object;
            let token = text(&object, &["spec", "token"]);
            if token.is_empty() {
                return Err(Status::bad_request("token is required for TokenReview in authentication"));
            }
            let audiences = string_list(object.at(&["spec", "audiences"]));
            let status = match self.review(token, &audiences).await {
                Ok((user, audiences)) => value!({
                    "authenticated": true,
                    "user": (user_value(&with_authenticated(user))),
                    "audiences": (strings(audiences)),
                }),
                Err(error) => value!({ "user": {}, "error": (error) }),
            };
            object.set_at(&["status"], status);
            Ok(object)
        })
    }
}
