//! What the runtime is told to make: the sandbox's and the containers' CRI configuration. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cri::v1;

use super::expand::expand;
use super::hash::container_hash;
use super::observed::labels;
use super::resources::{CpuPolicy, container_resources};
use crate::api::Pod;
use crate::api::pod::{Container, PodSecurityContext, SecurityProfile};

/// What a node adds to every pod's configuration.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    pub pod_logs_dir: PathBuf,
    pub cluster_domain: String,
    pub seccomp_default: bool,
    /// Where profiles of the type Localhost are.
    pub seccomp_dir: PathBuf,
    /// The profile of the sandboxes' own processes.
    pub sandbox_seccomp: PathBuf,
    pub memory_capacity: u64,
    pub cpu: CpuPolicy,
}

/// A mounted volume and how it may be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountedVolume {
    pub path: PathBuf,
    pub read_only: bool,
}

/// The directory of a pod's logs.
pub fn log_dir(base: &Path, pod: &Pod) -> PathBuf {
    let meta = &pod.metadata;
    base.join(format!("{}_{}_{}", meta.namespace, meta.name, meta.uid))
}

/// The modes of a pod's namespaces, for its sandbox and for its containers alike.
fn namespaces(pod: &Pod) -> v1::NamespaceOption {
    let spec = &pod.spec;
    let node_or = |node: bool, other: v1::NamespaceMode| if node { v1::NamespaceMode::Node } else { other };
    let pid =
        if spec.share_process_namespace { v1::NamespaceMode::Pod } else { v1::NamespaceMode::Container };
    let mut made = v1::NamespaceOption::default();
    made.set_network(node_or(spec.host_network, v1::NamespaceMode::Pod));
    made.set_ipc(node_or(spec.host_ipc, v1::NamespaceMode::Pod));
    made.set_pid(node_or(spec.host_pid, pid));
    made
}

fn seccomp(
    settings: &NodeSettings,
    privileged: bool,
    profiles: [Option<&SecurityProfile>; 2],
) -> Option<v1::SecurityProfile> {
    use v1::security_profile::ProfileType;
    if privileged {
        return Some(v1::SecurityProfile {
            profile_type: ProfileType::Unconfined.into(),
            ..Default::default()
        });
    }
    let (kind, path) = match profiles.into_iter().flatten().next() {
        Some(p) if p.r#type == "RuntimeDefault" => (ProfileType::RuntimeDefault, String::new()),
        Some(p) if p.r#type == "Localhost" => {
            (ProfileType::Localhost, settings.seccomp_dir.join(&p.localhost_profile).display().to_string())
        }
        None if settings.seccomp_default => (ProfileType::RuntimeDefault, String::new()),
        _ => (ProfileType::Unconfined, String::new()),
    };
    Some(v1::SecurityProfile { profile_type: kind.into(), localhost_ref: path })
}

fn groups(context: &PodSecurityContext) -> Vec<i64> {
    context.fs_group.iter().chain(&context.supplemental_groups).copied().collect()
}

fn int(value: i64) -> v1::Int64Value {
    v1::Int64Value { value }
}

