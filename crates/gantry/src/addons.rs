//! Objects that a one-process cluster has beyond what every API server makes: cluster DNS with its rights, and the
//! API server's right to ask kubelets.

use std::net::{IpAddr, SocketAddr};

use apimachinery::{Status, Value};
use apiserver::seams::Objects;
use serde_json::json;

/// The ServiceAccount that DNS acts as.
pub const DNS_ACCOUNT: &str = "coredns";

const RBAC: &str = "rbac.authorization.k8s.io";

/// Makes or refreshes all of them.
pub async fn ensure(objects: &dyn Objects, dns_ip: IpAddr, dns_server: SocketAddr) -> Result<(), Status> {
    let role = |name: &str, rules: serde_json::Value| json!({"apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules});
    let binding = |name: &str, role: &str, subject: serde_json::Value| {
        json!({
            "apiVersion": format!("{RBAC}/v1"),
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
            "subjects": [subject],
        })
    };
    let dns_rules = json!([
        {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]);
    let account = json!({"kind": "ServiceAccount", "name": DNS_ACCOUNT, "namespace": "kube-system"});
    let masters = json!({"kind": "User", "apiGroup": RBAC, "name": "kube-apiserver-kubelet-client"});
    for (group, resource, object) in [
        (RBAC, "clusterroles", role("system:coredns", dns_rules)),
        (RBAC, "clusterrolebindings", binding("system:coredns", "system:coredns", account)),
        (
            RBAC,
            "clusterrolebindings",
            binding("gantry:kubelet-api-admin", "system:kubelet-api-admin", masters),
        ),
    ] {
        put(objects, group, resource, "", &object).await?;
    }
    let mut manifests = dns::manifests(dns_ip, dns_server);
    for object in &mut manifests {
        let (group, resource) = match object["kind"].as_str() {
            Some("Service") => ("", "services"),
            _ => ("discovery.k8s.io", "endpointslices"),
        };
        put(objects, group, resource, dns::manifests::NAMESPACE, object).await?;
    }
    Ok(())
}

/// Creates the object, or brings the one that is there to the wanted content.
async fn put(
    objects: &dyn Objects,
    group: &str,
    resource: &str,
    namespace: &str,
    object: &serde_json::Value,
) -> Result<(), Status> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let wanted: Value = apimachinery::value::to_value(object)
        .map_err(|e| Status::new(500, "InternalError", format!("a manifest of ours cannot be read: {e}")))?;
    let Some(live) = objects.get(group, resource, namespace, name) else {
        return objects.create(group, resource, namespace, wanted).await.map(|_| ());
    };
    let mut changed = Value::clone(&live);
    for (key, value) in wanted.as_object().into_iter().flat_map(|o| o.iter()) {
        if !matches!(key, "metadata" | "apiVersion" | "kind" | "spec") {
            changed.set_at(&[key], value.clone());
        }
    }
    if changed == *live {
        return Ok(());
    }
    objects.update(group, resource, namespace, name, "", changed).await.map(|_| ())
}
