//! Rotation of container logs: a log that has grown past the limit is set aside, compressed, and the runtime opens a new
//! one; of the set-aside ones the oldest go.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::agent::Agent;
use crate::quantity::Quantity;

/// Looks for ever, at the configured interval.
pub(crate) async fn run(agent: Arc<Agent>) {
    loop {
        tokio::time::sleep(agent.config.kubelet.container_log_monitor_interval).await;
        let max =
            u64::try_from(Quantity(agent.config.kubelet.container_log_max_size.clone()).value()).unwrap_or(0);
        if max == 0 {
            continue;
        }
        for view in agent.pods.views() {
            for container in view.containers.values().filter(|c| c.running && !c.log_path.is_empty()) {
                let path = PathBuf::from(&container.log_path);
                if agent.host.file_len(&path).is_ok_and(|len| len >= max)
                    && let Err(error) = rotate(&agent, &path, &container.id).await
                {
                    tracing::warn!(component = "kubelet", %error, path = %path.display(), "log not rotated");
                }
            }
        }
    }
}

/// Set-aside logs of `name` that have to go so that, with the live one and the one just set aside, `max` files are left.
fn surplus(names: &[String], name: &str, max: u32) -> Vec<String> {
    let prefix = format!("{name}.");
    // The time in the name sorts by age.
    let mut old: Vec<String> = names.iter().filter(|n| n.starts_with(&prefix)).cloned().collect();
    let keep = usize::try_from(max.saturating_sub(2)).unwrap_or(0);
    old.truncate(old.len().saturating_sub(keep));
    old
}

async fn rotate(agent: &Agent, path: &Path, id: &str) -> std::io::Result<()> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name().map(|n| n.to_string_lossy().into_owned()))
    else {
        return Ok(());
    };
    let names = agent.host.list_dir(dir)?;
    for old in surplus(&names, &name, agent.config.kubelet.container_log_max_files) {
        agent.host.remove_file(&dir.join(old))?;
    }
    // What was set aside before is no longer written to: it can be compressed now.
    for plain in
        agent.host.list_dir(dir)?.iter().filter(|n| n.starts_with(&format!("{name}.")) && !n.ends_with(".gz"))
    {
        agent.host.compress(&dir.join(plain), &dir.join(format!("{plain}.gz"))).await?;
    }
    let stamp: String = agent.now().to_string().chars().filter(char::is_ascii_digit).take(14).collect();
    let aside = dir.join(format!("{name}.{}-{}", &stamp[..8.min(stamp.len())], &stamp[8.min(stamp.len())..]));
    agent.host.rename(path, &aside)?;
    if let Err(e) = agent.runtime.reopen_container_log(id).await {
        // The runtime still writes to the old file: it gets its name back.
        agent.host.rename(&aside, path)?;
        return Err(std::io::Error::other(e.to_string()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::surplus;

    #[test]
    fn the_oldest_go() {
        let names = [
            "0.log",
            "0.log.20260101-000000.gz",
            "0.log.20260102-000000.gz",
            "0.log.20260103-000000",
            "1.log",
        ];
        let names = names.map(str::to_owned);
        assert_eq!(surplus(&names, "0.log", 3), ["0.log.20260101-000000.gz", "0.log.20260102-000000.gz"]);
        assert!(surplus(&names, "0.log", 5).is_empty());
        assert!(surplus(&names, "1.log", 2).is_empty());
    }
}
