//! A one-node cluster in this process: what `gantry up` runs in the background.
//!
//! Order: everything that can fail for want of rights or programs first; then the store and the API server beside
//! containerd; then, all at once, scheduler, controllers, kubelet, proxy and DNS, each as its own user over the
//! in-process transport. Ready means: the node is Ready, and a DNS query to the cluster's address is answered.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use apiserver::ApiServer;
use apiserver::assembly::{self, Assembly};
use client::delegated::{self, Delegated};
use component::serving::{Serving, health_and_metrics, health_only};
use component::{LogArgs, Metrics, Tasks};
use cri::{ContainerdRuntime, Runtime as _};
use env::Env;
use kubelet::server::{ServerConfig, ServerDeps};
use net::Cidr;
use pki::PkiDirectory;

use crate::cli::UpArgs;
use crate::down::ClusterFile;
use crate::identity::{Clients, Secrets};
use crate::launch::READY;
use crate::state::{ProcessId, State};
use crate::{addons, containerd, image, wait};

/// Where DNS listens on the node's address: not 53, which the host's own resolver may have.
const DNS_PORT: u16 = 10_053;
/// Which address of the service range DNS has, as everywhere.
const DNS_OFFSET: u32 = 10;
/// containerd answers CRI calls a moment after its socket is there.
const RUNTIME_LIMIT: Duration = Duration::from_secs(30);

/// A cluster needs root; says so before anything is touched.
pub(crate) fn check_root() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("a cluster needs root (network namespaces, mounts, cgroups): run as root");
    }
    Ok(())
}

/// Says what is wrong with the flags.
pub(crate) fn check_args(args: &UpArgs) -> Result<()> {
    if args.timeout == 0 {
        bail!("--timeout: at least one second");
    }
    Node::new(args).map(drop)
}

/// A node's name is the name of its object: no server takes another.
fn check_node_name(name: &str) -> Result<()> {
    let label = |part: &str| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        !part.is_empty()
            && part.bytes().all(|b| inner(b) || b == b'-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(label) {
        bail!(
            "--node-name: {name:?} is not a node's name: lower case letters, digits, '-' and '.', and a letter or digit \
             at both ends"
        );
    }
    Ok(())
}

/// Runs the cluster until a signal stops it.
pub(crate) fn run_foreground(state: &State, args: &UpArgs, log: &LogArgs) -> ExitCode {
    let (state, args) = (state.clone(), args.clone());
    component::run("gantry", log, move |tasks| async move { start(&state, &args, tasks).await })
}

/// Where progress goes: the pipe of whoever started us, or the terminal.
#[derive(Clone, Copy, Debug)]
struct Progress;

impl Progress {
    fn step(self, text: &str) {
        tracing::info!(component = "gantry", "{text}");
        self.line(text);
    }
    #[allow(clippy::unused_self, reason = "progress is a thing that is passed on, not a global")]
    fn line(self, text: &str) {
        // Whoever started us may have gone; the cluster goes on.
        let _ = writeln!(std::io::stdout(), "{text}").and_then(|()| std::io::stdout().flush());
    }
}

/// What this node is.
struct Node {
    name: String,
    address: IpAddr,
    cluster_cidr: Cidr,
    dns_ip: IpAddr,
    kubernetes_ip: IpAddr,
}

impl Node {
    fn new(args: &UpArgs) -> Result<Self> {
        let cidr = |flag: &str, text: &str| -> Result<Cidr> {
            text.parse().with_context(|| format!("{flag}: {text:?} is not a range of addresses"))
        };
        let service_cidr = cidr("--service-cidr", &args.service_cidr)?;
        let nth =
            |n| service_cidr.nth(n).with_context(|| format!("--service-cidr: {service_cidr} is too small"));
        let name = match &args.node_name {
            Some(name) => name.clone(),
            None => component::flags::host_name()?,
        };
        check_node_name(&name)?;
        let cluster_cidr = cidr("--cluster-cidr", &args.cluster_cidr)?;
        if cluster_cidr.contains(service_cidr.network()) || service_cidr.contains(cluster_cidr.network()) {
            bail!(
                "--service-cidr {service_cidr} and --cluster-cidr {cluster_cidr} overlap: choose ranges apart"
            );
        }
        Ok(Self {
            name,
            address: args.node_ip.unwrap_or_else(apiserver::cli::host_address),
            cluster_cidr,
            dns_ip: nth(DNS_OFFSET)?,
            kubernetes_ip: nth(1)?,
        })
    }