/// The sandbox of a pod.
pub fn sandbox_config(
    pod: &Pod,
    settings: &NodeSettings,
    dns: &v1::DnsConfig,
    cgroup_parent: &str,
    attempt: u32,
) -> v1::PodSandboxConfig {
    let (meta, spec) = (&pod.metadata, &pod.spec);
    let context = &spec.security_context;
    let mut own_labels = meta.labels.clone();
    own_labels.insert(labels::POD_NAME.into(), meta.name.clone());
    own_labels.insert(labels::POD_NAMESPACE.into(), meta.namespace.clone());
    own_labels.insert(labels::POD_UID.into(), meta.uid.clone());
    let mut annotations = meta.annotations.clone();
    annotations.insert("kubernetes.io/config.source".into(), "api".into());
    let hostname = if spec.host_network {
        String::new()
    } else {
        super::dns::hostname(&meta.name, spec, &meta.namespace, &settings.cluster_domain).0
    };
    let privileged = spec.all_containers().any(|c| c.security_context.privileged);
    let security = v1::LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(pod)),
        run_as_user: context.run_as_user.map(int),
        run_as_group: context.run_as_group.map(int).filter(|_| context.run_as_user.is_some()),
        supplemental_groups: groups(context),
        privileged,
        seccomp: Some(v1::SecurityProfile {
            profile_type: v1::security_profile::ProfileType::Localhost.into(),
            localhost_ref: settings.sandbox_seccomp.display().to_string(),
        }),
        ..Default::default()
    };
    v1::PodSandboxConfig {
        metadata: Some(v1::PodSandboxMetadata {
            name: meta.name.clone(),
            uid: meta.uid.clone(),
            namespace: meta.namespace.clone(),
            attempt,
        }),
        hostname,
        log_directory: log_dir(&settings.pod_logs_dir, pod).display().to_string(),
        dns_config: Some(dns.clone()),
        port_mappings: port_mappings(pod),
        labels: own_labels,
        annotations,
        linux: Some(v1::LinuxPodSandboxConfig {
            cgroup_parent: cgroup_parent.to_owned(),
            security_context: Some(security),
            sysctls: context.sysctls.iter().map(|s| (s.name.replace('/', "."), s.value.clone())).collect(),
            ..Default::default()
        }),
    }
}

fn port_mappings(pod: &Pod) -> Vec<v1::PortMapping> {
    if pod.spec.host_network {
        return Vec::new();
    }
    let ports = pod.spec.init_containers.iter().filter(|c| c.is_sidecar()).chain(&pod.spec.containers);
    ports
        .flat_map(|c| &c.ports)
        .filter(|p| p.host_port > 0)
        .map(|p| v1::PortMapping {
            protocol: match p.protocol.as_str() {
                "UDP" => v1::Protocol::Udp,
                "SCTP" => v1::Protocol::Sctp,
                _ => v1::Protocol::Tcp,
            }
            .into(),
            container_port: p.container_port,
            host_port: p.host_port,
            host_ip: p.host_ip.clone(),
        })
        .collect()
}

/// What is known only when the container is about to be made.
#[derive(Clone, Debug, Default)]
pub struct ContainerDetails {
    pub attempt: u32,
    /// The reference of the image as the runtime has it.
    pub image_ref: String,
    pub image_user: Option<i64>,
    pub image_username: String,
    pub env: Vec<(String, String)>,
    pub mounts: Vec<v1::Mount>,
    pub target_id: String,
}

/// A container of a pod; an error is what the waiting reason CreateContainerConfigError says.
pub fn container_config(
    pod: &Pod,
    container: &Container,
    settings: &NodeSettings,
    details: &ContainerDetails,
) -> Result<v1::ContainerConfig, String> {
    let meta = &pod.metadata;
    check_user(pod, container, details)?;
    let env: BTreeMap<&str, &str> = details.env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let expanded = |words: &[String]| -> Vec<String> {
        words.iter().map(|w| expand(w, |name| env.get(name).map(|v| (*v).to_owned()))).collect()
    };
    let grace = pod.spec.termination_grace_period_seconds.unwrap_or(30);
    let own_labels = [
        (labels::POD_NAME, &meta.name),
        (labels::POD_NAMESPACE, &meta.namespace),
        (labels::POD_UID, &meta.uid),
        (labels::CONTAINER_NAME, &container.name),
    ];
    let annotations = [
        (labels::HASH, container_hash(container)),
        (labels::RESTART_COUNT, details.attempt.to_string()),
        (labels::MESSAGE_PATH, container.termination_message_path.clone()),
        (labels::MESSAGE_POLICY, container.termination_message_policy.clone()),
        (labels::POD_GRACE, grace.to_string()),
    ];
    Ok(v1::ContainerConfig {
        metadata: Some(v1::ContainerMetadata { name: container.name.clone(), attempt: details.attempt }),
        image: Some(v1::ImageSpec {
            image: details.image_ref.clone(),
            user_specified_image: container.image.clone(),
            ..Default::default()
        }),
        command: expanded(&container.command),
        args: expanded(&container.args),
        working_dir: container.working_dir.clone(),
        envs: details
            .env
            .iter()
            .map(|(key, value)| v1::KeyValue { key: key.clone(), value: value.clone() })
            .collect(),
        mounts: details.mounts.clone(),
        labels: own_labels.into_iter().map(|(k, v)| (k.to_owned(), v.clone())).collect(),
        annotations: annotations.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
        log_path: format!("{}/{}.log", container.name, details.attempt),
        stdin: container.stdin,
        stdin_once: container.stdin_once,
        tty: container.tty,
        linux: Some(v1::LinuxContainerConfig {
            resources: Some(container_resources(
                &pod.spec,
                container,
                settings.memory_capacity,
                settings.cpu,
            )),
            security_context: Some(security_context(pod, container, settings, details)),
        }),
        ..Default::default()
    })
}

