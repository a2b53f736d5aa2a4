//! What a cluster has before anybody asks for it: system namespaces, default roles and bindings, priority classes, flow
//! control, the `kubernetes` Service with its endpoints, the default ServiceCIDR and the server's identity.
//!
//! [`run`] is idempotent: what is there is read from the server's cache and skipped, what is missing is created, all at
//! once, so that the store commits it in a few groups instead of two hundred writes in a row. Nothing that a user changed
//! is taken back, but for the address of the server itself.

pub mod api_services;
pub mod flow;
pub mod policy;

use std::net::IpAddr;
use std::sync::Arc;

use apimachinery::{Status, Value};
use futures::future::{BoxFuture, join_all};
use jiff::Timestamp;

use crate::auth::rbac::GROUP as RBAC;
use crate::seams::Objects;
use crate::value;
use crate::values::{meta, strings};
use policy::Reconcile;

/// The namespaces that every cluster has, in the order in which they are made.
pub const SYSTEM_NAMESPACES: [&str; 4] = ["kube-system", "kube-public", "default", "kube-node-lease"];
const DISCOVERY: &str = "discovery.k8s.io";
const FLOW: &str = "flowcontrol.apiserver.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
/// The managers of fields as whom the server's parts write.
const OWN: &str = "kube-apiserver";
const FLOW_PRODUCER: &str = "api-priority-and-fairness-config-producer-v1";
const FLOW_CONSUMER: &str = "api-priority-and-fairness-config-consumer-v1";
const CIDR_CONTROLLER: &str = "kubernetes-service-cidr-controller";

/// What this server is called and where it is.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address that clients inside the cluster reach this server at.
    pub advertise_address: IpAddr,
    /// The secure port.
    pub port: u16,
    /// Service ranges, the primary one first: `10.96.0.0/16`.
    pub service_cidrs: Vec<String>,
    /// The first address of the primary range: the `kubernetes` Service's.
    pub kubernetes_ip: IpAddr,
    pub host_name: String,
    /// The name of the server's lease: `apiserver-…`.
    pub identity: String,
    /// A uid of this run of the server, for the lease's holder.
    pub run_uid: String,
    /// What clients' certificates are verified against; published for extension API servers. Empty without it.
    pub client_ca_pem: String,
}

/// Makes what is missing. Answers the first failure after everything has been tried.
pub async fn run(objects: Arc<dyn Objects>, config: &Config, now: Timestamp) -> Result<(), Status> {
    let objects = &*objects;
    let spaces = SYSTEM_NAMESPACES.iter().map(|name| {
        let namespace = value!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": (*name) } });
        ensure(objects, "", "namespaces", "", namespace)
    });
    first_error(join_all(spaces).await)?;

    let mut work: Vec<BoxFuture<'_, Result<(), Status>>> = Vec::new();
    for wanted in policy::all() {
        work.push(Box::pin(reconcile_policy(objects, wanted)));
    }
    for class in priority_classes() {
        work.push(Box::pin(ensure(objects, "scheduling.k8s.io", "priorityclasses", "", class)));
    }
    for level in flow::priority_levels() {
        work.push(Box::pin(ensure_by(
            objects,
            FLOW_PRODUCER,
            FLOW,
            "prioritylevelconfigurations",
            "",
            level,
        )));
    }
    for schema in flow::flow_schemas(&time(now)) {
        let managers = (FLOW_PRODUCER, FLOW_CONSUMER);
        work.push(Box::pin(ensure_with_status(objects, managers, FLOW, "flowschemas", schema)));
    }
    let cidr = service_cidr(config, now);
    let managers = (OWN, CIDR_CONTROLLER);
    work.push(Box::pin(ensure_with_status(objects, managers, NETWORKING, "servicecidrs", cidr)));
    work.push(Box::pin(ensure(objects, "", "services", "default", kubernetes_service(config))));
    if config.advertise_address.is_loopback() {
        // No endpoint may be a loopback address: pods would reach themselves. Clients on this host are served all the same.
        tracing::warn!(
            address = %config.advertise_address,
            "the address is this host's own: the kubernetes Service gets no endpoints; set --advertise-address"
        );
    } else {
        work.push(Box::pin(ensure_content(objects, "", "endpoints", endpoints(config), &["subsets"])));
        let slice = endpoint_slice(config);
        work.push(Box::pin(ensure_content(
            objects,
            DISCOVERY,
            "endpointslices",
            slice,
            &["endpoints", "ports"],
        )));
    }
    if !config.client_ca_pem.is_empty() {
        let published = authentication_config(config);
        work.push(Box::pin(ensure_content(objects, "", "configmaps", published, &["data"])));
    }
    work.push(Box::pin(ensure(objects, "", "configmaps", "kube-system", token_tracking(now))));
    work.push(Box::pin(renew_identity(objects, config, now)));
    first_error(join_all(work).await)
}