    fn dns_server(&self) -> SocketAddr {
        SocketAddr::new(self.address, DNS_PORT)
    }
}

async fn start(state: &State, args: &UpArgs, tasks: Tasks) -> Result<()> {
    check_root()?;
    let progress = Progress;
    let node = Node::new(args)?;
    state.create().with_context(|| format!("make {}", state.data.display()))?;
    claim(state)?;
    // Pods of the first node get the first range; `down` finds their interfaces by its gateway.
    ClusterFile { args: args.clone(), gateways: node.cluster_cidr.nth(1).into_iter().collect() }
        .write(state)?;
    let env = Env::real();
    progress.step("preparing certificates");
    let directory = PkiDirectory::open(state.pki())?;
    let secrets = Secrets::ensure(&directory, &env, &node.name, node.address, node.kubernetes_ip)?;
    progress.step("starting the API server and containerd");
    let (server, runtime) = tokio::try_join!(
        api_server(state, args, &node, &secrets, &env, &tasks),
        container_runtime(state, &env, &tasks)
    )?;
    let url = format!("https://{}", SocketAddr::new(node.address, args.port));
    directory.write_secret("admin.kubeconfig", &secrets.kubeconfig(&url))?;
    std::fs::copy(state.pki().join("admin.kubeconfig"), state.kubeconfig())?;
    progress.step("starting scheduler, controllers, node and DNS");
    network(&node, &env).await?;
    let clients = Clients(Arc::clone(&server));
    addons::ensure(&*server.objects(), node.dns_ip, node.dns_server())
        .await
        .map_err(|status| anyhow::anyhow!("make the objects of cluster DNS: {}", status.message))?;
    control_plane(&clients, args, &secrets, &env, &tasks).await?;
    let parts =
        NodeParts { state, node: &node, secrets: &secrets, clients: &clients, env: &env, tasks: &tasks };
    parts.start(runtime).await?;
    progress.step("waiting for the node to be Ready and for DNS to answer");
    let waited = tokio::time::timeout(args.limit(), async {
        wait::node_ready(&clients.node(&node.name), &node.name, &env, &tasks).await;
        wait::dns_answers(SocketAddr::new(node.dns_ip, 53), "kubernetes.default.svc.cluster.local").await;
    });
    if waited.await.is_err() {
        progress.line("timeout");
        bail!("the cluster was not ready within {} s", args.timeout);
    }
    progress.line(READY);
    detach_output()?;
    Ok(())
}

/// Notes our process, unless another cluster with these directories runs.
fn claim(state: &State) -> Result<()> {
    if let Some(other) = ProcessId::read(&state.server_pid()) {
        bail!("a cluster runs here already (process {})", other.pid);
    }
    let pid = i32::try_from(std::process::id()).context("our own process id")?;
    ProcessId::of(pid).context("our own process")?.write(&state.server_pid())?;
    Ok(())
}

/// In the background, closes the pipe on which progress went: its end is what `up` waits for.
fn detach_output() -> Result<()> {
    if std::env::var_os("GANTRY_BACKGROUND").is_some() {
        let null = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
        nix::unistd::dup2_stdout(&null)?;
    }
    Ok(())
}

