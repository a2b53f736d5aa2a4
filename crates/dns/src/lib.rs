//! Cluster DNS: answers for the cluster's domain from informers, and forwards everything else to the host's resolvers.
//!
//! Kubernetes' DNS specification 1.1.0, with the choices that CoreDNS makes where it is silent. Not here: caching (the
//! cluster's own names are answered from memory, the others' resolvers cache), wildcards, and zone transfers.
//!
//! Messages are encoded by hickory-proto; the server is ours: hickory-server spawns tasks of its own, with no bound on
//! those in flight, and forwarding needs the raw bytes so that record types nobody here knows pass through.

pub mod forward;
pub mod manifests;
pub mod resolv_conf;
pub mod server;
pub mod types;
pub mod zone;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use client::{Client, Informer, Informers};
use component::Tasks;
use env::Env;

pub use manifests::manifests;
pub use server::Running;
use types::{EndpointSlice, Service};
use zone::{Cluster, Zone};

/// Where queries for other domains go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstreams {
    /// The name servers of this file, read again when it changes.
    ResolvConf(PathBuf),
    Fixed(Vec<SocketAddr>),
}

/// How DNS is to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Addresses to serve on, by UDP and TCP each. They must be specific ones: behind a cluster IP, an answer from
    /// another of the host's addresses than the one that was asked is lost.
    pub listen: Vec<SocketAddr>,
    /// Such as `cluster.local`, without a dot at its end.
    pub cluster_domain: String,
    pub upstreams: Upstreams,
    /// Who is answered, besides this host's loopback and the served addresses themselves; everybody when empty. Served
    /// on a node's address, DNS would else resolve for the whole world and help to flood third parties.
    pub clients: Vec<net::Cidr>,
    /// The cluster IPs that lead here: the name server's own addresses in the zone, and never asked as upstream.
    pub service_ips: Vec<IpAddr>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            cluster_domain: "cluster.local".into(),
            upstreams: Upstreams::ResolvConf("/etc/resolv.conf".into()),
            clients: Vec::new(),
            service_ips: Vec::new(),
        }
    }
}

/// What DNS gets from whoever runs it.
#[derive(Clone, Debug)]
pub struct Deps {
    /// A user that may list and watch services and endpointslices.
    pub client: Client,
    pub env: Env,
    pub tasks: Tasks,
}

/// Why DNS did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("cluster domain {0:?} is not a domain name")]
    Domain(String),
}

/// Binds the addresses and serves. Queries for the cluster's domain are answered once the informers have synced
/// ([`Running::ready`]); until then they get SERVFAIL, which makes clients ask again.
pub async fn run(config: Config, deps: Deps) -> Result<Running, StartError> {
    let informers = Informers::new(deps.client.clone(), deps.env.clone(), deps.tasks.clone());
    let cluster = InformedCluster { services: informers.of(), slices: informers.of() };
    cluster.add_indexes();
    let zone = Zone::new(&config.cluster_domain, config.service_ips.clone())
        .ok_or_else(|| StartError::Domain(config.cluster_domain.clone()))?;
    let running = server::start(&config, &deps, zone, Arc::new(cluster)).await?;
    informers.start();
    Ok(running)
}

const BY_SERVICE: &str = "service";
const BY_ADDRESS: &str = "address";

/// The cluster as the informers know it.
#[derive(Debug)]
struct InformedCluster {
    services: Informer<Service>,
    slices: Informer<EndpointSlice>,
}

impl InformedCluster {
    fn add_indexes(&self) {
        self.services
            .add_index(BY_ADDRESS, |service| service.cluster_ips().map(|ip| ip.to_string()).collect());
        self.slices.add_index(BY_SERVICE, |slice| {
            slice
                .service_name()
                .map(|name| format!("{}/{name}", slice.metadata.namespace))
                .into_iter()
                .collect()
        });
        self.slices.add_index(BY_ADDRESS, |slice| {
            let endpoints = slice.endpoints.iter().flatten();
            let addresses = endpoints.flat_map(|e| e.ips()).map(|ip| ip.to_string());
            let mut all: Vec<String> = addresses.collect();
            all.sort();
            all.dedup();
            all
        });
    }
}

impl Cluster for InformedCluster {
    fn is_synced(&self) -> bool {
        self.services.has_synced() && self.slices.has_synced()
    }
    fn synced(&self) -> futures::future::BoxFuture<'_, ()> {
        Box::pin(async {
            self.services.synced().await;
            self.slices.synced().await;
        })
    }
    fn service(&self, namespace: &str, name: &str) -> Option<Arc<Service>> {
        self.services.get(namespace, name)
    }
    fn has_namespace(&self, namespace: &str) -> bool {
        !self.services.list_namespace(namespace).is_empty()
    }
    fn slices(&self, namespace: &str, service: &str) -> Vec<Arc<EndpointSlice>> {
        self.slices.by_index(BY_SERVICE, &format!("{namespace}/{service}"))
    }
    fn services_by_address(&self, address: IpAddr) -> Vec<Arc<Service>> {
        self.services.by_index(BY_ADDRESS, &address.to_string())
    }
    fn slices_by_address(&self, address: IpAddr) -> Vec<Arc<EndpointSlice>> {
        self.slices.by_index(BY_ADDRESS, &address.to_string())
    }
}
