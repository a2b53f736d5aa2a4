//! kube-apiserver's command line, with upstream's flag names and defaults.
//!
//! Where upstream needs a file, so do we; with `--cert-dir` alone a server makes itself an authority, its certificates
//! and an administrator's, which is what a test or a first try wants.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use component::flags::{host_name, parse_duration, read_file};
use component::run::ConfigError;
use component::{LogArgs, Tasks};
use env::Env;
use pki::{Authority, CertificateRequest, Identity, PkiDirectory, TokenKey};

use crate::alloc;
use crate::assembly::{self, Assembly, ISSUER};
use crate::auth::token_file::TokenFile;
use crate::config::Config;
use crate::runtime_config::RuntimeConfig;
use crate::seams::Features;

/// The Kubernetes API server
#[derive(Parser, Debug)]
#[command(name = "kube-apiserver", rename_all = "kebab-case", max_term_width = 100)]
pub struct Args {
    /// Where the embedded store keeps its data
    #[arg(long, default_value = "/var/lib/gantry/store", value_name = "DIR")]
    data_dir: PathBuf,
    /// Where the API is served
    #[arg(long, default_value = "0.0.0.0", value_name = "IP")]
    bind_address: IpAddr,
    #[arg(long, default_value_t = 6443, help = "The port of the API", value_name = "PORT")]
    secure_port: u16,
    /// The address that other members of the cluster reach this server at; by default that of the default route
    #[arg(long, value_name = "IP")]
    advertise_address: Option<IpAddr>,
    /// Where certificates are made when none are given
    #[arg(long, default_value = "/var/run/kubernetes", value_name = "DIR")]
    cert_dir: PathBuf,
    /// The serving certificate
    #[arg(long, requires = "tls_private_key_file", value_name = "FILE")]
    tls_cert_file: Option<PathBuf>,
    #[arg(long, requires = "tls_cert_file", value_name = "FILE", help = "The serving certificate's key")]
    tls_private_key_file: Option<PathBuf>,
    /// The authority that signs users' certificates
    #[arg(long, value_name = "FILE")]
    client_ca_file: Option<PathBuf>,
    /// The certificate shown to kubelets
    #[arg(long, requires = "kubelet_client_key", value_name = "FILE")]
    kubelet_client_certificate: Option<PathBuf>,
    #[arg(long, requires = "kubelet_client_certificate", value_name = "FILE", help = "Its key")]
    kubelet_client_key: Option<PathBuf>,
    /// The authority that signs kubelets' certificates; by default the one of --client-ca-file
    #[arg(long, value_name = "FILE")]
    kubelet_certificate_authority: Option<PathBuf>,
    /// The key that signs ServiceAccount tokens (ECDSA P-256, PKCS #8 PEM); made in --cert-dir when absent
    #[arg(long, value_name = "FILE")]
    service_account_signing_key_file: Option<PathBuf>,
    #[arg(long, default_value = ISSUER, help = "Who ServiceAccount tokens say they are from", value_name = "URL")]
    service_account_issuer: String,
    /// Audiences of this server; by default the issuer
    #[arg(long, value_delimiter = ',')]
    api_audiences: Vec<String>,
    /// Ranges of service addresses, at most one of each family
    #[arg(long, value_delimiter = ',', default_value = "10.0.0.0/24", value_name = "CIDRS")]
    service_cluster_ip_range: Vec<String>,
    #[arg(
        long,
        default_value = "30000-32767",
        help = "Ports of NodePort services",
        value_name = "FIRST-LAST"
    )]
    service_node_port_range: String,
    /// Take requests without a credential as system:anonymous
    #[arg(long, num_args = 0..=1, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    anonymous_auth: bool,
    /// Serve the files below /var/log at /logs
    #[arg(long, num_args = 0..=1, default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set)]
    enable_logs_handler: bool,
    /// Tokens of users, one a line: token,user,uid,"group,group"
    #[arg(long, value_name = "FILE")]
    token_auth_file: Option<PathBuf>,
    /// How far back lists at a revision can go
    #[arg(long, value_parser = parse_duration, default_value = "5m0s", value_name = "DURATION")]
    etcd_compaction_interval: Duration,
    /// Turn feature gates on or off: Name=true,Other=false
    #[arg(long, default_value = "", value_name = "GATES")]
    feature_gates: String,
    /// What to serve or not, whatever the default: group/version=true, group/version/resource=true, api/all=true
    #[arg(long, default_value = "", value_name = "VERSIONS")]
    runtime_config: String,
    /// How long a request other than a watch may take
    #[arg(long, value_parser = parse_duration, default_value = "1m0s", value_name = "DURATION")]
    request_timeout: Duration,
    #[arg(long, default_value_t = 1800, help = "How long watches live at least", value_name = "SECONDS")]
    min_request_timeout: u64,
    #[arg(long, value_parser = parse_duration, default_value = "1h0m0s", help = "How long events are kept")]
    event_ttl: Duration,
    #[command(flatten)]
    log: LogArgs,
}

