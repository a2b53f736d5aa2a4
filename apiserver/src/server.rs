//! The server: what it is made of, how it starts, and the way of a request through it.
//!
//! authentication → impersonation → authorization → handler. Mutating requests run from authorization on in a task that
//! the server owns: a caller that goes away does not stop them half-way. A panic ends its request alone.

use std::convert::Infallible;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use apimachinery::Status;
use client::TransportRequest;
use component::Tasks;
use env::Env;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::header::{ACCEPT, CACHE_CONTROL, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, StatusCode};
use parking_lot::Mutex;
use store::Backend;
use tokio::time::Instant;

use crate::config::{Config, PluginFactory, Plugins};
use crate::discovery::Discovery;
use crate::handlers::body::read_body;
use crate::health::Health;
use crate::metrics::{RequestLabels, ServerMetrics, verb_label};
use crate::openapi::OpenApi;
use crate::registry::Registry;
use crate::registry::handle::Handle;
use crate::registry::lease::Claim;
use crate::response::{self, Body, Request, Response};
use crate::routes::{Query, RequestInfo};
use crate::seams::{InProcessUser, Objects, UserInfo};

const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// What a server needs of the world.
pub struct Deps {
    pub env: Env,
    pub backend: Arc<dyn Backend>,
    pub kinds: Arc<kinds::Registry>,
    pub tasks: Tasks,
    pub plugins: PluginFactory,
}

impl fmt::Debug for Deps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deps")
            .field("backend", &self.backend)
            .field("tasks", &self.tasks)
            .finish_non_exhaustive()
    }
}

/// An API server.
#[derive(Debug)]
pub struct ApiServer {
    config: Config,
    env: Env,
    tasks: Tasks,
    /// Mutating requests; a group of their own, so that starting one does not look through the connections.
    mutations: Tasks,
    registry: Arc<Registry>,
    plugins: OnceLock<Arc<Plugins>>,
    /// As of the newest custom kinds that somebody has asked about.
    discovery: Mutex<Option<Arc<Discovery>>>,
    openapi: OpenApi,
    metrics: ServerMetrics,
    health: Health,
    stopping: AtomicBool,
}

impl ApiServer {
    /// Starts on a backend: ends once the View reflects everything that the backend had acknowledged.
    pub async fn start(config: Config, deps: Deps) -> Result<Arc<Self>, store::StoreError> {
        let registry = Registry::start(&config, &deps).await?;
        store::expiry::start(registry.view(), &deps.env, &deps.tasks);
        let objects: Arc<dyn Objects> = Arc::new(Handle::new(&registry));
        let plugins = Arc::new((deps.plugins)(&objects));
        registry.plug(Arc::clone(&plugins));
        let server = Arc::new(Self {
            discovery: Mutex::default(),
            openapi: OpenApi::new(Arc::clone(&registry), config.log_dir.is_some()),
            config,
            env: deps.env,
            mutations: deps.tasks.child("requests"),
            tasks: deps.tasks,
            registry,
            plugins: OnceLock::from(plugins),
            metrics: ServerMetrics::new(),
            health: Health::default(),
            stopping: AtomicBool::new(false),
        });
        server.add_checks(deps.backend);
        crate::custom::start(&server.registry, &server.tasks);
        Ok(server)
    }

    fn add_checks(self: &Arc<Self>, backend: Arc<dyn Backend>) {
        self.health.add("ping", || Ok(()));
        self.health.add("log", || Ok(()));
        let stopped = self.tasks.token();
        self.health.add("etcd", move || backend.writable().map_err(|e| e.to_string()));
        let server = Arc::downgrade(self);
        self.health.add_readiness("shutdown", move || {
            let stopping = server.upgrade().is_none_or(|s| s.stopping.load(Ordering::Acquire));
            if stopping || stopped.is_cancelled() { Err("process is shutting down".into()) } else { Ok(()) }
        });
    }

    /// A service for clients in this process: every request is `user`'s.
    pub fn service(self: &Arc<Self>, user: UserInfo) -> InProcess {
        InProcess { server: Arc::clone(self), user }
    }

    /// The server's own access to objects.
    pub fn objects(&self) -> Arc<dyn Objects> {
        Arc::clone(&self.registry) as Arc<dyn Objects>
    }

