//! Images: whether one is there, pulls with back-off and credentials, and their collection when the disk fills up.
//!
//! Pulls of the same image wait for one another, so that it is pulled once; how many run at the same time is configured.

pub mod credentials;
mod gc;
pub mod name;

use std::collections::BTreeMap;
use std::sync::Arc;

use client::EventType;
use cri::v1;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::agent::Agent;
use crate::api::Pod;
use crate::api::pod::Container;
use crate::api::status::Waiting;
use crate::backoff::{self, Backoff, after};

/// How long ErrImagePull shows before it becomes ImagePullBackOff: a moment of upstream's next look.
const ERR_SHOWN: std::time::Duration = std::time::Duration::from_secs(2);

/// Why a container cannot have its image, and when to try again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageError {
    pub(crate) waiting: Waiting,
    pub(crate) retry_at: Timestamp,
}

#[derive(Debug)]
pub(crate) struct Images {
    parallel: Semaphore,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// One gate per image that is being pulled or was lately.
    gates: BTreeMap<String, Arc<tokio::sync::Mutex<()>>>,
    /// By pod and image: the back-off, when it began and the error that it waits after.
    backoffs: BTreeMap<(String, String), (Backoff, Timestamp, String)>,
    /// When an image was first seen and last used here, for collection.
    seen: BTreeMap<String, gc::Seen>,
}

impl Images {
    pub(crate) fn new(parallel: usize) -> Self {
        Self { parallel: Semaphore::new(parallel), state: Mutex::default() }
    }

    /// Forgets a pod's back-offs.
    pub(crate) fn release(&self, uid: &str) {
        self.state.lock().backoffs.retain(|(pod, _), _| pod != uid);
    }

    /// Makes the container's image present by its pull policy and gives it as the runtime knows it.
    pub(crate) async fn ensure(
        &self,
        agent: &Agent,
        pod: &Pod,
        container: &Container,
        sandbox: &v1::PodSandboxConfig,
    ) -> Result<v1::Image, ImageError> {
        let image = match name::normalise(&container.image) {
            Ok(image) => image,
            Err(problem) => {
                let message = format!("Failed to apply default image tag {:?}: {problem}", container.image);
                agent.container_event(pod, container, EventType::Warning, "InspectFailed", message.clone());
                agent.container_event(
                    pod,
                    container,
                    EventType::Warning,
                    "Failed",
                    "Error: InvalidImageName",
                );
                return Err(self.problem(agent, "InvalidImageName", message));
            }
        };
        let present = self.status(agent, &image).await?;
        let policy = container.image_pull_policy.as_str();
        if policy == "Never" && present.is_none() {
            let message =
                format!("Container image {:?} is not present with pull policy of Never", container.image);
            agent.container_event(pod, container, EventType::Warning, "ErrImageNeverPull", message.clone());
            agent.container_event(pod, container, EventType::Warning, "Failed", "Error: ErrImageNeverPull");
            return Err(self.problem(agent, "ErrImageNeverPull", message));
        }
        if let Some(found) = present.filter(|_| policy != "Always") {
            self.told_present(agent, pod, container);
            return Ok(found);
        }
        self.in_back_off(agent, pod, container, &image)?;
        let gate = Arc::clone(self.state.lock().gates.entry(image.clone()).or_default());
        let passed = gate.lock().await;
        // Whoever went before may have brought it.
        if policy != "Always"
            && let Some(found) = self.status(agent, &image).await?
        {
            self.told_present(agent, pod, container);
            return Ok(found);
        }
        let pulled = self.pull(agent, pod, container, &image, sandbox).await;
        drop(passed);
        pulled
    }

    fn told_present(&self, agent: &Agent, pod: &Pod, container: &Container) {
        let message = format!(
            "Container image {:?} already present on machine and can be accessed by the pod",
            container.image
        );
        agent.container_event(pod, container, EventType::Normal, "Pulled", message);
    }

