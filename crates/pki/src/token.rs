//! ServiceAccount tokens: JSON web tokens signed with ES256, their verification, and the public keys as a JWK set.
//!
//! Only signature, issuer, audience and times are checked here. Whether the ServiceAccount, pod, secret or node that a
//! token names still exists is the authenticator's to say. Claims are upstream's (`kubernetes.io`).

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};

use crate::PkiError;

/// Tolerated difference between the clocks of servers, as upstream's JWT library allows.
const LEEWAY_SECS: i64 = 60;
/// SubjectPublicKeyInfo of an uncompressed P-256 point, up to the point itself.
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// What a token says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    #[serde(default)]
    pub aud: Vec<String>,
    #[serde(default)]
    pub exp: i64,
    #[serde(default)]
    pub iat: i64,
    #[serde(default)]
    pub iss: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub jti: String,
    #[serde(default, rename = "kubernetes.io")]
    pub kubernetes: KubernetesClaims,
    #[serde(default)]
    pub nbf: i64,
    #[serde(default)]
    pub sub: String,
}

/// The private claim `kubernetes.io`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubernetesClaims {
    #[serde(default)]
    pub namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<ObjectClaim>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<ObjectClaim>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<ObjectClaim>,
    #[serde(default)]
    pub serviceaccount: ObjectClaim,
    /// From this second on the token is past the time that was asked for: its use is warned of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warnafter: Option<i64>,
}

/// An object that a token names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectClaim {
    #[serde(default)]
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

/// Why a token is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not one of our tokens: another authenticator may know it.
    #[error("not a token of this issuer")]
    Foreign,
    #[error("invalid signature")]
    Signature,
    #[error("service account token has expired")]
    Expired,
    #[error("service account token is not valid yet")]
    NotYetValid,
    #[error("token audiences {} is invalid for the target audiences {}", go_list(.found), go_list(.wanted))]
    Audience { found: Vec<String>, wanted: Vec<String> },
}

/// A list of strings as Go's `%q` prints it.
fn go_list(list: &[String]) -> String {
    let quoted: Vec<String> = list.iter().map(|s| format!("{s:?}")).collect();
    format!("[{}]", quoted.join(" "))
}

/// A key that signs tokens.
pub struct TokenKey {
    pem: String,
    pair: EcdsaKeyPair,
    rng: SystemRandom,
    id: String,
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl TokenKey {
    /// A new P-256 key.
    pub fn generate() -> Result<Self, PkiError> {
        let pair = rcgen::KeyPair::generate()?;
        Self::from_pem(&pair.serialize_pem())
    }

    /// Takes up a key from PKCS #8 PEM.
    pub fn from_pem(pem: &str) -> Result<Self, PkiError> {
        let der =
            PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|e| PkiError::Pem(e.to_string()))?;
        let rng = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der(), &rng)
            .map_err(|e| PkiError::Key(e.to_string()))?;
        let id = key_id(pair.public_key().as_ref());
        Ok(Self { pem: pem.into(), pair, rng, id })
    }

    pub fn private_pem(&self) -> &str {
        &self.pem
    }

    /// The public key as `PUBLIC KEY` PEM.
    pub fn public_pem(&self) -> String {
        let encoded = STANDARD.encode(spki(self.pair.public_key().as_ref()));
        let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
        for at in (0..encoded.len()).step_by(64) {
            pem.push_str(&encoded[at..encoded.len().min(at + 64)]);
            pem.push('\n');
        }
        pem.push_str("-----END PUBLIC KEY-----\n");
        pem
    }

    /// What tokens name this key by: the base64url SHA-256 of its public key, as upstream's.
    pub fn key_id(&self) -> &str {
        &self.id
    }

    /// Signs `claims`.
    pub fn sign(&self, claims: &Claims) -> Result<String, PkiError> {
        let header = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, self.id);
        let payload = serde_json::to_vec(claims).map_err(|e| PkiError::Key(e.to_string()))?;
        let mut token = URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let signature =
            self.pair.sign(&self.rng, token.as_bytes()).map_err(|e| PkiError::Key(e.to_string()))?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

/// Checks tokens against the public keys of one issuer.
#[derive(Clone, Debug)]
pub struct TokenVerifier {
    issuer: String,
    /// (key id, uncompressed point), the signing key first.
    keys: Arc<[(String, Vec<u8>)]>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: String,
}

