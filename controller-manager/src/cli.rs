//! kube-controller-manager's command line, with upstream's flag names and defaults.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use client::Client;
use client::delegated::{self, Delegated};
use component::flags::{host_name, parse_duration, read_file};
use component::run::ConfigError;
use component::serving::{Serving, health_and_metrics};
use component::{LogArgs, Metrics, Tasks};

use crate::config::Config;
use crate::controllers;

/// Upstream's port.
pub const PORT: u16 = 10_257;

/// The Kubernetes controller manager: moves the cluster from what is to what is asked for
#[derive(Parser, Debug)]
#[command(name = "kube-controller-manager", rename_all = "kebab-case", max_term_width = 100)]
pub struct Args {
    /// Where the API server is and who we are
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// The range from which nodes get their pod ranges
    #[arg(long, value_name = "CIDR")]
    cluster_cidr: Option<String>,
    /// Give each node a pod range of --cluster-cidr
    #[arg(long, num_args = 0..=1, default_value_t = false, default_missing_value = "true")]
    allocate_node_cidrs: bool,
    /// The size of each node's pod range
    #[arg(long, default_value_t = 24, value_name = "BITS")]
    node_cidr_mask_size: u8,
    /// The authority's certificate that every namespace gets in kube-root-ca.crt
    #[arg(long, value_name = "FILE")]
    root_ca_file: Option<PathBuf>,
    /// How long a node may be silent before it counts as lost
    #[arg(long, value_parser = parse_duration, default_value = "50s", value_name = "DURATION")]
    node_monitor_grace_period: Duration,
    /// How often silent nodes are looked for
    #[arg(long, value_parser = parse_duration, default_value = "5s", value_name = "DURATION")]
    node_monitor_period: Duration,
    /// How many ended pods may exist before the oldest are removed; 0 for any number
    #[arg(long, default_value_t = 12_500)]
    terminated_pod_gc_threshold: usize,
    /// Which controllers run: names, `*` for all, `-name` for all but one
    #[arg(long, value_delimiter = ',', default_value = "*", allow_hyphen_values = true)]
    controllers: Vec<String>,
    /// Run only while holding the lease kube-system/kube-controller-manager
    #[arg(long, num_args = 0..=1, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    leader_elect: bool,
    /// Act as one ServiceAccount per controller; controllers always do, and this may not be set to false
    #[arg(long, num_args = 0..=1, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    use_service_account_credentials: bool,
    /// Where health and metrics are served
    #[arg(long, default_value = "0.0.0.0", value_name = "IP")]
    bind_address: IpAddr,
    /// The port of health and metrics; 0 for none
    #[arg(long, default_value_t = PORT)]
    secure_port: u16,
    /// The serving certificate; made on the spot when absent
    #[arg(long, requires = "tls_private_key_file", value_name = "FILE")]
    tls_cert_file: Option<PathBuf>,
    #[arg(long, requires = "tls_cert_file", value_name = "FILE", help = "The serving certificate's key")]
    tls_private_key_file: Option<PathBuf>,
    /// Signs client certificates of whoever reads metrics
    #[arg(long, value_name = "FILE")]
    client_ca_file: Option<PathBuf>,
    #[command(flatten)]
    log: LogArgs,
}

impl Args {
    fn config(&self) -> Result<Config, ConfigError> {
        if !self.use_service_account_credentials {
            return Err(ConfigError(
                "--use-service-account-credentials=false: controllers never share rights".into(),
            ));
        }
        let names: Vec<&str> = controllers::all().iter().map(|c| c.name).collect();
        let all = self.controllers.iter().any(|c| c == "*");
        for name in &self.controllers {
            let plain = name.trim_start_matches('-');
            if plain != "*" && !names.contains(&plain) {
                return Err(ConfigError(format!(
                    "--controllers: {plain:?} is not in the list of known controllers: {}",
                    names.join(", ")
                )));
            }
        }
        let runs = |name: &str| {
            let wanted = self.controllers.iter().any(|c| c == name);
            let unwanted = self.controllers.iter().any(|c| c.strip_prefix('-') == Some(name));
            wanted || (all && !unwanted)
        };
        let root_ca = match &self.root_ca_file {
            Some(path) => read_file("--root-ca-file", path)?,
            None => String::new(),
        };
        Ok(Config {
            leader_elect: self.leader_elect,
            identity: format!("{}_{}", host_name()?, env::Env::real().rng.uuid()),
            cluster_cidr: if self.allocate_node_cidrs {
                self.cluster_cidr.clone().unwrap_or_default()
            } else {
                String::new()
            },
            node_cidr_mask_size: self.node_cidr_mask_size,
            root_ca,
            node_monitor_grace_period: self.node_monitor_grace_period,
            node_monitor_period: self.node_monitor_period,
            terminated_pod_gc_threshold: self.terminated_pod_gc_threshold,
            disabled: names.into_iter().filter(|n| !runs(n)).map(str::to_owned).collect(),
            metrics: Metrics::of_component(),
            ..Config::default()
        })
    }
}