async fn api_server(
    state: &State,
    args: &UpArgs,
    node: &Node,
    secrets: &Secrets,
    env: &Env,
    tasks: &Tasks,
) -> Result<Arc<ApiServer>> {
    let group = tasks.child("kube-apiserver");
    let ca_pem = secrets.authority.certificate_pem();
    let listen = SocketAddr::from(([0, 0, 0, 0], args.port));
    let listener = tokio::net::TcpListener::bind(listen)
        .await
        .with_context(|| format!("listen on {listen}: choose another port with --port"))?;
    let backend = store::open_embedded(env, &state.store(), &group).await.with_context(|| {
        let dir = state.store();
        format!(
            "the store in {} cannot be used: put back a copy of it, or start anew after `gantry down`",
            dir.display()
        )
    })?;
    let service_cidrs = [args.service_cidr.clone()];
    let assembly = Assembly {
        config: apiserver::Config {
            advertise_address: SocketAddr::new(node.address, args.port).to_string(),
            features: apiserver::cli::features("")?,
            kubelet_tls: Some(Arc::new(pki::tls::client_config(ca_pem, Some(&secrets.kubelet_client))?)),
            ..apiserver::Config::default()
        },
        client_ca_pem: ca_pem.to_owned(),
        token_key: pki::TokenKey::from_pem(secrets.token_key.private_pem())?,
        issuer: assembly::ISSUER.to_owned(),
        audiences: vec![assembly::ISSUER.to_owned()],
        bootstrap: assembly::bootstrap_config(env, node.address, args.port, &service_cidrs, ca_pem)?,
        node_ports: apiserver::alloc::NODE_PORTS,
    };
    let server = assembly::start(assembly, env.clone(), backend, group).await?;
    let tls = pki::tls::server_config(&secrets.serving, pki::tls::ClientAuth::Request)?;
    server.serve(listener, Arc::unwrap_or_clone(tls));
    Ok(server)
}

/// Our containerd with the pause image in it.
async fn container_runtime(state: &State, env: &Env, tasks: &Tasks) -> Result<ContainerdRuntime> {
    containerd::ensure(state).await?;
    let socket = state.containerd_socket().display().to_string();
    let runtime = ContainerdRuntime::new(&socket, &tasks.child("containerd"));
    runtime.ready(RUNTIME_LIMIT).await.context("containerd does not answer")?;
    let (watched, group) = (state.clone(), tasks.child("containerd"));
    group.spawn_until_stop("keep containerd running", async move { containerd::keep(&watched).await });
    if runtime.image_status(image::PAUSE_IMAGE).await?.is_none() {
        let file = state.run.join("pause.tar");
        std::fs::write(&file, image::pause_image())?;
        runtime.import_image(env, &file).await.context("import the pause image")?;
        std::fs::remove_file(&file)?;
    }
    Ok(runtime)
}

/// The node's part of the pod network: kernel settings, and the address that leaves for the outside.
async fn network(node: &Node, env: &Env) -> Result<()> {
    net::sysctl::prepare_node(net::sysctl::PROC_SYS.as_ref(), false)?;
    let pods = [node.cluster_cidr];
    let nft = net::Nft::new(net::Tools::new(Arc::clone(&env.process)));
    nft.apply(&net::masquerade::render(&pods, &pods))
        .await
        .context("masquerade what pods send to the outside")?;
    Ok(())
}

/// Where health and metrics of the parts that have no server of their own are served: for tools on this host.
const LOCAL: std::net::Ipv4Addr = std::net::Ipv4Addr::LOCALHOST;

/// Serves a component's health to everybody on this host, and its metrics to those who may read them.
async fn serve_local(
    port: u16,
    metrics: &Metrics,
    client: &client::Client,
    secrets: &Secrets,
    env: &Env,
    tasks: &Tasks,
) -> Result<()> {
    let listener = tokio::net::TcpListener::bind((LOCAL, port))
        .await
        .with_context(|| format!("listen on {LOCAL}:{port}: does another cluster run on this host?"))?;
    let ca_pem = secrets.authority.certificate_pem();
    let options = delegated::Options::default();
    let gate = Delegated::new(client.clone(), Arc::clone(&env.clock), Some(ca_pem), options)?;
    let serving = Serving {
        handler: health_and_metrics(metrics.clone()),
        tls: Some(pki::tls::server_config(&secrets.serving, pki::tls::ClientAuth::Request)?),
        gate: Some(Arc::new(gate)),
    };
    component::serving::serve(tasks, listener, serving);
    Ok(())
}

