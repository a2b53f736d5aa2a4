//! `exec`: a command in the container; its exit code 0 is success.

use futures::future::BoxFuture;

use super::{Outcome, ProbeKind, Target};
use crate::api::pod::Handler;

/// What a message shows of the output, as upstream's limit.
const OUTPUT_MAX: usize = 10 << 10;

#[derive(Debug)]
pub(super) struct Exec;

impl ProbeKind for Exec {
    fn handles(&self, handler: &Handler) -> bool {
        handler.exec.is_some()
    }
    fn run<'a>(&'a self, target: &'a Target<'a>, handler: &'a Handler) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let command = &handler.exec.as_ref().expect("handles() saw it").command;
            match target.agent.runtime.exec_sync(target.container_id, command, target.limit).await {
                Ok(output) if output.exit_code == 0 => Outcome::Success,
                Ok(output) => {
                    let mut text = [output.stdout, output.stderr].concat();
                    text.truncate(OUTPUT_MAX);
                    Outcome::Failure(String::from_utf8_lossy(&text).into_owned())
                }
                Err(e) if e.to_string().contains("DeadlineExceeded") => {
                    let shown = command.join(" ");
                    Outcome::Failure(format!(
                        "command timed out: {shown:?} timed out after {}s",
                        target.limit.as_secs()
                    ))
                }
                Err(e) => Outcome::Error(e.to_string()),
            }
        })
    }
}
