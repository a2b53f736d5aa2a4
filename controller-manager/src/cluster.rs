//! The controllers against a real API server in this process, in one thread under a paused clock, each as its own user
//! with upstream's default roles. Nodes are hollow: a pod is bound, runs and is ready at once.

mod garbage_tests;
mod node_tests;
mod workload_tests;

use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use apiserver::auth::Chain;
use apiserver::seams::{Authorizer, UserInfo};
use apiserver::{ApiServer, Deps, InProcess, Plugins};
use client::{
    ApiResource, Client, DeleteParams, Event, Informers, Key, PartialObject, Patch, TransportRequest,
    resources,
};
use component::Tasks;
use env::Env;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::Config;
use crate::objects::Pod;

/// No state of a healthy cluster takes longer to reach in these tests, in simulated time.
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) struct Cluster {
    pub(crate) admin: Client,
    pub(crate) informers: Informers,
    pub(crate) tasks: Tasks,
    /// Requests of controllers that were refused: a missing right is a defect.
    forbidden: Arc<Mutex<Vec<String>>>,
    /// New pods become ready while this is set.
    pub(crate) healthy: Arc<Mutex<bool>>,
}

/// Notes answers of 403 on their way.
#[derive(Clone)]
struct Watched {
    inner: InProcess,
    user: String,
    forbidden: Arc<Mutex<Vec<String>>>,
}

impl tower::Service<TransportRequest> for Watched {
    type Response = http::Response<apiserver::response::Body>;
    type Error = <InProcess as tower::Service<TransportRequest>>::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }
    fn call(&mut self, request: TransportRequest) -> Self::Future {
        let line = format!("{} {} {}", self.user, request.method(), request.uri());
        let forbidden = Arc::clone(&self.forbidden);
        let answer = self.inner.call(request);
        async move {
            let answer = answer.await?;
            if answer.status().as_u16() != 403 {
                return Ok(answer);
            }
            let (parts, body) = answer.into_parts();
            let bytes = body.collect().await.expect("an error's body is whole").to_bytes();
            let text = String::from_utf8_lossy(&bytes);
            // In a namespace that goes away creates are refused to everybody.
            if !text.contains("NamespaceTerminating") {
                forbidden.lock().push(format!("{line}: {text}"));
            }
            Ok(http::Response::from_parts(parts, bytes.into()))
        }
        .boxed()
    }
}

