//! Tries one authenticator after another and adds the group of everybody who is somebody.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::AUTHENTICATED;
use crate::seams::{Authenticator, UserInfo};

/// The first that knows the credential says who it is; a bad credential is an error only when nobody knows it.
#[derive(Debug)]
pub struct Union {
    authenticators: Vec<Arc<dyn Authenticator>>,
}

impl Union {
    pub fn new(authenticators: Vec<Arc<dyn Authenticator>>) -> Self {
        Self { authenticators }
    }
}

impl Authenticator for Union {
    fn authenticate<'a>(
        &'a self,
        request: &'a http::request::Parts,
    ) -> BoxFuture<'a, Result<Option<Arc<UserInfo>>, String>> {
        Box::pin(async move {
            let mut errors = Vec::new();
            for authenticator in &self.authenticators {
                match authenticator.authenticate(request).await {
                    Ok(Some(user)) => return Ok(Some(with_authenticated(user))),
                    Ok(None) => {}
                    Err(error) => errors.push(error),
                }
            }
            match (errors.is_empty(), bearer_token(request)) {
                (true, None) => Ok(None),
                // A token that nobody knows is a bad one.
                (true, Some(_)) => Err("invalid bearer token".into()),
                (false, _) => Err(errors.join(", ")),
            }
        })
    }
}

/// Adds `system:authenticated`, as upstream's group adder does.
pub fn with_authenticated(user: Arc<UserInfo>) -> Arc<UserInfo> {
    if user.groups.iter().any(|g| g == AUTHENTICATED) {
        return user;
    }
    let mut user = Arc::unwrap_or_clone(user);
    user.groups.push(AUTHENTICATED.into());
    Arc::new(user)
}

/// The bearer token of a request: `Authorization: Bearer TOKEN`, the scheme in any case, or a WebSocket subprotocol
/// `base64url.bearer.authorization.k8s.io.TOKEN` (base64url), for clients that cannot set headers.
pub fn bearer_token(request: &http::request::Parts) -> Option<String> {
    if let Some(header) = request.headers.get(http::header::AUTHORIZATION) {
        let mut parts = header.to_str().ok()?.trim().splitn(3, ' ');
        let (scheme, token) = (parts.next()?, parts.next()?.trim());
        return (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned());
    }
    let protocols = request.headers.get_all(http::header::SEC_WEBSOCKET_PROTOCOL);
    protocols.iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).find_map(|protocol| {
        use base64::Engine as _;
        let encoded = protocol.trim().strip_prefix("base64url.bearer.authorization.k8s.io.")?;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(encoded).ok()?;
        String::from_utf8(bytes).ok().filter(|token| !token.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, value: &str, expected: Option<&str>) {
        let (parts, ()) = http::Request::builder().header(header, value).body(()).unwrap().into_parts();
        assert_eq!(bearer_token(&parts).as_deref(), expected);
    }

    #[test]
    fn tokens_come_by_header_or_subprotocol() {
        check("authorization", "Bearer abc", Some("abc"));
        check("authorization", "bearer abc", Some("abc"));
        check("authorization", "Bearer ", None);
        check("authorization", "Basic abc", None);
        check(
            "sec-websocket-protocol",
            "v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.YWJj",
            Some("abc"),
        );
    }
}
