//! The kubelet's own HTTPS server, on port 10250: what the API server asks for logs, exec, attach and port-forward, and
//! what monitoring reads.
//!
//! Every request, health too, needs a client certificate of the cluster's authority or a bearer token, and the
//! permission that upstream's kubelet asks for ([`route::subresources`]). There is no read-only port.

pub mod answer;
pub mod auth;
pub mod files;
pub mod log_format;
pub mod log_reader;
pub mod route;
pub mod stats;
pub mod stream;

mod pods;

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use client::Client;
use component::Tasks;
use cri::Runtime;
use env::Env;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::api::Pod;
use crate::config::{Authentication, Authorization};
use crate::host::Host;
use answer::Answer;
use route::{Query, Route};

/// Upstream's port.
pub const PORT: u16 = 10_250;
/// Connections at once; more wait in the listener's backlog. Streams that have been upgraded do not count.
const MAX_CONNECTIONS: usize = 512;
/// A client must have done its handshake, and sent a request's head, by then.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How the server is to work.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    pub listen: SocketAddr,
    pub node_name: String,
    /// With [`pki::tls::ClientAuth::Request`]: who a certificate's owner is gets decided here.
    pub tls: Arc<rustls::ServerConfig>,
    /// Signs client certificates.
    pub client_ca_pem: Option<String>,
    pub authentication: Authentication,
    pub authorization: Authorization,
    /// `enableDebuggingHandlers`: exec, attach, port-forward, run and logs.
    pub debugging: bool,
    /// `/var/log`, for `/logs/`.
    pub log_dir: PathBuf,
    /// `--root-dir`: the file system that pods use.
    pub root_dir: PathBuf,
    /// What `/configz` shows under `kubeletconfig`.
    pub configz: serde_json::Value,
}

/// The kubelet's knowledge of its pods.
pub trait PodLookup: Send + Sync + fmt::Debug {
    /// `/metrics`.
    fn metrics(&self) -> String;
    /// `/metrics/probes`.
    fn probe_metrics(&self) -> String;
    /// A pod's control group, as a path below the mounted hierarchy.
    fn cgroup(&self, namespace: &str, name: &str) -> Option<String>;
    /// The pod with this name that the node runs or is to run, with its newest status.
    fn pod(&self, namespace: &str, name: &str) -> Option<Arc<Pod>>;
}

/// What the server gets from the kubelet.
#[derive(Clone, Debug)]
pub struct ServerDeps {
    /// As the node: may create TokenReviews and SubjectAccessReviews.
    pub client: Client,
    pub env: Env,
    pub tasks: Tasks,
    pub runtime: Arc<dyn Runtime>,
    pub host: Arc<dyn Host>,
    pub pods: Arc<dyn PodLookup>,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("client certificate authority: {0}")]
    ClientCa(#[from] pki::PkiError),
}

/// Binds and serves until the group of tasks stops. Gives the address (with the port that port 0 came to).
pub async fn run(config: ServerConfig, deps: ServerDeps) -> Result<SocketAddr, ServerError> {
    let address = config.listen;
    let error = |source| ServerError::Listen { address, source };
    let auth = auth::Auth::new(
        deps.client.clone(),
        deps.env.clock.clone(),
        &config.node_name,
        config.client_ca_pem.as_deref(),
        &config.authentication,
        &config.authorization,
    )?;
    let listener = TcpListener::bind(address).await.map_err(error)?;
    let bound = listener.local_addr().map_err(error)?;
    let stats = stats::Stats::new(
        Arc::clone(&deps.runtime),
        Arc::clone(&deps.host),
        deps.env.clock.clone(),
        &config.node_name,
        config.root_dir.clone(),
        Arc::clone(&deps.pods),
    );
    let server = Arc::new(Server { config, deps, auth, stats });
    let tasks = server.deps.tasks.child("kubelet server");
    tasks.spawn_until_stop("accept", accept(listener, server, tasks.clone()));
    Ok(bound)
}

#[derive(Debug)]
struct Server {
    config: ServerConfig,
    deps: ServerDeps,
    auth: auth::Auth,
    stats: stats::Stats,
}

