//! One run: the cluster starts, the user works while things go wrong, then everything must come to rest.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use env::Rng as _;
use env::rng::SeededRng;
use testing::users;

use crate::cluster::{Cluster, Layout, Part};
use crate::converge;
use crate::faults::Faults;
use crate::network::LINES_MAX;
use crate::user::User;

/// Faults go on for this long at least.
const FAULTS_FOR: Duration = Duration::from_secs(40);
/// The user must have been heard by then after the last fault.
const USER_LIMIT: Duration = Duration::from_secs(120);
/// Everything must have come to rest by then after that. A pod on a node that was thought dead is evicted after five
/// minutes, and a container that ended often waits as long.
const CONVERGE_LIMIT: Duration = Duration::from_secs(15 * 60);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What has come to rest must stay so.
const REST: Duration = Duration::from_secs(20);

/// What a run is like, besides its seed.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Let things go wrong.
    pub faults: bool,
    /// Print every line of the trace.
    pub echo: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { faults: true, echo: false }
    }
}

/// A run that went well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub seed: u64,
    /// Of everything that happened, in order: two runs of one seed share it.
    pub hash: u64,
    pub lines: u64,
    pub faults: u32,
    /// Simulated.
    pub duration: Duration,
}

/// A run that did not.
#[derive(Clone, Debug)]
pub struct Failure {
    pub seed: u64,
    pub what: String,
    /// The end of the trace.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        write!(f, "seed {}: {}", self.seed, self.what)
    }
}

/// Runs one seed to its end on this thread.
pub fn run(seed: u64, options: &Options) -> Result<Report, Box<Failure>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread without I/O needs nothing of the host");
    runtime.block_on(drive(seed, *options))
}

async fn drive(seed: u64, options: Options) -> Result<Report, Box<Failure>> {
    let rng = SeededRng::new(seed ^ 0x1a40);
    let layout = Layout { n_nodes: 3, election: rng.below(3) == 0, embedded: rng.below(4) != 0 };
    let cluster = Cluster::new(seed, layout);
    cluster.trace.set_echo(options.echo);
    cluster.trace.add(&format!("seed {seed} {layout:?}"));
    let outcome = story(seed, options, &cluster).await;
    let failure = |what| Box::new(Failure { seed, what, trace: cluster.trace.last() });
    let result = match outcome {
        _ if cluster.monitor.violation().is_some() => {
            Err(failure(cluster.monitor.violation().unwrap_or_default()))
        }
        Err(what) => Err(failure(what)),
        Ok(faults) => Ok(Report {
            seed,
            hash: cluster.trace.hash(),
            lines: cluster.trace.lines(),
            faults,
            duration: cluster.trace.elapsed(),
        }),
    };
    cluster.network.lead_to(None);
    cluster.tasks.kill();
    result
}

/// The story; returns the number of faults.
async fn story(seed: u64, options: Options, cluster: &Arc<Cluster>) -> Result<u32, String> {
    cluster.start_all();
    let user = User::new(seed, cluster.network.client("user", users::admin()), cluster.monitor.clone());
    cluster.tasks.spawn("user", user.clone().run());
    let mut faults = Faults::new(seed, Arc::clone(cluster));
    if options.faults {
        faults.run(FAULTS_FOR, || cluster.monitor.violation().is_none()).await;
        faults.end();
    }
    let deadline = tokio::time::Instant::now() + USER_LIMIT;
    while !user.is_done() {
        look(cluster)?;
        if tokio::time::Instant::now() > deadline {
            return Err("the user was not heard".into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    cluster.trace.add("the user is done");
    let wanted = user.wanted();
    let deadline = tokio::time::Instant::now() + CONVERGE_LIMIT;
    while let Err(what) = converge::check(cluster, &wanted) {
        look(cluster)?;
        if tokio::time::Instant::now() > deadline {
            if options.echo {
                print_stored(cluster);
            }
            return Err(format!("no rest: {what}"));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    cluster.trace.add("everything rests");
    tokio::time::sleep(REST).await;
    converge::check(cluster, &wanted).map_err(|what| format!("did not stay at rest: {what}"))?;
    converge::check_starts(cluster, &faults.exits, faults.node_crashes)?;
    user.check().await;
    look(cluster)?;
    Ok(faults.n_faults)
}

/// Shows what is stored of workloads to a person who looks for the reason of a failure.
fn print_stored(cluster: &Cluster) {
    let Some(server) = cluster.network.server() else { return };
    for prefix in
        ["/registry/deployments/", "/registry/replicasets/", "/registry/pods/", "/registry/minions/"]
    {
        let range = server.registry().view().range(prefix, None, 0, None);
        for entry in range.map(|r| r.entries).unwrap_or_default() {
            eprintln!("{} {}", entry.key, String::from_utf8_lossy(&entry.value));
        }
    }
}

/// What must hold at any time, besides what the monitor sees.
fn look(cluster: &Cluster) -> Result<(), String> {
    if let Some(violation) = cluster.monitor.violation() {
        return Err(violation);
    }
    if cluster.trace.lines() > LINES_MAX {
        return Err("somebody asks again and again without a pause".into());
    }
    if cluster.tasks.panics_in_tree() > 0 {
        return Err("a task panicked".into());
    }
    // A kubelet may ask for what its pod referred to until a moment ago: its refusals are rightful.
    if let Some(refused) = cluster.network.refusals().iter().find(|line| !line.contains(" system:node:")) {
        return Err(format!("refused: {refused}"));
    }
    for running in &cluster.parts {
        let Part::Node(machine) = &running.part else { continue };
        let mut seen = std::collections::BTreeSet::new();
        for (pod, container, _) in machine.runtime.running() {
            if !seen.insert((pod.clone(), container.clone())) {
                return Err(format!("{pod}/{container} runs twice on {}", machine.name()));
            }
        }
    }
    Ok(())
}