/// Starts scheduler and controllers. Alone on their store they need no election.
async fn control_plane(
    clients: &Clients,
    args: &UpArgs,
    secrets: &Secrets,
    env: &Env,
    tasks: &Tasks,
) -> Result<()> {
    let config = scheduler::Config {
        leader_elect: false,
        metrics: Metrics::of_component(),
        ..scheduler::Config::default()
    };
    let (client, scheduler_env) = (clients.user("system:kube-scheduler", &[]), env.clone());
    let group = tasks.child("kube-scheduler");
    serve_local(scheduler::cli::PORT, &config.metrics, &client, secrets, env, &group).await?;
    let inner = group.clone();
    group.spawn("run", async move {
        scheduler::run(config, client, scheduler_env, inner).await;
    });

    let config = controller_manager::Config {
        leader_elect: false,
        cluster_cidr: args.cluster_cidr.clone(),
        root_ca: secrets.authority.certificate_pem().to_owned(),
        metrics: Metrics::of_component(),
        ..controller_manager::Config::default()
    };
    let accounts = clients.clone();
    let factory: controller_manager::ClientFactory = Arc::new(move |name| accounts.service_account(name));
    let (client, manager_env) = (clients.user("system:kube-controller-manager", &[]), env.clone());
    let group = tasks.child("kube-controller-manager");
    serve_local(controller_manager::cli::PORT, &config.metrics, &client, secrets, env, &group).await?;
    let inner = group.clone();
    group.spawn("run", async move {
        controller_manager::run(config, client, factory, manager_env, inner).await;
    });
    Ok(())
}

/// When the node counts as short of something. Upstream's tenths of a disk say little of a host that others fill too, and
/// that may have terabytes left: a fixed amount keeps the store's log and the containers' writes going.
fn eviction_hard() -> std::collections::BTreeMap<String, String> {
    [
        ("memory.available", "100Mi"),
        ("nodefs.available", "1Gi"),
        ("nodefs.inodesFree", "1%"),
        ("imagefs.available", "1Gi"),
        ("imagefs.inodesFree", "1%"),
    ]
    .map(|(signal, limit)| (signal.to_owned(), limit.to_owned()))
    .into()
}

/// What runs on the node.
struct NodeParts<'a> {
    state: &'a State,
    node: &'a Node,
    secrets: &'a Secrets,
    clients: &'a Clients,
    env: &'a Env,
    tasks: &'a Tasks,
}

