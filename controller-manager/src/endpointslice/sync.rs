//! The rim of the endpointslice controller.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::{Client, DeleteParams, EventType, Informer, Key, Meta, ObjectReference, Recorder, resources};
use controller_kit::{LabelSelector, OwnWrites, Queue, SyncError, SyncResult};
use serde_json::Value;

use super::plan::{self, CONTROLLER, MANAGED_BY, Observed, SERVICE_NAME};
use crate::context::{Context, synced};
use crate::objects::{EndpointSlice, Node, Pod, Service};

const BY_SERVICE: &str = "service";
const ZONE: &str = "topology.kubernetes.io/zone";

struct Controller {
    client: Client,
    recorder: Recorder,
    services: Informer<Service>,
    pods: Informer<Pod>,
    nodes: Informer<Node>,
    slices: Informer<EndpointSlice>,
    writes: OwnWrites,
}

pub(crate) fn start(context: &Context) {
    let queue: Queue<Key> = Queue::new(context.env.clone());
    let services = context.informers.of::<Service>();
    let pods = context.informers.of::<Pod>();
    let nodes = context.informers.of::<Node>();
    let slices = context.informers.of::<EndpointSlice>();
    slices.add_index(BY_SERVICE, |s| service_key(&s.metadata).into_iter().map(|k| k.to_string()).collect());

    let add = queue.clone();
    services.add_handler(move |event| add.add(Key::of(&event.object().metadata)));
    select_services(&pods, &services, &queue);
    let add = queue.clone();
    slices.add_handler(move |event| {
        for slice in event.old().into_iter().chain([event.object()]) {
            if let Some(key) = service_key(&slice.metadata) {
                add.add(key);
            }
        }
    });

    let caches = vec![synced(&services), synced(&pods), synced(&nodes), synced(&slices)];
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        recorder: context.recorder.clone(),
        services,
        pods,
        nodes,
        slices,
        writes: OwnWrites::default(),
    });
    context.run(caches, context.config.workers, &queue, move |key| {
        let controller = Arc::clone(&controller);
        async move { controller.sync(&key).await }
    });
}

/// The Service of a slice that this controller manages.
fn service_key(meta: &Meta) -> Option<Key> {
    if meta.labels.get(MANAGED_BY).map(String::as_str) != Some(CONTROLLER) {
        return None;
    }
    Some(Key::new(&meta.namespace, meta.labels.get(SERVICE_NAME)?))
}

/// Queues the Services that select a pod, before or after its change, when the change matters to endpoints.
pub(crate) fn select_services(pods: &Informer<Pod>, services: &Informer<Service>, queue: &Queue<Key>) {
    let (services, queue) = (services.clone(), queue.clone());
    pods.add_handler(move |event| {
        let new = event.object();
        let old = event.old();
        if let Some(old) = old
            && fingerprint(old) == fingerprint(new)
        {
            return;
        }
        for service in services.list_namespace(&new.metadata.namespace) {
            let Some(selector) = service.spec.selector.as_ref().filter(|s| !s.is_empty()) else { continue };
            let selector = LabelSelector::from_labels(selector);
            let concerns = |pod: &Pod| selector.matches(&pod.metadata.labels);
            if concerns(new) || old.is_some_and(|old| concerns(old)) {
                queue.add(Key::of(&service.metadata));
            }
        }
    });
}

/// All of a pod that endpoints show.
fn fingerprint(pod: &Pod) -> impl PartialEq {
    let ips: Vec<String> = pod.status.pod_ips.iter().map(|p| p.ip.clone()).collect();
    (
        (pod.metadata.labels.clone(), pod.metadata.uid.clone(), pod.metadata.deleting()),
        (pod.spec.node_name.clone(), pod.spec.hostname.clone(), pod.spec.subdomain.clone()),
        (pod.status.pod_ip.clone(), ips, pod.is_ready(), pod.is_terminal()),
    )
}

