//! containerd (1.6 and 2.x) through CRI on its Unix socket, and its native event service for exits.
//!
//! Nothing is polled: the connection is made on first use and made again when it breaks; events come from
//! [`pump`]. Image import goes through containerd's own `ctr`, because 1.6 has no transfer service.

mod import;
mod pump;

use std::path::{Path, PathBuf};
use std::time::Duration;

use component::Tasks;
use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::error::{Error, Result};
use crate::events::{EventReceiver, EventSender};
use crate::runtime::{ExecOutput, Reply, Runtime};
use crate::v1;
use v1::image_service_client::ImageServiceClient;
use v1::runtime_service_client::RuntimeServiceClient;

/// Upstream's limit of one CRI message: listings of a full node with long annotations.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Upstream's `runtimeRequestTimeout`.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// A containerd on this host. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ContainerdRuntime {
    socket: PathBuf,
    channel: Channel,
    runtime: RuntimeServiceClient<Channel>,
    images: ImageServiceClient<Channel>,
    events: EventSender,
    timeout: Duration,
}

impl ContainerdRuntime {
    /// A runtime on `socket` (a path, or upstream's `unix:///path`). Does not connect yet; the event stream runs in
    /// `tasks` and follows the runtime through its restarts.
    pub fn new(socket: &str, tasks: &Tasks) -> Self {
        let path = PathBuf::from(socket.strip_prefix("unix://").unwrap_or(socket));
        let channel = connect_lazily(path.clone());
        let events = EventSender::default();
        let made = Self {
            socket: path,
            runtime: RuntimeServiceClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
            images: ImageServiceClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
            channel,
            events,
            timeout: REQUEST_TIMEOUT,
        };
        tasks.spawn_until_stop("containerd-events", pump::run(made.clone()));
        made
    }

    /// The socket that it talks to.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Waits until the runtime answers, up to `limit`.
    pub async fn ready(&self, limit: Duration) -> Result<v1::VersionResponse> {
        let deadline = tokio::time::Instant::now() + limit;
        let mut pause = Duration::from_millis(5);
        loop {
            match self.version().await {
                Ok(version) => return Ok(version),
                Err(e) if tokio::time::Instant::now() + pause > deadline => return Err(e),
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    /// Imports an OCI or `docker save` archive into CRI's namespace and gives the names of the images in it.
    pub async fn import_image(&self, env: &env::Env, archive: &Path) -> Result<Vec<String>> {
        import::import(self, env, archive).await
    }

    /// One unary call with the time limit that such calls have.
    async fn call<T>(
        &self,
        limit: Duration,
        call: BoxFuture<'_, std::result::Result<tonic::Response<T>, tonic::Status>>,
    ) -> Result<T> {
        match tokio::time::timeout(limit, call).await {
            Ok(answer) => Ok(answer?.into_inner()),
            Err(_) => Err(Error::Unknown {
                code: "DeadlineExceeded".to_owned(),
                message: "context deadline exceeded".to_owned(),
            }),
        }
    }
}

fn connect_lazily(path: PathBuf) -> Channel {
    // The URI is never resolved: the connector opens the socket whatever it says.
    Endpoint::from_static("http://localhost").connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { tokio::net::UnixStream::connect(path).await.map(TokioIo::new) }
    }))
}

/// One CRI call: client, method, request, and a time limit where it is not the usual one.
macro_rules! call {
    ($self:ident.$client:ident.$method:ident($request:expr)) => {
        call!($self.$client.$method($request), $self.timeout)
    };
    ($self:ident.$client:ident.$method:ident($request:expr), $limit:expr) => {{
        let mut client = $self.$client.clone();
        let request = $request;
        $self.call($limit, Box::pin(async move { client.$method(request).await })).await
    }};
}

