//! The seam between the kubelet and whatever runs containers.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::error::Result;
use crate::events::EventReceiver;
use crate::v1;

/// The answer of a call, as a future that a trait object can return.
pub type Reply<'a, T> = BoxFuture<'a, Result<T>>;

/// What a command in a container left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOutput {
    pub stdout: Bytes,
    pub stderr: Bytes,
    pub exit_code: i32,
}

/// A container runtime. Calls are idempotent where CRI's are: stopping what is stopped and removing what is gone succeed.
pub trait Runtime: Send + Sync + fmt::Debug {
    fn version(&self) -> Reply<'_, v1::VersionResponse>;
    fn status(&self) -> Reply<'_, v1::StatusResponse>;
    /// Tells the runtime the node's pod CIDR, for runtimes that render their own CNI configuration.
    fn update_pod_cidr<'a>(&'a self, pod_cidr: &'a str) -> Reply<'a, ()>;
    /// Exits and the like from now on, beginning with [`crate::RuntimeEvent::Missed`] where the start was late.
    fn events(&self) -> EventReceiver;

    /// Creates and starts a sandbox; gives its id.
    fn run_sandbox<'a>(&'a self, config: &'a v1::PodSandboxConfig, handler: &'a str) -> Reply<'a, String>;
    /// Kills everything in the sandbox and releases its network.
    fn stop_sandbox<'a>(&'a self, id: &'a str) -> Reply<'a, ()>;
    /// Removes a sandbox with all its containers.
    fn remove_sandbox<'a>(&'a self, id: &'a str) -> Reply<'a, ()>;
    fn sandbox_status<'a>(&'a self, id: &'a str) -> Reply<'a, v1::PodSandboxStatus>;
    /// Sandboxes that have every label; all without labels.
    fn list_sandboxes<'a>(&'a self, labels: &'a [(&'a str, &'a str)]) -> Reply<'a, Vec<v1::PodSandbox>>;

    /// Creates a container without starting it; gives its id.
    fn create_container<'a>(
        &'a self,
        sandbox_id: &'a str,
        config: &'a v1::ContainerConfig,
        sandbox: &'a v1::PodSandboxConfig,
    ) -> Reply<'a, String>;
    fn start_container<'a>(&'a self, id: &'a str) -> Reply<'a, ()>;
    /// Sends the stop signal, and SIGKILL after `grace`; ends when the container has ended.
    fn stop_container<'a>(&'a self, id: &'a str, grace: Duration) -> Reply<'a, ()>;
    fn remove_container<'a>(&'a self, id: &'a str) -> Reply<'a, ()>;
    fn container_status<'a>(&'a self, id: &'a str) -> Reply<'a, v1::ContainerStatus>;
    /// Containers that have every label; all without labels.
    fn list_containers<'a>(&'a self, labels: &'a [(&'a str, &'a str)]) -> Reply<'a, Vec<v1::Container>>;
    fn update_container_resources<'a>(
        &'a self,
        id: &'a str,
        resources: &'a v1::LinuxContainerResources,
    ) -> Reply<'a, ()>;
    /// After a rotation: the runtime opens the log's path anew.
    fn reopen_container_log<'a>(&'a self, id: &'a str) -> Reply<'a, ()>;

    /// Runs a command to its end, killing it after `timeout` (zero: never).
    fn exec_sync<'a>(
        &'a self,
        id: &'a str,
        command: &'a [String],
        timeout: Duration,
    ) -> Reply<'a, ExecOutput>;
    /// The URL of the runtime's streaming server for one exec session.
    fn exec_url(&self, request: v1::ExecRequest) -> Reply<'_, String>;
    fn attach_url(&self, request: v1::AttachRequest) -> Reply<'_, String>;
    fn port_forward_url(&self, request: v1::PortForwardRequest) -> Reply<'_, String>;

    fn container_stats(&self) -> Reply<'_, Vec<v1::ContainerStats>>;
    fn sandbox_stats(&self) -> Reply<'_, Vec<v1::PodSandboxStats>>;

    fn list_images(&self) -> Reply<'_, Vec<v1::Image>>;
    /// The image if it is present.
    fn image_status<'a>(&'a self, image: &'a str) -> Reply<'a, Option<v1::Image>>;
    /// Pulls and gives the reference (id) of what came.
    fn pull_image<'a>(
        &'a self,
        image: &'a str,
        auth: Option<v1::AuthConfig>,
        sandbox: &'a v1::PodSandboxConfig,
    ) -> Reply<'a, String>;
    fn remove_image<'a>(&'a self, image: &'a str) -> Reply<'a, ()>;
    fn image_fs_info(&self) -> Reply<'_, Vec<v1::FilesystemUsage>>;
}
