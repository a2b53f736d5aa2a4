//! The slices that a Service should have, and how to get there with few writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use crate::objects::{
    Endpoint, EndpointConditions, EndpointPort, EndpointSlice, IntOrString, Pod, Service, ServicePort,
    TargetRef,
};

/// `--max-endpoints-per-slice`.
pub(crate) const PER_SLICE_MAX: usize = 100;

pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub(crate) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
pub(crate) const CONTROLLER: &str = "endpointslice-controller.k8s.io";
pub(crate) const HEADLESS: &str = "service.kubernetes.io/headless";
pub(crate) const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// What a Service's slices depend on.
#[derive(Debug)]
pub(crate) struct Observed<'a> {
    pub(crate) service: &'a Service,
    /// The pods that the selector matches.
    pub(crate) pods: Vec<Arc<Pod>>,
    /// Zone by node.
    pub(crate) zones: BTreeMap<String, String>,
    /// The slices that this controller made for the Service.
    pub(crate) slices: Vec<Arc<EndpointSlice>>,
    /// When the change happened that this sync is for; RFC 3339.
    pub(crate) trigger_time: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) create: Vec<EndpointSlice>,
    pub(crate) update: Vec<EndpointSlice>,
    /// Names.
    pub(crate) delete: Vec<String>,
}

/// A pod that can be an endpoint: it has an address and has not finished.
pub(crate) fn belongs(pod: &Pod) -> bool {
    !pod.is_terminal() && (!pod.status.pod_ip.is_empty() || !pod.status.pod_ips.is_empty())
}

/// The pod's addresses of a family (`IPv4` or `IPv6`).
pub(crate) fn family_addresses(pod: &Pod, family: &str) -> Vec<String> {
    let all = pod.status.pod_ips.iter().map(|p| p.ip.as_str());
    let single = std::iter::once(pod.status.pod_ip.as_str()).filter(|_| pod.status.pod_ips.is_empty());
    all.chain(single)
        .filter(|ip| !ip.is_empty() && (ip.contains(':') == (family == "IPv6")))
        .map(str::to_owned)
        .collect()
}

/// The number of a Service's port on a pod: as given, or the container port of that name and protocol. Sidecars count.
pub(crate) fn find_port(pod: &Pod, port: &ServicePort) -> Option<i32> {
    match &port.target_port {
        None | Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let sidecars = pod.spec.init_containers.iter().filter(|c| c.restart_policy == "Always");
            let mut ports = pod.spec.containers.iter().chain(sidecars).flat_map(|c| &c.ports);
            ports
                .find(|p| p.name == *name && protocol(&p.protocol) == protocol(&port.protocol))
                .map(|p| p.container_port)
        }
    }
}

fn protocol(text: &str) -> &str {
    if text.is_empty() { "TCP" } else { text }
}

