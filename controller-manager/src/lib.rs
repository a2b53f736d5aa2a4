//! kube-controller-manager: all reconcilers of built-in kinds, behind one leader election.
//!
//! Each controller acts as its own ServiceAccount; the caches that they share are read as
//! `system:kube-controller-manager`.

pub mod cli;
#[cfg(test)]
mod cluster;
pub mod config;
pub mod context;
pub mod controllers;
mod deployment;
mod discovery;
mod endpoints;
mod endpointslice;
mod garbage;
mod namespace;
mod node_ipam;
mod nodelifecycle;
mod objects;
mod podgc;
mod pv_protection;
mod pvc_protection;
mod replicaset;
mod root_ca;
mod serviceaccount;
mod taint_eviction;

use std::sync::Arc;

use client::leader::{self, Ended, LeaderConfig};
use client::{Client, Fence, Informers, Recorder};
use component::Tasks;
use env::Env;

pub use config::Config;
pub use context::Context;

/// Gives the client of a ServiceAccount in kube-system, by name.
pub type ClientFactory = Arc<dyn Fn(&str) -> Client + Send + Sync>;

/// Runs the controllers until `tasks` is asked to stop, or until the leadership is lost (after which nothing of this
/// call runs any more, and the process is expected to exit as upstream's does). `client` is that of
/// `system:kube-controller-manager`.
pub async fn run(
    config: Config,
    client: Client,
    client_factory: ClientFactory,
    env: Env,
    tasks: Tasks,
) -> Ended {
    let config = Arc::new(config);
    let stop = tasks.token();
    if !config.leader_elect {
        start(&config, &client, &client_factory, None, &env, &tasks);
        stop.cancelled().await;
        return Ended::Stopped;
    }
    let election = LeaderConfig::new("kube-controller-manager", &config.identity);
    let group = tasks.child("leader");
    let (inner, lead_env, lead_client) = (group.clone(), env.clone(), client.clone());
    let ended = leader::run(client, election, env, stop, |fence| async move {
        start(&config, &lead_client, &client_factory, Some(&fence), &lead_env, &inner);
        inner.token().cancelled().await;
    })
    .await;
    group.kill();
    ended
}

/// Starts every controller that is not disabled, then the caches.
fn start(
    config: &Arc<Config>,
    client: &Client,
    client_factory: &ClientFactory,
    fence: Option<&Fence>,
    env: &Env,
    tasks: &Tasks,
) {
    let fenced = |client: Client| match fence {
        Some(fence) => client.with_fence(fence.clone()),
        None => client,
    };
    let informers =
        Informers::new(client.with_user_agent("kube-controller-manager"), env.clone(), tasks.clone());
    let queues = controller_kit::QueueMetrics::new(&config.metrics);
    for controller in controllers::all() {
        if config.disabled.iter().any(|d| d == controller.name) {
            continue;
        }
        let client =
            fenced(client_factory(controller.service_account)).with_user_agent("kube-controller-manager");
        let group = tasks.child(controller.name);
        let source = controller.service_account;
        let context = Context {
            recorder: Recorder::new(client.clone(), env.clone(), &group, source, ""),
            client,
            informers: informers.clone(),
            env: env.clone(),
            tasks: group,
            config: Arc::clone(config),
            queues: queues.clone(),
            name: controller.name,
        };
        (controller.start)(&context);
    }
    informers.start();
}