/// `runAsNonRoot` against what the container would run as.
fn check_user(pod: &Pod, container: &Container, details: &ContainerDetails) -> Result<(), String> {
    let (own, of_pod) = (&container.security_context, &pod.spec.security_context);
    if !own.run_as_non_root.or(of_pod.run_as_non_root).unwrap_or(false) {
        return Ok(());
    }
    let who = format!(
        "(pod: \"{}_{}({})\", container: {})",
        pod.metadata.name, pod.metadata.namespace, pod.metadata.uid, container.name
    );
    match own.run_as_user.or(of_pod.run_as_user) {
        Some(0) => return Err(format!("container's runAsUser breaks non-root policy {who}")),
        Some(_) => return Ok(()),
        None => {}
    }
    match (details.image_user, details.image_username.as_str()) {
        (Some(0), _) | (None, "") => {
            Err(format!("container has runAsNonRoot and image will run as root {who}"))
        }
        (Some(_), _) => Ok(()),
        (None, name) => Err(format!(
            "container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root {who}"
        )),
    }
}

/// What an unprivileged container must not see of /proc and /sys, as upstream's defaults.
const MASKED: [&str; 10] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
];
const MASKED_MORE: [&str; 2] = ["/sys/firmware", "/sys/devices/virtual/powercap"];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

