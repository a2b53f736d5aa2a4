//! `gantry status` and `gantry kubeconfig`: what an operator asks first.

use std::fs;

use anyhow::{Context as _, Result, bail};
use client::{Client, ListParams, resources};
use serde::Deserialize;

use crate::state::{ProcessId, State};

#[derive(Deserialize)]
struct Node {
    metadata: client::Meta,
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Deserialize, Default)]
struct NodeStatus {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

/// Prints what runs. Fails when the cluster does not.
pub(crate) async fn status(state: &State) -> Result<()> {
    // What a stranger may not look into is not nothing.
    if let Err(error) = fs::read_dir(&state.run)
        && error.kind() == std::io::ErrorKind::PermissionDenied
    {
        bail!("{} is root's alone: run as root", state.run.display());
    }
    let Some(id) = ProcessId::read(&state.server_pid()) else {
        bail!("no cluster runs here; start one with `gantry up`");
    };
    println!("{:<14} running, process {}", "gantry", id.pid);
    match ProcessId::read(&state.containerd_pid()) {
        Some(id) => println!("{:<14} running, process {}", "containerd", id.pid),
        None => println!("{:<14} NOT running; its log is {}", "containerd", state.containerd_log().display()),
    }
    let client = Client::from_kubeconfig(&read_kubeconfig(state)?).await?;
    let nodes = client
        .list::<Node>(&resources::NODES, &ListParams::default())
        .await
        .with_context(|| format!("ask the API server; the log is {}", state.server_log().display()))?;
    println!("{:<14} answering", "kube-apiserver");
    for node in nodes.items {
        let ready = node.status.conditions.iter().find(|c| c.kind == "Ready");
        let text = match ready {
            Some(c) if c.status == "True" => "Ready".to_owned(),
            Some(c) => format!("NotReady: {}: {}", c.reason, c.message),
            None => "NotReady: the kubelet has not reported".to_owned(),
        };
        println!("{:<14} {text}", format!("node {}", node.metadata.name));
    }
    Ok(())
}

/// Prints the administrator's kubeconfig, or where it is.
pub(crate) fn kubeconfig(state: &State, path: bool) -> Result<()> {
    let text = read_kubeconfig(state)?;
    if path {
        println!("{}", state.kubeconfig().display());
    } else {
        print!("{text}");
    }
    Ok(())
}

fn read_kubeconfig(state: &State) -> Result<String> {
    let path = state.kubeconfig();
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("no cluster was started here (there is no {}): start one with `gantry up`", path.display())
        }
        read => read.with_context(|| format!("read {}", path.display())),
    }
}
