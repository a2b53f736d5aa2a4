//! The loop: what changed → views → one transaction → what follows from it (stale UDP flows, health checks, metrics).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use client::{Event, Informer, Key, Resource};
use net::{Cidr, Tools};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::backend::{Backend, Desired};
use crate::health::{Health, ServiceChecks};
use crate::metrics::ProxyMetrics;
use crate::model::{self, NodeView, ServiceView};
use crate::types::{EndpointSlice, Node, SERVICE_NAME_LABEL, Service, ServiceCidr};
use crate::{Config, Deps, flows};

/// The wait after a failed application; doubled up to the maximum.
const RETRY_MIN: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// The index of slices by `namespace/service`.
const BY_SERVICE: &str = "service";

/// The proxy's informers.
#[derive(Debug)]
pub struct Sources {
    pub services: Informer<Service>,
    pub slices: Informer<EndpointSlice>,
    pub nodes: Informer<Node>,
    pub service_cidrs: Informer<ServiceCidr>,
}

/// What has changed since the last look. Bounded by the number of Services.
#[derive(Debug, Default)]
struct Dirty {
    services: Mutex<DirtyServices>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct DirtyServices {
    keys: BTreeSet<Key>,
    /// The node or the service ranges: may concern every Service.
    all: bool,
    /// When the oldest of these changes came.
    since: Option<Instant>,
}

impl Dirty {
    fn mark(&self, change: impl FnOnce(&mut DirtyServices)) {
        let mut dirty = self.services.lock();
        change(&mut dirty);
        dirty.since.get_or_insert_with(Instant::now);
        drop(dirty);
        self.wake.notify_one();
    }
}

/// How often rules were applied. Not a `tokio::sync::watch`: that wakes its waiters in a random order.
#[derive(Debug, Default)]
struct Generation {
    n: AtomicU64,
    moved: Notify,
}

/// A proxy at work.
#[derive(Clone, Debug)]
pub struct Running {
    generation: Arc<Generation>,
    healthz: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
}

impl Running {
    /// Ends once the first rules are in place.
    pub async fn synced(&self) {
        loop {
            // Listening before looking: no change in between is missed.
            let moved = self.generation.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if self.generation() > 0 {
                return;
            }
            moved.await;
        }
    }

    /// How often rules were applied.
    pub fn generation(&self) -> u64 {
        self.generation.n.load(Ordering::Acquire)
    }

    pub fn healthz_address(&self) -> Option<SocketAddr> {
        self.healthz
    }

    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics
    }
}

/// The loop's state.
#[derive(Debug)]
pub struct Sync {
    node_name: String,
    min_period: Duration,
    backend: Box<dyn Backend>,
    tools: Tools,
    sources: Sources,
    dirty: Arc<Dirty>,
    node: NodeView,
    services: BTreeMap<Key, ServiceView>,
    health: Health,
    checks: ServiceChecks,
    metrics: ProxyMetrics,
    generation: Arc<Generation>,
    clock: Arc<dyn env::Clock>,
}

impl Sync {
    #[allow(clippy::too_many_arguments, reason = "called once, by run")]
    pub fn new(
        config: &Config,
        deps: Deps,
        backend: Box<dyn Backend>,
        tools: Tools,
        sources: Sources,
        health: Health,
        metrics: ProxyMetrics,
        addresses: (Option<SocketAddr>, Option<SocketAddr>),
    ) -> (Self, Running) {
        let dirty = Arc::new(Dirty::default());
        watch_sources(&sources, &dirty);
        let generation = Arc::new(Generation::default());
        let running =
            Running { generation: Arc::clone(&generation), healthz: addresses.0, metrics: addresses.1 };
        let sync = Self {
            node_name: config.node_name.clone(),
            min_period: config.min_sync_period,
            backend,
            tools,
            sources,
            dirty,
            node: NodeView::default(),
            services: BTreeMap::new(),
            health,
            checks: ServiceChecks::new(deps.tasks),
            metrics,
            generation,
            clock: deps.env.clock,
        };
        (sync, running)
    }

    /// Runs until it is dropped.
    pub async fn run(mut self) {
        self.sources.services.synced().await;
        self.sources.slices.synced().await;
        self.sources.nodes.synced().await;
        self.sources.service_cidrs.synced().await;
        self.dirty.mark(|dirty| dirty.all = true);
        let mut retry = RETRY_MIN;
        loop {
            self.dirty.wake.notified().await;
            let begun = Instant::now();
            match self.sync().await {
                Ok(()) => {
                    retry = RETRY_MIN;
                    tokio::time::sleep_until(begun + self.min_period).await;
                }
                Err(error) => {
                    tracing::error!(component = "kube-proxy", %error, retry_ms = retry.as_millis(), "rules not applied");
                    self.dirty.mark(|dirty| dirty.all = true);
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(RETRY_MAX);
                }
            }
        }
    }

