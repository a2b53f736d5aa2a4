//! Images from an archive file, through containerd's own `ctr`: containerd 1.6 has no transfer service, and its content
//! service alone would leave us to convert Docker archives ourselves.

use std::path::Path;
use std::time::Duration;

use env::{Command, Env};

use super::ContainerdRuntime;
use super::pump::NAMESPACE;
use crate::error::{Error, Result};
use crate::runtime::Runtime as _;

/// A large image on a slow disk.
const IMPORT_MAX: Duration = Duration::from_secs(600);
/// CRI's plugin takes note of a new image from containerd's events, a moment later.
const NOTED_MAX: Duration = Duration::from_secs(10);

pub(super) async fn import(runtime: &ContainerdRuntime, env: &Env, archive: &Path) -> Result<Vec<String>> {
    let socket = runtime.socket().display().to_string();
    let file = archive.display().to_string();
    let command = Command::new("ctr")
        .args(["-a", &socket, "-n", NAMESPACE, "images", "import", &file])
        .timeout(IMPORT_MAX);
    let output = env.process.run(command).await.map_err(|e| Error::Helper(format!("import {file}: {e}")))?;
    if !output.success() {
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Error::Helper(format!("import {file}: {text}")));
    }
    let names = names(&String::from_utf8_lossy(&output.stdout));
    for name in &names {
        wait_until_noted(runtime, name).await?;
    }
    Ok(names)
}

/// The images that `ctr` says it has made: `unpacking NAME (sha256:…)...done` (1.x) or `NAME saved` (2.x).
fn names(output: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for line in output.split(['\n', '\r']) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let name = match words.as_slice() {
            ["unpacking", name, ..] | [name, "saved", ..] => (*name).to_owned(),
            _ => continue,
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

async fn wait_until_noted(runtime: &ContainerdRuntime, name: &str) -> Result<()> {
    let deadline = tokio::time::Instant::now() + NOTED_MAX;
    let mut pause = Duration::from_millis(2);
    while runtime.image_status(name).await?.is_none() {
        if tokio::time::Instant::now() > deadline {
            return Err(Error::Helper(format!("imported {name}, but the runtime does not list it")));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(200));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn names_of_both_generations() {
        assert_eq!(
            names("unpacking docker.io/library/busybox:1 (sha256:0123)...done\n"),
            ["docker.io/library/busybox:1"]
        );
        assert_eq!(
            names("docker.io/library/a:1 \tsaved\napplication/vnd.oci sha256:1\nImporting\t elapsed: 0.1 s"),
            ["docker.io/library/a:1"]
        );
        assert!(names("").is_empty());
    }
}
