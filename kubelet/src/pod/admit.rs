//! Whether a new pod still fits on the node: what the scheduler has promised is checked against what runs here, as upstream
//! does before it starts anything. A pod that does not fit fails at once, with upstream's reason and message. Pure.

use std::collections::BTreeMap;

use super::resources::pod_request_milli;
use crate::api::Pod;
use crate::api::pod::PodSpec;
use crate::quantity::Quantity;

/// Reason and message of a refusal.
pub(crate) type Refusal = (String, String);

/// Checks `pod` against the node's labels and the pods that are `active` on it.
pub(crate) fn admit(
    pod: &Pod,
    active: &[&Pod],
    allocatable: &BTreeMap<String, Quantity>,
    labels: &BTreeMap<String, String>,
) -> Result<(), Refusal> {
    if pod.spec.node_selector.iter().any(|(key, value)| labels.get(key) != Some(value)) {
        return Err(("NodeAffinity".to_owned(), "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector".to_owned()));
    }
    let count = i64::try_from(active.len()).unwrap_or(i64::MAX);
    let most = allocatable.get("pods").map_or(i64::MAX, Quantity::value);
    if count + 1 > most {
        return Err(short("pods", 1, count, most));
    }
    for (name, amount) in allocatable.iter().filter(|(name, _)| *name != "pods") {
        let wanted = pod_request_milli(&pod.spec, name);
        let used: i64 = active.iter().map(|p| pod_request_milli(&p.spec, name)).sum();
        if wanted > 0 && used.saturating_add(wanted) > amount.milli() {
            // The CPU is told in thousandths, everything else in whole units.
            let unit = if name == "cpu" { 1 } else { 1000 };
            return Err(short(name, wanted / unit, used / unit, amount.milli() / unit));
        }
    }
    if let Some(port) =
        host_ports(&pod.spec).find(|port| active.iter().any(|p| host_ports(&p.spec).any(|o| o.clashes(port))))
    {
        let text =
            format!("Pod was rejected: Predicate NodePorts failed: host port {} is taken", port.number);
        return Err(("NodePorts".to_owned(), text));
    }
    Ok(())
}

fn short(name: &str, wanted: i64, used: i64, capacity: i64) -> Refusal {
    let message = format!(
        "Pod was rejected: Node didn't have enough resource: {name}, requested: {wanted}, used: {used}, capacity: {capacity}"
    );
    (format!("OutOf{name}"), message)
}

struct HostPort<'a> {
    number: i32,
    protocol: &'a str,
    ip: &'a str,
}

impl HostPort<'_> {
    fn clashes(&self, other: &HostPort<'_>) -> bool {
        let any = |ip: &str| matches!(ip, "" | "0.0.0.0" | "::");
        self.number == other.number
            && self.protocol == other.protocol
            && (self.ip == other.ip || any(self.ip) || any(other.ip))
    }
}

fn host_ports(spec: &PodSpec) -> impl Iterator<Item = HostPort<'_>> {
    let containers = spec.init_containers.iter().filter(|c| c.is_sidecar()).chain(&spec.containers);
    containers.flat_map(|c| &c.ports).filter(|p| p.host_port > 0).map(|p| HostPort {
        number: p.host_port,
        protocol: if p.protocol.is_empty() { "TCP" } else { &p.protocol },
        ip: &p.host_ip,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(spec: Value) -> Pod {
        serde_json::from_value(json!({ "spec": spec })).unwrap()
    }

    #[track_caller]
    fn check(wanted: Value, there: &[Value], expected: Option<&str>) {
        let there: Vec<Pod> = there.iter().cloned().map(pod).collect();
        let active: Vec<&Pod> = there.iter().collect();
        let allocatable: BTreeMap<String, Quantity> = [("cpu", "2"), ("memory", "1Gi"), ("pods", "2")]
            .map(|(k, v)| (k.to_owned(), Quantity(v.to_owned())))
            .into();
        let labels = [("disk".to_owned(), "ssd".to_owned())].into();
        let got = admit(&pod(wanted), &active, &allocatable, &labels)
            .err()
            .map(|(reason, message)| format!("{reason}: {message}"));
        assert_eq!(got.as_deref(), expected);
    }

    #[test]
    fn what_fits_and_what_does_not() {
        let cpu = |amount: &str| json!({"containers": [{"resources": {"requests": {"cpu": amount}}}]});
        let port = |ip: &str| json!({"containers": [{"ports": [{"hostPort": 80, "hostIP": ip}]}]});
        check(cpu("1"), &[cpu("1")], None);
        check(
            cpu("1500m"),
            &[cpu("1")],
            Some(
                "OutOfcpu: Pod was rejected: Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000",
            ),
        );
        check(cpu("0"), &[cpu("2")], None);
        check(
            cpu("0"),
            &[cpu("0"), cpu("0")],
            Some(
                "OutOfpods: Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: 2, capacity: 2",
            ),
        );
        check(
            port(""),
            &[port("1.2.3.4")],
            Some("NodePorts: Pod was rejected: Predicate NodePorts failed: host port 80 is taken"),
        );
        check(port("1.1.1.1"), &[port("1.2.3.4")], None);
        check(json!({"nodeSelector": {"disk": "ssd"}}), &[], None);
        check(
            json!({"nodeSelector": {"disk": "hdd"}}),
            &[],
            Some(
                "NodeAffinity: Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
            ),
        );
    }
}