/// Writes the server's lease: at start, and then well within its hour by whoever keeps time.
pub async fn renew_identity(objects: &dyn Objects, config: &Config, now: Timestamp) -> Result<(), Status> {
    let lease = value!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": (config.identity.as_str()),
            "namespace": "kube-system",
            "labels": {
                "apiserver.kubernetes.io/identity": "kube-apiserver",
                "kubernetes.io/hostname": (config.host_name.as_str()),
            },
            "annotations": {
                "kubernetes.io/peer-advertise-address": (format!("{}:{}", config.advertise_address, config.port)),
            },
        },
        "spec": {
            "holderIdentity": (format!("{}_{}", config.identity, config.run_uid)),
            "leaseDurationSeconds": 3600,
            "renewTime": (format!("{now:.6}")),
        },
    });
    ensure_content(objects, "coordination.k8s.io", "leases", lease, &["spec"]).await
}

fn first_error(outcomes: Vec<Result<(), Status>>) -> Result<(), Status> {
    outcomes.into_iter().collect()
}

fn time(now: Timestamp) -> String {
    format!("{now:.0}")
}

/// Another server may have made it in the meantime.
fn unless_exists(outcome: Result<Value, Status>) -> Result<(), Status> {
    match outcome {
        Err(status) if status.reason != "AlreadyExists" => Err(status),
        _ => Ok(()),
    }
}

async fn ensure(
    objects: &dyn Objects,
    group: &str,
    resource: &str,
    namespace: &str,
    object: Value,
) -> Result<(), Status> {
    ensure_by(objects, OWN, group, resource, namespace, object).await
}

/// As [`ensure`], in the name of one of the server's parts.
async fn ensure_by(
    objects: &dyn Objects,
    manager: &str,
    group: &str,
    resource: &str,
    namespace: &str,
    object: Value,
) -> Result<(), Status> {
    if objects.get(group, resource, namespace, meta(&object, "name")).is_some() {
        return Ok(());
    }
    unless_exists(objects.create_by(manager, group, resource, namespace, object).await)
}

/// Creates a cluster-scoped object and then applies the status that it carries, which creation drops. `managers` are those
/// of the object and of its status.
async fn ensure_with_status(
    objects: &dyn Objects,
    managers: (&str, &str),
    group: &str,
    resource: &str,
    object: Value,
) -> Result<(), Status> {
    let name = meta(&object, "name").to_owned();
    let mut applied = Value::object();
    for key in ["apiVersion", "kind", "status"] {
        applied.set_at(&[key], object.get(key).cloned().unwrap_or_default());
    }
    applied.set_at(&["metadata", "name"], name.as_str());
    match objects.get(group, resource, "", &name) {
        Some(found) if found.at(&["status", "conditions"]).is_some() => return Ok(()),
        Some(_) => {}
        None => match objects.create_by(managers.0, group, resource, "", object).await {
            Ok(_) => {}
            Err(status) if status.reason == "AlreadyExists" => return Ok(()),
            Err(status) => return Err(status),
        },
    }
    objects.apply_status(managers.1, group, resource, &name, applied).await.map(|_| ())
}

