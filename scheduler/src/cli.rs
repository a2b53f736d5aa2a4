//! kube-scheduler's command line and KubeSchedulerConfiguration, with upstream's names and defaults.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use client::Client;
use client::delegated::{self, Delegated};
use component::flags::{host_name, read_file};
use component::run::ConfigError;
use component::serving::{Serving, health_and_metrics};
use component::{LogArgs, Metrics, Tasks};
use serde::Deserialize;

use crate::config::Config;

/// Upstream's port.
pub const PORT: u16 = 10_259;

/// The Kubernetes scheduler: gives each pod that has no node a node
#[derive(Parser, Debug)]
#[command(name = "kube-scheduler", rename_all = "kebab-case", max_term_width = 100)]
pub struct Args {
    /// A KubeSchedulerConfiguration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the API server is and who we are; a configuration file's clientConnection wins
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Run only while holding the lease kube-system/kube-scheduler
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    leader_elect: Option<bool>,
    /// Where health and metrics are served
    #[arg(long, default_value = "0.0.0.0", value_name = "IP")]
    bind_address: IpAddr,
    #[arg(long, default_value_t = PORT, help = "The port of health and metrics; 0 for none")]
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

/// kubescheduler.config.k8s.io/v1 KubeSchedulerConfiguration, as far as this scheduler has something to set.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct File {
    api_version: String,
    kind: String,
    client_connection: FileConnection,
    leader_election: FileElection,
    pod_initial_backoff_seconds: Option<u64>,
    pod_max_backoff_seconds: Option<u64>,
    profiles: Vec<FileProfile>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct FileConnection {
    kubeconfig: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct FileElection {
    leader_elect: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct FileProfile {
    scheduler_name: String,
}

impl Args {
    fn read(&self) -> Result<(Config, PathBuf), ConfigError> {
        let file: File = match &self.config {
            Some(path) => component::config::load(path)?,
            None => File::default(),
        };
        if self.config.is_some()
            && (file.api_version.as_str(), file.kind.as_str())
                != ("kubescheduler.config.k8s.io/v1", "KubeSchedulerConfiguration")
        {
            return Err(ConfigError(format!(
                "--config: {:?} {:?} is not kubescheduler.config.k8s.io/v1 KubeSchedulerConfiguration",
                file.api_version, file.kind
            )));
        }
        let defaults = Config::default();
        let scheduler_name = match file.profiles.as_slice() {
            [] => defaults.scheduler_name,
            [one] if one.scheduler_name.is_empty() => defaults.scheduler_name,
            [one] => one.scheduler_name.clone(),
            _ => return Err(ConfigError("profiles: one profile is what this scheduler can run".into())),
        };
        let seconds = |given: Option<u64>, default: Duration| given.map_or(default, Duration::from_secs);
        let config = Config {
            scheduler_name,
            pod_initial_backoff: seconds(file.pod_initial_backoff_seconds, defaults.pod_initial_backoff),
            pod_max_backoff: seconds(file.pod_max_backoff_seconds, defaults.pod_max_backoff),
            leader_elect: self.leader_elect.or(file.leader_election.leader_elect).unwrap_or(true),
            identity: format!("{}_{}", host_name()?, env::Env::real().rng.uuid()),
            metrics: Metrics::of_component(),
        };
        let kubeconfig = file
            .client_connection
            .kubeconfig
            .or_else(|| self.kubeconfig.clone())
            .ok_or_else(|| ConfigError("no --kubeconfig is given".into()))?;
        Ok((config, kubeconfig))
    }
}

/// Runs kube-scheduler with a command line whose first word is the program's name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = Args::parse_from(args);
    let log = args.log.clone();
    component::run("kube-scheduler", &log, move |tasks| async move { start(&args, tasks).await })
}

async fn start(args: &Args, tasks: Tasks) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (config, kubeconfig) = args.read()?;
    let client = Client::from_kubeconfig(&read_file("--kubeconfig", &kubeconfig)?).await?;
    let env = env::Env::real();
    if args.secure_port != 0 {
        let serving = serving(args, &client, config.metrics.clone())?;
        let listener =
            tokio::net::TcpListener::bind(SocketAddr::new(args.bind_address, args.secure_port)).await?;
        component::serving::serve(&tasks, listener, serving);
    }
    let group = tasks.child("scheduling");
    tasks.clone().spawn("kube-scheduler", async move {
        let ended = crate::run(config, client, env, group).await;
        tracing::info!(component = "kube-scheduler", ?ended, "scheduling ended");
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

    fn read(args: &[&str]) -> Result<(Config, PathBuf), ConfigError> {
        Args::try_parse_from(["kube-scheduler"].iter().chain(args)).unwrap().read()
    }

    #[test]
    fn bare_defaults_are_upstreams() {
        let (config, kubeconfig) = read(&["--kubeconfig=/k"]).unwrap();
        assert!(config.leader_elect);
        assert_eq!(config.scheduler_name, "default-scheduler");
        assert_eq!(kubeconfig, PathBuf::from("/k"));
        assert!(read(&[]).unwrap_err().0.contains("--kubeconfig"));
    }

    #[test]
    fn a_file_is_read_and_its_unknown_keys_are_refused() {
        let path = std::env::temp_dir().join(format!("gantry-scheduler-{}.yaml", std::process::id()));
        let with = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read(&[&format!("--config={}", path.display()), "--kubeconfig=/k"])
        };
        let head = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";
        let (config, _) = with(&format!(
            "{head}leaderElection: {{leaderElect: false}}\nprofiles: [{{schedulerName: mine}}]\n"
        ))
        .unwrap();
        assert!(!config.leader_elect);
        assert_eq!(config.scheduler_name, "mine");
        assert!(with(&format!("{head}nonsense: 1\n")).unwrap_err().0.contains("nonsense"));
        assert!(with("apiVersion: v1\nkind: Pod\n").is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
