//! What a kubelet is told: upstream's KubeletConfiguration under upstream's names and defaults, and what upstream takes
//! from flags. Fields of features that this kubelet does not have are accepted and have no effect; unknown names are
//! refused.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::api::node::Taint;

/// Everything that `run` needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    pub kubelet: KubeletConfiguration,
    /// `--hostname-override`, else the host's name, in lower case.
    pub node_name: String,
    /// `--node-ip`; the host's own choice when empty.
    pub node_ips: Vec<IpAddr>,
    /// `--root-dir`.
    pub root_dir: PathBuf,
    /// Where the symlinks that log collectors follow are made.
    pub container_logs_dir: PathBuf,
    /// Where the pod network's configuration is written once the node has its pod CIDR; not written when `None`.
    pub cni_conf_dir: Option<PathBuf>,
    /// The name of that network.
    pub cni_network_name: String,
    pub cni_mtu: Option<u32>,
    /// `--node-labels`.
    pub node_labels: BTreeMap<String, String>,
    /// Images that collection spares, besides those that the runtime has pinned: the pause image.
    pub pinned_images: Vec<String>,
    /// `gitVersion` that the node reports.
    pub version: String,
}

impl Config {
    /// Upstream's defaults for a node of this name.
    pub fn new(node_name: &str) -> Self {
        Self {
            kubelet: KubeletConfiguration::default(),
            node_name: node_name.to_owned(),
            node_ips: Vec::new(),
            root_dir: "/var/lib/kubelet".into(),
            container_logs_dir: "/var/log/containers".into(),
            cni_conf_dir: None,
            cni_network_name: "gantry".to_owned(),
            cni_mtu: None,
            node_labels: BTreeMap::new(),
            pinned_images: Vec::new(),
            version: component::VERSION.to_owned(),
        }
    }
    pub fn pods_dir(&self) -> PathBuf {
        self.root_dir.join("pods")
    }
}

/// Accepted for compatibility; without effect.
type Unused = Option<Value>;

/// kubelet.config.k8s.io/v1beta1 KubeletConfiguration.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct KubeletConfiguration {
    pub api_version: String,
    pub kind: String,

    // The kubelet's own server; read by its `server` module.
    pub enable_server: bool,
    pub address: String,
    pub port: u16,
    pub read_only_port: u16,
    pub healthz_port: u16,
    pub healthz_bind_address: String,
    pub tls_cert_file: String,
    pub tls_private_key_file: String,
    pub tls_min_version: String,
    pub tls_cipher_suites: Vec<String>,
    #[serde(rename = "serverTLSBootstrap")]
    pub server_tls_bootstrap: bool,
    pub rotate_certificates: bool,
    pub authentication: Authentication,
    pub authorization: Authorization,
    pub enable_debugging_handlers: Option<bool>,
    #[serde(deserialize_with = "duration", serialize_with = "as_duration")]
    pub streaming_connection_idle_timeout: Duration,

    // Pods.
    pub max_pods: u32,
    #[serde(rename = "podCIDR")]
    pub pod_cidr: String,
    pub pod_pids_limit: i64,
    pub pod_logs_dir: PathBuf,
    pub resolv_conf: Option<String>,
    pub cluster_domain: String,
    #[serde(rename = "clusterDNS")]
    pub cluster_dns: Vec<String>,
    pub seccomp_default: bool,
    pub allowed_unsafe_sysctls: Vec<String>,
    pub crash_loop_back_off: CrashLoopBackOff,
    pub static_pod_path: String,

    // Control groups and reservations.
    pub cgroup_root: String,
    #[serde(rename = "cgroupsPerQOS")]
    pub cgroups_per_qos: bool,
    pub cgroup_driver: String,
    #[serde(rename = "cpuCFSQuota")]
    pub cpu_cfs_quota: bool,
    #[serde(rename = "cpuCFSQuotaPeriod", deserialize_with = "duration", serialize_with = "as_duration")]
    pub cpu_cfs_quota_period: Duration,
    pub system_reserved: BTreeMap<String, String>,
    pub kube_reserved: BTreeMap<String, String>,
    pub enforce_node_allocatable: Option<Vec<String>>,

    // The runtime, images and logs.
    pub container_runtime_endpoint: String,
    pub image_service_endpoint: String,
    #[serde(deserialize_with = "duration", serialize_with = "as_duration")]
    pub runtime_request_timeout: Duration,
    pub serialize_image_pulls: bool,
    pub max_parallel_image_pulls: Option<u32>,
    #[serde(rename = "imageMinimumGCAge", deserialize_with = "duration", serialize_with = "as_duration")]
    pub image_minimum_gc_age: Duration,
    #[serde(rename = "imageMaximumGCAge", deserialize_with = "duration", serialize_with = "as_duration")]
    pub image_maximum_gc_age: Duration,
    #[serde(rename = "imageGCHighThresholdPercent")]
    pub image_gc_high_threshold_percent: u8,
    #[serde(rename = "imageGCLowThresholdPercent")]
    pub image_gc_low_threshold_percent: u8,
    pub container_log_max_size: String,
    pub container_log_max_files: u32,
    #[serde(deserialize_with = "duration", serialize_with = "as_duration")]
    pub container_log_monitor_interval: Duration,

    // The node.
    pub register_node: bool,
    pub register_with_taints: Vec<Taint>,
    #[serde(rename = "providerID")]
    pub provider_id: String,
    #[serde(deserialize_with = "duration", serialize_with = "as_duration")]
    pub node_status_update_frequency: Duration,
    #[serde(deserialize_with = "duration", serialize_with = "as_duration")]
    pub node_status_report_frequency: Duration,
    pub node_lease_duration_seconds: u32,
    pub node_status_max_images: i32,
    pub eviction_hard: Option<BTreeMap<String, String>>,
    #[serde(deserialize_with = "duration", serialize_with = "as_duration")]
    pub eviction_pressure_transition_period: Duration,
    pub fail_swap_on: bool,
    pub feature_gates: BTreeMap<String, bool>,

    // Accepted, without effect here.
    #[serde(flatten)]
    pub unused: UnusedFields,
}