/// Creates the object, or brings the named top-level fields of an existing one to what is wanted.
async fn ensure_content(
    objects: &dyn Objects,
    group: &str,
    resource: &str,
    object: Value,
    fields: &[&str],
) -> Result<(), Status> {
    let (namespace, name) = (meta(&object, "namespace").to_owned(), meta(&object, "name").to_owned());
    let Some(found) = objects.get(group, resource, &namespace, &name) else {
        return unless_exists(objects.create(group, resource, &namespace, object).await);
    };
    if fields.iter().all(|f| found.get(f) == object.get(f)) {
        return Ok(());
    }
    let mut updated = Arc::unwrap_or_clone(found);
    for field in fields {
        updated.set_at(&[field], object.get(field).cloned().unwrap_or_default());
    }
    objects.update(group, resource, &namespace, &name, "", updated).await.map(|_| ())
}

async fn reconcile_policy(objects: &dyn Objects, wanted: policy::PolicyObject) -> Result<(), Status> {
    let (resource, namespace, name) = (wanted.resource, wanted.namespace.as_str(), wanted.name.as_str());
    let Some(found) = objects.get(RBAC, resource, namespace, name) else {
        return unless_exists(objects.create(RBAC, resource, namespace, wanted.object.clone()).await);
    };
    match policy::reconcile(&wanted, &found) {
        Reconcile::Keep => Ok(()),
        Reconcile::Update(object) => {
            objects.update(RBAC, resource, namespace, name, "", object).await.map(|_| ())
        }
        Reconcile::Recreate => {
            objects.delete(RBAC, resource, namespace, name, value!({})).await?;
            unless_exists(objects.create(RBAC, resource, namespace, wanted.object.clone()).await)
        }
    }
}

fn priority_classes() -> [Value; 2] {
    let class = |name: &str, value: i64, description: &str| {
        value!({
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": { "name": (name) },
            "value": (value),
            "description": (description),
            "preemptionPolicy": "PreemptLowerPriority",
        })
    };
    [
        class(
            "system-cluster-critical",
            2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
        class(
            "system-node-critical",
            2_000_001_000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
    ]
}

fn service_cidr(config: &Config, now: Timestamp) -> Value {
    value!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": { "name": "kubernetes" },
        "spec": { "cidrs": (strings(&config.service_cidrs)) },
        "status": { "conditions": [{
            "type": "Ready",
            "status": "True",
            "lastTransitionTime": (time(now)),
            "message": "Kubernetes default Service CIDR is ready",
        }] },
    })
}

fn kubernetes_service(config: &Config) -> Value {
    value!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": { "component": "apiserver", "provider": "kubernetes" },
        },
        "spec": {
            "ports": [{ "name": "https", "protocol": "TCP", "port": 443, "targetPort": (i64::from(config.port)) }],
            "clusterIP": (config.kubernetes_ip.to_string()),
            "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
            "sessionAffinity": "None",
            "type": "ClusterIP",
        },
    })
}

fn family(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "IPv4" } else { "IPv6" }
}

fn endpoints(config: &Config) -> Value {
    value!({
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": { "endpointslice.kubernetes.io/skip-mirror": "true" },
        },
        "subsets": [{
            "addresses": [{ "ip": (config.advertise_address.to_string()) }],
            "ports": [{ "name": "https", "port": (i64::from(config.port)), "protocol": "TCP" }],
        }],
    })
}

fn endpoint_slice(config: &Config) -> Value {
    value!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": { "kubernetes.io/service-name": "kubernetes" },
        },
        "addressType": (family(config.advertise_address)),
        "endpoints": [{
            "addresses": [(config.advertise_address.to_string())],
            "conditions": { "ready": true },
        }],
        "ports": [{ "name": "https", "protocol": "TCP", "port": (i64::from(config.port)) }],
    })
}

/// Where extension API servers find whom to trust.
fn authentication_config(config: &Config) -> Value {
    value!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": "extension-apiserver-authentication", "namespace": "kube-system" },
        "data": { "client-ca-file": (config.client_ca_pem.as_str()) },
    })
}

fn token_tracking(now: Timestamp) -> Value {
    let date = time(now);
    value!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": "kube-apiserver-legacy-service-account-token-tracking", "namespace": "kube-system" },
        "data": { "since": (date.split('T').next().unwrap_or_default()) },
    })
}

#[cfg(test)]
mod tests;
