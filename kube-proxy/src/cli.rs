//! kube-proxy's command line and configuration file, as upstream's: flags over file over defaults, unknown keys refused.
//!
//! Flags of modes and features that do not exist here are accepted only where ignoring them changes nothing that a user
//! could notice; every other unknown flag is refused.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use component::LogArgs;
use component::flags::{host_name, parse_duration};
use component::run::ConfigError;
use net::Cidr;
use serde::Deserialize;

use crate::{Config, Deps, HEALTHZ_PORT, METRICS_PORT, NodePortAddresses};

/// The Kubernetes network proxy: makes Services' addresses lead to their endpoints on this node
#[derive(Parser, Debug, Default)]
#[command(name = "kube-proxy", rename_all = "kebab-case", max_term_width = 100)]
pub struct Args {
    /// A KubeProxyConfiguration file; flags win over it
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where the API server is and who we are
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// How rules are made: iptables or nftables
    #[arg(long)]
    proxy_mode: Option<String>,
    /// This node's name; the host's name when absent
    #[arg(long)]
    hostname_override: Option<String>,
    /// The ranges of pods, one of each family, to tell traffic from outside
    #[arg(long, value_name = "CIDRS")]
    cluster_cidr: Option<String>,
    /// Masquerade all traffic to cluster IPs
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    masquerade_all: Option<bool>,
    /// Which bit of the packet mark means masquerade (0 to 31)
    #[arg(long)]
    iptables_masquerade_bit: Option<u8>,
    /// Which addresses answer at node ports: primary, or ranges
    #[arg(long, value_name = "CIDRS")]
    nodeport_addresses: Option<String>,
    /// Where health is told; empty for nowhere
    #[arg(long)]
    healthz_bind_address: Option<String>,
    /// Where metrics are told; empty for nowhere
    #[arg(long)]
    metrics_bind_address: Option<String>,
    /// How soon after an application of rules the next may come (iptables)
    #[arg(long, value_parser = parse_duration)]
    iptables_min_sync_period: Option<Duration>,
    /// How soon after an application of rules the next may come (nftables)
    #[arg(long, value_parser = parse_duration)]
    nftables_min_sync_period: Option<Duration>,
    /// Remove all rules that kube-proxy makes, and exit
    #[arg(long)]
    cleanup: bool,
    #[command(flatten)]
    unused: UnusedArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// Upstream's flags that need nothing from this proxy: limits of connection tracking stay as the host has them, rules
/// are applied when something changes and not by period, and there is no profiler. Accepted, so that a unit file written
/// for upstream starts this one.
#[derive(clap::Args, Debug, Default)]
#[command(rename_all = "kebab-case")]
struct UnusedArgs {
    #[arg(long, hide = true)]
    bind_address: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true)]
    bind_address_hard_fail: Option<Option<String>>,
    #[arg(long, hide = true)]
    config_sync_period: Option<String>,
    #[arg(long, hide = true)]
    conntrack_max_per_core: Option<String>,
    #[arg(long, hide = true)]
    conntrack_min: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true)]
    conntrack_tcp_be_liberal: Option<Option<String>>,
    #[arg(long, hide = true)]
    conntrack_tcp_timeout_close_wait: Option<String>,
    #[arg(long, hide = true)]
    conntrack_tcp_timeout_established: Option<String>,
    #[arg(long, hide = true)]
    conntrack_udp_timeout: Option<String>,
    #[arg(long, hide = true)]
    conntrack_udp_timeout_stream: Option<String>,
    #[arg(long, hide = true)]
    feature_gates: Option<String>,
    #[arg(long, hide = true)]
    iptables_sync_period: Option<String>,
    #[arg(long, hide = true)]
    nftables_sync_period: Option<String>,
    #[arg(long, hide = true)]
    kube_api_burst: Option<String>,
    #[arg(long, hide = true)]
    kube_api_content_type: Option<String>,
    #[arg(long, hide = true)]
    kube_api_qps: Option<String>,
    #[arg(long, hide = true)]
    oom_score_adj: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true)]
    profiling: Option<Option<String>>,
    #[arg(long, hide = true)]
    show_hidden_metrics_for_version: Option<String>,
}

/// Accepted without effect, for the reasons that [`UnusedArgs`] gives.
type Unused = Option<serde_json::Value>;

/// kubeproxy.config.k8s.io/v1alpha1 KubeProxyConfiguration. Absent, null, empty and zero all mean the default, as
/// kubeadm writes every key.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(dead_code, reason = "keys without effect are named so that others can be refused")]
struct File {
    api_version: String,
    kind: String,
    client_connection: FileConnection,
    mode: Option<String>,
    hostname_override: Option<String>,
    #[serde(rename = "clusterCIDR")]
    cluster_cidr: Option<String>,
    detect_local_mode: Option<String>,
    node_port_addresses: Option<Vec<String>>,
    healthz_bind_address: Option<String>,
    metrics_bind_address: Option<String>,
    iptables: FileMode,
    nftables: FileMode,
    bind_address: Unused,
    bind_address_hard_fail: Unused,
    config_sync_period: Unused,
    conntrack: Unused,
    detect_local: Unused,
    enable_profiling: Unused,
    feature_gates: Unused,
    ipvs: Unused,
    logging: Unused,
    oom_score_adj: Unused,
    port_range: Unused,
    show_hidden_metrics_for_version: Unused,
    udp_idle_timeout: Unused,
    windows_run_as_service: Unused,
    winkernel: Unused,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(dead_code, reason = "keys without effect are named so that others can be refused")]
