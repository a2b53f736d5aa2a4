//! The command line of the front door.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use component::LogArgs;

use crate::state::State;
use crate::{down, image_load, launch, status};

/// A whole Kubernetes cluster on this host, in one process
#[derive(Parser, Debug)]
#[command(name = "gantry", version = crate::VERSION, max_term_width = 100)]
#[command(after_help = "\
The same file is kube-apiserver, kube-scheduler, kube-controller-manager, kubelet and
kube-proxy when it is called by one of these names, or as `gantry NAME ...`, with
upstream's flags.

Examples:
  gantry up                                  start a one-node cluster and wait until it is ready
  export KUBECONFIG=$(gantry kubeconfig --path)
  kubectl get nodes
  gantry down                                stop it and remove everything that it made")]
pub struct Cli {
    #[command(flatten)]
    pub dirs: Directories,
    #[command(flatten)]
    pub log: LogArgs,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Args, Clone, Debug)]
pub struct Directories {
    /// What must last: store, certificates, container files
    #[arg(long, default_value = "/var/lib/gantry", global = true, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// What ends with the host's uptime: sockets, process ids
    #[arg(long, default_value = "/run/gantry", global = true, value_name = "DIR")]
    pub run_dir: PathBuf,
}

impl Directories {
    /// By absolute paths: the background process works elsewhere, and mounts are found by theirs.
    pub fn state(&self) -> std::io::Result<State> {
        Ok(State::new(std::path::absolute(&self.data_dir)?, std::path::absolute(&self.run_dir)?))
    }
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Start a cluster on this host and wait until its node is Ready and DNS answers
    Up(UpArgs),
    /// Stop the cluster and remove every container, interface, rule, mount and cgroup that it made
    Down {
        /// Keep the store, the certificates and the images for the next `up`
        #[arg(long)]
        keep_data: bool,
    },
    /// Show whether the cluster runs and how its parts are
    Status,
    /// Print the administrator's kubeconfig
    Kubeconfig {
        /// Print the file's path instead of its content
        #[arg(long)]
        path: bool,
    },
    /// Work with the node's images
    Image {
        #[command(subcommand)]
        command: ImageCommand,
    },
}

#[derive(Subcommand, Debug)]
pub enum ImageCommand {
    /// Import the images of a tar file (`docker save`, or an OCI layout)
    Load {
        /// The tar file
        file: PathBuf,
    },
}

/// How a cluster is started.
#[derive(Args, Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct UpArgs {
    /// Stay in the foreground and log to the terminal
    #[arg(long)]
    pub foreground: bool,
    /// Port of the API server
    #[arg(long, default_value_t = 6443, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// Address of this node; by default that of the interface with the default route
    #[arg(long, value_name = "IP")]
    pub node_ip: Option<std::net::IpAddr>,
    /// Name of this node; by default the host's name
    #[arg(long, value_name = "NAME")]
    pub node_name: Option<String>,
    /// Addresses of pods
    #[arg(long, default_value = "10.244.0.0/16", value_name = "CIDR")]
    pub cluster_cidr: String,
    /// Addresses of services
    #[arg(long, default_value = "10.96.0.0/16", value_name = "CIDR")]
    pub service_cidr: String,
    /// How long to wait until the cluster is ready
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    pub timeout: u64,
}

impl UpArgs {
    pub fn limit(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    /// The same cluster would come of both: how it is started and waited for does not matter.
    pub fn same_cluster(&self, other: &Self) -> bool {
        let plain = |args: &Self| Self { foreground: false, timeout: 0, ..args.clone() };
        plain(self) == plain(other)
    }

    /// What a cluster is made of by these flags, and not by `other`: `--port 6443`.
    pub fn differing_from(&self, other: &Self) -> Vec<String> {
        let flags = |args: &Self| {
            [
                ("--port", args.port.to_string()),
                ("--node-ip", args.node_ip.map_or_else(|| "unset".to_owned(), |ip| ip.to_string())),
                ("--node-name", args.node_name.clone().unwrap_or_else(|| "unset".to_owned())),
                ("--cluster-cidr", args.cluster_cidr.clone()),
                ("--service-cidr", args.service_cidr.clone()),
            ]
        };
        let pairs = flags(self).into_iter().zip(flags(other));
        pairs.filter(|(own, other)| own != other).map(|((flag, own), _)| format!("{flag} {own}")).collect()
    }
}

/// Runs the command line.
pub fn main(args: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let cli = Cli::parse_from(args);
    let state = match cli.dirs.state() {
        Ok(state) => state,
        Err(error) => {
            eprintln!("gantry: find the directories: {error}");
            return ExitCode::FAILURE;
        }
    };
    match cli.command {
        Command::Up(up) if up.foreground => crate::server::run_foreground(&state, &up, &cli.log),
        Command::Up(up) => once(launch::up(&state, &up, &cli.log)),
        Command::Down { keep_data } => once(down::down(&state, keep_data)),
        Command::Status => once(status::status(&state)),
        Command::Kubeconfig { path } => once(async move { status::kubeconfig(&state, path) }),
        Command::Image { command: ImageCommand::Load { file } } => once(image_load::load(&state, file)),
    }
}

/// Runs a command that ends by itself.
fn once(work: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("gantry: the runtime could not be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gantry: {error:#}");
            ExitCode::FAILURE
        }
    }
}
