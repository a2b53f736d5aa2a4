//! What the runtime has of a pod, as plain values: the input of [`super::plan`] and [`super::status`].

use std::collections::BTreeMap;

use cri::v1;
use jiff::Timestamp;

use crate::api::PodStatus;
use crate::api::status::{ContainerState, Terminated};

/// Labels and annotations that kubelets put on what they create. Upstream's, so that either adopts what the other made.
pub mod labels {
    pub const POD_NAME: &str = "io.kubernetes.pod.name";
    pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
    pub const POD_UID: &str = "io.kubernetes.pod.uid";
    pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";
    pub const HASH: &str = "io.kubernetes.container.hash";
    pub const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
    pub const MESSAGE_PATH: &str = "io.kubernetes.container.terminationMessagePath";
    pub const MESSAGE_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
    pub const POD_GRACE: &str = "io.kubernetes.pod.terminationGracePeriod";
}

/// The newest state of everything that the runtime has of one pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    pub sandbox: Option<Sandbox>,
    /// Sandboxes that a newer one has replaced.
    pub old_sandboxes: Vec<String>,
    pub containers: BTreeMap<String, Instances>,
    /// Containers older than the last two of their name: only waste.
    pub surplus: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sandbox {
    pub id: String,
    pub attempt: u32,
    pub ready: bool,
    /// Its network has been released.
    pub stopped: bool,
    pub ips: Vec<String>,
    pub created_at: Option<Timestamp>,
}

/// The last two containers of one name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Instances {
    pub current: Option<Instance>,
    pub previous: Option<Instance>,
}

/// One container in the runtime.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Instance {
    pub id: String,
    /// Empty for one that only the API remembers.
    pub sandbox_id: String,
    pub attempt: u32,
    pub hash: String,
    pub image: String,
    pub image_id: String,
    pub state: RunState,
    pub log_path: String,
    /// Path in the container and file on the host of its last words.
    pub message_path: String,
    pub message_file: String,
    pub message_policy: String,
}

/// Whether whoever asked for the start went away while it was under way: the runtime then gives up and records an end of
/// something that never ran. It is started anew as if it had not been tried, and counts as no restart.
fn start_was_aborted(status: &v1::ContainerStatus) -> bool {
    status.state() == v1::ContainerState::ContainerExited
        && status.started_at == 0
        && status.reason == "StartError"
        && status.message.contains("context canceled")
}

