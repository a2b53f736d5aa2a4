//! The parts of the cluster, each of which can crash and come back.

use std::path::Path;
use std::sync::Arc;

use component::Tasks;
use env::Env;
use env::clock::SimClock;
use env::disk::SimDisk;
use parking_lot::Mutex;
use store::Backend;
use testing::node::{self, Machine};
use testing::parts::{self, Connect};
use testing::users;

use crate::monitor::Monitor;
use crate::network::Network;
use crate::trace::Trace;

const STORE: &str = "/store";

/// How the cluster is made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub n_nodes: u8,
    /// Scheduler and controllers run twice and elect a leader.
    pub election: bool,
    /// The embedded store on the simulated disk; else the memory backend, which outlives its server as etcd would.
    pub embedded: bool,
}

/// What can crash besides the API server.
#[derive(Clone, Debug)]
pub enum Part {
    Scheduler(String),
    Controllers(String),
    Node(Machine),
}

impl Part {
    pub fn name(&self) -> String {
        match self {
            Self::Scheduler(identity) => format!("scheduler-{identity}"),
            Self::Controllers(identity) => format!("controllers-{identity}"),
            Self::Node(machine) => machine.name().to_owned(),
        }
    }
}

/// A part with what is running of it now.
#[derive(Debug)]
pub struct Running {
    pub part: Part,
    pub clock: Arc<SimClock>,
    group: Mutex<Option<Tasks>>,
}

impl Running {
    pub fn is_up(&self) -> bool {
        self.group.lock().is_some()
    }
}

/// The cluster.
#[derive(Debug)]
pub struct Cluster {
    pub layout: Layout,
    pub env: Env,
    pub disk: SimDisk,
    pub trace: Trace,
    pub network: Network,
    pub monitor: Monitor,
    pub tasks: Tasks,
    pub parts: Vec<Running>,
    pub api_clock: Arc<SimClock>,
    memory: Arc<dyn Backend>,
    api: Mutex<Option<Tasks>>,
}

impl Cluster {
    pub fn new(seed: u64, layout: Layout) -> Arc<Self> {
        let trace = Trace::new();
        let disk = SimDisk::new(seed);
        let env = Env { disk: Arc::new(disk.clone()), ..Env::simulated(seed) };
        let tasks = Tasks::new("simulation");
        let candidates: &[&str] = if layout.election { &["a", "b"] } else { &["a"] };
        let scheduler = candidates.iter().map(|c| Part::Scheduler((*c).to_owned()));
        let controllers = candidates.iter().map(|c| Part::Controllers((*c).to_owned()));
        let machines = (1..=layout.n_nodes).map(|number| {
            Part::Node(Machine::new(number, env.clone(), tasks.child(format!("machine {number}"))))
        });
        let parts = scheduler
            .chain(controllers)
            .chain(machines)
            .map(|part| Running { part, clock: Arc::new(SimClock::new()), group: Mutex::default() })
            .collect();
        Arc::new(Self {
            layout,
            network: Network::new(Arc::clone(&env.rng), trace.clone()),
            monitor: Monitor::new(trace.clone()),
            disk,
            env,
            trace,
            tasks,
            parts,
            api_clock: Arc::new(SimClock::new()),
            memory: store::memory(),
            api: Mutex::default(),
        })
    }

    pub fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.parts.iter().filter_map(|running| match &running.part {
            Part::Node(machine) => Some(machine),
            _ => None,
        })
    }

    /// Starts what does not run.
    pub fn start_all(self: &Arc<Self>) {
        self.start_api();
        for number in 0..self.parts.len() {
            self.start(number);
        }
    }

    pub fn api_is_up(&self) -> bool {
        self.api.lock().is_some()
    }

    /// Starts the API server, unless it runs. It serves some moments later.
    pub fn start_api(self: &Arc<Self>) {
        let mut api = self.api.lock();
        if api.is_some() {
            return;
        }
        let group = self.tasks.child("kube-apiserver");
        *api = Some(group.clone());
        drop(api);
        self.trace.add("start kube-apiserver");
        let cluster = Arc::clone(self);
        let inner = group.clone();
        group.spawn("start", async move {
            if let Err(error) = cluster.run_api(&inner).await {
                // A failing disk is a fault of ours; whoever set it crashes the server soon.
                cluster.trace.add(&format!("kube-apiserver does not start: {error}"));
            }
        });
    }

    async fn run_api(&self, group: &Tasks) -> anyhow::Result<()> {
        let env = Env { clock: Arc::<SimClock>::clone(&self.api_clock), ..self.env.clone() };
        let backend = if self.layout.embedded {
            store::open_embedded(&env, Path::new(STORE), group).await?
        } else {
            Arc::clone(&self.memory)
        };
        let server = parts::api_server(&env, backend, group.clone()).await?;
        let view = Arc::clone(server.registry().view());
        self.monitor.attach(&view);
        let monitor = self.monitor.clone();
        group.spawn("monitor", async move { monitor.follow(view).await });
        self.network.lead_to(Some(server));
        Ok(())
    }

    /// The API server's host loses power: of what its disk had not synced, the seed decides. A disk
    /// that failed works again.
    pub fn crash_api(&self) {
        if let Some(group) = self.api.lock().take() {
            self.trace.add("crash kube-apiserver");
            self.monitor.detach();
            self.network.lead_to(None);
            group.kill();
        }
        self.disk.crash();
    }

    /// Starts a part, unless it runs.
    pub fn start(&self, number: usize) {
        let running = &self.parts[number];
        let mut current = running.group.lock();
        if current.is_some() {
            return;
        }
        let name = running.part.name();
        self.trace.add(&format!("start {name}"));
        let group = self.tasks.child(name.clone());
        *current = Some(group.clone());
        drop(current);
        let env = Env { clock: Arc::<SimClock>::clone(&running.clock), ..self.env.clone() };
        let network = self.network.clone();
        let from = name.clone();
        let connect: Connect = Arc::new(move |user| network.client(&from, user));
        let election = self.layout.election;
        let (part, trace, inner) = (running.part.clone(), self.trace.clone(), group.clone());
        group.spawn("run", async move {
            // A process that no longer leads ends, and whoever supervises it starts it again.
            loop {
                let (process, connect, env) = (inner.child("process"), Arc::clone(&connect), env.clone());
                run_part(part.clone(), election, connect, env, process.clone()).await;
                process.kill();
                trace.add(&format!("{name} ended"));
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        });
    }

    /// A part's process is killed; on a node the containers run on.
    pub fn crash(&self, number: usize) {
        let running = &self.parts[number];
        let Some(group) = running.group.lock().take() else { return };
        self.trace.add(&format!("crash {}", running.part.name()));
        group.kill();
    }
}

async fn run_part(part: Part, election: bool, connect: Connect, env: Env, tasks: Tasks) {
    match part {
        Part::Scheduler(identity) => {
            parts::scheduler(connect, env, tasks, election.then_some(&*identity)).await;
        }
        Part::Controllers(identity) => {
            parts::controllers(connect, env, tasks, election.then_some(&*identity)).await;
        }
        Part::Node(machine) => {
            let client = connect(users::node(machine.name()));
            node::kubelet(machine, client, env, tasks).await;
        }
    }
}
