//! A server in process and a client that speaks JSON to it.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]

pub mod tls;
pub mod whole;

use std::sync::Arc;

use apiserver::response::Body;
use apiserver::seams::UserInfo;
use apiserver::{ApiServer, Config, Deps, PluginFactory, no_plugins};
use component::Tasks;
use env::Env;
use futures::StreamExt as _;
use serde_json::Value;

/// One server without plugins: every request is allowed.
pub struct Cluster {
    pub server: Arc<ApiServer>,
    pub tasks: Tasks,
}

/// An answer.
pub struct Answer {
    pub code: u16,
    pub headers: http::HeaderMap,
    pub body: bytes::Bytes,
}

impl Answer {
    /// The body, after a check of the code.
    #[track_caller]
    pub fn expect_code(&self, code: u16) -> Value {
        assert_eq!(self.code, code, "{}", String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

impl Cluster {
    pub async fn start() -> Self {
        Self::with(no_plugins()).await
    }

    pub async fn with(plugins: PluginFactory) -> Self {
        Self::on(store::memory(), plugins).await
    }

    pub async fn on(backend: Arc<dyn store::Backend>, plugins: PluginFactory) -> Self {
        Self::configured(Config::default(), backend, plugins).await
    }

    pub async fn configured(
        config: Config,
        backend: Arc<dyn store::Backend>,
        plugins: PluginFactory,
    ) -> Self {
        let tasks = Tasks::new("test");
        let deps = Deps {
            env: Env::simulated(1),
            backend,
            kinds: kinds::Registry::builtin(),
            tasks: tasks.clone(),
            plugins,
        };
        let server = ApiServer::start(config, deps).await.unwrap();
        Self { server, tasks }
    }

    pub fn user(&self) -> UserInfo {
        UserInfo { name: "admin".into(), groups: vec!["system:masters".into()], ..UserInfo::default() }
    }

    pub async fn send(&self, request: http::Request<Body>) -> http::Response<Body> {
        let server = Arc::clone(&self.server);
        let mut request = request;
        request.extensions_mut().insert(apiserver::seams::InProcessUser(self.user()));
        server.handle(request).await
    }

    pub async fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let mut request = http::Request::builder().method(method).uri(path).header("user-agent", "test/1.0");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.send(request.body(Body::from(body.into())).unwrap()).await;
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 30).await.unwrap();
        Answer { code: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// A request that says nothing of who sends it.
    pub async fn anonymous(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.server.handle(request.body(Body::empty()).unwrap()).await;
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        Answer { code: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.raw("GET", path, &[], "").await
    }
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.raw("POST", path, &[("content-type", "application/json")], body.to_string()).await
    }
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.raw("PUT", path, &[("content-type", "application/json")], body.to_string()).await
    }
    pub async fn patch(&self, path: &str, content_type: &str, body: Value) -> Answer {
        self.raw("PATCH", path, &[("content-type", content_type)], body.to_string()).await
    }
    pub async fn delete(&self, path: &str) -> Answer {
        self.raw("DELETE", path, &[], "").await
    }

    /// Opens a watch.
    pub async fn watch(&self, path: &str) -> Watch {
        let request = http::Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = self.send(request).await;
        assert_eq!(response.status().as_u16(), 200);
        Watch { body: response.into_body().into_data_stream(), buffer: Vec::new() }
    }
}

/// An open watch in JSON.
pub struct Watch {
    body: axum::body::BodyDataStream,
    buffer: Vec<u8>,
}

impl Watch {
    /// The next event; fails at the stream's end.
    pub async fn next(&mut self) -> Value {
        self.try_next().await.expect("the watch has ended")
    }

    /// The next event, or `None` at the stream's end.
    pub async fn try_next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let chunk = self.body.next().await?.unwrap();
            self.buffer.extend_from_slice(&chunk);
        }
    }
}