    async fn status(&self, agent: &Agent, image: &str) -> Result<Option<v1::Image>, ImageError> {
        agent.runtime.image_status(image).await.map_err(|e| {
            self.problem(agent, "ImageInspectError", format!("Failed to inspect image {image:?}: {e}"))
        })
    }

    fn problem(&self, agent: &Agent, reason: &str, message: String) -> ImageError {
        let retry_at = after(agent.now(), backoff::INITIAL);
        ImageError { waiting: Waiting::new(reason, message), retry_at }
    }

    fn in_back_off(
        &self,
        agent: &Agent,
        pod: &Pod,
        container: &Container,
        image: &str,
    ) -> Result<(), ImageError> {
        let key = (pod.metadata.uid.clone(), image.to_owned());
        let now = agent.now();
        let found = self.state.lock().backoffs.get(&key).cloned();
        let Some((backoff, failed_at, error)) = found else { return Ok(()) };
        match backoff.ready_at(failed_at) {
            Some(at) if at > now => {
                let short = format!("Back-off pulling image {:?}", container.image);
                agent.container_event(pod, container, EventType::Normal, "BackOff", short.clone());
                agent.container_event(
                    pod,
                    container,
                    EventType::Warning,
                    "Failed",
                    "Error: ImagePullBackOff",
                );
                let waiting = Waiting::new("ImagePullBackOff", format!("{short}: ErrImagePull: {error}"));
                Err(ImageError { waiting, retry_at: at })
            }
            _ => Ok(()),
        }
    }

    async fn pull(
        &self,
        agent: &Agent,
        pod: &Pod,
        container: &Container,
        image: &str,
        sandbox: &v1::PodSandboxConfig,
    ) -> Result<v1::Image, ImageError> {
        let quoted = format!("{:?}", container.image);
        agent.container_event(
            pod,
            container,
            EventType::Normal,
            "Pulling",
            format!("Pulling image {quoted}"),
        );
        let asked = tokio::time::Instant::now();
        let permit = self.parallel.acquire().await.expect("the semaphore is never closed");
        let began = tokio::time::Instant::now();
        let mut result = Ok(String::new());
        for auth in credentials::of(agent, pod, image).await {
            result = agent.runtime.pull_image(image, auth, sandbox).await;
            if result.is_ok() {
                break;
            }
        }
        drop(permit);
        let key = (pod.metadata.uid.clone(), image.to_owned());
        let error = match result {
            Ok(_) => match self.status(agent, image).await? {
                Some(found) => {
                    self.state.lock().backoffs.remove(&key);
                    let message = format!(
                        "Successfully pulled image {quoted} in {} ({} including waiting). Image size: {} bytes.",
                        go_millis(began.elapsed()),
                        go_millis(asked.elapsed()),
                        found.size
                    );
                    agent.container_event(pod, container, EventType::Normal, "Pulled", message);
                    return Ok(found);
                }
                None => format!("the runtime does not have image {image} after pulling it"),
            },
            Err(e) => format!("failed to pull image {quoted}: {}", e.message()),
        };
        let now = agent.now();
        {
            let mut state = self.state.lock();
            let old = state.backoffs.get(&key).map(|(b, ..)| *b);
            state
                .backoffs
                .insert(key, (Backoff::next(old.as_ref(), now, now, backoff::MAX), now, error.clone()));
        }
        let event = format!("Failed to pull image {quoted}: {error}");
        agent.container_event(pod, container, EventType::Warning, "Failed", event);
        agent.container_event(pod, container, EventType::Warning, "Failed", "Error: ErrImagePull");
        Err(ImageError { waiting: Waiting::new("ErrImagePull", error), retry_at: after(now, ERR_SHOWN) })
    }
}

/// Go's text of a duration, to the millisecond.
fn go_millis(duration: std::time::Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let text = format!("{:.3}", duration.as_secs_f64());
    format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::go_millis;
    use std::time::Duration;

    #[test]
    fn durations_as_go_writes_them() {
        for (millis, text) in [(0, "0ms"), (250, "250ms"), (1000, "1s"), (1250, "1.25s")] {
            assert_eq!(go_millis(Duration::from_millis(millis)), text);
        }
    }
}
