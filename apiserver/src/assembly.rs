//! A whole server from its parts: authenticators, authorizers, admission, strategies, allocators and special resources
//! plugged into the core, and the objects that every cluster begins with.
//!
//! [`crate::server`] knows none of these parts; whoever runs a real server starts it here.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use component::Tasks;
use component::flags::host_name;
use component::run::ConfigError;
use env::Env;
use pki::TokenKey;
use store::Backend;

use crate::auth::Chain;
use crate::auth::service_account::ServiceAccounts;
use crate::auth::x509::X509;
use crate::bootstrap;
use crate::config::{Config, Document, Plugins};
use crate::seams::{Authenticator, Objects};
use crate::server::{ApiServer, Deps};
use crate::special::token_request::TokenIssuer;
use crate::{admission, alloc, special, strategy};

/// The audience and issuer of upstream's clusters.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// The server's own lease lasts an hour; this often is well within it and costs an idle cluster next to nothing.
const IDENTITY_RENEWAL: Duration = Duration::from_secs(600);

/// What a real server is made with.
#[derive(Debug)]
pub struct Assembly {
    pub config: Config,
    /// Certificates of users are signed by this authority.
    pub client_ca_pem: String,
    pub token_key: TokenKey,
    pub issuer: String,
    pub audiences: Vec<String>,
    pub bootstrap: bootstrap::Config,
    pub node_ports: RangeInclusive<u16>,
}