fn selector(labels: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn image_spec(image: &str) -> Option<v1::ImageSpec> {
    Some(v1::ImageSpec { image: image.to_owned(), ..Default::default() })
}

fn missing(what: &str) -> Error {
    Error::Refused { code: "Internal".to_owned(), message: format!("the runtime's answer has no {what}") }
}

/// Whole seconds, rounded up so that a short grace is not none.
fn whole_secs(duration: Duration) -> i64 {
    let secs = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i64::try_from(secs).unwrap_or(i64::MAX)
}

impl Runtime for ContainerdRuntime {
    fn version(&self) -> Reply<'_, v1::VersionResponse> {
        Box::pin(
            async move { call!(self.runtime.version(v1::VersionRequest { version: "0.1.0".to_owned() })) },
        )
    }

    fn status(&self) -> Reply<'_, v1::StatusResponse> {
        Box::pin(async move { call!(self.runtime.status(v1::StatusRequest { verbose: false })) })
    }

    fn update_pod_cidr<'a>(&'a self, pod_cidr: &'a str) -> Reply<'a, ()> {
        let network_config = Some(v1::NetworkConfig { pod_cidr: pod_cidr.to_owned() });
        let request =
            v1::UpdateRuntimeConfigRequest { runtime_config: Some(v1::RuntimeConfig { network_config }) };
        Box::pin(async move { call!(self.runtime.update_runtime_config(request)).map(|_| ()) })
    }

    fn events(&self) -> EventReceiver {
        self.events.subscribe()
    }

    fn run_sandbox<'a>(&'a self, config: &'a v1::PodSandboxConfig, handler: &'a str) -> Reply<'a, String> {
        let request =
            v1::RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: handler.to_owned() };
        // Twice the usual limit, as upstream: a sandbox waits for CNI.
        Box::pin(async move {
            call!(self.runtime.run_pod_sandbox(request), self.timeout * 2).map(|r| r.pod_sandbox_id)
        })
    }

    fn stop_sandbox<'a>(&'a self, id: &'a str) -> Reply<'a, ()> {
        let request = v1::StopPodSandboxRequest { pod_sandbox_id: id.to_owned() };
        Box::pin(async move { ignore_missing(call!(self.runtime.stop_pod_sandbox(request)).map(|_| ())) })
    }

    fn remove_sandbox<'a>(&'a self, id: &'a str) -> Reply<'a, ()> {
        let request = v1::RemovePodSandboxRequest { pod_sandbox_id: id.to_owned() };
        Box::pin(async move { ignore_missing(call!(self.runtime.remove_pod_sandbox(request)).map(|_| ())) })
    }

    fn sandbox_status<'a>(&'a self, id: &'a str) -> Reply<'a, v1::PodSandboxStatus> {
        let request = v1::PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: false };
        Box::pin(async move {
            call!(self.runtime.pod_sandbox_status(request))?.status.ok_or_else(|| missing("status"))
        })
    }

    fn list_sandboxes<'a>(&'a self, labels: &'a [(&'a str, &'a str)]) -> Reply<'a, Vec<v1::PodSandbox>> {
        let filter = v1::PodSandboxFilter { label_selector: selector(labels), ..Default::default() };
        Box::pin(async move {
            call!(self.runtime.list_pod_sandbox(v1::ListPodSandboxRequest { filter: Some(filter) }))
                .map(|r| r.items)
        })
    }

    fn create_container<'a>(
        &'a self,
        sandbox_id: &'a str,
        config: &'a v1::ContainerConfig,
        sandbox: &'a v1::PodSandboxConfig,
    ) -> Reply<'a, String> {
        let request = v1::CreateContainerRequest {
            pod_sandbox_id: sandbox_id.to_owned(),
            config: Some(config.clone()),
            sandbox_config: Some(sandbox.clone()),
        };
        Box::pin(async move { call!(self.runtime.create_container(request)).map(|r| r.container_id) })
    }

    fn start_container<'a>(&'a self, id: &'a str) -> Reply<'a, ()> {
        let request = v1::StartContainerRequest { container_id: id.to_owned() };
        Box::pin(async move { call!(self.runtime.start_container(request)).map(|_| ()) })
    }

    fn stop_container<'a>(&'a self, id: &'a str, grace: Duration) -> Reply<'a, ()> {
        let request = v1::StopContainerRequest { container_id: id.to_owned(), timeout: whole_secs(grace) };
        Box::pin(async move {
            ignore_missing(call!(self.runtime.stop_container(request), self.timeout + grace).map(|_| ()))
        })
    }

    fn remove_container<'a>(&'a self, id: &'a str) -> Reply<'a, ()> {
        let request = v1::RemoveContainerRequest { container_id: id.to_owned() };
        Box::pin(async move { ignore_missing(call!(self.runtime.remove_container(request)).map(|_| ())) })
    }

    fn container_status<'a>(&'a self, id: &'a str) -> Reply<'a, v1::ContainerStatus> {
        let request = v1::ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
        Box::pin(async move {
            call!(self.runtime.container_status(request))?.status.ok_or_else(|| missing("status"))
        })
    }

    fn list_containers<'a>(&'a self, labels: &'a [(&'a str, &'a str)]) -> Reply<'a, Vec<v1::Container>> {
        let filter = v1::ContainerFilter { label_selector: selector(labels), ..Default::default() };
        Box::pin(async move {
            call!(self.runtime.list_containers(v1::ListContainersRequest { filter: Some(filter) }))
                .map(|r| r.containers)
        })
    }

    fn update_container_resources<'a>(
        &'a self,
        id: &'a str,
        resources: &'a v1::LinuxContainerResources,
    ) -> Reply<'a, ()> {
        let request = v1::UpdateContainerResourcesRequest {
            container_id: id.to_owned(),
            linux: Some(resources.clone()),
            ..Default::default()
        };
        Box::pin(async move { call!(self.runtime.update_container_resources(request)).map(|_| ()) })
    }

    fn reopen_container_log<'a>(&'a self, id: &'a str) -> Reply<'a, ()> {
        let request = v1::ReopenContainerLogRequest { container_id: id.to_owned() };
        Box::pin(async move { call!(self.runtime.reopen_container_log(request)).map(|_| ()) })
    }

    fn exec_sync<'a>(
        &'a self,
        id: &'a str,
        command: &'a [String],
        timeout: Duration,
    ) -> Reply<'a, ExecOutput> {
        let request = v1::ExecSyncRequest {
            container_id: id.to_owned(),
            cmd: command.to_vec(),
            timeout: whole_secs(timeout),
        };
        Box::pin(async move {
            // Without a limit of its own the call may last as long as the command does.
            let limit = if timeout.is_zero() {
                Duration::from_secs(u64::from(u32::MAX))
            } else {
                self.timeout + timeout
            };
            let answer = call!(self.runtime.exec_sync(request), limit)?;
            Ok(ExecOutput {
                stdout: answer.stdout.into(),
                stderr: answer.stderr.into(),
                exit_code: answer.exit_code,
            })
        })
    }

    fn exec_url(&self, request: v1::ExecRequest) -> Reply<'_, String> {
        Box::pin(async move { call!(self.runtime.exec(request)).map(|r| r.url) })
    }

    fn attach_url(&self, request: v1::AttachRequest) -> Reply<'_, String> {
        Box::pin(async move { call!(self.runtime.attach(request)).map(|r| r.url) })
    }

    fn port_forward_url(&self, request: v1::PortForwardRequest) -> Reply<'_, String> {
        Box::pin(async move { call!(self.runtime.port_forward(request)).map(|r| r.url) })
    }

    fn container_stats(&self) -> Reply<'_, Vec<v1::ContainerStats>> {
        Box::pin(async move {
            call!(self.runtime.list_container_stats(v1::ListContainerStatsRequest::default()))
                .map(|r| r.stats)
        })
    }

    fn sandbox_stats(&self) -> Reply<'_, Vec<v1::PodSandboxStats>> {
        Box::pin(async move {
            call!(self.runtime.list_pod_sandbox_stats(v1::ListPodSandboxStatsRequest::default()))
                .map(|r| r.stats)
        })
    }

    fn list_images(&self) -> Reply<'_, Vec<v1::Image>> {
        Box::pin(
            async move { call!(self.images.list_images(v1::ListImagesRequest::default())).map(|r| r.images) },
        )
    }

    fn image_status<'a>(&'a self, image: &'a str) -> Reply<'a, Option<v1::Image>> {
        let request = v1::ImageStatusRequest { image: image_spec(image), verbose: false };
        Box::pin(async move { call!(self.images.image_status(request)).map(|r| r.image) })
    }

    fn pull_image<'a>(
        &'a self,
        image: &'a str,
        auth: Option<v1::AuthConfig>,
        sandbox: &'a v1::PodSandboxConfig,
    ) -> Reply<'a, String> {
        let request =
            v1::PullImageRequest { image: image_spec(image), auth, sandbox_config: Some(sandbox.clone()) };
        // A pull has no limit of ours: the runtime watches its progress.
        let mut images = self.images.clone();
        Box::pin(async move { Ok(images.pull_image(request).await?.into_inner().image_ref) })
    }

    fn remove_image<'a>(&'a self, image: &'a str) -> Reply<'a, ()> {
        let request = v1::RemoveImageRequest { image: image_spec(image) };
        Box::pin(async move { ignore_missing(call!(self.images.remove_image(request)).map(|_| ())) })
    }

    fn image_fs_info(&self) -> Reply<'_, Vec<v1::FilesystemUsage>> {
        Box::pin(async move {
            call!(self.images.image_fs_info(v1::ImageFsInfoRequest {})).map(|r| r.image_filesystems)
        })
    }
}

/// Stopping and removing are done when the thing is gone.
fn ignore_missing(result: Result<()>) -> Result<()> {
    match result {
        Err(e) if e.is_not_found() => Ok(()),
        other => other,
    }
}