    async fn sync(&mut self) -> Result<(), net::Error> {
        let begun = Instant::now();
        let dirty = std::mem::take(&mut *self.dirty.services.lock());
        if let Some(since) = dirty.since {
            self.health.queued(since);
        }
        let node = self.sources.nodes.get("", &self.node_name);
        self.health.set_node(node.as_deref());
        let node = model::node_view(&self.node_name, node.as_deref());
        let all = dirty.all || node != self.node;
        self.node = node;
        let mut keys = dirty.keys;
        if all {
            keys.extend(self.services.keys().cloned());
            keys.extend(self.sources.services.list().iter().map(|s| Key::of(&s.metadata)));
        }
        let before = self.update_views(&keys);
        let service_cidrs = self.service_cidrs();
        let local_addresses = local_addresses();
        let desired = Desired {
            node: &self.node,
            local_addresses: &local_addresses,
            service_cidrs: &service_cidrs,
            services: &self.services,
            changed: if all { None } else { Some(&keys) },
        };
        let applied = match self.backend.sync(desired).await {
            Ok(applied) => applied,
            Err(error) => {
                self.metrics.failed();
                // What follows from the change still has to be found out by the next attempt.
                self.restore_views(before);
                return Err(error);
            }
        };
        self.follow_up(&before).await;
        self.metrics.applied(&applied, begun.elapsed(), dirty.since.map(|s| s.elapsed()), self.clock.now());
        self.health.applied();
        self.generation.n.fetch_add(1, Ordering::AcqRel);
        self.generation.moved.notify_waiters();
        tracing::debug!(
            component = "kube-proxy",
            services = keys.len(),
            lines = applied.n_lines,
            full = applied.full,
            duration_ms = begun.elapsed().as_millis(),
            "rules applied"
        );
        Ok(())
    }

    /// Makes the views of `keys` anew and returns those that differ, as they were.
    fn update_views(&mut self, keys: &BTreeSet<Key>) -> BTreeMap<Key, Option<ServiceView>> {
        let mut before = BTreeMap::new();
        for key in keys {
            let view = self.sources.services.get(&key.namespace, &key.name).and_then(|service| {
                let slices = self.sources.slices.by_index(BY_SERVICE, &key.to_string());
                let slices: Vec<&EndpointSlice> = slices.iter().map(AsRef::as_ref).collect();
                model::service_view(&service, &slices, &self.node)
            });
            if self.services.get(key) == view.as_ref() {
                continue;
            }
            let old = match view {
                Some(view) => self.services.insert(key.clone(), view),
                None => self.services.remove(key),
            };
            before.insert(key.clone(), old);
        }
        before
    }

    fn restore_views(&mut self, before: BTreeMap<Key, Option<ServiceView>>) {
        for (key, view) in before {
            match view {
                Some(view) => drop(self.services.insert(key, view)),
                None => drop(self.services.remove(&key)),
            }
        }
    }

    /// What follows once the rules are in place: UDP flows to removed endpoints end, health checks tell the new numbers.
    async fn follow_up(&mut self, before: &BTreeMap<Key, Option<ServiceView>>) {
        let mut flushes = Vec::new();
        for (key, old) in before {
            flushes.extend(flows::stale(old.as_ref(), self.services.get(key)));
        }
        if let Err(error) = net::conntrack::flush_udp(&self.tools, &flushes).await {
            // The rules are right; only old flows may go astray until they pause.
            tracing::warn!(component = "kube-proxy", %error, "stale UDP flows were not deleted");
        }
        if before
            .values()
            .flatten()
            .chain(before.keys().filter_map(|k| self.services.get(k)))
            .any(|s| s.health_check_node_port != 0)
        {
            self.checks.update(&self.services).await;
        }
    }

    fn service_cidrs(&self) -> Vec<Cidr> {
        let all = self.sources.service_cidrs.list();
        let mut cidrs: Vec<Cidr> =
            all.iter().flat_map(|c| c.spec.cidrs.iter().flatten()).filter_map(|c| c.parse().ok()).collect();
        cidrs.sort();
        cidrs.dedup();
        cidrs
    }
}

/// The addresses of this host's interfaces. (Of the caller's network namespace: ranges for node ports are for nodes that
/// have it to themselves.)
fn local_addresses() -> Vec<IpAddr> {
    let mut found = Vec::new();
    for interface in net::interface_addresses() {
        if !found.contains(&interface) {
            found.push(interface);
        }
    }
    found
}

fn watch_sources(sources: &Sources, dirty: &Arc<Dirty>) {
    sources.slices.add_index(BY_SERVICE, |slice| {
        slice.service_name().map(|name| format!("{}/{name}", slice.metadata.namespace)).into_iter().collect()
    });
    let marks = Arc::clone(dirty);
    sources.services.add_handler(move |event| {
        let key = Key::of(event.object().meta());
        marks.mark(|dirty| {
            dirty.keys.insert(key);
        });
    });
    let marks = Arc::clone(dirty);
    sources.slices.add_handler(move |event: &Event<EndpointSlice>| {
        // A slice can be handed from one Service to another by its label.
        for slice in event.old().into_iter().chain([event.object()]) {
            if let Some(name) = slice.metadata.labels.get(SERVICE_NAME_LABEL) {
                let key = Key::new(&slice.metadata.namespace, name);
                marks.mark(|dirty| {
                    dirty.keys.insert(key);
                });
            }
        }
    });
    let marks = Arc::clone(dirty);
    sources.nodes.add_handler(move |event| {
        // The node's status changes every few seconds; only what the rules read counts.
        let unchanged = event.old().is_some_and(|old| {
            let view = |node: &Node| model::node_view(&node.metadata.name, Some(node));
            view(old) == view(event.object())
                && crate::health::eligible(old) == crate::health::eligible(event.object())
        });
        if event.is_deleted() || !unchanged {
            // The sync finds out whether the rules are concerned.
            marks.mark(|_| {});
        }
    });
    let marks = Arc::clone(dirty);
    sources.service_cidrs.add_handler(move |_| marks.mark(|_| {}));
}