#[derive(Debug, thiserror::Error)]
pub enum AssemblyError {
    #[error("the store did not start")]
    Store(#[from] store::StoreError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the first objects could not be made: {0}")]
    Bootstrap(String),
}

/// Starts a server with everything plugged in, and ends once the objects that every cluster begins with are there.
pub async fn start(
    assembly: Assembly,
    env: Env,
    backend: Arc<dyn Backend>,
    tasks: Tasks,
) -> Result<Arc<ApiServer>, AssemblyError> {
    let Assembly { config, client_ca_pem, token_key, issuer, audiences, bootstrap, node_ports } = assembly;
    let certificates = X509::new(&client_ca_pem, Arc::clone(&env.clock))
        .map_err(|e| ConfigError(format!("the authority of client certificates: {e}")))?;
    let ranges = alloc::Ranges::parse(&bootstrap.service_cidrs, node_ports).map_err(ConfigError)?;
    let plugin_env = env.clone();
    let tokens: Option<Arc<dyn Authenticator>> = config.tokens.clone().map(|t| t as _);
    let (own_env, own_ranges, own_tasks) = (env.clone(), ranges.clone(), tasks.clone());
    let plugins = Box::new(move |objects: &Arc<dyn Objects>| {
        let issuer =
            Arc::new(TokenIssuer::new(token_key, &issuer, audiences.clone(), Arc::clone(&plugin_env.rng)));
        let accounts = Arc::new(ServiceAccounts::new(
            issuer.verifier(),
            Arc::clone(objects),
            Arc::clone(&plugin_env.clock),
            audiences,
        ));
        let (chain, rbac) = Chain::node_and_rbac(Arc::clone(objects));
        let admission = admission::all(&admission::Dependencies {
            objects: Arc::clone(objects),
            rng: Arc::clone(&plugin_env.rng),
            rbac: Arc::clone(&rbac),
            authorizer: chain.clone(),
        });
        let specials = special::all(&special::Dependencies {
            objects: Arc::clone(objects),
            authorizer: chain.clone(),
            service_accounts: Arc::clone(&accounts),
            token_authenticators: tokens.iter().cloned().collect(),
            issuer: Arc::clone(&issuer),
        });
        let certificates: Arc<dyn Authenticator> = Arc::new(certificates);
        Plugins {
            authenticators: std::iter::once(certificates).chain(tokens).chain([accounts as _]).collect(),
            authorizers: vec![chain],
            admission,
            strategies: strategy::all(),
            allocators: alloc::all(alloc::Services::new(
                Arc::clone(objects),
                ranges,
                Arc::clone(&plugin_env.rng),
                Arc::clone(&plugin_env.clock),
            )),
            specials,
            documents: issuer_documents(&issuer),
        }
    });
    let now = env.clock.now();
    let kinds = kinds::Registry::builtin();
    let server = ApiServer::start(config, Deps { env, backend, kinds, tasks, plugins }).await?;
    bootstrap::run(server.objects(), &bootstrap, now)
        .await
        .map_err(|status| AssemblyError::Bootstrap(status.message))?;
    bootstrap::api_services::ensure_all(&*server.objects(), &server.registry().served())
        .await
        .map_err(|status| AssemblyError::Bootstrap(status.message))?;
    let objects = server.objects();
    let (rng, clock) = (Arc::clone(&own_env.rng), Arc::clone(&own_env.clock));
    let services = alloc::Services::new(Arc::clone(&objects), own_ranges, rng, clock);
    alloc::repair(&services).await.map_err(|status| AssemblyError::Bootstrap(status.message))?;
    own_tasks.spawn_until_stop("identity", keep_identity(objects, bootstrap, own_env.clock));
    Ok(server)
}

/// Renews the server's lease as long as it runs.
async fn keep_identity(objects: Arc<dyn Objects>, config: bootstrap::Config, clock: Arc<dyn env::Clock>) {
    loop {
        tokio::time::sleep(IDENTITY_RENEWAL).await;
        if let Err(status) = bootstrap::renew_identity(&*objects, &config, clock.now()).await {
            tracing::warn!(reason = status.message, "the server's lease was not renewed");
        }
    }
}

/// What verifies our ServiceAccount tokens, for those who are not us.
fn issuer_documents(issuer: &TokenIssuer) -> std::collections::BTreeMap<String, Document> {
    let verifier = issuer.verifier();
    let discovery = Bytes::from(verifier.discovery("/openid/v1/jwks"));
    let keys = Bytes::from(verifier.jwks());
    let document =
        |content_type, body: Bytes| Document { content_type, body: Arc::new(move || body.clone()) };
    [
        ("/.well-known/openid-configuration".to_owned(), document("application/json", discovery)),
        ("/openid/v1/jwks".to_owned(), document("application/jwk-set+json", keys)),
    ]
    .into()
}

/// What [`bootstrap::run`] must know of a server at `address`.
pub fn bootstrap_config(
    env: &Env,
    address: IpAddr,
    port: u16,
    service_cidrs: &[String],
    client_ca_pem: &str,
) -> Result<bootstrap::Config, ConfigError> {
    let ranges = alloc::Ranges::parse(service_cidrs, alloc::NODE_PORTS)
        .map_err(|e| ConfigError(format!("--service-cluster-ip-range: {e}")))?;
    let host_name = host_name()?;
    // Upstream names the lease by a hash of the host's name: the same server finds its own again after a restart.
    let digest = ring::digest::digest(&ring::digest::SHA256, format!("{host_name}:{port}").as_bytes());
    let hash = base32(&digest.as_ref()[..16]);
    Ok(bootstrap::Config {
        advertise_address: address,
        port,
        service_cidrs: service_cidrs.to_vec(),
        kubernetes_ip: ranges.kubernetes_ip(),
        host_name,
        identity: format!("apiserver-{hash}"),
        run_uid: env.rng.uuid(),
        client_ca_pem: client_ca_pem.to_owned(),
    })
}

/// RFC 4648 base32 in lower case, without padding.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut out = String::new();
    let (mut buffer, mut bits) = (0u32, 0);
    for byte in bytes {
        buffer = buffer << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            out.push(char::from(ALPHABET[(buffer >> bits & 31) as usize]));
        }
    }
    if bits > 0 {
        out.push(char::from(ALPHABET[(buffer << (5 - bits) & 31) as usize]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_is_rfc_4648s() {
        assert_eq!(base32(b"foobar"), "mzxw6ytboi");
        assert_eq!(base32(b"f"), "my");
    }
}
