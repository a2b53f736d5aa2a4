//! serviceaccounts/token: issues a token for a ServiceAccount, bound to a pod, secret or node if asked.
//!
//! As upstream, the token that a kubelet asks for with the magic 3607 seconds for the API server lives for a year while
//! it says that it lives for an hour, so that clients which never reload it go on working; its use after the hour is
//! marked by `warnafter`.

use std::fmt;
use std::sync::Arc;

use apimachinery::status::{FieldError, FieldErrorReason};
use apimachinery::{Status, Value, go};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use pki::{Claims, KubernetesClaims, ObjectClaim, TokenKey};

use crate::auth::service_account::USER_PREFIX;
use crate::seams::{Objects, Special, SpecialRequest};
use crate::value;
use crate::values::{meta, string_list, strings, text};

const GROUP: &str = "authentication.k8s.io";
const KIND: &str = "TokenRequest";
const EXPIRATION_SECS_DEFAULT: i64 = 3600;
const EXPIRATION_SECS_MIN: i64 = 600;
const EXPIRATION_SECS_MAX: i64 = 1 << 32;
/// What the kubelet asks for in the token volume that admission adds; see the module's text.
const EXTENDED_REQUEST_SECS: i64 = 3607;
const EXTENDED_SECS: i64 = 365 * 24 * 3600;

/// What signs tokens, and as whom.
pub struct TokenIssuer {
    key: TokenKey,
    issuer: String,
    /// The audiences of the API server.
    audiences: Vec<String>,
    rng: Arc<dyn env::Rng>,
}

impl fmt::Debug for TokenIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuer").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl TokenIssuer {
    pub fn new(key: TokenKey, issuer: &str, audiences: Vec<String>, rng: Arc<dyn env::Rng>) -> Self {
        Self { key, issuer: issuer.into(), audiences, rng }
    }

    /// A verifier of what this issues.
    pub fn verifier(&self) -> pki::TokenVerifier {
        pki::TokenVerifier::new(&self.issuer, &[&self.key])
    }

    fn sign(&self, mut claims: Claims, now: Timestamp, expires_in_secs: i64) -> Result<String, Status> {
        claims.iss = self.issuer.clone();
        claims.jti = self.rng.uuid();
        claims.iat = now.as_second();
        claims.nbf = now.as_second();
        claims.exp = now.as_second() + expires_in_secs;
        let account = &claims.kubernetes;
        claims.sub = format!("{USER_PREFIX}{}:{}", account.namespace, account.serviceaccount.name);
        self.key.sign(&claims).map_err(|e| Status::plain_error(format!("failed to generate token: {e}")))
    }
}

/// The subresource.
#[derive(Debug)]
pub struct TokenRequest {
    objects: Arc<dyn Objects>,
    issuer: Arc<TokenIssuer>,
}

impl TokenRequest {
    pub fn new(objects: Arc<dyn Objects>, issuer: Arc<TokenIssuer>) -> Self {
        Self { objects, issuer }
    }

    fn issue(&self, request: SpecialRequest<'_>) -> Result<Value, Status> {
        let SpecialRequest { namespace, name, mut object, now, .. } = request;
        check_names(&object, namespace, name)?;
        let account = self
            .objects
            .get("", "serviceaccounts", namespace, name)
            .ok_or_else(|| Status::not_found("", "serviceaccounts", name))?;
        let mut audiences = string_list(object.at(&["spec", "audiences"]));
        if audiences.is_empty() {
            audiences = self.issuer.audiences.clone();
        }
        let seconds = object.i64_at(&["spec", "expirationSeconds"]).unwrap_or(EXPIRATION_SECS_DEFAULT);
        check_expiration(seconds)?;

        let mut claims = Claims {
            aud: audiences.clone(),
            kubernetes: KubernetesClaims {
                namespace: namespace.into(),
                serviceaccount: claim(&account),
                ..KubernetesClaims::default()
            },
            ..Claims::default()
        };
        if let Some(bound) = object.at(&["spec", "boundObjectRef"]).filter(|b| !b.is_null()) {
            self.bind(bound, namespace, name, &mut claims.kubernetes)?;
        }
        let for_server = self.issuer.audiences.iter().any(|a| audiences.contains(a));
        let mut lifetime = seconds;
        if claims.kubernetes.pod.is_some() && seconds == EXTENDED_REQUEST_SECS && for_server {
            claims.kubernetes.warnafter = Some(now.as_second() + seconds);
            lifetime = EXTENDED_SECS;
        }
        let token = self.issuer.sign(claims, now, lifetime)?;
        let expires = now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);

