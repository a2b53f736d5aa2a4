//! The kubelet's command line and KubeletConfiguration file: flags over file over defaults, unknown keys refused.
//!
//! The pod network is somebody else's business here, as with upstream's kubelet: whoever installs a CNI plugin writes
//! its configuration.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use client::Client;
use component::flags::{host_name, read_file};
use component::run::ConfigError;
use component::serving::{Serving, health_only};
use component::{LogArgs, Metrics, Tasks};
use cri::{ContainerdRuntime, Runtime};
use env::Env;

use crate::config::{Config, KubeletConfiguration};
use crate::host::{Host, RealHost};
use crate::run::Deps;
use crate::server::{self, ServerConfig, ServerDeps};

/// The node agent: runs the pods that are bound to this node
#[derive(Parser, Debug)]
#[command(name = "kubelet", rename_all = "kebab-case", max_term_width = 100)]
pub struct Args {
    /// A KubeletConfiguration file; flags win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the API server is and who we are
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// This node's name; the host's name when absent
    #[arg(long, value_name = "NAME")]
    hostname_override: Option<String>,
    /// This node's addresses, at most one of each family
    #[arg(long, value_delimiter = ',', value_name = "IPS")]
    node_ip: Vec<IpAddr>,
    /// Where pods' volumes and the kubelet's state are kept
    #[arg(long, default_value = "/var/lib/kubelet", value_name = "DIR")]
    root_dir: PathBuf,
    /// Labels that this node registers with: a=b,c=d
    #[arg(long, value_delimiter = ',', value_name = "LABELS")]
    node_labels: Vec<String>,
    /// The runtime's socket
    #[arg(long, value_name = "ENDPOINT")]
    container_runtime_endpoint: Option<String>,
    /// The authority that signs certificates of those who may ask this kubelet
    #[arg(long, value_name = "FILE")]
    client_ca_file: Option<PathBuf>,
    /// The serving certificate; made on the spot when absent
    #[arg(long, requires = "tls_private_key_file", value_name = "FILE")]
    tls_cert_file: Option<PathBuf>,
    #[arg(long, requires = "tls_cert_file", value_name = "FILE", help = "The serving certificate's key")]
    tls_private_key_file: Option<PathBuf>,
    /// Addresses of the cluster's DNS
    #[arg(long, value_delimiter = ',', value_name = "IPS")]
    cluster_dns: Vec<String>,
    #[arg(long, help = "The cluster's domain", value_name = "NAME")]
    cluster_domain: Option<String>,
    /// The cgroup below which pods live
    #[arg(long, value_name = "CGROUP")]
    cgroup_root: Option<String>,
    #[arg(long, help = "Where the kubelet's API is served", value_name = "IP")]
    address: Option<String>,
    #[arg(long, help = "The port of the kubelet's API")]
    port: Option<u16>,
    #[arg(long, help = "The port of health on the loopback address; 0 for none")]
    healthz_port: Option<u16>,
    #[arg(long, help = "How many pods the node takes")]
    max_pods: Option<u32>,
    #[command(flatten)]
    log: LogArgs,
}

impl Args {
    fn config(&self) -> Result<Config, ConfigError> {
        let mut kubelet: KubeletConfiguration = match &self.config {
            Some(path) => component::config::load(path)?,
            None => KubeletConfiguration::default(),
        };
        if kubelet.kind != "KubeletConfiguration" || kubelet.api_version != "kubelet.config.k8s.io/v1beta1" {
            return Err(ConfigError(format!(
                "--config: {:?} {:?} is not kubelet.config.k8s.io/v1beta1 KubeletConfiguration",
                kubelet.api_version, kubelet.kind
            )));
        }
        let name = match &self.hostname_override {
            Some(name) => name.clone(),
            None => host_name()?,
        };
        if let Some(endpoint) = &self.container_runtime_endpoint {
            kubelet.container_runtime_endpoint.clone_from(endpoint);
        }
        if !self.cluster_dns.is_empty() {
            kubelet.cluster_dns.clone_from(&self.cluster_dns);
        }
        for (flag, field) in [
            (&self.cluster_domain, &mut kubelet.cluster_domain),
            (&self.cgroup_root, &mut kubelet.cgroup_root),
            (&self.address, &mut kubelet.address),
        ] {
            if let Some(value) = flag {
                field.clone_from(value);
            }
        }
        kubelet.port = self.port.unwrap_or(kubelet.port);
        kubelet.healthz_port = self.healthz_port.unwrap_or(kubelet.healthz_port);
        kubelet.max_pods = self.max_pods.unwrap_or(kubelet.max_pods);
        let path = |flag: &Option<PathBuf>, file: &mut String| {
            if let Some(path) = flag {
                *file = path.display().to_string();
            }
        };
        path(&self.client_ca_file, &mut kubelet.authentication.x509.client_ca_file);
        path(&self.tls_cert_file, &mut kubelet.tls_cert_file);
        path(&self.tls_private_key_file, &mut kubelet.tls_private_key_file);
        Ok(Config {
            kubelet,
            node_ips: self.node_ip.clone(),
            root_dir: self.root_dir.clone(),
            node_labels: labels(&self.node_labels)?,
            ..Config::new(&name)
        })
    }
}

