//! `gantry image load FILE`.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::state::State;

/// Imports the images of a tar file into the node's containerd and prints their names.
pub(crate) async fn load(state: &State, file: PathBuf) -> Result<()> {
    let socket = state.containerd_socket();
    if !socket.exists() {
        bail!("no cluster runs here (no {}): start one with `gantry up`", socket.display());
    }
    if !file.is_file() {
        bail!("{} is not a file", file.display());
    }
    println!("Importing {} ...", file.display());
    let names =
        crate::runtime::import(&socket, &file).await.with_context(|| format!("import {}", file.display()))?;
    if names.is_empty() {
        bail!(
            "{} holds no image: it must be what `docker save` writes, or an OCI layout in a tar",
            file.display()
        );
    }
    for name in names {
        println!("{name}");
    }
    Ok(())
}
