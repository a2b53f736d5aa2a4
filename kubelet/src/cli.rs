//! kubelet's command line with upstream's names and defaults. A flag that is given goes before the configuration file.
//!
//! `--cni-conf-dir` is ours: upstream's kubelet leaves the pod network to others, and so does this one without it.
//! Bootstrap by token and rotating client certificates are not offered yet: `--kubeconfig` has to hold credentials.

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
use component::{LogArgs, Tasks};
use cri::ContainerdRuntime;

use crate::api::node::Taint;
use crate::config::{Config, KubeletConfiguration};
use crate::host::{Host as _, RealHost};
use crate::run::Deps;
use crate::server::{self, ServerConfig, ServerDeps};

/// The Kubernetes node agent: runs the pods that are bound to its node
#[derive(Parser, Debug)]
#[command(name = "kubelet", rename_all = "kebab-case", max_term_width = 100)]
pub struct Args {
    /// A KubeletConfiguration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the API server is and who we are
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The node's name; the host's when absent
    #[arg(long, value_name = "NAME")]
    hostname_override: Option<String>,
    /// The node's addresses, the first of each family; the default route's when absent
    #[arg(long, value_delimiter = ',', value_name = "IP")]
    node_ip: Vec<IpAddr>,
    /// Labels of the node: a=b,c=d
    #[arg(long, value_delimiter = ',', value_name = "LABELS")]
    node_labels: Vec<String>,
    /// Where volumes are mounted and state is kept
    #[arg(long, default_value = "/var/lib/kubelet", value_name = "DIR")]
    root_dir: PathBuf,
    /// Where the pod network's CNI configuration is written; not written when absent
    #[arg(long, value_name = "DIR")]
    cni_conf_dir: Option<PathBuf>,
    /// The runtime's socket
    #[arg(long, value_name = "ENDPOINT")]
    container_runtime_endpoint: Option<String>,
    /// Make the Node object
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    register_node: Option<bool>,
    /// Taints that the node is made with: key=value:effect,...
    #[arg(long, value_delimiter = ',', value_name = "TAINTS")]
    register_with_taints: Vec<String>,
    /// Where the kubelet's API listens
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// The port of the kubelet's API
    #[arg(long)]
    port: Option<u16>,
    /// The port of /healthz; 0 for none
    #[arg(long)]
    healthz_port: Option<u16>,
    /// A directory of manifests of static pods, or one manifest
    #[arg(long, value_name = "PATH")]
    pod_manifest_path: Option<String>,
    /// The control group below which pods are
    #[arg(long, value_name = "GROUP")]
    cgroup_root: Option<String>,
    /// cgroupfs or systemd
    #[arg(long, value_name = "DRIVER")]
    cgroup_driver: Option<String>,
    /// Nameservers of pods
    #[arg(long, value_delimiter = ',', value_name = "IPS")]
    cluster_dns: Vec<String>,
    /// The domain of services
    #[arg(long, value_name = "DOMAIN")]
    cluster_domain: Option<String>,
    /// The resolv.conf that pods with the Default policy get
    #[arg(long, value_name = "FILE")]
    resolv_conf: Option<String>,
    /// How many pods the node takes
    #[arg(long)]
    max_pods: Option<u32>,
    /// The pod CIDR of a node that the API gives none
    #[arg(long, value_name = "CIDR")]
    pod_cidr: Option<String>,
    /// Refuse to run with swap on
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    fail_swap_on: Option<bool>,
    /// Signs client certificates of the kubelet's API
    #[arg(long, value_name = "FILE")]
    client_ca_file: Option<String>,
    /// Let requests without credentials in, as system:anonymous
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    anonymous_auth: Option<bool>,
    /// Webhook or AlwaysAllow
    #[arg(long, value_name = "MODE")]
    authorization_mode: Option<String>,
    /// The serving certificate; made on the spot when absent
    #[arg(long, requires = "tls_private_key_file", value_name = "FILE")]
    tls_cert_file: Option<String>,
    #[arg(long, requires = "tls_cert_file", value_name = "FILE", help = "The serving certificate's key")]
    tls_private_key_file: Option<String>,
    #[command(flatten)]
    log: LogArgs,
}

/// Takes a flag's value where it was given.
fn set<T: Clone>(field: &mut T, given: &Option<T>) {
    if let Some(value) = given {
        field.clone_from(value);
    }
}