fn security_context(
    pod: &Pod,
    container: &Container,
    settings: &NodeSettings,
    details: &ContainerDetails,
) -> v1::LinuxContainerSecurityContext {
    let (own, of_pod) = (&container.security_context, &pod.spec.security_context);
    let user = own.run_as_user.or(of_pod.run_as_user);
    let mut options = namespaces(pod);
    if !details.target_id.is_empty() {
        options.set_pid(v1::NamespaceMode::Target);
        options.target_id.clone_from(&details.target_id);
    }
    let mut made = v1::LinuxContainerSecurityContext {
        privileged: own.privileged,
        namespace_options: Some(options),
        run_as_user: user.map(int),
        run_as_username: match (user, details.image_user) {
            // The image names its user in words: the runtime looks it up.
            (None, None) => details.image_username.clone(),
            _ => String::new(),
        },
        run_as_group: own.run_as_group.or(of_pod.run_as_group).map(int),
        readonly_rootfs: own.read_only_root_filesystem,
        supplemental_groups: groups(of_pod),
        no_new_privs: own.allow_privilege_escalation == Some(false),
        seccomp: seccomp(
            settings,
            own.privileged,
            [own.seccomp_profile.as_ref(), of_pod.seccomp_profile.as_ref()],
        ),
        ..Default::default()
    };
    if user.is_none()
        && let Some(of_image) = details.image_user
    {
        made.run_as_user = Some(int(of_image));
    }
    if of_pod.supplemental_groups_policy == "Strict" {
        made.set_supplemental_groups_policy(v1::SupplementalGroupsPolicy::Strict);
    }
    made.capabilities = Some(v1::Capability {
        add_capabilities: own.capabilities.add.clone(),
        drop_capabilities: own.capabilities.drop.clone(),
        ..Default::default()
    });
    if !own.privileged && own.proc_mount != "Unmasked" {
        made.masked_paths = MASKED.iter().chain(&MASKED_MORE).map(|p| (*p).to_owned()).collect();
        made.readonly_paths = READ_ONLY.iter().map(|p| (*p).to_owned()).collect();
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn settings() -> NodeSettings {
        NodeSettings {
            pod_logs_dir: "/var/log/pods".into(),
            cluster_domain: "cluster.local".into(),
            seccomp_default: false,
            seccomp_dir: "/var/lib/kubelet/seccomp".into(),
            sandbox_seccomp: "/var/lib/kubelet/sandbox-seccomp.json".into(),
            memory_capacity: 1 << 30,
            cpu: CpuPolicy { quota: true, period_micros: 100_000 },
        }
    }

    fn pod(spec: serde_json::Value) -> Pod {
        let meta = json!({"name": "p", "namespace": "ns", "uid": "u", "labels": {"app": "x"}});
        serde_json::from_value(json!({"metadata": meta, "spec": spec})).unwrap()
    }

    #[test]
    fn a_sandbox() {
        let pod = pod(json!({"shareProcessNamespace": true, "containers": [
            {"name": "c", "ports": [{"containerPort": 80, "hostPort": 8080, "protocol": "TCP"}, {"containerPort": 81}]}]}));
        let made = sandbox_config(&pod, &settings(), &v1::DnsConfig::default(), "/kubepods/podu", 1);
        assert_eq!(made.log_directory, "/var/log/pods/ns_p_u");
        assert_eq!((made.hostname.as_str(), made.port_mappings.len()), ("p", 1));
        assert_eq!(made.labels["io.kubernetes.pod.uid"], "u");
        let context = made.linux.unwrap().security_context.unwrap();
        assert_eq!(context.seccomp.unwrap().localhost_ref, "/var/lib/kubelet/sandbox-seccomp.json");
        let options = context.namespace_options.unwrap();
        assert_eq!((options.pid(), options.network()), (v1::NamespaceMode::Pod, v1::NamespaceMode::Pod));
    }

    #[test]
    fn a_container() {
        let pod = pod(
            json!({"securityContext": {"runAsUser": 1000, "fsGroup": 2000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "c", "image": "i", "command": ["echo", "$(A)"], "args": ["$$(A)", "$(B)"],
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}}]}),
        );
        let details = ContainerDetails {
            attempt: 2,
            env: vec![("A".into(), "1".into())],
            ..ContainerDetails::default()
        };
        let made = container_config(&pod, &pod.spec.containers[0], &settings(), &details).unwrap();
        assert_eq!(
            (made.command, made.args),
            (vec!["echo".to_owned(), "1".to_owned()], vec!["$(A)".to_owned(), "$(B)".to_owned()])
        );
        assert_eq!(made.log_path, "c/2.log");
        let context = made.linux.unwrap().security_context.unwrap();
        assert_eq!(context.run_as_user.unwrap().value, 1000);
        assert_eq!(context.supplemental_groups, [2000]);
        assert!(context.no_new_privs && !context.masked_paths.is_empty());
        assert_eq!(
            context.seccomp.unwrap().profile_type(),
            v1::security_profile::ProfileType::RuntimeDefault
        );
    }

    #[test]
    fn non_root_is_checked() {
        let check = |spec: serde_json::Value, user: Option<i64>, name: &str| {
            let pod = pod(spec);
            let details = ContainerDetails {
                image_user: user,
                image_username: name.into(),
                ..ContainerDetails::default()
            };
            container_config(&pod, &pod.spec.containers[0], &settings(), &details).err()
        };
        let strict = |user: Option<i64>| json!({"securityContext": {"runAsNonRoot": true, "runAsUser": user}, "containers": [{"name": "c"}]});
        let who = "(pod: \"p_ns(u)\", container: c)";
        assert_eq!(
            check(strict(Some(0)), None, ""),
            Some(format!("container's runAsUser breaks non-root policy {who}"))
        );
        assert_eq!(
            check(strict(None), Some(0), ""),
            Some(format!("container has runAsNonRoot and image will run as root {who}"))
        );
        assert_eq!(check(strict(None), Some(5), ""), None);
        assert_eq!(check(strict(Some(5)), Some(0), ""), None);
        assert!(check(strict(None), None, "app").unwrap().contains("non-numeric user (app)"));
        assert_eq!(check(json!({"containers": [{"name": "c"}]}), Some(0), ""), None);
    }
}
