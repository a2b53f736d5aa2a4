//! A runtime without processes, for hollow nodes and simulation: sandboxes and containers are records, delays are
//! `tokio::time`, ids and addresses are counters, and what a container does is a script.
//!
//! It outlives the kubelet that drives it, as containerd does: a restarted kubelet finds what ran. It does not run
//! anything, write logs or stream.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use component::Tasks;
use env::Env;
use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::events::{EventReceiver, EventSender, RuntimeEvent};
use crate::runtime::{ExecOutput, Reply, Runtime};
use crate::v1;

/// What one container does once started.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// From the call to the running container.
    pub start_delay: Duration,
    /// The start fails with this message.
    pub start_error: Option<String>,
    /// Ends by itself after this long with this code; runs until stopped when absent.
    pub exit: Option<(Duration, i32)>,
    /// From the stop signal to the end; SIGKILL comes first when the grace is shorter.
    pub stop_delay: Duration,
}

/// Chooses the script of a container by its pod and configuration.
pub type Scripts = Arc<dyn Fn(&v1::PodSandboxMetadata, &v1::ContainerConfig) -> Script + Send + Sync>;
/// Answers a command that is run in a container.
pub type Execs = Arc<dyn Fn(&v1::ContainerStatus, &[String]) -> ExecOutput + Send + Sync>;

/// A fake runtime. Clones are the same runtime.
#[derive(Clone)]
pub struct FakeRuntime(Arc<Inner>);

struct Inner {
    env: Env,
    tasks: Tasks,
    events: EventSender,
    state: Mutex<State>,
    /// Makes the ids of different nodes differ.
    node: String,
}

struct State {
    next: u32,
    pod_ip_prefix: String,
    sandbox_delay: Duration,
    scripts: Scripts,
    execs: Execs,
    missing_images: BTreeMap<String, String>,
    network_ready: bool,
    sandboxes: BTreeMap<String, v1::PodSandboxStatus>,
    containers: BTreeMap<String, FakeContainer>,
    images: BTreeMap<String, v1::Image>,
    pulls: u64,
    stream_url: Option<String>,
}

#[derive(Clone)]
struct FakeContainer {
    sandbox_id: String,
    status: v1::ContainerStatus,
    script: Script,
}

impl fmt::Debug for FakeRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeRuntime").field("node", &self.0.node).finish_non_exhaustive()
    }
}

impl FakeRuntime {
    /// An empty runtime for `node` whose pods get `10.244.0.N` until [`FakeRuntime::set_pod_cidr`] says otherwise.
    /// Timers run in `tasks`, which should be the host's group, not the kubelet's.
    pub fn new(node: &str, env: Env, tasks: Tasks) -> Self {
        let state = State {
            next: 1,
            pod_ip_prefix: "10.244.0.".to_owned(),
            sandbox_delay: Duration::ZERO,
            scripts: Arc::new(|_, _| Script::default()),
            execs: Arc::new(|_, _| ExecOutput::default()),
            missing_images: BTreeMap::new(),
            network_ready: true,
            sandboxes: BTreeMap::new(),
            containers: BTreeMap::new(),
            images: BTreeMap::new(),
            pulls: 0,
            stream_url: None,
        };
        Self(Arc::new(Inner {
            env,
            tasks,
            events: EventSender::default(),
            state: Mutex::new(state),
            node: node.to_owned(),
        }))
    }

    /// How containers behave from now on.
    pub fn set_scripts(
        &self,
        scripts: impl Fn(&v1::PodSandboxMetadata, &v1::ContainerConfig) -> Script + Send + Sync + 'static,
    ) {
        self.0.state.lock().scripts = Arc::new(scripts);
    }
    /// How commands in containers answer from now on.
    pub fn set_execs(
        &self,
        execs: impl Fn(&v1::ContainerStatus, &[String]) -> ExecOutput + Send + Sync + 'static,
    ) {
        self.0.state.lock().execs = Arc::new(execs);
    }
    /// How long making a sandbox takes.
    pub fn set_sandbox_delay(&self, delay: Duration) {
        self.0.state.lock().sandbox_delay = delay;
    }
    /// Pulls of `image` fail with `message`.
    pub fn fail_pulls(&self, image: &str, message: &str) {
        self.0.state.lock().missing_images.insert(image.to_owned(), message.to_owned());
    }
    /// Where exec, attach and port-forward lead; without it they are refused.
    pub fn set_stream_url(&self, url: &str) {
        self.0.state.lock().stream_url = Some(url.to_owned());
    }
    pub fn set_network_ready(&self, ready: bool) {
        self.0.state.lock().network_ready = ready;
    }
    /// Pulls so far.
    pub fn pulls(&self) -> u64 {
        self.0.state.lock().pulls
    }