impl Args {
    fn read(&self) -> Result<Config, ConfigError> {
        let name = match &self.hostname_override {
            Some(name) => name.trim().to_lowercase(),
            None => host_name()?,
        };
        let mut config = Config::new(&name);
        if let Some(path) = &self.config {
            let file: KubeletConfiguration = component::config::load(path)?;
            if (file.api_version.as_str(), file.kind.as_str())
                != ("kubelet.config.k8s.io/v1beta1", "KubeletConfiguration")
            {
                return Err(ConfigError(format!(
                    "--config: {:?} {:?} is not kubelet.config.k8s.io/v1beta1 KubeletConfiguration",
                    file.api_version, file.kind
                )));
            }
            config.kubelet = file;
        }
        config.root_dir.clone_from(&self.root_dir);
        config.cni_conf_dir.clone_from(&self.cni_conf_dir);
        config.node_ips.clone_from(&self.node_ip);
        config.node_labels = labels(&self.node_labels)?;
        self.apply(&mut config.kubelet)?;
        check(&config.kubelet)?;
        Ok(config)
    }

    fn apply(&self, kubelet: &mut KubeletConfiguration) -> Result<(), ConfigError> {
        set(&mut kubelet.container_runtime_endpoint, &self.container_runtime_endpoint);
        set(&mut kubelet.register_node, &self.register_node);
        set(&mut kubelet.address, &self.address.map(|a| a.to_string()));
        set(&mut kubelet.port, &self.port);
        set(&mut kubelet.healthz_port, &self.healthz_port);
        set(&mut kubelet.static_pod_path, &self.pod_manifest_path);
        set(&mut kubelet.cgroup_root, &self.cgroup_root);
        set(&mut kubelet.cgroup_driver, &self.cgroup_driver);
        set(&mut kubelet.cluster_domain, &self.cluster_domain);
        set(&mut kubelet.max_pods, &self.max_pods);
        set(&mut kubelet.pod_cidr, &self.pod_cidr);
        set(&mut kubelet.fail_swap_on, &self.fail_swap_on);
        set(&mut kubelet.authentication.x509.client_ca_file, &self.client_ca_file);
        set(&mut kubelet.authentication.anonymous.enabled, &self.anonymous_auth);
        set(&mut kubelet.authorization.mode, &self.authorization_mode);
        set(&mut kubelet.tls_cert_file, &self.tls_cert_file);
        set(&mut kubelet.tls_private_key_file, &self.tls_private_key_file);
        if self.resolv_conf.is_some() {
            kubelet.resolv_conf.clone_from(&self.resolv_conf);
        }
        if !self.cluster_dns.is_empty() {
            kubelet.cluster_dns.clone_from(&self.cluster_dns);
        }
        if !self.register_with_taints.is_empty() {
            let taints: Result<Vec<Taint>, ConfigError> =
                self.register_with_taints.iter().map(|t| taint(t)).collect();
            kubelet.register_with_taints = taints?;
        }
        Ok(())
    }
}

/// What no kubelet can run with.
fn check(kubelet: &KubeletConfiguration) -> Result<(), ConfigError> {
    if !matches!(kubelet.cgroup_driver.as_str(), "cgroupfs" | "systemd") {
        return Err(ConfigError(format!(
            "cgroupDriver: {:?} is neither cgroupfs nor systemd",
            kubelet.cgroup_driver
        )));
    }
    if kubelet.fail_swap_on && RealHost.facts().swap_bytes > 0 {
        let text =
            "running with swap on is not supported, please disable swap or set --fail-swap-on flag to false";
        return Err(ConfigError(text.to_owned()));
    }
    Ok(())
}

fn labels(list: &[String]) -> Result<BTreeMap<String, String>, ConfigError> {
    let pair = |text: &String| match text.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
        None => Err(ConfigError(format!("--node-labels: {text:?} is not key=value"))),
    };
    list.iter().filter(|t| !t.is_empty()).map(pair).collect()
}

fn taint(text: &str) -> Result<Taint, ConfigError> {
    let wrong = || ConfigError(format!("--register-with-taints: {text:?} is not key=value:effect"));
    let (pair, effect) = text.rsplit_once(':').ok_or_else(wrong)?;
    if !matches!(effect, "NoSchedule" | "PreferNoSchedule" | "NoExecute") {
        return Err(wrong());
    }
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    Ok(Taint { key: key.to_owned(), value: value.to_owned(), effect: effect.to_owned() })
}

/// Runs kubelet with a command line whose first word is the program's name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = Args::parse_from(args);
    let log = args.log.clone();
    component::run("kubelet", &log, move |tasks| async move { start(&args, tasks).await })
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