/// The feature gates of 1.36 with `flags` (the text of `--feature-gates`) applied.
pub fn features(flags: &str) -> Result<Features, ConfigError> {
    let known = kinds::Features::of(kinds::features::MINOR);
    let mut gates = Features::default();
    for (name, gate) in known.iter() {
        gates.0.insert(name.to_owned(), gate.default);
    }
    for (name, on) in component::config::parse_bool_map(flags).map_err(ConfigError)? {
        let gate = known
            .gate(&name)
            .ok_or_else(|| ConfigError(format!("--feature-gates: unrecognized feature gate: {name}")))?;
        if gate.locked && on != gate.default {
            return Err(ConfigError(format!(
                "--feature-gates: cannot set feature gate {name} to {on}, feature is locked to {}",
                gate.default
            )));
        }
        gates.0.insert(name, on);
    }
    Ok(gates)
}

/// The certificates and keys that a server needs.
struct Secrets {
    client_ca_pem: String,
    serving: Identity,
    kubelet_client: Option<Identity>,
    kubelet_ca_pem: String,
    token_key: TokenKey,
}

impl Args {
    fn secrets(&self, env: &Env, advertised: IpAddr) -> Result<Secrets, ConfigError> {
        let now = env.clock.now();
        let text = |e: pki::PkiError| ConfigError(component::run::chain(&e));
        let own = || -> Result<(PkiDirectory, Authority), ConfigError> {
            let directory = PkiDirectory::open(&self.cert_dir).map_err(text)?;
            let authority = directory.authority("ca", "kubernetes", now).map_err(text)?;
            Ok((directory, authority))
        };
        let client_ca_pem = match &self.client_ca_file {
            Some(path) => read_file("--client-ca-file", path)?,
            None => {
                let (directory, authority) = own()?;
                let admin = CertificateRequest::client("kubernetes-admin", "system:masters");
                directory.certificate("admin", &authority, &admin, now).map_err(text)?;
                authority.certificate_pem().to_owned()
            }
        };
        let serving = match (&self.tls_cert_file, &self.tls_private_key_file) {
            (Some(cert), Some(key)) => Identity {
                certificate_pem: read_file("--tls-cert-file", cert)?,
                key_pem: read_file("--tls-private-key-file", key)?,
            },
            _ => {
                let (directory, authority) = own()?;
                let service_ips = [self.ranges()?.kubernetes_ip()];
                let hosts = [
                    host_name()?,
                    "localhost".into(),
                    advertised.to_string(),
                    "127.0.0.1".into(),
                    "::1".into(),
                ];
                let request = CertificateRequest::apiserver("cluster.local", &service_ips, &hosts);
                directory.certificate("apiserver", &authority, &request, now).map_err(text)?
            }
        };
        let kubelet_client = match (&self.kubelet_client_certificate, &self.kubelet_client_key) {
            (Some(cert), Some(key)) => Some(Identity {
                certificate_pem: read_file("--kubelet-client-certificate", cert)?,
                key_pem: read_file("--kubelet-client-key", key)?,
            }),
            _ if self.client_ca_file.is_none() => {
                let (directory, authority) = own()?;
                let request = CertificateRequest::client("kube-apiserver-kubelet-client", "system:masters");
                Some(
                    directory
                        .certificate("apiserver-kubelet-client", &authority, &request, now)
                        .map_err(text)?,
                )
            }
            _ => None,
        };
        let token_key = match &self.service_account_signing_key_file {
            Some(path) => {
                TokenKey::from_pem(&read_file("--service-account-signing-key-file", path)?).map_err(text)?
            }
            None => PkiDirectory::open(&self.cert_dir).and_then(|d| d.token_key("sa")).map_err(text)?,
        };
        let kubelet_ca_pem = match &self.kubelet_certificate_authority {
            Some(path) => read_file("--kubelet-certificate-authority", path)?,
            None => client_ca_pem.clone(),
        };
        Ok(Secrets { client_ca_pem, serving, kubelet_client, kubelet_ca_pem, token_key })
    }

    fn tokens(&self) -> Result<Option<Arc<TokenFile>>, ConfigError> {
        let Some(path) = &self.token_auth_file else { return Ok(None) };
        let tokens = TokenFile::parse(&read_file("--token-auth-file", path)?)
            .map_err(|e| ConfigError(format!("--token-auth-file: {e}")))?;
        Ok(Some(Arc::new(tokens)))
    }

