//! Putting a kubelet together and starting its tasks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use client::{Client, Informer, Informers, ListParams, Recorder};
use component::Tasks;
use cri::Runtime;
use env::Env;
use parking_lot::Mutex;

use crate::agent::{Agent, node_settings};
use crate::api::{Node, Pod, Service};
use crate::config::Config;
use crate::handle::Handle;
use crate::host::Host;
use crate::images::Images;
use crate::metrics::KubeletMetrics;
use crate::node;
use crate::objects::Objects;
use crate::pod::seccomp::{sandbox_profile, sandbox_profile_json};
use crate::pod::turns::Turns;
use crate::pods::{self, Pods};
use crate::static_pods::{self, StaticPods};
use crate::tokens::Tokens;

/// What a kubelet works with. The tasks are its own group: stopping the group stops the kubelet, and nothing else.
#[derive(Debug)]
pub struct Deps {
    pub client: Client,
    pub runtime: Arc<dyn Runtime>,
    pub host: Arc<dyn Host>,
    pub env: Env,
    pub tasks: Tasks,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the container runtime does not answer: {0}")]
    Runtime(#[source] cri::Error),
    #[error("prepare the node's directories: {0}")]
    Directories(#[source] std::io::Error),
}

/// How long a kubelet waits at its start for the runtime.
const RUNTIME_MAX: Duration = Duration::from_secs(60);

/// Housekeeping of images and of the classes' shares, as upstream's.
const IMAGES_EVERY: Duration = Duration::from_secs(300);
const SHARES_EVERY: Duration = Duration::from_secs(60);

/// Starts a kubelet: returns once its tasks run. It needs the runtime, but not the API: that may come later.
pub async fn run(config: Config, deps: Deps) -> Result<Handle, Error> {
    let version = wait_for_runtime(deps.runtime.as_ref()).await.map_err(Error::Runtime)?;
    for dir in [config.pods_dir(), config.kubelet.pod_logs_dir.clone(), config.container_logs_dir.clone()] {
        deps.host.make_dir(&dir, None).map_err(Error::Directories)?;
    }
    let profile = sandbox_profile(&config.root_dir);
    deps.host.write_file(&profile, sandbox_profile_json().as_bytes(), 0o644).map_err(Error::Directories)?;
    let events = deps.runtime.events();
    let informers = Informers::new(deps.client.clone(), deps.env.clone(), deps.tasks.clone());
    let own = |field: &str| ListParams {
        field_selector: format!("{field}={}", config.node_name),
        ..ListParams::default()
    };
    let pods: Informer<Pod> = informers.with(own("spec.nodeName"));
    let nodes: Informer<Node> = informers.with(own("metadata.name"));
    let services: Informer<Service> = informers.of();
    informers.start();

    let facts = deps.host.facts();
    let space = deps.host.space(&config.root_dir).unwrap_or_default();
    let capacity = node::resources::capacity(&facts, space, &config.kubelet);
    let ips = if config.node_ips.is_empty() { facts.addresses.clone() } else { config.node_ips.clone() };
    let agent = Arc::new(Agent {
        allocatable: node::resources::allocatable(&capacity, &config.kubelet),
        capacity,
        settings: node_settings(&config, &facts),
        host_ips: ips.iter().map(ToString::to_string).collect(),
        recorder: Recorder::new(
            deps.client.clone(),
            deps.env.clone(),
            &deps.tasks,
            "kubelet",
            &config.node_name,
        ),
        objects: Objects::new(&deps.client, &deps.env, &deps.tasks),
        tokens: Tokens::default(),
        images: Images::new(config.kubelet.parallel_pulls()),
        pods: Pods::default(),
        static_pods: StaticPods::default(),
        turns: Turns::new(facts.cpus),
        metrics: KubeletMetrics::new(&config.node_name),
        pressure: Mutex::default(),
        runtime_name: version.runtime_name,
        runtime_version: version.runtime_version,
        services,
        nodes,
        facts,
        config,
        client: deps.client,
        runtime: deps.runtime,
        host: deps.host,
        env: deps.env,
        tasks: deps.tasks,
    });
    let tasks = &agent.tasks;
    tasks.spawn_until_stop("node", node::run(Arc::clone(&agent)));
    tasks.spawn_until_stop("pods", run_pods(Arc::clone(&agent), pods.clone(), events));
    tasks.spawn_until_stop("static pods", static_pods::run(Arc::clone(&agent), pods.clone()));
    tasks.spawn_until_stop("logs", crate::logs::run(Arc::clone(&agent)));
    tasks.spawn_until_stop("images", collect_images(Arc::clone(&agent)));
    Ok(Handle(agent))
}

async fn wait_for_runtime(runtime: &dyn Runtime) -> cri::Result<cri::v1::VersionResponse> {
    let deadline = tokio::time::Instant::now() + RUNTIME_MAX;
    let mut pause = Duration::from_millis(10);
    loop {
        match runtime.version().await {
            Ok(version) => return Ok(version),
            Err(e) if tokio::time::Instant::now() + pause > deadline => return Err(e),
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// Waits until the node's pods are known, sweeps what is left of others, then looks after each.
async fn run_pods(agent: Arc<Agent>, pods: Informer<Pod>, events: cri::EventReceiver) {
    // Static pods need no API, and before the sweep they have to be known.
    static_pods::sync(&agent);
    // Containers are told of the services at their start: without them none may start that could use one.
    agent.services.synced().await;
    pods.synced().await;
    if let Err(error) = crate::pod::prepare::apply_qos_groups(&agent) {
        tracing::warn!(component = "kubelet", %error, "control groups of the classes not made");
    }
    let of_api = pods.list();
    let of_files = agent.pods.views();
    let known = of_api.iter().map(AsRef::as_ref).chain(of_files.iter().map(|view| view.pod.as_ref()));
    let known: BTreeSet<String> = known.map(|pod: &Pod| pod.metadata.uid.clone()).collect();
    crate::sweep::sweep(&agent, &known).await;
    let told = Arc::clone(&agent);
    // A handler lives as long as its informer; the tasks that it starts end with the kubelet's group.
    pods.add_handler(move |event| pods::on_event(&told, event));
    let shares = async {
        loop {
            tokio::time::sleep(SHARES_EVERY).await;
            if let Err(error) = crate::pod::prepare::apply_qos_groups(&agent) {
                tracing::warn!(component = "kubelet", %error, "shares of the classes not set");
            }
        }
    };
    futures::future::join(pods::route_events(Arc::clone(&agent), events), shares).await;
}

async fn collect_images(agent: Arc<Agent>) {
    loop {
        agent.images.collect(&agent).await;
        tokio::time::sleep(IMAGES_EVERY).await;
    }
}
