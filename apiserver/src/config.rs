//! What a server is told from outside, and what its other half plugs into it.
//!
//! Flags and files become these values elsewhere; nothing here reads either.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::auth::token_file::TokenFile;
use crate::runtime_config::RuntimeConfig;
use crate::seams::{Admission, Allocator, Authenticator, Authorizer, Features, Objects, Special, Strategy};

/// The version that the server says it is.
pub const GIT_VERSION: &str = component::VERSION;

/// The largest request body, as upstream.
pub const BODY_MAX: usize = 3 * 1024 * 1024;

/// The largest stored object: etcd's default request limit, which upstream's users know as the bound.
pub const OBJECT_MAX: usize = 1_572_864;

/// How a server behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// Requests without a credential are taken as `system:anonymous` instead of being refused.
    pub anonymous_auth: bool,
    /// Requests other than watches and connections end by then.
    pub request_timeout: Duration,
    /// Watches without `timeoutSeconds` live between this and twice as long.
    pub min_watch_timeout: Duration,
    /// Shown in `/api` for clients that look for the server; `HOST:PORT`.
    pub advertise_address: String,
    pub features: Features,
    /// Events are deleted after this.
    pub event_ttl: Duration,
    /// TLS towards kubelets, with the server's client certificate. Without it log, exec and the like are refused.
    pub kubelet_tls: Option<Arc<rustls::ClientConfig>>,
    /// Lists at a revision can go back this far; watches go back at least five minutes. Zero: as far as watches.
    pub compaction_interval: Duration,
    /// Tokens that are known from a file.
    pub tokens: Option<Arc<TokenFile>>,
    /// What is served besides or instead of what is on by default.
    pub runtime_config: RuntimeConfig,
    /// What `/logs/` shows; nothing is served there without it, as by default.
    pub log_dir: Option<PathBuf>,
}

/// Where upstream has the logs of a host.
pub const LOG_DIR: &str = "/var/log";

impl Default for Config {
    fn default() -> Self {
        Self {
            anonymous_auth: true,
            request_timeout: Duration::from_secs(60),
            min_watch_timeout: Duration::from_secs(1800),
            advertise_address: "127.0.0.1:6443".into(),
            features: Features::default(),
            event_ttl: Duration::from_secs(3600),
            kubelet_tls: None,
            compaction_interval: store::view::HISTORY_AGE,
            tokens: None,
            runtime_config: RuntimeConfig::default(),
            log_dir: None,
        }
    }
}

/// A document at a path of its own, such as the ServiceAccount issuer's keys.
#[derive(Clone)]
pub struct Document {
    pub content_type: &'static str,
    pub body: Arc<dyn Fn() -> Bytes + Send + Sync>,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("content_type", &self.content_type).finish_non_exhaustive()
    }
}

/// What is plugged into a server: everything that knows single kinds or credentials.
#[derive(Debug, Default)]
pub struct Plugins {
    /// Tried in order.
    pub authenticators: Vec<Arc<dyn Authenticator>>,
    /// The first opinion counts. Without any, everything is allowed.
    pub authorizers: Vec<Arc<dyn Authorizer>>,
    /// Run in order.
    pub admission: Vec<Arc<dyn Admission>>,
    pub strategies: Vec<Arc<dyn Strategy>>,
    pub allocators: Vec<Arc<dyn Allocator>>,
    pub specials: Vec<Arc<dyn Special>>,
    /// By path.
    pub documents: BTreeMap<String, Document>,
}

/// Makes the plugins, which may keep the access to objects that they are given.
pub type PluginFactory = Box<dyn FnOnce(&Arc<dyn Objects>) -> Plugins + Send + Sync>;

/// No plugins: every request is allowed and nothing is checked beyond metadata and types.
pub fn no_plugins() -> PluginFactory {
    Box::new(|_| Plugins::default())
}