struct FileConnection {
    kubeconfig: String,
    accept_content_types: Unused,
    burst: Unused,
    content_type: Unused,
    qps: Unused,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(dead_code, reason = "keys without effect are named so that others can be refused")]
struct FileMode {
    masquerade_all: bool,
    masquerade_bit: Option<u8>,
    min_sync_period: Option<String>,
    /// Rules are applied as they change, so there is no period.
    sync_period: Unused,
    /// Node ports on loopback are an iptables speciality that needs `route_localnet`; they are not offered.
    localhost_node_ports: Unused,
}

/// `host:port`, a bare address with upstream's port, or empty for "not at all".
fn parse_address(text: &str, port: u16) -> Result<Option<SocketAddr>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    let bare = |ip: IpAddr| SocketAddr::new(ip, port);
    let parsed = text.parse::<SocketAddr>().or_else(|_| text.parse::<IpAddr>().map(bare));
    parsed.map(Some).map_err(|_| ConfigError(format!("{text:?} is not an address to listen on")))
}

fn parse_cidrs(text: &str) -> Result<Vec<Cidr>, ConfigError> {
    let parts = text.split(',').map(str::trim).filter(|p| !p.is_empty());
    parts.map(|p| p.parse().map_err(|e: net::Error| ConfigError(e.to_string()))).collect()
}

fn parse_node_port_addresses(parts: &[String]) -> Result<Option<NodePortAddresses>, ConfigError> {
    if parts.is_empty() {
        return Ok(None);
    }
    if parts == ["primary"] {
        return Ok(Some(NodePortAddresses::Primary));
    }
    let ranges = parse_cidrs(&parts.join(","))?;
    if ranges.iter().any(Cidr::is_everything) {
        return Ok(Some(NodePortAddresses::All));
    }
    Ok(Some(NodePortAddresses::Ranges(ranges)))
}

/// What the flags and the file come to.
#[derive(Debug)]
pub struct Options {
    pub config: Config,
    pub kubeconfig: Option<PathBuf>,
}

impl Args {
    fn options(&self) -> Result<Options, ConfigError> {
        let file: File = match &self.config {
            Some(path) => component::config::load(path)?,
            None => File::default(),
        };
        if self.config.is_some() && file.kind != "KubeProxyConfiguration" {
            return Err(ConfigError(format!("unknown kind of configuration {:?}", file.kind)));
        }
        // Where pods live is told by range alone; another way must not be taken for that one.
        if let Some(mode) = filled(file.detect_local_mode).filter(|m| m != "ClusterCIDR") {
            return Err(ConfigError(format!(
                "detectLocalMode {mode:?} is not available; available is ClusterCIDR"
            )));
        }
        let mut config = Config::default();
        config.mode = filled(pick(&self.proxy_mode, file.mode)).unwrap_or(config.mode);
        crate::backend::find(&config.mode).map_err(ConfigError)?;
        let (of_mode, period) = if config.mode == "nftables" {
            (&file.nftables, self.nftables_min_sync_period)
        } else {
            (&file.iptables, self.iptables_min_sync_period)
        };
        let file_period =
            of_mode.min_sync_period.as_deref().map(parse_duration).transpose().map_err(ConfigError)?;
        let file_period = file_period.filter(|p| !p.is_zero());
        config.min_sync_period = period.or(file_period).unwrap_or(config.min_sync_period);
        config.masquerade_all = self.masquerade_all.unwrap_or(of_mode.masquerade_all);
        let bit = self.iptables_masquerade_bit.or(of_mode.masquerade_bit);
        config.masquerade_bit = bit.unwrap_or(config.masquerade_bit);
        if config.masquerade_bit > 31 {
            return Err(ConfigError(format!(
                "masquerade bit {} is not within 0 to 31",
                config.masquerade_bit
            )));
        }
        config.cluster_cidrs = parse_cidrs(&pick(&self.cluster_cidr, file.cluster_cidr).unwrap_or_default())?;
        let node_ports = match &self.nodeport_addresses {
            Some(text) => text.split(',').map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()).collect(),
            None => file.node_port_addresses.unwrap_or_default(),
        };
        config.node_port_addresses = parse_node_port_addresses(&node_ports)?;
        // An empty flag means "nowhere", an empty key the default.
        if let Some(text) = pick(&self.healthz_bind_address, filled(file.healthz_bind_address)) {
            config.healthz = parse_address(&text, HEALTHZ_PORT)?;
        }
        if let Some(text) = pick(&self.metrics_bind_address, filled(file.metrics_bind_address)) {
            config.metrics = parse_address(&text, METRICS_PORT)?;
        }
        config.node_name = match filled(pick(&self.hostname_override, file.hostname_override)) {
            Some(name) => name,
            None => host_name()?,
        };
        let file_kubeconfig = Some(PathBuf::from(file.client_connection.kubeconfig));
        let kubeconfig = self.kubeconfig.clone().or(file_kubeconfig.filter(|p| !p.as_os_str().is_empty()));
        Ok(Options { config, kubeconfig })
    }
}

