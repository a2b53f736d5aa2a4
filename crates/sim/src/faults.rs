//! What goes wrong, when: drawn from the seed, apart from the draws of the cluster itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use env::Rng;
use env::rng::SeededRng;

use crate::cluster::{Cluster, Part};
use crate::network::Rates;

/// The longest that anything stays down or apart, in milliseconds.
const DOWN_MAX: u64 = 15_000;
const API_DOWN_MAX: u64 = 4_000;
/// Between two faults.
const CALM_MAX: u64 = 6_000;
/// Disk writes until a failing disk fails.
const DISK_OPERATIONS_MAX: u64 = 60;
/// How wrong a clock may be, in milliseconds: beyond what certificates and leases tolerate nothing is promised.
const SKEW_MAX: u64 = 20_000;

/// What to undo, by the simulated millisecond.
#[derive(Clone, Debug)]
enum Mend {
    Api,
    /// The disk has begun to fail: the server's host crashes, and comes back later.
    Disk,
    Part(usize),
    Join(usize),
    Rates,
}

/// The source of faults of one run.
#[derive(Debug)]
pub struct Faults {
    cluster: Arc<Cluster>,
    rng: SeededRng,
    mends: BTreeMap<(Duration, u32), Mend>,
    n_mends: u32,
    start: tokio::time::Instant,
    /// Containers that were ended, by the pod's name.
    pub exits: BTreeMap<String, u32>,
    pub n_faults: u32,
    pub node_crashes: u32,
}

impl Faults {
    pub fn new(seed: u64, cluster: Arc<Cluster>) -> Self {
        Self {
            cluster,
            rng: SeededRng::new(seed ^ 0xfa17),
            mends: BTreeMap::new(),
            n_mends: 0,
            start: tokio::time::Instant::now(),
            exits: BTreeMap::new(),
            n_faults: 0,
            node_crashes: 0,
        }
    }

    fn draw(&self, bound: u64) -> u64 {
        self.rng.below(bound)
    }

    /// Injects faults and mends them until `end`; `check` is asked after each.
    pub async fn run(&mut self, end: Duration, check: impl Fn() -> bool) {
        let mut next = self.start.elapsed() + Duration::from_millis(self.draw(CALM_MAX));
        while self.start.elapsed() < end && check() {
            let mend = self.mends.first_key_value().map(|((at, _), _)| *at);
            let at = mend.map_or(next, |mend| mend.min(next)).min(end);
            tokio::time::sleep_until(self.start + at).await;
            if mend.is_some_and(|mend| mend <= at) {
                let (_, mend) = self.mends.pop_first().expect("there is a first one");
                self.mend(&mend);
            } else if next <= at {
                self.inject();
                next = self.start.elapsed() + Duration::from_millis(self.draw(CALM_MAX));
            }
        }
    }

    /// Ends every fault at once.
    pub fn end(&mut self) {
        self.cluster.trace.add("faults end");
        self.mends.clear();
        self.cluster.network.set_rates(Rates::NONE);
        self.cluster.network.join_all();
        for running in &self.cluster.parts {
            running.clock.set_skew_nanos(0);
        }
        self.cluster.api_clock.set_skew_nanos(0);
        // A server whose disk failed serves no more; a crash of the others is a fault like any.
        self.cluster.crash_api();
        self.cluster.start_all();
    }

    fn later(&mut self, after: u64, mend: Mend) {
        self.n_mends += 1;
        self.mends.insert((self.start.elapsed() + Duration::from_millis(after), self.n_mends), mend);
    }

    fn mend(&mut self, mend: &Mend) {
        let cluster = Arc::clone(&self.cluster);
        match mend {
            Mend::Api => cluster.start_api(),
            Mend::Disk => self.crash_api(),
            Mend::Part(number) => cluster.start(*number),
            Mend::Join(number) => cluster.network.set_apart(&cluster.parts[*number].part.name(), false),
            Mend::Rates => cluster.network.set_rates(Rates::NONE),
        }
    }

    fn crash_api(&mut self) {
        self.cluster.crash_api();
        let down = self.draw(API_DOWN_MAX);
        self.later(down, Mend::Api);
    }

    fn any_part(&self) -> usize {
        usize::try_from(self.draw(self.cluster.parts.len() as u64)).expect("an index is small")
    }

    fn inject(&mut self) {
        self.n_faults += 1;
        let down = self.draw(DOWN_MAX);
        let number = self.any_part();
        let name = self.cluster.parts[number].part.name();
        let trace = self.cluster.trace.clone();
        match self.draw(16) {
            0..=2 => self.crash_api(),
            3 => {
                let operations = self.draw(DISK_OPERATIONS_MAX);
                trace.add(&format!("disk fails in {operations} operations"));
                self.cluster.disk.fail_from(self.cluster.disk.operations() + operations);
                self.later(down, Mend::Disk);
            }
            4..=8 => {
                self.cluster.crash(number);
                self.node_crashes += u32::from(matches!(self.cluster.parts[number].part, Part::Node(_)));
                self.later(down, Mend::Part(number));
            }
            9 | 10 => {
                trace.add(&format!("{name} is cut off"));
                self.cluster.network.set_apart(&name, true);
                self.later(down, Mend::Join(number));
            }
            11 => {
                trace.add("connections break");
                self.cluster.network.break_connections();
            }
            12 | 13 => {
                let rates = if self.draw(2) == 0 { Rates::ROUGH } else { Rates::SLOW };
                trace.add(&format!("network: {rates:?}"));
                self.cluster.network.set_rates(rates);
                self.later(down, Mend::Rates);
            }
            14 => self.skew(number),
            _ => self.hurt_machine(number, down),
        }
    }

    fn skew(&self, number: usize) {
        let millis =
            i64::try_from(self.draw(2 * SKEW_MAX)).unwrap_or(0) - i64::try_from(SKEW_MAX).unwrap_or(0);
        let api = self.draw(4) == 0;
        let clock = if api { &self.cluster.api_clock } else { &self.cluster.parts[number].clock };
        self.cluster.trace.add(&format!("clock {number} (API server: {api}) is wrong by {millis} ms"));
        clock.set_skew_nanos(millis * 1_000_000);
    }

    /// Ends a container, or all of them with their kubelet.
    fn hurt_machine(&mut self, number: usize, down: u64) {
        let cluster = Arc::clone(&self.cluster);
        let Part::Node(machine) = &cluster.parts[number].part else { return };
        let reboots = self.draw(3) == 0;
        let running = machine.runtime.running();
        if reboots {
            cluster.trace.add(&format!("{} reboots", machine.name()));
            cluster.crash(number);
            self.node_crashes += 1;
            for (pod, _, _) in running {
                *self.exits.entry(pod).or_default() += 1;
            }
            machine.runtime.reboot();
            machine.host.reboot();
            self.later(down, Mend::Part(number));
            return;
        }
        if running.is_empty() {
            return;
        }
        let chosen = usize::try_from(self.draw(running.len() as u64)).expect("an index is small");
        let (pod, container, id) = &running[chosen];
        cluster.trace.add(&format!("{pod}/{container} ends"));
        *self.exits.entry(pod.clone()).or_default() += 1;
        machine.runtime.exit(id, 1);
    }
}