/// Runs kube-controller-manager with a command line whose first word is the program's name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = Args::parse_from(args);
    let log = args.log.clone();
    component::run("kube-controller-manager", &log, move |tasks| async move { start(&args, tasks).await })
}

async fn start(args: &Args, tasks: Tasks) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let config = args.config()?;
    let path = args.kubeconfig.as_ref().ok_or_else(|| ConfigError("no --kubeconfig is given".into()))?;
    let kubeconfig = read_file("--kubeconfig", path)?;
    let client = Client::from_kubeconfig(&kubeconfig).await?.with_user_agent("kube-controller-manager");
    let serving = serving(args, &client, config.metrics.clone())?;
    if args.secure_port != 0 {
        let listener =
            tokio::net::TcpListener::bind(SocketAddr::new(args.bind_address, args.secure_port)).await?;
        component::serving::serve(&tasks, listener, serving);
    }
    let env = env::Env::real();
    // Each controller acts as its ServiceAccount, with tokens that this user asks for.
    let mut clients = std::collections::BTreeMap::new();
    for controller in controllers::all() {
        let account = controller.service_account;
        let made =
            Client::as_service_account(&kubeconfig, &client, "kube-system", account, env.clock.clone())
                .await?;
        clients.insert(account, made);
    }
    let factory: crate::ClientFactory = Arc::new(move |account: &str| clients[account].clone());
    let group = tasks.child("controllers");
    tasks.clone().spawn("kube-controller-manager", async move {
        let ended = crate::run(config, client, factory, env, group).await;
        tracing::info!(component = "kube-controller-manager", ?ended, "controllers ended");
        // As upstream: a process that lost the leadership ends, and its supervisor starts a clean one.
        tasks.token().cancel();
    });
    Ok(())
}

/// Health for everybody, metrics for those whom the API server allows it.
fn serving(args: &Args, client: &Client, metrics: Metrics) -> Result<Serving, ConfigError> {
    let tls = serving_tls(args)?;
    let ca = args.client_ca_file.as_ref().map(|path| read_file("--client-ca-file", path)).transpose()?;
    let clock = env::Env::real().clock;
    let gate = Delegated::new(client.clone(), clock, ca.as_deref(), delegated::Options::default())
        .map_err(|e| ConfigError(format!("--client-ca-file: {e}")))?;
    Ok(Serving { handler: health_and_metrics(metrics), tls: Some(tls), gate: Some(Arc::new(gate)) })
}

fn serving_tls(args: &Args) -> Result<Arc<rustls::ServerConfig>, ConfigError> {
    let now = env::Env::real().clock.now();
    let identity = match (&args.tls_cert_file, &args.tls_private_key_file) {
        (Some(cert), Some(key)) => pki::Identity {
            certificate_pem: read_file("--tls-cert-file", cert)?,
            key_pem: read_file("--tls-private-key-file", key)?,
        },
        _ => pki::tls::self_signed(&host_name()?, args.bind_address, now)
            .map_err(|e| ConfigError(e.to_string()))?,
    };
    pki::tls::server_config(&identity, pki::tls::ClientAuth::Request).map_err(|e| ConfigError(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(args: &[&str]) -> Result<Config, ConfigError> {
        Args::try_parse_from(["kube-controller-manager"].iter().chain(args)).unwrap().config()
    }

    #[test]
    fn controllers_are_chosen_by_name() {
        let all = config(&[]).unwrap();
        assert!(all.disabled.is_empty() && all.leader_elect && all.cluster_cidr.is_empty());
        let some = config(&["--controllers=*,-deployment-controller"]).unwrap();
        assert_eq!(some.disabled, ["deployment-controller"]);
        let one = config(&["--controllers=deployment-controller"]).unwrap();
        assert!(!one.disabled.contains(&"deployment-controller".to_owned()) && !one.disabled.is_empty());
        assert!(config(&["--controllers=nonsense"]).unwrap_err().0.contains("known controllers"));
    }

    #[test]
    fn ranges_are_given_only_when_asked() {
        let given = config(&["--allocate-node-cidrs", "--cluster-cidr=10.1.0.0/16"]).unwrap();
        assert_eq!(given.cluster_cidr, "10.1.0.0/16");
        assert_eq!(config(&["--cluster-cidr=10.1.0.0/16"]).unwrap().cluster_cidr, "");
    }
}