impl Controller {
    async fn sync(&self, key: &Key) -> SyncResult {
        self.writes.seen_by(key, &self.slices).await;
        let Some(service) = self.services.get_key(key) else {
            // Its slices have it as their owner: garbage collection takes them.
            self.writes.forget(key);
            return Ok(None);
        };
        // Without a selector the endpoints are somebody else's business, as are those of an ExternalName.
        let Some(selector) = service.spec.selector.as_ref().filter(|s| !s.is_empty()) else {
            return Ok(None);
        };
        if service.spec.kind == "ExternalName" || service.metadata.deleting() {
            return Ok(None);
        }
        let selector = LabelSelector::from_labels(selector);
        let pods: Vec<Arc<Pod>> = self
            .pods
            .list_namespace(&key.namespace)
            .into_iter()
            .filter(|p| selector.matches(&p.metadata.labels))
            .collect();
        let slices: Vec<Arc<EndpointSlice>> = self
            .slices
            .by_index(BY_SERVICE, &key.to_string())
            .into_iter()
            .filter(|s| !s.metadata.deleting())
            .collect();
        let observed = Observed {
            service: &service,
            zones: self.zones(&pods),
            trigger_time: trigger_time(&service, &pods),
            pods,
            slices,
        };
        let plan = plan::plan(&observed);
        if let Err(error) = self.carry_out(key, &plan).await {
            let object = ObjectReference::of(&resources::SERVICES, &service.metadata);
            let text =
                format!("Error updating Endpoint Slices for Service {}/{}: {error}", key.namespace, key.name);
            self.recorder.event(&object, EventType::Warning, "FailedToUpdateEndpointSlices", text);
            return Err(error);
        }
        Ok(None)
    }

    fn zones(&self, pods: &[Arc<Pod>]) -> BTreeMap<String, String> {
        let zone = |name: &str| self.nodes.get("", name)?.metadata.labels.get(ZONE).cloned();
        let nodes = pods.iter().map(|p| p.spec.node_name.clone());
        nodes.filter_map(|n| Some((n.clone(), zone(&n)?))).collect()
    }

    async fn carry_out(&self, key: &Key, plan: &plan::Plan) -> Result<(), SyncError> {
        for slice in &plan.create {
            let result = self
                .client
                .create::<EndpointSlice>(&resources::ENDPOINT_SLICES, &key.namespace, &body(slice)?)
                .await;
            match result {
                Ok(made) => self.writes.wrote(key, &made.metadata),
                Err(e) if e.is_namespace_terminating() => return Ok(()),
                Err(e) => return Err(e.into()),
            }
        }
        for slice in &plan.update {
            let (namespace, name) = (&slice.metadata.namespace, &slice.metadata.name);
            let written: EndpointSlice =
                self.client.replace(&resources::ENDPOINT_SLICES, namespace, name, "", &body(slice)?).await?;
            self.writes.wrote(key, &written.metadata);
        }
        for name in &plan.delete {
            let Some(slice) = self.slices.get(&key.namespace, name) else { continue };
            let params = DeleteParams::uid(&slice.metadata.uid);
            match self.client.delete(&resources::ENDPOINT_SLICES, &key.namespace, name, &params).await {
                Ok(()) => self.writes.deleted(key, &slice.metadata),
                Err(e) if e.is_not_found() => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}

/// The slice as it is sent: our struct holds every field that we own, so nothing is lost by sending it whole.
fn body(slice: &EndpointSlice) -> Result<Value, SyncError> {
    let mut body = serde_json::to_value(slice).map_err(|e| SyncError::Other(e.to_string()))?;
    body["apiVersion"] = "discovery.k8s.io/v1".into();
    body["kind"] = "EndpointSlice".into();
    if slice.metadata.name.is_empty()
        && let Some(meta) = body["metadata"].as_object_mut()
    {
        meta.remove("name");
    }
    Ok(body)
}

/// The newest time at which a pod became (un)ready or the Service was made: what the latency of programming a network
/// is measured from.
fn trigger_time(service: &Service, pods: &[Arc<Pod>]) -> String {
    let of_pods = pods.iter().filter_map(|p| p.ready_condition()?.last_transition_time);
    of_pods.chain(service.metadata.creation_timestamp).max().map(|t| t.to_string()).unwrap_or_default()
}
