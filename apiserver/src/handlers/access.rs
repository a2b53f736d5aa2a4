//! Who asks, as whom, and whether they may: authentication, impersonation and authorization of every request.
//!
//! The authenticators and authorizers themselves are elsewhere (`auth/`); without any authorizer everything is allowed,
//! which only tests of other parts use.

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::Status;
use http::HeaderMap;
use http::request::Parts;

use crate::response::bad_request;
use crate::routes::{Query, RequestInfo, decode};
use crate::seams::{Attributes, Decision, InProcessUser, UserInfo};
use crate::server::ApiServer;

const ANONYMOUS: &str = "system:anonymous";
const UNAUTHENTICATED: &str = "system:unauthenticated";
const AUTHENTICATED: &str = "system:authenticated";
const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// Whether a bearer token is shown at all. Other schemes mean nothing here, as upstream.
fn has_bearer_token(headers: &http::HeaderMap) -> bool {
    let text =
        headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.trim()
        .split_once(' ')
        .is_some_and(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty())
}

impl ApiServer {
    /// Who sends this request. Its credential is taken out of the headers once it is known.
    pub(crate) async fn authenticate(&self, parts: &mut Parts) -> Result<Arc<UserInfo>, Status> {
        if let Some(InProcessUser(user)) = parts.extensions.get::<InProcessUser>() {
            return Ok(Arc::new(with_group(user.clone(), AUTHENTICATED)));
        }
        let mut refused = false;
        for authenticator in &self.plugins().authenticators {
            match authenticator.authenticate(parts).await {
                Ok(None) => {}
                Ok(Some(user)) => {
                    parts.headers.remove(http::header::AUTHORIZATION);
                    let known = user.name == ANONYMOUS
                        || user.groups.iter().any(|g| g == AUTHENTICATED || g == UNAUTHENTICATED);
                    return Ok(if known {
                        user
                    } else {
                        Arc::new(with_group((*user).clone(), AUTHENTICATED))
                    });
                }
                Err(why) => {
                    tracing::debug!(error = %why, "credential refused");
                    refused = true;
                }
            }
        }
        // A token that no authenticator knows is a bad credential, not the absence of one.
        if refused || has_bearer_token(&parts.headers) || !self.config().anonymous_auth {
            return Err(Status::unauthorized("Unauthorized"));
        }
        Ok(Arc::new(UserInfo {
            name: ANONYMOUS.into(),
            groups: vec![UNAUTHENTICATED.into()],
            ..UserInfo::default()
        }))
    }

    /// What the request wants, as authorizers see it.
    pub(crate) fn attributes(&self, info: &RequestInfo, query: &Query, user: Arc<UserInfo>) -> Attributes {
        Attributes {
            user,
            verb: info.verb.clone(),
            group: info.group.clone(),
            version: info.version.clone(),
            resource: info.resource.clone(),
            subresource: info.subresource.clone(),
            namespace: info.namespace.clone(),
            name: info.name.clone(),
            path: info.path.clone(),
            is_resource: info.is_resource,
            field_selector: query.text("fieldSelector").to_owned(),
            label_selector: query.text("labelSelector").to_owned(),
        }
    }

    /// Refuses what no authorizer allows.
    pub(crate) fn authorize(&self, attributes: &Attributes) -> Result<(), Status> {
        self.decide(attributes).map_err(|why| denied(attributes, &why))
    }

    fn decide(&self, attributes: &Attributes) -> Result<(), String> {
        let authorizers = &self.plugins().authorizers;
        if authorizers.is_empty() {
            return Ok(());
        }
        let mut reasons = Vec::new();
        for authorizer in authorizers {
            match authorizer.authorize(attributes) {
                Decision::Allow(_) => return Ok(()),
                Decision::Deny(why) => return Err(why),
                Decision::NoOpinion(why) if !why.is_empty() => reasons.push(why),
                Decision::NoOpinion(_) => {}
            }
        }
        Err(reasons.join("\n"))
    }

    /// Whether the attributes are allowed, for checks that refuse in words of their own.
    pub(crate) fn allowed(&self, attributes: &Attributes) -> bool {
        self.decide(attributes).is_ok()
    }

