//! The server that a replay talks to: ours, in this process, on the memory backend.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use apiserver::response::Response;
use apiserver::runtime_config::RuntimeConfig;
use apiserver::seams::UserInfo;
use bytes::Bytes;
use client::TransportRequest;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::{Service as _, ServiceExt as _};

/// A request as recorded.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub user: String,
    pub method: String,
    /// Path and encoded query.
    pub target: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// An answer, or the frames of a watch as far as they came.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; YAML and text as a JSON string.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&self.body).into_owned()))
    }
    /// The texts of the warnings.
    pub fn warnings(&self) -> Vec<String> {
        self.headers
            .get_all("warning")
            .iter()
            .map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
            .collect()
    }
}

/// The port of the recorded server, which stands in its objects.
const PORT: u16 = 27443;

/// What the recordings' server knew of users by their tokens.
const TOKENS: &str = "usertoken,bob,bob-uid,devs";

/// Where the server was that recorded scenarios.
const SCENARIOS_ADDRESS: &str = "192.0.2.2:28443";

/// Which of the recorded servers ours is to be like.
#[derive(Clone, Copy, Debug, Default)]
struct Like {
    every_api: bool,
    scenarios: bool,
    compaction_interval: Option<Duration>,
}

/// A server as a real one, with the recordings' service range, in memory.
async fn start(
    env: env::Env,
    store: Arc<dyn store::Backend>,
    like: Like,
    tasks: component::Tasks,
) -> Result<Arc<apiserver::ApiServer>> {
    let authority = pki::Authority::create("golden", env.clock.now())?;
    let ca_pem = authority.certificate_pem();
    let address = std::net::IpAddr::from([192, 0, 2, 1]);
    // The recorded server knew its users by tokens: it had no authority of clients to publish.
    let range = ["10.96.0.0/16".to_owned()];
    let bootstrap = apiserver::assembly::bootstrap_config(&env, address, PORT, &range, "")?;
    let default = apiserver::Config::default();
    let assembly = apiserver::assembly::Assembly {
        config: apiserver::Config {
            features: apiserver::cli::features("")?,
            advertise_address: match like.scenarios {
                true => SCENARIOS_ADDRESS.into(),
                false => format!("{address}:{PORT}"),
            },
            tokens: Some(Arc::new(apiserver::auth::token_file::TokenFile::parse(TOKENS)?)),
            compaction_interval: like.compaction_interval.unwrap_or(default.compaction_interval),
            runtime_config: match like.every_api {
                true => RuntimeConfig::everything(),
                false => RuntimeConfig::default(),
            },
            // Any folder with a file in it: what the host has is of no interest.
            log_dir: like.every_api.then(|| env!("CARGO_MANIFEST_DIR").into()),
            ..default
        },
        client_ca_pem: ca_pem.to_owned(),
        token_key: pki::TokenKey::generate()?,
        issuer: apiserver::assembly::ISSUER.to_owned(),
        audiences: vec![apiserver::assembly::ISSUER.to_owned()],
        bootstrap,
        node_ports: apiserver::alloc::NODE_PORTS,
    };
    Ok(apiserver::assembly::start(assembly, env, store, tasks).await?)
}

/// A fresh API server.
#[derive(Debug)]
pub struct Server {
    server: Arc<apiserver::ApiServer>,
    store: Arc<dyn store::Backend>,
    tasks: component::Tasks,
}

impl Server {
    pub async fn start() -> Result<Self> {
        Self::start_on(store::memory(), Like::default()).await
    }

    /// One that serves every API that there is, not only what is on by default.
    pub async fn with_every_api() -> Result<Self> {
        Self::start_on(store::memory(), Like { every_api: true, ..Like::default() }).await
    }

    async fn start_on(store: Arc<dyn store::Backend>, like: Like) -> Result<Self> {
        let tasks = component::Tasks::new("golden");
        let server = start(env::Env::real(), Arc::clone(&store), like, tasks.clone())
            .await
            .context("start the API server")?;
        Ok(Self { server, store, tasks })
    }

    /// The server as the one that recorded scenarios, after a while: with its objects, and without the history of how
    /// they came to be.
    pub async fn restart(self, compaction_interval: Option<Duration>) -> Result<Self> {
        let store = Arc::clone(&self.store);
        self.stop().await;
        Self::start_on(store, Like { scenarios: true, compaction_interval, ..Like::default() }).await
    }

    pub async fn stop(self) {
        self.tasks.stop(Duration::from_secs(5)).await;
    }

    /// The identity that a recording names: a name, then perhaps a note on it. `None` is a request that has to show
    /// a credential of its own, or has none.
    fn user(recorded: &str) -> Option<UserInfo> {
        let name = recorded.split(',').next().unwrap_or_default();
        let (name, uid, group) = match name {
            "" | "admin" => ("admin", "admin".to_owned(), "system:masters"),
            name if name.starts_with('(') => return None,
            name => (name, format!("{name}-uid"), "devs"),
        };
        Some(UserInfo {
            name: name.into(),
            uid,
            groups: vec![group.into(), "system:authenticated".into()],
            ..UserInfo::default()
        })
    }

    /// Sends a request and gives the answer as soon as its head is there.
    pub async fn open(&self, request: &Request) -> Result<Response> {
        let mut builder = http::Request::builder().method(request.method.as_str()).uri(&request.target);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if request.user == "(bad token)" {
            builder = builder.header(http::header::AUTHORIZATION, "Bearer nobody-knows-this");
        }
        // A step with a credential of its own, also an empty one, is nobody until that is looked at.
        if request.headers.keys().any(|name| name.eq_ignore_ascii_case("authorization")) {
            let body = apiserver::response::Body::from(bytes::Bytes::from(request.body.clone()));
            return Ok(self.server.handle(builder.body(body).context("build the request")?).await);
        }
        let built: TransportRequest =
            builder.body(request.body.clone().into()).context("build the request")?;
        let Some(user) = Self::user(&request.user) else {
            return Ok(self.server.handle(built.map(apiserver::response::Body::new)).await);
        };
        let mut service = self.server.service(user);
        let ready = service.ready().await.map_err(|e| anyhow::anyhow!("{e}"))?;
        ready.call(built).await.map_err(|e| anyhow::anyhow!("{e}"))
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: &Request) -> Result<Answer> {
        let response = self.open(request).await?;
        let (parts, body) = response.into_parts();
        let body = tokio::time::timeout(Duration::from_secs(30), body.collect())
            .await
            .context("the answer did not end")?
            .map_err(|e| anyhow::anyhow!("{e}"))?;
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body: body.to_bytes().to_vec() })
    }

    /// Reads the frames of a watch until it ends or stays quiet for `quiet`; true when the server ended it.
    pub async fn frames(response: Response, quiet: Duration) -> (Vec<Value>, bool) {
        let mut body = response.into_body();
        let mut buffer: Vec<u8> = Vec::new();
        let mut events = Vec::new();
        loop {
            match tokio::time::timeout(quiet, body.frame()).await {
                Err(_) => return (events, false),
                Ok(None | Some(Err(_))) => return (events, true),
                Ok(Some(Ok(frame))) => {
                    buffer.extend_from_slice(&frame.into_data().unwrap_or_else(|_| Bytes::new()));
                    while let Some(end) = buffer.iter().position(|&b| b == b'\n') {
                        let line: Vec<u8> = buffer.drain(..=end).collect();
                        if let Ok(event) = serde_json::from_slice(&line) {
                            events.push(event);
                        }
                    }
                }
            }
        }
    }
}