    fn ranges(&self) -> Result<alloc::Ranges, ConfigError> {
        alloc::Ranges::parse(&self.service_cluster_ip_range, self.node_ports()?)
            .map_err(|e| ConfigError(format!("--service-cluster-ip-range: {e}")))
    }

    fn node_ports(&self) -> Result<RangeInclusive<u16>, ConfigError> {
        let wrong = || {
            ConfigError(format!(
                "--service-node-port-range: {:?} is not FIRST-LAST",
                self.service_node_port_range
            ))
        };
        let (first, last) = self.service_node_port_range.split_once('-').ok_or_else(wrong)?;
        let range: RangeInclusive<u16> =
            first.trim().parse().map_err(|_| wrong())?..=last.trim().parse().map_err(|_| wrong())?;
        if *range.start() == 0 || range.is_empty() { Err(wrong()) } else { Ok(range) }
    }
}

/// The address that this host uses towards the default route; loopback on a host without one.
pub fn host_address() -> IpAddr {
    // Connecting a datagram socket sends nothing; it makes the kernel choose the address that it would send from.
    let chosen = std::net::UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("198.51.100.1:9")?;
        socket.local_addr()
    });
    chosen.map_or(IpAddr::from([127, 0, 0, 1]), |address| address.ip())
}

/// Runs kube-apiserver with a command line whose first word is the program's name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = Args::parse_from(args);
    let log = args.log.clone();
    component::run("kube-apiserver", &log, move |tasks| async move { start(&args, tasks).await })
}

async fn start(args: &Args, tasks: Tasks) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let env = Env::real();
    let advertised = args.advertise_address.unwrap_or_else(host_address);
    let secrets = args.secrets(&env, advertised)?;
    let node_ports = args.node_ports()?;
    let kubelet_tls = match &secrets.kubelet_client {
        Some(identity) => Some(Arc::new(pki::tls::client_config(&secrets.kubelet_ca_pem, Some(identity))?)),
        None => None,
    };
    let config = Config {
        anonymous_auth: args.anonymous_auth,
        log_dir: args.enable_logs_handler.then(|| crate::config::LOG_DIR.into()),
        request_timeout: args.request_timeout,
        min_watch_timeout: Duration::from_secs(args.min_request_timeout),
        advertise_address: SocketAddr::new(advertised, args.secure_port).to_string(),
        features: features(&args.feature_gates)?,
        event_ttl: args.event_ttl,
        kubelet_tls,
        compaction_interval: args.etcd_compaction_interval,
        tokens: args.tokens()?,
        runtime_config: RuntimeConfig::parse(&args.runtime_config)?,
    };
    let listener =
        tokio::net::TcpListener::bind(SocketAddr::new(args.bind_address, args.secure_port)).await?;
    let tls = pki::tls::server_config(&secrets.serving, pki::tls::ClientAuth::Request)?;
    let backend = store::open_embedded(&env, &args.data_dir, &tasks).await?;
    let audiences = if args.api_audiences.is_empty() {
        vec![args.service_account_issuer.clone()]
    } else {
        args.api_audiences.clone()
    };
    let bootstrap = assembly::bootstrap_config(
        &env,
        advertised,
        args.secure_port,
        &args.service_cluster_ip_range,
        &secrets.client_ca_pem,
    )?;
    let assembly = Assembly {
        config,
        client_ca_pem: secrets.client_ca_pem,
        token_key: secrets.token_key,
        issuer: args.service_account_issuer.clone(),
        audiences,
        bootstrap,
        node_ports,
    };
    let server = assembly::start(assembly, env, backend, tasks).await?;
    server.serve(listener, Arc::unwrap_or_clone(tls));
    tracing::info!(component = "kube-apiserver", address = %args.bind_address, port = args.secure_port, "serving");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_known_and_locked_ones_stay() {
        let gates = features("").unwrap();
        assert!(gates.0.len() > 100);
        assert!(features("NoSuchGate=true").unwrap_err().0.contains("unrecognized feature gate: NoSuchGate"));
    }

    #[test]
    fn port_ranges_are_checked() {
        let ports = |text: &str| {
            Args::try_parse_from(["kube-apiserver", &format!("--service-node-port-range={text}")])
                .unwrap()
                .node_ports()
        };
        assert_eq!(ports("30000-32767").unwrap(), 30_000..=32_767);
        for wrong in ["x", "5-4", "0-5", "1"] {
            assert!(ports(wrong).is_err(), "{wrong}");
        }
    }
}
