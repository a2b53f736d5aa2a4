//! What the front door itself asks of the container runtime: import images, remove every container.

use std::path::Path;
use std::time::Duration;

use component::Tasks;
use cri::{ContainerdRuntime, Runtime as _};
use env::Env;
use futures::stream::{FuturesUnordered, StreamExt as _};

/// Imports the images of a tar file and gives their names.
pub(crate) async fn import(socket: &Path, file: &Path) -> Result<Vec<String>, cri::Error> {
    let tasks = Tasks::new("image");
    let runtime = ContainerdRuntime::new(&socket.display().to_string(), &tasks);
    let names = runtime.import_image(&Env::real(), file).await;
    tasks.kill();
    names
}

/// Stops and removes every sandbox with its containers, all at once: `down` does not wait for one after the other.
/// Returns what could not be removed.
pub(crate) async fn remove_all(socket: &Path) -> Result<Vec<String>, cri::Error> {
    let tasks = Tasks::new("down");
    let runtime = ContainerdRuntime::new(&socket.display().to_string(), &tasks);
    runtime.ready(Duration::from_secs(5)).await?;
    let sandboxes = runtime.list_sandboxes(&[]).await?;
    let mut removals: FuturesUnordered<_> = sandboxes
        .iter()
        .map(|sandbox| async {
            let result = async {
                runtime.stop_sandbox(&sandbox.id).await?;
                runtime.remove_sandbox(&sandbox.id).await
            };
            result.await.err().map(|error| format!("sandbox {}: {error}", sandbox.id))
        })
        .collect();
    let mut failures = Vec::new();
    while let Some(failure) = removals.next().await {
        failures.extend(failure);
    }
    tasks.kill();
    Ok(failures)
}