        let metadata = object.at(&["metadata"]).cloned().unwrap_or_else(Value::object);
        object.set_at(&["metadata"], metadata);
        object.set_at(&["metadata", "name"], name);
        object.set_at(&["metadata", "namespace"], namespace);
        object.set_at(&["metadata", "uid"], self.issuer.rng.uuid());
        object.set_at(&["metadata", "creationTimestamp"], format!("{now:.0}"));
        object.set_at(&["spec", "audiences"], strings(audiences));
        object.set_at(&["spec", "expirationSeconds"], seconds);
        if object.at(&["spec", "boundObjectRef"]).is_none() {
            object.set_at(&["spec", "boundObjectRef"], Value::NULL);
        }
        object.set_at(
            &["status"],
            value!({ "token": (token), "expirationTimestamp": (format!("{expires:.0}")) }),
        );
        Ok(object)
    }

    fn bind(
        &self,
        bound: &Value,
        namespace: &str,
        account: &str,
        claims: &mut KubernetesClaims,
    ) -> Result<(), Status> {
        let (kind, name) = (text(bound, &["kind"]), text(bound, &["name"]));
        let version = text(bound, &["apiVersion"]);
        let find = |resource: &'static str, namespace: &str| {
            self.objects
                .get("", resource, namespace, name)
                .ok_or_else(|| Status::not_found("", resource, name))
        };
        let in_core = !version.contains('/');
        let object = match kind {
            "Pod" if in_core => {
                let pod = find("pods", namespace)?;
                if text(&pod, &["spec", "serviceAccountName"]) != account {
                    return Err(Status::bad_request(format!(
                        "cannot bind token for serviceaccount {} to pod running with different serviceaccount name.",
                        go::quote(account)
                    )));
                }
                let node_name = text(&pod, &["spec", "nodeName"]);
                if !node_name.is_empty() {
                    let node = self.objects.get("", "nodes", "", node_name);
                    // A node that is gone leaves its name in the token without a uid.
                    let uid = node.map(|n| meta(&n, "uid").to_owned()).unwrap_or_default();
                    claims.node = Some(ObjectClaim { name: node_name.into(), uid });
                }
                claims.pod = Some(claim(&pod));
                pod
            }
            "Secret" if in_core => {
                let secret = find("secrets", namespace)?;
                claims.secret = Some(claim(&secret));
                secret
            }
            "Node" if in_core => {
                let node = find("nodes", "")?;
                claims.node = Some(claim(&node));
                node
            }
            _ => {
                let (group, version) = version.split_once('/').unwrap_or(("", version));
                return Err(Status::bad_request(format!(
                    "cannot bind token to object of type {group}/{version}, Kind={kind}"
                )));
            }
        };
        let uid = text(bound, &["uid"]);
        if uid.is_empty() || uid == meta(&object, "uid") {
            return Ok(());
        }
        let why = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been \
             deleted and then recreated"
        );
        Err(Status::conflict("", kind, name, &why))
    }
}

impl Special for TokenRequest {
    fn resource(&self) -> (&'static str, &'static str, &'static str) {
        ("", "serviceaccounts", "token")
    }

    fn create<'a>(&'a self, request: SpecialRequest<'a>) -> BoxFuture<'a, Result<Value, Status>> {
        Box::pin(async move { self.issue(request) })
    }
}

fn claim(object: &Value) -> ObjectClaim {
    ObjectClaim { name: meta(object, "name").into(), uid: meta(object, "uid").into() }
}

fn check_names(object: &Value, namespace: &str, name: &str) -> Result<(), Status> {
    for (field, wanted, what) in [("name", name, "name"), ("namespace", namespace, "namespace")] {
        let found = meta(object, field);
        if !found.is_empty() && found != wanted {
            let error = FieldError {
                reason: FieldErrorReason::Invalid,
                field: format!("metadata.{field}"),
                message: format!(
                    "Invalid value: {}: must match the service account {what} if specified",
                    go::quote(found)
                ),
            };
            return Err(Status::invalid(GROUP, KIND, name, &[error]));
        }
    }
    Ok(())
}

fn check_expiration(seconds: i64) -> Result<(), Status> {
    let why = match seconds {
        s if s < EXPIRATION_SECS_MIN => "may not specify a duration less than 10 minutes",
        s if s > EXPIRATION_SECS_MAX => "may not specify a duration larger than 2^32 seconds",
        _ => return Ok(()),
    };
    let error = FieldError {
        reason: FieldErrorReason::Invalid,
        field: "spec.expirationSeconds".into(),
        message: format!("Invalid value: {seconds}: {why}"),
    };
    Err(Status::invalid(GROUP, KIND, "", &[error]))
}
