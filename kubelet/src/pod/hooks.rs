//! Lifecycle hooks: what `postStart` and `preStop` do.

use std::time::Duration;

use crate::agent::Agent;
use crate::api::pod::{Container, Handler};
use crate::probe::http_request;

/// How long an HTTP hook may take, as upstream's client.
const HTTP_MAX: Duration = Duration::from_secs(60);

/// Runs a hook to its end; the error is the text of its failure.
pub(crate) async fn run(
    agent: &Agent,
    container: &Container,
    id: &str,
    pod_ip: &str,
    handler: &Handler,
) -> Result<(), String> {
    if let Some(action) = &handler.exec {
        let output =
            agent.runtime.exec_sync(id, &action.command, Duration::ZERO).await.map_err(|e| e.to_string())?;
        if output.exit_code != 0 {
            let text = [output.stdout, output.stderr].concat();
            return Err(format!(
                "command '{}' exited with {}: {}",
                action.command.join(" "),
                output.exit_code,
                String::from_utf8_lossy(&text)
            ));
        }
        return Ok(());
    }
    if let Some(action) = &handler.http_get {
        let request = http_request(container, action, pod_ip)?;
        let answer = agent.host.http_get(&request, HTTP_MAX).await.map_err(|e| e.to_string())?;
        if answer.status >= 400 {
            return Err(format!("HTTP request returned error code {}", answer.status));
        }
        return Ok(());
    }
    if let Some(action) = &handler.sleep {
        tokio::time::sleep(Duration::from_secs(u64::try_from(action.seconds).unwrap_or(0))).await;
        return Ok(());
    }
    // A TCP hook has never done anything; the API keeps the field for old objects.
    Ok(())
}
