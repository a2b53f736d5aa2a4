//! What is answered by code instead of storage: reviews, token requests, bindings and evictions.

pub mod access_review;
pub mod binding;
pub mod eviction;
pub mod rules_review;
pub mod self_review;
pub mod token_request;
pub mod token_review;

use std::sync::Arc;

use apimachinery::Value;

use crate::auth::service_account::ServiceAccounts;
use crate::seams::{Authenticator, Authorizer, Objects, Special, UserInfo};
use crate::value;
use crate::values::strings;
use token_request::TokenIssuer;

/// What the specials need of the server.
#[derive(Clone, Debug)]
pub struct Dependencies {
    pub objects: Arc<dyn Objects>,
    pub authorizer: Arc<dyn Authorizer>,
    pub service_accounts: Arc<ServiceAccounts>,
    /// Other authenticators that know bearer tokens.
    pub token_authenticators: Vec<Arc<dyn Authenticator>>,
    pub issuer: Arc<TokenIssuer>,
}

/// All of them.
pub fn all(dependencies: &Dependencies) -> Vec<Arc<dyn Special>> {
    let Dependencies { objects, authorizer, service_accounts, token_authenticators, issuer } = dependencies;
    vec![
        Arc::new(access_review::AccessReview::subject(Arc::clone(authorizer))),
        Arc::new(access_review::AccessReview::local(Arc::clone(authorizer))),
        Arc::new(access_review::AccessReview::own(Arc::clone(authorizer))),
        Arc::new(rules_review::RulesReview::new(Arc::clone(authorizer))),
        Arc::new(self_review::SelfReview),
        Arc::new(token_review::TokenReview::new(Arc::clone(service_accounts), token_authenticators.clone())),
        Arc::new(token_request::TokenRequest::new(Arc::clone(objects), Arc::clone(issuer))),
        Arc::new(binding::Binding::of_pod(Arc::clone(objects))),
        Arc::new(binding::Binding::collection(Arc::clone(objects))),
        Arc::new(eviction::Eviction::new(Arc::clone(objects))),
    ]
}

/// A user as reviews show it.
fn user_value(user: &UserInfo) -> Value {
    let mut shown = apimachinery::Object::new();
    shown.insert("username", user.name.as_str());
    if !user.uid.is_empty() {
        shown.insert("uid", user.uid.as_str());
    }
    if !user.groups.is_empty() {
        shown.insert("groups", strings(&user.groups));
    }
    if !user.extra.is_empty() {
        shown.insert("extra", user.extra.iter().map(|(k, v)| (k, strings(v))).collect::<Value>());
    }
    shown.into()
}

/// What bindings and evictions answer.
fn created_status() -> Value {
    value!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 })
}

#[cfg(test)]
mod tests;