fn ports_of(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    service
        .spec
        .ports
        .iter()
        .filter_map(|port| {
            Some(EndpointPort {
                name: port.name.clone(),
                protocol: protocol(&port.protocol).to_owned(),
                port: find_port(pod, port)?,
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect()
}

fn endpoint(observed: &Observed<'_>, pod: &Pod, addresses: Vec<String>) -> Endpoint {
    let service = observed.service;
    let (serving, terminating) = (pod.is_ready(), pod.metadata.deleting());
    let named = !pod.spec.hostname.is_empty() && pod.spec.subdomain == service.metadata.name;
    let node = Some(pod.spec.node_name.clone()).filter(|n| !n.is_empty());
    let zone = node.as_ref().and_then(|n| observed.zones.get(n)).cloned();
    let ready = service.spec.publish_not_ready_addresses || (serving && !terminating);
    let hints = match service.spec.traffic_distribution.as_str() {
        "PreferClose" | "PreferSameZone" if ready => {
            zone.as_ref().map(|z| json!({"forZones": [{"name": z}]}))
        }
        "PreferSameNode" if ready => node.as_ref().map(|n| {
            let zones: Vec<_> = zone.iter().map(|z| json!({"name": z})).collect();
            json!({"forNodes": [{"name": n}], "forZones": zones})
        }),
        _ => None,
    };
    Endpoint {
        addresses,
        conditions: EndpointConditions {
            ready: Some(ready),
            serving: Some(serving),
            terminating: Some(terminating),
        },
        hostname: named.then(|| pod.spec.hostname.clone()),
        target_ref: Some(TargetRef {
            kind: "Pod".into(),
            namespace: pod.metadata.namespace.clone(),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
        }),
        node_name: node,
        zone,
        hints,
    }
}

/// The labels that every slice of the Service carries: the Service's own, and what names the Service and us.
fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone();
    for reserved in [SERVICE_NAME, MANAGED_BY, HEADLESS] {
        labels.remove(reserved);
    }
    if service.spec.cluster_ip == "None" {
        labels.insert(HEADLESS.into(), String::new());
    }
    labels.insert(SERVICE_NAME.into(), service.metadata.name.clone());
    labels.insert(MANAGED_BY.into(), CONTROLLER.into());
    labels
}

/// Decides for all address families of the Service.
pub(crate) fn plan(observed: &Observed<'_>) -> Plan {
    let mut plan = Plan::default();
    let families = families(observed.service);
    for slice in &observed.slices {
        if !families.contains(&slice.address_type) {
            plan.delete.push(slice.metadata.name.clone());
        }
    }
    for family in families {
        plan_family(observed, &family, &mut plan);
    }
    plan
}

fn families(service: &Service) -> Vec<String> {
    if service.spec.ip_families.is_empty() { vec!["IPv4".into()] } else { service.spec.ip_families.clone() }
}

fn plan_family(observed: &Observed<'_>, family: &str, plan: &mut Plan) {
    let mut wanted: BTreeMap<Vec<EndpointPort>, Vec<Endpoint>> = BTreeMap::new();
    for pod in observed.pods.iter().filter(|p| belongs(p)) {
        let addresses = family_addresses(pod, family);
        if addresses.is_empty() {
            continue;
        }
        let ports = ports_of(observed.service, pod);
        wanted.entry(ports).or_default().push(endpoint(observed, pod, addresses));
    }
    if wanted.is_empty() {
        // A placeholder: consumers see that there is a Service and nothing behind it.
        wanted.insert(Vec::new(), Vec::new());
    }
    let mut existing: BTreeMap<Vec<EndpointPort>, Vec<&EndpointSlice>> = BTreeMap::new();
    for slice in observed.slices.iter().filter(|s| s.address_type == family) {
        let mut ports = slice.ports.clone();
        ports.sort();
        existing.entry(ports).or_default().push(slice);
    }
    // Slices of ports that nobody has any more can serve others: an update is cheaper than delete and create.
    let mut free: Vec<&EndpointSlice> = Vec::new();
    for (ports, slices) in &existing {
        let still = wanted.keys().any(|w| sorted(w) == *ports);
        if !still {
            free.extend(slices.iter().copied());
        }
    }
    for (ports, endpoints) in wanted {
        let slices = existing.get(&sorted(&ports)).cloned().unwrap_or_default();
        plan_ports(observed, family, &ports, endpoints, &slices, &mut free, plan);
    }
    plan.delete.extend(free.iter().map(|s| s.metadata.name.clone()));
}

fn sorted(ports: &[EndpointPort]) -> Vec<EndpointPort> {
    let mut ports = ports.to_vec();
    ports.sort();
    ports
}

/// Fits `endpoints` into `slices`: each endpoint stays where it is, new ones fill what has room, the rest gets slices.
fn plan_ports(
    observed: &Observed<'_>,
    family: &str,
    ports: &[EndpointPort],
    endpoints: Vec<Endpoint>,
    slices: &[&EndpointSlice],
    free: &mut Vec<&EndpointSlice>,
    plan: &mut Plan,
) {
    let identity = |e: &Endpoint| e.target_ref.as_ref().map(|t| t.uid.clone()).unwrap_or_default();
    let mut left: BTreeMap<String, Endpoint> = endpoints.into_iter().map(|e| (identity(&e), e)).collect();
    let mut kept: Vec<(&EndpointSlice, Vec<Endpoint>)> = Vec::new();
    for slice in slices {
        let stay = slice.endpoints.iter().filter_map(|e| left.remove(&identity(e))).collect();
        kept.push((slice, stay));
    }
    let mut rest: Vec<Endpoint> = left.into_values().collect();
    for (_, endpoints) in &mut kept {
        let room = PER_SLICE_MAX.saturating_sub(endpoints.len()).min(rest.len());
        endpoints.extend(rest.drain(..room));
    }
    let labels = labels(observed.service);
    let n_kept: usize = kept.iter().map(|(_, e)| e.len()).sum();
    for (slice, endpoints) in kept {
        // Empty slices go, but the last stays as the placeholder.
        if endpoints.is_empty()
            && (n_kept > 0
                || !rest.is_empty()
                || slices.len() > 1 && slice.metadata.name != slices[0].metadata.name)
        {
            plan.delete.push(slice.metadata.name.clone());
            continue;
        }
        let changed = slice.endpoints != endpoints || slice.metadata.labels != labels;
        if changed {
            plan.update.push(refill(observed, slice, ports, endpoints, &labels));
        }
    }
    let needed = slices.is_empty();
    while !rest.is_empty() || (needed && plan_is_missing(plan, family, ports)) {
        let chunk: Vec<Endpoint> = rest.drain(..rest.len().min(PER_SLICE_MAX)).collect();
        match free.pop() {
            Some(slice) => plan.update.push(refill(observed, slice, ports, chunk, &labels)),
            None => plan.create.push(new_slice(observed, family, ports, chunk, &labels)),
        }
    }
}

/// No slice of this family and these ports is planned yet.
fn plan_is_missing(plan: &Plan, family: &str, ports: &[EndpointPort]) -> bool {
    !plan.create.iter().chain(&plan.update).any(|s| s.address_type == family && s.ports == ports)
}

fn refill(
    observed: &Observed<'_>,
    slice: &EndpointSlice,
    ports: &[EndpointPort],
    endpoints: Vec<Endpoint>,
    labels: &BTreeMap<String, String>,
) -> EndpointSlice {
    let mut slice = EndpointSlice { endpoints, ports: ports.to_vec(), ..slice.clone() };
    slice.metadata.labels.clone_from(labels);
    set_trigger(&mut slice, &observed.trigger_time);
    slice
}

fn new_slice(
    observed: &Observed<'_>,
    family: &str,
    ports: &[EndpointPort],
    endpoints: Vec<Endpoint>,
    labels: &BTreeMap<String, String>,
) -> EndpointSlice {
    let mut slice =
        EndpointSlice { address_type: family.into(), endpoints, ports: ports.to_vec(), ..Default::default() };
    let service = &observed.service.metadata;
    slice.metadata.generate_name = format!("{}-", service.name);
    slice.metadata.namespace.clone_from(&service.namespace);
    slice.metadata.labels.clone_from(labels);
    slice.metadata.owner_references =
        vec![controller_kit::controller_ref(&client::resources::SERVICES, service)];
    set_trigger(&mut slice, &observed.trigger_time);
    slice
}

fn set_trigger(slice: &mut EndpointSlice, time: &str) {
    if time.is_empty() {
        slice.metadata.annotations.remove(TRIGGER_TIME);
    } else {
        slice.metadata.annotations.insert(TRIGGER_TIME.into(), time.into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn service(with: &Value) -> Service {
        let mut spec = json!({"selector": {"app": "x"}, "ports": [{"name": "http", "port": 80, "targetPort": "web"}], "ipFamilies": ["IPv4"]});
        for (key, value) in with.as_object().unwrap() {
            spec[key] = value.clone();
        }
        serde_json::from_value(json!({"metadata": {"name": "s", "namespace": "n", "uid": "s"}, "spec": spec}))
            .unwrap()
    }

    fn pod(i: usize, ready: bool, deleting: bool, port: i32) -> Arc<Pod> {
        let mut object = json!({
            "metadata": {"name": format!("p{i:03}"), "namespace": "n", "uid": format!("u{i:03}")},
            "spec": {"nodeName": "n1", "containers": [{"name": "c", "ports": [{"name": "web", "containerPort": port}]}]},
            "status": {
                "phase": "Running", "podIP": format!("10.0.0.{i}"),
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
            },
        });
        if deleting {
            object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        }
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn run(service: &Service, pods: &[Arc<Pod>], slices: &[EndpointSlice]) -> Plan {
        plan(&Observed {
            service,
            pods: pods.to_vec(),
            zones: BTreeMap::from([("n1".to_owned(), "z1".to_owned())]),
            slices: slices.iter().cloned().map(Arc::new).collect(),
            trigger_time: String::new(),
        })
    }

    /// The slices after the plan, as a server would hold them.
    fn apply(plan: &Plan, slices: &[EndpointSlice]) -> Vec<EndpointSlice> {
        let mut after: Vec<EndpointSlice> = slices
            .iter()
            .filter(|s| !plan.delete.contains(&s.metadata.name))
            .map(|s| plan.update.iter().find(|u| u.metadata.name == s.metadata.name).unwrap_or(s).clone())
            .collect();
        for (i, slice) in plan.create.iter().enumerate() {
            let mut slice = slice.clone();
            slice.metadata.name = format!("made-{}-{i}", after.len());
            after.push(slice);
        }
        after
    }

    fn pods(n: usize) -> Vec<Arc<Pod>> {
        (0..n).map(|i| pod(i, true, false, 8080)).collect()
    }

    #[test]
    fn conditions_of_endpoints() {
        let check = |publish: bool, ready: bool, deleting: bool, expected: (bool, bool, bool)| {
            let service = service(&json!({"publishNotReadyAddresses": publish}));
            let plan = run(&service, &[pod(1, ready, deleting, 8080)], &[]);
            let got = plan.create[0].endpoints[0].conditions.clone();
            assert_eq!(
                (got.ready, got.serving, got.terminating),
                (Some(expected.0), Some(expected.1), Some(expected.2))
            );
        };
        check(false, true, false, (true, true, false));
        check(false, false, false, (false, false, false));
        check(false, true, true, (false, true, true));
        check(true, false, true, (true, false, true));
    }

    #[test]
    fn a_slice_in_full() {
        let mut service = service(&json!({"clusterIP": "None", "trafficDistribution": "PreferClose"}));
        service.metadata.labels.insert("team".into(), "a".into());
        let plan = run(&service, &[pod(1, true, false, 8080)], &[]);
        let got = serde_json::to_value(&plan.create[0]).unwrap();
        let expected = json!({
            "metadata": {
                "name": "", "generateName": "s-", "namespace": "n",
                "labels": {"team": "a", SERVICE_NAME: "s", MANAGED_BY: CONTROLLER, HEADLESS: ""},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": "s", "uid": "s", "controller": true, "blockOwnerDeletion": true}],
            },
            "addressType": "IPv4",
            "endpoints": [{
                "addresses": ["10.0.0.1"], "conditions": {"ready": true, "serving": true, "terminating": false},
                "targetRef": {"kind": "Pod", "namespace": "n", "name": "p001", "uid": "u001"},
                "nodeName": "n1", "zone": "z1", "hints": {"forZones": [{"name": "z1"}]},
            }],
            "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
        });
        assert_eq!(got, expected);
    }

    #[test]
    fn nothing_behind_is_a_placeholder_and_stays() {
        let service = service(&json!({}));
        let made = apply(&run(&service, &[], &[]), &[]);
        assert_eq!((made.len(), made[0].endpoints.len()), (1, 0));
        assert_eq!(run(&service, &[], &made), Plan::default());
        // The placeholder is filled, and emptied again.
        let filled = apply(&run(&service, &pods(2), &made), &made);
        assert_eq!((filled.len(), filled[0].endpoints.len()), (1, 2));
        let emptied = apply(&run(&service, &[], &filled), &filled);
        assert_eq!((emptied.len(), emptied[0].endpoints.len()), (1, 0));
    }

    #[test]
    fn a_hundred_per_slice_and_few_writes() {
        let service = service(&json!({}));
        let slices = apply(&run(&service, &pods(201), &[]), &[]);
        let mut counts: Vec<usize> = slices.iter().map(|s| s.endpoints.len()).collect();
        counts.sort_unstable();
        assert_eq!(counts, [1, 100, 100]);
        assert_eq!(run(&service, &pods(201), &slices), Plan::default(), "nothing to do");
        // One more fits into the slice that has room.
        let plan = run(&service, &pods(202), &slices);
        assert_eq!((plan.create.len(), plan.update.len(), plan.delete.len()), (0, 1, 0));
        // One pod turns unready: one slice changes.
        let mut changed = pods(201);
        changed[5] = pod(5, false, false, 8080);
        let plan = run(&service, &changed, &slices);
        assert_eq!((plan.create.len(), plan.update.len(), plan.delete.len()), (0, 1, 0));
    }

    #[test]
    fn named_ports_that_differ_make_slices_of_their_own() {
        let service = service(&json!({}));
        let plan = run(&service, &[pod(1, true, false, 8080), pod(2, true, false, 9090)], &[]);
        let ports: Vec<i32> = plan.create.iter().map(|s| s.ports[0].port).collect();
        assert_eq!(ports, [8080, 9090]);
        // When the last pod of one port is gone its slice is freed.
        let slices = apply(&plan, &[]);
        let plan = run(&service, &[pod(2, true, false, 9090)], &slices);
        assert_eq!((plan.create.len(), plan.update.len(), plan.delete.len()), (0, 0, 1));
    }

    #[test]
    fn finished_and_addressless_pods_are_left_out() {
        let mut finished = (*pod(1, true, false, 8080)).clone();
        finished.status.phase = "Succeeded".into();
        let mut addressless = (*pod(2, true, false, 8080)).clone();
        addressless.status.pod_ip.clear();
        let plan = run(&service(&json!({})), &[Arc::new(finished), Arc::new(addressless)], &[]);
        assert!(plan.create[0].endpoints.is_empty());
    }
}