/// Fields of KubeletConfiguration that this kubelet has no use for.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UnusedFields {
    pub sync_frequency: Unused,
    pub file_check_frequency: Unused,
    pub http_check_frequency: Unused,
    #[serde(rename = "staticPodURL")]
    pub static_pod_url: Unused,
    #[serde(rename = "staticPodURLHeader")]
    pub static_pod_url_header: Unused,
    pub tls_curve_preferences: Unused,
    #[serde(rename = "registryPullQPS")]
    pub registry_pull_qps: Unused,
    pub registry_burst: Unused,
    pub image_pull_credentials_verification_policy: Unused,
    pub preloaded_images_verification_allowlist: Unused,
    #[serde(rename = "eventRecordQPS")]
    pub event_record_qps: Unused,
    pub event_burst: Unused,
    pub enable_contention_profiling: Unused,
    pub oom_score_adj: Unused,
    pub volume_stats_agg_period: Unused,
    pub kubelet_cgroups: Unused,
    pub system_cgroups: Unused,
    pub cpu_manager_policy: Unused,
    #[serde(rename = "singleProcessOOMKill")]
    pub single_process_oom_kill: Unused,
    pub cpu_manager_policy_options: Unused,
    pub cpu_manager_reconcile_period: Unused,
    pub memory_manager_policy: Unused,
    pub topology_manager_policy: Unused,
    pub topology_manager_scope: Unused,
    pub topology_manager_policy_options: Unused,
    pub qos_reserved: Unused,
    pub hairpin_mode: Unused,
    pub run_once: Unused,
    pub max_open_files: Unused,
    pub content_type: Unused,
    #[serde(rename = "kubeAPIQPS")]
    pub kube_api_qps: Unused,
    #[serde(rename = "kubeAPIBurst")]
    pub kube_api_burst: Unused,
    pub eviction_soft: Unused,
    pub eviction_soft_grace_period: Unused,
    pub eviction_max_pod_grace_period: Unused,
    pub eviction_minimum_reclaim: Unused,
    pub merge_default_eviction_settings: Unused,
    pub pods_per_core: Unused,
    pub enable_controller_attach_detach: Unused,
    pub protect_kernel_defaults: Unused,
    #[serde(rename = "makeIPTablesUtilChains")]
    pub make_iptables_util_chains: Unused,
    pub iptables_masquerade_bit: Unused,
    pub iptables_drop_bit: Unused,
    pub memory_swap: Unused,
    pub container_log_max_workers: Unused,
    pub config_map_and_secret_change_detection_strategy: Unused,
    #[serde(rename = "reservedSystemCPUs")]
    pub reserved_system_cpus: Unused,
    pub show_hidden_metrics_for_version: Unused,
    pub system_reserved_cgroup: Unused,
    pub kube_reserved_cgroup: Unused,
    pub volume_plugin_dir: Unused,
    pub kernel_memcg_notification: Unused,
    pub logging: Unused,
    pub enable_system_log_handler: Unused,
    pub enable_system_log_query: Unused,
    pub shutdown_grace_period: Unused,
    pub shutdown_grace_period_critical_pods: Unused,
    pub shutdown_grace_period_by_pod_priority: Unused,
    pub reserved_memory: Unused,
    pub enable_profiling_handler: Unused,
    pub enable_debug_flags_handler: Unused,
    pub memory_throttling_factor: Unused,
    pub tracing: Unused,
    pub local_storage_capacity_isolation: Unused,
    #[serde(rename = "failCgroupV1")]
    pub fail_cgroup_v1: Unused,
    pub user_namespaces: Unused,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Authentication {
    pub x509: AuthenticationX509,
    pub webhook: AuthenticationWebhook,
    pub anonymous: AuthenticationAnonymous,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthenticationX509 {
    #[serde(rename = "clientCAFile")]
    pub client_ca_file: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct AuthenticationWebhook {
    pub enabled: bool,
    #[serde(rename = "cacheTTL", deserialize_with = "duration", serialize_with = "as_duration")]
    pub cache_ttl: Duration,
}

impl Default for AuthenticationWebhook {
    fn default() -> Self {
        Self { enabled: true, cache_ttl: Duration::from_secs(120) }
    }
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthenticationAnonymous {
    pub enabled: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Authorization {
    pub mode: String,
    pub webhook: AuthorizationWebhook,
}

impl Default for Authorization {
    fn default() -> Self {
        Self { mode: "Webhook".to_owned(), webhook: AuthorizationWebhook::default() }
    }
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct AuthorizationWebhook {
    #[serde(rename = "cacheAuthorizedTTL", deserialize_with = "duration", serialize_with = "as_duration")]
    pub cache_authorized_ttl: Duration,
    #[serde(rename = "cacheUnauthorizedTTL", deserialize_with = "duration", serialize_with = "as_duration")]
    pub cache_unauthorized_ttl: Duration,
}

impl Default for AuthorizationWebhook {
    fn default() -> Self {
        Self {
            cache_authorized_ttl: Duration::from_secs(300),
            cache_unauthorized_ttl: Duration::from_secs(30),
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct CrashLoopBackOff {
    #[serde(deserialize_with = "optional_duration", serialize_with = "as_optional_duration")]
    pub max_container_restart_period: Option<Duration>,
}

impl Default for KubeletConfiguration {
    fn default() -> Self {
        Self {
            api_version: "kubelet.config.k8s.io/v1beta1".to_owned(),
            kind: "KubeletConfiguration".to_owned(),
            enable_server: true,
            address: "0.0.0.0".to_owned(),
            port: 10250,
            read_only_port: 0,
            healthz_port: 10248,
            healthz_bind_address: "127.0.0.1".to_owned(),
            tls_cert_file: String::new(),
            tls_private_key_file: String::new(),
            tls_min_version: String::new(),
            tls_cipher_suites: Vec::new(),
            server_tls_bootstrap: false,
            rotate_certificates: false,
            authentication: Authentication::default(),
            authorization: Authorization::default(),
            enable_debugging_handlers: None,
            streaming_connection_idle_timeout: Duration::from_secs(4 * 3600),
            max_pods: 110,
            pod_cidr: String::new(),
            pod_pids_limit: -1,
            pod_logs_dir: "/var/log/pods".into(),
            resolv_conf: None,
            cluster_domain: String::new(),
            cluster_dns: Vec::new(),
            seccomp_default: false,
            allowed_unsafe_sysctls: Vec::new(),
            crash_loop_back_off: CrashLoopBackOff::default(),
            static_pod_path: String::new(),
            cgroup_root: String::new(),
            cgroups_per_qos: true,
            cgroup_driver: "cgroupfs".to_owned(),
            cpu_cfs_quota: true,
            cpu_cfs_quota_period: Duration::from_millis(100),
            system_reserved: BTreeMap::new(),
            kube_reserved: BTreeMap::new(),
            enforce_node_allocatable: None,
            container_runtime_endpoint: "unix:///run/containerd/containerd.sock".to_owned(),
            image_service_endpoint: String::new(),
            runtime_request_timeout: Duration::from_secs(120),
            serialize_image_pulls: true,
            max_parallel_image_pulls: None,
            image_minimum_gc_age: Duration::from_secs(120),
            image_maximum_gc_age: Duration::ZERO,
            image_gc_high_threshold_percent: 85,
            image_gc_low_threshold_percent: 80,
            container_log_max_size: "10Mi".to_owned(),
            container_log_max_files: 5,
            container_log_monitor_interval: Duration::from_secs(10),
            register_node: true,
            register_with_taints: Vec::new(),
            provider_id: String::new(),
            node_status_update_frequency: Duration::from_secs(10),
            node_status_report_frequency: Duration::from_secs(300),
            node_lease_duration_seconds: 40,
            node_status_max_images: 50,
            eviction_hard: None,
            eviction_pressure_transition_period: Duration::from_secs(300),
            fail_swap_on: true,
            feature_gates: BTreeMap::new(),
            unused: UnusedFields::default(),
        }
    }
}

impl KubeletConfiguration {
    /// The hard eviction thresholds: the given ones, else upstream's.
    pub fn eviction_hard(&self) -> BTreeMap<String, String> {
        self.eviction_hard.clone().unwrap_or_else(|| {
            [
                ("memory.available", "100Mi"),
                ("nodefs.available", "10%"),
                ("nodefs.inodesFree", "5%"),
                ("imagefs.available", "15%"),
                ("imagefs.inodesFree", "5%"),
            ]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into()
        })
    }
    /// As `/configz` shows it: what is in effect or was given, in upstream's names and forms.
    pub fn shown(&self) -> Value {
        let mut shown = self.clone();
        shown.eviction_hard = Some(self.eviction_hard());
        shown.enforce_node_allocatable.get_or_insert_with(|| vec!["pods".to_owned()]);
        shown.enable_debugging_handlers.get_or_insert(true);
        let mut value = serde_json::to_value(&shown).unwrap_or_default();
        drop_empty(&mut value);
        value
    }
    /// How many images may be pulled at the same time.
    pub fn parallel_pulls(&self) -> usize {
        match (self.serialize_image_pulls, self.max_parallel_image_pulls) {
            (true, _) => 1,
            (false, limit) => limit.map_or(PARALLEL_PULLS, |n| usize::try_from(n).unwrap_or(1).max(1)),
        }
    }
}

/// Upstream sets no limit; ours keeps a node with a hundred new pods from opening as many connections.
const PARALLEL_PULLS: usize = 16;

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    component::flags::parse_duration(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

fn optional_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

fn as_duration<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&component::flags::render_duration(*duration))
}

#[allow(clippy::ref_option, reason = "serde's signature")]
fn as_optional_duration<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    duration.map(component::flags::render_duration).serialize(serializer)
}

/// Takes out what says nothing, as Go's `omitempty`.
fn drop_empty(value: &mut Value) {
    let Value::Object(members) = value else { return };
    members.values_mut().for_each(drop_empty);
    members.retain(|_, member| match member {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_files_are_read() {
        let text = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPods: 50\n\
                    syncFrequency: 1m0s\nruntimeRequestTimeout: 2m30s\ncgroupDriver: cgroupfs\n\
                    authentication:\n  anonymous:\n    enabled: false\n  webhook:\n    cacheTTL: 0s\n\
                    clusterDNS: [10.96.0.10]\nfeatureGates: {A: true}\n";
        let config: KubeletConfiguration = component::config::parse(text).unwrap();
        assert_eq!(config.max_pods, 50);
        assert_eq!(config.runtime_request_timeout, Duration::from_secs(150));
        assert_eq!(config.cluster_dns, ["10.96.0.10"]);
    }

    #[test]
    fn what_is_shown_is_a_file_again() {
        let text = "maxPods: 50\nsyncFrequency: 1m0s\nclusterDNS: [10.96.0.10]\ncpuCFSQuotaPeriod: 50ms\n";
        let config: KubeletConfiguration = component::config::parse(text).unwrap();
        let shown = config.shown();
        for (field, expected) in [
            ("kind", serde_json::json!("KubeletConfiguration")),
            ("maxPods", serde_json::json!(50)),
            ("syncFrequency", serde_json::json!("1m0s")),
            ("clusterDNS", serde_json::json!(["10.96.0.10"])),
            ("cpuCFSQuotaPeriod", serde_json::json!("50ms")),
            ("streamingConnectionIdleTimeout", serde_json::json!("4h0m0s")),
            ("enforceNodeAllocatable", serde_json::json!(["pods"])),
            ("staticPodPath", Value::Null),
        ] {
            assert_eq!(shown[field], expected, "{field}");
        }
        assert_eq!(shown["evictionHard"]["memory.available"], "100Mi");
        let again: KubeletConfiguration = serde_json::from_value(shown.clone()).unwrap();
        assert_eq!(again.shown(), shown);
    }

    #[test]
    fn unknown_names_are_refused() {
        let error = component::config::parse::<KubeletConfiguration>("maxPod: 50\n").unwrap_err();
        assert!(error.0.contains("maxPod"), "{error}");
    }
}
