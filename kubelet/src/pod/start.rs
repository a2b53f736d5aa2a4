//! One container from its specification to running: image, environment, mounts, create, start, `postStart`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use client::EventType;
use cri::v1;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::config::{ContainerDetails, MountedVolume, container_config};
use super::env::{Sources, environment, service_variables};
use super::expand::expand;
use super::observed::{Instance, Sandbox};
use super::prepare::Prepared;
use super::{dns, hooks};
use crate::agent::Agent;
use crate::api::pod::{Container, VolumeMount};
use crate::api::status::Waiting;
use crate::api::{ConfigMap, Pod, Secret};
use crate::backoff::after;

/// When a container that could not be made is tried again.
const RETRY: Duration = Duration::from_secs(10);
const REASON_CONFIG: &str = "CreateContainerConfigError";

/// What to start.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) pod: Arc<Pod>,
    pub(crate) container: Container,
    pub(crate) attempt: u32,
    pub(crate) sandbox: Sandbox,
    pub(crate) sandbox_config: v1::PodSandboxConfig,
    pub(crate) volumes: Prepared,
    /// A container that was made but never started: it makes room.
    pub(crate) replaces: Option<String>,
    /// The container whose processes an ephemeral one looks at.
    pub(crate) target_id: String,
    /// The pod ends: a pull or hook that is under way is given up.
    pub(crate) cancel: CancellationToken,
}

/// Why there is no running container.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    Cancelled,
    Waiting { waiting: Waiting, retry_at: Timestamp },
}

struct Fixed {
    config_maps: Vec<(String, Option<Arc<ConfigMap>>)>,
    secrets: Vec<(String, Option<Arc<Secret>>)>,
}

impl Sources for Fixed {
    fn config_map(&self, name: &str) -> Option<Arc<ConfigMap>> {
        self.config_maps.iter().find(|(n, _)| n == name)?.1.clone()
    }
    fn secret(&self, name: &str) -> Option<Arc<Secret>> {
        self.secrets.iter().find(|(n, _)| n == name)?.1.clone()
    }
}

/// Starts it. The instance is the running one, or the dead one of a start that failed.
pub(crate) async fn start(
    agent: Arc<Agent>,
    request: Request,
) -> Result<Instance, (Failure, Option<Instance>)> {
    let (pod, container) = (&request.pod, &request.container);
    let fail = |reason: &str, message: String| {
        let retry_at = after(agent.now(), RETRY);
        Failure::Waiting { waiting: Waiting::new(reason, message), retry_at }
    };
    let tell =
        |kind, reason: &str, message: String| agent.container_event(pod, container, kind, reason, message);
    if let Some(old) = &request.replaces {
        // Failing to remove what never ran is no reason not to go on.
        let _ = agent.runtime.remove_container(old).await;
    }
    let ensured = tokio::select! {
        biased;
        () = request.cancel.cancelled() => return Err((Failure::Cancelled, None)),
        ensured = agent.images.ensure(&agent, pod, container, &request.sandbox_config) => ensured,
    };
    let image = match ensured {
        Ok(image) => image,
        Err(e) => return Err((Failure::Waiting { waiting: e.waiting, retry_at: e.retry_at }, None)),
    };
    let config = match configure(&agent, &request, &image).await {
        Ok(config) => config,
        Err(message) => {
            tell(EventType::Warning, "Failed", format!("Error: {message}"));
            return Err((fail(REASON_CONFIG, message), None));
        }
    };
    let create = agent.runtime.create_container(&request.sandbox.id, &config, &request.sandbox_config);
    let created = agent.turns.go_on(create).await;
    let id = match created {
        Ok(id) => id,
        Err(e) => {
            tell(EventType::Warning, "Failed", format!("Error: {}", e.message()));
            return Err((fail("CreateContainerError", e.message().to_owned()), None));
        }
    };
    agent.pods.own(&id, &pod.metadata.uid);
    tell(EventType::Normal, "Created", "Container created".to_owned());
    let started = agent.turns.go_on(agent.runtime.start_container(&id)).await;
    let instance = match agent.runtime.container_status(&id).await {
        Ok(status) => Some(Instance::from_cri(&request.sandbox.id, &status)),
        Err(_) => None,
    };
    if let Err(e) = started {
        tell(EventType::Warning, "Failed", format!("Error: {}", e.message()));
        return Err((fail("RunContainerError", e.message().to_owned()), instance));
    }
    tell(EventType::Normal, "Started", "Container started".to_owned());
    agent.metrics.container_started(crate::agent::list_of(pod, container));
    link_log(&agent, &request, &id);
    if let Some(hook) = &container.lifecycle.post_start {
        let ip = request.sandbox.ips.first().map_or("", String::as_str);
        let done = tokio::select! {
            biased;
            () = request.cancel.cancelled() => return Err((Failure::Cancelled, instance)),
            done = hooks::run(&agent, container, &id, ip, hook) => done,
        };
        if let Err(problem) = done {
            tracing::warn!(component = "kubelet", pod = %pod.metadata.name, container = %container.name, error = %problem, "postStart failed");
            tell(EventType::Warning, "FailedPostStartHook", "PostStartHook failed".to_owned());
            let grace =
                pod.spec.termination_grace_period_seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or(30);
            tell(EventType::Normal, "Killing", "FailedPostStartHook".to_owned());
            // Its end shows whether this worked.
            let _ = agent.runtime.stop_container(&id, Duration::from_secs(grace)).await;
            let ended = agent.runtime.container_status(&id).await.ok();
            let ended = ended.map(|s| Instance::from_cri(&request.sandbox.id, &s));
            return Err((fail("PostStartHookError", "PostStartHook failed".to_owned()), ended.or(instance)));
        }
    }
    instance.ok_or_else(|| (fail("RunContainerError", "the runtime lost the container".to_owned()), None))
}