impl NodeParts<'_> {
    async fn start(&self, runtime: ContainerdRuntime) -> Result<()> {
        self.proxy().await?;
        self.dns().await?;
        self.kubelet(runtime).await
    }

    async fn proxy(&self) -> Result<()> {
        let config = kube_proxy::Config {
            node_name: self.node.name.clone(),
            mode: "nftables".into(),
            cluster_cidrs: vec![self.node.cluster_cidr],
            // One process on one node: a change is applied as soon as it is seen.
            min_sync_period: Duration::ZERO,
            ..kube_proxy::Config::default()
        };
        let deps = kube_proxy::Deps {
            client: self.clients.user("system:kube-proxy", &[]),
            env: self.env.clone(),
            tasks: self.tasks.child("kube-proxy"),
        };
        kube_proxy::run(config, deps).await.context("start kube-proxy")?;
        Ok(())
    }

    async fn dns(&self) -> Result<()> {
        let config = dns::Config {
            listen: vec![self.node.dns_server()],
            // Pods, and this host by the address that it has towards the service range.
            clients: [self.node.address, apiserver::cli::host_address()]
                .into_iter()
                .filter_map(|ip| Cidr::new(ip, if ip.is_ipv4() { 32 } else { 128 }))
                .chain([self.node.cluster_cidr])
                .collect(),
            service_ips: vec![self.node.dns_ip],
            ..dns::Config::default()
        };
        let deps = dns::Deps {
            client: self.clients.service_account(addons::DNS_ACCOUNT),
            env: self.env.clone(),
            tasks: self.tasks.child("dns"),
        };
        dns::run(config, deps).await.context("start cluster DNS")?;
        Ok(())
    }

    async fn kubelet(&self, runtime: ContainerdRuntime) -> Result<()> {
        let mut config = kubelet::config::Config::new(&self.node.name);
        config.node_ips = vec![self.node.address];
        config.root_dir = self.state.kubelet();
        config.container_logs_dir = self.state.container_logs();
        config.cni_conf_dir = Some(self.state.cni_conf());
        config.pinned_images = vec![image::PAUSE_IMAGE.to_owned()];
        config.kubelet.pod_logs_dir = self.state.pod_logs();
        config.kubelet.cgroup_root = self.state.cgroup_root();
        config.kubelet.cgroup_driver = "cgroupfs".into();
        config.kubelet.cluster_dns = vec![self.node.dns_ip.to_string()];
        config.kubelet.cluster_domain = "cluster.local".into();
        config.kubelet.serialize_image_pulls = false;
        config.kubelet.eviction_hard = Some(eviction_hard());
        let client = self.clients.node(&self.node.name).with_user_agent("kubelet");
        let runtime: Arc<dyn cri::Runtime> = Arc::new(runtime);
        let host: Arc<dyn kubelet::Host> = Arc::new(kubelet::RealHost);
        let tasks = self.tasks.child("kubelet");
        let server = ServerConfig {
            listen: SocketAddr::from(([0, 0, 0, 0], config.kubelet.port)),
            node_name: self.node.name.clone(),
            tls: pki::tls::server_config(&self.secrets.node, pki::tls::ClientAuth::Request)?,
            client_ca_pem: Some(self.secrets.authority.certificate_pem().to_owned()),
            authentication: config.kubelet.authentication.clone(),
            authorization: config.kubelet.authorization.clone(),
            debugging: config.kubelet.enable_debugging_handlers.unwrap_or(true),
            log_dir: self.state.data.join("log"),
            root_dir: config.root_dir.clone(),
            configz: config.kubelet.shown(),
        };
        let deps = kubelet::Deps {
            client: client.clone(),
            runtime: Arc::clone(&runtime),
            host: Arc::clone(&host),
            env: self.env.clone(),
            tasks: tasks.clone(),
        };
        let health = SocketAddr::from((LOCAL, config.kubelet.healthz_port));
        let listener = tokio::net::TcpListener::bind(health)
            .await
            .with_context(|| format!("listen on {health}: does another kubelet run on this host?"))?;
        component::serving::serve(&tasks, listener, Serving::plain(health_only()));
        let handle = kubelet::run(config, deps).await.context("start the kubelet")?;
        let deps = ServerDeps { client, env: self.env.clone(), tasks, runtime, host, pods: Arc::new(handle) };
        kubelet::server::run(server, deps)
            .await
            .context("serve the kubelet's API (does another kubelet run on this host?)")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[track_caller]
    fn check(flags: &[&str], problem: &str) {
        let line = ["gantry", "up"].iter().chain(flags);
        let crate::cli::Command::Up(args) = crate::cli::Cli::parse_from(line).command else { unreachable!() };
        let said = check_args(&args).err().map(|e| format!("{e:#}")).unwrap_or_default();
        assert!(said.contains(problem) && said.is_empty() == problem.is_empty(), "{flags:?}: {said:?}");
    }

    #[test]
    fn flags_are_refused_before_anything_starts() {
        check(&["--node-name=a.b-1"], "");
        for name in ["Bad", "a_b", "-a", "a-", "a..b", ""] {
            check(&[&format!("--node-name={name}")], "is not a node's name");
        }
        check(&["--node-name=a", "--cluster-cidr=1.2.3"], "--cluster-cidr");
        check(&["--node-name=a", "--service-cidr=10.244.128.0/20"], "overlap");
        check(&["--node-name=a", "--timeout=0"], "--timeout");
    }
}