#[derive(Clone, Debug, Default, PartialEq)]
pub enum RunState {
    #[default]
    Created,
    Running {
        started_at: Timestamp,
    },
    Exited(Exit),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exit {
    pub code: i32,
    pub reason: String,
    pub message: String,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

impl Instance {
    pub fn is_running(&self) -> bool {
        matches!(self.state, RunState::Running { .. })
    }
    pub fn exit(&self) -> Option<&Exit> {
        match &self.state {
            RunState::Exited(exit) => Some(exit),
            _ => None,
        }
    }

    /// From CRI's words.
    pub fn from_cri(sandbox_id: &str, status: &v1::ContainerStatus) -> Self {
        let annotation = |name: &str| status.annotations.get(name).cloned().unwrap_or_default();
        let attempt = status.metadata.as_ref().map_or(0, |m| m.attempt);
        let started_at = timestamp(status.started_at);
        let state = match status.state() {
            v1::ContainerState::ContainerCreated => RunState::Created,
            _ if start_was_aborted(status) => RunState::Created,
            v1::ContainerState::ContainerRunning => {
                RunState::Running { started_at: started_at.unwrap_or(Timestamp::UNIX_EPOCH) }
            }
            v1::ContainerState::ContainerExited | v1::ContainerState::ContainerUnknown => {
                RunState::Exited(Exit {
                    code: status.exit_code,
                    reason: status.reason.clone(),
                    message: status.message.clone(),
                    started_at,
                    finished_at: timestamp(status.finished_at),
                })
            }
        };
        let message_path = annotation(labels::MESSAGE_PATH);
        let message_file = status
            .mounts
            .iter()
            .find(|m| !message_path.is_empty() && m.container_path == message_path)
            .map(|m| m.host_path.clone());
        Self {
            id: status.id.clone(),
            sandbox_id: sandbox_id.to_owned(),
            attempt,
            hash: annotation(labels::HASH),
            image: status.image.as_ref().map(|i| i.image.clone()).unwrap_or_default(),
            image_id: status.image_ref.clone(),
            state,
            log_path: status.log_path.clone(),
            message_path,
            message_file: message_file.unwrap_or_default(),
            message_policy: annotation(labels::MESSAGE_POLICY),
        }
    }
}

/// CRI's nanoseconds; 0 is "not yet".
pub fn timestamp(nanos: i64) -> Option<Timestamp> {
    if nanos <= 0 { None } else { Timestamp::from_nanosecond(nanos.into()).ok() }
}

/// The time without its fraction, as the API keeps times.
pub fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::new(time.as_second(), 0).unwrap_or(time)
}

impl Observed {
    /// Adds what only the API still knows: containers that ran here and that the runtime has lost. They are told as ended,
    /// so that counts go on and a pod that must not run twice does not.
    pub fn remember(&mut self, status: &PodStatus) {
        let all = status
            .init_container_statuses
            .iter()
            .chain(&status.container_statuses)
            .chain(&status.ephemeral_container_statuses);
        for old in all {
            let instances = self.containers.entry(old.name.clone()).or_default();
            if instances.current.is_some() {
                continue;
            }
            let attempt = u32::try_from(old.restart_count).unwrap_or(0);
            let made = |exit: Exit, id: &str| Instance {
                id: id.rsplit_once("://").map_or(id, |(_, id)| id).to_owned(),
                attempt,
                image: old.image.clone(),
                image_id: old.image_id.clone(),
                state: RunState::Exited(exit),
                ..Instance::default()
            };
            if let Some(exit) = exit_of(&old.state) {
                instances.current = Some(made(exit, &old.container_id));
            } else if let Some(running) = &old.state.running {
                let exit = Exit {
                    code: 137,
                    reason: "ContainerStatusUnknown".to_owned(),
                    message: "The container could not be located when the pod was deleted.  The container used to be Running"
                        .to_owned(),
                    started_at: running.started_at,
                    finished_at: None,
                };
                instances.current = Some(made(exit, &old.container_id));
            } else if let Some(exit) = exit_of(&old.last_state) {
                let id =
                    old.last_state.terminated.as_ref().map(|t| t.container_id.clone()).unwrap_or_default();
                instances.current = Some(made(exit, &id));
            }
        }
    }

    pub fn current(&self, name: &str) -> Option<&Instance> {
        self.containers.get(name)?.current.as_ref()
    }
    /// The container of that name in the present sandbox.
    pub fn in_sandbox(&self, name: &str) -> Option<&Instance> {
        let sandbox = &self.sandbox.as_ref()?.id;
        self.current(name).filter(|c| c.sandbox_id == *sandbox)
    }
    pub fn running(&self) -> impl Iterator<Item = (&str, &Instance)> {
        self.containers
            .iter()
            .flat_map(|(name, i)| i.current.iter().chain(&i.previous).map(move |c| (name.as_str(), c)))
            .filter(|(_, c)| c.is_running())
    }
    /// The attempt that the next container of that name is. One that was made and never ran (whoever made it went away)
    /// makes room in its sandbox and does not count.
    pub fn next_attempt(&self, name: &str) -> u32 {
        let never_ran = self.in_sandbox(name).filter(|c| c.state == RunState::Created);
        never_ran.map_or_else(|| self.current(name).map_or(0, |c| c.attempt + 1), |c| c.attempt)
    }
    /// The record of a container by id, to change it.
    pub fn find_mut(&mut self, id: &str) -> Option<&mut Instance> {
        self.containers
            .values_mut()
            .flat_map(|i| i.current.iter_mut().chain(&mut i.previous))
            .find(|c| c.id == id)
    }
}

fn exit_of(state: &ContainerState) -> Option<Exit> {
    let Terminated { exit_code, reason, message, started_at, finished_at, .. } = state.terminated.clone()?;
    Some(Exit { code: exit_code, reason, message, started_at, finished_at })
}