/// The container's configuration; an error is CreateContainerConfigError's text.
async fn configure(
    agent: &Agent,
    request: &Request,
    image: &v1::Image,
) -> Result<v1::ContainerConfig, String> {
    let (pod, container) = (&request.pod, &request.container);
    let sources = fetch(agent, pod, container).await?;
    let around = agent.surroundings(pod, &request.sandbox.ips);
    let links = pod.spec.enable_service_links.unwrap_or(true);
    let services = agent.services.list();
    let services = service_variables(services.iter().map(AsRef::as_ref), &pod.metadata.namespace, links);
    let env = environment(pod, container, &around, &services, &sources)?;
    let mounts = mounts(agent, request, &env)?;
    let details = ContainerDetails {
        attempt: request.attempt,
        image_ref: image.id.clone(),
        image_user: image.uid.as_ref().map(|u| u.value).or_else(|| image.username.is_empty().then_some(0)),
        image_username: image.username.clone(),
        env: env.into_iter().collect(),
        mounts,
        target_id: request.target_id.clone(),
    };
    container_config(pod, container, &agent.settings, &details)
}

/// The objects that the environment speaks of, as they are now.
async fn fetch(agent: &Agent, pod: &Pod, container: &Container) -> Result<Fixed, String> {
    let alone = crate::api::PodSpec { containers: vec![container.clone()], ..Default::default() };
    let (maps, secrets) = crate::objects::references(&alone);
    let namespace = &pod.metadata.namespace;
    let mut made = Fixed { config_maps: Vec::new(), secrets: Vec::new() };
    for name in maps {
        made.config_maps.push((name.to_owned(), agent.objects.config_maps.get(namespace, name).await?));
    }
    for name in secrets {
        made.secrets.push((name.to_owned(), agent.objects.secrets.get(namespace, name).await?));
    }
    Ok(made)
}

fn mounts(
    agent: &Agent,
    request: &Request,
    env: &indexmap::IndexMap<String, String>,
) -> Result<Vec<v1::Mount>, String> {
    let (pod, container) = (&request.pod, &request.container);
    let mut made = Vec::new();
    for (i, mount) in container.volume_mounts.iter().enumerate() {
        let volume = request
            .volumes
            .volumes
            .get(&mount.name)
            .ok_or_else(|| format!("volume {} is not mounted", mount.name))?;
        made.push(volume_mount(agent, request, mount, volume, i, env)?);
    }
    let has = |path: &str| container.volume_mounts.iter().any(|m| m.mount_path.trim_end_matches('/') == path);
    if !has("/etc/hosts") {
        let host_path = write_hosts(agent, request).map_err(|e| e.to_string())?;
        made.push(file_mount(&host_path, "/etc/hosts"));
    }
    let message_path = &container.termination_message_path;
    if !message_path.is_empty() {
        let dir = agent.pod_dir(&pod.metadata.uid).join("containers").join(&container.name);
        let file = dir.join(format!("{:08x}", request.attempt));
        let write = || {
            agent.host.make_dir(&dir, None)?;
            // Whatever user the container runs as leaves its last words here.
            agent.host.write_file(&file, b"", 0o666)
        };
        write().map_err(|e| e.to_string())?;
        made.push(file_mount(&file, message_path));
    }
    Ok(made)
}