    /// The user that the request is to be taken as from, when its headers ask for one and its sender may.
    pub(crate) fn impersonate(
        &self,
        headers: &HeaderMap,
        attributes: &Attributes,
    ) -> Result<Option<Arc<UserInfo>>, Status> {
        let Some(wanted) = requested(headers)? else { return Ok(None) };
        if self.may_impersonate(&wanted, attributes) {
            return Ok(Some(Arc::new(complete(wanted))));
        }
        let on = Attributes {
            verb: format!("impersonate-on:{}:{}", mode(&wanted), attributes.verb),
            ..attributes.clone()
        };
        let why = self.decide(&on).err().unwrap_or_default();
        Err(denied(&on, &why))
    }

    /// Either the plain right to impersonate every part of the identity, or the constrained one: that right under a verb
    /// of its mode, together with the right to do this very thing as somebody else.
    fn may_impersonate(&self, wanted: &UserInfo, attributes: &Attributes) -> bool {
        let mode = mode(wanted);
        let on =
            Attributes { verb: format!("impersonate-on:{mode}:{}", attributes.verb), ..attributes.clone() };
        let parts = identity_parts(wanted);
        let all = |verb: &str, constrained: bool| {
            parts.iter().all(|part| {
                self.allowed(&Attributes {
                    user: Arc::clone(&attributes.user),
                    verb: verb.into(),
                    group: if constrained { "authentication.k8s.io" } else { part.group }.into(),
                    version: "v1".into(),
                    resource: part.resource.into(),
                    subresource: part.subresource.clone(),
                    namespace: part.namespace.clone(),
                    name: part.name.clone(),
                    is_resource: true,
                    ..Attributes::default()
                })
            })
        };
        all("impersonate", false) || (self.allowed(&on) && all(&format!("impersonate:{mode}"), true))
    }
}

struct IdentityPart {
    group: &'static str,
    resource: &'static str,
    subresource: String,
    namespace: String,
    name: String,
}

/// The resources that stand for the parts of an identity.
fn identity_parts(user: &UserInfo) -> Vec<IdentityPart> {
    let part = |group, resource, name: &str| IdentityPart {
        group,
        resource,
        subresource: String::new(),
        namespace: String::new(),
        name: name.to_owned(),
    };
    let mut parts = vec![match service_account(&user.name) {
        Some((namespace, name)) => {
            IdentityPart { namespace: namespace.into(), ..part("", "serviceaccounts", name) }
        }
        None => part("", "users", &user.name),
    }];
    parts.extend(user.groups.iter().map(|g| part("", "groups", g)));
    if !user.uid.is_empty() {
        parts.push(part("authentication.k8s.io", "uids", &user.uid));
    }
    for (key, values) in &user.extra {
        parts.extend(values.iter().map(|value| IdentityPart {
            subresource: key.clone(),
            ..part("authentication.k8s.io", "userextras", value)
        }));
    }
    parts
}

fn service_account(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':').filter(|(_, n)| !n.contains(':'))
}

fn mode(user: &UserInfo) -> &'static str {
    if service_account(&user.name).is_some() {
        "serviceaccount"
    } else if user.name.starts_with("system:node:") {
        "arbitrary-node"
    } else {
        "user-info"
    }
}

/// The identity that the headers ask for; extra keys are lower-cased and unescaped.
fn requested(headers: &HeaderMap) -> Result<Option<UserInfo>, Status> {
    let texts = |name: &str| -> Vec<String> {
        headers.get_all(name).iter().map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned()).collect()
    };
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        if let Some(key) = name.as_str().strip_prefix("impersonate-extra-") {
            let key = decode(key, false).to_lowercase();
            extra.entry(key).or_default().push(String::from_utf8_lossy(value.as_bytes()).into_owned());
        }
    }
    let first = |name: &str| texts(name).into_iter().next().unwrap_or_default();
    let user = UserInfo {
        name: first("impersonate-user"),
        uid: first("impersonate-uid"),
        groups: texts("impersonate-group"),
        extra,
    };
    if !user.name.is_empty() {
        return Ok(Some(user));
    }
    if user.uid.is_empty() && user.groups.is_empty() && user.extra.is_empty() {
        return Ok(None);
    }
    Err(bad_request(format!("requested {} without impersonating a user name", go_user(&user))))
}