    /// Addresses of later sandboxes come from this IPv4 block (its first three parts are kept).
    pub fn set_pod_cidr(&self, cidr: &str) {
        let address = cidr.split('/').next().unwrap_or(cidr);
        if let Some((prefix, _)) = address.rsplit_once('.') {
            self.0.state.lock().pod_ip_prefix = format!("{prefix}.");
        }
    }

    /// Ends a running container, as a crash would.
    pub fn exit(&self, container_id: &str, exit_code: i32) {
        self.0.end(container_id, exit_code);
    }

    /// Ends every sandbox and container, as a reboot of the host would.
    pub fn reboot(&self) {
        let ids: Vec<String> = self.0.state.lock().containers.keys().cloned().collect();
        for id in ids {
            self.0.end(&id, 137);
        }
        for sandbox in self.0.state.lock().sandboxes.values_mut() {
            sandbox.state = v1::PodSandboxState::SandboxNotready.into();
        }
        self.0.events.send(RuntimeEvent::Missed);
    }

    /// Running containers as (pod name, container name, id).
    pub fn running(&self) -> Vec<(String, String, String)> {
        let state = self.0.state.lock();
        let running = |c: &&FakeContainer| c.status.state() == v1::ContainerState::ContainerRunning;
        state
            .containers
            .values()
            .filter(running)
            .map(|c| {
                let pod = state.sandboxes.get(&c.sandbox_id).and_then(|s| s.metadata.as_ref());
                let name = c.status.metadata.as_ref().map(|m| m.name.clone()).unwrap_or_default();
                (pod.map(|m| m.name.clone()).unwrap_or_default(), name, c.status.id.clone())
            })
            .collect()
    }
}

impl Inner {
    fn stream_url(&self) -> Result<String> {
        self.state.lock().stream_url.clone().map_or_else(no_streams, Ok)
    }

    fn now(&self) -> i64 {
        i64::try_from(self.env.clock.now().as_nanosecond()).unwrap_or(i64::MAX)
    }

    fn end(&self, id: &str, exit_code: i32) {
        let now = self.now();
        {
            let mut state = self.state.lock();
            let Some(container) = state.containers.get_mut(id) else { return };
            if container.status.state() != v1::ContainerState::ContainerRunning {
                return;
            }
            container.status.state = v1::ContainerState::ContainerExited.into();
            container.status.finished_at = now;
            container.status.exit_code = exit_code;
            container.status.reason = if exit_code == 0 { "Completed" } else { "Error" }.to_owned();
        }
        self.events.send(RuntimeEvent::Exited { id: id.to_owned(), exit_code });
    }
}

/// 64 hexadecimal digits, as containerd's ids.
fn id(node: &str, n: u32) -> String {
    let seed = node.bytes().fold(0u32, |h, b| h.wrapping_mul(31).wrapping_add(u32::from(b)));
    format!("{n:08x}{seed:08x}{:048x}", 0)
}

fn not_found<T>(what: &str, id: &str) -> Result<T> {
    Err(Error::NotFound(format!("an error occurred when try to find {what} \"{id}\": not found")))
}

fn ready<'a, T: Send + 'a>(result: Result<T>) -> Reply<'a, T> {
    Box::pin(std::future::ready(result))
}

fn has_labels(have: &BTreeMap<String, String>, want: &[(&str, &str)]) -> bool {
    want.iter().all(|(k, v)| have.get(*k).is_some_and(|h| h == v))
}