fn pick(flag: &Option<String>, file: Option<String>) -> Option<String> {
    flag.clone().or(file)
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|t| !t.is_empty())
}

/// Runs kube-proxy with a command line whose first word is the program's name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = Args::parse_from(args);
    let log = args.log.clone();
    component::run("kube-proxy", &log, move |tasks| async move { start(&args, tasks).await })
}

async fn start(args: &Args, tasks: component::Tasks) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let options = args.options()?;
    let env = env::Env::real();
    if args.cleanup {
        let errors = crate::cleanup(&options.config, &env).await;
        tasks.token().cancel();
        return match errors.into_iter().next() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        };
    }
    let path = options.kubeconfig.ok_or_else(|| ConfigError("no --kubeconfig is given".into()))?;
    let text = std::fs::read_to_string(&path).map_err(|e| ConfigError(format!("{}: {e}", path.display())))?;
    let client = client::Client::from_kubeconfig(&text).await?.with_user_agent("kube-proxy");
    crate::run(options.config, Deps { client, env, tasks }).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: &[&str]) -> Result<Options, ConfigError> {
        let all = ["kube-proxy", "--hostname-override=n1"].iter().chain(args);
        Args::try_parse_from(all).unwrap().options()
    }

    #[test]
    fn bare_defaults_are_upstreams() {
        let config = options(&[]).unwrap().config;
        assert_eq!(config, Config { node_name: "n1".into(), ..Config::default() });
        assert_eq!(config.mode, "iptables");
    }

    #[test]
    fn flags_are_read() {
        let config = options(&[
            "--proxy-mode=nftables",
            "--cluster-cidr=10.244.0.0/16,fd00::/48",
            "--nodeport-addresses=0.0.0.0/0",
            "--nftables-min-sync-period=250ms",
            "--healthz-bind-address=127.0.0.1",
            "--metrics-bind-address=",
        ])
        .unwrap()
        .config;
        assert_eq!(config.cluster_cidrs.len(), 2);
        assert_eq!(config.node_port_addresses, Some(NodePortAddresses::All));
        assert_eq!(config.min_sync_period, Duration::from_millis(250));
        assert_eq!(config.healthz, Some("127.0.0.1:10256".parse().unwrap()));
        assert_eq!(config.metrics, None);
    }

    /// What kubeadm writes: every key, most of them empty.
    #[test]
    fn kubeadms_file_is_read() {
        let path = std::env::temp_dir().join(format!("gantry-proxy-{}.yaml", std::process::id()));
        let text = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n\
            bindAddress: 0.0.0.0\nclientConnection:\n  acceptContentTypes: \"\"\n  burst: 0\n  kubeconfig: /k\n\
            clusterCIDR: 10.244.0.0/16\nconntrack:\n  maxPerCore: null\ndetectLocalMode: \"\"\n\
            healthzBindAddress: \"\"\nhostnameOverride: \"\"\n\
            iptables:\n  localhostNodePorts: null\n  masqueradeAll: false\n  minSyncPeriod: 0s\n  syncPeriod: 0s\n\
            ipvs:\n  scheduler: \"\"\nmetricsBindAddress: \"\"\nmode: \"\"\nnodePortAddresses: null\nwinkernel: {}\n";
        std::fs::write(&path, text).unwrap();
        let argument = format!("--config={}", path.display());
        let read = options(&[&argument]).unwrap();
        std::fs::write(&path, format!("{text}detectLocalMode2: x\n")).unwrap();
        let unknown = options(&[&argument]);
        std::fs::remove_file(&path).unwrap();
        let cluster_cidrs = vec!["10.244.0.0/16".parse().unwrap()];
        assert_eq!(read.config, Config { node_name: "n1".into(), cluster_cidrs, ..Config::default() });
        assert_eq!(read.kubeconfig, Some("/k".into()));
        assert!(unknown.unwrap_err().0.contains("detectLocalMode2"));
    }

    #[test]
    fn flags_of_upstream_without_effect_are_accepted() {
        options(&[
            "--conntrack-max-per-core=0",
            "--oom-score-adj=-998",
            "--profiling",
            "--feature-gates=A=true",
        ])
        .unwrap();
    }

    #[test]
    fn mistakes_are_refused() {
        assert!(options(&["--proxy-mode=ipvs"]).unwrap_err().0.contains("available are"));
        assert!(options(&["--iptables-masquerade-bit=32"]).is_err());
        assert!(options(&["--cluster-cidr=10.0.0.0"]).is_err());
        assert!(Args::try_parse_from(["kube-proxy", "--no-such-flag"]).is_err());
    }
}
