//! The resources that our own components talk to.

use crate::object::ResourceType;

const fn core(plural: &'static str, kind: &'static str, namespaced: bool) -> ResourceType {
    ResourceType { group: "", version: "v1", plural, kind, namespaced }
}

const fn of(
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    kind: &'static str,
    namespaced: bool,
) -> ResourceType {
    ResourceType { group, version, plural, kind, namespaced }
}

pub const PODS: ResourceType = core("pods", "Pod", true);
pub const NODES: ResourceType = core("nodes", "Node", false);
pub const NAMESPACES: ResourceType = core("namespaces", "Namespace", false);
pub const SERVICES: ResourceType = core("services", "Service", true);
pub const ENDPOINTS: ResourceType = core("endpoints", "Endpoints", true);
pub const EVENTS: ResourceType = core("events", "Event", true);
pub const SECRETS: ResourceType = core("secrets", "Secret", true);
pub const CONFIG_MAPS: ResourceType = core("configmaps", "ConfigMap", true);
pub const SERVICE_ACCOUNTS: ResourceType = core("serviceaccounts", "ServiceAccount", true);
pub const PERSISTENT_VOLUMES: ResourceType = core("persistentvolumes", "PersistentVolume", false);
pub const PERSISTENT_VOLUME_CLAIMS: ResourceType =
    core("persistentvolumeclaims", "PersistentVolumeClaim", true);
pub const REPLICATION_CONTROLLERS: ResourceType =
    core("replicationcontrollers", "ReplicationController", true);
pub const DEPLOYMENTS: ResourceType = of("apps", "v1", "deployments", "Deployment", true);
pub const REPLICA_SETS: ResourceType = of("apps", "v1", "replicasets", "ReplicaSet", true);
pub const STATEFUL_SETS: ResourceType = of("apps", "v1", "statefulsets", "StatefulSet", true);
pub const DAEMON_SETS: ResourceType = of("apps", "v1", "daemonsets", "DaemonSet", true);
pub const CONTROLLER_REVISIONS: ResourceType =
    of("apps", "v1", "controllerrevisions", "ControllerRevision", true);
pub const JOBS: ResourceType = of("batch", "v1", "jobs", "Job", true);
pub const ENDPOINT_SLICES: ResourceType =
    of("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", true);
pub const LEASES: ResourceType = of("coordination.k8s.io", "v1", "leases", "Lease", true);
pub const CSI_NODES: ResourceType = of("storage.k8s.io", "v1", "csinodes", "CSINode", false);
pub const RUNTIME_CLASSES: ResourceType = of("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", false);
pub const POD_DISRUPTION_BUDGETS: ResourceType =
    of("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", true);
pub const CLUSTER_ROLES: ResourceType =
    of("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", false);