impl Runtime for FakeRuntime {
    fn version(&self) -> Reply<'_, v1::VersionResponse> {
        ready(Ok(v1::VersionResponse {
            version: "0.1.0".to_owned(),
            runtime_name: "fake".to_owned(),
            runtime_version: "1.0.0".to_owned(),
            runtime_api_version: "v1".to_owned(),
        }))
    }

    fn status(&self) -> Reply<'_, v1::StatusResponse> {
        let network = self.0.state.lock().network_ready;
        let condition = |r#type: &str, status: bool| v1::RuntimeCondition {
            r#type: r#type.to_owned(),
            status,
            reason: if status { "" } else { "NetworkPluginNotReady" }.to_owned(),
            message: if status { "" } else { "fake network is not ready" }.to_owned(),
        };
        let conditions = vec![condition("RuntimeReady", true), condition("NetworkReady", network)];
        ready(Ok(v1::StatusResponse { status: Some(v1::RuntimeStatus { conditions }), ..Default::default() }))
    }

    fn update_pod_cidr<'a>(&'a self, pod_cidr: &'a str) -> Reply<'a, ()> {
        self.set_pod_cidr(pod_cidr);
        ready(Ok(()))
    }

    fn events(&self) -> EventReceiver {
        self.0.events.subscribe()
    }

    fn run_sandbox<'a>(&'a self, config: &'a v1::PodSandboxConfig, handler: &'a str) -> Reply<'a, String> {
        Box::pin(async move {
            let delay = self.0.state.lock().sandbox_delay;
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            let created_at = self.0.now();
            let mut state = self.0.state.lock();
            let n = state.next;
            state.next += 1;
            let id = id(&self.0.node, n);
            let options = config
                .linux
                .as_ref()
                .and_then(|l| l.security_context.as_ref())
                .and_then(|s| s.namespace_options.clone());
            let host_network = options.as_ref().is_some_and(|o| o.network() == v1::NamespaceMode::Node);
            let ip =
                if host_network { String::new() } else { format!("{}{}", state.pod_ip_prefix, 2 + n % 250) };
            let status = v1::PodSandboxStatus {
                id: id.clone(),
                metadata: config.metadata.clone(),
                state: v1::PodSandboxState::SandboxReady.into(),
                created_at,
                network: Some(v1::PodSandboxNetworkStatus { ip, additional_ips: Vec::new() }),
                linux: Some(v1::LinuxPodSandboxStatus { namespaces: Some(v1::Namespace { options }) }),
                labels: config.labels.clone(),
                annotations: config.annotations.clone(),
                runtime_handler: handler.to_owned(),
            };
            state.sandboxes.insert(id.clone(), status);
            Ok(id)
        })
    }

    fn stop_sandbox<'a>(&'a self, id: &'a str) -> Reply<'a, ()> {
        let inside: Vec<String> = {
            let mut state = self.0.state.lock();
            if let Some(sandbox) = state.sandboxes.get_mut(id) {
                sandbox.state = v1::PodSandboxState::SandboxNotready.into();
            }
            let of_it = state.containers.values().filter(|c| c.sandbox_id == id);
            of_it.map(|c| c.status.id.clone()).collect()
        };
        for container in inside {
            self.0.end(&container, 137);
        }
        ready(Ok(()))
    }

    fn remove_sandbox<'a>(&'a self, id: &'a str) -> Reply<'a, ()> {
        let mut state = self.0.state.lock();
        state.sandboxes.remove(id);
        state.containers.retain(|_, c| c.sandbox_id != id);
        ready(Ok(()))
    }

    fn sandbox_status<'a>(&'a self, id: &'a str) -> Reply<'a, v1::PodSandboxStatus> {
        ready(self.0.state.lock().sandboxes.get(id).cloned().map_or_else(|| not_found("sandbox", id), Ok))
    }

    fn list_sandboxes<'a>(&'a self, labels: &'a [(&'a str, &'a str)]) -> Reply<'a, Vec<v1::PodSandbox>> {
        let state = self.0.state.lock();
        let found = state.sandboxes.values().filter(|s| has_labels(&s.labels, labels));
        ready(Ok(found
            .map(|s| v1::PodSandbox {
                id: s.id.clone(),
                metadata: s.metadata.clone(),
                state: s.state,
                created_at: s.created_at,
                labels: s.labels.clone(),
                annotations: s.annotations.clone(),
                runtime_handler: s.runtime_handler.clone(),
            })
            .collect()))
    }

    fn create_container<'a>(
        &'a self,
        sandbox_id: &'a str,
        config: &'a v1::ContainerConfig,
        _sandbox: &'a v1::PodSandboxConfig,
    ) -> Reply<'a, String> {
        let created_at = self.0.now();
        let mut state = self.0.state.lock();
        let Some(metadata) = state.sandboxes.get(sandbox_id).map(|s| s.metadata.clone().unwrap_or_default())
        else {
            return ready(not_found("sandbox", sandbox_id));
        };
        let n = state.next;
        state.next += 1;
        let id = id(&self.0.node, n);
        let image = config.image.clone().unwrap_or_default();
        let status = v1::ContainerStatus {
            id: id.clone(),
            metadata: config.metadata.clone(),
            state: v1::ContainerState::ContainerCreated.into(),
            created_at,
            image_ref: image.image.clone(),
            image_id: image.image.clone(),
            image: Some(image),
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
            mounts: config.mounts.clone(),
            log_path: config.log_path.clone(),
            ..Default::default()
        };
        let script = (state.scripts)(&metadata, config);
        let container = FakeContainer { sandbox_id: sandbox_id.to_owned(), status, script };
        state.containers.insert(id.clone(), container);
        ready(Ok(id))
    }

    fn start_container<'a>(&'a self, id: &'a str) -> Reply<'a, ()> {
        Box::pin(async move {
            let Some(script) = self.0.state.lock().containers.get(id).map(|c| c.script.clone()) else {
                return not_found("container", id);
            };
            if !script.start_delay.is_zero() {
                tokio::time::sleep(script.start_delay).await;
            }
            let now = self.0.now();
            {
                let mut state = self.0.state.lock();
                let Some(container) = state.containers.get_mut(id) else { return not_found("container", id) };
                if let Some(message) = script.start_error {
                    container.status.state = v1::ContainerState::ContainerExited.into();
                    container.status.exit_code = 128;
                    container.status.finished_at = now;
                    container.status.reason = "StartError".to_owned();
                    container.status.message.clone_from(&message);
                    return Err(Error::Refused { code: "Unknown".to_owned(), message });
                }
                container.status.state = v1::ContainerState::ContainerRunning.into();
                container.status.started_at = now;
            }
            if let Some((after, exit_code)) = script.exit {
                let (inner, id) = (Arc::clone(&self.0), id.to_owned());
                self.0.tasks.spawn_until_stop("fake-container", async move {
                    tokio::time::sleep(after).await;
                    inner.end(&id, exit_code);
                });
            }
            Ok(())
        })
    }

    fn stop_container<'a>(&'a self, id: &'a str, grace: Duration) -> Reply<'a, ()> {
        Box::pin(async move {
            let Some(delay) = self.0.state.lock().containers.get(id).map(|c| c.script.stop_delay) else {
                return Ok(());
            };
            let (wait, exit_code) = if delay > grace { (grace, 137) } else { (delay, 143) };
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            self.0.end(id, exit_code);
            Ok(())
        })
    }

    fn remove_container<'a>(&'a self, id: &'a str) -> Reply<'a, ()> {
        self.0.state.lock().containers.remove(id);
        ready(Ok(()))
    }

    fn container_status<'a>(&'a self, id: &'a str) -> Reply<'a, v1::ContainerStatus> {
        let found = self.0.state.lock().containers.get(id).map(|c| c.status.clone());
        ready(found.map_or_else(|| not_found("container", id), Ok))
    }

    fn list_containers<'a>(&'a self, labels: &'a [(&'a str, &'a str)]) -> Reply<'a, Vec<v1::Container>> {
        let state = self.0.state.lock();
        let found = state.containers.values().filter(|c| has_labels(&c.status.labels, labels));
        ready(Ok(found
            .map(|c| v1::Container {
                id: c.status.id.clone(),
                pod_sandbox_id: c.sandbox_id.clone(),
                metadata: c.status.metadata.clone(),
                image: c.status.image.clone(),
                image_ref: c.status.image_ref.clone(),
                state: c.status.state,
                created_at: c.status.created_at,
                labels: c.status.labels.clone(),
                annotations: c.status.annotations.clone(),
                image_id: c.status.image_id.clone(),
            })
            .collect()))
    }

    fn update_container_resources<'a>(
        &'a self,
        _id: &'a str,
        _resources: &'a v1::LinuxContainerResources,
    ) -> Reply<'a, ()> {
        ready(Ok(()))
    }

    fn reopen_container_log<'a>(&'a self, _id: &'a str) -> Reply<'a, ()> {
        ready(Ok(()))
    }

    fn exec_sync<'a>(
        &'a self,
        id: &'a str,
        command: &'a [String],
        _timeout: Duration,
    ) -> Reply<'a, ExecOutput> {
        let state = self.0.state.lock();
        let Some(container) = state.containers.get(id) else { return ready(not_found("container", id)) };
        if container.status.state() != v1::ContainerState::ContainerRunning {
            let message = "container is not running".to_owned();
            return ready(Err(Error::Refused { code: "Unknown".to_owned(), message }));
        }
        ready(Ok((state.execs)(&container.status, command)))
    }

    fn exec_url(&self, _request: v1::ExecRequest) -> Reply<'_, String> {
        ready(self.0.stream_url())
    }
    fn attach_url(&self, _request: v1::AttachRequest) -> Reply<'_, String> {
        ready(self.0.stream_url())
    }
    fn port_forward_url(&self, _request: v1::PortForwardRequest) -> Reply<'_, String> {
        ready(self.0.stream_url())
    }

    fn container_stats(&self) -> Reply<'_, Vec<v1::ContainerStats>> {
        ready(Ok(Vec::new()))
    }
    fn sandbox_stats(&self) -> Reply<'_, Vec<v1::PodSandboxStats>> {
        ready(Ok(Vec::new()))
    }

    fn list_images(&self) -> Reply<'_, Vec<v1::Image>> {
        ready(Ok(self.0.state.lock().images.values().cloned().collect()))
    }

    fn image_status<'a>(&'a self, image: &'a str) -> Reply<'a, Option<v1::Image>> {
        ready(Ok(self.0.state.lock().images.get(image).cloned()))
    }

    fn pull_image<'a>(
        &'a self,
        image: &'a str,
        _auth: Option<v1::AuthConfig>,
        _sandbox: &'a v1::PodSandboxConfig,
    ) -> Reply<'a, String> {
        let mut state = self.0.state.lock();
        state.pulls += 1;
        if let Some(message) = state.missing_images.get(image) {
            return ready(Err(Error::NotFound(message.clone())));
        }
        let made = v1::Image {
            id: image.to_owned(),
            repo_tags: vec![image.to_owned()],
            size: 1,
            ..Default::default()
        };
        state.images.insert(image.to_owned(), made);
        ready(Ok(image.to_owned()))
    }

    fn remove_image<'a>(&'a self, image: &'a str) -> Reply<'a, ()> {
        self.0.state.lock().images.remove(image);
        ready(Ok(()))
    }

    fn image_fs_info(&self) -> Reply<'_, Vec<v1::FilesystemUsage>> {
        ready(Ok(Vec::new()))
    }
}

fn no_streams() -> Result<String> {
    Err(Error::Refused {
        code: "Unimplemented".to_owned(),
        message: "a fake runtime has no streams".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_scripted_container_ends_by_itself() {
        let runtime = FakeRuntime::new("n1", Env::simulated(1), Tasks::new("t"));
        runtime.set_scripts(|_, _| Script { exit: Some((Duration::from_secs(3), 7)), ..Script::default() });
        let mut events = runtime.events();
        let sandbox = runtime.run_sandbox(&v1::PodSandboxConfig::default(), "").await.unwrap();
        let config = v1::ContainerConfig::default();
        let id = runtime.create_container(&sandbox, &config, &v1::PodSandboxConfig::default()).await.unwrap();
        runtime.start_container(&id).await.unwrap();
        let began = tokio::time::Instant::now();
        assert_eq!(events.recv().await, Some(RuntimeEvent::Exited { id: id.clone(), exit_code: 7 }));
        assert_eq!(began.elapsed(), Duration::from_secs(3));
        assert_eq!(runtime.container_status(&id).await.unwrap().exit_code, 7);
    }
}
