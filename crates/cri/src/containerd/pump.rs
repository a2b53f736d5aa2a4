//! containerd's event service turned into [`RuntimeEvent`]s, for ever, with reconnection.
//!
//! containerd publishes an exit before its CRI plugin has recorded it, so an exit is passed on only once CRI's status
//! agrees: who hears of it can read code and time at once. CRI's own event stream is not used (containerd 1.6 has none).

use std::time::Duration;

use containerd_client::events::{TaskExit, TaskOom};
use containerd_client::services::v1::SubscribeRequest;
use containerd_client::services::v1::events_client::EventsClient;
use containerd_client::types::Envelope;
use futures::stream::{FuturesUnordered, StreamExt};
use prost::Message as _;

use super::ContainerdRuntime;
use crate::events::RuntimeEvent;
use crate::runtime::Runtime as _;
use crate::v1;

/// The namespace in which containerd's CRI plugin keeps everything.
pub(super) const NAMESPACE: &str = "k8s.io";

const BACKOFF_MIN: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Exits whose record is awaited at the same time. Beyond it the listeners are told to list instead.
const SETTLING_MAX: usize = 256;

/// The server answers a subscription with its first event only, so its start can't be seen. By then it has begun.
const SUBSCRIBED_AFTER: Duration = Duration::from_millis(100);

/// How long CRI may take to record an exit before it is passed on all the same. Whoever looks then may still be told that
/// the container runs, and nothing tells them later: a busy host gets its time.
const SETTLE_MAX: Duration = Duration::from_secs(600);
const SETTLE_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Follows the event service until it is dropped.
pub(super) async fn run(runtime: ContainerdRuntime) {
    let mut pause = BACKOFF_MIN;
    loop {
        let started = tokio::time::Instant::now();
        if let Err(error) = follow(&runtime).await {
            tracing::debug!(component = "cri", %error, "containerd's event stream ended");
        }
        // A stream that lasted is no reason to wait long for the next one.
        pause = if started.elapsed() > BACKOFF_MAX { BACKOFF_MIN } else { (pause * 2).min(BACKOFF_MAX) };
        tokio::time::sleep(pause).await;
    }
}

async fn follow(runtime: &ContainerdRuntime) -> Result<(), tonic::Status> {
    // Fails while there is no server, so that the subscription below really waits for events only.
    runtime.version().await.map_err(|e| tonic::Status::unavailable(e.to_string()))?;
    let filters = ["/tasks/exit", "/tasks/oom"]
        .map(|topic| format!("namespace==\"{NAMESPACE}\",topic==\"{topic}\""))
        .to_vec();
    let mut client = EventsClient::new(runtime.channel.clone());
    let subscribe = client.subscribe(SubscribeRequest { filters });
    tokio::pin!(subscribe);
    let answer = tokio::select! {
        biased;
        answer = &mut subscribe => answer,
        () = tokio::time::sleep(SUBSCRIBED_AFTER) => {
            runtime.events.send(RuntimeEvent::Missed);
            subscribe.await
        }
    };
    let mut stream = answer?.into_inner();
    // Whatever ended before the subscription stood is found by listing.
    runtime.events.send(RuntimeEvent::Missed);
    let mut settling = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(event) = settling.next(), if !settling.is_empty() => runtime.events.send(event),
            message = stream.message() => {
                let Some(envelope) = message? else { return Ok(()) };
                match decode(&envelope) {
                    Some(RuntimeEvent::Exited { .. }) if settling.len() >= SETTLING_MAX => {
                        runtime.events.send(RuntimeEvent::Missed);
                    }
                    Some(RuntimeEvent::Exited { id, exit_code }) => {
                        settling.push(settle(runtime, id, exit_code));
                    }
                    Some(event) => runtime.events.send(event),
                    None => {}
                }
            }
        }
    }
}

/// The event in an envelope that concerns the main process of something; exits of exec'd commands do not.
fn decode(envelope: &Envelope) -> Option<RuntimeEvent> {
    let value = envelope.event.as_ref()?.value.as_slice();
    match envelope.topic.as_str() {
        "/tasks/exit" => {
            let exit = TaskExit::decode(value).ok()?;
            (exit.id == exit.container_id).then(|| RuntimeEvent::Exited {
                exit_code: i32::try_from(exit.exit_status).unwrap_or(255),
                id: exit.container_id,
            })
        }
        "/tasks/oom" => Some(RuntimeEvent::OutOfMemory { id: TaskOom::decode(value).ok()?.container_id }),
        _ => None,
    }
}

/// Waits until CRI has recorded the exit of `id`.
async fn settle(runtime: &ContainerdRuntime, id: String, exit_code: i32) -> RuntimeEvent {
    let deadline = tokio::time::Instant::now() + SETTLE_MAX;
    let mut pause = Duration::from_millis(2);
    let mut is_sandbox = false;
    while tokio::time::Instant::now() < deadline {
        if !is_sandbox {
            match runtime.container_status(&id).await {
                Ok(status) if is_recorded(status.state()) => break,
                // A sandbox's own process: containerd logs each question about a container that is none, so one it is.
                Err(e) if e.is_not_found() => is_sandbox = true,
                _ => {}
            }
        }
        if is_sandbox {
            match runtime.sandbox_status(&id).await {
                Ok(status) if status.state() == v1::PodSandboxState::SandboxNotready => break,
                Err(e) if e.is_not_found() => break,
                _ => {}
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(SETTLE_PAUSE_MAX);
    }
    RuntimeEvent::Exited { id, exit_code }
}

/// Whether CRI's state of a container that has ended says so. What ends at once may do so before CRI has recorded its
/// start: it is still created then, and would be seen running next.
fn is_recorded(state: v1::ContainerState) -> bool {
    !matches!(state, v1::ContainerState::ContainerCreated | v1::ContainerState::ContainerRunning)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost_types::Any;

    #[track_caller]
    fn check(topic: &str, value: Vec<u8>, expected: Option<RuntimeEvent>) {
        let event = Some(Any { type_url: String::new(), value });
        let envelope = Envelope { topic: topic.into(), event, ..Default::default() };
        assert_eq!(decode(&envelope), expected);
    }

    #[test]
    fn an_exit_is_recorded_when_cri_says_exited() {
        use v1::ContainerState as State;
        let states = [
            State::ContainerCreated,
            State::ContainerRunning,
            State::ContainerExited,
            State::ContainerUnknown,
        ];
        assert_eq!(states.map(is_recorded), [false, false, true, true]);
    }

    #[test]
    fn only_main_processes_count() {
        let exit = |id: &str| {
            TaskExit { container_id: "c1".into(), id: id.into(), exit_status: 137, ..Default::default() }
                .encode_to_vec()
        };
        check("/tasks/exit", exit("c1"), Some(RuntimeEvent::Exited { id: "c1".into(), exit_code: 137 }));
        check("/tasks/exit", exit("an-exec"), None);
        let oom = TaskOom { container_id: "c1".into() }.encode_to_vec();
        check("/tasks/oom", oom, Some(RuntimeEvent::OutOfMemory { id: "c1".into() }));
        check("/tasks/start", exit("c1"), None);
        check("/tasks/exit", vec![0xff], None);
    }
}