async fn start(args: &Args, tasks: Tasks) -> Result<(), AnyError> {
    let config = args.read()?;
    let kubeconfig = args.kubeconfig.clone().ok_or_else(|| ConfigError("no --kubeconfig is given".into()))?;
    let client = Client::from_kubeconfig(&read_file("--kubeconfig", &kubeconfig)?).await?;
    let env = env::Env::real();
    let runtime = ContainerdRuntime::new(&config.kubelet.container_runtime_endpoint, &tasks);
    let deps = Deps {
        client: client.clone(),
        runtime: Arc::new(runtime.clone()),
        host: Arc::new(RealHost),
        env: env.clone(),
        tasks: tasks.child("agent"),
    };
    if config.kubelet.healthz_port != 0 {
        let address: IpAddr = parse_ip("healthzBindAddress", &config.kubelet.healthz_bind_address)?;
        let listener =
            tokio::net::TcpListener::bind(SocketAddr::new(address, config.kubelet.healthz_port)).await?;
        component::serving::serve(&tasks, listener, Serving::plain(health_only()));
    }
    let handle = crate::run(config.clone(), deps).await?;
    if config.kubelet.enable_server {
        let deps = ServerDeps {
            client,
            env,
            tasks: tasks.clone(),
            runtime: Arc::new(runtime),
            host: Arc::new(RealHost),
            pods: Arc::new(handle),
        };
        server::run(server_config(&config)?, deps).await?;
    }
    Ok(())
}

fn parse_ip(field: &str, text: &str) -> Result<IpAddr, ConfigError> {
    text.parse().map_err(|_| ConfigError(format!("{field}: {text:?} is not an IP address")))
}

/// How the kubelet's API is served, by its configuration.
fn server_config(config: &Config) -> Result<ServerConfig, ConfigError> {
    let kubelet = &config.kubelet;
    let address = parse_ip("address", &kubelet.address)?;
    let identity = if kubelet.tls_cert_file.is_empty() {
        let now = env::Env::real().clock.now();
        pki::tls::self_signed(&config.node_name, address, now).map_err(|e| ConfigError(e.to_string()))?
    } else {
        pki::Identity {
            certificate_pem: read_file("tlsCertFile", kubelet.tls_cert_file.as_ref())?,
            key_pem: read_file("tlsPrivateKeyFile", kubelet.tls_private_key_file.as_ref())?,
        }
    };
    let ca = &kubelet.authentication.x509.client_ca_file;
    let client_ca_pem = if ca.is_empty() { None } else { Some(read_file("clientCAFile", ca.as_ref())?) };
    let tls = pki::tls::server_config(&identity, pki::tls::ClientAuth::Request);
    Ok(ServerConfig {
        listen: SocketAddr::new(address, kubelet.port),
        node_name: config.node_name.clone(),
        tls: tls.map_err(|e| ConfigError(e.to_string()))?,
        client_ca_pem,
        authentication: kubelet.authentication.clone(),
        authorization: kubelet.authorization.clone(),
        debugging: kubelet.enable_debugging_handlers.unwrap_or(true),
        log_dir: "/var/log".into(),
        root_dir: config.root_dir.clone(),
        configz: kubelet.shown(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Config, ConfigError> {
        Args::try_parse_from(["kubelet", "--fail-swap-on=false"].iter().chain(args)).unwrap().read()
    }

    #[test]
    fn flags_go_before_the_file() {
        let path = std::env::temp_dir().join(format!("gantry-kubelet-{}.yaml", std::process::id()));
        let head = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";
        std::fs::write(&path, format!("{head}maxPods: 20\nport: 1\n")).unwrap();
        let file = format!("--config={}", path.display());
        let config =
            read(&[&file, "--port=2", "--node-labels=a=b,c=d", "--hostname-override=Node-1"]).unwrap();
        assert_eq!((config.kubelet.max_pods, config.kubelet.port), (20, 2));
        assert_eq!(config.node_labels.len(), 2);
        assert_eq!(config.node_name, "node-1");
        std::fs::write(&path, "apiVersion: v1\nkind: Pod\n").unwrap();
        assert!(read(&[&file]).is_err());
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn bad_values_are_refused() {
        assert!(read(&["--cgroup-driver=x"]).unwrap_err().0.contains("cgroupDriver"));
        assert!(read(&["--node-labels=x"]).unwrap_err().0.contains("--node-labels"));
        assert!(read(&["--register-with-taints=a=b:No"]).is_err());
        let config = read(&["--register-with-taints=a=b:NoSchedule"]).unwrap();
        assert_eq!(config.kubelet.register_with_taints[0].key, "a");
        assert_eq!(config.kubelet.container_runtime_endpoint, "unix:///run/containerd/containerd.sock");
    }
}
