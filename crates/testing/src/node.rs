//! A hollow node: the real kubelet on a machine and a container runtime that are not there.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use client::Client;
use component::Tasks;
use cri::FakeRuntime;
use cri::fake::Script;
use env::Env;
use kubelet::{Deps, HollowHost};
use parking_lot::Mutex;

const CPUS: u64 = 4;
const MEMORY_BYTES: u64 = 8 << 30;

/// What survives the kubelet: the machine, and the runtime with its containers. Clones are the same machine.
#[derive(Clone, Debug)]
pub struct Machine {
    name: String,
    pub host: HollowHost,
    pub runtime: FakeRuntime,
    starts: Arc<Mutex<BTreeMap<String, u32>>>,
    script: Arc<Mutex<Script>>,
}

impl Machine {
    /// Node `nNUMBER`. Timers of its containers run in `tasks`, which must outlive the kubelet's group.
    pub fn new(number: u8, env: Env, tasks: Tasks) -> Self {
        let name = format!("n{number}");
        let address = IpAddr::from([10, 0, 1, number]);
        let runtime = FakeRuntime::new(&name, env, tasks);
        let starts: Arc<Mutex<BTreeMap<String, u32>>> = Arc::default();
        let script: Arc<Mutex<Script>> = Arc::default();
        let (counted, scripted) = (Arc::clone(&starts), Arc::clone(&script));
        runtime.set_scripts(move |pod, container| {
            let name = container.metadata.as_ref().map_or("", |m| m.name.as_str());
            *counted.lock().entry(format!("{}/{name}", pod.uid)).or_default() += 1;
            scripted.lock().clone()
        });
        Self { host: HollowHost::new(&name, address, CPUS, MEMORY_BYTES), name, runtime, starts, script }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// How containers behave that are made from now on.
    pub fn set_script(&self, script: Script) {
        *self.script.lock() = script;
    }

    /// How many containers were made, by `POD-UID/CONTAINER`.
    pub fn starts(&self) -> BTreeMap<String, u32> {
        self.starts.lock().clone()
    }
}

/// Runs a kubelet on `machine` until `tasks` is stopped. `client` is that of `system:node:NAME`.
pub async fn kubelet(machine: Machine, client: Client, env: Env, tasks: Tasks) {
    let config = kubelet::Config::new(&machine.name);
    let deps = Deps {
        client,
        runtime: Arc::new(machine.runtime),
        host: Arc::new(machine.host),
        env,
        tasks: tasks.clone(),
    };
    let _handle = kubelet::run(config, deps).await.expect("a hollow machine refuses nothing");
    tasks.token().cancelled().await;
}
