//! A cluster in one process on the memory backend, for one test: API server, scheduler, controllers and hollow nodes,
//! each as its own user over the in-process transport.

use std::sync::Arc;
use std::time::Duration;

use apiserver::ApiServer;
use apiserver::seams::UserInfo;
use client::{Client, DeleteParams, ListParams, Patch, Propagation, ResourceType, resources};
use component::Tasks;
use env::Env;
use serde_json::Value;

use crate::node::Machine;
use crate::parts::{self, Connect};
use crate::refusals::Refusals;
use crate::users;

/// No state of a healthy cluster takes longer to reach, in simulated time (eviction from a dead node takes 6 minutes).
pub const PATIENCE: Duration = Duration::from_secs(900);

/// See the module.
#[derive(Debug)]
pub struct Cluster {
    pub server: Arc<ApiServer>,
    /// May do everything.
    pub admin: Client,
    pub env: Env,
    pub tasks: Tasks,
    pub refusals: Refusals,
    pub nodes: Vec<Node>,
}

/// A hollow node: the machine, and the group of the agent on it.
#[derive(Debug)]
pub struct Node {
    pub machine: Machine,
    pub tasks: Tasks,
}

impl Cluster {
    /// A whole cluster with `n_nodes` nodes, all Ready, as a function of `seed`; the runtime's clock must be paused.
    pub async fn simulated(seed: u64, n_nodes: u8) -> Self {
        let mut cluster = Self::api_only(Env::simulated(seed)).await;
        cluster.start_control_plane();
        for number in 1..=n_nodes {
            cluster.start_node(number);
        }
        crate::eventually!(cluster, "every node Ready", {
            let nodes = cluster.list(&resources::NODES, "").await;
            let usable =
                nodes.iter().filter(|n| n["spec"]["taints"].is_null() && n["spec"]["podCIDR"].is_string());
            let n_usable = usable.count();
            if n_usable == usize::from(n_nodes) { Ok(()) } else { Err(format!("{nodes:?}")) }
        });
        cluster
    }

    /// The API server alone.
    pub async fn api_only(env: Env) -> Self {
        let tasks = Tasks::new("cluster");
        let server = parts::api_server(&env, store::memory(), tasks.child("kube-apiserver"))
            .await
            .expect("a server starts on an empty memory backend");
        let admin = Client::in_process(server.service(users::admin()));
        Self { server, admin, env, tasks, refusals: Refusals::default(), nodes: Vec::new() }
    }

    /// Clients of components: what they are refused fails the test.
    pub fn connect(&self) -> Connect {
        let (server, refusals) = (Arc::clone(&self.server), self.refusals.clone());
        Arc::new(move |user: UserInfo| {
            let name = user.name.clone();
            Client::in_process(refusals.watch(server.service(user), &name))
        })
    }

    /// Somebody's client; refusals are the test's own business.
    pub fn client(&self, user: UserInfo) -> Client {
        Client::in_process(self.server.service(user))
    }

    pub fn start_control_plane(&self) {
        let group = self.tasks.child("kube-scheduler");
        let run = parts::scheduler(self.connect(), self.env.clone(), group.clone(), None);
        group.spawn("run", async move {
            run.await;
        });
        let group = self.tasks.child("kube-controller-manager");
        let run = parts::controllers(self.connect(), self.env.clone(), group.clone(), None);
        group.spawn("run", async move {
            run.await;
        });
    }

    /// Adds the node `nNUMBER`.
    pub fn start_node(&mut self, number: u8) {
        let machine = Machine::new(number, self.env.clone(), self.tasks.child("runtime"));
        let tasks = self.start_kubelet(&machine);
        self.nodes.push(Node { machine, tasks });
    }

    /// Kills the kubelet of the node at `index`, unless it is dead, and starts another one on its machine.
    pub fn restart_node(&mut self, index: usize) {
        self.nodes[index].tasks.kill();
        self.nodes[index].tasks = self.start_kubelet(&self.nodes[index].machine);
    }

    fn start_kubelet(&self, machine: &Machine) -> Tasks {
        let tasks = self.tasks.child(machine.name());
        let client = self.connect()(users::node(machine.name()));
        let kubelet = crate::node::kubelet(machine.clone(), client, self.env.clone(), tasks.clone());
        tasks.spawn("run", kubelet);
        tasks
    }

    /// Waits for what a pod needs to be admitted to a namespace: its default account.
    pub async fn ready_for_pods(&self, namespace: &str) {
        crate::eventually!(self, "the default account", {
            let accounts = self.list(&resources::SERVICE_ACCOUNTS, namespace).await;
            if accounts.is_empty() { Err("no account".to_owned()) } else { Ok(()) }
        });
    }

    pub async fn create(&self, ty: &ResourceType, namespace: &str, object: &Value) -> Value {
        self.admin.create(ty, namespace, object).await.expect("the test's object is valid")
    }

    pub async fn get(&self, ty: &ResourceType, namespace: &str, name: &str) -> Value {
        self.admin.get(ty, namespace, name).await.expect("the object is there")
    }

    pub async fn list(&self, ty: &ResourceType, namespace: &str) -> Vec<Value> {
        let params = ListParams { namespace: namespace.into(), ..ListParams::default() };
        self.admin.list::<Value>(ty, &params).await.expect("the admin may").items
    }

    /// A merge patch.
    pub async fn patch(&self, ty: &ResourceType, namespace: &str, name: &str, patch: Value) -> Value {
        self.admin.patch(ty, namespace, name, "", &Patch::Merge(patch)).await.expect("the patch is valid")
    }

    /// A strategic merge patch, which changes lists by their keys.
    pub async fn patch_strategic(
        &self,
        ty: &ResourceType,
        namespace: &str,
        name: &str,
        patch: Value,
    ) -> Value {
        self.admin.patch(ty, namespace, name, "", &Patch::Strategic(patch)).await.expect("the patch is valid")
    }

    pub async fn delete(
        &self,
        ty: &ResourceType,
        namespace: &str,
        name: &str,
        propagation: Option<Propagation>,
    ) {
        let params = DeleteParams { propagation, ..DeleteParams::default() };
        self.admin.delete(ty, namespace, name, &params).await.expect("the object is there");
    }

    /// Asks `check` now and after each change in the store until it says `Ok`; its last `Err` once [`PATIENCE`] is
    /// over. Use [`eventually!`](crate::eventually).
    pub async fn wait_for<T>(&self, mut check: impl AsyncFnMut() -> Result<T, String>) -> Result<T, String> {
        let view = self.server.registry().view();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let revision = view.revision();
            let last = match check().await {
                Ok(value) => return Ok(value),
                Err(last) => last,
            };
            if tokio::time::timeout_at(deadline, view.wait_for(revision + 1)).await.is_err() {
                return Err(format!("{last}; refused: {:?}", self.refusals.all()));
            }
        }
    }

    /// Stops everything; fails when a component was refused anything or panicked.
    pub async fn end(self) {
        let refused = self.refusals.all();
        assert!(refused.is_empty(), "refused: {refused:#?}");
        assert_eq!(self.tasks.panics_in_tree(), 0, "panics");
        self.tasks.stop(Duration::from_secs(1)).await;
    }
}