async fn accept(listener: TcpListener, server: Arc<Server>, tasks: Tasks) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&server.config.tls));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of files or memory: give what is being served time to end.
                tracing::warn!(component = "kubelet", %error, "accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (server, acceptor) = (Arc::clone(&server), acceptor.clone());
        tasks.spawn_until_stop("connection", async move {
            let _slot = slot;
            connection(stream, acceptor, server).await;
        });
    }
}

async fn connection(stream: TcpStream, acceptor: tokio_rustls::TlsAcceptor, server: Arc<Server>) {
    // Interactive streams suffer from Nagle; a socket that refuses the option works all the same.
    let _ = stream.set_nodelay(true);
    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream));
    // A failed handshake is the client's affair.
    let Ok(Ok(stream)) = handshake.await else { return };
    let certificate: Option<Arc<[u8]>> =
        stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(|c| c.as_ref().into());
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let (server, certificate) = (Arc::clone(&server), certificate.clone());
        async move { Ok::<_, Infallible>(server.handle(request, certificate.as_deref()).await) }
    });
    let mut builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HANDSHAKE_TIMEOUT);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(250);
    // A broken connection is the client's affair.
    let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}

impl Server {
    async fn handle(&self, request: Request<Incoming>, certificate: Option<&[u8]>) -> Answer {
        let path = request.uri().path().to_owned();
        let header = request.headers().get(http::header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let verb = route::verb(request.method());
        let allowed = async {
            let user = self.auth.authenticate(certificate, header).await?;
            self.auth.authorize(&user, verb, route::subresources(&path)).await
        };
        if let Err(error) = allowed.await {
            let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::FORBIDDEN);
            return answer::text(status, error.to_string());
        }
        let Some(route) = Route::parse(&path) else {
            return answer::text(StatusCode::NOT_FOUND, "404 page not found\n");
        };
        if !route.allows(request.method()) {
            return answer::text(StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed");
        }
        self.serve(route, request).await
    }

    async fn serve(&self, route: Route, request: Request<Incoming>) -> Answer {
        let query = Query::parse(request.uri().query().unwrap_or_default());
        let is_debugging = matches!(
            route,
            Route::Exec(_)
                | Route::Attach(_)
                | Route::PortForward(_)
                | Route::Run(_)
                | Route::ContainerLogs(_)
                | Route::Logs(_)
                | Route::RunningPods
        );
        if is_debugging && !self.config.debugging {
            return answer::text(StatusCode::METHOD_NOT_ALLOWED, "Debug endpoints are disabled.");
        }
        match route {
            Route::Healthz => answer::text(StatusCode::OK, "ok"),
            Route::Pods => self.pods().await,
            Route::RunningPods => self.running_pods().await,
            Route::ContainerLogs(container) => self.logs(&container, &query).await,
            Route::Exec(container) => self.exec(&container, &query, request).await,
            Route::Attach(container) => self.attach(&container, &query, request).await,
            Route::PortForward(pod) => self.port_forward(&pod, &query, request).await,
            Route::Run(container) => self.run_command(&container, &query).await,
            Route::StatsSummary => match self.stats.summary(query.flag("only_cpu_and_memory")).await {
                Ok(summary) => answer::json(&summary),
                Err(error) => answer::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
            },
            Route::Metrics => metrics(self.deps.pods.metrics()),
            Route::MetricsProbes => metrics(self.deps.pods.probe_metrics()),
            Route::MetricsResource => metrics(self.stats.resource_metrics().await),
            Route::MetricsCadvisor => metrics(self.stats.cadvisor_metrics().await),
            Route::Configz => answer::json(&serde_json::json!({"kubeletconfig": self.config.configz})),
            Route::Logs(path) => files::serve(&self.config.log_dir, &path),
        }
    }
}

fn metrics(text: String) -> Answer {
    answer::whole(StatusCode::OK, component::metrics::CONTENT_TYPE, text)
}

#[cfg(test)]
mod tests;