/// The user as Go's `%#v` shows it.
fn go_user(user: &UserInfo) -> String {
    let strings = |list: &[String]| {
        let quoted: Vec<String> = list.iter().map(|s| format!("{s:?}")).collect();
        format!("[]string{{{}}}", quoted.join(", "))
    };
    let groups = if user.groups.is_empty() { "[]string(nil)".into() } else { strings(&user.groups) };
    let extra = if user.extra.is_empty() {
        "map[string][]string(nil)".into()
    } else {
        let pairs: Vec<String> = user.extra.iter().map(|(k, v)| format!("{k:?}:{}", strings(v))).collect();
        format!("map[string][]string{{{}}}", pairs.join(", "))
    };
    format!("&user.DefaultInfo{{Name:{:?}, UID:{:?}, Groups:{groups}, Extra:{extra}}}", user.name, user.uid)
}

/// Adds the groups that come with being a user of that kind.
fn complete(mut user: UserInfo) -> UserInfo {
    if user.name == ANONYMOUS {
        return with_group(user, UNAUTHENTICATED);
    }
    if user.groups.is_empty()
        && let Some((namespace, _)) = service_account(&user.name)
    {
        user.groups = vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")];
    }
    with_group(user, AUTHENTICATED)
}

fn with_group(mut user: UserInfo, group: &str) -> UserInfo {
    if !user.groups.iter().any(|g| g == group) {
        user.groups.push(group.into());
    }
    user
}

/// 403 in upstream's words.
fn denied(attributes: &Attributes, why: &str) -> Status {
    let a = attributes;
    let user = &a.user.name;
    if !a.is_resource {
        let message = format!("forbidden: User {user:?} cannot {} path {:?}", a.verb, a.path);
        let message = if why.is_empty() { message } else { format!("{message}: {why}") };
        return Status::new(403, "Forbidden", message)
            .with_details(apimachinery::status::StatusDetails::default());
    }
    let resource = match a.subresource.as_str() {
        "" => a.resource.clone(),
        sub => format!("{}/{sub}", a.resource),
    };
    let place = match a.namespace.as_str() {
        // A namespace is itself not in one.
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace {namespace:?}"),
    };
    let mut text =
        format!("User {user:?} cannot {} resource {resource:?} in API group {:?} {place}", a.verb, a.group);
    if !why.is_empty() {
        text = format!("{text}: {why}");
    }
    Status::forbidden(&a.group, &a.resource, &a.name, &text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(k, v)| (http::HeaderName::from_static(k), http::HeaderValue::from_static(v)))
            .collect()
    }

    #[test]
    fn impersonation_headers() {
        let user = requested(&headers(&[
            ("impersonate-user", "jane"),
            ("impersonate-extra-e.com%2fx", "b"),
            ("impersonate-group", "g"),
        ]))
        .unwrap()
        .unwrap();
        assert_eq!(user.extra["e.com/x"], ["b"]);
        assert_eq!(complete(user).groups, ["g", "system:authenticated"]);
        let robot = UserInfo { name: "system:serviceaccount:a:b".into(), ..UserInfo::default() };
        assert_eq!(
            complete(robot).groups,
            ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"]
        );
        expect![[r#"requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string{"g"}, Extra:map[string][]string(nil)} without impersonating a user name"#]]
            .assert_eq(&requested(&headers(&[("impersonate-group", "g")])).unwrap_err().message);
        assert_eq!(requested(&headers(&[("impersonate-user", "")])).unwrap(), None);
    }

    #[test]
    fn a_bearer_token_is_a_credential_whoever_knows_it() {
        let shown = |value: &'static str| has_bearer_token(&headers(&[("authorization", value)]));
        assert!(shown("Bearer nonsense") && shown("bearer x"));
        assert!(!shown("Basic dTpw") && !shown("Bearer ") && !shown("Bearer"));
        assert!(!has_bearer_token(&http::HeaderMap::new()));
    }

    #[test]
    fn refusals() {
        let user = Arc::new(UserInfo { name: "bob".into(), ..UserInfo::default() });
        let mut a = Attributes { user, verb: "get".into(), path: "/nope".into(), ..Attributes::default() };
        expect![[r#"forbidden: User "bob" cannot get path "/nope""#]].assert_eq(&denied(&a, "").message);
        a.is_resource = true;
        a.resource = "pods".into();
        a.subresource = "log".into();
        a.name = "minimal".into();
        a.namespace = "gold".into();
        expect![[r#"pods "minimal" is forbidden: User "bob" cannot get resource "pods/log" in API group "" in the namespace "gold""#]]
            .assert_eq(&denied(&a, "").message);
    }
}