fn labels(parts: &[String]) -> Result<BTreeMap<String, String>, ConfigError> {
    parts
        .iter()
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| ConfigError(format!("--node-labels: {part:?} is not KEY=VALUE")))?;
            Ok((key.to_owned(), value.to_owned()))
        })
        .collect()
}

/// Runs the kubelet with a command line whose first word is the program's name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = Args::parse_from(args);
    let log = args.log.clone();
    component::run("kubelet", &log, move |tasks| async move { start(&args, tasks).await })
}

async fn start(args: &Args, tasks: Tasks) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let config = args.config()?;
    let env = Env::real();
    let path = args.kubeconfig.as_ref().ok_or_else(|| ConfigError("no --kubeconfig is given".into()))?;
    let client = Client::from_kubeconfig(&read_file("--kubeconfig", path)?).await?.with_user_agent("kubelet");
    let server = server_config(&config, &env)?;
    let health = (config.kubelet.healthz_port != 0)
        .then(|| listen(&config.kubelet.healthz_bind_address, config.kubelet.healthz_port))
        .transpose()?;
    let runtime: Arc<dyn Runtime> =
        Arc::new(ContainerdRuntime::new(&config.kubelet.container_runtime_endpoint, &tasks.child("runtime")));
    let host: Arc<dyn Host> = Arc::new(RealHost);
    let serve = config.kubelet.enable_server;
    let deps = Deps {
        client: client.clone(),
        runtime: Arc::clone(&runtime),
        host: Arc::clone(&host),
        env: env.clone(),
        tasks: tasks.clone(),
    };
    let handle = crate::run(config, deps).await?;
    if let Some(address) = health {
        let listener = tokio::net::TcpListener::bind(address).await?;
        component::serving::serve(&tasks, listener, Serving { handler: health_only(), tls: None });
    }
    if serve {
        let metrics = Metrics::new();
        server::run(server, ServerDeps { client, env, tasks, runtime, host, pods: Arc::new(handle), metrics }).await?;
    }
    Ok(())
}

fn listen(address: &str, port: u16) -> Result<SocketAddr, ConfigError> {
    let ip: IpAddr = address.parse().map_err(|_| ConfigError(format!("{address:?} is not an address to listen on")))?;
    Ok(SocketAddr::new(ip, port))
}

fn server_config(config: &Config, env: &Env) -> Result<ServerConfig, ConfigError> {
    let settings = &config.kubelet;
    let text = |e: pki::PkiError| ConfigError(component::run::chain(&e));
    let address = listen(&settings.address, settings.port)?;
    let identity = if settings.tls_cert_file.is_empty() {
        pki::tls::self_signed(&config.node_name, address.ip(), env.clock.now()).map_err(text)?
    } else {
        pki::Identity {
            certificate_pem: read_file("tlsCertFile", settings.tls_cert_file.as_ref())?,
            key_pem: read_file("tlsPrivateKeyFile", settings.tls_private_key_file.as_ref())?,
        }
    };
    let ca = &settings.authentication.x509.client_ca_file;
    let client_ca_pem = if ca.is_empty() { None } else { Some(read_file("clientCAFile", ca.as_ref())?) };
    Ok(ServerConfig {
        listen: address,
        node_name: config.node_name.clone(),
        tls: pki::tls::server_config(&identity, pki::tls::ClientAuth::Request).map_err(text)?,
        client_ca_pem,
        authentication: settings.authentication.clone(),
        authorization: settings.authorization.clone(),
        debugging: settings.enable_debugging_handlers.unwrap_or(true),
        log_dir: "/var/log".into(),
        root_dir: config.root_dir.clone(),
        configz: serde_json::Value::Null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(args: &[&str]) -> Result<Config, ConfigError> {
        let all = ["kubelet", "--hostname-override=n1"].iter().chain(args);
        Args::try_parse_from(all).unwrap().config()
    }

    #[test]
    fn flags_win_over_defaults() {
        let bare = config(&[]).unwrap();
        assert_eq!((bare.node_name.as_str(), bare.kubelet.port, bare.kubelet.max_pods), ("n1", 10_250, 110));
        let set = config(&["--port=10999", "--cluster-dns=10.96.0.10", "--node-labels=a=b,c=d"]).unwrap();
        assert_eq!(set.kubelet.port, 10_999);
        assert_eq!(set.kubelet.cluster_dns, ["10.96.0.10"]);
        assert_eq!(set.node_labels.len(), 2);
    }

    #[test]
    fn mistakes_are_refused() {
        assert!(config(&["--node-labels=nonsense"]).unwrap_err().0.contains("--node-labels"));
        let path = std::env::temp_dir().join(format!("gantry-kubelet-{}.yaml", std::process::id()));
        std::fs::write(&path, "apiVersion: v1\nkind: Pod\n").unwrap();
        assert!(config(&[&format!("--config={}", path.display())]).is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