fn user(name: &str, groups: &[&str]) -> UserInfo {
    let mut groups: Vec<String> = groups.iter().map(|g| (*g).to_owned()).collect();
    groups.push("system:authenticated".into());
    UserInfo { name: name.into(), groups, ..UserInfo::default() }
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        Self::start_with(Config::default()).await
    }

    pub(crate) async fn start_with(config: Config) -> Self {
        let (tasks, env) = (Tasks::new("cluster"), Env::simulated(1));
        let server = start_server(&tasks, &env).await;
        let forbidden: Arc<Mutex<Vec<String>>> = Arc::default();
        let connect = {
            let (server, forbidden) = (Arc::clone(&server), Arc::clone(&forbidden));
            move |user: UserInfo| {
                let name = user.name.clone();
                Client::in_process(Watched {
                    inner: server.service(user),
                    user: name,
                    forbidden: Arc::clone(&forbidden),
                })
            }
        };
        let admin = Client::in_process(server.service(user("admin", &["system:masters"])));
        let informers = Informers::new(admin.clone(), env.clone(), tasks.child("test"));
        let manager = connect(user("system:kube-controller-manager", &[]));
        let factory: crate::ClientFactory = Arc::new(move |account| {
            let name = format!("system:serviceaccount:kube-system:{account}");
            connect(user(&name, &["system:serviceaccounts", "system:serviceaccounts:kube-system"]))
        });
        let config = Config { identity: "test".into(), root_ca: "CA".into(), ..config };
        let group = tasks.child("controllers");
        tasks.spawn("controller manager", async move {
            crate::run(config, manager, factory, env, group).await;
        });
        let cluster = Self { admin, informers, tasks, forbidden, healthy: Arc::new(Mutex::new(true)) };
        cluster.start_hollow_nodes();
        cluster
    }

    /// Binds each pod and reports it as running; lets pods go that are being deleted.
    fn start_hollow_nodes(&self) {
        let pods = self.informers.of::<Pod>();
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        pods.add_handler(move |event| {
            if !matches!(event, Event::Deleted(_)) {
                let _ = sender.send(Key::of(&event.object().metadata));
            }
        });
        self.informers.start();
        let (admin, healthy) = (self.admin.clone(), Arc::clone(&self.healthy));
        self.tasks.spawn_until_stop("hollow nodes", async move {
            let mut n_pods = 0u32;
            while let Some(key) = receiver.recv().await {
                let Some(pod) = pods.get_key(&key) else { continue };
                if pod.metadata.deleting() {
                    let params = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::uid(&pod.metadata.uid) };
                    let _ = admin.delete(&resources::PODS, &key.namespace, &key.name, &params).await;
                    continue;
                }
                if pod.status.phase == "Running" || pod.is_terminal() || !*healthy.lock() {
                    continue;
                }
                n_pods += 1;
                let ip = format!("10.244.0.{n_pods}");
                let patch = Patch::Merge(json!({"status": {
                    "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
                    "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
                }}));
                admin
                    .patch::<PartialObject>(&resources::PODS, &key.namespace, &key.name, "status", &patch)
                    .await
                    .expect("the admin may");
            }
        });
    }

    pub(crate) async fn create(&self, ty: &client::ResourceType, namespace: &str, body: &Value) -> Value {
        let mut body = body.clone();
        body["apiVersion"] = ty.api_version().into();
        body["kind"] = ty.kind.into();
        self.admin.create(ty, namespace, &body).await.expect("the test's object is valid")
    }

    pub(crate) async fn get(&self, ty: &client::ResourceType, namespace: &str, name: &str) -> Value {
        self.admin.get(ty, namespace, name).await.expect("the object is there")
    }

    pub(crate) async fn list(&self, ty: &client::ResourceType, namespace: &str) -> Vec<Value> {
        let params = client::ListParams { namespace: namespace.into(), ..Default::default() };
        self.admin.list::<Value>(ty, &params).await.expect("the admin may").items
    }

    pub(crate) async fn patch(
        &self,
        ty: &client::ResourceType,
        namespace: &str,
        name: &str,
        sub: &str,
        body: Value,
    ) {
        self.admin
            .patch::<Value>(ty, namespace, name, sub, &Patch::Merge(body))
            .await
            .expect("the patch is valid");
    }

    /// Waits until the list of a resource looks as `condition` wants it; looks again after each change.
    #[track_caller]
    pub(crate) fn eventually<'a>(
        &'a self,
        ty: &'a client::ResourceType,
        namespace: &'a str,
        what: &'a str,
        condition: impl Fn(&[Value]) -> bool + 'a,
    ) -> impl Future<Output = Vec<Value>> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let informer = self.informers.metadata_of(ApiResource::from(*ty));
            self.informers.start();
            let deadline = tokio::time::Instant::now() + PATIENCE;
            loop {
                let revision = informer.revision();
                let objects = self.list(ty, namespace).await;
                if condition(&objects) {
                    return objects;
                }
                let changed = informer.wait_until(|i| i.revision() > revision);
                if tokio::time::timeout_at(deadline, changed).await.is_err() {
                    let shown = serde_json::to_string_pretty(&objects).expect("JSON");
                    panic!("{caller}: never saw {what}; refused: {:?}; last: {shown}", self.forbidden.lock());
                }
            }
        }
    }

    /// Stops everything; fails when a controller was refused anything or panicked.
    pub(crate) async fn end(self) {
        assert!(self.forbidden.lock().is_empty(), "refused: {:#?}", self.forbidden.lock());
        assert_eq!(self.tasks.panics(), 0);
        self.tasks.stop(Duration::from_secs(1)).await;
    }
}

async fn start_server(tasks: &Tasks, env: &Env) -> Arc<ApiServer> {
    let rng = Arc::clone(&env.rng);
    let deps = Deps {
        env: env.clone(),
        backend: store::memory(),
        kinds: kinds::Registry::builtin(),
        tasks: tasks.child("apiserver"),
        plugins: Box::new(move |objects| {
            let (chain, rbac) = Chain::node_and_rbac(Arc::clone(objects));
            let authorizer: Arc<dyn Authorizer> = chain;
            let dependencies = apiserver::admission::Dependencies {
                objects: Arc::clone(objects),
                rng,
                rbac,
                authorizer: Arc::clone(&authorizer),
            };
            Plugins {
                admission: apiserver::admission::all(&dependencies),
                authorizers: vec![authorizer],
                ..Plugins::default()
            }
        }),
    };
    let server = ApiServer::start(apiserver::Config::default(), deps).await.expect("memory starts");
    let config = apiserver::bootstrap::Config {
        advertise_address: [127, 0, 0, 1].into(),
        port: 6443,
        service_cidrs: vec!["10.96.0.0/16".into()],
        kubernetes_ip: [10, 96, 0, 1].into(),
        host_name: "host".into(),
        identity: "apiserver-test".into(),
        run_uid: "uid".into(),
        client_ca_pem: String::new(),
    };
    apiserver::bootstrap::run(server.objects(), &config, env.clock.now())
        .await
        .expect("an empty store takes all");
    server
}

/// The names of objects, in order.
pub(crate) fn names(objects: &[Value]) -> Vec<&str> {
    objects.iter().filter_map(|o| o["metadata"]["name"].as_str()).collect()
}
