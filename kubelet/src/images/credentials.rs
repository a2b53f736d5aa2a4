//! Credentials for pulls, from the pod's `imagePullSecrets`, in both of Docker's formats.

use std::collections::BTreeMap;

use base64::Engine as _;
use cri::v1::AuthConfig;
use serde::Deserialize;

use super::name::registry;
use crate::agent::Agent;
use crate::api::{Pod, Secret};

#[derive(Deserialize, Default)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, DockerAuth>,
}

#[derive(Clone, Deserialize, Default)]
#[serde(default)]
struct DockerAuth {
    username: String,
    password: String,
    auth: String,
    identitytoken: String,
}

/// What to try one after the other: the credentials that match, else none.
pub(crate) async fn of(agent: &Agent, pod: &Pod, image: &str) -> Vec<Option<AuthConfig>> {
    let mut found = Vec::new();
    for reference in &pod.spec.image_pull_secrets {
        // A secret that is not there is no reason not to try without.
        if let Ok(Some(secret)) = agent.objects.secrets.get(&pod.metadata.namespace, &reference.name).await {
            found.extend(matching(&secret, image));
        }
    }
    if found.is_empty() { vec![None] } else { found.into_iter().map(Some).collect() }
}

/// A secret's credentials for an image.
fn matching(secret: &Secret, image: &str) -> Vec<AuthConfig> {
    let decode = |key: &str| {
        let text = secret.data.get(key)?;
        base64::engine::general_purpose::STANDARD.decode(text).ok()
    };
    let auths = match decode(".dockerconfigjson") {
        Some(json) => serde_json::from_slice::<DockerConfig>(&json).unwrap_or_default().auths,
        None => decode(".dockercfg").and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default(),
    };
    let host = registry(image);
    auths
        .into_iter()
        .filter(|(server, _)| serves(server, host, image))
        .map(|(server, auth)| config(server, auth))
        .collect()
}

/// Whether credentials for `server` (a host, perhaps with scheme, wildcard and path) are for the image.
fn serves(server: &str, host: &str, image: &str) -> bool {
    let server = server.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let (server_host, path) = server.split_once('/').unwrap_or((server, ""));
    let same_host = match server_host {
        // Docker's own registry goes by several names.
        "index.docker.io" | "docker.io" | "registry-1.docker.io" => host == "docker.io",
        wildcard if wildcard.starts_with("*.") => {
            host.split_once('.').is_some_and(|(_, rest)| rest == &wildcard[2..])
        }
        other => other == host,
    };
    let version = matches!(path, "" | "v1" | "v2");
    same_host
        && (version || image.strip_prefix(host).is_some_and(|p| p.trim_start_matches('/').starts_with(path)))
}

fn config(server: String, auth: DockerAuth) -> AuthConfig {
    let mut made = AuthConfig {
        username: auth.username,
        password: auth.password,
        identity_token: auth.identitytoken,
        server_address: server,
        ..AuthConfig::default()
    };
    let decoded = base64::engine::general_purpose::STANDARD.decode(&auth.auth).ok();
    if made.username.is_empty()
        && let Some((user, password)) = decoded
            .and_then(|d| String::from_utf8(d).ok())
            .and_then(|t| t.split_once(':').map(|(u, p)| (u.to_owned(), p.to_owned())))
    {
        made.username = user;
        made.password = password;
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_and_matching() {
        let encode = |t: &str| base64::engine::general_purpose::STANDARD.encode(t);
        let auth = encode("u:p:x");
        let json = format!(
            r#"{{"auths":{{"https://r.io/v1/":{{"auth":"{auth}"}},"other.io":{{"username":"a","password":"b"}}}}}}"#
        );
        let secret: Secret =
            serde_json::from_value(serde_json::json!({"data": {".dockerconfigjson": encode(&json)}}))
                .unwrap();
        let found = matching(&secret, "r.io/a/b:1");
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].username.as_str(), found[0].password.as_str()), ("u", "p:x"));
        assert!(matching(&secret, "busybox").is_empty());
        let old: Secret = serde_json::from_value(
            serde_json::json!({"data": {".dockercfg": encode(r#"{"docker.io":{"username":"a","password":"b"}}"#)}}),
        )
        .unwrap();
        assert_eq!(matching(&old, "busybox")[0].username, "a");
    }

    #[test]
    fn servers() {
        assert!(serves("*.r.io", "x.r.io", "x.r.io/a"));
        assert!(!serves("*.r.io", "r.io", "r.io/a"));
        assert!(serves("r.io/team", "r.io", "r.io/team/a"));
        assert!(!serves("r.io/team", "r.io", "r.io/other/a"));
        assert!(serves("https://index.docker.io/v1/", "docker.io", "busybox"));
    }
}