fn file_mount(host_path: &Path, container_path: &str) -> v1::Mount {
    v1::Mount {
        host_path: host_path.display().to_string(),
        container_path: container_path.to_owned(),
        ..Default::default()
    }
}

fn volume_mount(
    agent: &Agent,
    request: &Request,
    mount: &VolumeMount,
    volume: &MountedVolume,
    index: usize,
    env: &indexmap::IndexMap<String, String>,
) -> Result<v1::Mount, String> {
    let mut sub = mount.sub_path.clone();
    if !mount.sub_path_expr.is_empty() {
        sub = expand(&mount.sub_path_expr, |name| env.get(name).cloned());
        if sub.contains("$(") {
            return Err(format!("missing value for {:?}", mount.sub_path_expr));
        }
    }
    let mut host_path: PathBuf = volume.path.clone();
    if !sub.is_empty() {
        if sub.starts_with('/') || Path::new(&sub).components().any(|c| c == std::path::Component::ParentDir)
        {
            return Err(format!("subPath {sub:?} must be a relative path without '..'"));
        }
        let target = agent
            .pod_dir(&request.pod.metadata.uid)
            .join("volume-subpaths")
            .join(&mount.name)
            .join(&request.container.name)
            .join(index.to_string());
        agent.host.bind_subpath(&volume.path, Path::new(&sub), &target).map_err(|e| {
            format!(
                "failed to prepare subPath for volumeMount {:?} of container {:?}: {e}",
                mount.name, request.container.name
            )
        })?;
        host_path = target;
    } else if agent.host.kind(&host_path).is_none() {
        // A hostPath without a type is made as a directory, as container runtimes have always done.
        agent.host.make_dir(&host_path, Some(0o755)).map_err(|e| e.to_string())?;
    }
    let container_path = if mount.mount_path.starts_with('/') {
        mount.mount_path.clone()
    } else {
        format!("/{}", mount.mount_path)
    };
    let mut made = file_mount(&host_path, &container_path);
    made.readonly = mount.read_only || volume.read_only;
    made.set_propagation(match mount.mount_propagation.as_str() {
        "HostToContainer" => v1::MountPropagation::PropagationHostToContainer,
        "Bidirectional" => v1::MountPropagation::PropagationBidirectional,
        _ => v1::MountPropagation::PropagationPrivate,
    });
    Ok(made)
}

/// The pod's /etc/hosts, anew for every container: the addresses change with the sandbox.
fn write_hosts(agent: &Agent, request: &Request) -> std::io::Result<PathBuf> {
    let (meta, spec) = (&request.pod.metadata, &request.pod.spec);
    let file = agent.pod_dir(&meta.uid).join("etc-hosts");
    let text = if spec.host_network {
        let own = agent.host.read_file(Path::new("/etc/hosts")).unwrap_or_default();
        dns::host_network_hosts_file(&String::from_utf8_lossy(&own), &spec.host_aliases)
    } else {
        let (host, domain) = dns::hostname(&meta.name, spec, &meta.namespace, &agent.settings.cluster_domain);
        dns::hosts_file(
            &request.sandbox.ips,
            host.split('.').next().unwrap_or(&host),
            &domain,
            &spec.host_aliases,
        )
    };
    agent.host.write_file(&file, text.as_bytes(), 0o644)?;
    Ok(file)
}

/// The link by which log collectors find the log.
fn link_log(agent: &Agent, request: &Request, id: &str) {
    let (meta, name) = (&request.pod.metadata, &request.container.name);
    let link = agent.config.container_logs_dir.join(log_link(&meta.name, &meta.namespace, name, id));
    let target = super::config::log_dir(&agent.settings.pod_logs_dir, &request.pod)
        .join(format!("{name}/{}.log", request.attempt));
    let made = agent
        .host
        .make_dir(&agent.config.container_logs_dir, None)
        .and_then(|()| agent.host.symlink(&target, &link));
    if let Err(error) = made {
        tracing::debug!(component = "kubelet", %error, "log not linked");
    }
}

/// `POD_NAMESPACE_CONTAINER-ID.log`
pub(crate) fn log_link(pod: &str, namespace: &str, container: &str, id: &str) -> String {
    format!("{pod}_{namespace}_{container}-{id}.log")
}
