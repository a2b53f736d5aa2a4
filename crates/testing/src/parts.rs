//! Starts each part of a cluster as the binaries do, with a client of the caller's making.
//!
//! Keys are fixed: two runs of one seed must not differ in the length of a certificate.

use std::net::IpAddr;
use std::sync::Arc;

use apiserver::ApiServer;
use apiserver::assembly::{self, Assembly, AssemblyError};
use apiserver::seams::UserInfo;
use client::Client;
use client::leader::Ended;
use component::Tasks;
use env::Env;
use store::Backend;

use crate::users;

/// Gives a user's client.
pub type Connect = Arc<dyn Fn(UserInfo) -> Client + Send + Sync>;

const CA_PEM: &str = include_str!("keys/ca.pem");
const TOKEN_KEY_PEM: &str = include_str!("keys/token.key.pem");

/// The service range; its first address is the API server's.
pub const SERVICE_CIDR: &str = "10.96.0.0/16";

/// An API server with everything plugged in, after its bootstrap.
pub async fn api_server(
    env: &Env,
    backend: Arc<dyn Backend>,
    tasks: Tasks,
) -> Result<Arc<ApiServer>, AssemblyError> {
    let assembly = Assembly {
        config: apiserver::Config { features: apiserver::cli::features("")?, ..apiserver::Config::default() },
        client_ca_pem: CA_PEM.to_owned(),
        token_key: pki::TokenKey::from_pem(TOKEN_KEY_PEM).expect("the key beside this file is one"),
        issuer: assembly::ISSUER.to_owned(),
        audiences: vec![assembly::ISSUER.to_owned()],
        bootstrap: apiserver::bootstrap::Config {
            advertise_address: IpAddr::from([10, 0, 0, 1]),
            port: 6443,
            service_cidrs: vec![SERVICE_CIDR.to_owned()],
            kubernetes_ip: IpAddr::from([10, 96, 0, 1]),
            host_name: "testing".to_owned(),
            identity: "apiserver-testing".to_owned(),
            run_uid: env.rng.uuid(),
            client_ca_pem: CA_PEM.to_owned(),
        },
        node_ports: apiserver::alloc::NODE_PORTS,
    };
    assembly::start(assembly, env.clone(), backend, tasks).await
}

/// The scheduler, until it is stopped or no longer leads. Without an `identity` there is no election.
pub async fn scheduler(connect: Connect, env: Env, tasks: Tasks, identity: Option<&str>) -> Ended {
    let config = scheduler::Config {
        leader_elect: identity.is_some(),
        identity: identity.unwrap_or_default().to_owned(),
        ..scheduler::Config::default()
    };
    scheduler::run(config, connect(users::scheduler()), env, tasks).await
}

/// The controllers, until they are stopped or no longer lead. Without an `identity` there is no election.
pub async fn controllers(connect: Connect, env: Env, tasks: Tasks, identity: Option<&str>) -> Ended {
    let config = controller_manager::Config {
        leader_elect: identity.is_some(),
        identity: identity.unwrap_or_default().to_owned(),
        root_ca: CA_PEM.to_owned(),
        ..controller_manager::Config::default()
    };
    let client = connect(users::controller_manager());
    let factory: controller_manager::ClientFactory =
        Arc::new(move |name| connect(users::service_account("kube-system", name)));
    controller_manager::run(config, client, factory, env, tasks).await
}
