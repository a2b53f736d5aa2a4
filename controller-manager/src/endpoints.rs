//! The endpoint controller: the older, single-object form of what stands behind a Service.
//!
//! As upstream since 1.33 its objects carry `endpoints.kubernetes.io/managed-by`. At most 1,000 addresses are kept,
//! and an annotation says when some were left out. Readiness decides between `addresses` and `notReadyAddresses`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use client::{
    Client, EventType, Informer, Key, ObjectReference, PartialObject, Recorder, Resource as _, resources,
};
use controller_kit::{LabelSelector, Queue, SyncError, SyncResult};
use serde_json::{Value, json};

use crate::context::{Context, synced};
use crate::endpointslice::{belongs, family_addresses, find_port, select_services};
use crate::objects::{Pod, Service};

const ADDRESSES_MAX: usize = 1000;
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
const HEADLESS: &str = "service.kubernetes.io/headless";
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";

struct Controller {
    client: Client,
    recorder: Recorder,
    services: Informer<Service>,
    pods: Informer<Pod>,
}

pub(crate) fn start(context: &Context) {
    let queue: Queue<Key> = Queue::new(context.env.clone());
    let services = context.informers.of::<Service>();
    let pods = context.informers.of::<Pod>();
    let add = queue.clone();
    services.add_handler(move |event| add.add(Key::of(&event.object().metadata)));
    select_services(&pods, &services, &queue);
    // Only metadata: what is in them is read live before it is changed.
    let endpoints = context.informers.metadata_of(resources::ENDPOINTS);
    let add = queue.clone();
    endpoints.add_handler(move |event| {
        if event.is_deleted() {
            add.add(Key::of(event.object().meta()));
        }
    });
    let caches = vec![synced(&services), synced(&pods), synced(&endpoints)];
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        recorder: context.recorder.clone(),
        services,
        pods,
    });
    context.run(caches, context.config.workers, &queue, move |key| {
        let controller = Arc::clone(&controller);
        async move { controller.sync(&key).await }
    });
}

/// (name, port, protocol, appProtocol) of each port of a subset.
type Ports = BTreeSet<(String, i32, String, Option<String>)>;

/// The subsets: pods with the same ports share one. True when addresses were left out.
fn plan_subsets(service: &Service, pods: &[Arc<Pod>]) -> (Vec<Value>, bool) {
    let family = service.spec.ip_families.first().map_or("IPv4", String::as_str);
    let headless = service.spec.cluster_ip == "None";
    let mut subsets: BTreeMap<Ports, [Vec<Value>; 2]> = BTreeMap::new();
    let mut n = 0;
    let mut truncated = false;
    // Ready ones first: what is left out should be what serves nobody.
    let mut order: Vec<&Arc<Pod>> = pods.iter().filter(|p| belongs(p) && !p.metadata.deleting()).collect();
    order.sort_by_key(|p| (!p.is_ready(), p.status.pod_ip.clone()));
    for pod in order {
        let Some(ip) = family_addresses(pod, family).into_iter().next() else { continue };
        let ports: Ports = service
            .spec
            .ports
            .iter()
            .filter_map(|port| {
                let protocol = if port.protocol.is_empty() { "TCP" } else { &port.protocol };
                Some((
                    port.name.clone(),
                    find_port(pod, port)?,
                    protocol.to_owned(),
                    port.app_protocol.clone(),
                ))
            })
            .collect();
        // No port of the Service is on this pod; a headless Service without ports still names its pods.
        if ports.is_empty() && !(headless && service.spec.ports.is_empty()) {
            continue;
        }
        n += 1;
        if n > ADDRESSES_MAX {
            truncated = true;
            break;
        }
        let ready = pod.is_ready() || service.spec.publish_not_ready_addresses;
        subsets.entry(ports).or_default()[usize::from(!ready)].push(address(service, pod, &ip));
    }
    let subsets =
        subsets.into_iter().map(|(ports, [ready, unready])| subset(&ports, ready, unready)).collect();
    (subsets, truncated)
}

fn address(service: &Service, pod: &Pod, ip: &str) -> Value {
    let mut address = json!({
        "ip": ip,
        "targetRef": {
            "kind": "Pod", "namespace": pod.metadata.namespace, "name": pod.metadata.name, "uid": pod.metadata.uid,
        },
    });
    if !pod.spec.node_name.is_empty() {
        address["nodeName"] = pod.spec.node_name.as_str().into();
    }
    if !pod.spec.hostname.is_empty() && pod.spec.subdomain == service.metadata.name {
        address["hostname"] = pod.spec.hostname.as_str().into();
    }
    address
}

fn subset(ports: &Ports, ready: Vec<Value>, unready: Vec<Value>) -> Value {
    let mut subset = serde_json::Map::new();
    for (name, list) in [("addresses", ready), ("notReadyAddresses", unready)] {
        if !list.is_empty() {
            subset.insert(name.into(), list.into());
        }
    }
    let ports: Vec<Value> = ports
        .iter()
        .map(|(name, port, protocol, app)| {
            let mut value = json!({"port": port, "protocol": protocol});
            if !name.is_empty() {
                value["name"] = name.as_str().into();
            }
            if let Some(app) = app {
                value["appProtocol"] = app.as_str().into();
            }
            value
        })
        .collect();
    if !ports.is_empty() {
        subset.insert("ports".into(), ports.into());
    }
    subset.into()
}

fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone();
    labels.remove(HEADLESS);
    if service.spec.cluster_ip == "None" {
        labels.insert(HEADLESS.into(), String::new());
    }
    labels.insert(MANAGED_BY.into(), "endpoint-controller".into());
    labels
}

impl Controller {
    async fn sync(&self, key: &Key) -> SyncResult {
        let Some(service) = self.services.get_key(key) else {
            return self.delete(key).await;
        };
        let Some(selector) = service.spec.selector.as_ref().filter(|s| !s.is_empty()) else {
            return Ok(None);
        };
        if service.spec.kind == "ExternalName" {
            return Ok(None);
        }
        let selector = LabelSelector::from_labels(selector);
        let pods: Vec<Arc<Pod>> = self
            .pods
            .list_namespace(&key.namespace)
            .into_iter()
            .filter(|p| selector.matches(&p.metadata.labels))
            .collect();
        let (subsets, truncated) = plan_subsets(&service, &pods);
        match self.write(key, &service, subsets, truncated).await {
            Ok(()) => Ok(None),
            Err(e) if e.is_namespace_terminating() => Ok(None),
            Err(e) => {
                let object = ObjectReference::of(&resources::SERVICES, &service.metadata);
                let text = format!("Failed to update endpoint {key}: {e}");
                self.recorder.event(&object, EventType::Warning, "FailedToUpdateEndpoint", text);
                Err(e.into())
            }
        }
    }

    async fn write(
        &self,
        key: &Key,
        service: &Service,
        subsets: Vec<Value>,
        truncated: bool,
    ) -> Result<(), client::Error> {
        let live = self.client.get::<Value>(&resources::ENDPOINTS, &key.namespace, &key.name).await;
        let (mut object, is_new) = match live {
            Ok(live) => (live, false),
            Err(e) if e.is_not_found() => {
                let meta = json!({"name": &*key.name, "namespace": &*key.namespace});
                (json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": meta}), true)
            }
            Err(e) => return Err(e),
        };
        let before = object.clone();
        object["metadata"]["labels"] = json!(labels(service));
        if truncated {
            object["metadata"]["annotations"][OVER_CAPACITY] = "truncated".into();
        } else if let Some(annotations) =
            object["metadata"].get_mut("annotations").and_then(Value::as_object_mut)
        {
            annotations.remove(OVER_CAPACITY);
        }
        if subsets.is_empty() {
            object.as_object_mut().and_then(|o| o.remove("subsets"));
        } else {
            object["subsets"] = subsets.into();
        }
        if is_new {
            let _: PartialObject = self.client.create(&resources::ENDPOINTS, &key.namespace, &object).await?;
        } else if object != before {
            let _: PartialObject =
                self.client.replace(&resources::ENDPOINTS, &key.namespace, &key.name, "", &object).await?;
        }
        Ok(())
    }

    /// The Service is gone: so are its endpoints, whoever made them.
    async fn delete(&self, key: &Key) -> SyncResult {
        let params = client::DeleteParams::default();
        match self.client.delete(&resources::ENDPOINTS, &key.namespace, &key.name, &params).await {
            Err(e) if !e.is_not_found() => Err(SyncError::from(e)),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(i: usize, ready: bool) -> Arc<Pod> {
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": format!("p{i}"), "namespace": "n", "uid": format!("u{i}")},
                "spec": {"nodeName": "n1"},
                "status": {"phase": "Running", "podIP": format!("10.0.{}.{}", i / 256, i % 256),
                    "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
            }))
            .unwrap(),
        )
    }

    fn service(with: &Value) -> Service {
        let mut spec = json!({"selector": {"a": "b"}, "ports": [{"port": 80, "targetPort": 8080}]});
        for (key, value) in with.as_object().unwrap() {
            spec[key] = value.clone();
        }
        serde_json::from_value(json!({"metadata": {"name": "s", "namespace": "n"}, "spec": spec})).unwrap()
    }

    #[test]
    fn ready_and_unready() {
        let (subsets, truncated) = plan_subsets(&service(&json!({})), &[pod(1, true), pod(2, false)]);
        let address = |i: usize| {
            json!({"ip": format!("10.0.0.{i}"), "nodeName": "n1",
                "targetRef": {"kind": "Pod", "namespace": "n", "name": format!("p{i}"), "uid": format!("u{i}")}})
        };
        let expected = json!([{"addresses": [address(1)], "notReadyAddresses": [address(2)],
            "ports": [{"port": 8080, "protocol": "TCP"}]}]);
        assert_eq!((json!(subsets), truncated), (expected, false));
        let (subsets, _) =
            plan_subsets(&service(&json!({"publishNotReadyAddresses": true})), &[pod(2, false)]);
        assert!(subsets[0].get("notReadyAddresses").is_none());
    }

    #[test]
    fn too_many_are_truncated_ready_ones_first() {
        let mut pods: Vec<Arc<Pod>> = (0..1000).map(|i| pod(i, false)).collect();
        pods.push(pod(1001, true));
        let (subsets, truncated) = plan_subsets(&service(&json!({})), &pods);
        let count = |list: &str| subsets[0][list].as_array().unwrap().len();
        assert_eq!((count("addresses"), count("notReadyAddresses"), truncated), (1, 999, true));
    }

    #[test]
    fn headless_without_ports() {
        let headless = service(&json!({"ports": [], "clusterIP": "None"}));
        assert_eq!(plan_subsets(&headless, &[pod(1, true)]).0.len(), 1);
        let ports = service(&json!({"ports": []}));
        assert!(plan_subsets(&ports, &[pod(1, true)]).0.is_empty());
    }
}