    /// Readiness turns false; requests go on being served until the tasks' group is stopped.
    pub fn drain(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    pub fn config(&self) -> &Config {
        &self.config
    }
    pub fn env(&self) -> &Env {
        &self.env
    }
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }
    pub fn plugins(&self) -> &Plugins {
        self.plugins.get().expect("set before the server is shared")
    }
    pub fn health(&self) -> &Health {
        &self.health
    }
    pub fn metrics(&self) -> &ServerMetrics {
        &self.metrics
    }
    pub(crate) fn discovery(&self) -> Arc<Discovery> {
        let custom = self.registry.custom();
        let mut kept = self.discovery.lock();
        match &*kept {
            Some(discovery) if discovery.number() == custom.number => Arc::clone(discovery),
            _ => {
                let fresh = Arc::new(Discovery::new(&self.config, &self.registry, &custom));
                *kept = Some(Arc::clone(&fresh));
                fresh
            }
        }
    }
    pub(crate) fn openapi(&self) -> &OpenApi {
        &self.openapi
    }

    /// Answers one request, whatever becomes of it.
    pub async fn handle(self: &Arc<Self>, request: Request) -> Response {
        let started = Instant::now();
        let (parts, body) = request.into_parts();
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let info = RequestInfo::parse(&parts.method, parts.uri.path(), &query);
        let audit_id = parts.headers.get(&AUDIT_ID).cloned().unwrap_or_else(|| {
            HeaderValue::from_str(&self.env.rng.uuid()).expect("a uuid is a header value")
        });
        let labels = self.labels(&info, &query);
        let long = self.is_long(&info, &query);
        let head = parts.method == Method::HEAD;
        let call = Call {
            info,
            query,
            parts,
            user: Arc::default(),
            warnings: Vec::new(),
            labels: labels.clone(),
            custom: false,
        };
        let limit = (!long).then(|| self.deadline(&call.query));
        let answer = AssertUnwindSafe(self.answer(call, body)).catch_unwind();
        let outcome = match limit {
            Some(limit) => tokio::time::timeout(limit, answer).await,
            None => Ok(answer.await),
        };
        let mut response = match outcome {
            Ok(Ok(response)) => response,
            Ok(Err(panic)) => self.panicked(&*panic),
            Err(_) => {
                response::failure(&Status::timeout("request did not complete within the allotted timeout", 0))
            }
        };
        let headers = response.headers_mut();
        headers.insert(AUDIT_ID, audit_id);
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
        if head {
            *response.body_mut() = Body::empty();
        }
        if !long {
            self.metrics.observe(&labels, response.status().as_u16(), started.elapsed());
        }
        response
    }

