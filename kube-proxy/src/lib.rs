//! kube-proxy: makes Services' addresses lead to their endpoints on one node.
//!
//! Informers of Services, EndpointSlices and this node → views ([`model`], pure) → rules ([`backend`], rendered purely
//! and applied as one transaction). A change of one Service touches only that Service's rules; everything is rewritten
//! at the start and after an error. Flags, defaults, ports, metric names and health endpoints are upstream's.
//!
//! It does not give pods their addresses or masquerade what they send to the outside: that is the pod network's.

pub mod backend;
pub mod cli;
pub mod flows;
pub mod health;
pub mod metrics;
pub mod model;
pub mod sync;
pub mod types;

#[cfg(test)]
mod kernel_tests;

use std::net::SocketAddr;
use std::time::Duration;

use client::{Client, Informers, ListParams};
use component::Tasks;
use env::Env;
use net::{Cidr, Tools};

pub use backend::NodePortAddresses;
pub use sync::Running;

/// How the proxy is to work. [`Config::default`] has upstream's defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `--hostname-override`: this node's name in the API.
    pub node_name: String,
    /// `--proxy-mode`.
    pub mode: String,
    /// `--cluster-cidr`: where pods live, to tell traffic from outside.
    pub cluster_cidrs: Vec<Cidr>,
    pub masquerade_all: bool,
    pub masquerade_bit: u8,
    /// `--nodeport-addresses`; the mode's own default when `None`.
    pub node_port_addresses: Option<NodePortAddresses>,
    /// Changes that come within this time of the last application wait for its end and go together.
    pub min_sync_period: Duration,
    /// `--healthz-bind-address`; not served when `None`.
    pub healthz: Option<SocketAddr>,
    /// `--metrics-bind-address`; not served when `None`.
    pub metrics: Option<SocketAddr>,
    /// Serve the families that this host has. Set to false to force IPv4 alone.
    pub dual_stack: bool,
    /// The network namespace to put rules into; the process's own when `None`.
    pub namespace: Option<std::path::PathBuf>,
}

/// Upstream's port of `/healthz`.
pub const HEALTHZ_PORT: u16 = 10_256;
/// Upstream's port of `/metrics`.
pub const METRICS_PORT: u16 = 10_249;

impl Default for Config {
    fn default() -> Self {
        Self {
            node_name: String::new(),
            mode: "iptables".into(),
            cluster_cidrs: Vec::new(),
            masquerade_all: false,
            masquerade_bit: 14,
            node_port_addresses: None,
            min_sync_period: Duration::from_secs(1),
            healthz: Some(SocketAddr::from(([0, 0, 0, 0], HEALTHZ_PORT))),
            metrics: Some(SocketAddr::from(([127, 0, 0, 1], METRICS_PORT))),
            dual_stack: true,
            namespace: None,
        }
    }
}

/// What the proxy gets from whoever runs it.
#[derive(Clone, Debug)]
pub struct Deps {
    /// As `system:kube-proxy`.
    pub client: Client,
    pub env: Env,
    pub tasks: Tasks,
}

/// Why the proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Config(String),
    #[error("listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Net(#[from] net::Error),
}

impl Config {
    fn families(&self) -> Vec<model::Family> {
        // Without IPv6 in the kernel there is no such file, and no table of that family either.
        let has_ipv6 = self.dual_stack && std::path::Path::new("/proc/net/if_inet6").exists();
        if has_ipv6 { model::Family::ALL.to_vec() } else { vec![model::Family::V4] }
    }

    fn settings(&self) -> backend::Settings {
        let default =
            if self.mode == "nftables" { NodePortAddresses::Primary } else { NodePortAddresses::All };
        backend::Settings {
            families: self.families(),
            cluster_cidrs: self.cluster_cidrs.clone(),
            masquerade_all: self.masquerade_all,
            masquerade_bit: self.masquerade_bit,
            node_port_addresses: self.node_port_addresses.clone().unwrap_or(default),
        }
    }

    fn tools(&self, env: &Env) -> Tools {
        let tools = Tools::new(env.process.clone());
        match &self.namespace {
            Some(path) => tools.in_namespace(path),
            None => tools,
        }
    }
}

/// Starts the proxy: binds its ports, starts its informers and the loop that applies rules. Returns once all of that
/// runs; the first rules are in place when [`Running::synced`] ends.
pub async fn run(config: Config, deps: Deps) -> Result<Running, StartError> {
    let entry = backend::find(&config.mode).map_err(StartError::Config)?;
    if config.node_name.is_empty() {
        return Err(StartError::Config("the node's name is empty (--hostname-override)".into()));
    }
    let tools = config.tools(&deps.env);
    let backend = (entry.make)(tools.clone(), &config.settings());
    let informers = Informers::new(deps.client.clone(), deps.env.clone(), deps.tasks.clone());
    let sources = sources(&informers, &config);
    let health = health::Health::new(deps.env.clock.clone(), config.min_sync_period);
    let metrics = metrics::ProxyMetrics::new();
    let listen = |address: SocketAddr| async move {
        tokio::net::TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
    };
    let mut addresses = (None, None);
    if let Some(address) = config.healthz {
        let listener = listen(address).await?;
        addresses.0 = listener.local_addr().ok();
        let serving = component::serving::Serving::plain(health.handler());
        component::serving::serve(&deps.tasks, listener, serving);
    }
    if let Some(address) = config.metrics {
        let listener = listen(address).await?;
        addresses.1 = listener.local_addr().ok();
        let handler = health::metrics_handler(metrics.clone(), entry.name, &config);
        component::serving::serve(&deps.tasks, listener, component::serving::Serving::plain(handler));
    }
    let (sync, running) =
        sync::Sync::new(&config, deps.clone(), backend, tools, sources, health, metrics, addresses);
    informers.start();
    deps.tasks.spawn_until_stop("proxy rules", sync.run());
    Ok(running)
}

fn sources(informers: &Informers, config: &Config) -> sync::Sources {
    let field =
        ListParams { field_selector: format!("metadata.name={}", config.node_name), ..ListParams::default() };
    // Services for another proxy and slices of headless ones are never ours: they need not even be sent.
    let not_ours = ListParams {
        label_selector: "!service.kubernetes.io/service-proxy-name,!service.kubernetes.io/headless".into(),
        ..ListParams::default()
    };
    sync::Sources {
        services: informers.with(not_ours.clone()),
        slices: informers.with(not_ours),
        nodes: informers.with(field),
        service_cidrs: informers.of(),
    }
}

/// Removes the rules of every mode: `--cleanup`.
pub async fn cleanup(config: &Config, env: &Env) -> Vec<net::Error> {
    let mut errors = Vec::new();
    for entry in backend::all() {
        let mut backend = (entry.make)(config.tools(env), &config.settings());
        match backend.cleanup().await {
            Err(e) if !e.is_missing_tool() => errors.push(e),
            _ => {}
        }
    }
    errors
}

/// The nftables tables that the proxy may have made, for [`net::cleanup::State::tables`].
pub fn tables() -> Vec<(String, String)> {
    ["ip", "ip6"].map(|family| (family.to_owned(), backend::nftables::TABLE.to_owned())).to_vec()
}