impl TokenVerifier {
    pub fn new(issuer: &str, keys: &[&TokenKey]) -> Self {
        let keys = keys.iter().map(|k| (k.id.clone(), k.pair.public_key().as_ref().to_vec())).collect();
        Self { issuer: issuer.into(), keys }
    }

    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The claims of a token whose signature, issuer, times and audience hold. An empty `audiences` accepts any.
    pub fn verify(&self, token: &str, audiences: &[String], now: Timestamp) -> Result<Claims, TokenError> {
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Foreign);
        };
        let claims: Claims = decode(payload)?;
        if claims.iss != self.issuer {
            return Err(TokenError::Foreign);
        }
        let head: Header = decode(header)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Signature)?;
        let signed = &token.as_bytes()[..header.len() + 1 + payload.len()];
        let good = head.alg == "ES256"
            && self.keys.iter().filter(|(id, _)| head.kid.is_empty() || *id == head.kid).any(|(_, point)| {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, &signature).is_ok()
            });
        if !good {
            return Err(TokenError::Signature);
        }
        let now = now.as_second();
        if now > claims.exp.saturating_add(LEEWAY_SECS) {
            return Err(TokenError::Expired);
        }
        if now < claims.nbf.saturating_sub(LEEWAY_SECS) {
            return Err(TokenError::NotYetValid);
        }
        if !audiences.is_empty() && !audiences.iter().any(|a| claims.aud.contains(a)) {
            return Err(TokenError::Audience { found: claims.aud, wanted: audiences.to_vec() });
        }
        Ok(claims)
    }

    /// The document of `/openid/v1/jwks`.
    pub fn jwks(&self) -> String {
        let keys: Vec<serde_json::Value> = self
            .keys
            .iter()
            .map(|(id, point)| {
                // An uncompressed point: 0x04, then 32 bytes each of x and y.
                serde_json::json!({
                    "use": "sig", "kty": "EC", "kid": id, "crv": "P-256", "alg": "ES256",
                    "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..65]),
                })
            })
            .collect();
        serde_json::json!({ "keys": keys }).to_string()
    }

    /// The document of `/.well-known/openid-configuration`; `jwks_uri` is where [`TokenVerifier::jwks`] is served.
    pub fn discovery(&self, jwks_uri: &str) -> String {
        serde_json::json!({
            "issuer": self.issuer,
            "jwks_uri": jwks_uri,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
        .to_string()
    }
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Foreign)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Foreign)
}

fn spki(point: &[u8]) -> Vec<u8> {
    [SPKI_PREFIX.as_slice(), point].concat()
}

fn key_id(point: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, &spki(point)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(secs).unwrap()
    }

    fn claims() -> Claims {
        Claims {
            aud: vec![ISSUER.into()],
            exp: 4600,
            iat: 1000,
            nbf: 1000,
            iss: ISSUER.into(),
            ..Claims::default()
        }
    }

    #[track_caller]
    fn check(claims: &Claims, audience: &str, now: i64, expected: Result<(), TokenError>) {
        let key = TokenKey::generate().unwrap();
        let token = key.sign(claims).unwrap();
        let verifier = TokenVerifier::new(ISSUER, &[&key]);
        assert_eq!(verifier.verify(&token, &[audience.to_owned()], at(now)).map(|_| ()), expected);
    }

    #[test]
    fn times_and_audiences_hold() {
        check(&claims(), ISSUER, 1000, Ok(()));
        check(&claims(), ISSUER, 4600, Ok(()));
        check(&claims(), ISSUER, 4661, Err(TokenError::Expired));
        check(&claims(), ISSUER, 900, Err(TokenError::NotYetValid));
        let (found, wanted) = (vec![ISSUER.to_owned()], vec!["vault".to_owned()]);
        check(&claims(), "vault", 1000, Err(TokenError::Audience { found, wanted }));
        check(&Claims { iss: "other".into(), ..claims() }, ISSUER, 1000, Err(TokenError::Foreign));
    }

    #[test]
    fn a_changed_or_foreign_token_is_refused() {
        let (key, other) = (TokenKey::generate().unwrap(), TokenKey::generate().unwrap());
        let verifier = TokenVerifier::new(ISSUER, &[&key]);
        let token = other.sign(&claims()).unwrap();
        assert_eq!(verifier.verify(&token, &[], at(1000)), Err(TokenError::Signature));
        let token = key.sign(&claims()).unwrap();
        let mut parts: Vec<&str> = token.split('.').collect();
        let forged =
            URL_SAFE_NO_PAD.encode(serde_json::to_vec(&Claims { sub: "admin".into(), ..claims() }).unwrap());
        parts[1] = &forged;
        assert_eq!(verifier.verify(&parts.join("."), &[], at(1000)), Err(TokenError::Signature));
        assert_eq!(verifier.verify("abc", &[], at(1000)), Err(TokenError::Foreign));
    }

    #[test]
    fn a_key_survives_its_file() {
        let key = TokenKey::generate().unwrap();
        let again = TokenKey::from_pem(key.private_pem()).unwrap();
        assert_eq!(again.key_id(), key.key_id());
        let public = rcgen::SubjectPublicKeyInfo::from_pem(&key.public_pem());
        assert!(public.is_ok(), "the public key is a SubjectPublicKeyInfo");
        let jwks: serde_json::Value =
            serde_json::from_str(&TokenVerifier::new(ISSUER, &[&key]).jwks()).unwrap();
        assert_eq!(jwks["keys"][0]["kid"], key.key_id());
    }
}