    fn panicked(&self, panic: &(dyn std::any::Any + Send)) -> Response {
        self.metrics.panic();
        tracing::error!(error = component::tasks::panic_text(panic), "request panicked");
        response::text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "This request caused apiserver to panic. Look in the logs for details.\n",
        )
    }

    async fn answer(self: &Arc<Self>, mut call: Call, body: Body) -> Response {
        if let Err(failure) = self.admit_user(&mut call).await {
            return response::failure(&failure);
        }
        let mutating =
            matches!(call.info.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection");
        let _inflight = self.metrics.inflight(mutating);
        if !call.info.is_resource || !mutating || self.is_connect(&call.info) {
            return self.dispatch(call, body).await;
        }
        let body = match read_body(body).await {
            Ok(bytes) => Body::from(bytes),
            Err(status) => return response::failure(&status),
        };
        let claim = match Claim::of(&call.parts.headers) {
            Ok(claim) => claim,
            Err(status) => return response::failure(&status),
        };
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let server = Arc::clone(self);
        self.mutations.spawn("request", async move {
            let response =
                AssertUnwindSafe(Claim::guarding(claim, server.dispatch(call, body))).catch_unwind().await;
            let response = response.unwrap_or_else(|panic| server.panicked(&*panic));
            // A caller that has gone away does not hear what became of its request.
            let _ = sender.send(response);
        });
        receiver
            .await
            .unwrap_or_else(|_| response::failure(&response::unavailable("the server is shutting down")))
    }

    /// Authentication, impersonation, authorization.
    async fn admit_user(&self, call: &mut Call) -> Result<(), Status> {
        let user = self.authenticate(&mut call.parts).await?;
        let mut attributes = self.attributes(&call.info, &call.query, user);
        if let Some(other) = self.impersonate(&call.parts.headers, &attributes)? {
            attributes.user = other;
        }
        call.user = Arc::clone(&attributes.user);
        self.authorize(&attributes)?;
        Ok(())
    }

    async fn dispatch(self: &Arc<Self>, call: Call, body: Body) -> Response {
        if call.info.is_resource {
            crate::handlers::resource(self, call, body).await
        } else {
            crate::handlers::non_resource(self, &call).await
        }
    }

    /// Watches and connections have no deadline of the server.
    fn is_long(&self, info: &RequestInfo, query: &Query) -> bool {
        info.verb == "watch" || self.is_connect(info) || (info.subresource == "log" && query.flag("follow"))
    }

    fn is_connect(&self, info: &RequestInfo) -> bool {
        info.is_resource
            && matches!(info.subresource.as_str(), "exec" | "attach" | "portforward" | "proxy" | "log")
    }

    /// The server's limit, or the client's own when it is shorter.
    fn deadline(&self, query: &Query) -> Duration {
        let own = query.get("timeout").and_then(go_seconds).unwrap_or(self.config.request_timeout);
        own.min(self.config.request_timeout)
    }

    fn labels(&self, info: &RequestInfo, query: &Query) -> RequestLabels {
        let dry_run = query.get("dryRun").is_some();
        let verb = verb_label(&info.verb);
        let known =
            info.is_resource && self.registry.find(&info.group, &info.version, &info.resource).is_some();
        if !known {
            return RequestLabels { verb, dry_run, ..RequestLabels::default() };
        }
        let scope = match (info.name.is_empty(), info.namespace.is_empty()) {
            (false, _) => "resource",
            (true, false) => "namespace",
            (true, true) => "cluster",
        };
        // A subresource that is not served would be a label of the client's choice.
        let subresource = if self.registry.serves(info) { info.subresource.clone() } else { String::new() };
        RequestLabels {
            verb: if self.is_connect(info) { "CONNECT" } else { verb },
            group: info.group.clone(),
            version: info.version.clone(),
            resource: info.resource.clone(),
            subresource,
            scope,
            dry_run,
        }
    }
}

/// The plain forms of Go's durations that clients send: `30s`, `2m`, `1h`, `500ms`.
fn go_seconds(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().ok()?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => return None,
    };
    (seconds > 0.0).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

/// A request on its way, authenticated and authorized.
#[derive(Debug)]
pub struct Call {
    pub info: RequestInfo,
    pub query: Query,
    pub parts: http::request::Parts,
    pub user: Arc<UserInfo>,
    /// Texts for `Warning` headers.
    pub warnings: Vec<String>,
    pub labels: RequestLabels,
    /// Asks for a custom resource, which is answered in JSON and YAML only.
    pub custom: bool,
}

impl Call {
    pub fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        header_text(&self.parts.headers, name)
    }
    pub fn accept(&self) -> Option<&str> {
        self.header(ACCEPT)
    }
    pub fn user_agent(&self) -> &str {
        self.header(USER_AGENT).unwrap_or_default()
    }
    pub fn method(&self) -> &Method {
        &self.parts.method
    }
}

fn header_text(headers: &HeaderMap, name: impl http::header::AsHeaderName) -> Option<&str> {
    headers.get(name).and_then(|v| v.to_str().ok())
}

/// A client's way into a server in the same process.
#[derive(Clone, Debug)]
pub struct InProcess {
    server: Arc<ApiServer>,
    user: UserInfo,
}

impl tower::Service<TransportRequest> for InProcess {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: TransportRequest) -> Self::Future {
        let server = Arc::clone(&self.server);
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(InProcessUser(self.user.clone()));
        Box::pin(async move { Ok(server.handle(request).await) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_clients() {
        assert_eq!(go_seconds("30s"), Some(Duration::from_secs(30)));
        assert_eq!(go_seconds("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(go_seconds("0s"), None);
        assert_eq!(go_seconds("x"), None);
    }
}
